//! Runs a reader driver from trace files, natively and as the built component.
//!
//! A trace file (the form is told in [`cardinal_domain::trace`]) says what a session is opened with, what happens, and what
//! the driver must answer. Running it is the runtime's `replay`, which `cardinal driver test` uses, too; the kit adds the
//! driver as plain Rust, and tests that cargo runs. It must never judge what is right: the trace does.
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

pub use cardinal_domain::{driver, trace};
pub use cardinal_runtime::replay::{ReplayError, Session, Stop, Subject, replay};
pub use check::{CheckFailed, check, check_dir};
pub use component::{Component, ComponentError, components};
pub use feed::{cards, cut, feed};
pub use native::Native;

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
