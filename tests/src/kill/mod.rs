//! A host that is killed (`kill -9`) again and again on one data folder, while clients print and people show their cards.
//!
//! The host, the clients, a printer (`ippeveprinter`) are real; two more printers and the terminals are simulators. Half of
//! the kills come right after an event of a job, so that every step of its life is hit, the others at any moment. What
//! happened is written down and judged by [`history::check`] in the end, when everything has been released and is out.

mod client;
pub mod history;
pub mod printer;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use cardinal_domain::{
    event::{Event, EventKind},
    job::JobState,
};
use cardinal_simulators::generic::GenericTerminal;
use rand::{RngExt as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use self::{
    client::Clients,
    history::{History, Life, Print, Submission, Told},
    printer::{KeepingPrinter, sha256},
};
use crate::{
    api::Api,
    document,
    host::Host,
    ipp_printer::IppPrinter,
    site::{SIGNS, reader_at},
    terminal::listening,
    wait,
};

pub use table::Table;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the host is killed.
    pub times: u32,
    /// What all that is left to chance depends on, as far as it can: clocks and schedulers have their part, too.
    pub seed: u64,
    /// `store.url` of the host. None: SQLite in the data folder. A database must be empty.
    pub store_url: Option<String>,
    /// Whether each kill is told on standard error.
    pub tells: bool,
}

/// Who prints, and their cards.
const PEOPLE: [(&str, &str); 4] = [("ada", "1001"), ("bob", "1002"), ("eve", "1003"), ("dan", "1004")];
const USERS: &[&str] = &["ada", "bob", "eve", "dan"];
/// Devices, a reader and a printer each.
const PLACES: [&str; 3] = ["real", "quick", "slow"];
/// Clients that print side by side.
const CLIENTS: u64 = 4;
/// The events right after which the host is killed.
const MOMENTS: [EventKind; 6] = [
    EventKind::JobHeld,
    EventKind::JobReleasing,
    EventKind::JobSending,
    EventKind::JobPrinting,
    EventKind::JobDelivered,
    EventKind::VerdictGiven,
];
/// How long such an event is waited for; then the host is killed anyway.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest life whose end is left to chance, in milliseconds.
const LONGEST_LIFE_MS: u64 = 900;

/// Kills the host as often as asked, and gives all that happened with a table of it. Panics where the host does not come
/// up again, or not everything comes out in the end.
pub async fn run(options: &Options) -> (History, Table) {
    let mut rng = client::rng(options.seed, 0);
    let real = IppPrinter::start().await;
    let quick = KeepingPrinter::start("quick", Duration::from_millis(5), Duration::from_millis(20)).await;
    let slow = KeepingPrinter::start("slow", Duration::from_millis(120), Duration::from_millis(400)).await;
    let mut terminals = BTreeMap::new();
    for place in PLACES {
        terminals.insert(place, Arc::new(listening().await));
    }
    let mut host = Host::init().await;
    for (name, value) in
        [("RELEASE__POLL_FIRST_MS", "20"), ("RELEASE__RETRY_FIRST_MS", "50"), ("RELEASE__RETRY_LONGEST_MS", "200")]
    {
        host.set(&format!("CARDINAL_{name}"), value);
    }
    if let Some(url) = &options.store_url {
        host.set("CARDINAL_STORE__URL", url);
    }
    host.serve().await;
    host.apply(&site(&[&real.uri(), &quick.uri(), &slow.uri()], &terminals)).await;

    let (address, addresses) = watch::channel(Some(host.ipp()));
    let clients = Clients::default();
    let mut tasks: Vec<JoinHandle<()>> = (1..=CLIENTS)
        .map(|which| tokio::spawn(clients.clone().run(client::rng(options.seed, which), USERS, addresses.clone())))
        .collect();
    let taps = Arc::new(Mutex::new(BTreeMap::new()));
    for (which, terminal) in (CLIENTS + 1..).zip(terminals.values()) {
        tasks.push(tokio::spawn(people(client::rng(options.seed, which), Arc::clone(terminal), Arc::clone(&taps))));
    }

    let mut history = History::default();
    let mut table = Table::default();
    for count in 1..=options.times {
        let after = last_seen(&history);
        let api = host.api().clone();
        let stream = Stream::follow(&api, after);
        let moment = moment(&mut rng, &stream).await;
        let sending = clients.sending();
        host.kill().await;
        address.send_replace(None);
        let seen = stream.end().await;
        let taken = taken(&clients);
        host.serve().await;
        let life = found(host.api(), seen, taken).await;
        table.killed(moment, &life, sending);
        history.lives.push(life);
        address.send_replace(Some(host.ipp()));
        if options.tells {
            table.tell(count, options.times);
        }
    }

    // No more is printed; what is there is released and comes out.
    address.send_replace(None);
    drop(address);
    for task in tasks.drain(..tasks.len() - terminals.len()) {
        tokio::time::timeout(wait::LIMIT * 2, task)
            .await
            .expect("a client comes to its end")
            .expect("no client panics");
    }
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    everything_comes_out(&host, &terminals, &taps).await;
    // One more start finds nothing to do.
    host.kill().await;
    host.serve().await;
    history.submissions = clients.submissions();
    history.taps = taps.lock().expect("nobody panicked").clone();
    history.stored = events_after(host.api(), 0).await;
    history.jobs = host.api().jobs().await;
    history.spool = left_in_spool(&host);
    history.prints = [quick.prints(), slow.prints()].concat();
    history.prints.extend(real.came_out().iter().map(|paper| from_real(paper, &history.submissions)));
    table.ended(&history, quick.broken_off() + slow.broken_off());
    (history, table)
}

fn site(printers: &[&str], terminals: &BTreeMap<&str, Arc<GenericTerminal>>) -> String {
    let mut site = String::from("[[queue]]\nname = \"find-me\"\n");
    for (name, card) in PEOPLE {
        site += &format!("[[user]]\nname = \"{name}\"\ncard = \"{card}\"\n");
    }
    for (place, uri) in PLACES.iter().zip(printers) {
        site += &format!(
            "[[printer]]\nname = \"{place}\"\nuri = \"{uri}\"\n[[device]]\nname = \"{place}\"\nprinter = \"{place}\"\n"
        );
    }
    for (place, terminal) in terminals {
        site += &reader_at(place, place, terminal.address(), SIGNS);
    }
    site
}

/// People at one terminal who show their cards, as long as it is connected.
async fn people(mut rng: StdRng, terminal: Arc<GenericTerminal>, taps: Arc<Mutex<BTreeMap<String, usize>>>) {
    loop {
        let (user, card) = PEOPLE.get(rng.random_range(0..PEOPLE.len())).copied().unwrap_or(("ada", "1001"));
        tap(&terminal, user, card, &taps).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(30..300))).await;
    }
}

async fn tap(terminal: &GenericTerminal, user: &str, card: &str, taps: &Mutex<BTreeMap<String, usize>>) {
    if terminal.record().server.is_none() {
        return;
    }
    // Before the first byte: a tap may count although the connection went in the middle.
    *taps.lock().expect("nobody panicked").entry(user.to_owned()).or_default() += 1;
    let _ = terminal.tap(card).await;
}

/// Waits for the moment at which the host is to be killed, and says which it was. None: any moment.
async fn moment(rng: &mut StdRng, stream: &Stream) -> Option<EventKind> {
    let kind = rng.random_range(0..MOMENTS.len() * 2);
    let Some(kind) = MOMENTS.get(kind).copied() else {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..LONGEST_LIFE_MS))).await;
        return None;
    };
    // Not always the first one of a life, or the jobs that are taken up again would be all that is hit.
    let already = stream.count(kind);
    let wanted = already + rng.random_range(1..4);
    let happened = stream.wait(kind, wanted).await;
    // Right after it, or what follows it a little later.
    tokio::time::sleep(Duration::from_micros(rng.random_range(0..4_000))).await;
    happened.then_some(kind)
}

fn taken(clients: &Clients) -> BTreeSet<i32> {
    let number = |told| match told {
        Told::Taken(number) => Some(number),
        Told::Refused(_) | Told::Nothing => None,
    };
    clients.submissions().into_iter().filter_map(|submission| number(submission.told)).collect()
}

fn last_seen(history: &History) -> i64 {
    let events = history.lives.iter().flat_map(|life| life.seen.iter().chain(&life.found));
    events.map(|event| event.seq).max().unwrap_or(0)
}

/// What a start of the host found of the life before.
async fn found(api: &Api, seen: Vec<Event>, taken: BTreeSet<i32>) -> Life {
    let found = match seen.first() {
        Some(first) => events_after(api, first.seq - 1).await,
        None => Vec::new(),
    };
    let after: BTreeMap<i32, JobState> = api.jobs().await.into_iter().map(|job| (job.number, job.state)).collect();
    Life { seen, taken, found, after }
}

/// Every event behind this place.
async fn events_after(api: &Api, mut after: i64) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let some: Vec<Event> = api.get(&format!("event?limit=10000&after={after}")).await;
        let Some(last) = some.last() else { return all };
        after = last.seq;
        all.extend(some);
    }
}

/// People show their cards until nothing is held any more and all has come out.
async fn everything_comes_out(
    host: &Host,
    terminals: &BTreeMap<&str, Arc<GenericTerminal>>,
    taps: &Mutex<BTreeMap<String, usize>>,
) {
    let end = Instant::now() + wait::LIMIT * 6;
    loop {
        let open: Vec<_> = host.api().jobs().await.into_iter().filter(|job| !job.state.is_final()).collect();
        if open.is_empty() {
            return;
        }
        let told =
            || open.iter().map(|job| format!("  {} {} {}", job.number, job.state, job.reason)).collect::<Vec<_>>();
        assert!(Instant::now() < end, "not everything comes out in the end:\n{}", told().join("\n"));
        let owners: BTreeSet<&str> =
            open.iter().filter(|job| job.state == JobState::Held).map(|job| job.owner.as_str()).collect();
        for (place, (user, card)) in terminals.values().cycle().zip(PEOPLE) {
            if owners.contains(user) {
                tap(place, user, card, taps).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What came out of the real printer, which tells no names.
fn from_real(paper: &[u8], submissions: &[Submission]) -> Print {
    let print = |sha256, whole| Print { printer: "real".to_owned(), name: None, sha256, whole };
    let sha256 = sha256(paper);
    if submissions.iter().any(|submission| submission.sha256 == sha256) {
        return print(sha256, true);
    }
    let is_part = |submission: &&Submission| {
        let (bytes, seed) = submission.document;
        paper.len() < bytes && document::arbitrary(paper.len(), seed) == paper
    };
    match submissions.iter().find(is_part) {
        Some(submission) => print(submission.sha256.clone(), false),
        None => print(sha256, true),
    }
}

fn left_in_spool(host: &Host) -> Vec<String> {
    let names = fs::read_dir(host.folder().join("data/spool")).expect("the spool is there").flatten();
    names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "cardinal-spool")
        .collect()
}

/// The events of one life as they are told.
struct Stream {
    seen: watch::Receiver<Vec<Event>>,
    task: JoinHandle<()>,
}

impl Stream {
    fn follow(api: &Api, after: i64) -> Self {
        let (tell, seen) = watch::channel(Vec::new());
        let api = api.clone();
        let task =
            tokio::spawn(async move { api.follow(after, |event| tell.send_modify(|seen| seen.push(event))).await });
        Self { seen, task }
    }

    fn count(&self, kind: EventKind) -> usize {
        self.seen.borrow().iter().filter(|event| event.body.kind == kind).count()
    }

    /// Whether there have been so many of this kind before patience ended.
    async fn wait(&self, kind: EventKind, count: usize) -> bool {
        let mut seen = self.seen.clone();
        let enough = seen.wait_for(|seen| seen.iter().filter(|event| event.body.kind == kind).count() >= count);
        matches!(tokio::time::timeout(PATIENCE, enough).await, Ok(Ok(_)))
    }

    /// All that was told, once the host is gone.
    async fn end(self) -> Vec<Event> {
        let _ = self.task.await;
        self.seen.borrow().clone()
    }
}
