//! The sessions of many readers go on in one version, each at its own quiet point.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cardinal_domain::names::ReaderName;
use cardinal_runtime::Driver;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::follows;
use crate::{host::Host, sessions::Stays};

/// Sessions that are asked at one time: each is two instances for a moment.
const AT_ONCE: usize = 16;
/// How long one session may take to come to a quiet point before others are asked; then it is asked again.
const TURN: Duration = Duration::from_secs(2);
/// How long is tried in all with sessions that come to none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before those that could not yet are asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// A reader whose session stays in its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stayed {
    pub reader: ReaderName,
    pub why: String,
}

/// What became of many readers.
#[derive(Default)]
pub struct Rolled {
    /// They went on in the version.
    pub moved: usize,
    /// They had no session; their next one is in the version that they are to run then.
    pub next_time: usize,
    /// Their next connection is in that version, this one is not.
    pub stay: Vec<Stayed>,
    /// Of these, those on which the version failed.
    pub failed: usize,
}

/// What one session was asked for came to.
enum Asked {
    Moved,
    /// It was gone, or never came to a quiet point.
    NotYet,
    Stays(Stays),
}

/// Brings the sessions of these readers into a version. Ends early where `stop` says so, or more than `most_failures` fail.
pub async fn roll(
    host: &Arc<Host>,
    readers: &[ReaderName],
    to: &Driver,
    most_failures: usize,
    stop: &CancellationToken,
    mut told: impl FnMut(&Rolled),
) -> Rolled {
    let mut rolled = Rolled::default();
    let id = to.manifest().id();
    let mut settled = BTreeSet::new();
    let until = Instant::now() + PATIENCE;
    loop {
        // Some may have been given another driver meanwhile, or a version of their own.
        let setup = host.services.store.setup();
        let is_to_move = |reader: &&ReaderName| {
            setup.readers.get(*reader).is_some_and(|spec| follows(spec, &id))
                && host.sessions.runs(reader).is_some_and(|digest| digest != to.digest())
                && !settled.contains(*reader)
        };
        let mut pending: Vec<_> = readers.iter().filter(is_to_move).cloned().collect();
        if pending.is_empty() || stop.is_cancelled() || rolled.failed > most_failures {
            break;
        }
        if Instant::now() >= until {
            let why = || "it came to no quiet point, or its driver cannot be saved".to_owned();
            rolled.stay.extend(pending.into_iter().map(|reader| Stayed { reader, why: why() }));
            break;
        }
        let mut asked = JoinSet::new();
        let mut not_yet = false;
        loop {
            while asked.len() < AT_ONCE
                && rolled.failed <= most_failures
                && !stop.is_cancelled()
                && let Some(reader) = pending.pop()
            {
                let (host, to) = (Arc::clone(host), to.clone());
                asked.spawn(async move {
                    let came_of_it = ask(&host, &reader, to).await;
                    (reader, came_of_it)
                });
            }
            // Also where it ends early all answers are waited for: whoever rolls back must find no session half way.
            let Some(answer) = asked.join_next().await else { break };
            let Ok((reader, came_of_it)) = answer else { continue };
            match came_of_it {
                Asked::Moved => rolled.moved += 1,
                Asked::NotYet | Asked::Stays(Stays::NotNow) => not_yet = true,
                Asked::Stays(stays) => {
                    rolled.failed += usize::from(matches!(stays, Stays::Failed(_)));
                    settled.insert(reader.clone());
                    rolled.stay.push(Stayed { reader, why: stays.to_string() });
                }
            }
            told(&rolled);
        }
        if not_yet {
            tokio::time::sleep(PAUSE).await;
        }
    }
    rolled.next_time = readers.iter().filter(|reader| host.sessions.runs(reader).is_none()).count();
    told(&rolled);
    rolled
}

async fn ask(host: &Host, reader: &ReaderName, to: Driver) -> Asked {
    let Some(moving) = host.sessions.move_to(reader, to) else { return Asked::NotYet };
    match moving.begins_within(TURN).await {
        Some(Ok(())) => Asked::Moved,
        Some(Err(stays)) => Asked::Stays(stays),
        None => Asked::NotYet,
    }
}
