//! `ipptool`, the Printer Working Group's own client.

use std::{ffi::OsString, path::Path};

use tokio::process::Command;

use crate::{
    cli::{self, Answer},
    network::Cable,
    program,
};

/// How long it waits for an answer, in seconds.
const PATIENCE: &str = "20";

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

fn printing(queue: &str, owner: &str, document: &Path) -> Vec<OsString> {
    let owner = format!("owner={owner}");
    let mut arguments: Vec<OsString> = ["-tv", "-T", PATIENCE, "-d", &owner, "-f"].map(OsString::from).to_vec();
    arguments.extend([document.into(), queue.into(), program::in_workspace("tests/ipptool/print-as.test").into()]);
    arguments
}
