//! Queues announced on the network, and found by Avahi and CUPS at the far end of a cable.

use std::fs;

use cardinal_domain::event::{Event, EventKind};
use cardinal_tests::{
    avahi::{Avahi, Found},
    host::Host,
    ipptool,
    network::Cable,
    program,
    site::folder_site,
};

/// What this machine calls itself in the names of its queues.
fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_ascii_lowercase();
    name.split('.').next().unwrap().to_owned()
}

fn named(name: &str) -> String {
    format!("{name} @ {}", machine())
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(|one| one.name.as_str()).collect()
}

/// A host that announces its queues, and listens at the near end of this cable alone. It does not run yet.
async fn announcing(cable: &Cable) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_DNS_SD__ANNOUNCE", "true");
    host.set("CARDINAL_IPP__LISTEN", &format!("{}:0", cable.near));
    host.set("CARDINAL_IPPS__LISTEN", &format!("{}:0", cable.near));
    host
}

/// The site with these further queues.
fn site(queues: &[(&str, &str)]) -> String {
    let mut site = folder_site();
    for (name, fields) in queues {
        site += &format!("[[queue]]\nname = \"{name}\"\n{fields}\n");
    }
    site
}

fn troubles(events: &[Event]) -> Vec<&str> {
    let told = events.iter().filter(|event| event.body.kind == EventKind::DnsSdTrouble);
    told.map(|event| event.body.message.as_str()).collect()
}

#[tokio::test]
async fn queues_are_found_on_the_network_as_the_site_has_them() {
    let Some(cable) = Cable::lay() else { return };
    let Some(other) = Cable::lay() else { return };
    let (seeker, elsewhere) = (Avahi::start(&cable).await, Avahi::start(&other).await);
    let mut host = announcing(&cable).await;
    host.serve().await;
    let allow = format!("allow = [\"{}\"]", cable.network());
    let staff = format!("{allow}\nsign_in = true");
    let site_of = |queues: &[(&str, &str)]| site(&[queues, &[("far-away", "allow = [\"10.99.0.0/16\"]")]].concat());
    host.apply(&site_of(&[("Open.House", &allow), ("staff", &staff)])).await;

    // `find-me` takes jobs from this machine alone, `far-away` from another network: neither is announced here.
    let (open, staff_name) = (named("open-house"), named("staff"));
    let is_there = |wanted: &[&str], found: &[Found]| (names(found) == wanted).then(|| found.to_vec());
    let plain = seeker.until("_ipp._tcp", "the queue", |found| is_there(&[&open], found)).await;
    let secure =
        seeker.until("_ipps._tcp", "both queues over TLS", |found| is_there(&[&open, &staff_name], found)).await;
    let [plain] = &plain[..] else { panic!("{plain:?}") };
    assert_eq!((plain.address.as_str(), plain.port.clone()), (&*cable.near.to_string(), host.ipp().port().to_string()));
    assert_eq!(plain.value("rp"), "queues/Open.House");
    assert_eq!(plain.value("adminurl"), format!("http://{}:{}/queues/Open.House", plain.host, plain.port));
    assert_eq!((plain.value("Color"), plain.value("Duplex"), plain.value("txtvers")), ("T", "T", "1"));
    assert!(plain.value("pdl").split(',').any(|format| format == "image/pwg-raster"), "{plain:?}");
    assert!(!plain.txt.iter().any(|entry| entry.starts_with("TLS=") || entry.starts_with("air=")), "{plain:?}");
    assert_eq!((secure[0].value("TLS"), &secure[0].port), ("1.3", &host.ipps().port().to_string()));
    assert_eq!(secure[0].value("UUID"), plain.value("UUID"));
    assert_eq!(secure[1].value("air"), "username,password");

    // What is announced can be printed to, and says the same of itself.
    let address = format!("ipp://{}:{}/{}", plain.address, plain.port, plain.value("rp"));
    ipptool::print_from(&cable, &address, "ada", &program::in_workspace("examples/hello.pdf")).await.ok();
    let itself = ipptool::attributes_from(&cable, &address).await.ok();
    for (name, value) in
        [("printer-uuid", format!("urn:uuid:{}", plain.value("UUID"))), ("printer-dns-sd-name", open.clone())]
    {
        let line =
            itself.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{itself}"));
        assert!(line.ends_with(&format!("= {value}")), "{line}");
    }

    // CUPS finds it by its subtype, and by what it says.
    let uri =
        seeker.ippfind(&["-T", "10", "_ipp._tcp,_print", "--txt-pdl", ".*application/pdf.*", "--print"]).await.ok();
    assert_eq!(uri.trim().trim_end_matches('.'), format!("ipp://{}:{}/queues/Open.House", plain.host, plain.port));

    // Nothing is said where the host does not listen.
    assert_eq!(elsewhere.browse("_ipp._tcp").await, []);
    assert_eq!(elsewhere.browse("_ipps._tcp").await, []);

    // A queue goes once it holds no job.
    host.cli("job cancel 1").await.ok();

    // A queue that goes, one that comes, and one that changes.
    host.apply_with(&site_of(&[("staff", &allow), ("new", &allow)]), &["--prune"]).await.ok();
    let new = named("new");
    let plain = seeker.until("_ipp._tcp", "the other queues", |found| is_there(&[&new, &staff_name], found)).await;
    assert_eq!(plain[0].value("rp"), "queues/new");
    let no_sign_in = |found: &[Found]| {
        let staff = found.iter().find(|one| one.name == staff_name)?;
        (names(found) == [&*new, &*staff_name] && !staff.txt.iter().any(|entry| entry.starts_with("air=")))
            .then_some(())
    };
    seeker.until("_ipps._tcp", "the queue without a sign-in", no_sign_in).await;
    assert_eq!(troubles(&host.api().events().await), [""; 0]);

    // An end in order takes everything back.
    assert!(host.terminate().await.success());
    for kind in ["_ipp._tcp", "_ipps._tcp"] {
        seeker.until(kind, "the end of all", |found| found.is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn a_name_that_somebody_has_is_left_to_them() {
    let Some(cable) = Cable::lay() else { return };
    let seeker = Avahi::start(&cable).await;
    let (taken, ours) = (named("find-me"), format!("{} (2)", named("find-me")));
    let _theirs = seeker.publish(&taken, "_ipp._tcp").await;
    let mut host = announcing(&cable).await;
    host.serve().await;
    let queue = format!("\n[[queue]]\nname = \"find-me\"\nallow = [\"{}\"]\n", cable.network());
    host.apply(&folder_site().replace("\n        [[queue]]\n        name = \"find-me\"\n", &queue)).await;
    let both = |found: &[Found]| (names(found) == [&*taken, &*ours]).then(|| found.to_vec());
    let found = seeker.until("_ipp._tcp", "both", both).await;
    assert_eq!((found[0].port.as_str(), found[1].port.clone()), ("9", host.ipp().port().to_string()));
    assert_eq!(found[1].value("rp"), "queues/find-me");
    let told = host.api().event(EventKind::DnsSdTrouble).await;
    assert!(told.body.message.contains(&format!("announced as {ours:?}")), "{}", told.body.message);
    assert!(host.terminate().await.success());
    let theirs = |found: &[Found]| (names(found) == [&*taken]).then_some(());
    seeker.until("_ipp._tcp", "theirs alone", theirs).await;
}

#[tokio::test]
async fn a_host_for_this_machine_alone_says_that_it_announces_nothing() {
    let mut host = Host::init().await;
    host.set("CARDINAL_DNS_SD__ANNOUNCE", "true");
    host.serve().await;
    let told = host.api().event(EventKind::DnsSdTrouble).await;
    assert!(told.body.message.contains("Listen on an address that others reach"), "{}", told.body.message);
    host.apply(&folder_site()).await;
    host.apply(&folder_site().replace("find-me", "other")).await;
    assert_eq!(troubles(&host.api().events().await).len(), 1);
    assert!(host.terminate().await.success());
}
