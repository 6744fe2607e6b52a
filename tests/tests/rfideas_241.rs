//! A simulated RF IDeas 241 in client mode and the host: configured by the driver, it calls with each card.

use std::{fs, net::Ipv4Addr};

use cardinal_domain::{driver::Health, event::EventKind};
use cardinal_simulators::{
    generic::Tls,
    rfideas_241::{RfIdeas241, Settings, Trouble},
};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client, program,
    site::{folder_site, of_driver},
    wait::LIMIT,
};

/// The host and a reader that it has configured.
async fn configured(settings: Settings) -> (Host, RfIdeas241) {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.serve().await;
    let driver = program::component("cardinal-rfideas-241");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let certificate = fs::read(host.certificate()).unwrap();
    let settings = Settings { tls: Some(Tls::trusting(&certificate).unwrap()), ..settings };
    // Port 80, which is the mode's, takes root; so it has another, as one behind a router has.
    let reader = RfIdeas241::listen((Ipv4Addr::LOCALHOST, 0).into(), settings).await.unwrap();
    let settings = "check_seconds = 5\nretry_seconds = 1";
    let spec = of_driver("cardinal/rfideas-241", "rfideas-241-client", "r", reader.address(), settings);
    host.apply(&(folder_site() + &spec)).await;
    (host, reader)
}

#[tokio::test]
async fn a_reader_is_configured_calls_with_each_card_and_is_repaired() {
    let (host, reader) = configured(Settings::default()).await;
    reader.configured(LIMIT).await.unwrap();
    let shown = host.api().reader_until("r", "online", |reader| reader.health == Some(Health::Online)).await;
    assert_eq!(shown.facts.get("firmware").map(String::as_str), Some("2.04"), "{shown:?}");
    assert_eq!(shown.warnings, Vec::<String>::new(), "over HTTPS there is nothing to warn of");

    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let answer = reader.tap("4711").await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [document::hello()]);
    assert_eq!(reader.tap("99").await.unwrap().status, 403);
    host.api().event(EventKind::CardUnknown).await;

    reader.drift();
    reader.configured(LIMIT).await.unwrap();
    host.api().event_after(0, EventKind::ReaderLog, |event| event.body.message.contains("configuration")).await;
    // Another secret is told to the reader, too.
    host.cli("reader rotate r --overlap 0").await.ok();
    let told = reader.configuration();
    cardinal_tests::wait::until("the new address", async || Some(()).filter(|()| reader.configuration() != told)).await;
    reader.configured(LIMIT).await.unwrap();
    assert_eq!(reader.tap("99").await.unwrap().status, 403);

    let (events, log) = (host.cli("event list --json --limit 10000").await.ok(), host.log());
    assert!(!events.contains("/r/") && !log.contains("/r/"), "no callback address");
}

#[tokio::test]
async fn trouble_at_the_reader_is_shown_at_it_and_at_its_device_until_it_is_over() {
    let settings = Settings { firmware: "2.03".to_owned(), ..Settings::default() };
    let (host, reader) = configured(settings).await;
    let old = host.api().reader_until("r", "an error", |reader| reader.health == Some(Health::Error)).await;
    assert!(old.reason.contains("2.03") && old.reason.contains("2.04"), "{}", old.reason);
    assert!(host.cli("device list").await.ok().contains("2.03"));
    for trouble in [Trouble::LoginPage, Trouble::Status(500), Trouble::Redirect("http://127.0.0.1:1/".to_owned())] {
        reader.set_firmware("2.10");
        reader.misbehave(None);
        host.api().reader_until("r", "online", |reader| reader.health == Some(Health::Online)).await;
        reader.misbehave(Some(trouble));
        let shown = host.api().reader_until("r", "an error", |reader| reader.health == Some(Health::Error)).await;
        assert!(!shown.reason.is_empty());
        // What it cannot be asked does not keep it from calling.
        assert_eq!(reader.tap("99").await.unwrap().status, 403);
    }
}
