//! `cardinal reader rotate`.

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::{client::Client, duration::seconds, output};
use crate::http::{RotateBody, Rotated};

/// Give a reader that calls over HTTP another secret address to call
#[derive(Debug, Args)]
#[command(after_help = "\
The reader is configured with the new address at once, as soon as it can be reached. The address before is good until the
overlap ends, so that no card is lost meanwhile; with --overlap 0 it is refused from now on.

Examples:
  cardinal reader rotate floor-2-east
  cardinal reader rotate floor-2-east --overlap 0      # somebody has seen the address")]
pub(super) struct Rotate {
    name: String,
    /// How long the address before is still good: a number and s, m, h or d
    #[arg(long, default_value = "10m", value_parser = seconds, value_name = "TIME")]
    overlap: u64,
}

impl Rotate {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let body = RotateBody { overlap_seconds: self.overlap };
        let path = format!("reader/{}/rotate", self.name);
        let rotated: Rotated = client.ask(Method::POST, &path, None::<&()>, Some(&body)).await?;
        if client.json {
            return output::json(&rotated);
        }
        let said =
            format!("{} has another address to call; the one before is good until {}", self.name, rotated.overlap_ends);
        output::done(false, &said)
    }
}
