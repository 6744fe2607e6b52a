//! Cards at a steady rate, whether or not verdicts come, and what became of each.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{DRAIN, Order, card};
use crate::field::{Field, Told};

/// The verdict of a card whose user has nothing to print.
const NOTHING_HELD: u8 = b'b';

/// What came of the cards. A terminal shows none while its last one waits, so each verdict is of one card.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Load {
    /// For how many seconds cards were shown.
    pub(crate) seconds: f64,
    /// How many each terminal showed.
    pub(crate) shown: Vec<u32>,
    /// Turns of terminals whose card before still waited.
    pub(crate) waiting: usize,
    /// Turns of terminals that had no connection.
    pub(crate) gone: usize,
    /// The verdicts.
    pub(crate) verdicts: Vec<Verdict>,
    /// Of these, such as a card of a known user does not have.
    pub(crate) strange: usize,
    /// Verdicts that no card waited for.
    pub(crate) doubled: usize,
    /// Connections that ended meanwhile.
    pub(crate) closed: usize,
}

/// A card that has its verdict.
#[derive(Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// When the card was shown, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Microseconds until its verdict came.
    pub(crate) micros: f64,
}

impl Verdict {
    /// When it came, in milliseconds since 1970.
    pub(crate) fn came_ms(&self) -> i64 {
        self.at_ms + (self.micros / 1e3) as i64
    }
}

impl Load {
    /// How many cards were shown.
    pub(crate) fn cards(&self) -> usize {
        self.shown.iter().map(|shown| *shown as usize).sum()
    }

    /// How many of these have no verdict.
    pub(crate) fn lost(&self) -> usize {
        self.cards().saturating_sub(self.verdicts.len())
    }

    /// What was kept of this rate, for people.
    pub(crate) fn kept(&self, rate: u32) -> String {
        let each_second = |count: usize| count as f64 / self.seconds.max(0.001);
        format!(
            "{rate} cards a second wanted, {:.0} shown, over {:.0} s; turns left out: {} as the card before still waited, {} \
             without a connection",
            each_second(self.cards()),
            self.seconds,
            self.waiting,
            self.gone
        )
    }
}

/// Shows cards, so many a second, at the first so many terminals in turn, until the next order or the end of them.
pub(super) async fn run(
    field: &mut Field,
    rate: u32,
    terminals: usize,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Result<Load> {
    ensure!(rate > 0 && terminals > 0, "a load of {rate} cards a second at {terminals} terminals is none");
    let (begun, began_at) = (Instant::now(), SystemTime::now());
    let began_ms = began_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let (closed, surplus) = (field.closed(), field.surplus());
    let mut load = Load { shown: vec![0; terminals], ..Load::default() };
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut turns = (0..terminals).cycle();
    let mut ends = None;
    loop {
        tokio::select! {
            _ = ticks.tick(), if ends.is_none() => {
                let Some(terminal) = turns.next() else { break };
                if field.waits(terminal) {
                    load.waiting += 1;
                } else if field.shows(terminal, &card(terminal).to_string()).await.is_err() {
                    load.gone += 1;
                } else if let Some(shown) = load.shown.get_mut(terminal) {
                    *shown += 1;
                }
            }
            told = field.told() => {
                let Told { sent, took, verdict } = told?;
                let since = sent.saturating_duration_since(begun);
                load.strange += usize::from(verdict != NOTHING_HELD);
                load.verdicts.push(Verdict {
                    at_ms: began_ms + since.as_millis() as i64,
                    micros: took.as_secs_f64() * 1e6,
                });
            }
            // The end, or nobody is left who could tell it.
            _ = orders.recv(), if ends.is_none() => {
                load.seconds = begun.elapsed().as_secs_f64();
                ends = Some(tokio::time::Instant::now() + DRAIN);
            }
            () = until(ends) => break,
        }
        if ends.is_some() && load.lost() == 0 {
            break;
        }
    }
    // A verdict too many comes close behind the one that was due.
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.doubled = field.surplus() - surplus;
    load.closed = field.closed() - closed;
    Ok(load)
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
