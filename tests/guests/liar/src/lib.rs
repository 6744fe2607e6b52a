//! A driver that cannot even say what it is: its `describe` traps. Never installed anywhere.

use cardinal_sdk::prelude::*;

/// Never opened.
pub struct Liar;

impl Driver for Liar {
    #[allow(clippy::panic, reason = "this is the trap")]
    fn manifest() -> Manifest {
        panic!("a driver that does not know what it is")
    }

    fn open(_: Context) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn handle(&mut self, _: u64, _: Input, _: &mut Outputs) -> Result<(), Fault> {
        Ok(())
    }
}

cardinal_sdk::driver!(Liar);
