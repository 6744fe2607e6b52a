//! A host that has a directory as its source.

use std::path::Path;

use serde_json::Value;

use super::{Access, OpenLdap, PASSWORD};
use crate::host::Host;

/// For a site file: the card number is the `employeeNumber`, as [`OpenLdap::person`] has it.
pub const CARDS: &str = "[config]\n\"ldap.schema.user-card-id-field\" = \"employeeNumber\"\n";

/// For a site file: the source `school` of this type, read as its reader over LDAPS, with more of its keys.
pub(super) fn source(server_type: &str, ldaps: &Access, more: &str) -> String {
    let server = ldaps.url.replace("ldaps://", "");
    format!(
        "[[source]]\nname = \"school\"\nkind = \"ldap\"\nserver_type = \"{server_type}\"\nservers = [\"{server}\"]\n\
         base = \"{}\"\nbind_as = \"{}\"\npassword = \"{PASSWORD}\"\n{more}\n",
        OpenLdap::BASE,
        ldaps.user
    )
}

/// A host that believes this authority.
pub async fn host(authority: &Path) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_DIRECTORY__CA", &authority.display().to_string());
    host.serve().await;
    host
}

/// Everybody, as the host has them.
pub async fn users(host: &Host) -> Value {
    host.cli("user list --json").await.json()
}

/// Their names.
pub fn names(users: &Value) -> Vec<&str> {
    users.as_array().expect("a list").iter().map(|user| user["name"].as_str().expect("a name")).collect()
}
