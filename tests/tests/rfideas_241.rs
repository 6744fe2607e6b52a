//! A simulated RF IDeas 241 in client mode and the host: configured by the driver, it calls with each card.

use std::{fs, net::Ipv4Addr, time::Duration};

use cardinal_domain::{driver::Health, event::EventKind};
use cardinal_simulators::{
    generic::Tls,
    rfideas_241::{Event, RfIdeas241, Settings, Trouble},
};
use cardinal_tests::{
    api::Reader,
    document,
    host::Host,
    ipp_client, program,
    site::{folder_site, of_driver},
    wait::LIMIT,
};

/// Ada's card, and nobody's: no other text has them in it.
const CARD: &str = "5EC2E7CA4D";
const UNKNOWN: &str = "0DDCA4D0DD";

/// The host and a reader that it has configured.
async fn configured(settings: Settings) -> (Host, RfIdeas241) {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    // A reader that says nothing is given up soon.
    host.set("CARDINAL_FETCHES__WHOLE_MS", "3000");
    host.serve().await;
    let driver = program::component("cardinal-rfideas-241");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let certificate = fs::read(host.certificate()).unwrap();
    let settings = Settings { tls: Some(Tls::trusting(&certificate).unwrap()), ..settings };
    // Port 80, which is the mode's, takes root; so it has another, as one behind a router has.
    let reader = RfIdeas241::listen((Ipv4Addr::LOCALHOST, 0).into(), settings).await.unwrap();
    let settings = "check_seconds = 5\nretry_seconds = 1";
    let spec = of_driver("cardinal/rfideas-241", "rfideas-241-client", "r", reader.address(), settings);
    host.apply(&(folder_site().replace("4711", CARD) + &spec)).await;
    (host, reader)
}

/// The secret in the address that the reader is configured to call.
fn secret(reader: &RfIdeas241) -> String {
    let configuration = reader.configuration();
    let secret = configuration.get("path").strip_prefix("/r/").and_then(|path| path.strip_suffix("/card"));
    let secret = secret.unwrap_or_else(|| panic!("{configuration:?}")).to_owned();
    assert!(secret.len() >= 32, "{secret}");
    secret
}

#[tokio::test]
async fn a_reader_is_configured_calls_with_each_card_and_is_repaired() {
    let (host, reader) = configured(Settings::default()).await;
    reader.configured(LIMIT).await.unwrap();
    let shown = host.api().reader_until("r", "online", |reader| reader.health == Some(Health::Online)).await;
    assert_eq!(shown.facts.get("firmware").map(String::as_str), Some("2.04"), "{shown:?}");
    assert_eq!(shown.warnings, Vec::<String>::new(), "over HTTPS there is nothing to warn of");

    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let answer = reader.tap(CARD).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [document::hello()]);
    assert_eq!(reader.tap(UNKNOWN).await.unwrap().status, 403);
    host.api().event(EventKind::CardUnknown).await;

    reader.drift();
    reader.configured(LIMIT).await.unwrap();
    host.api().event_after(0, EventKind::ReaderLog, |event| event.body.message.contains("configuration")).await;
    // Another secret is told to the reader, too.
    let old = secret(&reader);
    host.cli("reader rotate r --overlap 0").await.ok();
    let told = reader.configuration();
    cardinal_tests::wait::until("the new address", async || Some(()).filter(|()| reader.configuration() != told)).await;
    reader.configured(LIMIT).await.unwrap();
    assert_eq!(reader.tap(UNKNOWN).await.unwrap().status, 403);

    let (events, log) = (host.cli("event list --json --limit 10000").await.ok(), host.log());
    for hidden in [old.as_str(), &secret(&reader), CARD, UNKNOWN] {
        assert!(!events.contains(hidden) && !log.contains(hidden), "{hidden} stands in the events or the log");
    }
}

#[tokio::test]
async fn a_call_repeated_because_its_answer_was_lost_is_no_second_swipe() {
    // Longer than a driver would hold a card for the sake of one that is read twice.
    let settings = Settings { answer_within: Duration::from_secs(4), retries: 5, ..Settings::default() };
    let (host, reader) = configured(settings).await;
    reader.configured(LIMIT).await.unwrap();
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    reader.lose_answers(1);
    let answer = reader.tap(CARD).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "released"));
    assert!(reader.record().events.contains(&Event::AnswerLost));
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [document::hello()]);
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), 1, "one swipe, told twice");
}

#[tokio::test]
async fn trouble_at_the_reader_is_shown_at_it_and_at_its_device_until_it_is_over() {
    let settings = Settings { firmware: "2.03".to_owned(), ..Settings::default() };
    let (host, reader) = configured(settings).await;
    let old = host.api().reader_until("r", "an error", |reader| reader.health == Some(Health::Error)).await;
    assert!(old.reason.contains("2.03") && old.reason.contains("2.04"), "{}", old.reason);
    assert!(host.cli("device list").await.ok().contains("2.03"));
    assert_eq!(reader.record().asked_for("/config"), 0, "it has no client mode to configure: {:?}", reader.record());
    for (trouble, told) in [
        (Trouble::LoginPage, "login page"),
        (Trouble::Status(500), "HTTP 500"),
        // Where it leads nobody listens, which would be told in other words.
        (Trouble::Redirect("http://127.0.0.1:1/".to_owned()), "HTTP 302"),
        (Trouble::Endless, "too long"),
        (Trouble::Silent, "does not answer in time"),
    ] {
        reader.set_firmware("2.10");
        reader.misbehave(None);
        host.api().reader_until("r", "online", |reader| reader.health == Some(Health::Online)).await;
        reader.misbehave(Some(trouble));
        let is_told = |reader: &Reader| reader.health == Some(Health::Error) && reader.reason.contains(told);
        host.api().reader_until("r", told, is_told).await;
        // What it cannot be asked does not keep it from calling.
        assert_eq!(reader.tap(UNKNOWN).await.unwrap().status, 403);
    }
}
