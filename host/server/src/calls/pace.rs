//! How fast a reader may call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::sessions::{Flood, Meter};

/// A reader's allowance of calls.
pub(super) struct Pace {
    meter: Meter,
    flood: Flood,
}

/// Whether a call may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Go,
    /// Not now; a flood begins with it, or has begun already.
    NotNow {
        begins: bool,
    },
}

impl Pace {
    pub(super) fn new(calls_per_second: u64, calm_ms: u64) -> Self {
        let meter = Meter::new(calls_per_second, Duration::from_secs(1), calls_per_second);
        Self { meter, flood: Flood::new(calm_ms) }
    }

    /// A call came.
    pub(super) fn call(&mut self) -> May {
        if self.meter.wait().is_some() {
            return May::NotNow { begins: self.flood.crossed() };
        }
        self.meter.take(1);
        May::Go
    }
}

/// Waits until the flood that began is over; answers how long it lasted.
pub(super) async fn over(pace: Arc<Mutex<Pace>>) -> Option<Duration> {
    loop {
        let at = pace.lock().unwrap_or_else(PoisonError::into_inner).flood.over_at()?;
        tokio::time::sleep_until(at).await;
        let lasted = pace.lock().unwrap_or_else(PoisonError::into_inner).flood.over();
        if lasted.is_some() {
            return lasted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_calls_begins_once_and_ends() {
        let pace = Arc::new(Mutex::new(Pace::new(10, 1_000)));
        let call = || pace.lock().unwrap().call();
        for _ in 0..10 {
            assert_eq!(call(), May::Go);
        }
        assert_eq!(call(), May::NotNow { begins: true });
        let over = tokio::spawn(over(Arc::clone(&pace)));
        assert_eq!(call(), May::NotNow { begins: false });
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..5 {
            assert_eq!(call(), May::Go);
        }
        assert_eq!(call(), May::NotNow { begins: false });
        assert_eq!(over.await.unwrap().map(|lasted| lasted.as_millis()), Some(500));
        assert_eq!(call(), May::Go);
    }
}
