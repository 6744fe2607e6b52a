//! Readers that have no connection: SpringCore readers which call over HTTPS, each from a loopback address of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cardinal_tests::host::Host;
use reqwest::{Certificate, Client, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;

use crate::limits::within;

/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(30);

/// What the host answers of a reader's callback address.
#[derive(Deserialize)]
struct Callback {
    url: String,
}

/// Apart from the terminals' addresses, and of other tables'.
fn address(reader: usize) -> Ipv4Addr {
    let byte = |value: usize| u8::try_from(value).unwrap();
    Ipv4Addr::new(127, byte(64 + reader / 62_500), byte(reader / 250 % 250), byte(1 + reader % 250))
}

/// So many of them for a site file, all at this device.
pub(super) fn site(count: usize, device: &str) -> String {
    let mut site = String::new();
    for reader in 0..count {
        let _ = write!(
            site,
            "[[reader]]\nname = \"h{reader}\"\ndriver = \"cardinal/springcore\"\nmode = \"springcore-http\"\n\
             transport = \"http\"\naddress = \"{}\"\ndevice = \"{device}\"\n",
            address(reader)
        );
    }
    site
}

/// Two swipes in a row at `count` of the first `of` readers, spread over them, with a connection each: microseconds to the
/// last byte of each first and each second answer.
pub(super) async fn pairs(host: &Host, count: usize, of: usize) -> Result<Vec<(f64, f64)>> {
    let certificate = fs::read(host.certificate())?;
    let mut pairs = Vec::with_capacity(count);
    for reader in (0..count).map(|pair| pair * of / count) {
        let path = format!("reader/h{reader}/callback");
        let callback: Callback = within(LONGEST, "the address that a reader calls", host.api().get(&path)).await?;
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only(Certificate::from_pem_bundle(&certificate)?)
            .local_address(IpAddr::from(address(reader)))
            .pool_max_idle_per_host(0)
            .timeout(LONGEST)
            .build()?;
        let first = swipe(&client, &callback.url).await.with_context(|| format!("the first swipe at h{reader}"))?;
        let second = swipe(&client, &callback.url).await.with_context(|| format!("the second swipe at h{reader}"))?;
        pairs.push((first, second));
    }
    Ok(pairs)
}

/// A READER EVENT (docs.springcard.com/books/SpringCore, JSON Messages) with a card; microseconds to the end of its answer.
async fn swipe(client: &Client, url: &str) -> Result<f64> {
    // Never the same card at the same uptime: that would be the same swipe.
    static SWIPES: AtomicU32 = AtomicU32::new(1);
    let number = SWIPES.fetch_add(1, Ordering::Relaxed);
    let event = json!({
        "Device": "DA1275B0", "Interface": "13.56", "Protocol": "NFC-A", "Template": 1,
        "TagId": format!("04{number:012X}"), "Uptime": format!("1:{number}.000"),
    });
    let begun = Instant::now();
    let answer = client.post(url).header(CONTENT_TYPE, "application/json").body(event.to_string()).send().await?;
    let status = answer.status();
    answer.bytes().await?;
    ensure!(status == 200, "answered {status}");
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
