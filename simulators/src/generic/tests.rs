//! The terminal against a plain socket as its server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Command, Event, Fault, GenericTerminal, NotConnected, Settings, faults};

/// Long enough for a busy machine; a passing test waits for nothing.
const LIMIT: Duration = Duration::from_secs(20);

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn listening() -> (GenericTerminal, TcpStream) {
    let terminal = GenericTerminal::listen(free(), Settings::default()).await.unwrap();
    let server = TcpStream::connect(terminal.address()).await.unwrap();
    terminal.connected(LIMIT).await.unwrap();
    (terminal, server)
}

async fn receive(server: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(LIMIT, server.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn a_tap_is_the_number_and_a_line_end() {
    let (terminal, mut server) = listening().await;
    terminal.tap("4711").await.unwrap();
    assert_eq!(receive(&mut server, 5).await, b"4711\n");
    assert!(terminal.record().events.contains(&Event::Tapped("4711".to_owned())));
}

#[tokio::test]
async fn probes_and_keepalives_are_ignored_and_commands_obeyed() {
    let (terminal, mut server) = listening().await;
    server.write_all(b"\rrfid prompt\r").await.unwrap();
    terminal.wait_for(LIMIT, |record| record.received.ends_with(b"prompt\r")).await.unwrap();
    server.write_all(b"bb").await.unwrap();
    terminal.wait_for(LIMIT, |record| record.count(Command::Beep) == 2).await.unwrap();
    server.write_all(b"e\r").await.unwrap();
    let record = terminal.wait_for(LIMIT, |record| record.count(Command::Error) == 1).await.unwrap();
    assert_eq!(record.received, b"\rrfid prompt\rbbe\r");
}

#[tokio::test]
async fn the_version_answer_ends_in_a_carriage_return() {
    let (_terminal, mut server) = listening().await;
    server.write_all(b"v").await.unwrap();
    assert_eq!(receive(&mut server, 19).await, b"Cardinal simulator\r");
}

#[tokio::test]
async fn only_one_server_is_served_and_the_next_one_after_it() {
    let (terminal, server) = listening().await;
    let mut other = TcpStream::connect(terminal.address()).await.unwrap();
    assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0, "turned away");
    drop(server);
    terminal.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();
    let _next = TcpStream::connect(terminal.address()).await.unwrap();
    let record = terminal.wait_for(LIMIT, |record| record.connections() == 2).await.unwrap();
    assert!(record.events.iter().any(|event| matches!(event, Event::Refused(_))));
}

#[tokio::test]
async fn a_tap_without_a_server_is_lost_and_said_so() {
    let terminal = GenericTerminal::listen(free(), Settings::default()).await.unwrap();
    assert_eq!(terminal.tap("4711").await, Err(NotConnected));
    let mut server = TcpStream::connect(terminal.address()).await.unwrap();
    terminal.connected(LIMIT).await.unwrap();
    terminal.tap("5678").await.unwrap();
    assert_eq!(receive(&mut server, 5).await, b"5678\n");
}

#[tokio::test]
async fn a_dialing_terminal_calls_again_from_its_own_address() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let settings = Settings {
        retry: Duration::from_millis(5),
        from: Some(Ipv4Addr::new(127, 0, 0, 2).into()),
        ..Settings::default()
    };
    let terminal = GenericTerminal::dial(listener.local_addr().unwrap(), settings);
    let (first, address) = listener.accept().await.unwrap();
    assert_eq!(address.ip(), Ipv4Addr::new(127, 0, 0, 2));
    drop(first);
    let (mut second, _) = listener.accept().await.unwrap();
    terminal.wait_for(LIMIT, |record| record.connections() == 2 && record.server.is_some()).await.unwrap();
    terminal.tap("EMP123").await.unwrap();
    assert_eq!(receive(&mut second, 7).await, b"EMP123\n");
}

#[tokio::test]
async fn a_dialing_terminal_notes_that_nobody_is_there() {
    let nobody = TcpListener::bind(free()).await.unwrap().local_addr().unwrap();
    let terminal = GenericTerminal::dial(nobody, Settings { retry: Duration::from_millis(5), ..Settings::default() });
    let unreachable = |record: &super::Record| {
        record.events.iter().filter(|event| matches!(event, Event::Unreachable(_))).count() >= 2
    };
    terminal.wait_for(LIMIT, unreachable).await.unwrap();
}

#[tokio::test]
async fn a_silent_terminal_reads_nothing_until_it_wakes() {
    let (terminal, mut server) = listening().await;
    terminal.misbehave(Fault::HalfLine, "4711").await.unwrap();
    assert_eq!(receive(&mut server, 2).await, b"47");
    server.write_all(b"b").await.unwrap();
    assert!(terminal.wait_for(Duration::from_millis(50), |record| !record.received.is_empty()).await.is_err());
    terminal.wake();
    terminal.wait_for(LIMIT, |record| record.count(Command::Beep) == 1).await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_ends_in_order_and_a_reset_one_does_not() {
    let (terminal, mut server) = listening().await;
    terminal.drop_connection();
    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    terminal.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();

    let mut server = TcpStream::connect(terminal.address()).await.unwrap();
    terminal.wait_for(LIMIT, |record| record.connections() == 2).await.unwrap();
    terminal.reset_connection();
    assert_eq!(server.read(&mut [0; 1]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_can_be_ended_while_the_server_reads_nothing() {
    let (terminal, server) = listening().await;
    // More than both socket buffers hold.
    let stuck = vec![b'7'; 64 * 1024 * 1024];
    let (sent, ()) = tokio::join!(terminal.send(&stuck), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        terminal.drop_connection();
    });
    assert_eq!(sent, Err(NotConnected));
    drop(server);
}

#[tokio::test]
async fn faults_send_what_their_names_say() {
    let (terminal, mut server) = listening().await;
    terminal.misbehave(Fault::Rubbish, "").await.unwrap();
    assert_eq!(receive(&mut server, 4096).await, faults::rubbish(4096));
    terminal.misbehave(Fault::Pieces, "12").await.unwrap();
    assert_eq!(receive(&mut server, 3).await, b"12\n");
    terminal.flood(3, Duration::from_millis(1)).await.unwrap();
    assert_eq!(receive(&mut server, 36).await, b"FLOOD000001\nFLOOD000002\nFLOOD000003\n");
    let (sent, received) = tokio::join!(terminal.misbehave(Fault::Megabyte, ""), receive(&mut server, 1 << 20));
    sent.unwrap();
    assert!(received.iter().all(|byte| *byte == b'7'));
}

#[test]
fn rubbish_holds_every_byte_value() {
    let bytes = faults::rubbish(4096);
    assert!((0..=u8::MAX).all(|value| bytes.contains(&value)));
}

#[tokio::test]
async fn a_wait_in_vain_shows_what_happened() {
    let (terminal, _server) = listening().await;
    let error = terminal.wait_for(Duration::from_millis(1), |_| false).await.unwrap_err();
    assert!(error.to_string().contains("connected 127.0.0.1:"), "{error}");
}
