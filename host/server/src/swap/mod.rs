//! A swap: the readers of a driver go on in another of its versions while they run, a few first, and back by itself where
//! those do worse.
//!
//! ```text
//! check every reader's settings ─▶ canaries go on in it ─▶ watch them ─▶ it becomes the chosen one ─▶ the rest go on in it
//!                                        └──────── worse, failed, or called off ─▶ all go back ◀────────┘
//! ```
//!
//! A host that stops in the middle of a swap starts with the version that was chosen by then.

mod judge;
mod roll;
mod run;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardinal_domain::{
    names::ReaderName,
    site::{DriverRef, Reader},
    time::Timestamp,
};
use cardinal_runtime::Driver;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::judge::Tally;
use self::{roll::Stayed, run::Run};
use crate::{host::Host, readers};

/// What is wanted of a swap.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapBody {
    /// The version, which is installed.
    pub to: String,
    /// The readers that try it first; none: one of those that are connected.
    #[serde(default)]
    pub canary: Canary,
    /// How long they try it before the rest follow, in seconds.
    #[serde(default)]
    pub for_seconds: u64,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which readers try a version first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Canary {
    /// One that is connected.
    #[default]
    One,
    /// These.
    Readers(Vec<ReaderName>),
    /// So many in a hundred, at least one.
    Percent(u8),
}

/// Where a swap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing was changed: it was only asked what would be done.
    Planned,
    /// The first readers try the version.
    Canary,
    /// The others follow.
    Rolling,
    /// The readers go back to the version before.
    RollingBack,
    /// Every reader that could runs the version.
    Done,
    /// The readers run the version before; `why` says why.
    RolledBack,
}

impl Stage {
    /// Whether nothing more happens.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Planned | Self::Done | Self::RolledBack)
    }
}

/// How a swap is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SwapView {
    /// `vendor/name`.
    pub driver: String,
    /// The version before.
    pub from: String,
    /// The version that is tried.
    pub to: String,
    /// Where it stands.
    pub stage: Stage,
    /// Why it was rolled back.
    pub why: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Until when the first readers try it at most.
    pub canary_until: Option<Timestamp>,
    /// The readers that try it first.
    pub canaries: Vec<ReaderName>,
    /// What they did with it.
    pub tried: Tally,
    /// The readers that are to run it.
    pub readers: usize,
    /// Of these, the sessions that went on in it.
    pub moved: usize,
    /// Readers that have no session to go on with; they take it with their next one.
    pub next_time: usize,
    /// Readers that stay in the version before until their next connection, and why; the first of them.
    pub stay: Vec<Stayed>,
    /// How many these are.
    pub staying: usize,
    /// Readers that name a version of their own, and are not touched.
    pub pinned: usize,
}

/// Why a swap does not begin.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Conflict(String),
}

/// The swaps of this host, the last one of each driver.
#[derive(Default)]
pub struct Swaps(Mutex<BTreeMap<String, Swap>>);

#[derive(Clone)]
struct Swap {
    view: Arc<Mutex<SwapView>>,
    call_off: CancellationToken,
}

impl Swaps {
    /// Begins a swap, or says what it would do. It goes on by itself.
    ///
    /// # Errors
    /// Why it does not begin. Nothing was changed then.
    pub fn start(&self, host: &Arc<Host>, id: &str, body: &SwapBody) -> Result<SwapView, SwapError> {
        if let Some(SwapView { to, .. }) = self.under_way(id) {
            let message = format!(
                "a swap of {id} to {to} is under way; wait for it, or call it off: `cardinal driver swap {id} --call-off`"
            );
            return Err(SwapError::Conflict(message));
        }
        // Not under the lock: it takes its time. Who begins a swap holds `applying`, so that no other begins meanwhile.
        let run = plan(host, id, body)?;
        let view = lock(&run.view).clone();
        if !body.dry_run {
            self.lock().insert(id.to_owned(), Swap { view: Arc::clone(&run.view), call_off: run.call_off.clone() });
            tokio::spawn(run.go());
        }
        Ok(view)
    }

    /// How the last swap of a driver is.
    pub fn view(&self, id: &str) -> Option<SwapView> {
        self.lock().get(id).map(|swap| lock(&swap.view).clone())
    }

    /// The swap of a driver (`vendor/name`) that is not over.
    pub fn under_way(&self, id: &str) -> Option<SwapView> {
        self.view(id).filter(|view| !view.stage.is_over())
    }

    /// Calls a swap off: its readers go back. False: none is under way.
    pub fn call_off(&self, id: &str) -> bool {
        let swaps = self.lock();
        let Some(swap) = swaps.get(id) else { return false };
        // Held until it is told: the swap either is over, or goes back.
        let view = lock(&swap.view);
        if !view.stage.is_over() {
            swap.call_off.cancel();
        }
        !view.stage.is_over()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Swap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(view: &Mutex<SwapView>) -> MutexGuard<'_, SwapView> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a swap does, if nothing comes in between.
fn plan(host: &Arc<Host>, id: &str, body: &SwapBody) -> Result<Run, SwapError> {
    let drivers = &host.services.drivers;
    let reference = |version| DriverRef { id: id.to_owned(), version };
    let to = drivers.find(&reference(Some(body.to.clone()))).map_err(SwapError::Refused)?;
    let readers = followers(host, id);
    check_all(host, &to, &readers).map_err(|problem| SwapError::Refused(format!("nothing was changed: {problem}")))?;
    let names = names(&readers);
    let from = drivers.find(&reference(None));
    let canaries = match &from {
        Ok(_) => choose(host, &names, body)?,
        Err(_) if matches!(&body.canary, Canary::One) && body.for_seconds == 0 => Vec::new(),
        // Its readers stand still: there is nothing to compare with, and nothing to go back to.
        Err(why) => {
            let message = format!("{why}. So no reader can try another version first; leave --canary and --for out");
            return Err(SwapError::Refused(message));
        }
    };
    let setup = host.services.store.setup();
    let pinned = setup.readers.values().filter(|spec| spec.enabled && spec.driver.id == id && !follows(spec, id));
    let view = SwapView {
        driver: id.to_owned(),
        from: drivers.chosen(id).unwrap_or_default(),
        to: to.manifest().version.clone(),
        stage: if body.dry_run { Stage::Planned } else { Stage::Canary },
        why: None,
        began: Timestamp::now(),
        ended: None,
        canary_until: None,
        canaries: canaries.clone(),
        tried: Tally::default(),
        readers: names.len(),
        moved: 0,
        next_time: 0,
        stay: Vec::new(),
        staying: 0,
        pinned: pinned.count(),
    };
    Ok(Run {
        host: Arc::clone(host),
        from: from.ok(),
        to,
        canaries,
        tries: std::time::Duration::from_secs(body.for_seconds),
        view: Arc::new(Mutex::new(view)),
        call_off: host.stopping.child_token(),
    })
}

/// Whether a reader runs the chosen version of this driver (`vendor/name`).
fn follows(spec: &Reader, id: &str) -> bool {
    spec.enabled && spec.driver.id == id && spec.driver.version.is_none()
}

/// The readers that run the chosen version of this driver, as they are configured now.
fn followers(host: &Host, id: &str) -> Vec<Arc<Reader>> {
    host.services.store.setup().readers.values().filter(|spec| follows(spec, id)).cloned().collect()
}

fn names(readers: &[Arc<Reader>]) -> Vec<ReaderName> {
    readers.iter().map(|reader| reader.name.clone()).collect()
}

/// How many readers whose configuration does not fit are named.
const PROBLEMS_TOLD: usize = 10;

/// Every reader's configuration fits the version, before anything moves.
fn check_all(host: &Host, to: &Driver, readers: &[Arc<Reader>]) -> Result<(), String> {
    let problem = |reader: &Arc<Reader>| {
        let problem = readers::prepare(to.clone(), &host.services.config, reader).err()?;
        Some(format!("{}: {problem}", reader.name))
    };
    let problems: Vec<_> = readers.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(PROBLEMS_TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let told: Vec<_> = problems.iter().take(PROBLEMS_TOLD).map(String::as_str).collect();
    let (label, told) = (to.label(), told.join("; "));
    Err(format!("readers do not fit {label}: {told}{more}"))
}

/// The readers that try it first: such as are connected, spread over all of them.
fn choose(host: &Host, readers: &[ReaderName], body: &SwapBody) -> Result<Vec<ReaderName>, SwapError> {
    let is_connected = |reader: &&ReaderName| host.sessions.runs(reader).is_some();
    let connected: Vec<_> = readers.iter().filter(is_connected).collect();
    let is_tried = body.for_seconds > 0 || body.canary != Canary::One;
    let count = match &body.canary {
        Canary::Readers(named) => {
            if let Some(stranger) = named.iter().find(|name| !readers.contains(name)) {
                let message = format!("{stranger} is no reader that runs the chosen version of this driver");
                return Err(SwapError::Refused(message));
            }
            if !named.is_empty() && !named.iter().any(|name| connected.contains(&name)) {
                return Err(SwapError::Refused("none of the readers that are to try it is connected".to_owned()));
            }
            return Ok(named.clone());
        }
        Canary::Percent(percent) if !(1..=99).contains(percent) => {
            return Err(SwapError::Refused("the canary is 1 to 99 percent of the readers".to_owned()));
        }
        _ if is_tried && connected.is_empty() && !readers.is_empty() => {
            let message =
                "no reader that could try it is connected; leave --canary and --for out to choose it all the same";
            return Err(SwapError::Refused(message.to_owned()));
        }
        Canary::Percent(percent) => (readers.len() * usize::from(*percent)).div_ceil(100),
        Canary::One => 1,
    };
    let count = count.min(connected.len());
    let spread = |index: usize| connected.get(index * connected.len() / count.max(1)).map(|name| (*name).clone());
    Ok((0..count).filter_map(spread).collect())
}
