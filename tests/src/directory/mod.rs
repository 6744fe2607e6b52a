//! Real directories: OpenLDAP, 389 Directory Server, and Active Directory as Samba has it. Private instances with the data of one test.
//!
//! What is in them and what changes is said in LDIF ([`ldif`]), which both understand. [`Access`] speaks with them as any
//! client does: it changes entries as an administrator, and reads them back as a reader with a paged search.

mod access;
mod certificate;
mod ds389;
pub mod ldif;
mod openldap;
mod samba;
mod synced;

pub use access::Access;
pub use certificate::Certificate;
pub use ds389::Ds389;
pub use openldap::{Company, OpenLdap};
pub use samba::Samba;
pub use synced::{CARDS, host, names, users};

/// The password of everybody in these directories.
pub const PASSWORD: &str = "Tests-own-secret-1";
