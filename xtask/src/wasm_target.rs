//! A compiler for drivers on this machine: found, or installed from Debian's packages, or asked for.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cardinal_build::{DEBIAN_PACKAGES, DEBIAN_RUSTC, RUSTUP_COMMAND, TARGET, Version, WasmTarget};

use crate::apt;

/// Finds a way that can build code of `needed` (a manifest's `rust-version`), installing Debian packages if that is what it
/// takes. Fails with what the person has to do.
pub(crate) fn find(needed: &str) -> Result<WasmTarget> {
    let needed = Version::parse(needed).with_context(|| format!("{needed:?} is not a compiler's version"))?;
    if let Some(way) = WasmTarget::find(needed, Path::new("."))? {
        return Ok(way);
    }
    if !apt::available() {
        bail!("the drivers are compiled for {TARGET}, which this compiler lacks; run:\n    {RUSTUP_COMMAND}");
    }
    install_debian(needed).with_context(|| {
        format!(
            "the drivers need a compiler for {TARGET}; where rustup reaches its servers, `{RUSTUP_COMMAND}` is enough"
        )
    })?;
    WasmTarget::find(needed, Path::new("."))?.with_context(|| {
        let packages = DEBIAN_PACKAGES.join(" and ");
        format!("{packages} are installed, but {DEBIAN_RUSTC} and its sources in /usr/src are not of one version; run:\n    {RUSTUP_COMMAND}")
    })
}

/// Installs Debian's compiler, telling what and why; refuses one that is too old before anything is downloaded.
fn install_debian(needed: Version) -> Result<()> {
    println!("This compiler lacks the target {TARGET}, for which drivers are compiled. Debian has one that can:");
    println!("installing {} beside it (a minute or two, about 800 MB of disk).", DEBIAN_PACKAGES.join(" and "));
    println!("To go without: stop here and run `{RUSTUP_COMMAND}`.");
    apt::update(&DEBIAN_PACKAGES)?;
    let [compiler, _] = DEBIAN_PACKAGES;
    let Some(offered) = apt::candidate(compiler)? else {
        bail!("this system's package archives have no {compiler}");
    };
    if let Some(version) = Version::parse(&offered)
        && version < needed
    {
        bail!(
            "Debian's {compiler} is {version} here, and the drivers need {needed} or later. The newer one comes with \
             Debian's security archive: see that `deb http://deb.debian.org/debian-security CODENAME-security main` is \
             among the archives (CODENAME as in /etc/os-release)"
        );
    }
    apt::install(&DEBIAN_PACKAGES)
}
