//! The listeners for readers that call over HTTP, as the program opens them.

use std::{fs, net::SocketAddr};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    host::Host,
    port,
    site::{SIGNS, folder_site, reader},
};
use reqwest::{Certificate, Client};
use serde::Deserialize;

/// What a caller shows that has seen no secret. It stands for one: wherever it is found, one would be found as well.
const SHOWN: &str = "Shown-By-A-Stranger-0123456789ab";

/// Where a running host listens for readers.
#[derive(Deserialize)]
struct Listening {
    readers: Option<SocketAddr>,
    readers_plain: Option<SocketAddr>,
}

impl Listening {
    fn of(host: &Host) -> Self {
        serde_json::from_str(&fs::read_to_string(host.folder().join("data/listening.json")).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn nothing_listens_for_readers_that_call_unless_it_is_asked_for() {
    let host = Host::start().await;
    let listening = Listening::of(&host);
    assert_eq!((listening.readers, listening.readers_plain), (None, None));
    // A reader of another kind has nothing to rotate.
    host.apply(&(folder_site() + &reader("r", port::free(), SIGNS))).await;
    let said = host.cli("reader rotate r").await.refused();
    assert!(said.contains("reader r does not call over HTTP"), "{said}");
    let said = host.cli("reader rotate s").await.refused();
    assert!(said.contains("there is no reader \"s\""), "{said}");
    let said = host.cli("reader rotate r --overlap soon").await.refused();
    assert!(said.contains("such as 10m"), "{said}");
    assert!(!host.cli("reader show r").await.ok().contains("warning"));
    assert_eq!(host.api().events_of(EventKind::ReaderRotated).await, []);
}

#[tokio::test]
async fn a_stranger_is_refused_on_both_listeners_and_what_it_shows_is_written_nowhere() {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.set("CARDINAL_READERS__PLAIN_LISTEN", "127.0.0.1:0");
    host.set("CARDINAL_LOG__FILTER", "trace");
    host.serve().await;
    let listening = Listening::of(&host);
    let (tls, plain) = (listening.readers.unwrap(), listening.readers_plain.unwrap());
    let started = host.api().event(EventKind::HostStarted).await.body.message;
    assert!(
        started.contains(&format!(", readers over HTTPS on {tls}, readers over plain HTTP on {plain}")),
        "{started}"
    );

    let certificate = Certificate::from_pem(&fs::read(host.certificate()).unwrap()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
    for base in [format!("https://{tls}"), format!("http://{plain}")] {
        let response = client.get(format!("{base}/r/{SHOWN}/swipe?card=4711")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 404);
        assert_eq!(response.text().await.unwrap(), "not found\n");
        // The API and the queues are elsewhere.
        for path in ["/api/v1/site", "/queues/find-me", "/"] {
            assert_eq!(client.get(format!("{base}{path}")).send().await.unwrap().status().as_u16(), 404, "{path}");
        }
    }
    let refused = host.api().event(EventKind::CallRefused).await;
    assert_eq!(refused.body.facts["address"], "127.0.0.1");
    assert_eq!(host.api().events_of(EventKind::CallRefused).await.len(), 1, "once a minute");
    assert!(host.terminate().await.success());
    let log = host.log();
    assert!(log.contains("call.refused"), "the log tells of it");
    assert!(!log.contains(SHOWN) && !log.contains("card=4711"), "the log has what was shown");
}
