//! What fields are called and how entries are found: a preset for each type of server, and what the administrator says
//! otherwise under the names `ldap.schema.…`.
//!
//! What a source says for itself goes before what the site says for all, and that before the preset. Presets are what the
//! schemas of these servers have (RFC 2307, RFC 2798, RFC 4519, MS-ADA1 to 3), and what administrators of this field know as
//! defaults. A card, a PIN and another name come from nowhere unless somebody says from where.

use std::collections::BTreeMap;

use cardinal_domain::{config_keys, nearest::nearest, site::ServerType};

/// Names of fields, and searches. An empty name: there is none of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The user name.
    pub user_name: String,
    /// The full name.
    pub full_name: String,
    /// The address for mail.
    pub email: String,
    /// Further addresses.
    pub other_emails: String,
    /// The department.
    pub department: String,
    /// The office.
    pub office: String,
    /// The primary card.
    pub card: String,
    /// The secondary card.
    pub second_card: String,
    /// The PIN.
    pub pin: String,
    /// Another name to print under.
    pub alias: String,
    /// The home folder.
    pub home: String,
    /// What stays when the name changes, of users and of groups. `dn`: the distinguished name, where a server has nothing
    /// better.
    pub key: String,
    /// The search that finds users; `{0}` stands for the name.
    pub user_search: String,
    /// What users who are not disabled have. Empty: the server knows no such thing, or each of its own.
    pub enabled: &'static str,
    /// The name of a group.
    pub group_name: String,
    /// The members of a group.
    pub group_member: String,
    /// The search that finds groups; `{0}`, if it is there, stands for the name.
    pub group_search: String,
    /// Whether members are user names; otherwise they are distinguished names.
    pub posix_groups: bool,
}

/// The beginning of the names of its config keys.
const PREFIX: &str = "ldap.schema.";
/// The one key with a name of its own: further addresses in an Active Directory.
const AD_OTHER_EMAILS: &str = "user-source.ad.other-emails-field";

impl Schema {
    /// What holds for a source. `site`: the site's config keys; `own`: the source's own, without `ldap.schema.`.
    pub fn of(server: ServerType, site: &BTreeMap<String, String>, own: &BTreeMap<String, String>) -> Self {
        let said = |name: &str| {
            let own = own.get(name).map(String::as_str);
            let special = (name == "other-emails-field" && server == ServerType::ActiveDirectory)
                .then(|| config_keys::value(site, AD_OTHER_EMAILS));
            let shared = config_keys::value(site, &format!("{PREFIX}{name}"));
            [own, special, Some(shared)].into_iter().flatten().map(str::trim).find(|said| !said.is_empty())
        };
        let preset = Preset::of(server);
        let posix = said("posix-groups").map_or(preset.posix, |said| said == "Y");
        let field = |name: &str, preset: &str| said(name).unwrap_or(preset).to_owned();
        let user_name = field("user-name-field", preset.user_name);
        let group_name = field("group-name-field", "cn");
        let (member, group_search) = match (posix, preset.posix) {
            // The preset is about groups of the other kind.
            (true, false) => ("memberUid", "(objectClass=posixGroup)"),
            (false, true) => ("member", "(|(objectClass=groupOfNames)(objectClass=groupOfMembers))"),
            _ => (preset.group_member, preset.group_search),
        };
        let group_member = field("group-member-field", member);
        let group_search = match (said("group-search"), said("group-member-field")) {
            (Some(search), _) => search.to_owned(),
            // Groups of a kind that the preset does not know: whatever has members.
            (None, Some(own)) if !own.eq_ignore_ascii_case(member) => format!("({own}=*)"),
            (None, _) => group_search.to_owned(),
        };
        Self {
            full_name: field("user-full-name-field", preset.full_name),
            email: field("user-email-field", "mail"),
            other_emails: field("other-emails-field", ""),
            department: field("user-department-field", preset.department),
            office: field("user-office-field", preset.office),
            card: field("user-card-id-field", ""),
            second_card: field("user-second-card-id-field", ""),
            pin: field("user-pin-field", ""),
            alias: field("user-alias-field", ""),
            home: field("user-home-field", preset.home),
            key: field("user-key-field", preset.key),
            user_search: said("user-name-search")
                .map_or_else(|| preset.user_search.replace("{name}", &user_name), str::to_owned),
            user_name,
            enabled: preset.enabled,
            group_name: if server == ServerType::ActiveDirectory && said("group-name-field").is_none() {
                "sAMAccountName".to_owned()
            } else {
                group_name
            },
            group_member,
            group_search,
            posix_groups: posix,
        }
    }

    /// The search that finds every user.
    pub fn all_users(&self) -> String {
        self.user_search.replace("{0}", "*")
    }

    /// The search that finds every user who is to be read. `disabled`: also those who may not sign in.
    pub fn users(&self, disabled: bool) -> String {
        match (disabled, self.enabled) {
            (true, _) | (false, "") => self.all_users(),
            (false, enabled) => format!("(&{}{enabled})", self.all_users()),
        }
    }

    /// The search that finds every group.
    pub fn all_groups(&self) -> String {
        self.group_search.replace("{0}", "*")
    }

    /// What is wrong with a source's own table, each in a sentence: keys that nobody knows, with the nearest one that is
    /// known, and values that do not fit.
    pub fn problems(own: &BTreeMap<String, String>) -> Vec<String> {
        let known: Vec<&str> =
            config_keys::CONFIG_KEYS.iter().filter_map(|key| key.name.strip_prefix(PREFIX)).collect();
        let mut problems = Vec::new();
        for (name, value) in own {
            if !known.contains(&name.as_str()) {
                let near = nearest(name, &known);
                problems.push(format!("schema knows no {name:?}{near}; known: {}", known.join(", ")));
            } else if let Some(wrong) = config_keys::wrong(&format!("{PREFIX}{name}"), value) {
                problems.push(format!("schema: {name}: {wrong}"));
            }
        }
        problems
    }
}

/// What differs from server to server.
struct Preset {
    user_name: &'static str,
    full_name: &'static str,
    department: &'static str,
    office: &'static str,
    home: &'static str,
    key: &'static str,
    /// `{name}` stands for the field of the user name.
    user_search: &'static str,
    enabled: &'static str,
    group_member: &'static str,
    group_search: &'static str,
    posix: bool,
}

impl Preset {
    fn of(server: ServerType) -> Self {
        match server {
            ServerType::ActiveDirectory => Self {
                user_name: "sAMAccountName",
                full_name: "displayName",
                department: "department",
                office: "physicalDeliveryOfficeName",
                home: "homeDirectory",
                key: "objectGUID",
                // 805306368 is SAM_USER_OBJECT (MS-SAMR 2.2.1.9): people, not machines and not trusts.
                user_search: "(&({name}={0})(objectCategory=person)(objectClass=user)(sAMAccountType=805306368))",
                // Bit 2 of userAccountControl (MS-ADTS 2.2.16), asked for with the rule that compares bits (MS-ADTS
                // 3.1.1.3.4.4.1).
                enabled: "(!(userAccountControl:1.2.840.113556.1.4.803:=2))",
                group_member: "member",
                group_search: "(objectCategory=group)",
                posix: false,
            },
            ServerType::OpenLdap => Self {
                user_name: "uid",
                full_name: "cn",
                department: "departmentNumber",
                office: "l",
                home: "homeDirectory",
                key: "entryUUID",
                user_search: "(&(|(objectClass=inetOrgPerson)(objectClass=posixAccount))({name}={0}))",
                enabled: "",
                group_member: "member",
                group_search: "(|(objectClass=groupOfNames)(objectClass=groupOfMembers))",
                posix: false,
            },
            ServerType::OpenDirectory => Self {
                user_name: "uid",
                full_name: "cn",
                department: "departmentNumber",
                office: "l",
                home: "homeDirectory",
                key: "apple-generateduid",
                user_search: "(&(objectClass=apple-user)({name}={0}))",
                enabled: "",
                group_member: "memberUid",
                group_search: "(objectClass=posixGroup)",
                posix: true,
            },
            ServerType::EDirectory => Self {
                user_name: "cn",
                full_name: "fullName",
                department: "ou",
                office: "l",
                home: "",
                key: "GUID",
                user_search: "(&({name}={0})(objectClass=person))",
                enabled: "(!(loginDisabled=TRUE))",
                group_member: "member",
                group_search: "(objectClass=groupOfNames)",
                posix: false,
            },
            ServerType::Ds389 => Self {
                user_name: "uid",
                full_name: "cn",
                department: "departmentNumber",
                office: "l",
                home: "homeDirectory",
                key: "nsUniqueId",
                // Not posixAccount alone: FreeIPA has such a twin of each user in its compat tree.
                user_search: "(&(objectClass=inetOrgPerson)({name}={0}))",
                enabled: "(!(nsAccountLock=TRUE))",
                group_member: "member",
                group_search: "(|(objectClass=groupOfNames)(objectClass=ipaUserGroup))",
                posix: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::ldap::filter;

    fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_source_goes_before_the_site_and_that_before_the_preset() {
        let site = table(&[
            ("ldap.schema.user-department-field", "ou"),
            ("ldap.schema.user-office-field", "roomNumber"),
            ("user-source.ad.other-emails-field", "proxyAddresses"),
            ("ldap.schema.other-emails-field", "mailAlternateAddress"),
        ]);
        let own = table(&[("user-office-field", "street"), ("user-card-id-field", "pager")]);
        let schema = Schema::of(ServerType::OpenLdap, &site, &own);
        assert_eq!((schema.department.as_str(), schema.office.as_str()), ("ou", "street"));
        assert_eq!((schema.card.as_str(), schema.other_emails.as_str()), ("pager", "mailAlternateAddress"));
        assert_eq!(Schema::of(ServerType::ActiveDirectory, &site, &own).other_emails, "proxyAddresses");
        let plain = Schema::of(ServerType::ActiveDirectory, &table(&[]), &table(&[]));
        assert_eq!((plain.key.as_str(), plain.group_name.as_str()), ("objectGUID", "sAMAccountName"));
    }

    #[test]
    fn searches_follow_the_fields() {
        let of = |own: &[(&str, &str)]| Schema::of(ServerType::OpenLdap, &table(&[]), &table(own));
        assert!(of(&[("user-name-field", "mail")]).all_users().contains("(mail=*)"));
        let own = of(&[("user-name-search", "(x={0})")]);
        assert_eq!(own.all_users(), "(x=*)");
        let posix = of(&[("posix-groups", "Y")]);
        assert_eq!(
            (posix.group_member.as_str(), posix.all_groups().as_str()),
            ("memberUid", "(objectClass=posixGroup)")
        );
        assert_eq!(of(&[("group-member-field", "uniqueMember")]).all_groups(), "(uniqueMember=*)");
        assert_eq!(of(&[("group-search", "(member={0})")]).all_groups(), "(member=*)");
        let names = Schema::of(ServerType::OpenDirectory, &table(&[]), &table(&[("posix-groups", "N")]));
        assert_eq!((names.group_member.as_str(), names.posix_groups), ("member", false));
    }

    #[test]
    fn every_preset_is_a_search() {
        for server in [
            ServerType::ActiveDirectory,
            ServerType::OpenLdap,
            ServerType::OpenDirectory,
            ServerType::EDirectory,
            ServerType::Ds389,
        ] {
            let schema = Schema::of(server, &table(&[]), &table(&[]));
            for search in [schema.all_users(), schema.users(false), schema.all_groups()] {
                filter::check(&search).unwrap();
                assert!(!search.contains('{'), "{search}");
            }
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        let problems =
            Schema::problems(&table(&[("user-nam-field", "uid"), ("posix-groups", "yes"), ("user-pin-field", "x")]));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("did you mean \"user-name-field\"?")), "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("posix-groups")), "{problems:?}");
    }
}
