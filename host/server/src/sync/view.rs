//! What is told of a sync.

use std::fmt;

use cardinal_directory::{Figures, Scope, Snapshot};
use cardinal_domain::{
    names::SourceName,
    sync::{Conflict, Counts, Held, Plan, Total},
    time::Timestamp,
};
use cardinal_store::SyncRun;
use serde::{Deserialize, Serialize};

/// How many conflicts are told of one by one.
const MOST_CONFLICTS: usize = 1_000;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$of:meta])* $variant:ident $word:literal)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $type { $($(#[$of])* #[serde(rename = $word)] $variant,)* }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word,)* })
            }
        }

        impl $type {
            fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What a sync is to do.
    Kind {
        /// Say what it would change.
        Test "test"
        /// Change it.
        Now "now"
        /// The same, of what changed in the sources since the last one; who can tell that is asked for that alone.
        Changes "changes"
        /// What happens each night.
        Nightly "nightly"
        /// Take the last one back.
        Undo "undo"
    }
}

words! {
    /// What became of a sync.
    Outcome {
        /// Sources are being read.
        Reading "reading"
        /// Its plan is being made, or carried out: it cannot be called off any more.
        Working "working"
        /// It was to say what it would change, and has.
        Planned "planned"
        /// Nothing differs.
        Nothing "nothing"
        /// Its plan waits for somebody's word.
        Waits "waits"
        /// Its plan is carried out.
        Applied "applied"
        /// It came to no plan, and changed nothing.
        Failed "failed"
        /// It was called off before it had a plan, and changed nothing.
        CalledOff "called-off"
        /// Users have changed since its plan was made: it is of no use any more.
        Stale "stale"
    }
}

impl Outcome {
    /// Whether nothing happens by itself any more.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Reading | Self::Working)
    }
}

/// How a sync is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncView {
    /// Its number in the history, once it has one.
    pub number: Option<i64>,
    pub kind: Kind,
    pub outcome: Outcome,
    /// Why, where there is something to say.
    pub why: String,
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
    /// Of its plan.
    pub digest: String,
    /// The run that it takes back.
    pub undoes: Option<i64>,
    /// The run that took it back.
    pub undone_by: Option<i64>,
    pub told: Told,
}

/// What a sync read, and what there is to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Whether it was to remove, too.
    pub remove: bool,
    pub sources: Vec<SourceRead>,
    pub counts: Counts,
    pub totals: Vec<Total>,
    /// The first of them; `counts` says how many there are.
    pub conflicts: Vec<Conflict>,
    pub held: Vec<Held>,
}

/// What was read of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceRead {
    pub source: SourceName,
    pub server: String,
    /// Whether it was read from its beginning to its end.
    pub whole: bool,
    pub pages: u64,
    pub entries: u64,
    /// Of how many, where that is known while it is read.
    pub of: Option<u64>,
    pub users: u64,
    pub groups: u64,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
}

impl SourceRead {
    pub(super) fn under_way(source: &SourceName, figures: &Figures) -> Self {
        Self {
            source: source.clone(),
            server: figures.server.clone(),
            whole: false,
            pages: figures.pages,
            entries: figures.entries,
            of: figures.of,
            users: 0,
            groups: 0,
            took_ms: 0,
        }
    }

    pub(super) fn of(snapshot: &Snapshot, took_ms: u64) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Self {
            whole: snapshot.scope == Scope::Whole,
            users: count(snapshot.people.len()),
            groups: count(snapshot.groups.len()),
            took_ms,
            ..Self::under_way(&snapshot.source, &snapshot.figures)
        }
    }
}

impl Told {
    /// Takes what a plan comes to.
    pub(super) fn take(&mut self, plan: &mut Plan) {
        self.counts = plan.counts();
        self.totals = std::mem::take(&mut plan.totals);
        self.conflicts = std::mem::take(&mut plan.conflicts);
        self.conflicts.truncate(MOST_CONFLICTS);
        self.held = std::mem::take(&mut plan.held);
    }
}

impl SyncView {
    pub(super) fn begun(kind: Kind, remove: bool, began: Timestamp) -> Self {
        Self {
            number: None,
            kind,
            outcome: Outcome::Reading,
            why: String::new(),
            began,
            ended: None,
            digest: String::new(),
            undoes: None,
            undone_by: None,
            told: Told { remove, ..Told::default() },
        }
    }
}

impl From<SyncRun> for SyncView {
    fn from(run: SyncRun) -> Self {
        Self {
            number: Some(run.number),
            // What a later version wrote is shown as what it most likely is.
            kind: Kind::of(&run.kind).unwrap_or(Kind::Now),
            outcome: Outcome::of(&run.outcome).unwrap_or(Outcome::Failed),
            why: run.why,
            began: run.began,
            ended: Some(run.ended),
            digest: run.digest,
            undoes: run.undoes,
            undone_by: run.undone_by,
            told: serde_json::from_str(&run.told).unwrap_or_default(),
        }
    }
}
