//! `cardinal job`.

use anyhow::Result;
use cardinal_domain::{
    job::{Job, JobState},
    names::{PrinterName, QueueName, UserName},
};
use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    client::Client,
    output::{self, say},
};
use crate::http::{JobQuery, ReleaseBody};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal job list
  cardinal job list --user ada --all
  cardinal job list --search report --before 4711     # the page behind job 4711
  cardinal job show 17
  cardinal job release 17 --printer east
  cardinal job cancel 17";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    List(List),
    /// One job, with why it stands where it stands
    Show {
        number: i32,
    },
    /// Send a held job to a printer
    Release {
        number: i32,
        #[arg(long)]
        printer: PrinterName,
    },
    /// Cancel a job and delete its document
    Cancel {
        number: i32,
    },
}

/// Jobs, newest first; without --all those that are not at their end
#[derive(Debug, Args)]
pub(super) struct List {
    #[arg(long)]
    queue: Option<QueueName>,
    #[arg(long)]
    user: Option<UserName>,
    /// receiving, held, releasing, sending, printing, delivered or cancelled
    #[arg(long)]
    state: Option<JobState>,
    /// Also those at their end
    #[arg(long)]
    all: bool,
    /// Only those with this text in their owner, user or name; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those with a lower number, which is the next page
    #[arg(long, value_name = "NUMBER")]
    before: Option<i32>,
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List(list) => list.run(client).await,
            Self::Show { number } => one(client, &client.get(&format!("job/{number}")).await?),
            Self::Release { number, printer } => {
                let path = format!("job/{number}/release");
                one(client, &client.ask(Method::POST, &path, None::<&()>, Some(&ReleaseBody { printer })).await?)
            }
            Self::Cancel { number } => {
                let path = format!("job/{number}");
                one(client, &client.ask(Method::DELETE, &path, None::<&()>, None::<&()>).await?)
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client) -> Result<()> {
        let query = JobQuery {
            queue: self.queue,
            user: self.user,
            state: self.state,
            all: self.all,
            search: self.search,
            before: self.before,
            limit: Some(self.limit),
        };
        let jobs: Vec<Job> = client.query("job", &query).await?;
        if client.json {
            return output::json(&jobs);
        }
        let rows: Vec<_> = jobs
            .iter()
            .map(|job| {
                [
                    job.number.to_string(),
                    state(job),
                    job.user.as_ref().map_or_else(|| format!("({})", job.owner), ToString::to_string),
                    job.queue.to_string(),
                    job.bytes.to_string(),
                    job.printer.as_ref().map(ToString::to_string).unwrap_or_default(),
                    job.name.clone(),
                    job.reason.clone(),
                ]
            })
            .collect();
        let headings = ["JOB", "STATE", "USER", "QUEUE", "BYTES", "PRINTER", "NAME", "WHY"];
        output::table(headings, &rows, "no jobs; --all also shows those at their end");
        Ok(())
    }
}

fn one(client: &Client, job: &Job) -> Result<()> {
    if client.json {
        return output::json(job);
    }
    let text = |value: Option<String>| value.unwrap_or_default();
    let facts = [
        ("job", job.number.to_string()),
        ("id", job.id.to_string()),
        ("state", state(job)),
        ("why", job.reason.clone()),
        ("name", job.name.clone()),
        ("owner", job.owner.clone()),
        ("user", text(job.user.as_ref().map(ToString::to_string))),
        ("queue", job.queue.to_string()),
        ("printer", text(job.printer.as_ref().map(ToString::to_string))),
        ("device", text(job.device.as_ref().map(ToString::to_string))),
        ("format", job.format.clone()),
        ("bytes", job.bytes.to_string()),
        ("sha256", job.sha256.clone()),
        ("created", job.created.to_string()),
        ("changed", job.changed.to_string()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        say!("{name:9} {}", output::plain(value));
    }
    for (name, value) in &job.options {
        say!("{:9} {} = {}", "option", output::plain(name), output::plain(value));
    }
    Ok(())
}

fn state(job: &Job) -> String {
    if job.doubtful { format!("{}, may have printed", job.state) } else { job.state.to_string() }
}
