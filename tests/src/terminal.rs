//! Simulated terminals with what tests ask of them. The terminals themselves are `cardinal_simulators`.

use std::net::{Ipv4Addr, SocketAddr};

use cardinal_simulators::generic::{GenericTerminal, Settings};

use crate::wait::LIMIT;

/// A terminal that waits for the host at a free port.
pub async fn listening() -> GenericTerminal {
    at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// A terminal that waits for the host at this address.
pub async fn at(address: SocketAddr) -> GenericTerminal {
    GenericTerminal::listen(address, Settings::default()).await.expect("a terminal can listen")
}

/// What tests ask of a terminal. Everything panics with what happened to the terminal when it comes to nothing.
pub trait Terminal {
    /// Waits until the host has connected.
    fn is_connected(&self) -> impl Future<Output = ()>;
    /// Waits until there have been so many connections, and one stands.
    fn was_connected(&self, times: usize) -> impl Future<Output = ()>;
    /// Shows a card.
    fn shows(&self, card: &str) -> impl Future<Output = ()>;
    /// Shows a card and waits for the answer, which must be this and nothing else.
    fn shows_and_hears(&self, card: &str, answer: &str) -> impl Future<Output = ()>;
    /// Waits until something was received so often.
    fn hears(&self, answer: &str, times: usize) -> impl Future<Output = ()>;
    /// How often something was received so far.
    fn heard(&self, answer: &str) -> usize;
}

impl Terminal for GenericTerminal {
    async fn is_connected(&self) {
        self.connected(LIMIT).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn was_connected(&self, times: usize) {
        let wish =
            |record: &cardinal_simulators::generic::Record| record.connections() >= times && record.server.is_some();
        self.wait_for(LIMIT, wish).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn shows(&self, card: &str) {
        self.tap(card).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn shows_and_hears(&self, card: &str, answer: &str) {
        let before = self.record().received.len();
        self.shows(card).await;
        let heard = self.wait_for(LIMIT, |record| record.received.len() >= before + answer.len()).await;
        let heard =
            heard.unwrap_or_else(|error| panic!("no {answer:?} for {card}: {error}")).received.split_off(before);
        assert_eq!(heard.escape_ascii().to_string(), answer, "for {card}");
    }

    async fn hears(&self, answer: &str, times: usize) {
        if self.wait_for(LIMIT, |record| count(&record.received, answer) >= times).await.is_err() {
            let record = self.record();
            let last: Vec<String> = record.events.iter().rev().take(20).rev().map(ToString::to_string).collect();
            panic!("{answer:?} came {} times, not {times}; lately:\n  {}", self.heard(answer), last.join("\n  "));
        }
    }

    fn heard(&self, answer: &str) -> usize {
        count(&self.record().received, answer)
    }
}

fn count(received: &[u8], answer: &str) -> usize {
    String::from_utf8_lossy(received).matches(answer).count()
}
