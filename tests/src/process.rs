//! A program that runs beside the tests: what it says goes to a file, and it ends with its value.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How much of what a program said is shown when a test fails.
const SHOWN_LINES: usize = 40;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it says on either stream is added to the file `log`. Panics where it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        Self::start_with(name, command, log, appended(log).into(), Stdio::null())
    }

    /// The same with the given standard output and input.
    pub fn start_with(name: &str, command: &mut Command, log: &Path, output: Stdio, input: Stdio) -> Self {
        let child = command
            .stdin(input)
            .stdout(output)
            .stderr(appended(log))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}; {command:?}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its standard input, where it was started with a pipe.
    pub fn input(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("started with a pipe")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{} cannot be signalled: {error}", self.name));
    }

    /// Freezes it until it gets SIGCONT. No thread of it runs any more when this returns.
    pub async fn freeze(&self) {
        self.signal(Signal::STOP);
        let what = format!("the standstill of {}", self.name);
        let threads = || fs::read_dir(format!("/proc/{}/task", self.id())).expect("a process has threads").flatten();
        // The state stands behind the name in brackets.
        let stands = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
        wait::until(&what, async || {
            let mut stats = threads().map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
            stats.all(|stat| stands(&stat)).then_some(())
        })
        .await;
    }

    /// Sends it a signal and waits for its end.
    pub async fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait().await
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait::until(&what, async || self.ended()).await
    }

    /// All that it said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed and reaped at once: nothing of a test may outlive it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let skipped = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("---- {} said ({skipped} lines left out)", self.name);
            lines.iter().skip(skipped).for_each(|line| eprintln!("  | {line}"));
        }
    }
}

fn appended(log: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(log).expect("a log can be written")
}
