//! `cardinal driver`.

mod build;
mod dev;
mod files;
mod inspect;
mod install;
mod keys;
mod new;
mod replay;
mod swap;
mod trust;
mod watch;

use std::path::Path;

use anyhow::Result;
use cardinal_domain::driver::{Mode, SettingKind};
use clap::Subcommand;
use reqwest::Method;

use self::{
    replay::{Replay, Test},
    swap::Swap,
};
use super::{
    client::Client,
    output::{self, say},
};
use crate::http::DriverView;

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal driver new acme-tcp
  cardinal driver build acme-tcp
  cardinal driver dev acme-tcp
  cardinal driver inspect acme-tcp.wasm
  cardinal driver trust acme --key acme.pub
  cardinal driver install acme-tcp.wasm
  cardinal driver list
  cardinal driver show cardinal/generic
  cardinal driver swap acme/tcp --to 1.3.0 --canary 5% --for 10m
  cardinal driver remove acme/tcp@1.2.0
  cardinal driver replay lost-card.trace --driver acme-tcp.wasm
  cardinal driver test drivers/acme-tcp --driver acme-tcp.wasm";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    New(new::New),
    Build(build::Build),
    Dev(dev::Dev),
    Install(install::Install),
    Inspect(inspect::Inspect),
    Trust(trust::Trust),
    Keygen(keys::Keygen),
    Sign(keys::Sign),
    Verify(keys::Verify),
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
    /// Whether it is done here, without a host.
    pub(super) fn is_offline(&self) -> bool {
        match self {
            Self::New(_) | Self::Build(_) => true,
            Self::Replay(_) | Self::Test(_) | Self::Inspect(_) | Self::Keygen(_) | Self::Sign(_) => true,
            Self::Verify(verify) => verify.is_offline(),
            _ => false,
        }
    }

    /// Does what needs no host; `config` is a host's file all the same, where there is one.
    pub(super) fn run_here(self, config: &Path, as_json: bool) -> Result<()> {
        match self {
            Self::New(new) => new.run(as_json),
            Self::Build(build) => build.run(config, as_json),
            Self::Replay(replay) => replay.run(as_json),
            Self::Test(test) => test.run(as_json),
            Self::Inspect(inspect) => inspect.run(config, as_json),
            Self::Keygen(keygen) => keygen.run(as_json),
            Self::Sign(sign) => sign.run(config, as_json),
            Self::Verify(verify) => verify.run_here(config, as_json),
            _ => Ok(()),
        }
    }

    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::Install(install) => install.run(client).await,
            Self::Trust(trust) => trust.run(client).await,
            Self::Verify(verify) => verify.run(client).await,
            Self::Dev(dev) => dev.run(client).await,
            // Take no host.
            Self::New(_) | Self::Build(_) => Ok(()),
            Self::Replay(_) | Self::Test(_) | Self::Inspect(_) | Self::Keygen(_) | Self::Sign(_) => Ok(()),
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
    let drivers: Vec<DriverView> = client.get("driver").await?;
    if client.json {
        return output::json(&drivers);
    }
    let row = |view: &DriverView| {
        let driver = &view.driver;
        let modes: Vec<_> = driver.manifest.modes.iter().map(|mode| mode.id.as_str()).collect();
        let digest = driver.digest.get(..12).unwrap_or_default().to_owned();
        [
            driver.manifest.id(),
            driver.manifest.version.clone(),
            if view.chosen { "yes".to_owned() } else { String::new() },
            view.standing.map_or_else(|| "NOT RUN".to_owned(), |standing| standing.to_string()),
            modes.join(", "),
            digest,
            driver.manifest.summary.clone(),
        ]
    };
    let rows: Vec<_> = drivers.iter().map(row).collect();
    let headings = ["DRIVER", "VERSION", "CHOSEN", "SIGNATURE", "MODES", "DIGEST", "SUMMARY"];
    output::table(headings, &rows, "no driver is installed; `cardinal driver install FILE` installs one");
    Ok(())
}

fn show(client: &Client, view: &DriverView) -> Result<()> {
    if client.json {
        return output::json(view);
    }
    let driver = &view.driver;
    let manifest = &driver.manifest;
    say!("{}@{}: {}", manifest.id(), manifest.version, output::plain(&manifest.summary));
    say!("sha256 {}, installed {}", driver.digest, driver.installed);
    if let Some(standing) = view.standing {
        say!("{standing}");
    }
    if let Some(trouble) = &view.trouble {
        say!("not run: {}", output::plain(trouble));
    }
    if view.chosen {
        say!("readers that name no version run this one");
    }
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
