//! 100,000 people and 400 groups in an OpenLDAP: reading them all page by page and doing nothing with them, which is the floor,
//! beside syncs of a host; and groups inside groups, closed in memory.

use std::{
    fmt::Write as _,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cardinal_directory::graph::{Direct, close};
use cardinal_tests::{
    directory::{CARDS, Company, OpenLdap, ldif},
    host::Host,
};
use serde_json::{Value, json};

use crate::{
    field::Field,
    memory::most_resident,
    table::{Table, percentile},
};

const COMPANY: Company = Company { people: 100_000, groups: 400, members: 250, depth: 1 };
/// How a sync finds people with the preset for OpenLDAP, and what it reads of each.
const PEOPLE: &str = "(&(|(objectClass=inetOrgPerson)(objectClass=posixAccount))(uid=*))";
const OF_PEOPLE: [&str; 8] =
    ["uid", "cn", "mail", "departmentNumber", "l", "homeDirectory", "employeeNumber", "entryUUID"];
/// The same of groups.
const GROUPS: &str = "(|(objectClass=groupOfNames)(objectClass=groupOfMembers))";
const OF_GROUPS: [&str; 3] = ["cn", "member", "entryUUID"];
/// Entries a page.
const PAGE: i32 = 1_000;
/// How often it is asked how a sync is.
const LOOK: Duration = Duration::from_millis(10);
/// Between a verdict and the next tap.
const BETWEEN_TAPS: Duration = Duration::from_millis(20);
/// How long taps are measured with nothing else going on.
const ALONE: Duration = Duration::from_secs(3);
/// Groups inside groups: how many, and how deep.
const NESTED: [usize; 3] = [1_000, 3_000, 10_000];
const DEPTH: usize = 10;
/// Own members of each.
const OWN: usize = 50;

pub(crate) async fn run(rounds: usize) -> Result<()> {
    let begun = Instant::now();
    let directory = OpenLdap::start(&COMPANY.entries()).await;
    println!(
        "{} people, {} groups of {}; OpenLDAP took them in within {:.1} s",
        COMPANY.people,
        COMPANY.groups,
        COMPANY.members,
        begun.elapsed().as_secs_f64()
    );
    let mut table = Table::new("raw read", "sync");
    let mut most = 0.0_f64;
    for round in 0..rounds {
        let host = synced_host(&directory).await?;
        let floor = read(&directory).await?;
        row(&mut table, &host, "first import", floor, (COMPANY.people, 0)).await?;
        let floor = read(&directory).await?;
        row(&mut table, &host, "nothing changed", floor, (0, 0)).await?;
        directory.change(&one_percent(round)).await;
        let floor = read(&directory).await?;
        row(&mut table, &host, "1 % changed", floor, (0, COMPANY.people / 100)).await?;
        most = most.max(most_resident(&host.process_id().to_string()));
    }
    table.print();
    println!("the most memory that the host had meanwhile: {:.0} MiB RSS", most / f64::from(1 << 20));
    println!();
    beside(&directory).await?;
    println!();
    nested(rounds);
    Ok(())
}

/// One person taps again and again while everybody is imported, and while a few are changed.
async fn beside(directory: &OpenLdap) -> Result<()> {
    let host = synced_host(directory).await?;
    let mut field = Field::new(1)?;
    let device = "[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[device]]\nname = \"lobby\"\nprinter = \"east\"\n";
    host.apply(&format!("[[user]]\nname = \"ada\"\ncard = \"4711\"\n{device}{}", field.readers("lobby"))).await;
    field.connected().await?;
    let alone = taps(&mut field, tokio::time::sleep(ALONE)).await?;
    let importing = taps(&mut field, synced(&host)).await?;
    directory.change(&one_percent(usize::MAX)).await;
    let changing = taps(&mut field, synced(&host)).await?;
    for (what, took) in
        [("with nothing else", alone), ("beside a first import", importing), ("where 1 % changed", changing)]
    {
        println!(
            "taps of one reader {what:22} {:>4} taps, median {:>5.1} ms, 99th percentile {:>6.1} ms, slowest {:>6.1} ms",
            took.len(),
            percentile(&took, 0.5).unwrap_or_default(),
            percentile(&took, 0.99).unwrap_or_default(),
            percentile(&took, 1.0).unwrap_or_default(),
        );
    }
    Ok(())
}

/// Shows a card, waits for its verdict, and shows it again soon after, until something has ended; milliseconds of each.
async fn taps<T>(field: &mut Field, until: impl Future<Output = T>) -> Result<Vec<f64>> {
    let mut until = pin!(until);
    let mut took = Vec::new();
    loop {
        field.shows(0, "4711").await?;
        took.push(field.verdict().await?.as_secs_f64() * 1e3);
        if tokio::time::timeout(BETWEEN_TAPS, &mut until).await.is_ok() {
            return Ok(took);
        }
    }
}

/// Everything, read over TLS with ldap3, and forgotten at once: how many seconds that takes.
async fn read(directory: &OpenLdap) -> Result<f64> {
    let begun = Instant::now();
    let (mut people, mut groups) = (0, 0);
    let access = directory.ldaps();
    access.each(OpenLdap::BASE, PEOPLE, &OF_PEOPLE, PAGE, |_| people += 1).await?;
    access.each(OpenLdap::BASE, GROUPS, &OF_GROUPS, PAGE, |_| groups += 1).await?;
    ensure!((people, groups) == (COMPANY.people, COMPANY.groups), "read {people} people, {groups} groups");
    Ok(begun.elapsed().as_secs_f64())
}

/// A host that has the directory as its source, and nobody yet.
async fn synced_host(directory: &OpenLdap) -> Result<Host> {
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.set("CARDINAL_DIRECTORY__CA", &directory.authority().display().to_string());
    host.serve().await;
    host.apply(&(CARDS.to_owned() + &directory.source(""))).await;
    Ok(host)
}

/// A sync beside the floor.
async fn row(
    table: &mut Table,
    host: &Host,
    what: &'static str,
    floor: f64,
    (added, updated): (usize, usize),
) -> Result<()> {
    let begun = Instant::now();
    let view = synced(host).await;
    let took = begun.elapsed().as_secs_f64();
    let counts = view.pointer("/told/counts").context("a sync without counts")?;
    let is = |key: &str, wanted: Value| view.get(key).or(counts.get(key)) == Some(&wanted);
    let done = is("outcome", json!("applied")) || is("outcome", json!("nothing"));
    ensure!(done && is("added", json!(added)) && is("updated", json!(updated)), "{view}");
    table.add(what, "s", Some(floor), took);
    if added + updated == 0 {
        let reading = view.pointer("/told/sources/0/took_ms").and_then(Value::as_f64).unwrap_or_default();
        table.add("of that, reading", "s", Some(floor), reading / 1e3);
    }
    Ok(())
}

/// A sync from its beginning to its end, as the host tells of it.
async fn synced(host: &Host) -> Value {
    let _: Value = host.api().post("sync", &json!({ "kind": "now", "yes": true })).await;
    loop {
        let view: Value = host.api().get("sync/current").await;
        if view.get("ended").is_some_and(|ended| !ended.is_null()) {
            return view;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every hundredth person has another name for people.
fn one_percent(round: usize) -> String {
    (0..COMPANY.people).step_by(100).fold(String::new(), |mut text, number| {
        let dn = format!("uid=u{number},{}", OpenLdap::PEOPLE);
        let _ = write!(text, "{}", ldif::replace(&dn, "cn", &[&format!("Person {number} of round {round}")]));
        text
    })
}

/// Groups inside groups, by their number.
fn nested(rounds: usize) {
    println!("groups inside groups, {DEPTH} deep, {OWN} members of its own each: who is in which, in memory");
    for groups in NESTED {
        let company: Vec<_> = (0..groups)
            .map(|number| {
                let people = (0..OWN).map(|nth| u32::try_from((number * OWN + nth) % COMPANY.people).unwrap());
                let inner = (number % DEPTH > 0).then(|| u32::try_from(number - 1).unwrap());
                Direct { people: people.collect(), groups: inner.into_iter().collect() }
            })
            .collect();
        let mut took: Vec<_> = (0..rounds)
            .map(|_| {
                let begun = Instant::now();
                let closed = close(&company);
                (begun.elapsed().as_secs_f64() * 1e3, closed.iter().map(|members| members.len()).sum::<usize>())
            })
            .collect();
        took.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((ms, memberships)) = took.get(rounds / 2) {
            let each = ms * 1e6 / (*memberships as f64);
            println!("{groups:>7} groups {memberships:>9} memberships {ms:>9.2} ms {each:>9.1} ns each");
        }
    }
}
