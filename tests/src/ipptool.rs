//! `ipptool`, the Printer Working Group's own client.

use std::{ffi::OsString, fs, path::Path};

use tokio::process::Command;

use crate::{
    cli::{self, Answer},
    document,
    network::Cable,
    program,
};

/// How long it waits for an answer, in seconds.
const PATIENCE: &str = "20";
/// Where CUPS keeps the suites.
const SUITES: &str = "/usr/share/cups/ipptool";

/// Prints a file to a queue as this user. Its exit status is 0 only if all was as the test file wants.
pub async fn print(queue: &str, owner: &str, document: &Path) -> Answer {
    let mut command = Command::new(program::theirs("ipptool"));
    cli::run(command.args(printing(queue, owner, document))).await
}

/// The same from the far end of a cable.
pub async fn print_from(cable: &Cable, queue: &str, owner: &str, document: &Path) -> Answer {
    let mut command = Command::from(cable.command(&program::theirs("ipptool")));
    cli::run(command.args(printing(queue, owner, document))).await
}

/// What a queue says of itself at the far end of a cable.
pub async fn attributes_from(cable: &Cable, queue: &str) -> Answer {
    let mut command = Command::from(cable.command(&program::theirs("ipptool")));
    cli::run(command.args(["-tv", "-T", PATIENCE, queue]).arg(Path::new(SUITES).join("get-printer-attributes.test")))
        .await
}

/// Runs a test file of this workspace against a queue, with these variables.
pub async fn run(queue: &str, test: &str, variables: &[&str], document: &Path) -> Answer {
    let mut command = Command::new(program::theirs("ipptool"));
    command.args(["-tv", "-T", PATIENCE]).args(variables.iter().flat_map(|variable| ["-d", variable]));
    command.arg("-f").arg(document).arg(queue).arg(program::in_workspace("tests/ipptool").join(test));
    cli::run(&mut command).await
}

/// Runs one of the suites that come with ipptool (`ipp-1.1`, `ipp-2.0`, `ipp-everywhere`) against a queue. The documents
/// that the suites print are looked for beside their files, and few packages have them: so the files are copied into
/// this folder, beside documents of ours under the same names.
pub async fn suite(queue: &str, version: &str, suite: &str, folder: &Path) -> Answer {
    for entry in fs::read_dir(SUITES).expect("the suites of ipptool").flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name())).expect("a suite can be copied");
    }
    let postscript = b"%!PS\n/Helvetica findfont 20 scalefont setfont 72 720 moveto (hello) show showpage\n".to_vec();
    for (names, document) in [
        (["document-a4.pdf", "document-letter.pdf"], document::hello()),
        (["document-a4.ps", "document-letter.ps"], postscript),
        // A queue does not look into documents: the first bytes of a picture are picture enough.
        (["color.jpg", "gray.jpg"], b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec()),
    ] {
        for name in names {
            fs::write(folder.join(name), &document).expect("a document can be written");
        }
    }
    let mut command = Command::new(program::theirs("ipptool"));
    command.args(["-V", version, "-T", PATIENCE, "-tf"]).arg(folder.join("document-a4.pdf"));
    cli::run(command.arg(queue).arg(folder.join(format!("{suite}.test")))).await
}

fn printing(queue: &str, owner: &str, document: &Path) -> Vec<OsString> {
    let owner = format!("owner={owner}");
    let mut arguments: Vec<OsString> = ["-tv", "-T", PATIENCE, "-d", &owner, "-f"].map(OsString::from).to_vec();
    arguments.extend([document.into(), queue.into(), program::in_workspace("tests/ipptool/print-as.test").into()]);
    arguments
}
