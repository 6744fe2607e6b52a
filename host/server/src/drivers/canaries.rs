//! Readers that try a version of their driver before the others run it.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use cardinal_domain::{names::ReaderName, site::Reader};
use cardinal_runtime::Driver;

use super::Drivers;

/// The version that each of them runs.
#[derive(Default)]
pub struct Canaries(RwLock<BTreeMap<ReaderName, Driver>>);

impl Canaries {
    /// From its next connection on the reader runs this version; none: the one that all others run.
    pub fn set(&self, reader: &ReaderName, driver: Option<Driver>) {
        let mut canaries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match driver {
            Some(driver) => drop(canaries.insert(reader.clone(), driver)),
            None => drop(canaries.remove(reader)),
        }
    }

    fn get(&self, spec: &Reader) -> Option<Driver> {
        let canaries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Given another driver or a version of its own meanwhile, it is no canary.
        let found = canaries.get(&spec.name).filter(|driver| driver.manifest().id() == spec.driver.id);
        found.filter(|_| spec.driver.version.is_none()).cloned()
    }
}

impl Drivers {
    /// The driver that a reader is to run.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_for(&self, spec: &Reader) -> Result<Driver, String> {
        let canary = self.canaries.get(spec).filter(|driver| self.may_run(driver.digest()));
        canary.map_or_else(|| self.find(&spec.driver), Ok)
    }

    /// Whether the file with this digest is installed and may run still: it may have been replaced or removed meanwhile, or
    /// its publisher withdrawn.
    pub fn may_run(&self, digest: &str) -> bool {
        self.read().all().any(|ready| ready.driver.digest() == digest)
    }
}
