//! Pairs of a read and the number on record, as they are written down.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use cardinal_domain::{
    card::CardNumber,
    convert::{Typed, infer::Pair},
};

/// The largest file of pairs, in bytes: a thousand of the longest.
const LARGEST_FILE: u64 = 1 << 20;
/// The most pairs; a handful is enough.
const MOST_PAIRS: usize = 1_000;

/// A pair with where it stands. Holds a card number, hence no `Debug`.
pub(super) struct Written {
    /// Such as `line 3`.
    pub(super) place: String,
    /// The read as it was written.
    pub(super) read: String,
    pub(super) pair: Pair,
}

/// The pairs of a file (`-`: standard input), or else of the command line.
pub(super) fn read(file: Option<&PathBuf>, arguments: &[String], bits: Option<u32>) -> Result<Vec<Written>> {
    let mut pairs = Vec::new();
    match file {
        Some(file) => {
            let text = text(file)?;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                let is_heading = number == 0 && line.eq_ignore_ascii_case("read,number");
                if !(line.is_empty() || line.starts_with('#') || is_heading) {
                    pairs.push(pair(format!("line {}", number + 1), line, bits)?);
                }
            }
        }
        None => {
            for (number, argument) in arguments.iter().enumerate() {
                pairs.push(pair(format!("pair {}", number + 1), argument, bits)?);
            }
        }
    }
    ensure!(!pairs.is_empty(), "no pair is given; write READ,NUMBER, a line each, and name the file with --pairs");
    ensure!(pairs.len() <= MOST_PAIRS, "{} pairs are given; {MOST_PAIRS} are more than enough", pairs.len());
    Ok(pairs)
}

fn text(file: &Path) -> Result<String> {
    let mut text = String::new();
    let limit = LARGEST_FILE + 1;
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|opened| opened.take(limit).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    if text.len() as u64 >= limit {
        bail!("{} is larger than {LARGEST_FILE} bytes; a handful of pairs is enough", file.display());
    }
    Ok(text)
}

/// `READ,NUMBER`; a read may hold commas, a number cannot. Quotes, as spreadsheets write them, are dropped.
fn pair(place: String, written: &str, bits: Option<u32>) -> Result<Written> {
    let (read, number) = written
        .rsplit_once(',')
        .ok_or_else(|| anyhow!("{place}: {written:?} is no pair; write READ,NUMBER such as 28BD6E94,2490285352"))?;
    let [read, number] = [read, number].map(|cell| cell.trim().trim_matches('"').to_owned());
    let card = CardNumber::new(&number).with_context(|| format!("{place}: {number:?} is no number on record"))?;
    let typed = Typed::new(&read, bits).with_context(|| place.clone())?;
    Ok(Written { place, read, pair: Pair { read: typed.entering(), number: card.reveal().to_owned() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_mistakes_are_placed() {
        let written = pair("line 1".to_owned(), "\"1=4711=8,7\" , \"815\"", None).unwrap();
        assert_eq!((written.read.as_str(), written.pair.number.as_str()), ("1=4711=8,7", "815"));
        assert_eq!(written.pair.read.shown(), "1");
        let error = |written: &str, bits| format!("{:#}", pair("line 7".to_owned(), written, bits).err().unwrap());
        assert!(error("4711", None).starts_with("line 7: \"4711\" is no pair"));
        assert!(error("4711,47-11", None).starts_with("line 7: \"47-11\" is no number on record: a card number is"));
        assert!(error("FFF,1", Some(8)).starts_with("line 7: \"FFF\" is not 8 bits"));
        assert!(read(None, &[], None).is_err());
    }
}
