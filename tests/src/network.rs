//! A cable that can be pulled: a network namespace with one wire to this machine.
//!
//! What happens when a wire is cut cannot be had on the loopback, where the kernel always answers. Needs root and `ip`.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::program;

/// The wire, and the namespace at its far end. Both go with this value.
#[derive(Debug)]
pub struct Cable {
    namespace: String,
    /// This machine's address on the wire.
    pub near: Ipv4Addr,
    /// The address at the far end.
    pub far: Ipv4Addr,
}

impl Cable {
    /// Lays a cable. None, with the reason printed: not here.
    pub fn lay() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() || program::find("ip").is_none() {
            eprintln!("SKIPPED: a cable that can be pulled takes root and the program `ip` (iproute2)");
            return None;
        }
        // 198.18.0.0/15 is for measurements and in nobody's use; each cable has four addresses of it. Tests that run at the
        // same time begin at different places, and what a killed one left behind is passed over.
        let (number, namespace) = loop {
            let number = process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 32_768;
            let namespace = format!("cardinal-{number}");
            match ip(&format!("netns add {namespace}")) {
                Ok(()) => break (number, namespace),
                Err(why) if why.contains("exists") => {}
                Err(why) => {
                    eprintln!("SKIPPED: no network namespace can be made here: {why}");
                    return None;
                }
            }
        };
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 4;
        let (near, far) = (Ipv4Addr::from(network + 1), Ipv4Addr::from(network + 2));
        let wire = format!("cardinal{number}");
        let cable = Self { namespace, near, far };
        let space = &cable.namespace;
        for command in [
            format!("link add {wire} type veth peer name wire netns {space}"),
            format!("address add {near}/30 dev {wire}"),
            format!("link set {wire} up"),
            format!("-n {space} address add {far}/30 dev wire"),
            format!("-n {space} link set wire up"),
            format!("-n {space} link set lo up"),
        ] {
            ip(&command).unwrap_or_else(|why| panic!("ip {command}: {why}"));
        }
        Some(cable)
    }

    /// A command to be run at the far end.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program::theirs("ip"));
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Pulls the cable: nothing gets through any more, and nobody is told.
    pub fn pull(&self) {
        self.wire("down");
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        self.wire("up");
    }

    /// Makes the way from the far end slow, as a queueing discipline of `tc` says it. False, with the reason printed: not
    /// with this kernel.
    pub fn slow(&self, how: &str) -> bool {
        let mut tc = self.command(Path::new("tc"));
        tc.args("qdisc replace dev wire root".split(' ')).args(how.split(' '));
        match tc.output() {
            Ok(output) if output.status.success() => true,
            other => {
                eprintln!("SKIPPED: no slow wire here: {other:?}");
                false
            }
        }
    }

    /// The network of the wire, as in an `allow` list.
    pub fn network(&self) -> String {
        format!("{}/30", Ipv4Addr::from(u32::from(self.near) - 1))
    }

    fn wire(&self, state: &str) {
        let command = format!("-n {} link set wire {state}", self.namespace);
        ip(&command).unwrap_or_else(|why| panic!("ip {command}: {why}"));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The wire goes with the namespace that holds its end.
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new(program::theirs("ip")).args(arguments.split_whitespace()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
