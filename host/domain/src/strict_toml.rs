//! TOML files read strictly: what is not known is an error that names the line and the nearest known key.

use serde::de::DeserializeOwned;

use crate::nearest::nearest;

/// Why a file could not be read, in words for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TomlError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// The value that this text describes.
///
/// # Errors
/// Text that is no TOML, a key that is not known, or a value of the wrong form, each with its line.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, TomlError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        TomlError { line, message: explain(error.message()) }
    })
}

/// serde says "unknown field `a`, expected one of `b`, `c`"; people want to know which they meant.
fn explain(message: &str) -> String {
    let (what, rest) = if let Some(rest) = message.strip_prefix("unknown field ") {
        ("unknown key", rest)
    } else if let Some(rest) = message.strip_prefix("unknown variant ") {
        ("unknown value", rest)
    } else {
        return message.trim().replace('\n', "; ");
    };
    let quoted: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((written, [])) => format!("{what} {written:?}; none is known here"),
        Some((written, known)) => {
            format!("{what} {written:?}{}; known here: {}", nearest(written, known), known.join(", "))
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        #[allow(dead_code, reason = "only its errors are read")]
        reader: Vec<Reader>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its errors are read")]
    struct Reader {
        name: String,
        address: Option<String>,
    }

    fn error(text: &str) -> String {
        parse::<File>(text).unwrap_err().to_string()
    }

    #[test]
    fn the_line_and_the_nearest_key_are_named() {
        assert_eq!(
            error("# a site\n[[reader]]\nname = 'a'\nadress = 'b'\n"),
            "line 4: unknown key \"adress\" (did you mean \"address\"?); known here: name, address"
        );
        assert_eq!(
            error("\n[[raeder]]\nname = 'a'\n"),
            "line 2: unknown key \"raeder\" (did you mean \"reader\"?); known here: reader"
        );
    }

    #[test]
    fn other_errors_have_their_line_too() {
        assert!(
            error("[[reader]]\nname = 4\n").starts_with("line 2: invalid type"),
            "{}",
            error("[[reader]]\nname = 4\n")
        );
        assert!(error("[[reader]]\nname = \n").starts_with("line 2:"));
        assert!(error("[[reader]]\naddress = 'b'\n").contains("missing field `name`"));
    }
}
