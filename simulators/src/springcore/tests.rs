//! The reader against plain sockets as its host.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Call, Event, HttpReader, HttpSettings, NotConnected, Tag, TcpReader};

/// Long enough for a busy machine; a passing test waits for nothing.
const LIMIT: Duration = Duration::from_secs(20);

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn connected() -> (TcpReader, TcpStream) {
    let reader = TcpReader::listen(free()).await.unwrap();
    let host = TcpStream::connect(reader.address()).await.unwrap();
    reader.wait_for(LIMIT, |record| record.host.is_some()).await.unwrap();
    (reader, host)
}

/// Reads up to the end of an object or of a request's body, and gives all of it.
async fn hear(host: &mut TcpStream) -> String {
    let mut heard = String::new();
    while !heard.ends_with('}') {
        let byte = tokio::time::timeout(LIMIT, host.read_u8()).await.unwrap().unwrap();
        heard.push(byte.into());
    }
    heard
}

#[tokio::test]
async fn a_tap_is_an_event_and_a_command_is_obeyed() {
    let (reader, mut host) = connected().await;
    reader.tap(&Tag::new("047DAE02C84080")).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(&hear(&mut host).await).unwrap();
    assert_eq!((&event["TagId"], &event["Protocol"]), (&"047DAE02C84080".into(), &"NFC-A".into()));
    assert!(event["Uptime"].as_str().unwrap().starts_with("1:"), "{event}");

    // In two pieces, and two at once.
    host.write_all(b"{\"Leds\":\"0001").await.unwrap();
    host.write_all(b"0000\"}\r\n{}{\"Buzzer\":100}nonsense").await.unwrap();
    let wish = |record: &super::Record| record.events.iter().any(|event| matches!(event, Event::NoCommand(_)));
    let record = reader.wait_for(LIMIT, wish).await.unwrap();
    let told: Vec<String> = record.commands().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["LED green", "beep 100 ms"]);
    assert!(record.commands()[0].lights("green"));
}

#[tokio::test]
async fn only_one_host_is_served_and_the_next_one_after_it() {
    let (mut reader, mut host) = connected().await;
    let mut other = TcpStream::connect(reader.address()).await.unwrap();
    assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0, "turned away");
    reader.restart().await;
    assert_eq!(host.read(&mut [0; 1]).await.unwrap(), 0, "the reader lost power");
    reader.wait_for(LIMIT, |record| record.host.is_none()).await.unwrap();
    assert_eq!(reader.tap(&Tag::new("04")).await, Err(NotConnected));
    let mut next = TcpStream::connect(reader.address()).await.unwrap();
    reader.wait_for(LIMIT, |record| record.connections() == 2 && record.host.is_some()).await.unwrap();
    reader.tap(&Tag::new("04")).await.unwrap();
    assert!(hear(&mut next).await.contains("\"Uptime\":\"2:"), "it was started a second time");
}

#[tokio::test]
async fn over_http_the_answer_is_the_command_and_what_is_not_answered_is_told_again() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let url = format!("http://{}/r/secret", listener.local_addr().unwrap());
    let reader = HttpReader::new(HttpSettings { retries: 1, ..HttpSettings::new(&url) }).unwrap();
    let host = async {
        let mut heard = Vec::new();
        for answer in ["", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"Leds\":\"01000000\"}"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard.push(hear(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heard
    };
    let tag = Tag::new("04");
    let (call, heard) = tokio::join!(reader.tap(&tag), host);
    let Call::Answered(200, Some(command)) = call else { panic!("{call:?}") };
    assert!(command.lights("red"));
    let bodies: Vec<&str> = heard.iter().map(|request| request.split("\r\n\r\n").nth(1).unwrap()).collect();
    assert_eq!(bodies[0], bodies[1], "the same event");
    assert!(heard[0].starts_with("POST /r/secret ") && bodies[0].contains("\"Device\":\"DA1275B0\""), "{heard:?}");
    assert_eq!(reader.record().commands().len(), 1);
}
