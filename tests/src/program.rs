//! Where the programs are: ours in the target folder, the others on the search path.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Where administrators' programs are, even if the caller's `PATH` leaves it out.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The folder that cargo puts programs of this build into: `<target>/debug`, as a rule.
pub fn built() -> PathBuf {
    let own = env::current_exe().expect("this program knows where it lies");
    let folder = own.parent().expect("a program lies in a folder");
    // Tests lie one folder deeper than programs.
    if folder.ends_with("deps") {
        folder.parent().expect("`deps` lies in a folder").to_owned()
    } else {
        folder.to_owned()
    }
}

/// A program of this workspace. Panics with what to build where it is not there.
pub fn ours(name: &str, package: &str) -> PathBuf {
    let path = built().join(name);
    assert!(path.is_file(), "{} is not there: run `cargo build -p {package}` first", path.display());
    path
}

/// The component of a guest. Panics with what to build where it is not there.
pub fn component(package: &str) -> PathBuf {
    let folder = env::var_os("CARDINAL_DRIVERS")
        .map_or_else(|| built().parent().expect("a target folder").join("drivers"), PathBuf::from);
    let path = folder.join(format!("{package}.wasm"));
    assert!(path.is_file(), "{} is not there: run `cargo xtask drivers` first", path.display());
    path
}

/// A program of this machine. Panics with how to get it where it is not there.
pub fn theirs(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("there is no program {name}: run `cargo xtask setup` first"))
}

/// A program of this machine, if it has it.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A file of the workspace, from its root.
pub fn in_workspace(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace");
    root.join(path)
}
