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

use anyhow::{Context as _, Result};
use cardinal_tests::port;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
};

/// The terminals that were dialled so far.
pub(crate) struct Field {
    port: u16,
    count: usize,
    shared: Arc<Shared>,
    verdicts: mpsc::UnboundedReceiver<Duration>,
}

struct Shared {
    begun: Instant,
    connected: AtomicUsize,
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

    /// Readers for a site file, all at this device.
    pub(crate) fn readers(&self, device: &str) -> String {
        let mut site = String::new();
        for (terminal, address) in self.addresses().enumerate() {
            let _ = write!(
                site,
                "[[reader]]\nname = \"r{terminal}\"\ndriver = \"cardinal/generic\"\nmode = \"generic\"\naddress = \"{address}\"\n\
                 device = \"{device}\"\n[reader.settings]\non_released = 'b'\non_nothing_held = 'b'\non_unknown_card = 'u'\non_failed = 'f'\n"
            );
        }
        site
    }

    /// Waits until every terminal is connected.
    pub(crate) async fn connected(&self) {
        while self.shared.connected.load(Ordering::Relaxed) < self.count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until none is connected.
    pub(crate) async fn deserted(&self) {
        while self.shared.connected.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A terminal shows a card.
    pub(crate) async fn shows(&self, terminal: usize, card: &str) -> Result<()> {
        let mut way = self.shared.ways.lock().unwrap().remove(&terminal).context("a terminal without a connection")?;
        let line = format!("{card}\n");
        if let Some(sent) = self.shared.sent.get(terminal) {
            sent.store(self.shared.begun.elapsed().as_nanos() as u64, Ordering::Release);
        }
        way.write_all(line.as_bytes()).await?;
        self.shared.ways.lock().unwrap().insert(terminal, way);
        Ok(())
    }

    /// The next verdict: how long after its card it came.
    pub(crate) async fn verdict(&mut self) -> Result<Duration> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.verdicts.recv()).await;
        next.context("a verdict did not come")?.context("no terminal is left")
    }
}

async fn accepted(stream: TcpStream, shared: Arc<Shared>, told: mpsc::UnboundedSender<Duration>) {
    let _ = stream.set_nodelay(true);
    let Some(terminal) = stream.local_addr().ok().and_then(|own| terminal(own.ip())) else { return };
    let (mut from, to) = stream.into_split();
    shared.ways.lock().unwrap().insert(terminal, to);
    shared.connected.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 64];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 {
            break;
        }
        let now = shared.begun.elapsed().as_nanos() as u64;
        // Keepalives are no verdicts.
        if bytes.get(..count).is_some_and(|bytes| bytes.iter().any(|byte| byte.is_ascii_alphabetic()))
            && let Some(sent) = shared.sent.get(terminal).map(|sent| sent.swap(0, Ordering::AcqRel))
            && sent > 0
        {
            let _ = told.send(Duration::from_nanos(now.saturating_sub(sent)));
        }
    }
    shared.ways.lock().unwrap().remove(&terminal);
    shared.connected.fetch_sub(1, Ordering::Relaxed);
}
