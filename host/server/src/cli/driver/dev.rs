//! `cardinal driver dev`: from a save in the editor to readers that run it.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_domain::event::Event;
use clap::Args;
use reqwest::Method;

use super::{
    super::{
        client::Client,
        event,
        output::{self, say},
    },
    build::{Crate, Place},
    install,
    replay::Test,
    swap,
    watch::Watch,
};
use crate::{
    http::ReaderView,
    swap::{Canary, Stage, SwapBody, SwapView},
};

/// Build a crate at each save, run its traces, and have the host's readers go on in it
#[derive(Debug, Args)]
#[command(after_help = "\
At each save: compiles, runs the traces, installs the file in place of the same version, and has connected readers go on in
it without closing their connection. What does not compile, or differs from a trace, is not installed. Meanwhile the events
of the driver and of its readers are shown. Ends with Ctrl-C.

The host must take unsigned drivers: unsigned = \"allow\" in the [drivers] section of its cardinal.toml, on your own host alone.

Examples:
  cardinal --config site/cardinal.toml driver dev acme-tcp
  cardinal driver dev --once                    one round; the exit status says whether it went well")]
pub(in crate::cli) struct Dev {
    /// The crate's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// One round, and no events
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    place: Place,
}

impl Dev {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        if self.once {
            return self.round(Crate::find(&self.folder), client, |_| ()).await;
        }
        let (told, mut driver) = tokio::sync::watch::channel(String::new());
        let events = async {
            // Nothing is to be shown before a driver was installed: only then it is known what it is called.
            let known = driver.wait_for(|driver| !driver.is_empty()).await;
            let id = known.map_err(|_| anyhow!("the driver has no name"))?.clone();
            let readers: Vec<ReaderView> = client.get("reader").await?;
            let readers = readers.into_iter().map(|reader| reader.spec).filter(|reader| reader.driver.id == id);
            // And those that are set up meanwhile: their sessions' events name the driver, and a card's do not.
            let readers = RefCell::new(BTreeSet::from_iter(readers.map(|reader| reader.name)));
            event::follow(client, |event| {
                if is_of(event, &id) {
                    readers.borrow_mut().extend(event.body.reader.clone());
                    return true;
                }
                event.body.reader.as_ref().is_some_and(|reader| readers.borrow().contains(reader))
            })
            .await?;
            bail!("the host ended; begin again when it is back")
        };
        let rounds = async {
            let mut sources = Watch::new(&self.folder);
            loop {
                let found = Crate::find(&self.folder);
                let made = found.as_ref().ok().and_then(|it| it.makes(&self.place).ok()).unwrap_or_default();
                let seen = sources.look(&made);
                let round = self.round(found, client, |id| drop(told.send_replace(id.to_owned())));
                if let Err(error) = round.await {
                    eprintln!("error: {error:#}");
                }
                say!("waiting for a change in {} (Ctrl-C ends)", self.folder.display());
                sources.changed(&made, &seen).await;
            }
        };
        tokio::select! {
            ended = events => ended,
            () = rounds => Ok(()),
            ended = tokio::signal::ctrl_c() => ended.context("cannot wait for Ctrl-C"),
        }
    }

    /// One round; tells the driver's `vendor/name` once it is installed.
    async fn round(&self, found: Result<Crate>, client: &Client, told: impl Fn(&str)) -> Result<()> {
        let (found, folder, place) = (found?, self.folder.clone(), self.place.clone());
        // Compiling takes a while, and events are shown meanwhile.
        let built = tokio::task::spawn_blocking(move || made(&found, &folder, &place))
            .await
            .context("the build was lost")??;
        let report = install::replace(client, &built).await.context("the host does not take it")?;
        let label = install::label(&report);
        say!("{label} is installed ({}), sha256 {}", report.signature.words(), report.digest);
        let id = report.manifest.id();
        told(&id);
        let body =
            SwapBody { to: report.manifest.version.clone(), canary: Canary::default(), for_seconds: 0, dry_run: false };
        let path = format!("driver/{id}/swap");
        let _: SwapView = client.ask(Method::POST, &path, None::<&()>, Some(&body)).await?;
        let view = swap::ended(client, &path).await?;
        if view.stage == Stage::RolledBack {
            return Err(anyhow!(view.why.unwrap_or_default()).context("the readers do not go on in it"));
        }
        say!("{} connected readers went on in it, {} take it when they connect", view.moved, view.next_time);
        for stayed in &view.stay {
            say!("{} keeps the file before until its next connection: {}", stayed.reader, output::plain(&stayed.why));
        }
        if view.pinned > 0 {
            say!("{} readers name a version of their own and were not touched", view.pinned);
        }
        Ok(())
    }
}

/// Builds the crate and runs its traces: the file.
fn made(found: &Crate, folder: &Path, place: &Place) -> Result<PathBuf> {
    let built = found.build(place)?;
    built.tell();
    if folder.join("traces").is_dir() {
        let test = Test { folder: folder.to_owned(), driver: Some(built.driver.clone()), bless: false };
        test.run(false).context("not installed")?;
    }
    Ok(built.driver)
}

/// Whether an event is this driver's, in any version.
fn is_of(event: &Event, id: &str) -> bool {
    let driver = event.body.facts.get("driver").and_then(|label| label.split_once('@'));
    driver.is_some_and(|(driver, _)| driver == id)
}
