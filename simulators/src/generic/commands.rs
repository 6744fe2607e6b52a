//! What a server says to a terminal: commands of one letter, keepalives, prompts.
//!
//! The published sample takes the last letter of whatever one read gives it. TCP may cut anywhere, so here a word
//! (text between line ends) counts as commands only if it is made of command letters alone; any other word is a probe
//! or a prompt, which terminals ignore.

/// A command of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `v`: tell the version.
    Version,
    /// `e`: show an error, for example a red light.
    Error,
    /// `b`: beep; may come several times for one card.
    Beep,
}

impl Command {
    fn parse(letter: u8) -> Option<Self> {
        match letter {
            b'v' => Some(Self::Version),
            b'e' => Some(Self::Error),
            b'b' => Some(Self::Beep),
            _ => None,
        }
    }
}

/// The commands in what one read gave; prompts, probes and keepalives give none.
pub(super) fn parse(bytes: &[u8]) -> Vec<Command> {
    bytes
        .split(u8::is_ascii_whitespace)
        .filter_map(|word| word.iter().copied().map(Command::parse).collect::<Option<Vec<Command>>>())
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Command::{Beep, Error, Version};
    use super::parse;

    #[test]
    fn letters_are_commands_and_beeps_may_repeat() {
        assert_eq!(parse(b"v"), [Version]);
        assert_eq!(parse(b"bb\re"), [Beep, Beep, Error]);
    }

    #[test]
    fn keepalives_and_prompts_are_ignored() {
        assert_eq!(parse(b""), []);
        assert_eq!(parse(b"\r\r\n"), []);
        assert_eq!(parse(b"\rrfid:qid\r\nRF IDeas>"), []);
        assert_eq!(parse(&[0xff, 0, b'v']), []);
    }
}
