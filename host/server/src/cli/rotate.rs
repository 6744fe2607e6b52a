//! `cardinal reader rotate`.

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::{client::Client, output};
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

/// Reads `90s`, `10m`, `1h`, `2d` or `0`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let each = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "" if number == "0" => Some(0),
        _ => None,
    };
    let seconds = each.and_then(|each: u64| number.parse::<u64>().ok()?.checked_mul(each));
    seconds.ok_or_else(|| "write a number and s, m, h or d, such as 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_has_a_unit() {
        for (text, expected) in [("0", 0), ("0s", 0), ("90s", 90), ("10m", 600), ("1h", 3_600), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "10", "m", "-1s", "1.5h", "10 m", "1w", "99999999999999999999s", "999999999999999999d", "1ħ"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
