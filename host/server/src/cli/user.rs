//! `cardinal user`: what all entities have, and the password.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, step},
    entity,
    output::{self, say},
    password,
};
use crate::{
    http::{Applied, ApplyQuery, GroupView},
    sign_in,
};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    #[command(flatten)]
    Entity(entity::Action),
    Password(Password),
}

/// Set the password with which somebody signs in to print
#[derive(Debug, Args)]
#[command(after_help = "\
Asks for the password twice, or reads one line from standard input where that is no terminal. Only its hash is kept.

Examples:
  cardinal user password ada
  pwgen 16 1 | tee /dev/tty | cardinal user password ada
  cardinal user password ada --clear          no sign-in any more")]
pub(super) struct Password {
    name: String,
    /// Take the password away
    #[arg(long)]
    clear: bool,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::Entity(entity::Action::Show { name }) => {
                entity::show(client, "user", &name).await?;
                if client.json { Ok(()) } else { groups(client, &name).await }
            }
            Self::Entity(action) => action.run(client, "user").await,
            Self::Password(password) => password.run(client).await,
        }
    }
}

/// The groups of a user, below what the site says of them. As JSON they are had from `group list --user`.
async fn groups(client: &Client, name: &str) -> Result<()> {
    let groups: Vec<GroupView> = client.query("group", &[("user", name)]).await?;
    if !groups.is_empty() {
        let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
        say!("\ngroups        {}", output::plain(&names.join(", ")));
    }
    Ok(())
}

impl Password {
    async fn run(&self, client: &Client) -> Result<()> {
        let path = format!("site/user/{}", step(&self.name));
        // A change of somebody who is not there would add them.
        let _: Value = client.get(&path).await?;
        let hash = if self.clear { None } else { Some(sign_in::hash(&password::new(&self.name)?)?) };
        let query = ApplyQuery::default();
        let fields = json!({ "password_hash": hash });
        let _: Applied = client.ask(Method::PATCH, &path, Some(&query), Some(&fields)).await?;
        let done = if self.clear { "has no password any more" } else { "has a new password" };
        output::done(client.json, &format!("{} {done}", self.name))
    }
}
