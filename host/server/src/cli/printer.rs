//! `cardinal printer`: printers with how they are, and whose certificate is trusted.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Result, bail};
use cardinal_domain::event::Level;
use cardinal_release::SeenCertificate;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::{
    client::Client,
    entity::{Remove, Set},
    output::{self, say},
};
use crate::http::{Applied, ApplyQuery, PrinterView};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal printer set east uri=ipp://10.0.0.31/ipp/print
  cardinal printer set west uri=ipps://10.0.0.32/ipp/print
  cardinal printer trust west                 shows west's certificate, and pins it if you agree
  cardinal printer set trial uri=folder:./delivered
  cardinal printer list
  cardinal printer show east";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All printers, with how they are
    List,
    /// One printer, with its configuration, how it is and what it can do
    Show {
        name: String,
    },
    Set(Set),
    Remove(Remove),
    Trust(Trust),
}

/// Show the certificate of a printer with an ipps:// address, and pin it
///
/// Compare the fingerprint with the one that the printer shows at its own panel or page before you agree: whoever stands
/// between here and the printer could show another.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal printer trust west
  cardinal printer trust west --yes           asks nothing
  cardinal printer set west certificate=      takes the pin away")]
pub(super) struct Trust {
    name: String,
    /// Pin it without asking
    #[arg(long)]
    yes: bool,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { name } => show(client, &name).await,
            Self::Set(set) => set.run(client, "printer").await,
            Self::Remove(remove) => remove.run(client, "printer").await,
            Self::Trust(trust) => trust.run(client).await,
        }
    }
}

async fn list(client: &Client) -> Result<()> {
    let printers: Vec<PrinterView> = client.get("printer").await?;
    if client.json {
        return output::json(&printers);
    }
    let rows: Vec<_> = printers
        .iter()
        .map(|printer| {
            [
                printer.spec.name.to_string(),
                printer.status.state.to_string(),
                printer.jobs.to_string(),
                printer.spec.uri.to_string(),
                trouble(printer),
            ]
        })
        .collect();
    let headings = ["PRINTER", "STATE", "JOBS", "URI", "TROUBLE"];
    output::table(headings, &rows, "no printer yet; add one with `cardinal printer set NAME …` or `cardinal apply`");
    Ok(())
}

/// What is worth looking at, the worst first.
fn trouble(printer: &PrinterView) -> String {
    let worth = printer.status.trouble.iter().filter(|one| one.level >= Level::Warning);
    worth.map(|one| one.words.as_str()).collect::<Vec<_>>().join(", ")
}

async fn show(client: &Client, name: &str) -> Result<()> {
    let printer: PrinterView = client.get(&format!("printer/{name}")).await?;
    if client.json {
        return output::json(&printer);
    }
    output::text(&toml::to_string(&printer.spec)?);
    let status = &printer.status;
    say!("\nstate      {}", status.state);
    for one in &status.trouble {
        say!("{:10} {} ({})", one.level.to_string(), output::plain(&one.words), output::plain(&one.reason));
    }
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let facts = [
        ("says", status.message.clone()),
        ("accepting", status.accepting.map(yes_or_no).unwrap_or_default()),
        ("our jobs", printer.jobs.to_string()),
        ("all jobs", status.queued.map(|count| count.to_string()).unwrap_or_default()),
        ("model", status.model.clone()),
        ("firmware", status.firmware.clone()),
        ("formats", status.formats.join(", ")),
        ("options", status.options.join(", ")),
        ("looked at", status.looked.map(|time| time.to_string()).unwrap_or_default()),
        ("answered", status.answered.map(|time| time.to_string()).unwrap_or_default()),
        ("since", status.since.map(|time| time.to_string()).unwrap_or_default()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        say!("{name:10} {}", output::plain(value));
    }
    Ok(())
}

impl Trust {
    async fn run(self, client: &Client) -> Result<()> {
        let seen: SeenCertificate = client.get(&format!("printer/{}/certificate", self.name)).await?;
        // With --json standard output is the answer's alone.
        let tell = |words: String| {
            if client.json { eprintln!("{words}") } else { say!("{words}") }
        };
        tell(format!("printer {} shows the certificate\n  {}", self.name, seen.fingerprint));
        match &seen.untrusted {
            _ if seen.pinned => {
                tell("It is pinned already.".to_owned());
                return if client.json { output::json(&seen) } else { Ok(()) };
            }
            Some(why) => tell(format!("No authority known here vouches for it ({}).", output::plain(why))),
            None => tell(
                "An authority known here vouches for it: it is taken without a pin. With one, no other is.".to_owned(),
            ),
        }
        if !self.yes && !agreed()? {
            bail!("nothing was changed; compare the fingerprint with the printer's own, then say --yes or answer y");
        }
        let pin = json!({ "certificate": seen.fingerprint });
        let path = format!("site/printer/{}", self.name);
        let applied: Applied = client.ask(Method::PATCH, &path, None::<&ApplyQuery>, Some(&pin)).await?;
        output::applied(&applied, client.json)
    }
}

/// Asks on a terminal; elsewhere nobody agreed.
fn agreed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut ask = std::io::stderr();
    write!(ask, "Is it the printer's own? Pin it [y/N] ")?;
    ask.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
