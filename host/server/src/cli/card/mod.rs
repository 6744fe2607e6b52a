//! `cardinal card`: how a read becomes the number on record.

mod convert;
mod infer;
mod pairs;

use anyhow::Result;
use clap::Subcommand;

use super::client::Client;

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal card convert 28BD6E94                                  by the site's settings
  cardinal card convert 28BD6E94 --device floor-2-east            by those of a device
  cardinal card convert 28BD6E94 --chain 'reverse-bytes|hex2dec'  tries a chain; needs no host
  cardinal card infer --pairs pairs.csv                           finds the chain from examples";

#[derive(Subcommand)]
pub(super) enum Action {
    Convert(convert::Convert),
    Infer(infer::Infer),
}

// Hand-written: a derived one would show card numbers.
impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Convert(_) => "Convert",
            Self::Infer(_) => "Infer",
        })
    }
}

impl Action {
    /// Whether a running host is asked for its settings.
    pub(super) fn asks_host(&self) -> bool {
        matches!(self, Self::Convert(convert) if convert.asks_host())
    }

    /// Without a host.
    pub(super) fn run_here(self, json: bool) -> Result<()> {
        match self {
            Self::Convert(convert) => convert.run_here(json),
            Self::Infer(infer) => infer.run(json),
        }
    }

    /// With a running host's settings.
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::Convert(convert) => convert.run(client).await,
            Self::Infer(infer) => infer.run(client.json),
        }
    }
}
