//! Ports for peers that must be told one, and that must get the same one again; addresses for peers that take no other port
//! than the usual one.
//!
//! Taken from below the range that the kernel hands out by itself: while a peer is switched off, no other socket of the
//! tests may get its port.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of the loopback that nobody uses now and that no other caller is given.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs side by side begin at different places.
    let begin = u16::try_from(process::id().wrapping_mul(37) % u32::from(COUNT)).expect("below COUNT");
    for _ in 0..COUNT {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + (begin + next) % COUNT));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of the loopback is free");
}

/// An address of the loopback on which nobody uses these ports now, and that no other caller is given. Panics where there is
/// none: a program of this machine has one of these ports on all addresses.
pub fn free_address(ports: &[u16]) -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs side by side begin at different places, in a range that nobody is known to use.
    let begin = process::id().wrapping_mul(37);
    for _ in 0..64 {
        let number = begin.wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % (1 << 16);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 0, 0)) + number);
        if ports.iter().all(|port| TcpListener::bind((address, *port)).is_ok()) {
            return address;
        }
    }
    panic!("no address of the loopback has these ports free: {ports:?}; see who listens there with `ss -ltnp`");
}
