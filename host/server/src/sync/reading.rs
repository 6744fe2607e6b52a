//! Reading a source in a process of its own: what a directory sends is taken apart by code that cannot bound everything (see
//! `cardinal_directory::sources::ldap`), and neither its memory nor its stack may be this host's.
//!
//! The child gets its request on standard input, since passwords stand in no command line, and tells how far it is and what it
//! read on standard output, a line of JSON each. It ends with the host, at its limit of memory, or when nobody waits any more.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_directory::{Figures, Group, Locals, Mark, Person, Progress, Reading, Schema, Snapshot, Trust};
use cardinal_domain::site::{ServerType, Source};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

/// The name of the command that is the child.
pub const COMMAND: &str = "read-source";
/// The address space of a child, in bytes. 100,000 users take some 150 MB.
const MEMORY: u64 = 4 << 30;
/// How much a child may say, in bytes: a million users.
const LONGEST: u64 = 1 << 30;
/// How much of its complaints is kept, in bytes.
const COMPLAINTS: u64 = 4 << 10;
/// How often a child tells how far it is.
const TELL: Duration = Duration::from_millis(200);
/// What it needs of the environment: where programs and libraries lie, Kerberos, and the system's authorities.
const KEPT: [&str; 8] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "KRB5_KTNAME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What a child is to read.
#[derive(Serialize, Deserialize)]
pub struct Request {
    pub source: Source,
    /// The site's config keys.
    pub config: BTreeMap<String, String>,
    /// A PEM file with the operator's own authorities.
    pub ca: Option<PathBuf>,
    pub locals: Locals,
    pub since: Option<Mark>,
}

/// What a child says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Reading(Figures),
    /// Some users of the snapshot.
    People(Vec<Person>),
    /// Some groups of it.
    Groups(Vec<Group>),
    /// The snapshot, of which users and groups were said before.
    Read(Box<Snapshot>),
    Failed(String),
}

/// How many users or groups stand in a line.
const IN_A_LINE: usize = 500;

/// Has a source read. A child that is not waited for any more ends.
///
/// # Errors
/// Why the source was not read, in words for the administrator.
pub async fn read(request: &Request, progress: &Progress) -> Result<Snapshot> {
    let name = &request.source.name;
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let mut child = Command::new(&program)
        .arg(COMMAND)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("source {name}: cannot run {}", program.display()))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        bail!("source {name}: the process that reads it has no pipes");
    };
    let mut asked = serde_json::to_vec(request)?;
    asked.push(b'\n');
    // One that ends before it is asked says why on the other pipes.
    let _ = stdin.write_all(&asked).await;
    drop(stdin);
    let mut complaint = String::new();
    let mut stderr = stderr.take(COMPLAINTS);
    let (said, _) = tokio::join!(answer(stdout.take(LONGEST), progress), stderr.read_to_string(&mut complaint));
    match said? {
        Some(Said::Read(snapshot)) => Ok(*snapshot),
        Some(Said::Failed(why)) => Err(anyhow!(why)),
        Some(_) | None => {
            let status = child.wait().await.context("a process that reads a source cannot be waited for")?;
            let last = complaint.lines().last().unwrap_or_default();
            Err(anyhow!(
                "source {name}: reading broke off ({status}) {last}; a server that sends what is no LDAP, or far too much, does \
                 that; nothing was taken from it"
            ))
        }
    }
}

/// What a child says at its end.
async fn answer(stdout: impl tokio::io::AsyncRead + Unpin, progress: &Progress) -> Result<Option<Said>> {
    let mut lines = BufReader::with_capacity(256 << 10, stdout);
    let (mut line, mut people, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        // Half a line is the end of a child that was ended.
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        match serde_json::from_slice::<Said>(&line)? {
            Said::Reading(figures) => progress.tell(|told| *told = figures),
            Said::People(some) => people.extend(some),
            Said::Groups(some) => groups.extend(some),
            Said::Read(snapshot) => return Ok(Some(Said::Read(Box::new(Snapshot { people, groups, ..*snapshot })))),
            failed @ Said::Failed(_) => return Ok(Some(failed)),
        }
    }
}

/// The child: reads what standard input asks for. The calling process is limited for good.
///
/// # Errors
/// Not asked by a host, or nobody takes the answer.
pub async fn child() -> Result<()> {
    limit().context("cannot limit this process")?;
    let mut asked = String::new();
    io::stdin().read_to_string(&mut asked)?;
    let request: Request = serde_json::from_str(&asked).context("this command is for Cardinal's own use")?;
    drop(asked);
    let (progress, mut figures) = Progress::new();
    let reading = reading(&request, progress);
    tokio::pin!(reading);
    let end = loop {
        tokio::select! {
            end = &mut reading => break end,
            () = tokio::time::sleep(TELL) => {
                let now = figures.borrow_and_update().clone();
                say(&Said::Reading(now))?;
            }
        }
    };
    let mut snapshot = match end {
        Ok(snapshot) => snapshot,
        Err(error) => return say(&Said::Failed(format!("{error:#}"))),
    };
    say_some(std::mem::take(&mut snapshot.people), Said::People)?;
    say_some(std::mem::take(&mut snapshot.groups), Said::Groups)?;
    say(&Said::Read(Box::new(snapshot)))
}

async fn reading(request: &Request, progress: Progress) -> Result<Snapshot> {
    let Request { source, config, ca, locals, since } = request;
    let trust = Trust::new(ca.as_deref())?;
    let schema = Schema::of(source.server_type.unwrap_or(ServerType::ActiveDirectory), config, &source.schema);
    let reading = Reading { source, schema: &schema, trust: &trust, locals, since: since.as_ref(), progress };
    Ok(cardinal_directory::read(reading).await?)
}

fn say_some<T>(all: Vec<T>, said: fn(Vec<T>) -> Said) -> Result<()> {
    let mut all = all.into_iter();
    loop {
        let some: Vec<_> = all.by_ref().take(IN_A_LINE).collect();
        if some.is_empty() {
            return Ok(());
        }
        say(&said(some))?;
    }
}

/// Waits while the host has not taken what was said before.
fn say(said: &Said) -> Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(io::BufWriter::with_capacity(256 << 10, &mut stdout), said)?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

fn limit() -> io::Result<()> {
    // A host that is gone needs no answer.
    #[cfg(target_os = "linux")]
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [(Resource::As, MEMORY), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
