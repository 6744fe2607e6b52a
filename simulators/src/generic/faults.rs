//! Misbehaving on purpose: what broken terminals, broken cables and strangers do to a server.

use std::str::FromStr;
use std::time::Duration;

use super::{GenericTerminal, NotConnected};

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 4 KiB of arbitrary bytes, the same each time.
    Rubbish,
    /// A card that comes a byte at a time, slowly.
    Pieces,
    /// A megabyte without a line end.
    Megabyte,
    /// A thousand cards, one a millisecond.
    Flood,
    /// Half a card number, then silence.
    HalfLine,
    /// No more reading and answering; the connection stays.
    Silence,
    /// The connection closed in good order.
    Drop,
    /// The connection torn down.
    Reset,
}

impl Fault {
    /// Every fault, by the name used on the command line.
    pub const ALL: [(&'static str, Self); 8] = [
        ("rubbish", Self::Rubbish),
        ("pieces", Self::Pieces),
        ("megabyte", Self::Megabyte),
        ("flood", Self::Flood),
        ("half-line", Self::HalfLine),
        ("silence", Self::Silence),
        ("drop", Self::Drop),
        ("reset", Self::Reset),
    ];
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|(known, _)| *known).collect();
            format!("there is no fault {name:?}; there are: {}", known.join(", "))
        })
    }
}

impl GenericTerminal {
    /// Misbehaves in this way. `card` is the number used where the fault sends one.
    pub async fn misbehave(&self, fault: Fault, card: &str) -> Result<(), NotConnected> {
        match fault {
            Fault::Rubbish => self.send(&rubbish(4096)).await,
            Fault::Pieces => self.send_in_pieces(format!("{card}\n").as_bytes(), 1, Duration::from_millis(100)).await,
            Fault::Megabyte => self.send(&vec![b'7'; 1024 * 1024]).await,
            Fault::Flood => self.flood(1000, Duration::from_millis(1)).await,
            Fault::HalfLine => {
                let half = card.len().div_ceil(2);
                self.send(&card.as_bytes().iter().copied().take(half).collect::<Vec<u8>>()).await?;
                self.go_silent();
                Ok(())
            }
            Fault::Silence => {
                self.go_silent();
                Ok(())
            }
            Fault::Drop => {
                self.drop_connection();
                Ok(())
            }
            Fault::Reset => {
                self.reset_connection();
                Ok(())
            }
        }
    }

    /// Shows many different cards, numbered from 1, with a pause after each.
    pub async fn flood(&self, count: u32, pause: Duration) -> Result<(), NotConnected> {
        // A clock, not a sleep each: the cards come as often as asked even where a sleep takes longer.
        let mut ticks = tokio::time::interval(pause.max(Duration::from_micros(1)));
        for number in 1..=count {
            ticks.tick().await;
            self.tap(&format!("FLOOD{number:06}")).await?;
        }
        Ok(())
    }
}

/// Arbitrary bytes, every value among them, the same at each call (xorshift).
pub(super) fn rubbish(count: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()
    })
    .flatten()
    .take(count)
    .collect()
}
