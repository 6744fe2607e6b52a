//! `ipptool`, the Printer Working Group's own client.

use std::{ffi::OsString, path::Path};

use tokio::process::Command;

use crate::{
    cli::{self, Answer},
    network::Cable,
    program,
};

/// Runs one of ipptool's own test files against a queue as this user, printing this document where it prints one.
pub async fn run(queue: &str, test: &str, user: &str, document: &Path) -> Answer {
    let mut command = Command::new(program::theirs("ipptool"));
    cli::run(command.args(arguments(queue, test, user, document))).await
}

/// The same from the far end of a cable.
pub async fn run_from(cable: &Cable, queue: &str, test: &str, user: &str, document: &Path) -> Answer {
    let mut command = Command::from(cable.command(&program::theirs("ipptool")));
    cli::run(command.args(arguments(queue, test, user, document))).await
}

fn arguments(queue: &str, test: &str, user: &str, document: &Path) -> Vec<OsString> {
    let user = format!("user={user}");
    let mut arguments: Vec<OsString> = ["-tv", "-T", "20", "-d", &user, "-f"].map(OsString::from).to_vec();
    arguments.extend([document.into(), queue.into(), test.into()]);
    arguments
}
