//! A custom sync program, with the protocol that such programs have: asked by arguments, it answers on its standard output
//! (facts: PaperCutSoftware/CustomSynAndAuthentication on GitHub, README, "Custom user program", and its samples in Python and
//! Go).
//!
//! - `- is-valid`: the first line begins with `Y` or `y` where it can work. Samples write more lines behind it.
//! - `- all-users`: a row for each user, as [`super::rows`] has it.
//! - `- all-groups`: a name a line.
//! - `- group-member-names GROUP`: a user name a line.
//!
//! The exit code is 0 exactly where the answer is whole; otherwise standard error says why. Which program a name stands for,
//! `cardinal.toml` alone says. It runs without a shell, with nothing of our environment but `PATH`, in a locale of
//! UTF-8, for as long as the settings allow; then its process group is killed: it, and what it started and did not part with.

use std::{
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use cardinal_domain::{names::folded, sync::Total};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::{Reading, SourceError, ldap::error::clean, rows};
use crate::snapshot::{Scope, Snapshot};

/// The most that an answer may have, in bytes.
const LONGEST_ANSWER: usize = 256 << 20;
/// And all of them together.
const LONGEST_IN_ALL: usize = 1 << 30;
/// How much of standard error is told, in bytes: its end.
const LONGEST_COMPLAINT: usize = 1_000;
/// The most groups. Each is a run of the program.
const MOST_GROUPS: usize = 10_000;

/// Asks the program for everything.
///
/// # Errors
/// What it did not answer as it should, and the end of what it says to that.
pub(crate) async fn read(reading: &Reading<'_>) -> Result<Snapshot, SourceError> {
    let source = reading.source;
    let Some((program, first)) = reading.locals.programs.get(&source.from).and_then(|parts| parts.split_first()) else {
        let known: Vec<&String> = reading.locals.programs.keys().collect();
        return Err(SourceError::Settings {
            name: source.name.clone(),
            problem: format!(
                "cardinal.toml names no program {:?} under [directory.programs]{}",
                source.from,
                cardinal_domain::nearest::nearest(&source.from, &known)
            ),
        });
    };
    reading.progress.tell(|figures| figures.server.clone_from(program));
    let asking = Asking { program, first, within: reading.locals.program_within };
    let failed = |asked: &[&str], problem: String| SourceError::Program {
        name: source.name.clone(),
        program: source.from.clone(),
        asked: asked.join(" "),
        problem,
    };
    let in_all = AtomicUsize::new(0);
    let ask = async |asked: &[&str]| {
        let answer = asking.ask(asked).await.map_err(|problem| failed(asked, problem))?;
        let before = in_all.fetch_add(answer.len(), Ordering::Relaxed);
        if before.saturating_add(answer.len()) > LONGEST_IN_ALL {
            return Err(failed(
                asked,
                format!(
                    "its answers have more than {LONGEST_IN_ALL} bytes in all; select some groups, or mend the program"
                ),
            ));
        }
        reading.progress.tell(|figures| figures.pages += 1);
        Ok::<_, SourceError>(answer)
    };

    let valid = ask(&["is-valid"]).await?;
    if !matches!(valid.trim_ascii_start().first(), Some(b'Y' | b'y')) {
        let said = clean(&valid);
        return Err(failed(&["is-valid"], format!("it does not say Y but {said:?}; it is not ready for use")));
    }
    let answer = ask(&["all-users"]).await?;
    let mut rows = rows::of_program(&answer).map_err(|problem| failed(&["all-users"], problem))?;
    drop(answer);
    let users = u64::try_from(rows.users()).unwrap_or(u64::MAX);
    reading.progress.tell(|figures| figures.entries += users);

    let answer = ask(&["all-groups"]).await?;
    let all = names(&answer).map_err(|problem| failed(&["all-groups"], problem))?;
    if all.len() > MOST_GROUPS {
        return Err(failed(&["all-groups"], format!("it names more than {MOST_GROUPS} groups")));
    }
    let groups = u64::try_from(all.len()).unwrap_or(u64::MAX);
    // Each group is a run of the program: where some are selected, nobody needs the others.
    let is_wanted = |name: &String| {
        source.groups.is_empty() || source.groups.iter().any(|wanted| folded(wanted.trim()) == folded(name))
    };
    for group in all.iter().filter(|name| is_wanted(name)) {
        let asked = ["group-member-names", group.as_str()];
        let answer = ask(&asked).await?;
        let members = names(&answer).map_err(|problem| failed(&asked, problem))?;
        rows.group(group).1.extend(members);
    }
    let totals = vec![Total { of: source.from.clone(), users, groups }];
    let of = format!("program {:?}", source.from);
    rows.finish().snapshot(source, None, &of, totals, reading.progress.figures(), None, Scope::Whole)
}

fn names(answer: &[u8]) -> Result<Vec<String>, String> {
    Ok(rows::lines(answer)?.map(|(_, line)| line.trim().to_owned()).collect())
}

/// How a program is asked.
struct Asking<'a> {
    program: &'a str,
    first: &'a [String],
    within: Duration,
}

/// A program with all that it started. Dropped before it ended, all of them are killed.
struct Group(Child, Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.1 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Asking<'_> {
    /// What it answers on its standard output.
    async fn ask(&self, asked: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(self.program);
        command.args(self.first).arg("-").args(asked);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Rows are UTF-8. Without a locale, Java and others write a question mark for each letter that is not of ASCII.
        command.env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| format!("{:?} cannot be started: {error}", self.program))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut running = Group(child, group);
        let (Some(out), Some(err)) = (running.0.stdout.take(), running.0.stderr.take()) else {
            return Err("its output cannot be read".into());
        };
        let finished = timeout(self.within, async {
            let (answer, complaint) = tokio::join!(all_of(out), end_of(err));
            let answer = answer?;
            let status = running.0.wait().await.map_err(|error| error.to_string())?;
            // From now on its number may be somebody else's.
            running.1 = None;
            Ok::<_, String>((status, answer, complaint))
        });
        let Ok(finished) = finished.await else {
            return Err(format!(
                "it did not end within {} s and was killed; make it faster, or allow it more time in cardinal.toml",
                self.within.as_secs()
            ));
        };
        let (status, answer, complaint) = finished?;
        if status.success() { Ok(answer) } else { Err(told(status, &complaint)) }
    }
}

fn told(status: ExitStatus, complaint: &[u8]) -> String {
    let said = clean(complaint);
    if said.is_empty() {
        format!("it failed ({status}) and said nothing")
    } else {
        format!("it failed ({status}): {said}")
    }
}

async fn all_of(out: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    let most = u64::try_from(LONGEST_ANSWER).unwrap_or(u64::MAX).saturating_add(1);
    out.take(most).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    if answer.len() > LONGEST_ANSWER { Err(format!("it answers more than {LONGEST_ANSWER} bytes")) } else { Ok(answer) }
}

/// The end of what comes. All of it is read, so that whoever writes it does not wait.
async fn end_of(mut err: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut end, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(read) = err.read(&mut piece).await {
        if read == 0 {
            break;
        }
        end.extend_from_slice(piece.get(..read).unwrap_or_default());
        let spare = end.len().saturating_sub(LONGEST_COMPLAINT);
        end.drain(..spare);
    }
    end
}
