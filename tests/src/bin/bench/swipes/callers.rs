//! SpringCore readers that call over HTTPS: each from a loopback address of its own, with connections of its own.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Certificate, Client, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// Readers that call.
pub(super) const READERS: usize = 200;
/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether a reader calls again over the connection that it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    Kept,
    /// A TLS handshake each time.
    Fresh,
}

/// All of them.
pub(super) struct Callers {
    readers: Vec<(Client, String)>,
    /// Their uptime is counted from here: never the same twice for one card, or it would be the same swipe.
    begun: Instant,
}

fn address(reader: usize) -> Ipv4Addr {
    let byte = |value: usize| u8::try_from(value).unwrap();
    Ipv4Addr::new(127, 40, byte(reader / 250), byte(1 + reader % 250))
}

fn card(reader: usize) -> String {
    format!("04{reader:012X}")
}

/// A site with these readers at the device `lobby`, and a person for each.
pub(super) fn site() -> String {
    let mut site = String::from(
        "[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[queue]]\nname = \"find-me\"\n[[device]]\nname = \"lobby\"\nprinter = \"east\"\n",
    );
    for reader in 0..READERS {
        let (address, card) = (address(reader), card(reader));
        let _ = write!(
            site,
            "[[user]]\nname = \"u{reader}\"\ncard = \"{card}\"\n\
             [[reader]]\nname = \"r{reader}\"\ndriver = \"cardinal/springcore\"\nmode = \"springcore-http\"\n\
             transport = \"http\"\naddress = \"{address}\"\ndevice = \"lobby\"\n"
        );
    }
    site
}

impl Callers {
    /// Readers that call these addresses, whose server has this certificate (PEM).
    pub(super) fn new(urls: &[String], certificate: &[u8], connections: Connections, begun: Instant) -> Result<Self> {
        let reader = |(reader, url): (usize, &String)| {
            let client = Client::builder()
                .no_proxy()
                .tls_certs_only(Certificate::from_pem_bundle(certificate)?)
                .local_address(IpAddr::from(address(reader)))
                .timeout(LONGEST);
            let client = if connections == Connections::Fresh { client.pool_max_idle_per_host(0) } else { client };
            Ok((client.build()?, url.clone()))
        };
        Ok(Self { readers: urls.iter().enumerate().map(reader).collect::<Result<_>>()?, begun })
    }

    /// Swipes at so many a second, whether or not answers come; microseconds from each to the last byte of its answer. Before
    /// it counts each reader has shown a card once, and has its connection where that is kept.
    pub(super) async fn load(&self, rate: u32, swipes: usize) -> Result<Vec<f64>> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let warm_up = self.readers.len();
        let mut open = JoinSet::new();
        for (swipe, (reader, (client, url))) in
            self.readers.iter().enumerate().cycle().take(warm_up + swipes).enumerate()
        {
            ticks.tick().await;
            let (client, url, body) = (client.clone(), url.clone(), self.event(reader));
            open.spawn(async move {
                let begun = Instant::now();
                let answer = client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await?;
                let status = answer.status();
                let command: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
                let took = begun.elapsed().as_secs_f64() * 1e6;
                ensure!(status == 200 && command.get("Leds").is_some(), "answered {status}, {command}");
                Ok((swipe, took))
            });
        }
        let mut took = Vec::with_capacity(swipes);
        while let Some(answered) = open.join_next().await {
            let (swipe, micros) = answered?.context("a swipe")?;
            if swipe >= warm_up {
                took.push(micros);
            }
        }
        Ok(took)
    }

    /// A READER EVENT (docs.springcard.com/books/SpringCore, JSON Messages), as the simulator sends it.
    fn event(&self, reader: usize) -> String {
        let up = self.begun.elapsed();
        json!({
            "Device": "DA1275B0", "Interface": "13.56", "Protocol": "NFC-A", "Template": 1, "TagId": card(reader),
            "Uptime": format!("1:{}.{:03}", up.as_secs(), up.subsec_millis()),
        })
        .to_string()
    }
}
