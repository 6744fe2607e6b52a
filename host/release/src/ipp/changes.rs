//! When a queue last changed: its configuration (`printer-config-change-time`, PWG 5100.13) and its state
//! (`printer-state-change-time`).
//!
//! Clients ask so that they need not ask for everything. Nobody tells this part of changes; it notices one when the next
//! client looks, which is before any client could have told the difference. A host that starts counts as a change.

use std::{collections::HashMap, sync::Mutex};

use cardinal_domain::{names::QueueName, site::Queue, time::Timestamp};

use crate::engine::lock;

/// What clients saw last, by queue.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    seen: Mutex<HashMap<QueueName, Seen>>,
}

#[derive(Debug)]
struct Seen {
    config: Queue,
    state: i32,
    changed: Changed,
}

/// When something last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) config: Timestamp,
    pub(crate) state: Timestamp,
}

impl Changes {
    /// A client looks at a queue that is in this state (`printer-state`).
    pub(crate) fn look(&self, queue: &Queue, state: i32, now: Timestamp) -> Changed {
        let mut all = lock(&self.seen);
        let fresh = || Seen { config: queue.clone(), state, changed: Changed { config: now, state: now } };
        let seen = all.entry(queue.name.clone()).or_insert_with(fresh);
        if seen.config != *queue {
            seen.config = queue.clone();
            seen.changed.config = now;
        }
        if seen.state != state {
            seen.state = state;
            seen.changed.state = now;
        }
        seen.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_its_time_and_a_look_has_none() {
        let changes = Changes::default();
        let mut queue: Queue = serde_json::from_str(r#"{"name":"find-me"}"#).unwrap();
        let at = |config, state| Changed { config: Timestamp(config), state: Timestamp(state) };
        assert_eq!(changes.look(&queue, 3, Timestamp(1)), at(1, 1));
        assert_eq!(changes.look(&queue, 3, Timestamp(2)), at(1, 1));
        assert_eq!(changes.look(&queue, 4, Timestamp(3)), at(1, 3));
        queue.hold = false;
        assert_eq!(changes.look(&queue, 4, Timestamp(4)), at(4, 3));
        assert_eq!(changes.look(&queue, 4, Timestamp(5)), at(4, 3));
    }
}
