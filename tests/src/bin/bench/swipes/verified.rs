//! 5,000 readers over HTTP whose configuration the host verifies each minute, and what swipes at other readers notice of it.
//!
//! The readers are simulated RF IDeas 241 in this process: each has a loopback address of its own, all share one listener,
//! which has a thread of its own.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    io, mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    serve::IncomingStream,
};
use cardinal_domain::driver::Health;
use cardinal_simulators::rfideas_241::{Pages, Settings};
use cardinal_tests::{host::Host, wait};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, sync::oneshot};

use super::{PARTS, callers::Callers};
use crate::table::{Table, percentile};

/// Readers that are verified.
const VERIFIED: usize = 5_000;
/// Where their pages are: the port that the driver asks.
const PORT: u16 = 80;
/// Seconds between two verifications of a reader: never in a run of this, and each minute.
const NEVER: u32 = 86_400;
const EACH_MINUTE: u32 = 60;
/// Swipes a second, at other readers.
const RATE: u32 = 100;
/// Swipes of each of the two measurements without verifications, before and after that with them: 30 seconds.
const IDLE_SWIPES: usize = 3_000;
/// Swipes while readers are verified: a minute, and as long as all took to begin, so that each has its turn.
const SWIPES: usize = 6_500;
/// How long it may take until all are configured.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) async fn run(host: &Host, site: &str, callers: &Callers) -> Result<()> {
    let field = match Field::start() {
        Ok(field) => field,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!(
                "not measured: {VERIFIED} verified readers. They listen on port {PORT} of every loopback address, and this user \
                 may not ({error}); run it as root"
            );
            return Ok(());
        }
        Err(error) => return Err(error).context("simulated readers cannot listen on every loopback address"),
    };
    println!(
        "{VERIFIED} readers (rfideas-241); {RATE} swipes a second at other readers (springcore-http) over kept connections"
    );
    let begun = Instant::now();
    field.followed(host, site, NEVER).await;
    println!("all configured after {:.1?}", begun.elapsed());
    let mut idle = callers.load(RATE, IDLE_SWIPES).await?;
    println!("idle: {}", field.take());

    field.followed(host, site, EACH_MINUTE).await;
    let begun = Instant::now();
    let verified = callers.load(RATE, SWIPES).await?;
    println!("verified: in {:.0?} {}", begun.elapsed(), field.take());
    println!("readers in trouble: {}", in_trouble(host).await);

    field.followed(host, site, NEVER).await;
    idle.extend(callers.load(RATE, IDLE_SWIPES).await?);
    println!("idle again: {}", field.take());
    let mut table = Table::new("idle", "verified");
    for (what, part) in PARTS {
        table.add(what, "µs", percentile(&idle, part), percentile(&verified, part).unwrap_or_default());
    }
    table.print();
    Ok(())
}

/// A reader as the host tells of it.
#[derive(Deserialize)]
struct Told {
    name: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    health: Option<Health>,
}

/// How many of the verified readers are not online, as the host sees it.
async fn in_trouble(host: &Host) -> usize {
    let all: Vec<Told> = host.api().get("reader").await;
    let is_well = |told: &&Told| {
        let health = told.status.as_ref().and_then(|status| status.health);
        told.name.starts_with('v') && health == Some(Health::Online)
    };
    VERIFIED.saturating_sub(all.iter().filter(is_well).count())
}

fn address(reader: usize) -> Ipv4Addr {
    let byte = |value: usize| u8::try_from(value).unwrap();
    Ipv4Addr::new(127, 30, byte(reader / 250), byte(1 + reader % 250))
}

fn reader(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let [127, 30, high, low] = address.octets() else { return None };
    Some(usize::from(high) * 250 + usize::from(low).checked_sub(1)?)
}

/// The readers; dropping it closes their port.
struct Field {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    begun: Instant,
    readers: Vec<Pages>,
    seen: Mutex<Seen>,
}

/// What the readers were asked.
#[derive(Default)]
struct Seen {
    /// How often each was asked for its configuration.
    verified: HashMap<usize, usize>,
    /// How often all of them were, in each second.
    by_second: HashMap<u64, usize>,
    /// Whatever else: versions, changes.
    others: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, readers) = (self.verified.values().sum::<usize>(), self.verified.len());
        let busiest = self.by_second.values().max().copied().unwrap_or_default();
        write!(
            f,
            "{count} verifications of {readers} readers, {busiest} in the busiest second; {} other requests",
            self.others
        )
    }
}

/// The address that was called.
#[derive(Clone, Copy)]
struct Called(Option<IpAddr>);

impl Connected<IncomingStream<'_, TcpListener>> for Called {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(stream.io().local_addr().ok().map(|own| own.ip()))
    }
}

impl Field {
    /// Readers that nobody has configured yet. Fails where the port is not to be had.
    fn start() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        // Every address of the loopback, and no other network.
        socket.bind_device(Some(b"lo"))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        let readers = (0..VERIFIED).map(|_| Pages::new(&Settings::default())).collect();
        let shared = Arc::new(Shared { begun: Instant::now(), readers, seen: Mutex::default() });
        let service = Router::new().fallback(asked).with_state(Arc::clone(&shared));
        let service = service.into_make_service_with_connect_info::<Called>();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Apart from the swipes: those are not to wait for a turn in this process while the readers answer.
        thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(socket.into()) else { return };
                tokio::select! {
                    _ = axum::serve(listener, service) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { shared, _stop: stop })
    }

    /// Has the host follow them besides what this site says, and verify each every so many seconds. Returns when all are
    /// configured and were verified once.
    async fn followed(&self, host: &Host, site: &str, every: u32) {
        let mut site = site.to_owned();
        for reader in 0..VERIFIED {
            let _ = write!(
                site,
                "[[reader]]\nname = \"v{reader}\"\ndriver = \"cardinal/rfideas-241\"\nmode = \"rfideas-241-client\"\n\
                 address = \"{}\"\ndevice = \"lobby\"\n[reader.settings]\ncheck_seconds = {every}\n",
                address(reader)
            );
        }
        self.take();
        host.apply(&site).await;
        wait::until_within(LONGEST, "all readers to be verified", async || {
            if self.shared.seen.lock().unwrap().verified.len() < VERIFIED {
                return None;
            }
            // The host has other things to do than to tell of 5,000 readers again and again.
            tokio::time::sleep(Duration::from_millis(500)).await;
            (in_trouble(host).await == 0).then_some(())
        })
        .await;
        self.take();
    }

    /// What they were asked since this was called last.
    fn take(&self) -> Seen {
        mem::take(&mut *self.shared.seen.lock().unwrap())
    }
}

async fn asked(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(called): ConnectInfo<Called>,
    request: Request,
) -> Response {
    let reader = called.0.and_then(reader);
    let Some((reader, pages)) = reader.and_then(|reader| Some((reader, shared.readers.get(reader)?))) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    {
        let mut seen = shared.seen.lock().unwrap();
        if request.uri() == "/config" {
            *seen.verified.entry(reader).or_default() += 1;
            *seen.by_second.entry(shared.begun.elapsed().as_secs()).or_default() += 1;
        } else {
            seen.others += 1;
        }
    }
    pages.answer(request).await
}
