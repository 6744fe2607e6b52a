//! Thousands of lean card terminals in this process: each has a loopback address of its own, all share one port and one
//! listener. A terminal sends a line for a card, and the first byte that comes back is its verdict.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use cardinal_tests::port;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
};

/// How long it may take until all terminals are connected, or none is.
const LONGEST: Duration = Duration::from_secs(120);

/// The terminals that were dialled so far.
pub(crate) struct Field {
    port: u16,
    count: usize,
    shared: Arc<Shared>,
    verdicts: mpsc::UnboundedReceiver<Told>,
}

/// A verdict that came for a card.
pub(crate) struct Told {
    /// When the card was sent.
    pub(crate) sent: Instant,
    /// How long after that the verdict came.
    pub(crate) took: Duration,
    /// Its byte.
    pub(crate) verdict: u8,
}

struct Shared {
    begun: Instant,
    connected: AtomicUsize,
    /// Connections that ended.
    closed: AtomicUsize,
    /// Verdicts that no card waited for.
    surplus: AtomicUsize,
    ways: Mutex<HashMap<usize, OwnedWriteHalf>>,
    /// When each terminal's card was sent, in nanoseconds since `begun`; 0: it waits for no verdict.
    sent: Vec<AtomicU64>,
}

/// The address of a terminal.
pub(crate) fn address(terminal: usize) -> Ipv4Addr {
    let byte = |value: usize| u8::try_from(value).unwrap();
    Ipv4Addr::new(127, 20, byte(terminal / 250), byte(1 + terminal % 250))
}

fn terminal(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let [.., high, low] = address.octets();
    Some(usize::from(high) * 250 + usize::from(low).checked_sub(1)?)
}

impl Field {
    /// So many terminals, which wait to be dialled.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let port = port::free().port();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        // Every address of the loopback, and no other network.
        socket.bind_device(Some(b"lo")).context("the terminals stay on the loopback")?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into())?;
        let (told, verdicts) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            connected: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            surplus: AtomicUsize::new(0),
            ways: Mutex::default(),
            sent: (0..count).map(|_| AtomicU64::new(0)).collect(),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(accepted(stream, Arc::clone(&accepting), told.clone()));
            }
        });
        Ok(Self { port, count, shared, verdicts })
    }

    /// Their addresses, as a site's readers and as the echo's arguments have them.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        let port = self.port;
        (0..self.count).map(move |terminal| format!("{}:{port}", address(terminal)))
    }

    /// The port that they share.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Readers for a site file, all at this device.
    pub(crate) fn readers(&self, device: &str) -> String {
        readers(self.count, self.port, device)
    }

    /// Waits until every terminal is connected.
    pub(crate) async fn connected(&self) -> Result<()> {
        self.so_many_connected(self.count, LONGEST).await
    }

    /// Waits until so many are.
    pub(crate) async fn so_many_connected(&self, count: usize, limit: Duration) -> Result<()> {
        self.until(limit, &format!("{count} terminals to be connected"), |connected| connected >= count).await
    }

    /// Waits until none is connected.
    pub(crate) async fn deserted(&self) -> Result<()> {
        self.until(LONGEST, "all terminals to be left", |connected| connected == 0).await
    }

    async fn until(&self, limit: Duration, what: &str, wish: impl Fn(usize) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let connected = self.shared.connected.load(Ordering::Relaxed);
            if wish(connected) {
                return Ok(());
            }
            if begun.elapsed() >= limit {
                bail!("waited {limit:?} in vain for {what}: {connected} are connected");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many connections ended so far.
    pub(crate) fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// How many verdicts came so far that no card waited for.
    pub(crate) fn surplus(&self) -> usize {
        self.shared.surplus.load(Ordering::Relaxed)
    }

    /// Whether a terminal's card waits for its verdict.
    pub(crate) fn waits(&self, terminal: usize) -> bool {
        self.shared.sent.get(terminal).is_some_and(|sent| sent.load(Ordering::Acquire) > 0)
    }

    /// A terminal shows a card.
    pub(crate) async fn shows(&self, terminal: usize, card: &str) -> Result<()> {
        let mut way = self.shared.ways.lock().unwrap().remove(&terminal).context("a terminal without a connection")?;
        let line = format!("{card}\n");
        if let Some(sent) = self.shared.sent.get(terminal) {
            sent.store(self.shared.begun.elapsed().as_nanos() as u64, Ordering::Release);
        }
        if let Err(error) = way.write_all(line.as_bytes()).await {
            // It never left: no verdict is due.
            if let Some(sent) = self.shared.sent.get(terminal) {
                sent.store(0, Ordering::Release);
            }
            return Err(error).context("a terminal's connection is broken");
        }
        self.shared.ways.lock().unwrap().insert(terminal, way);
        Ok(())
    }

    /// The next verdict: how long after its card it came.
    pub(crate) async fn verdict(&mut self) -> Result<Duration> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.told()).await;
        Ok(next.context("a verdict did not come")??.took)
    }

    /// The next verdict, however long that takes.
    pub(crate) async fn told(&mut self) -> Result<Told> {
        self.verdicts.recv().await.context("no terminal is left")
    }
}

/// Readers for a site file: the first so many terminals at this port, all at this device.
pub(crate) fn readers(count: usize, port: u16, device: &str) -> String {
    let mut site = String::new();
    for terminal in 0..count {
        let address = address(terminal);
        let _ = write!(
            site,
            "[[reader]]\nname = \"r{terminal}\"\ndriver = \"cardinal/generic\"\nmode = \"generic\"\naddress = \"{address}:{port}\"\n\
             device = \"{device}\"\n[reader.settings]\non_released = 'b'\non_nothing_held = 'b'\non_unknown_card = 'u'\non_failed = 'f'\n"
        );
    }
    site
}

async fn accepted(stream: TcpStream, shared: Arc<Shared>, told: mpsc::UnboundedSender<Told>) {
    let _ = stream.set_nodelay(true);
    let Some(terminal) = stream.local_addr().ok().and_then(|own| terminal(own.ip())) else { return };
    let peer = stream.peer_addr().ok();
    let (mut from, to) = stream.into_split();
    // What a card on an earlier connection waited for does not come on this one.
    if let Some(sent) = shared.sent.get(terminal) {
        sent.store(0, Ordering::Release);
    }
    shared.ways.lock().unwrap().insert(terminal, to);
    shared.connected.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 64];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 {
            break;
        }
        let now = shared.begun.elapsed().as_nanos() as u64;
        // Keepalives are no verdicts.
        for verdict in bytes.iter().take(count).copied().filter(u8::is_ascii_alphabetic) {
            let sent = shared.sent.get(terminal).map_or(0, |sent| sent.swap(0, Ordering::AcqRel));
            if sent == 0 {
                shared.surplus.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let took = Duration::from_nanos(now.saturating_sub(sent));
            let _ = told.send(Told { sent: shared.begun + Duration::from_nanos(sent), took, verdict });
        }
    }
    // A host that was killed and started again may have dialled before this one's end was noticed.
    let is_ours = |way: &OwnedWriteHalf| way.peer_addr().ok() == peer;
    let mut ways = shared.ways.lock().unwrap();
    if ways.get(&terminal).is_some_and(is_ours) {
        ways.remove(&terminal);
    }
    drop(ways);
    shared.closed.fetch_add(1, Ordering::Relaxed);
    shared.connected.fetch_sub(1, Ordering::Relaxed);
}
