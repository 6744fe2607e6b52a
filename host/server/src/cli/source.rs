//! `cardinal source`: what all entities have, and the password with which a directory is signed in at.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, step},
    entity, output, password,
};
use crate::http::{Applied, ApplyQuery};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal source set school kind=ldap server_type=openldap 'servers=[\"ldap.school.example\"]' \\
      base=dc=school,dc=example bind_as=cn=reader,dc=school,dc=example --ask-password
  cardinal source set company kind=active-directory 'domains=company.example;staff.company.example' \\
      bind_as=cardinal@company.example --ask-password
  cardinal source set company 'domain.\"staff.company.example\".servers=[\"dc1.staff.company.example\"]'
  cardinal source set staff kind=file from=staff rank=secondary
  cardinal source password school             another password, asked for
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
    Set(SetSource),
    #[command(after_help = "\
Its users and groups stay, and no sync touches them any more.

Examples:
  cardinal source remove staff --dry-run
  cardinal source remove staff")]
    Remove(entity::Remove),
    Password(Password),
}

/// Add one, or change fields of one that is there
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal source set school kind=ldap server_type=openldap 'servers=[\"ldap.school.example\"]' \\
      base=dc=school,dc=example bind_as=cn=reader,dc=school,dc=example --ask-password
  cardinal source set company 'groups=[\"Printing\"]' disabled=true
  cardinal source set company 'domain.\"staff.company.example\".servers=[\"dc1.staff.company.example\"]'
  cardinal source set company 'domain.\"staff.company.example\"='    nothing differs for it any more
  cardinal source set school schema.user-name-field=uid timeout_s=60
  cardinal source set staff kind=file from=staff rank=secondary")]
pub(super) struct SetSource {
    #[command(flatten)]
    set: entity::Set,
    /// Ask for the password of bind_as, or read it from standard input where that is no terminal
    #[arg(long)]
    ask_password: bool,
}

/// Set the password with which the host signs in at the directory
#[derive(Debug, Args)]
#[command(after_help = "\
Asks for it, or reads one line from standard input where that is no terminal: it stands in no shell history then.

Examples:
  cardinal source password school
  cardinal source password company --domain staff.company.example
  pass directory/reader | cardinal source password school
  cardinal sync test                          whether it is right")]
pub(super) struct Password {
    /// The source's name, as `cardinal source list` shows it
    name: String,
    /// Of this domain of an Active Directory alone
    #[arg(long)]
    domain: Option<String>,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let action = match self {
            Self::List => entity::Action::List,
            Self::Show { name } => entity::Action::Show { name },
            Self::Remove(remove) => entity::Action::Remove(remove),
            Self::Set(set) => return set.run(client).await,
            Self::Password(password) => return password.run(client).await,
        };
        action.run(client, "source").await
    }
}

impl SetSource {
    async fn run(&self, client: &Client) -> Result<()> {
        let mut fields = Map::new();
        if self.ask_password {
            fields.insert("password".to_owned(), ask(&self.set.name)?.into());
        }
        self.set.run_with(client, "source", fields).await
    }
}

impl Password {
    async fn run(&self, client: &Client) -> Result<()> {
        let path = format!("site/source/{}", step(&self.name));
        // A change of one that is not there would add it.
        let source: Value = client.get(&path).await?;
        let (of, fields) = match &self.domain {
            None => (self.name.clone(), json!({ "password": ask(&self.name)? })),
            Some(domain) => {
                // As it is written already: upper and lower case are the same to a domain, and not to a key.
                let mut known = source.get("domain").and_then(Value::as_object).into_iter().flat_map(Map::keys);
                let key = known.find(|key| key.eq_ignore_ascii_case(domain)).unwrap_or(domain);
                let of = format!("{}, domain {key}", self.name);
                let fields = json!({ "domain": { key: { "password": ask(&of)? } } });
                (of, fields)
            }
        };
        let _: Applied = client.ask(Method::PATCH, &path, Some(&ApplyQuery::default()), Some(&fields)).await?;
        output::done(client.json, &format!("{of} has the new password; `cardinal sync test` tells whether it is right"))
    }
}

fn ask(of: &str) -> Result<String> {
    let password = password::known(&format!("source {of}"))?;
    if password.is_empty() {
        bail!("a sign-in without a password is an anonymous one; nothing was changed");
    }
    Ok(password)
}
