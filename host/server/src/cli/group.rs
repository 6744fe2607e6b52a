//! `cardinal group`: groups of users, as the last sync left them.

use anyhow::Result;
use cardinal_domain::names::UserName;
use clap::Subcommand;

use super::{
    client::{Client, step},
    output::{self, say},
};
use crate::http::GroupView;

pub(super) const EXAMPLES: &str = "\
Groups come from the directory (`cardinal sync`); members of groups inside a group are its members, too.

Examples:
  cardinal group list
  cardinal group show staff
  cardinal group list --user ada
  cardinal device set staff-room 'groups=[\"staff\"]'     who may release there";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All of them
    #[command(after_help = "\
Examples:
  cardinal group list
  cardinal group list --user ada --json")]
    List {
        /// Only those that this user is in
        #[arg(long)]
        user: Option<UserName>,
    },
    /// One, with its members
    #[command(after_help = "\
Examples:
  cardinal group show staff
  cardinal group show 'Staff / Teachers' --json")]
    Show {
        /// Its name; upper and lower case are the same
        name: String,
    },
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List { user } => {
                let of: Vec<_> = user.iter().map(|user| ("user", user)).collect();
                let groups: Vec<GroupView> = client.query("group", &of).await?;
                if client.json {
                    return output::json(&groups);
                }
                let row =
                    |group: &GroupView| [group.name.to_string(), group.count.to_string(), group.source.to_string()];
                let rows: Vec<_> = groups.iter().map(row).collect();
                output::table(
                    ["GROUP", "MEMBERS", "SOURCE"],
                    &rows,
                    "no group yet; they come with `cardinal sync now`",
                );
            }
            Self::Show { name } => {
                let group: GroupView = client.get(&format!("group/{}", step(&name))).await?;
                if client.json {
                    return output::json(&group);
                }
                say!("{}, of source {}: {} members", group.name, group.source, group.count);
                group.members.iter().for_each(|member| say!("  {member}"));
            }
        }
        Ok(())
    }
}
