//! Guests become components.
//!
//! One cargo call compiles every guest, so that the standard library is compiled once where it must be; each core
//! module is then wrapped as a component. Owns `<target>/wasm` (cargo's), `<target>/drivers` (the results, one
//! `<package>.wasm` each) and `<target>/share` (those that come with Cardinal, laid out as in an installation). A result is replaced whole or not at all: tests may be reading it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

use crate::process;
use crate::wasm_target::{TARGET, WasmTarget};
use crate::workspace::{Guest, Workspace};

/// Builds these guests, or all when none is named. Fails on an unknown name, and where the compiler does.
pub(crate) fn build(workspace: &Workspace, names: &[String]) -> Result<()> {
    let guests = select(workspace, names)?;
    // The guests inherit the workspace's `rust-version`, as this crate does.
    let way = WasmTarget::find(env!("CARGO_PKG_RUST_VERSION"))?;
    let packages: Vec<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
    println!("Compiling {} with {way}.", packages.join(", "));

    let folder = workspace.target.join("wasm");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "driver", "--lib"]).arg("--target-dir").arg(&folder);
    for guest in &guests {
        cargo.args(["--package", &guest.package]);
    }
    way.configure(&mut cargo);
    process::run(&mut cargo)?;

    for folder in [workspace.components(), workspace.bundled()] {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    for guest in guests {
        let module = folder.join(TARGET).join("driver").join(format!("{}.wasm", guest.library));
        let component = component(&module).with_context(|| format!("making a component of {}", guest.package))?;
        let write = |folder: &Path| {
            let path = folder.join(format!("{}.wasm", guest.package));
            replace(&path, &component).with_context(|| format!("writing {}", path.display()))
        };
        let changed = write(&workspace.components())?;
        if guest.bundled {
            write(&workspace.bundled())?;
        }
        let note = if changed { "" } else { "  (unchanged)" };
        println!("  {:<28} {:>4} KiB{note}", format!("{}.wasm", guest.package), component.len().div_ceil(1024));
    }
    println!("Components are in {}.", workspace.components().display());
    Ok(())
}

fn select<'a>(workspace: &'a Workspace, names: &[String]) -> Result<Vec<&'a Guest>> {
    for name in names {
        if !workspace.guests.iter().any(|guest| guest.package == *name) {
            let known: Vec<&str> = workspace.guests.iter().map(|guest| guest.package.as_str()).collect();
            bail!("there is no guest {name:?}; there are: {}", known.join(", "));
        }
    }
    Ok(workspace.guests.iter().filter(|guest| names.is_empty() || names.contains(&guest.package)).collect())
}

/// The component of a core module; the encoder checks it against the interface that the module carries.
fn component(module: &Path) -> Result<Vec<u8>> {
    let module = fs::read(module).with_context(|| format!("reading {}", module.display()))?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// Writes the file if its content differs; says whether it did.
fn replace(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let folder = path.parent().context("a component has a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn a_file_is_written_only_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        assert!(replace(&path, b"one").unwrap());
        assert!(!replace(&path, b"one").unwrap());
        assert!(replace(&path, b"two").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
    }
}
