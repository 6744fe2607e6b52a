//! `cardinal driver`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use cardinal_domain::driver::{Mode, SettingKind};
use cardinal_store::InstalledDriver;
use clap::Subcommand;
use reqwest::Method;

use super::{
    client::Client,
    driver_replay::{Replay, Test},
    output::{self, say},
    swap::Swap,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal driver install acme-tcp.wasm
  cardinal driver list
  cardinal driver show cardinal/generic
  cardinal driver swap acme/tcp --to 1.3.0 --canary 5% --for 10m
  cardinal driver remove acme/tcp@1.2.0
  cardinal driver replay lost-card.trace --driver acme-tcp.wasm
  cardinal driver test drivers/acme-tcp --driver acme-tcp.wasm";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Inspect, compile and install a driver file
    Install {
        file: PathBuf,
    },
    /// Installed drivers
    List,
    /// One driver with its modes and settings
    Show {
        #[arg(value_name = "VENDOR/NAME[@VERSION]")]
        driver: String,
    },
    Swap(Swap),
    /// Remove a driver that no reader uses
    Remove {
        #[arg(value_name = "VENDOR/NAME[@VERSION]")]
        driver: String,
    },
    Replay(Replay),
    Test(Test),
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::Install { file } => {
                let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let installed = client
                    .upload::<InstalledDriver>("driver", wasm)
                    .await
                    .with_context(|| format!("{} was not installed", file.display()))?;
                show(client, &installed)
            }
            // Take no host.
            Self::Replay(replay) => replay.run(client.json),
            Self::Test(test) => test.run(client.json),
            Self::List => list(client).await,
            Self::Show { driver } => show(client, &client.get(&format!("driver/{driver}")).await?),
            Self::Swap(swap) => swap.run(client).await,
            Self::Remove { driver } => {
                client.ask::<()>(Method::DELETE, &format!("driver/{driver}"), None::<&()>, None::<&()>).await?;
                output::done(client.json, &format!("{driver} was removed"))
            }
        }
    }
}

async fn list(client: &Client) -> Result<()> {
    let drivers: Vec<InstalledDriver> = client.get("driver").await?;
    if client.json {
        return output::json(&drivers);
    }
    let row = |driver: &InstalledDriver| {
        let modes: Vec<_> = driver.manifest.modes.iter().map(|mode| mode.id.as_str()).collect();
        let digest = driver.digest.get(..12).unwrap_or_default().to_owned();
        [
            driver.manifest.id(),
            driver.manifest.version.clone(),
            modes.join(", "),
            digest,
            driver.manifest.summary.clone(),
        ]
    };
    let rows: Vec<_> = drivers.iter().map(row).collect();
    let headings = ["DRIVER", "VERSION", "MODES", "DIGEST", "SUMMARY"];
    output::table(headings, &rows, "no driver is installed; `cardinal driver install FILE` installs one");
    Ok(())
}

fn show(client: &Client, driver: &InstalledDriver) -> Result<()> {
    if client.json {
        return output::json(driver);
    }
    let manifest = &driver.manifest;
    say!("{}@{}: {}", manifest.id(), manifest.version, output::plain(&manifest.summary));
    say!("sha256 {}, installed {}", driver.digest, driver.installed);
    for mode in &manifest.modes {
        show_mode(mode);
    }
    Ok(())
}

fn show_mode(mode: &Mode) {
    let transports: Vec<_> = mode.transports.iter().map(|transport| transport.name()).collect();
    say!("\nmode {} ({}): {}", mode.id, transports.join(", "), output::plain(&mode.title));
    say!("  {}", output::plain(&mode.summary));
    if !mode.commands.is_empty() {
        say!("  commands: {}", mode.commands.join(", "));
    }
    for setting in &mode.settings {
        let default = match (&setting.default, setting.kind) {
            (Some(_), SettingKind::Secret) => " (has a default)".to_owned(),
            (Some(default), _) => format!(" = {default:?}"),
            (None, _) if setting.required => " (required)".to_owned(),
            (None, _) => String::new(),
        };
        say!("  {} [{}]{default}\n      {}", setting.key, setting.kind, output::plain(&setting.help));
    }
}
