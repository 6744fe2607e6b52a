//! Runs a reader driver from trace files, natively and as the built component.
//!
//! A trace file (the form is told in [`cardinal_domain::trace`]) says what a session is opened with, what happens, and what
//! the driver must answer. The kit owns running it and showing the first difference; it runs the component in the real
//! runtime under the usual bounds. It must never judge what is right: the trace does.
//!
//! In a driver's crate, with the traces in `traces/*.trace`:
//!
//! ```ignore
//! cardinal_testkit::traces!(MyDriver);
//! ```
//!
//! `CARDINAL_BLESS=1 cargo test` writes what the driver answered into the traces, to be read before it is committed.
//! [`feed`] runs a stream of bytes cut at arbitrary places, for property tests.

mod check;
mod component;
mod feed;
mod native;
mod replay;

use cardinal_domain::driver::{Context, Fault, Input, Manifest, Millis, Output};

pub use cardinal_domain::{driver, trace};
pub use check::{CheckFailed, check, check_dir};
pub use component::{Component, ComponentError, components};
pub use feed::{cards, cut, feed};
pub use native::Native;
pub use replay::{ReplayError, replay};

/// A driver that traces can be run with.
pub trait Subject {
    /// How it runs, for messages: `natively` or `as a component`.
    fn how(&self) -> &'static str;

    /// What the driver says of itself.
    ///
    /// # Errors
    /// A manifest that no host would take, in words.
    fn manifest(&self) -> Result<Manifest, String>;

    /// A new session.
    ///
    /// # Errors
    /// A fault of the driver, or something worse.
    fn open(&self, context: Context) -> Result<Box<dyn Session>, Stop>;
}

/// A session of a [`Subject`].
pub trait Session {
    /// One input.
    ///
    /// # Errors
    /// A fault of the driver, or something worse. The session is over.
    fn handle(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, Stop>;

    /// The driver's state, if it can be saved now.
    ///
    /// # Errors
    /// Something went wrong. The session is over.
    fn save(&mut self) -> Result<Option<Vec<u8>>, Stop>;

    /// Goes on in a new instance, opened with what was saved.
    ///
    /// # Errors
    /// A fault of the driver, or something worse. The session is over.
    fn reopen(&mut self, context: Context) -> Result<(), Stop>;
}

/// Why a session ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The driver said so.
    Fault(Fault),
    /// A trap, a crossed bound or a broken contract: no trace can expect that.
    Broken(String),
}

/// A test that runs every `traces/*.trace` of this crate, natively and as the component of this package.
#[macro_export]
macro_rules! traces {
    ($driver:ty) => {
        #[test]
        fn traces() {
            let folder = ::std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
            if let Err(failed) = $crate::check_dir::<$driver>(env!("CARGO_PKG_NAME"), &folder) {
                panic!("{failed}");
            }
        }
    };
}
