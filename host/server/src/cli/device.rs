//! `cardinal device`: devices with the trouble of their readers.

use anyhow::Result;
use clap::Subcommand;

use super::{
    client::Client,
    entity::{Remove, Set},
    output::{self, say},
};
use crate::http::DeviceView;

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal device list
  cardinal device show floor-2-east
  cardinal device set floor-2-east printer=east on_card=release-all
  cardinal device set floor-2-east 'queues=[\"find-me\"]'
  cardinal device set floor-2-east card_no_converter='reverse-bytes|hex2dec'
  cardinal device set floor-2-east card_no_converter=         none, whatever the site's is
  cardinal device set floor-2-east card_no_converter=GLOBAL   the site's again";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All devices, with what is wrong at them
    List,
    /// One device, with its configuration and what is wrong at it
    Show {
        name: String,
    },
    Set(Set),
    Remove(Remove),
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { name } => show(client, &name).await,
            Self::Set(set) => set.run(client, "device").await,
            Self::Remove(remove) => remove.run(client, "device").await,
        }
    }
}

async fn list(client: &Client) -> Result<()> {
    let devices: Vec<DeviceView> = client.get("device").await?;
    if client.json {
        return output::json(&devices);
    }
    let rows: Vec<_> = devices
        .iter()
        .map(|device| {
            let queues: Vec<_> = device.spec.queues.iter().map(ToString::to_string).collect();
            [
                device.spec.name.to_string(),
                device.spec.printer.to_string(),
                queues.join(", "),
                trouble(device).collect::<Vec<_>>().join("; "),
            ]
        })
        .collect();
    let none = "no device yet; add one with `cardinal device set NAME …` or `cardinal apply`";
    output::table(["DEVICE", "PRINTER", "QUEUES", "TROUBLE"], &rows, none);
    Ok(())
}

async fn show(client: &Client, name: &str) -> Result<()> {
    let device: DeviceView = client.get(&format!("device/{name}")).await?;
    if client.json {
        return output::json(&device);
    }
    output::text(&toml::to_string(&device.spec)?);
    for line in trouble(&device) {
        say!("\ntrouble       {}", output::plain(&line));
    }
    Ok(())
}

fn trouble(device: &DeviceView) -> impl Iterator<Item = String> {
    device.trouble.iter().map(|trouble| format!("reader {}: {}", trouble.reader, trouble.reason))
}
