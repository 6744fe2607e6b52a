//! Guests become components.
//!
//! One cargo call compiles every guest, so that the standard library is compiled once where it must be; each core
//! module is then wrapped as a component. Owns `<target>/wasm` (cargo's), `<target>/drivers` (the results, one
//! `<package>.wasm` each) and `<target>/share` (those that come with Cardinal, laid out as in an installation). A result is
//! replaced whole or not at all: tests may be reading it. One of a guest that is no more is removed: the demo and the tests
//! install whatever lies there.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cardinal_build::TARGET;

use crate::workspace::{Guest, Workspace};
use crate::{process, wasm_target};

/// Builds these guests, or all when none is named. Fails on an unknown name, and where the compiler does.
pub(crate) fn build(workspace: &Workspace, names: &[String]) -> Result<()> {
    let guests = select(workspace, names)?;
    // The guests inherit the workspace's `rust-version`, as this crate does.
    let way = wasm_target::find(env!("CARGO_PKG_RUST_VERSION"))?;
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
    for guest in &guests {
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
    if names.is_empty() {
        tidy(&workspace.components(), guests.iter().copied())?;
        tidy(&workspace.bundled(), guests.iter().copied().filter(|guest| guest.bundled))?;
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
    Ok(cardinal_build::component(&module)?)
}

/// Removes the components of guests that are none of these.
fn tidy<'a>(folder: &Path, guests: impl Iterator<Item = &'a Guest>) -> Result<()> {
    let known: Vec<String> = guests.map(|guest| format!("{}.wasm", guest.package)).collect();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        if is_component && !known.iter().any(|name| path.ends_with(name)) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            println!("  {} is no guest any more: removed", path.display());
        }
    }
    Ok(())
}

/// Writes the file if its content differs, says whether it did, and lets everybody read it: a temporary file is its
/// owner's alone, and a service that runs as another user installs drivers too.
fn replace(path: &Path, content: &[u8]) -> Result<bool> {
    let readable = fs::Permissions::from_mode(0o644);
    if fs::read(path).is_ok_and(|present| present == content) {
        fs::set_permissions(path, readable)?;
        return Ok(false);
    }
    let folder = path.parent().context("a component has a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(readable)?;
    file.persist(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Guest, replace, tidy};

    #[test]
    fn a_file_is_written_only_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        assert!(replace(&path, b"one").unwrap());
        assert!(!replace(&path, b"one").unwrap());
        assert!(replace(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_component_is_for_everybody_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"one").unwrap();
        assert_eq!(mode(), 0o644);
        // As earlier versions of this command left it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"one").unwrap();
        assert_eq!(mode(), 0o644);
    }

    #[test]
    fn a_component_of_no_guest_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kept.wasm", "gone.wasm", "notes.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let kept = Guest { package: "kept".to_owned(), library: "kept".to_owned(), bundled: false };
        tidy(folder.path(), [&kept].into_iter()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["kept.wasm", "notes.txt"]);
    }
}
