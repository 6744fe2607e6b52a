//! Announces queues by DNS-SD (RFC 6763) over multicast DNS (RFC 6762), so that machines on the same network find them.
//!
//! What is said of a queue is the release engine's to know, and where it is said is decided in [`service`]. Here the
//! library is told what changed: a queue that goes, or changes, is taken back with a goodbye; what is new is announced,
//! after the library has made sure that nobody else has its name.

mod service;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{QueueName, TraceId},
};
use mdns_sd::{DaemonEvent, IfKind, IfPredicate, MDNS_PORT, RRType, Receiver, ServiceDaemon};
use socket2::{Domain, Socket, Type};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::service::{Service, Way};
use crate::{host::Listening, sessions::Services, tls};

/// How long after a goodbye a name may be announced again. The library repeats a goodbye after 0.12 s, and caches forget
/// the name a second after that (RFC 6762 §10.1); what was announced in between would be forgotten with it.
const FORGOTTEN: Duration = Duration::from_millis(1_250);
/// How long the library's queue of commands is given to empty before it is asked again.
const FULL: Duration = Duration::from_millis(20);
/// How long the goodbyes may take when the host stops.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What is announced now, by full name.
type Announced = BTreeMap<String, Service>;

/// What this machine calls itself, as one label of a DNS name.
pub fn machine() -> String {
    let name = tls::host_name();
    let label = name.as_deref().and_then(|name| name.split('.').next()).filter(|label| !label.is_empty());
    label.unwrap_or("cardinal").to_owned()
}

/// Announces the queues until the host stops, and takes them back then.
pub async fn run(services: Arc<Services>, listening: Listening, stop: CancellationToken) {
    let ways = service::ways(&listening);
    if ways.is_empty() {
        let message = "no queue is announced by DNS-SD: ipp.listen and ipps.listen are reached from this machine alone. \
                       Listen on an address that others reach, such as \"0.0.0.0:8631\", or set dns_sd.announce = false \
                       in cardinal.toml";
        return trouble(&services, message.to_owned()).await;
    }
    if let Err(error) = announce(&services, &ways, &stop).await {
        trouble(&services, format!("queues are not announced by DNS-SD: {error:#}")).await;
    }
}

async fn trouble(services: &Services, message: String) {
    services.tell(EventBody::new(TraceId::new(), EventKind::DnsSdTrouble, message)).await;
}

async fn announce(services: &Services, ways: &[Way], stop: &CancellationToken) -> Result<()> {
    check_port().with_context(|| {
        format!(
            "UDP port {MDNS_PORT} cannot be shared with the program that has it (avahi-daemon: \
             set disallow-other-stacks=no in avahi-daemon.conf)"
        )
    })?;
    let library = ServiceDaemon::new()?;
    let ended = follow(services, &library, ways, stop).await;
    // Goodbyes for all that is announced.
    let goodbyes = async { give(|| library.shutdown()).await?.recv_async().await.context("it had ended before") };
    match timeout(ENDS_WITHIN, goodbyes).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(error = %error, "DNS-SD said no goodbyes"),
        Err(_) => tracing::warn!("DNS-SD goodbyes took too long"),
    }
    ended
}

/// The library says nothing of a port that it cannot have, so it is looked at before, in the way the library takes it.
fn check_port() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, MDNS_PORT)).into())
}

/// Chooses the interfaces, then keeps what is announced like the site, until the host stops.
async fn follow(services: &Services, library: &ServiceDaemon, ways: &[Way], stop: &CancellationToken) -> Result<()> {
    // In this order: the later word counts, also for interfaces that come up later.
    give(|| library.disable_interface(IfKind::All)).await?;
    let listened = ways.to_vec();
    let listened = IfPredicate::new(move |interface| {
        listened.iter().any(|way| way.is_reached_at(interface.ip(), interface.index))
    });
    give(|| library.enable_interface(IfKind::Predicate(listened.clone()))).await?;
    let events = give(|| library.monitor()).await?;
    tokio::select! {
        ended = keep(services, library, ways, stop) => ended,
        ended = watch(services, &events) => ended,
    }
}

async fn keep(services: &Services, library: &ServiceDaemon, ways: &[Way], stop: &CancellationToken) -> Result<()> {
    let mut setups = services.store.setups();
    let mut announced = Announced::new();
    let mut alike = BTreeSet::new();
    loop {
        let setup = Arc::clone(&setups.borrow_and_update());
        let wanted = service::wanted(setup.queues.values(), ways, |queue, way| {
            services.release.announcement(queue, way.tls, way.address.port())
        });
        for queue in wanted.alike.difference(&alike) {
            tell_alike(services, queue).await;
        }
        alike = wanted.alike;
        // A library that hangs does not hold up the end of the host.
        match stop.run_until_cancelled(change(library, &mut announced, wanted.services)).await {
            Some(changed) => changed?,
            None => return Ok(()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // The store goes with the host.
            Ok(()) = setups.changed() => {}
        }
    }
}

/// Makes what is announced what is wanted.
async fn change(library: &ServiceDaemon, announced: &mut Announced, wanted: Announced) -> Result<()> {
    let gone: Vec<_> = announced
        .iter()
        .filter(|(name, service)| wanted.get(*name) != Some(service))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &gone {
        give(|| library.unregister(name)).await?.recv_async().await.context("the DNS-SD library ended")?;
        announced.remove(name);
    }
    if !gone.is_empty() {
        sleep(FORGOTTEN).await;
    }
    for (name, service) in wanted {
        if let Entry::Vacant(new) = announced.entry(name) {
            let info = service.info()?;
            give(|| library.register(info.clone())).await?;
            tracing::debug!(name = new.key(), "given to the DNS-SD library");
            new.insert(service);
        }
    }
    Ok(())
}

/// Gives the library a command, as soon as it takes one.
async fn give<T>(command: impl Fn() -> mdns_sd::Result<T>) -> Result<T> {
    loop {
        match command() {
            Err(mdns_sd::Error::Again) => sleep(FULL).await,
            done => return done.context("the DNS-SD library takes no command"),
        }
    }
}

/// Tells what the library has to say. Returns when it has ended by itself.
async fn watch(services: &Services, events: &Receiver<DaemonEvent>) -> Result<()> {
    while let Ok(event) = events.recv_async().await {
        match event {
            // Told for each record of a service; once is enough.
            DaemonEvent::NameChange(change) if change.rr_type == RRType::SRV => {
                let (before, now) = (service::label(&change.original), service::label(&change.new_name));
                let on = change.intf_name;
                trouble(
                    services,
                    format!(
                        "somebody else on the network of {on} is announced as {before:?}: \
                         the queue is announced as {now:?} there"
                    ),
                )
                .await;
            }
            DaemonEvent::Error(error) => trouble(services, format!("DNS-SD: {error}")).await,
            _ => {}
        }
    }
    bail!("the DNS-SD library ended by itself; start the host again, and report this")
}

async fn tell_alike(services: &Services, queue: &QueueName) {
    let message = format!(
        "queue {queue} is not announced by DNS-SD: another queue has its name but for upper and lower case, \
         dots, or what stands behind its first characters; give one of them another name"
    );
    trouble(services, message).await;
}
