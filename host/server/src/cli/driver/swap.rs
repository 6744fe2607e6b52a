//! `cardinal driver swap`.

use std::time::Duration;

use anyhow::{Result, bail};
use cardinal_domain::names::ReaderName;
use clap::Args;
use reqwest::Method;

use super::super::{
    client::Client,
    duration::seconds,
    output::{self, say},
};
use crate::swap::{Canary, Stage, SwapBody, SwapView};

/// How often it is asked how the swap is.
const LOOK: Duration = Duration::from_millis(200);

/// Have the readers of a driver go on in another of its versions, without closing a connection
#[derive(Debug, Args)]
#[command(after_help = "\
Every reader's settings are checked against the version before anything moves. Some readers try it first; where its driver
fails on them, or they reject clearly more cards than before, all go back by themselves. The others follow, each when nothing
is under way with it. Readers that name a version (vendor/name@1.2.0) are not touched.

Examples:
  cardinal driver swap acme/tcp --to 1.3.0 --dry-run
  cardinal driver swap acme/tcp --to 1.3.0                              # one reader first, then the rest
  cardinal driver swap acme/tcp --to 1.3.0 --canary 5% --for 10m
  cardinal driver swap acme/tcp --to 1.3.0 --canary lobby,floor-2-east --for 1h --no-wait
  cardinal driver swap acme/tcp                                         # how the last one is
  cardinal driver swap acme/tcp --call-off                              # back to the version before")]
pub(in crate::cli) struct Swap {
    #[arg(value_name = "VENDOR/NAME")]
    driver: String,
    /// The version, which is installed; without it the last swap is shown
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Readers that try it first: names with commas, or a share of all such as 5%
    #[arg(long, requires = "to", value_name = "READERS|PERCENT", value_parser = canary)]
    canary: Option<Canary>,
    /// How long they try it before the rest follow: a number and s, m, h or d
    #[arg(long = "for", requires = "to", default_value = "0", default_value_if("canary", clap::builder::ArgPredicate::IsPresent, "10m"), value_parser = seconds, value_name = "TIME")]
    tries: u64,
    /// Only say what would be done
    #[arg(long, requires = "to")]
    dry_run: bool,
    /// Do not wait for its end
    #[arg(long, requires = "to")]
    no_wait: bool,
    /// Call the one that is under way off: its readers go back
    #[arg(long, conflicts_with = "to")]
    call_off: bool,
}

impl Swap {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let path = format!("driver/{}/swap", self.driver);
        if self.call_off {
            client.ask::<()>(Method::DELETE, &path, None::<&()>, None::<&()>).await?;
            return wait(client, &path).await.map(drop);
        }
        let Some(to) = self.to else { return show(client, &client.get(&path).await?) };
        let body =
            SwapBody { to, canary: self.canary.unwrap_or_default(), for_seconds: self.tries, dry_run: self.dry_run };
        let begun: SwapView = client.ask(Method::POST, &path, None::<&()>, Some(&body)).await?;
        if self.no_wait || self.dry_run {
            return show(client, &begun);
        }
        let view = wait(client, &path).await?;
        if view.stage == Stage::RolledBack {
            bail!("{} was taken back: {}", view.to, view.why.unwrap_or_default());
        }
        Ok(())
    }
}

/// How a swap was, once it is over.
pub(super) async fn ended(client: &Client, path: &str) -> Result<SwapView> {
    loop {
        let view: SwapView = client.get(path).await?;
        if view.stage.is_over() {
            return Ok(view);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows how it goes until it is over.
async fn wait(client: &Client, path: &str) -> Result<SwapView> {
    let mut said = String::new();
    loop {
        let view: SwapView = client.get(path).await?;
        if view.stage.is_over() {
            show(client, &view)?;
            return Ok(view);
        }
        let line = progress(&view);
        if line != said && !client.json {
            say!("{line}");
            said = line;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn progress(view: &SwapView) -> String {
    let SwapView { to, moved, readers, tried, .. } = view;
    match view.stage {
        Stage::Canary => {
            let until = view.canary_until.map(|until| format!(" until {until}")).unwrap_or_default();
            let (tries, cards, rejected, faults) = (view.canaries.len(), tried.cards, tried.rejected, tried.faults);
            format!("{tries} readers try {to}{until}: {cards} cards, {rejected} rejected, {faults} failures")
        }
        Stage::RollingBack => format!("going back to {}: {}", view.from, view.why.as_deref().unwrap_or_default()),
        _ => format!("{moved} of {readers} readers run {to}"),
    }
}

fn show(client: &Client, view: &SwapView) -> Result<()> {
    if client.json {
        return output::json(view);
    }
    let SwapView { driver, from, to, .. } = view;
    match view.stage {
        Stage::Planned => {
            let names: Vec<_> = view.canaries.iter().map(ReaderName::as_str).collect();
            say!("would swap {driver} from {from} to {to}: {} readers, first {}", view.readers, names.join(", "));
        }
        Stage::Done => {
            let took = view.ended.map_or(0, |ended| ended.0 - view.began.0);
            say!("{driver}: readers run {to} instead of {from}; {} sessions went on in it, in {took} ms", view.moved);
        }
        Stage::RolledBack => {
            say!("{driver}: readers run {from} again: {}", output::plain(view.why.as_deref().unwrap_or_default()));
        }
        _ => say!("{driver}: {}", progress(view)),
    }
    if view.next_time > 0 {
        say!("{} readers are not connected; they take it with their next connection", view.next_time);
    }
    for stayed in &view.stay {
        say!("{} stays in {from} until its next connection: {}", stayed.reader, output::plain(&stayed.why));
    }
    if view.staying > view.stay.len() {
        say!("and {} more", view.staying - view.stay.len());
    }
    if view.pinned > 0 {
        say!("{} readers name a version of their own and were not touched", view.pinned);
    }
    Ok(())
}

/// Reads `lobby,floor-2` or `5%`.
fn canary(text: &str) -> Result<Canary, String> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent = percent.trim().parse().ok().filter(|percent| (1..=99).contains(percent));
        return percent.map(Canary::Percent).ok_or_else(|| "write 1% to 99%".to_owned());
    }
    let names = text.split(',').map(|name| ReaderName::new(name.trim()).map_err(|error| error.to_string()));
    names.collect::<Result<_, _>>().map(Canary::Readers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_a_share_or_readers() {
        assert_eq!(canary("5%"), Ok(Canary::Percent(5)));
        let names = ["lobby", "floor-2"].map(|name| ReaderName::new(name).unwrap());
        assert_eq!(canary("lobby, floor-2"), Ok(Canary::Readers(names.to_vec())));
        for text in ["0%", "100%", "%", "5.5%", "", "a,,b"] {
            assert!(canary(text).is_err(), "{text}");
        }
    }
}
