//! Taps over a real SQLite store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use cardinal_desk::Desk;
use cardinal_domain::{
    driver::{Bits, CardRead, VerdictCode},
    job::{Job, JobState, NewJob},
    job_life::{self, JobInput},
    names::{QueueName, ReaderName, TraceId},
    plan::plan,
    site::{Device, Site},
    strict_toml,
};
use cardinal_store::{Durability, EventFilter, Store};

const SITE: &str = r#"
    config = { "ext-device.card-no-regex" = "^0*([0-9]+)$" }
    user = [{ name = "ada", card = "471100", second_card = "815" }]
    printer = [{ name = "east", uri = "folder:./out" }]
    queue = [{ name = "find-me" }]
    device = [{ name = "d", printer = "east" }]
    reader = [{ name = "r", driver = "cardinal/generic", mode = "generic", address = "127.0.0.1:1", device = "d" }]
"#;

async fn store(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(&folder.path().join("cardinal.db"), Durability::Process).await.unwrap();
    let site: Site = strict_toml::parse(SITE).unwrap();
    store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
    store
}

async fn held(store: &Store, owner: &str) -> Job {
    let new = NewJob {
        queue: QueueName::new("find-me").unwrap(),
        owner: owner.to_owned(),
        signed_in: None,
        name: "letter".to_owned(),
        format: "application/pdf".to_owned(),
        options: BTreeMap::new(),
    };
    let job = store.announce_job(new).await.unwrap();
    let arrived = JobInput::Arrived { bytes: 3, sha256: "00".to_owned() };
    store.change_job(job.id, |job| job_life::step(job, TraceId::new(), arrived)).await.unwrap().unwrap().unwrap()
}

fn the_device(store: &Store) -> Device {
    store.setup().devices.values().next().unwrap().clone()
}

fn read(number: &str) -> CardRead {
    CardRead { swipe: 1, number: Some(number.to_owned()), bits: None, technology: None, port: 0, facts: Vec::new() }
}

#[tokio::test]
async fn a_tap_releases_and_leaves_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let (first, second, _) = (held(&store, "Ada").await, held(&store, "ada").await, held(&store, "eve").await);
    let device = the_device(&store);
    let desk = Desk::new(store.clone());
    let reader = ReaderName::new("r").unwrap();
    let trace = TraceId::new();

    let outcome = desk.tap(trace, &reader, &device, &read("000471100")).await.unwrap();
    assert_eq!((outcome.code, outcome.message.as_str()), (VerdictCode::Released, "2 jobs released"));
    assert_eq!(outcome.released.iter().map(|job| job.number).collect::<Vec<_>>(), [first.number, second.number]);
    assert_eq!(store.job(first.id).await.unwrap().unwrap().state, JobState::Releasing);

    let filter = EventFilter { trace: Some(trace), limit: 100, ..EventFilter::default() };
    let kinds: Vec<_> = store.events(&filter).await.unwrap().iter().map(|event| event.body.kind.name()).collect();
    assert_eq!(kinds, ["card.read", "card.matched", "verdict.given", "job.releasing", "job.releasing"]);

    // The second card does the same, and finds nothing left.
    let outcome = desk.tap(TraceId::new(), &reader, &device, &read("815")).await.unwrap();
    assert_eq!(outcome.code, VerdictCode::NothingHeld);
}

#[tokio::test]
async fn two_taps_at_once_release_a_job_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    held(&store, "ada").await;
    let device = the_device(&store);
    let desk = Desk::new(store);
    let reader = ReaderName::new("r").unwrap();
    let number = read("471100");
    let (one, two) = tokio::join!(
        desk.tap(TraceId::new(), &reader, &device, &number),
        desk.tap(TraceId::new(), &reader, &device, &number)
    );
    assert_eq!(one.unwrap().released.len() + two.unwrap().released.len(), 1);
}

#[tokio::test]
async fn a_device_has_its_own_rules_and_says_which_step_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let desk = Desk::new(store.clone());
    let reader = ReaderName::new("r").unwrap();
    let device = Device {
        card_no_regex: Some(String::new()),
        card_no_converter: Some("fields(2,8,0,10,16,4)".to_owned()),
        ..the_device(&store)
    };
    // 26 bits: parity, facility 47, number 1100, parity.
    let bits = Bits { data: (47_u32 << 23 | 1100 << 7).to_be_bytes().to_vec(), length: 26 };
    let raw = CardRead { number: None, bits: Some(bits), ..read("") };
    let outcome = desk.tap(TraceId::new(), &reader, &device, &raw).await.unwrap();
    assert_eq!(outcome.code, VerdictCode::NothingHeld, "it is Ada's 471100");
    // What the reader says beside its bits does not matter where the chain asks for bits.
    let both = CardRead { number: Some("0815".to_owned()), ..raw };
    let outcome = desk.tap(TraceId::new(), &reader, &device, &both).await.unwrap();
    assert_eq!(outcome.code, VerdictCode::NothingHeld);
    // The site's own rules still hold for a device that says GLOBAL.
    let global = Device { card_no_regex: Some("GLOBAL".to_owned()), card_no_converter: None, ..device.clone() };
    let outcome = desk.tap(TraceId::new(), &reader, &global, &read("0000815")).await.unwrap();
    assert_eq!(outcome.code, VerdictCode::NothingHeld);

    let trace = TraceId::new();
    let outcome = desk.tap(trace, &reader, &device, &read("no-number")).await.unwrap();
    assert_eq!(outcome.code, VerdictCode::UnknownCard);
    let filter = EventFilter { trace: Some(trace), limit: 100, ..EventFilter::default() };
    let events = store.events(&filter).await.unwrap();
    let unreadable = events.iter().find(|event| event.body.kind.name() == "card.unreadable").unwrap();
    assert_eq!(unreadable.body.facts.get("step").map(String::as_str), Some("fields(2,8,0,10,16,4)"));
    assert!(unreadable.body.message.contains("step 1, fields(2,8,0,10,16,4): 'n' is no hexadecimal digit"));
    assert!(events.iter().all(|event| !event.body.message.contains("no-number")));
}
