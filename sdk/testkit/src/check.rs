//! Whole folders of traces: run each, show where it first differs, or write down what the driver does.

use std::{env, path::Path};

use cardinal_runtime::replay::folder;

use crate::{Component, ComponentError, Native, Subject};

/// Why traces did not pass: every file that did not, with its first difference.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CheckFailed(Vec<Failure>);

/// Why a folder did not pass.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Trace(#[from] folder::Failure),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("the component does not say of itself what the source does; run `cargo xtask drivers` to build it anew")]
    Stale,
}

/// Runs every trace of this folder with the driver `D` natively, and with the component of this package. With
/// `CARDINAL_BLESS=1` what the driver answered natively is written into the traces first.
///
/// # Errors
/// Every trace that did not pass, or what kept them from being run.
pub fn check_dir<D: cardinal_sdk::Driver>(package: &str, folder: &Path) -> Result<(), CheckFailed> {
    let native = Native::<D>::new();
    let bless = env::var_os("CARDINAL_BLESS").is_some_and(|value| value == "1");
    check(&native, folder, bless)?;
    let failed = |failure| CheckFailed(vec![failure]);
    let component = Component::of_package(package, folder).map_err(|error| failed(error.into()))?;
    if component.manifest() != native.manifest() {
        return Err(failed(Failure::Stale));
    }
    check(&component, folder, false)
}

/// Runs every trace of this folder; with `bless`, writes what the driver answered into them.
///
/// # Errors
/// Every trace that did not pass.
pub fn check(subject: &dyn Subject, folder: &Path, bless: bool) -> Result<(), CheckFailed> {
    let files = folder::files(folder).map_err(|failure| CheckFailed(vec![failure.into()]))?;
    let failures: Vec<_> =
        files.iter().filter_map(|path| folder::check(subject, path, bless).err().map(Failure::from)).collect();
    if failures.is_empty() { Ok(()) } else { Err(CheckFailed(failures)) }
}
