//! A sync source: where users and groups come from.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Secret, is_false};
use crate::names::SourceName;

/// Where users and groups come from. A site has at most one primary and one secondary source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name; users that came from it carry it.
    pub name: SourceName,
    /// Whose word counts where both sources know a user.
    #[serde(default)]
    pub rank: Rank,
    /// How it is read.
    pub kind: SourceKind,
    /// For `ldap`: what kind of server it is, which says how entries are found and what their fields are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_type: Option<ServerType>,
    /// For `ldap`: the servers, `host[:port]`, tried in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// For `active-directory`: the DNS names of its domains, joined by `;`, such as `school.example;staff.school.example`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domains: String,
    /// For `active-directory`: what differs for one of its domains, by its DNS name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domain: BTreeMap<String, Domain>,
    /// For `ldap`: the distinguished name below which everything is looked for, such as `dc=school,dc=example`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
    /// For `active-directory` and `ldap`: distinguished names below which users are looked for, instead of everywhere:
    /// organisational units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ous: Vec<String>,
    /// Names of groups whose members alone are imported, members of groups inside them included. None named: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// For `active-directory` and `ldap`: whether disabled users are imported, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// How the way to the server is protected.
    #[serde(default, skip_serializing_if = "is_default")]
    pub security: Security,
    /// How the host signs in at the server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bind: Bind,
    /// Who signs in: a distinguished name, or for Active Directory `user@domain`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bind_as: String,
    /// With which password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// How long a server may take for one step (connecting, binding, one page), in seconds.
    #[serde(default = "step_seconds", skip_serializing_if = "is_step_seconds")]
    pub timeout_s: u64,
    /// For `file` and `program`: which one of those that `cardinal.toml` names under `[directory.files]` or
    /// `[directory.programs]`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// For `active-directory` and `ldap`: `ldap.schema.…` for this source alone, without that prefix: `user-name-field =
    /// "uid"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schema: BTreeMap<String, String>,
}

/// What differs for one domain of an Active Directory. Servers that are not named are found by the domain's own name, which
/// leads to its domain controllers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domain {
    /// Its domain controllers, `host[:port]`, tried in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Who signs in there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bind_as: String,
    /// With which password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$of:meta])* $variant:ident $word:literal)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$of])* #[serde(rename = $word)] $variant,)* }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }
    };
}

words! {
    /// Whose word counts.
    Rank {
        /// It wins, field by field.
        Primary "primary"
        /// It fills in what the primary one leaves empty, and adds users that the primary one does not have.
        Secondary "secondary"
    }
}

words! {
    /// How a source is read.
    SourceKind {
        /// Domains of an Active Directory, over LDAP.
        ActiveDirectory "active-directory"
        /// Any other LDAP server.
        Ldap "ldap"
        /// A CSV or TSV file.
        File "file"
        /// A program that says who there is on its standard output.
        Program "program"
    }
}

words! {
    /// What an LDAP server is, for the names of its fields.
    ServerType {
        /// Microsoft Active Directory, read as plain LDAP.
        ActiveDirectory "active-directory"
        /// OpenLDAP, with `inetOrgPerson` and `groupOfNames`.
        OpenLdap "openldap"
        /// Apple Open Directory.
        OpenDirectory "open-directory"
        /// NetIQ (Novell) eDirectory.
        EDirectory "edirectory"
        /// 389 Directory Server, or FreeIPA on it.
        Ds389 "389"
    }
}

words! {
    /// How the way to a server is protected.
    Security {
        /// TLS from the first byte, port 636.
        Ldaps "ldaps"
        /// Plain at first, then TLS before anything is said, port 389.
        StartTls "starttls"
        /// Not at all, port 389: everybody on the way reads the password and the users.
        Plain "plain"
    }
}

words! {
    /// How the host signs in.
    Bind {
        /// With a name and a password.
        Simple "simple"
        /// With the Kerberos ticket that the host's user has.
        Gssapi "gssapi"
        /// Not at all.
        Anonymous "anonymous"
    }
}

#[allow(clippy::derivable_impls, reason = "made by a macro")]
impl Default for Rank {
    fn default() -> Self {
        Self::Primary
    }
}

#[allow(clippy::derivable_impls, reason = "made by a macro")]
impl Default for Security {
    fn default() -> Self {
        Self::Ldaps
    }
}

#[allow(clippy::derivable_impls, reason = "made by a macro")]
impl Default for Bind {
    fn default() -> Self {
        Self::Simple
    }
}

impl Source {
    /// The DNS names of an Active Directory's domains, in lower case, each once.
    pub fn domain_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for name in self.domains.split(';').map(|name| name.trim().to_lowercase()) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// What does not hold together, each in a sentence for the administrator.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |is_wrong: bool, message: &str| {
            if is_wrong {
                problems.push(format!("source {:?}: {message}", self.name.as_str()));
            }
        };
        let is_ad = self.kind == SourceKind::ActiveDirectory;
        let is_ldap = self.kind == SourceKind::Ldap;
        wrong(is_ad && self.domain_names().is_empty(), "name its domains, such as domains = \"school.example\"");
        wrong(!is_ad && !self.domains.is_empty(), "domains are those of an active-directory");
        let names = self.domain_names();
        for name in self.domain.keys().filter(|name| !names.contains(&name.to_lowercase())) {
            wrong(true, &format!("[source.domain] says something about {name:?}, which is not one of its domains"));
        }
        wrong(
            is_ad && !self.servers.is_empty(),
            "name servers by their domain: [source.domain.\"NAME\"] servers = […]",
        );
        wrong(is_ldap && self.servers.is_empty(), "name its servers, such as servers = [\"ldap.school.example\"]");
        wrong(is_ldap && self.base.is_empty(), "name its base, such as base = \"dc=school,dc=example\"");
        wrong(is_ldap && self.server_type.is_none(), "say what it is, such as server_type = \"openldap\"");
        let by_name = !is_ad && !is_ldap;
        wrong(
            by_name && self.from.is_empty(),
            "say from which one of those in cardinal.toml, such as from = \"staff\"",
        );
        wrong(!by_name && !self.from.is_empty(), "from is for files and programs");
        // What means nothing would be taken for something by whoever wrote it.
        wrong(!is_ldap && self.server_type.is_some(), "server_type is for ldap");
        wrong(by_name && !self.servers.is_empty(), "servers are for ldap");
        wrong(is_ad && !self.base.is_empty(), "base is for ldap; an active-directory has that of each of its domains");
        wrong(by_name && !self.base.is_empty(), "base is for ldap");
        for (is_set, field) in [
            (!self.ous.is_empty(), "ous"),
            (self.disabled, "disabled"),
            (!is_default(&self.security), "security"),
            (!is_default(&self.bind), "bind"),
            (!self.bind_as.is_empty(), "bind_as"),
            (self.password.is_some(), "password"),
            (!self.schema.is_empty(), "schema"),
        ] {
            wrong(by_name && is_set, &format!("{field} is for active-directory and ldap"));
        }
        wrong(
            by_name && !is_step_seconds(&self.timeout_s),
            "timeout_s is for active-directory and ldap; a program has directory.program_within_s in cardinal.toml",
        );
        let needs_name = !by_name && self.bind == Bind::Simple;
        let has_name = |domain: &str| !self.of_domain(domain).0.is_empty();
        wrong(
            needs_name && if is_ad { !names.iter().all(|name| has_name(name)) } else { self.bind_as.is_empty() },
            "say who signs in: bind_as = \"…\" and password = \"…\" (or bind = \"anonymous\", or \"gssapi\")",
        );
        let has_password = |domain: &str| self.of_domain(domain).1.is_some();
        wrong(
            needs_name && if is_ad { !names.iter().all(|name| has_password(name)) } else { self.password.is_none() },
            "a sign-in without a password is an anonymous one: set password (`cardinal source set NAME … --ask-password` asks \
             for it), or bind = \"anonymous\"",
        );
        wrong(!(1..=3_600).contains(&self.timeout_s), "timeout_s is 1 to 3600 seconds");
        problems
    }

    /// Who signs in at a domain, and with which password.
    pub fn of_domain(&self, name: &str) -> (&str, Option<&Secret>) {
        let own = self.domain.iter().find(|(domain, _)| domain.eq_ignore_ascii_case(name)).map(|(_, own)| own);
        let bind_as = own.map(|own| own.bind_as.as_str()).filter(|name| !name.is_empty()).unwrap_or(&self.bind_as);
        (bind_as, own.and_then(|own| own.password.as_ref()).or(self.password.as_ref()))
    }

    /// The servers of a domain, as `host[:port]`.
    pub fn servers_of(&self, name: &str) -> Vec<String> {
        let own = self.domain.iter().find(|(domain, _)| domain.eq_ignore_ascii_case(name)).map(|(_, own)| own);
        match own {
            Some(own) if !own.servers.is_empty() => own.servers.clone(),
            _ => vec![name.to_owned()],
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn step_seconds() -> u64 {
    30
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_step_seconds(value: &u64) -> bool {
    *value == step_seconds()
}

#[cfg(test)]
mod tests {
    use crate::{site::Site, strict_toml};

    fn problems(text: &str) -> Vec<String> {
        let site: Site = strict_toml::parse(&format!("[[source]]\nname = \"s\"\n{text}")).unwrap();
        site.source[0].problems()
    }

    #[test]
    fn what_a_source_needs_is_told() {
        let told = problems("kind = \"active-directory\"\nservers = [\"dc1\"]").join("\n");
        for missing in ["name its domains", "name servers by their domain"] {
            assert!(told.contains(missing), "{missing}: {told}");
        }
        let told = problems("kind = \"active-directory\"\ndomains = \"a.test\"").join("\n");
        assert!(told.contains("say who signs in") && told.contains("without a password"), "{told}");
        let told = problems("kind = \"ldap\"\nbind_as = \"cn=x\"\nfrom = \"x\"\ntimeout_s = 0").join("\n");
        for missing in
            ["its servers", "its base", "server_type", "without a password", "for files and programs", "1 to"]
        {
            assert!(told.contains(missing), "{missing}: {told}");
        }
        assert_eq!(problems("kind = \"file\"\nfrom = \"staff\""), [""; 0]);
        assert_eq!(problems("kind = \"program\"\nfrom = \"staff\"\ngroups = [\"Printing\"]"), [""; 0]);
        let of_servers = "server_type = \"openldap\"\nservers = [\"x\"]\nbase = \"dc=x\"\nous = [\"ou=x\"]\ndisabled = true\n\
                          security = \"starttls\"\nbind = \"gssapi\"\nbind_as = \"cn=x\"\npassword = \"12345678\"\ntimeout_s = 5\n\
                          schema = { user-name-field = \"uid\" }";
        let fields = ["server_type", "servers", "base", "ous", "disabled", "security", "bind", "bind_as", "password"];
        for kind in ["file", "program"] {
            let told = problems(&format!("kind = \"{kind}\"\nfrom = \"staff\"\n{of_servers}"));
            for field in fields.iter().chain(&["timeout_s", "schema"]) {
                assert!(told.iter().any(|told| told.contains(&format!(": {field} "))), "{field}: {told:?}");
            }
            assert_eq!(told.len(), 11, "{told:?}");
        }
        let ad = "kind = \"active-directory\"\ndomains = \"a.test\"\nbind = \"gssapi\"\n";
        let told = problems(&format!("{ad}server_type = \"389\"\nbase = \"dc=a\"\ndisabled = true")).join("\n");
        assert!(told.contains("server_type is for ldap") && told.contains("base is for ldap"), "{told}");
        assert_eq!(problems(&format!("{ad}disabled = true\nous = [\"ou=x\"]\nsecurity = \"starttls\"")), [""; 0]);
        let ldap = "kind = \"ldap\"\nservers = [\"x\"]\nbase = \"dc=x\"\nbind = \"anonymous\"\n";
        assert_eq!(problems(&format!("{ldap}server_type = \"active-directory\"\ndisabled = true")), [""; 0]);
        let two = "kind = \"active-directory\"\ndomains = \"A.test; b.test;a.test\"\nbind_as = \"s@a.test\"\n\
                   password = \"12345678\"\n[source.domain.\"B.test\"]\nservers = [\"dc2:1636\"]\nbind_as = \"s@b.test\"";
        assert_eq!(problems(two), [""; 0]);
        let site: Site = strict_toml::parse(&format!("[[source]]\nname = \"s\"\n{two}")).unwrap();
        let source = &site.source[0];
        assert_eq!(source.domain_names(), ["a.test", "b.test"]);
        assert_eq!((source.of_domain("b.test").0, source.of_domain("a.test").0), ("s@b.test", "s@a.test"));
        assert_eq!(
            (source.servers_of("b.test"), source.servers_of("a.test")),
            (vec!["dc2:1636".into()], vec!["a.test".into()])
        );
        assert!(!format!("{source:?}").contains("12345678"));
    }
}
