//! The command line of `cardinal`, as operators use it.

use std::{env, ffi::OsStr, process::Stdio, time::Duration};

use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::program;

/// How long one command may take. Installing a driver compiles it.
const LONGEST: Duration = Duration::from_secs(60);

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    command: String,
    /// The exit status; none: ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// What it answered. Panics where it failed.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{} failed: {}{}", self.command, self.stdout, self.stderr);
        self.stdout
    }

    /// Its answer of `--json`. Panics where it failed or answered something else.
    pub fn json<T: DeserializeOwned>(self) -> T {
        let command = self.command.clone();
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command} gave no such JSON ({error}): {text}"))
    }

    /// What it complained of. Panics where it succeeded, or where it did not end by itself.
    pub fn refused(self) -> String {
        assert!(matches!(self.code, Some(1..)), "{} was to fail: {self:?}", self.command);
        self.stderr
    }
}

/// Runs `cardinal` with these arguments alone.
pub async fn cardinal<S: AsRef<OsStr>>(arguments: &[S]) -> Answer {
    run(Command::new(program::ours("cardinal", "cardinal-server")).args(arguments)).await
}

/// Runs a command to its end.
pub async fn run(command: &mut Command) -> Answer {
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARDINAL_")) {
        command.env_remove(name);
    }
    run_as_it_is(command).await
}

/// The same with the environment that the command has.
pub async fn run_as_it_is(command: &mut Command) -> Answer {
    let shown = format!("{:?}", command.as_std());
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(LONGEST, running).await {
        Ok(output) => output.unwrap_or_else(|error| panic!("{shown} cannot be started: {error}")),
        Err(_) => panic!("{shown} did not end within {LONGEST:?}"),
    };
    Answer {
        command: shown,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
