//! Write a Cardinal reader driver in Rust: implement [`Driver`], name it to [`driver!`].
//!
//! A driver turns what happened ([`Input`]) into what should happen ([`Outputs`]) and does no I/O: the host owns the
//! socket, the HTTP exchanges and the clock. This crate owns the contract as Rust types and the glue that makes a
//! component of a driver. It must never give a driver anything to call out to: a component built with it imports nothing.
//!
//! ```
//! use cardinal_sdk::prelude::*;
//!
//! /// Sends each byte back.
//! struct Echo;
//!
//! impl Driver for Echo {
//!     fn manifest() -> Manifest {
//!         Manifest::new("acme", "echo", "1.0.0", "Sends each byte back")
//!             .mode(Mode::new("echo", "Echo", "For trying a connection.").transport(Transport::Dial(7)))
//!     }
//!
//!     fn open(_: Context) -> Result<Self, Fault> {
//!         Ok(Self)
//!     }
//!
//!     fn handle(&mut self, _: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
//!         if let Input::Received(bytes) = input {
//!             out.send(bytes);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! cardinal_sdk::driver!(Echo);
//! # fn main() {}
//! ```
//!
//! Inputs may bring codes that a driver does not know (a verdict's, say): treat one as the nearest general one.

#[doc(hidden)] // for `driver!` alone
pub mod bindings;
mod build;
mod escape;
#[doc(hidden)] // for `driver!` alone
pub mod export;
mod outputs;
mod settings;
pub mod state;

pub use bindings::exports::cardinal::reader::driver::{
    Answer, Bits, Call, Card, Command, Context, Fault, Fetch, Fetched, Header, Id, Input, Keepalive, Log, Manifest,
    Millis, Mode, Output, Pair, Response, Setting, Status, Timer, Transport, Typed, Verdict,
};
pub use escape::{bytes_of, text_of};
pub use outputs::Outputs;
pub use settings::Settings;

/// What nearly every driver uses.
pub mod prelude {
    pub use crate::{
        Call, Card, Command, Context, Driver, Fault, Fetch, Fetched, Id, Input, Manifest, Millis, Mode, Outputs,
        Response, Setting, Settings, Transport, Verdict,
    };
}

/// A reader driver: the state of one reader's session, and what it makes of each thing that happens.
///
/// With the same context, clock readings and inputs it must give the same outputs: no randomness but the bytes of
/// [`Input::Connected`], no clock but `now`, nothing shared between sessions.
pub trait Driver: Sized + 'static {
    /// What this driver is: its name, modes and settings. Asked once, at installation; must not depend on anything.
    fn manifest() -> Manifest;

    /// A new session, or the one that `context.saved` describes.
    ///
    /// # Errors
    /// A setting or saved state that cannot be used. The host keeps what was running, or reports and retries later.
    fn open(context: Context) -> Result<Self, Fault>;

    /// Take one input at this reading of the clock and say what should happen.
    ///
    /// # Errors
    /// Something after which the session cannot go on: its connection is closed and a fresh session begins. Outputs put
    /// out before a fault are dropped; to end with them, use [`Outputs::close`].
    fn handle(&mut self, now: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault>;

    /// Everything needed to go on elsewhere ([`state`] helps), or none if that cannot be done now. A driver that leaves
    /// this out never sleeps while idle, and changes its version only with a new connection.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }
}

/// Makes this type, a [`Driver`], what the crate's component exports. Once in a crate; does nothing in a native build.
#[macro_export]
macro_rules! driver {
    ($driver:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)] // the exports of the component model are raw functions
        const _: () = {
            type Exported = $crate::export::Exported<$driver>;
            $crate::bindings::export_driver! { Exported with_types_in $crate::bindings }
        };
    };
}
