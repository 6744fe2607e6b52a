//! One host process: opens what it owns, wires it together, and ends it in an orderly way.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use cardinal_desk::Desk;
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
};
use cardinal_release::{Release, ReleaseOptions, Serving};
use cardinal_runtime::{CompileCommand, Compiler, Runtime};
use cardinal_store::{Durability, Place, Store};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{self, Bases, Calls, Over},
    config::{self, Config},
    dns_sd,
    drivers::{self, DriverOptions, Drivers},
    fetch::Fetcher,
    files, hex, http,
    memory::Memory,
    recorder::Recorder,
    retention,
    sessions::{Listeners, Quarantine, Services, Sessions},
    sign_in::Passwords,
    swap::Swaps,
    sync::{self, Syncs},
    tls::{self, Door, Tls},
    token::OwnerToken,
};

/// How long open requests may take to end when the host stops.
const REQUESTS_END: Duration = Duration::from_secs(10);

/// A running host, as the API sees it.
pub struct Host {
    pub services: Arc<Services>,
    pub sessions: Sessions,
    pub swaps: Swaps,
    pub syncs: Syncs,
    pub token: OwnerToken,
    /// One change of the site at a time: a plan holds only for the site it was made from.
    pub applying: tokio::sync::Mutex<()>,
    /// Set when the host stops: long answers end.
    pub stopping: CancellationToken,
}

/// Where a running host listens, for the command line on the same machine.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Listening {
    pub http: SocketAddr,
    pub ipp: SocketAddr,
    /// None: not at all.
    #[serde(default)]
    pub ipps: Option<SocketAddr>,
    /// Where readers call over HTTPS.
    #[serde(default)]
    pub readers: Option<SocketAddr>,
    /// Where readers call over plain HTTP.
    #[serde(default)]
    pub readers_plain: Option<SocketAddr>,
}

/// The file in the data folder that says where the host listens.
pub const LISTENING: &str = "listening.json";

/// Runs the host until it is told to stop. `ready` is called once every listener is up.
///
/// # Errors
/// Why it cannot start: another host runs on the same data, a port is taken, the store does not open.
pub async fn run(config: Config, ready: impl FnOnce(Listening)) -> Result<()> {
    files::open_many();
    let data = config.path(&config.data);
    files::private_folder(&data)?;
    let _lock = lock(&data).await?;
    // A host that was killed left its own; whoever has its port now must not be taken for us.
    let file = config.data_path(LISTENING);
    let _ = std::fs::remove_file(&file);
    let mut stop = StopSignal::new()?;
    // Before anything is begun that a port in use would break off.
    let api = http::bind(config.http.listen, "http.listen").await?;
    let ipp = http::bind(config.ipp.listen, "ipp.listen").await?;
    let ipps = bind(config.ipps.listen, "ipps.listen").await?;
    let readers = bind(config.readers.listen, "readers.listen").await?;
    let readers_plain = bind(config.readers.plain_listen, "readers.plain_listen").await?;
    let (tls, certificate) = Tls::open(&config)?;
    let tls = Arc::new(tls);
    let at = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    let listening = Listening {
        http: api.local_addr()?,
        ipp: ipp.local_addr()?,
        ipps: at(&ipps)?,
        readers: at(&readers)?,
        readers_plain: at(&readers_plain)?,
    };
    let ports = Ports::told(listening.ipp, listening.ipps);
    let bases = Bases::of(&config.readers, listening.readers, listening.readers_plain, &certificate);
    let host = Arc::new(start(config, Arc::clone(&tls), ports, bases).await?);
    let services = &host.services;
    let requests = http::Requests::default();
    let serve_within = |listener, door, router, limits| {
        tokio::spawn(http::serve(listener, door, router, requests.clone(), host.stopping.clone(), limits))
    };
    let serve = |listener, door, router| serve_within(listener, door, router, http::ListenerLimits::default());
    let mut serving = vec![
        serve(api, None, http::router(Arc::clone(&host))),
        serve(ipp, None, services.release.router()),
        tokio::spawn(tls::watch(Arc::clone(&tls), certificate, services.store.clone(), host.stopping.clone())),
    ];
    let door = || Some(Door::new(Arc::clone(&tls), &services.config.callers));
    if let Some(ipps) = ipps {
        serving.push(serve(ipps, door(), services.release.router()));
    }
    for (readers, door, over) in [(readers, door(), Over::Tls), (readers_plain, None, Over::Plain)] {
        let Some(readers) = readers else { continue };
        let limits = services.config.readers.bounds.listener(Calls::expected(&services.calls));
        serving.push(serve_within(readers, door, calls::router(Arc::clone(&services.calls), over), limits));
    }
    files::write_private(&file, serde_json::to_string(&listening)?.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let over_tls = listening.ipps.map(|ipps| format!(", IPP over TLS on {ipps}")).unwrap_or_default();
    let readers = listening.readers.map(|readers| format!(", readers over HTTPS on {readers}")).unwrap_or_default();
    let plain =
        listening.readers_plain.map(|readers| format!(", readers over plain HTTP on {readers}")).unwrap_or_default();
    let message =
        format!("the host is up: API on {}, IPP on {}{over_tls}{readers}{plain}", listening.http, listening.ipp);
    services.store.record(vec![EventBody::new(TraceId::new(), EventKind::HostStarted, message)]).await?;
    host.sessions.reconcile().await;
    let following = Arc::clone(&host);
    let following = tokio::spawn(async move { following.sessions.follow(&following.stopping).await });
    if services.config.dns_sd.announce {
        serving.push(tokio::spawn(dns_sd::run(Arc::clone(services), listening, host.stopping.clone())));
    }
    let collecting = tokio::spawn(drivers::collect(Arc::clone(services), host.stopping.clone()));
    let syncing = tokio::spawn(sync::nightly(Arc::clone(&host)));
    let cleaning = tokio::spawn(retention::run(Arc::clone(services), host.stopping.clone()));
    ready(listening);

    stop.received().await;
    tracing::info!("stopping: no new connections, open work is finished");
    let _ = std::fs::remove_file(&file);
    host.stopping.cancel();
    for server in serving {
        let _ = server.await;
    }
    let _ = following.await;
    host.sessions.shutdown().await;
    services.recorder.shutdown().await;
    let _ = cleaning.await;
    let _ = syncing.await;
    let _ = collecting.await;
    requests.finished(REQUESTS_END).await;
    services.release.shutdown().await;
    let stopped = EventBody::new(TraceId::new(), EventKind::HostStopped, "the host ended in an orderly way");
    services.store.record(vec![stopped]).await?;
    services.store.close().await;
    Ok(())
}

/// The ports that clients of one listener are told of the other.
struct Ports {
    ipp: Option<u16>,
    ipps: Option<u16>,
}

impl Ports {
    /// What listens on the loopback alone is told only where nothing listens beyond it.
    fn told(ipp: SocketAddr, ipps: Option<SocketAddr>) -> Self {
        let local = ipp.ip().is_loopback() && ipps.is_none_or(|ipps| ipps.ip().is_loopback());
        let told = |address: SocketAddr| (local || !address.ip().is_loopback()).then_some(address.port());
        Self { ipp: told(ipp), ipps: ipps.and_then(told) }
    }
}

/// Opens a listener that may be turned off.
async fn bind(address: Option<SocketAddr>, key: &str) -> Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(http::bind(address, key).await?)),
        None => Ok(None),
    }
}

async fn start(config: Config, tls: Arc<Tls>, ports: Ports, bases: Bases) -> Result<Host> {
    let token = OwnerToken::read(&config.path(&config.owner_token))?;
    let durability = match config.store.durability {
        config::Durability::Process => Durability::Process,
        config::Durability::Power => Durability::Power,
    };
    config.retention.check()?;
    let place = match config.store.url.0.as_str() {
        "" => Place::File(config.data_path("cardinal.db")),
        url => Place::from_url(url)?,
    };
    let store = Store::open(place, durability).await?;
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let compiler = Compiler::Child(CompileCommand { program: program.clone(), args: vec!["compile-driver".into()] });
    let runtime = Runtime::new(config.drivers.engine.clone(), &config.data_path("compiled"), compiler)?;
    let folder = config.data_path("drivers");
    files::private_folder(&folder)?;
    let options = DriverOptions {
        folder,
        bounds: config.drivers.bounds.clone(),
        unsigned: config.drivers.unsigned == config::Unsigned::Allow,
        grace: Duration::from_millis(config.drivers.grace_ms),
    };
    let drivers = Drivers::new(runtime, store.clone(), options);
    drivers.start(&bundled(&config, &program)).await?;
    let memory = Memory::open(store.clone(), &config.data_path("host.key"))?;
    let serving = Serving {
        sign_in: Some(Arc::new(Passwords::new(store.clone()))),
        ipp_port: ports.ipp,
        ipps_port: ports.ipps,
        host_id: host_id(&config.data_path("host.id"))?,
        machine: dns_sd::machine(),
    };
    let release = Release::start(
        store.clone(),
        ReleaseOptions {
            spool: config.data_path("spool"),
            base: config.folder.clone(),
            authorities: Some(&config.printers.ca).filter(|ca| !ca.as_os_str().is_empty()).map(|ca| config.path(ca)),
            limits: config.release.clone(),
            serving,
        },
    )
    .await?;
    let key = memory.key_for("cardinal: the secrets of readers' callback addresses")?;
    let calls = Arc::new(Calls::open(store.clone(), key, config.clone(), bases).await?);
    let services = Arc::new(Services {
        desk: Desk::new(store.clone()),
        listeners: Listeners::new(store.clone(), tls, config.callers.clone()),
        quarantine: Quarantine::default(),
        fetcher: Arc::new(Fetcher::new(config.fetches.clone())?),
        recorder: Recorder::new(config.recorder.clone(), store.clone(), config.data_path("captures")),
        config,
        store,
        release,
        drivers,
        memory,
        calls,
    });
    Ok(Host {
        sessions: Sessions::new(Arc::clone(&services)),
        services,
        swaps: Swaps::default(),
        syncs: Syncs::default(),
        token,
        applying: tokio::sync::Mutex::default(),
        stopping: CancellationToken::new(),
    })
}

/// A random number that is this host's for ever, in a file that is made if it is not there.
fn host_id(file: &Path) -> Result<[u8; 16]> {
    if !file.exists() {
        let id: [u8; 16] = rand::random();
        files::write_private(file, hex::encode(&id).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = hex::decode(text.trim()).and_then(|id| id.try_into().ok());
    id.with_context(|| format!("{} is not a host's number; delete it, and a new one is made", file.display()))
}

/// Where the first-party drivers lie: `PREFIX/share/cardinal/drivers` for a program in `PREFIX/bin`.
fn bundled(config: &Config, program: &Path) -> PathBuf {
    if config.drivers.bundled.as_os_str().is_empty() {
        program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join("share/cardinal/drivers")
    } else {
        config.path(&config.drivers.bundled)
    }
}

/// The file whose lock says that a host runs on a data folder; the lock goes with the process.
const LOCK: &str = "host.lock";

/// One host for one data folder.
async fn lock(data: &Path) -> Result<File> {
    let path = data.join(LOCK);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    for _ in 0..10 {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        // A command may be looking whether a host runs, which takes a moment.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("another host already runs on {}; stop it first", data.display());
}

/// Whether a host runs on this configuration's data. Asked before its address is believed: after a crash somebody else
/// may have its port, and must not be shown the owner's token.
pub fn runs(config: &Config) -> bool {
    let file = File::open(config.data_path(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// SIGTERM and Ctrl-C, caught from the moment this is made.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn new() -> Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
