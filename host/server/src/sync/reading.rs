//! Reading a source in a process of its own: what a directory sends is taken apart by code that cannot bound everything (see
//! `cardinal_directory::sources::ldap`), and neither its memory nor its stack may be this host's.
//!
//! The child gets its request on standard input, since passwords stand in no command line, and tells how far it is and what it
//! read on standard output, a line of JSON each. It ends at its limit of memory, or when its standard input does: then nobody
//! waits any more, or the host is gone. So it can end what it started itself.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::lock;
use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_directory::{Figures, Group, Handover, Locals, Mark, Person, Progress, Reading, Schema, Snapshot, Trust};
use cardinal_domain::site::{ServerType, Source, SourceKind};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    sync::oneshot,
};

/// The name of the command that is the child.
pub const COMMAND: &str = "read-source";
/// The address space of a child that reads a server, in bytes. 100,000 users take some 150 MB.
const MEMORY: u64 = 4 << 30;
/// How long a child that nobody waits for may take to end what it started.
const GRACE: Duration = Duration::from_secs(2);
/// How much a child may say, in bytes: a million users.
const LONGEST: u64 = 1 << 30;
/// How much of its complaints is kept, in bytes.
const COMPLAINTS: u64 = 4 << 10;
/// How much of what a child says waits to be heard, in bytes.
#[cfg(target_os = "linux")]
const PIPE: usize = 1 << 20;
/// How often a child tells how far it is.
const TELL: Duration = Duration::from_millis(200);
/// What it needs of the environment: where programs and libraries lie, Kerberos, and the system's authorities.
const KEPT: [&str; 8] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "KRB5_CLIENT_KTNAME",
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
    /// Some users of the snapshot, also while others are being read.
    People(Vec<Person>),
    /// A group of it. In a line of its own: each may have everybody for its members.
    Group(Group),
    /// The snapshot, of which so many users and groups were said before.
    Read {
        counts: (usize, usize),
        rest: Box<Snapshot>,
    },
    Failed(String),
}

/// How many users stand in a line.
const IN_A_LINE: usize = 200;

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
        // Whoever interrupts the host at a terminal does not interrupt it: it ends in order, with what it started.
        .process_group(0)
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
    // Then neither waits for the other at every line. Not everywhere may a pipe be as long.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
    // Beside the answer, so that neither pipe is full; whoever has the answer does not wait for it.
    let complaint = tokio::spawn(async move {
        let mut complaint = String::new();
        let _ = stderr.take(COMPLAINTS).read_to_string(&mut complaint).await;
        complaint
    });
    match answer(stdout.take(LONGEST), progress).await? {
        Some(read) => read.map_err(|why| anyhow!(why)),
        None => {
            drop(stdin);
            let complaint = complaint.await.unwrap_or_default();
            let status = child.wait().await.context("a process that reads a source cannot be waited for")?;
            let last = complaint.lines().last().unwrap_or_default();
            Err(anyhow!(
                "source {name}: reading broke off ({status}) {last}; a server that sends what is no LDAP, or far too much, does \
                 that; nothing was taken from it"
            ))
        }
    }
}

/// The snapshot that a child says, or why it has none. None: it ended before it could say that.
async fn answer(
    stdout: impl tokio::io::AsyncRead + Unpin,
    progress: &Progress,
) -> Result<Option<Result<Snapshot, String>>> {
    let mut lines = BufReader::with_capacity(256 << 10, stdout);
    let (mut line, mut people, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line).await?;
        // Half a line is the end of a child that was ended.
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        match serde_json::from_slice::<Said>(&line)? {
            Said::Reading(figures) => progress.tell(|told| *told = figures),
            Said::People(some) => people.extend(some),
            Said::Group(group) => groups.push(group),
            // All of them or none.
            Said::Read { counts, rest } => {
                let is_whole = counts == (people.len(), groups.len());
                return Ok(is_whole.then_some(Ok(Snapshot { people, groups, ..*rest })));
            }
            Said::Failed(why) => return Ok(Some(Err(why))),
        }
    }
}

/// The child: reads what the first line of standard input asks for. The calling process is limited for good.
///
/// # Errors
/// Not asked by a host, or nobody takes the answer.
pub async fn child() -> Result<()> {
    let mut asked = String::new();
    io::stdin().read_line(&mut asked)?;
    let request: Request = serde_json::from_str(&asked).context("this command is for Cardinal's own use")?;
    drop(asked);
    limit(request.source.kind).context("cannot limit this process")?;
    let deserted = deserted();
    tokio::pin!(deserted);
    let (progress, mut figures) = Progress::new();
    let people = Arc::new(Mutex::new(Telling::default()));
    let handed_over = Arc::clone(&people);
    let handover = Handover::new(move |person| lock(&handed_over).tell(person));
    let reading = reading(&request, progress, handover);
    tokio::pin!(reading);
    let end = loop {
        tokio::select! {
            end = &mut reading => break end,
            _ = &mut deserted => bail!("nobody waits any more"),
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
    let mut people = std::mem::take(&mut *lock(&people));
    std::mem::take(&mut snapshot.people).into_iter().for_each(|person| people.tell(person));
    let people = people.end()?;
    let groups = std::mem::take(&mut snapshot.groups);
    let counts = (people, groups.len());
    for group in groups {
        say(&Said::Group(group))?;
    }
    say(&Said::Read { counts, rest: Box::new(snapshot) })
}

/// Tells of users, some at a time.
#[derive(Default)]
struct Telling {
    some: Vec<Person>,
    told: usize,
    /// Nobody took some of them: the rest is of no use.
    failed: Option<anyhow::Error>,
}

impl Telling {
    fn tell(&mut self, person: Person) {
        self.some.push(person);
        if self.some.len() >= IN_A_LINE {
            self.tell_some();
        }
    }

    fn tell_some(&mut self) {
        self.told += self.some.len();
        let said = say(&Said::People(std::mem::take(&mut self.some)));
        self.failed = self.failed.take().or(said.err());
    }

    /// How many there were.
    fn end(mut self) -> Result<usize> {
        self.tell_some();
        self.failed.map_or(Ok(self.told), Err)
    }
}

async fn reading(request: &Request, progress: Progress, handover: Handover) -> Result<Snapshot> {
    let Request { source, config, ca, locals, since } = request;
    let trust = Trust::new(ca.as_deref())?;
    let schema = Schema::of(source.server_type.unwrap_or(ServerType::ActiveDirectory), config, &source.schema);
    let since = since.as_ref();
    let reading = Reading { source, schema: &schema, trust: &trust, locals, since, progress, handover: Some(handover) };
    Ok(cardinal_directory::read(reading).await?)
}

/// Waits while the host has not taken what was said before.
fn say(said: &Said) -> Result<()> {
    // As long as a line of users is.
    let mut line = Vec::with_capacity(64 << 10);
    serde_json::to_writer(&mut line, said)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}

/// Programs have no bounds of ours, since those would be theirs, too; what they say is bounded by its length.
fn limit(kind: SourceKind) -> io::Result<()> {
    let address_space = (kind != SourceKind::Program).then_some((Resource::As, MEMORY));
    for (resource, most) in address_space.into_iter().chain([(Resource::Core, 0)]) {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Tells when standard input has ended. The process ends soon after that, whatever it is about.
fn deserted() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut more = [0];
        loop {
            match io::stdin().read(&mut more) {
                Ok(read) if read > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let _ = tell.send(());
        // What takes a message apart may never be done with it.
        std::thread::sleep(GRACE);
        std::process::exit(1);
    });
    told
}

#[cfg(test)]
mod tests {
    use cardinal_directory::Scope;

    use super::*;

    fn line(said: &Said) -> Vec<u8> {
        let mut line = serde_json::to_vec(said).unwrap();
        line.push(b'\n');
        line
    }

    fn people(names: &[&str]) -> Vec<u8> {
        let person = |name: &&str| Person { key: (*name).into(), name: (*name).into(), ..Person::default() };
        line(&Said::People(names.iter().map(person).collect()))
    }

    fn read(people: usize, groups: usize) -> Vec<u8> {
        let rest = Snapshot {
            source: "school".parse().unwrap(),
            scope: Scope::Whole,
            people: Vec::new(),
            groups: Vec::new(),
            totals: Vec::new(),
            remarks: Vec::new(),
            figures: Figures::default(),
            mark: None,
        };
        line(&Said::Read { counts: (people, groups), rest: Box::new(rest) })
    }

    async fn heard(said: &[Vec<u8>]) -> Result<Option<Result<Snapshot, String>>> {
        answer(said.concat().as_slice(), &Progress::new().0).await
    }

    #[tokio::test]
    async fn everything_that_was_said_is_the_snapshot() {
        let group = line(&Said::Group(Group { name: "staff".into(), ..Group::default() }));
        let snapshot = heard(&[people(&["ada", "bob"]), people(&["eve"]), group, read(3, 1)]).await;
        let snapshot = snapshot.unwrap().unwrap().unwrap();
        let names: Vec<_> = snapshot.people.iter().map(|person| person.name.as_str()).collect();
        assert_eq!((names.as_slice(), snapshot.groups.len()), (["ada", "bob", "eve"].as_slice(), 1));
    }

    #[tokio::test]
    async fn a_child_that_ended_early_has_no_snapshot_wherever_it_ended() {
        let whole = [people(&["ada", "bob"]), people(&["eve"]), read(3, 0)].concat();
        for end in 0..whole.len() {
            let heard = heard(&[whole.get(..end).unwrap().to_vec()]).await;
            assert!(matches!(heard, Ok(None)), "cut after {end} of {} bytes: {heard:?}", whole.len());
        }
    }

    #[tokio::test]
    async fn counts_that_do_not_agree_are_no_snapshot() {
        for (all, groups) in [(0, 0), (2, 0), (4, 0), (3, 1)] {
            let heard = heard(&[people(&["ada", "bob", "eve"]), read(all, groups)]).await;
            assert!(matches!(heard, Ok(None)), "{all} {groups}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn an_error_is_told_and_rubbish_is_one() {
        let failed = heard(&[people(&["ada"]), line(&Said::Failed("no such base".into()))]).await;
        assert_eq!(failed.unwrap().unwrap().unwrap_err(), "no such base");
        assert!(heard(&[b"{\"people\":7}\n".to_vec()]).await.is_err());
    }
}
