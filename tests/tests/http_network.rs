//! A reader over HTTP at the far end of a cable that is pulled, plugged in and slow: what is shown while the wire is up is
//! answered.

use std::{io::Write as _, process::Stdio};

use cardinal_domain::{driver::Health, event::EventKind};
use cardinal_tests::{
    host::Host,
    network::Cable,
    port,
    process::Process,
    program,
    site::{folder_site, of_driver},
    wait,
};

/// The simulator at the far end, a program of its own because a namespace belongs to a process.
fn far_reader(cable: &Cable, host: &Host) -> Process {
    let simulator = program::ours("cardinal-simulator", "cardinal-simulators");
    let mut command = cable.command(&simulator);
    command.args(["rfideas-241", "--listen", &format!("{}:80", cable.far), "--answer-within", "4s", "--insecure"]);
    let log = host.folder().join("reader.log");
    let output = std::fs::File::create(&log).unwrap();
    Process::start_with("the reader", &mut command, &log, output.into(), Stdio::piped())
}

/// Shows cards of these numbers, one after the other, and waits until each was answered as an unknown one is.
async fn all_answered(far: &mut Process, cards: std::ops::Range<u32>) {
    for card in cards {
        far.input().write_all(format!("{card}\n").as_bytes()).unwrap();
        let answered = format!("answered {card}: 403");
        wait::until(&answered, async || far.said().contains(&answered).then_some(())).await;
    }
}

#[tokio::test]
async fn every_swipe_made_while_the_wire_is_up_is_answered() {
    let Some(cable) = Cable::lay() else { return };
    let mut host = Host::init().await;
    // By its address, because the far end knows no names.
    let listen = format!("{}:{}", cable.near, port::free().port());
    host.set("CARDINAL_READERS__LISTEN", &listen);
    host.set("CARDINAL_READERS__URL", &format!("https://{listen}"));
    host.set("CARDINAL_FETCHES__CONNECT_MS", "500");
    host.serve().await;
    let driver = program::component("cardinal-rfideas-241");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let mut far = far_reader(&cable, &host);
    let address = format!("{}:80", cable.far).parse().unwrap();
    let settings = "check_seconds = 5\nretry_seconds = 1";
    let spec = of_driver("cardinal/rfideas-241", "rfideas-241-client", "far", address, settings).replace(":80\"", "\"");
    host.apply(&(folder_site() + &spec)).await;
    let up = async |what: &str| {
        host.api().reader_until("far", what, |reader| reader.health == Some(Health::Online)).await;
    };
    up("online").await;
    all_answered(&mut far, 100..110).await;

    // Pulled: the check fails and says so; a card is shown in vain, as its person sees.
    cable.pull();
    host.api().reader_until("far", "an error", |reader| reader.health == Some(Health::Error)).await;
    far.input().write_all(b"200\n").unwrap();
    wait::until("the card to be given up", async || far.said().contains("unanswered 200").then_some(())).await;
    cable.plug();
    up("online again").await;
    all_answered(&mut far, 300..310).await;

    // Slow: a handshake of TLS takes half a second.
    let slow = cable.slow("tbf rate 64kbit burst 1600 latency 2s");
    if slow {
        all_answered(&mut far, 400..405).await;
    }
    // Each card that was shown with the wire up has one verdict; the one shown in vain has none.
    let verdicts = host.api().events_of(EventKind::VerdictGiven).await.len();
    assert_eq!(verdicts, if slow { 25 } else { 20 });
}
