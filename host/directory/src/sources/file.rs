//! A CSV or TSV file. Which one a name stands for, `cardinal.toml` says.
//!
//! Whoever writes it should write another one and rename it: what is half written looks whole if the writer pauses. What can
//! be seen of that is an error: a file that changes while it is read, one that ends inside quotes or inside a line, an empty
//! one. One that was written just now is left to rest first.

use std::{
    fs::{File, Metadata},
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use cardinal_domain::sync::Total;
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    Reading, SourceError,
    rows::{Column, IN_ORDER, Rows, header},
};
use crate::snapshot::{Scope, Snapshot};

/// The largest file, in bytes: half a million users.
const LARGEST: u64 = 256 << 20;
/// How long a file must have been as it is: whoever writes it line by line pauses for less.
const AT_REST: Duration = Duration::from_secs(2);
/// How long a file that is being written is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// A line of ours behind the last one: if it does not come out by itself, the file ended inside quotes.
const END: &str = "\u{1}end of the file\u{1}";

/// Reads the file.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) async fn read(reading: &Reading<'_>) -> Result<Snapshot, SourceError> {
    let source = reading.source;
    let Some(path) = reading.locals.files.get(&source.from) else {
        let known: Vec<&String> = reading.locals.files.keys().collect();
        return Err(SourceError::Settings {
            name: source.name.clone(),
            problem: format!(
                "cardinal.toml names no file {:?} under [directory.files]{}",
                source.from,
                cardinal_domain::nearest::nearest(&source.from, &known)
            ),
        });
    };
    let failed = |problem: String| SourceError::File { name: source.name.clone(), file: path.clone(), problem };
    reading.progress.tell(|figures| figures.server = path.display().to_string());
    let is_tsv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
    let bytes = at_rest(path.clone()).await.map_err(failed)?;
    let rows = spawn_blocking(move || parse(&bytes, is_tsv));
    let rows = rows.await.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let users = u64::try_from(rows.users()).unwrap_or(u64::MAX);
    reading.progress.tell(|figures| {
        figures.pages += 1;
        figures.entries += users;
        figures.of = Some(users);
    });
    let census = rows.finish();
    let groups = u64::try_from(census.counts().1).unwrap_or(u64::MAX);
    let totals = vec![Total { of: source.from.clone(), users, groups }];
    let of = path.display().to_string();
    census.snapshot(source, None, &of, totals, reading.progress.figures(), None, Scope::Whole)
}

/// By what a change of a file is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    written: SystemTime,
}

/// What came of reading a file.
enum Loaded {
    Whole(Vec<u8>),
    /// It was written just now.
    Young(Stamp),
}

/// The bytes of a file that nobody writes any more.
async fn at_rest(path: PathBuf) -> Result<Vec<u8>, String> {
    let begin = Instant::now();
    let mut seen: Option<(Stamp, Instant)> = None;
    loop {
        // Our own clock counts, too: that of a file server may be ahead.
        let rested = seen.filter(|(_, since)| since.elapsed() >= AT_REST).map(|(stamp, _)| stamp);
        let own = path.clone();
        let loaded = spawn_blocking(move || load(&own, rested)).await.map_err(|error| error.to_string())?;
        let stamp = match loaded? {
            Loaded::Whole(bytes) => return Ok(bytes),
            Loaded::Young(stamp) => stamp,
        };
        if seen.is_none_or(|(known, _)| known != stamp) {
            seen = Some((stamp, Instant::now()));
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!(
                "it is still being written after {} s; write it under another name and rename it when done",
                PATIENCE.as_secs()
            ));
        }
        sleep(LOOK).await;
    }
}

/// The bytes of a file that stayed the same while they were read. `rested`: as it was for long enough.
fn load(path: &Path, rested: Option<Stamp>) -> Result<Loaded, String> {
    let failed = |error: std::io::Error| format!("{error}; check that it is there and that this host may read it");
    let mut file = File::open(path).map_err(failed)?;
    let before = file.metadata().map_err(failed)?;
    if !before.is_file() {
        return Err("it is no file".into());
    }
    let before = stamp(&before);
    if rested != Some(before) && before.written.elapsed().unwrap_or_default() < AT_REST {
        return Ok(Loaded::Young(before));
    }
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if read > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    let after = file.metadata().map_err(failed)?;
    if stamp(&after) != before || before.length != read {
        return Err("it changed while it was read; write another file and rename it".into());
    }
    Ok(Loaded::Whole(bytes))
}

fn stamp(metadata: &Metadata) -> Stamp {
    // Where a file system tells no time, it is as old as can be.
    Stamp { length: metadata.len(), written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH) }
}

/// The rows of a file.
pub(crate) fn parse(bytes: &[u8], is_tsv: bool) -> Result<Rows, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8; save it as UTF-8")
    })?;
    if !text.is_empty() && !text.ends_with(['\n', '\r']) {
        return Err(format!(
            "line {} has no line end: is the file whole? Write it under another name and rename it when done, or add a \
             line end",
            text.lines().count()
        ));
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = if is_tsv { b'\t' } else { delimiter(first) };
    let whole = text.as_bytes().chain(&b"\n"[..]).chain(END.as_bytes());
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(whole);
    let mut record = csv::StringRecord::new();
    let (mut rows, mut columns): (Rows, Option<Vec<Column>>) = (Rows::default(), None);
    let mut ended = false;
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<&str> = record.iter().collect();
        if ended {
            return Err(format!("line {line}: nothing may stand behind the end"));
        }
        if cells == [END] {
            ended = true;
        } else if cells.iter().all(|cell| cell.trim().is_empty()) {
            // Spreadsheets write such lines.
        } else if let Some(columns) = &columns {
            rows.take(columns, &cells, line)?;
        } else {
            match header(&cells).map_err(|error| format!("line {line}: {error}"))? {
                Some(named) => columns = Some(named),
                None => {
                    rows.take(IN_ORDER, &cells, line)?;
                    columns = Some(IN_ORDER.to_vec());
                }
            }
        }
    }
    if ended { Ok(rows) } else { Err("it ends in the middle of a quoted field: it is not whole".into()) }
}

/// What separates fields: whatever a line has most of outside quotes. Spreadsheets write `;` where a comma is a decimal point.
fn delimiter(line: &str) -> u8 {
    let (mut found, mut quoted) = ([(b',', 0_usize), (b';', 0), (b'\t', 0)], false);
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        found.iter_mut().filter(|(own, _)| *own == byte && !quoted).for_each(|(_, times)| *times += 1);
    }
    // Of those that are alike, the first one.
    found.iter().rev().max_by_key(|(_, times)| *times).map_or(b',', |(own, _)| *own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn users(text: &str) -> Result<usize, String> {
        parse(text.as_bytes(), false).map(|rows| rows.users())
    }

    #[test]
    fn files_are_read_with_and_without_names_of_columns() {
        assert_eq!(users("\u{feff}name,card\nada,12\n\"bob \"\"b\"\"\",13\n"), Ok(2));
        assert_eq!(users("name;card;groups\nada;12;\"staff;teachers\"\n"), Ok(1));
        assert_eq!(users("name;\"full-name\";card\nada;\"Lovelace, Ada\";12\n"), Ok(1));
        for (line, by) in
            [("\"a,b,c\";d", b';'), ("a,b;c;d", b';'), ("a,b;c", b','), ("ada", b','), ("a\tb,c\td", b'\t')]
        {
            assert_eq!(delimiter(line), by, "{line}");
        }
        assert_eq!(users("ada\tAda Lovelace\nbob\n"), Ok(2));
        assert_eq!(users("name,card\rada,12\r"), Ok(1));
        assert_eq!(users("ada,\"Lovelace,\nAda\"\n,,\n"), Ok(1));
        assert_eq!(users(""), Ok(0));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let whole = "name,full-name\nada,Ada Lovelace\r\nbob,Bob\n";
        assert_eq!(users(whole), Ok(2));
        for end in 1..whole.len() {
            let cut = &whole[..end];
            let line = cut.lines().count();
            match cut.ends_with(['\r', '\n']) {
                true => assert!(users(cut).is_ok(), "{end}"),
                false => assert!(users(cut).unwrap_err().contains(&format!("line {line} has no line end")), "{end}"),
            }
        }
        assert!(users("name,full-name\nada,\"Lovelace,\n").unwrap_err().contains("not whole"));
        for (text, why) in [
            ("login,card\nada,12\n", "none says which one has the user name"),
            ("name,crd\n", "did you mean \"card\"?"),
            ("name,card\nada,1,2\n", "line 2 has 3 fields"),
            ("name,key\nada,1\nbob,1\n", "which a line before it has"),
            ("name,key\nada,\n", "no key"),
            ("name,card\n,12\n", "no user name"),
        ] {
            assert!(users(text).unwrap_err().contains(why), "{text}: {:?}", users(text));
        }
        assert!(parse(b"name\n\xff\n", false).unwrap_err().contains("line 2 is not UTF-8"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "(name|[a-b\",;\t\n\r\u{1}\u{e9}]){0,30}", is_tsv: bool) {
            let _ = parse(text.as_bytes(), is_tsv);
        }
    }
}
