//! The main job: a person prints, the job is held, the person shows a card, the paper comes out.

use std::collections::BTreeSet;

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_simulators::generic::Command;
use cardinal_tests::{
    cups::Cups,
    document,
    host::Host,
    ipp_client,
    ipp_printer::IppPrinter,
    ipptool, program,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait::LIMIT,
};

/// A site as an administrator writes it first. Only addresses are changed below.
const FIRST_SITE: &str = r#"
[[user]]
name = "ada"
full_name = "Ada Lovelace"
card = "4711"
second_card = "EMP123"
[[printer]]
name = "east"
uri = "ipp://127.0.0.1:28701/ipp/print"      # or "folder:./delivered"
[[queue]]
name = "find-me"
[[device]]
name = "floor-2-east"
printer = "east"
on_card = "release-all"                       # later: release-one, unlock, choose
[[reader]]
name = "floor-2-east"
driver = "cardinal/generic"
mode = "generic"
address = "127.0.0.1:7778"
device = "floor-2-east"
[reader.settings]
keepalive_seconds = 30
"#;

#[tokio::test]
async fn what_lp_prints_comes_out_of_a_real_printer_when_its_owner_shows_the_card() {
    let (host, printer, cups, terminal) = tokio::join!(Host::start(), IppPrinter::start(), Cups::start(), listening());
    let site = FIRST_SITE
        .replace("ipp://127.0.0.1:28701/ipp/print", &printer.uri())
        .replace("127.0.0.1:7778", &terminal.address().to_string());
    host.apply(&site).await;
    terminal.is_connected().await;

    // A light for the person: set by hand while the host runs, which makes this reader's connection anew.
    host.cli("reader set floor-2-east settings.on_released=b settings.on_nothing_held=e").await.ok();
    terminal.was_connected(2).await;

    cups.add_queue("find-me", &host.queue("find-me")).await;
    cups.lp("find-me", "ada", &program::in_workspace("examples/hello.pdf")).await;
    let held = host.api().event(EventKind::JobHeld).await;
    let job = host.api().only_job().await;
    assert_eq!((job.state, job.owner.as_str()), (JobState::Held, "ada"));
    assert_eq!(job.reason, "waits for its owner's card");
    assert!(printer.came_out().is_empty(), "nothing is printed before the card is shown");

    terminal.shows("4711").await;
    let delivered = host.api().event(EventKind::JobDelivered).await;
    assert_eq!(document::out(&printer.out(), 1).await, [document::hello()], "byte for byte");
    terminal.wait_for(LIMIT, |record| record.count(Command::Beep) == 1).await.unwrap();
    assert_eq!(terminal.record().count(Command::Error), 0);

    // One trace tells the whole swipe; the job had come by another way, and that has its own.
    assert_ne!(held.body.trace, delivered.body.trace);
    let events = host.api().events().await;
    let story: Vec<_> = events.iter().filter(|event| event.body.trace == delivered.body.trace).collect();
    let kinds: Vec<_> = story.iter().map(|event| event.body.kind.name()).collect();
    let expected = ["card.read", "card.matched", "verdict.given", "job.releasing", "job.sending", "job.printing"];
    assert_eq!(
        kinds.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from_iter([&expected[..], &["job.delivered"]].concat())
    );
    assert_eq!(kinds.last(), Some(&"job.delivered"));
    assert!(story.iter().skip(1).all(|event| event.body.user.as_ref().is_some_and(|user| user.as_str() == "ada")));
    // The command line tells the same story.
    let listed: Vec<serde_json::Value> =
        host.cli(&format!("event list --json --trace {}", delivered.body.trace)).await.json();
    assert_eq!(listed.len(), story.len());

    // Nothing is left to print, and the terminal says so.
    terminal.shows("4711").await;
    terminal.wait_for(LIMIT, |record| record.count(Command::Error) == 1).await.unwrap();
    assert_eq!(printer.came_out().len(), 1);
}

#[tokio::test]
async fn a_second_card_releases_too_and_everybody_gets_their_own() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let eve = "\n[[user]]\nname = \"eve\"\ncard = \"99887766\"\n";
    host.apply(&(folder_site() + eve + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;

    // Two of Ada's, by two clients; one of Eve's; one of nobody known.
    let document = host.folder().join("letter.pdf");
    std::fs::write(&document, document::arbitrary(300_000, 1)).unwrap();
    ipptool::print(&host.queue("find-me"), "ada", &document).await.ok();
    ipp_client::print(&host.queue("find-me"), "Ada", &document::arbitrary(1_000, 2)).await;
    let hers = ipp_client::print(&host.queue("find-me"), "eve", &document::arbitrary(1_000, 3)).await;
    let nobodys = ipp_client::print(&host.queue("find-me"), "mallory", &document::hello()).await;

    let out = host.folder().join("delivered");
    terminal.shows_and_hears("EMP123", "[released]").await;
    let mut documents = document::out(&out, 2).await;
    documents.sort_by_key(Vec::len);
    assert_eq!(documents, [document::arbitrary(1_000, 2), document::arbitrary(300_000, 1)]);
    terminal.shows_and_hears("4711", "[nothing]").await;

    let job = host.api().job(nobodys).await;
    assert_eq!((job.state, job.user, job.reason.as_str()), (JobState::Held, None, "no user is named \"mallory\""));
    // An operator gives it away; Eve's waits for Eve.
    host.cli(&format!("job release {nobodys} --printer east")).await.ok();
    assert!(document::out(&out, 3).await.contains(&document::hello()));
    assert_eq!(host.api().job(hers).await.state, JobState::Held);
    terminal.shows_and_hears("99887766", "[released]").await;
    document::out(&out, 4).await;
}

#[tokio::test]
async fn an_unknown_card_is_told_at_the_reader_and_its_number_stands_nowhere() {
    let terminal = listening().await;
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "debug");
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;

    // What stands before `=` is the number.
    terminal.shows_and_hears("5235092385=8", "[unknown]").await;
    terminal.shows_and_hears("EMP123", "[nothing]").await;
    // A line that cannot be a card number is no reason to show it either.
    terminal.shows_and_hears("91-82-73-64", "[unknown]").await;

    let event = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(event.body.facts.get("card").map(String::as_str), Some("***85"));
    assert!(event.body.message.contains("***85"), "{}", event.body.message);
    host.api().event(EventKind::CardUnreadable).await;

    let events = host.cli("event list --json --limit 10000").await.ok();
    let told = host.cli("event list --limit 10000").await.ok();
    for number in ["5235092385", "523509", "EMP123", "91-82"] {
        for (place, text) in [("the events", &events), ("the list of events", &told), ("the log", &host.log())] {
            assert!(!text.contains(number), "{number} stands in {place}");
        }
    }
}
