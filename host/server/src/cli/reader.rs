//! `cardinal reader`: readers with how they are.

use anyhow::{Result, anyhow};
use cardinal_domain::time::Timestamp;
use clap::Subcommand;
use reqwest::Method;

use super::{
    capture::{self, Record},
    client::Client,
    entity::{Remove, Set},
    output::{self, say},
    rotate::Rotate,
};
use crate::{
    http::{Callback, CommandBody, ReaderView},
    sessions::Phase,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal reader list
  cardinal reader show floor-2-east
  cardinal reader set floor-2-east driver=cardinal/generic mode=generic address=10.0.0.21:7778 device=floor-2-east
  cardinal reader set floor-2-east settings.keepalive_seconds=10
  cardinal reader command floor-2-east beep
  cardinal reader callback floor-2-east                # a secret: whoever has it can show cards there
  cardinal reader rotate floor-2-east --overlap 1h
  cardinal reader free floor-2-east                    # its driver was quarantined, and is mended
  cardinal reader trace floor-2-east
  cardinal reader record floor-2-east --for 10m        # card numbers in clear: see its help";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All readers, with how they are
    List,
    /// One reader, with its configuration and how it is
    Show {
        name: String,
    },
    Set(Set),
    Remove(Remove),
    /// Give the reader's driver a command of its mode
    Command {
        name: String,
        command: String,
        #[arg(value_name = "KEY=VALUE")]
        arguments: Vec<String>,
    },
    /// The secret address that a reader over HTTP calls, for a device on which it has to be typed
    Callback {
        name: String,
    },
    Rotate(Rotate),
    /// Start a driver again that was quarantined on this reader
    Free {
        name: String,
    },
    /// What the reader's driver was told and answered lately: no card numbers, no bytes
    Trace {
        name: String,
    },
    Record(Record),
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { name } => show(client, &name).await,
            Self::Set(set) => set.run(client, "reader").await,
            Self::Remove(remove) => remove.run(client, "reader").await,
            Self::Callback { name } => {
                let path = format!("reader/{name}/callback");
                let callback: Callback = client.get(&path).await?;
                if client.json {
                    return output::json(&callback);
                }
                say!("{}", callback.url);
                Ok(())
            }
            Self::Trace { name } => capture::trace(client, &name).await,
            Self::Record(record) => record.run(client).await,
            Self::Rotate(rotate) => rotate.run(client).await,
            Self::Free { name } => {
                client.ask::<()>(Method::POST, &format!("reader/{name}/free"), None::<&()>, None::<&()>).await?;
                output::done(client.json, &format!("the driver of {name} is started again"))
            }
            Self::Command { name, command, arguments } => {
                let pair = |text: &String| {
                    let (key, value) = text.split_once('=').ok_or_else(|| anyhow!("{text:?} is no KEY=VALUE"))?;
                    Ok((key.to_owned(), value.to_owned()))
                };
                let arguments = arguments.iter().map(pair).collect::<Result<_>>()?;
                let body = CommandBody { command, arguments };
                let path = format!("reader/{name}/command");
                client.ask::<()>(Method::POST, &path, None::<&()>, Some(&body)).await?;
                output::done(client.json, &format!("the driver of {name} was given {:?}", body.command))
            }
        }
    }
}

async fn list(client: &Client) -> Result<()> {
    let readers: Vec<ReaderView> = client.get("reader").await?;
    if client.json {
        return output::json(&readers);
    }
    let rows: Vec<_> = readers
        .iter()
        .map(|reader| {
            let status = reader.status.as_ref();
            [
                reader.spec.name.to_string(),
                phase(reader),
                status.map_or_else(|| reader.spec.driver.to_string(), |status| status.driver.clone()),
                reader.spec.address.clone(),
                reader.spec.device.to_string(),
                status.map(|status| status.cards.to_string()).unwrap_or_default(),
                status.and_then(|status| status.trouble()).unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["READER", "STATE", "DRIVER", "ADDRESS", "DEVICE", "CARDS", "TROUBLE"];
    output::table(headings, &rows, "no reader yet; add one with `cardinal reader set NAME …` or `cardinal apply`");
    Ok(())
}

async fn show(client: &Client, name: &str) -> Result<()> {
    let reader: ReaderView = client.get(&format!("reader/{name}")).await?;
    if client.json {
        return output::json(&reader);
    }
    output::text(&toml::to_string(&reader.spec)?);
    say!("\nstate         {}", phase(&reader));
    if let Some(warning) = &reader.warning {
        say!("warning       {}", output::plain(warning));
    }
    let Some(status) = &reader.status else { return Ok(()) };
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let facts = [
        ("reason", Some(status.reason.clone()).filter(|reason| !reason.is_empty())),
        ("driver", Some(status.driver.clone())),
        ("its word", reader.driver_standing.map(|standing| standing.to_string())),
        ("peer", status.peer.clone()),
        ("connected", time(status.connected)),
        ("connections", Some(status.connects.to_string())),
        ("last seen", time(status.last_seen)),
        ("cards", Some(status.cards.to_string())),
        ("last card", time(status.last_card)),
        ("its number", status.last_card_masked.clone()),
        (
            "throttled",
            time(status.throttled).map(|since| format!("since {since}: it sends too much, and is read more slowly")),
        ),
        ("asleep", status.asleep.then(|| "its driver is saved and costs nothing until something happens".to_owned())),
        ("rejected", (status.rejected > 0).then(|| format!("{} of its cards", status.rejected))),
        ("failures", (status.faults > 0).then(|| format!("{} of its driver", status.faults))),
        ("floods", (status.throttles > 0).then(|| status.throttles.to_string())),
        ("last error", status.last_error.clone()),
        ("at", time(status.last_error_at)),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        say!("{name:13} {}", output::plain(&value));
    }
    for warning in &status.warnings {
        say!("{:13} {}", "warning", output::plain(warning));
    }
    for (name, value) in &status.facts {
        say!("{:13} {}", output::plain(name), output::plain(value));
    }
    Ok(())
}

fn phase(reader: &ReaderView) -> String {
    let Some(status) = &reader.status else { return "disabled".to_owned() };
    match (status.phase, &status.health) {
        (Phase::Misconfigured, _) => "misconfigured".to_owned(),
        (Phase::Quarantined, _) => "quarantined".to_owned(),
        (Phase::Connecting, _) => "connecting".to_owned(),
        (Phase::Online, _) if status.throttled.is_some() => "throttled".to_owned(),
        (Phase::Online, Some(health)) => health.to_string(),
        (Phase::Online, None) => "online".to_owned(),
    }
}
