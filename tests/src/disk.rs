//! Disks that can be filled: small ones in memory, mounted in a namespace of their own that nobody else sees.
//!
//! What runs in the namespace is started by [`Disks::command`]; a process that waits holds it open, and with that process
//! all mounts are gone. Needs root and util-linux.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{process::Process, program, wait};

/// The namespace.
#[derive(Debug)]
pub struct Disks {
    holder: Process,
}

impl Disks {
    /// A namespace without a disk yet; what it says goes to a file in this folder. None, with the reason printed: not here.
    pub async fn new(folder: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || program::find("nsenter").is_none() {
            eprintln!("SKIPPED: a small disk takes root and the program `nsenter` (util-linux)");
            return None;
        }
        let said = folder.join("disks.log");
        let mut command = Command::new(program::theirs("unshare"));
        command.args(["-m", "sh", "-c", "echo ready >&2; exec sleep infinity"]);
        let mut holder = Process::start("the holder of disks", &mut command, &said);
        let stands = wait::until("a namespace for disks", async || {
            if holder.ended().is_some() {
                return Some(false);
            }
            holder.said().contains("ready").then_some(true)
        });
        if !stands.await {
            eprintln!("SKIPPED: no mount namespace can be made here: {}", holder.said());
            return None;
        }
        Some(Self { holder })
    }

    /// A program in the namespace, which sees the disks.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program::theirs("nsenter"));
        command.args(["-m", "-t", &self.holder.id().to_string(), "--"]).arg(program);
        command
    }

    /// An empty disk of this many KiB in place of this folder.
    pub fn mount(&self, at: &Path, kib: u32) {
        self.shell(&format!("mkdir -p {0} && mount -t tmpfs -o mode=700,size={kib}k cardinal-test {0}", at.display()));
    }

    /// Leaves no room on the disk at this folder.
    pub fn fill(&self, at: &Path) {
        // It ends because there is no more room, which is what is wanted.
        self.shell(&format!(
            "dd if=/dev/zero of={0}/filler bs=4k 2>/dev/null; ! echo more >> {0}/filler",
            at.display()
        ));
    }

    /// Makes room again.
    pub fn make_room(&self, at: &Path) {
        self.shell(&format!("rm {}/filler", at.display()));
    }

    /// From now on nothing can be written there.
    pub fn read_only(&self, at: &Path) {
        self.shell(&format!("mount -o remount,ro {}", at.display()));
    }

    /// It can be written again.
    pub fn writable(&self, at: &Path) {
        self.shell(&format!("mount -o remount,rw {}", at.display()));
    }

    /// The names of the files in a folder.
    pub fn list(&self, folder: &Path) -> Vec<String> {
        self.shell(&format!("ls -A {}", folder.display())).lines().map(str::to_owned).collect()
    }

    fn shell(&self, line: &str) -> String {
        let output = self.command(Path::new("/bin/sh")).args(["-c", line]).stdin(Stdio::null()).output();
        let output = output.expect("a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
