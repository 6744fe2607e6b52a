//! `cardinal source`: what all entities have.

use anyhow::Result;
use clap::Subcommand;

use super::{
    client::Client,
    entity::{self, Remove, Set},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal source set school kind=ldap server_type=openldap 'servers=[\"ldap.school.example\"]' \\
      base=dc=school,dc=example bind_as=cn=reader,dc=school,dc=example password=…
  cardinal source set company kind=active-directory 'domains=company.example;staff.company.example' \\
      bind_as=cardinal@company.example password=…
  cardinal source set staff kind=file from=staff rank=secondary
  cardinal source list
  cardinal source remove staff                its users stay
  cardinal sync test                          what a sync would change";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All of them
    #[command(after_help = "\
Examples:
  cardinal source list
  cardinal source list --json")]
    List,
    /// One, with every field but its passwords
    #[command(after_help = "\
Examples:
  cardinal source show school
  cardinal source show school --json")]
    Show {
        /// Its name, as `cardinal source list` shows it
        name: String,
    },
    #[command(after_help = SET)]
    Set(Set),
    #[command(after_help = "\
Its users and groups stay, and no sync touches them any more.

Examples:
  cardinal source remove staff --dry-run
  cardinal source remove staff")]
    Remove(Remove),
}

const SET: &str = "\
Examples:
  cardinal source set school kind=ldap server_type=openldap 'servers=[\"ldap.school.example\"]' \\
      base=dc=school,dc=example bind_as=cn=reader,dc=school,dc=example password=…
  cardinal source set company 'groups=[\"Printing\"]' disabled=true
  cardinal source set school schema.user-name-field=uid timeout_s=60
  cardinal source set staff kind=file from=staff rank=secondary";

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let action = match self {
            Self::List => entity::Action::List,
            Self::Show { name } => entity::Action::Show { name },
            Self::Set(set) => entity::Action::Set(set),
            Self::Remove(remove) => entity::Action::Remove(remove),
        };
        action.run(client, "source").await
    }
}
