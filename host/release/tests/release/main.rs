//! The release engine from outside: over real HTTP on loopback, with printers that misbehave and, where they are
//! installed, real ones.

mod common;
mod delivery;
mod intake;
mod peers;
mod recovery;
