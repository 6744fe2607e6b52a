//! A driver goes on in another version while its readers are connected: nothing closes, no card is lost or doubled, and what
//! does not work is taken back.

use std::{fs, net::SocketAddr, path::PathBuf};

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::GenericTerminal;
use cardinal_tests::{
    host::Host,
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::{Terminal as _, at, listening},
    versions::altered,
    wait,
};
use tokio::{task::JoinSet, time::Duration};

/// The version of the Generic driver that comes with the host.
const OURS: &str = env!("CARGO_PKG_VERSION");
/// As long as that one, and later.
const NEXT: &str = "9.9.9";

/// A host on which unsigned drivers may be installed.
async fn host() -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
    // Asleep as soon as nothing happens: a swap must wake nobody in vain, and lose nobody who sleeps.
    host.set("CARDINAL_SESSIONS__SLEEP_AFTER_MS", "50");
    host.serve().await;
    host
}

fn file(host: &Host, name: &str, wasm: &[u8]) -> PathBuf {
    let file = host.folder().join(name);
    fs::write(&file, wasm).unwrap();
    file
}

async fn install(host: &Host, file: &std::path::Path) {
    host.cli_with(&["driver", "install", file.to_str().unwrap()]).await.ok();
}

/// Installs the Generic driver with these texts altered.
async fn install_generic(host: &Host, texts: &[(&str, &str)]) {
    let wasm = fs::read(program::component("cardinal-generic")).unwrap();
    install(host, &file(host, "next.wasm", &altered(&wasm, texts))).await;
}

async fn runs(host: &Host, reader: &str, driver: &str) {
    host.api().reader_until(reader, driver, |reader| reader.driver == driver).await;
}

#[tokio::test]
async fn a_half_received_card_survives_a_swap_and_the_way_back() {
    let (host, terminal) = tokio::join!(host(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    install_generic(&host, &[(OURS, NEXT)]).await;
    // Installed, it moves nobody by itself.
    assert_eq!(host.api().online("r").await.driver, format!("cardinal/generic@{OURS}"));

    terminal.send(b"47").await.unwrap();
    host.api().reader_until("r", "asleep", |reader| reader.asleep).await;
    let said = host.cli(&format!("driver swap cardinal/generic --to {NEXT}")).await.ok();
    assert!(said.contains(&format!("readers run {NEXT} instead of {OURS}")) && said.contains("1 sessions"), "{said}");
    terminal.shows_and_hears("11", "[nothing]").await;
    terminal.send(b"47").await.unwrap();
    host.cli(&format!("driver swap cardinal/generic --to {OURS}")).await.ok();
    terminal.shows_and_hears("11", "[nothing]").await;

    assert_eq!(host.api().reader("r").await.cards, 2);
    assert_eq!(terminal.record().connections(), 1);
    assert_eq!(host.api().events_of(EventKind::CardMatched).await.len(), 2);
    let swaps = host.api().events_of(EventKind::DriverSwap).await;
    assert_eq!(swaps.len(), 6, "begun, chosen and done, twice");
}

#[tokio::test]
async fn what_was_swapped_stays_so_behind_a_restart_and_who_names_a_version_keeps_it() {
    let (mut host, free, pinned) = tokio::join!(host(), listening(), listening());
    let pinned_to = format!("cardinal/generic@{OURS}");
    let pinned_reader = of_driver(&pinned_to, "generic", "pinned", pinned.address(), SIGNS);
    host.apply(&(folder_site() + &reader("free", free.address(), SIGNS) + &pinned_reader)).await;
    free.is_connected().await;
    pinned.is_connected().await;
    install_generic(&host, &[(OURS, NEXT)]).await;
    let planned = host.cli(&format!("driver swap cardinal/generic --to {NEXT} --dry-run")).await.ok();
    assert!(planned.contains("would swap") && planned.contains("1 readers, first free"), "{planned}");
    assert_eq!(host.api().online("free").await.driver, pinned_to, "a dry run moves nobody");
    let said = host.cli(&format!("driver swap cardinal/generic --to {NEXT}")).await.ok();
    assert!(said.contains("1 readers name a version of their own"), "{said}");
    runs(&host, "pinned", &pinned_to).await;
    host.terminate().await;
    host.serve().await;
    free.was_connected(2).await;
    runs(&host, "free", &format!("cardinal/generic@{NEXT}")).await;
    runs(&host, "pinned", &pinned_to).await;
}

#[tokio::test]
async fn settings_that_a_version_does_not_know_are_told_before_anything_moves() {
    let (host, terminal) = tokio::join!(host(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    install_generic(&host, &[(OURS, NEXT), ("on_unknown_card", "on_unknown_cord")]).await;
    let refused = host.cli(&format!("driver swap cardinal/generic --to {NEXT}")).await.refused();
    assert!(
        refused.contains("r:") && refused.contains("on_unknown_card") && refused.contains("nothing was changed"),
        "{refused}"
    );
    runs(&host, "r", &format!("cardinal/generic@{OURS}")).await;
    let unknown = host.cli("driver swap cardinal/generic --to 1.2.3").await.refused();
    assert!(unknown.contains("installed versions"), "{unknown}");
    terminal.shows_and_hears("4711", "[nothing]").await;
}

/// A host with two readers of the hostile driver, of which a later version is installed with these texts altered.
async fn hostile(texts: &[(&str, &str)]) -> (Host, [GenericTerminal; 2]) {
    let (host, first, second) = tokio::join!(host(), listening(), listening());
    let wasm = fs::read(program::component("guest-hostile")).unwrap();
    install(&host, &file(&host, "first.wasm", &wasm)).await;
    let site = |name, address: SocketAddr| of_driver("test/hostile", "any", name, address, "");
    host.apply(&(folder_site() + &site("a", first.address()) + &site("b", second.address()))).await;
    first.is_connected().await;
    second.is_connected().await;
    install(&host, &file(&host, "second.wasm", &altered(&wasm, texts))).await;
    (host, [first, second])
}

#[tokio::test]
async fn a_version_that_cannot_take_the_state_leaves_the_one_before_running() {
    // It recurses without end when it is opened.
    let (host, [first, second]) = hostile(&[("1.0.0", "1.1.0"), ("nothing", "recurse")]).await;
    let failed = host.cli("driver swap test/hostile --to 1.1.0").await.refused();
    assert!(failed.contains("taken back") && failed.contains("stack_bytes"), "{failed}");
    for (name, terminal) in [("a", &first), ("b", &second)] {
        runs(&host, name, "test/hostile@1.0.0").await;
        terminal.send(b"echo x").await.unwrap();
        terminal.hears("x", 1).await;
        assert_eq!(terminal.record().connections(), 1);
    }
    assert_eq!(host.api().events_of(EventKind::DriverKept).await.len(), 1);
    assert_eq!(host.api().events_of(EventKind::DriverSwapBack).await.len(), 1);
}

#[tokio::test]
async fn a_version_that_fails_on_its_canary_is_taken_back_by_itself() {
    let (host, [first, second]) = hostile(&[("1.0.0", "1.1.0")]).await;
    host.cli("driver swap test/hostile --to 1.1.0 --canary b --for 1h --no-wait").await.ok();
    runs(&host, "b", "test/hostile@1.1.0").await;
    let busy = host.cli("driver swap test/hostile --to 1.1.0").await.refused();
    assert!(busy.contains("under way"), "{busy}");
    runs(&host, "a", "test/hostile@1.0.0").await;
    second.send(b"trap").await.unwrap();
    host.api().event(EventKind::DriverSwapBack).await;
    runs(&host, "b", "test/hostile@1.0.0").await;
    let shown = host.cli("driver swap test/hostile").await.ok();
    assert!(shown.contains("readers run 1.0.0 again") && shown.contains("failed 1 times"), "{shown}");
    assert_eq!(first.record().connections(), 1);

    // Called off by hand, it goes back as well, and no connection is closed for that.
    let connections = second.record().connections();
    host.cli("driver swap test/hostile --to 1.1.0 --canary 50% --for 1h --no-wait").await.ok();
    runs(&host, "a", "test/hostile@1.1.0").await;
    let off = host.cli("driver swap test/hostile --call-off").await.ok();
    assert!(off.contains("called off"), "{off}");
    runs(&host, "a", "test/hostile@1.0.0").await;
    assert_eq!((first.record().connections(), second.record().connections()), (1, connections));
}

#[tokio::test]
async fn a_driver_that_gives_its_state_away_at_no_time_takes_the_version_with_its_next_connection() {
    let (host, [first, second]) = hostile(&[("1.0.0", "1.1.0")]).await;
    host.cli("reader set a settings.save=never").await.ok();
    first.was_connected(2).await;
    host.cli("driver swap test/hostile --to 1.1.0 --canary b --for 0 --no-wait").await.ok();
    runs(&host, "b", "test/hostile@1.1.0").await;
    first.drop_connection();
    first.was_connected(3).await;
    runs(&host, "a", "test/hostile@1.1.0").await;
    assert_eq!(second.record().connections(), 1);
}

#[tokio::test]
async fn a_reader_that_is_away_comes_back_to_the_version_that_is_chosen_by_then() {
    let (host, [first, second]) = hostile(&[("1.0.0", "1.1.0")]).await;
    let (at_first, at_second) = (first.address(), second.address());
    let connecting = async |name: &str| {
        host.api().reader_until(name, "away", |reader| reader.phase == "connecting").await;
    };
    // It goes away while it tries the version, and nobody tried it to the end: it is taken back.
    host.cli("driver swap test/hostile --to 1.1.0 --canary b --for 2s --no-wait").await.ok();
    runs(&host, "b", "test/hostile@1.1.0").await;
    drop(second);
    connecting("b").await;
    let back = host.api().event(EventKind::DriverSwapBack).await.body.message;
    assert!(back.contains("none of the readers that were to try it runs it"), "{back}");
    let second = at(at_second).await;
    second.is_connected().await;
    host.api().online("b").await;
    runs(&host, "b", "test/hostile@1.0.0").await;
    // It is away while the others go on in another version.
    drop(first);
    connecting("a").await;
    let said = host.cli("driver swap test/hostile --to 1.1.0").await.ok();
    assert!(said.contains("1 readers are not connected"), "{said}");
    let first = at(at_first).await;
    first.is_connected().await;
    host.api().online("a").await;
    runs(&host, "a", "test/hostile@1.1.0").await;
}

#[tokio::test]
async fn a_reader_that_is_given_a_version_of_its_own_meanwhile_is_left_alone() {
    let (host, [first, second]) = hostile(&[("1.0.0", "1.1.0")]).await;
    host.cli("driver swap test/hostile --to 1.1.0 --canary b --for 1h --no-wait").await.ok();
    runs(&host, "b", "test/hostile@1.1.0").await;
    for version in ["test/hostile@1.0.0", "test/hostile@1.1.0"] {
        let both = host.cli(&format!("driver remove {version}")).await.refused();
        assert!(both.contains("under way"), "{both}");
    }
    host.cli("reader set b driver=test/hostile@1.1.0").await.ok();
    second.was_connected(2).await;
    host.api().online("b").await;
    host.cli("driver swap test/hostile --call-off").await.ok();
    host.api().event(EventKind::DriverSwapBack).await;
    runs(&host, "b", "test/hostile@1.1.0").await;
    assert_eq!((first.record().connections(), second.record().connections()), (1, 2));
}

#[tokio::test]
async fn a_reader_that_is_added_meanwhile_and_does_not_fit_is_told_before_the_version_is_chosen() {
    let (host, tries, added) = tokio::join!(host(), listening(), listening());
    host.apply(&(folder_site() + &reader("r", tries.address(), ""))).await;
    tries.is_connected().await;
    install_generic(&host, &[(OURS, NEXT), ("on_unknown_card", "on_unknown_cord")]).await;
    host.cli(&format!("driver swap cardinal/generic --to {NEXT} --canary r --for 2s --no-wait")).await.ok();
    host.apply(&reader("added", added.address(), SIGNS)).await;
    let back = host.api().event(EventKind::DriverSwapBack).await.body.message;
    assert!(back.contains("added:") && back.contains("on_unknown_card"), "{back}");
    runs(&host, "r", &format!("cardinal/generic@{OURS}")).await;
    added.shows_and_hears("4711", "[nothing]").await;
}

/// Readers that show cards during the swaps.
const READERS: usize = 100;
/// Cards each of them shows.
const CARDS: usize = 20;

#[tokio::test]
async fn under_load_no_card_is_lost_or_doubled_and_no_connection_closes() {
    let mut terminals = Vec::new();
    for _ in 0..READERS {
        terminals.push(listening().await);
    }
    let host = host().await;
    let readers =
        |(number, terminal): (usize, &GenericTerminal)| reader(&format!("r{number}"), terminal.address(), SIGNS);
    host.apply(&(folder_site() + &terminals.iter().enumerate().map(readers).collect::<String>())).await;
    for terminal in &terminals {
        terminal.is_connected().await;
    }
    install_generic(&host, &[(OURS, NEXT)]).await;

    let mut showing = JoinSet::new();
    for (number, terminal) in terminals.into_iter().enumerate() {
        showing.spawn(async move {
            for card in 0..CARDS {
                // In two pieces, with a pause between them in which it may be swapped.
                let number = format!("{}\n", 1_000_000 + number * CARDS + card);
                let (begin, end) = number.split_at(4);
                terminal.send(begin.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(60)).await;
                terminal.send(end.as_bytes()).await.unwrap();
                terminal.hears("[unknown]", card + 1).await;
            }
            terminal
        });
    }
    let (mut swaps, mut terminals) = (0, Vec::new());
    while terminals.len() < READERS {
        // At least once there and back; then until all cards are shown.
        for version in [NEXT, OURS] {
            host.cli(&format!("driver swap cardinal/generic --to {version}")).await.ok();
            swaps += 1;
        }
        while let Some(terminal) = showing.try_join_next() {
            terminals.push(terminal.unwrap());
        }
    }
    println!("{swaps} swaps of {READERS} readers under load");
    assert!(
        terminals.iter().all(|terminal| terminal.record().connections() == 1 && terminal.heard("[unknown]") == CARDS)
    );
    // Every card sent is an event, once; which one it was, its number's end and its reader say.
    let mut page: Vec<(String, String)> = Vec::new();
    let all = wait::until("every card to be stored", async || {
        page.clear();
        let mut after = 0;
        loop {
            let path = format!("event?limit=10000&kind=card.read&after={after}");
            let events: Vec<cardinal_domain::event::Event> = host.api().get(&path).await;
            let Some(last) = events.last() else { break };
            after = last.seq;
            page.extend(
                events
                    .iter()
                    .map(|event| (event.body.reader.as_ref().unwrap().to_string(), event.body.message.clone())),
            );
        }
        (page.len() >= READERS * CARDS).then(|| page.clone())
    })
    .await;
    assert_eq!(all.len(), READERS * CARDS);
    assert_eq!(host.api().events_of(EventKind::DriverTrapped).await.len(), 0);
    assert_eq!(host.api().events_of(EventKind::ReaderDisconnected).await.len(), 0);
    for number in 0..READERS {
        let reader = host.api().reader(&format!("r{number}")).await;
        assert_eq!((reader.cards, reader.connects), (CARDS as u64, 1), "r{number}");
    }
}
