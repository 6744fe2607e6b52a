//! `cardinal card convert`.

use anyhow::{Result, anyhow, bail};
use cardinal_domain::{
    convert::{Rules, STEPS},
    names::DeviceName,
};
use clap::Args;
use reqwest::Method;

use crate::{
    cli::{
        client::Client,
        output::{self, say},
    },
    http::{ConvertBody, Converted, converted},
};

/// Show step by step which card number is made of a read
///
/// Without --chain and --regex the running host is asked for the settings in force. Whether somebody has the card is not
/// looked up. The exit status is 0 where a card number comes out.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = steps())]
pub(in crate::cli) struct Convert {
    /// What the reader sends
    read: String,
    /// Steps joined by |, as in ext-device.card-no-converter
    #[arg(long)]
    chain: Option<String>,
    /// A pattern whose first group is the number, as in ext-device.card-no-regex
    #[arg(long)]
    regex: Option<String>,
    /// By the settings of this device instead of the site's
    #[arg(long, value_name = "NAME", conflicts_with_all = ["chain", "regex"])]
    device: Option<DeviceName>,
    /// READ is N raw bits, written as N digits 0 and 1 or as a hexadecimal number
    #[arg(long, value_name = "N")]
    bits: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  cardinal card convert 28BD6E94
  cardinal card convert 28BD6E94 --chain 'reverse-bytes|hex2dec'
  cardinal card convert 'ID946EBD28=8' --regex '^ID(.{8})' --chain hex2dec --json
  cardinal card convert --bits 26 186072 --chain 'fields(2,8,3,10,16,5)'

The steps are listed by --help.";

/// The examples and every step, for `--help`.
fn steps() -> String {
    let width = STEPS.iter().map(|usage| usage.form.chars().count()).max().unwrap_or_default();
    let lines: Vec<_> = STEPS.iter().map(|usage| format!("  {:width$}  {}", usage.form, usage.help)).collect();
    format!("{}\n\nSteps:\n{}", EXAMPLES.trim_end_matches("\n\nThe steps are listed by --help."), lines.join("\n"))
}

impl Convert {
    pub(super) fn asks_host(&self) -> bool {
        self.chain.is_none() && self.regex.is_none()
    }

    pub(super) fn run_here(self, json: bool) -> Result<()> {
        let rules = Rules {
            regex: self.regex.as_deref().unwrap_or_default(),
            chain: self.chain.as_deref().unwrap_or_default(),
        };
        show(&converted(rules, &self.read, self.bits).map_err(|error| anyhow!(error))?, json)
    }

    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let body =
            ConvertBody { read: self.read, bits: self.bits, device: self.device, regex: self.regex, chain: self.chain };
        let converted: Converted = client.ask(Method::POST, "card/convert", None::<&()>, Some(&body)).await?;
        if !client.json {
            let whose = body.device.map_or_else(|| "the site".to_owned(), |device| format!("device {device}"));
            say!("{:30}  {}", format!("pattern of {whose}"), none(&converted.regex));
            say!("{:30}  {}\n", format!("converter of {whose}"), none(&converted.chain));
        }
        show(&converted, client.json)
    }
}

fn none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { output::plain(text) }
}

fn show(converted: &Converted, json: bool) -> Result<()> {
    if json {
        output::json(converted)?;
    } else {
        let rows: Vec<_> = converted
            .stages
            .iter()
            .map(|stage| {
                let output = stage.output.clone().or_else(|| stage.error.as_ref().map(|why| format!("failed: {why}")));
                [stage.step.clone(), stage.input.clone(), output.unwrap_or_default()]
            })
            .collect();
        output::table(["STEP", "INPUT", "OUTPUT"], &rows, "no step: the number is what the reader sends");
        if let Some(card) = &converted.card {
            say!("\ncard number  {card}");
        }
    }
    match &converted.error {
        None => Ok(()),
        Some(error) => bail!("no card number: {error}"),
    }
}
