//! A [`Driver`] behind the contract's exports: one generic shell, so that the macro has next to nothing to expand to.

use std::{cell::RefCell, marker::PhantomData};

use crate::{
    Context, Driver, Fault, Input, Manifest, Millis, Output, Outputs,
    bindings::exports::cardinal::reader::driver::{Guest, GuestSession, Session},
};

/// The component that exports the driver `D`.
#[derive(Debug)]
pub struct Exported<D>(PhantomData<D>);

/// A session of `D`. The contract's methods share the session; calls come one at a time.
#[derive(Debug)]
pub struct Shared<D>(RefCell<D>);

impl<D: Driver> Guest for Exported<D> {
    type Session = Shared<D>;

    fn describe() -> Manifest {
        D::manifest()
    }
}

impl<D: Driver> GuestSession for Shared<D> {
    fn open(context: Context) -> Result<Session, Fault> {
        D::open(context).map(|driver| Session::new(Self(RefCell::new(driver))))
    }

    fn handle(&self, now: Millis, input: Input) -> Result<Vec<Output>, Fault> {
        let mut out = Outputs::new();
        self.0.borrow_mut().handle(now, input, &mut out)?;
        Ok(out.into_vec())
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.0.borrow().save()
    }
}
