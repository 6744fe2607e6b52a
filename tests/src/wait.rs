//! Waiting for a thing to happen, never for a time to pass.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take. A passing test waits for what it wants and no longer; a loaded machine needs the room.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How often a thing is looked at that cannot tell by itself.
pub const LOOK: Duration = Duration::from_millis(10);

/// Looks again and again until there is what is wanted. Panics after [`LIMIT`] with `what` was waited for.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(LIMIT, what, look).await
}

/// The same with another limit, for what is large on purpose.
pub async fn until_within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        sleep(LOOK).await;
    }
}
