//! `cardinal init`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::output::say;
use crate::{
    config::{Config, template},
    files::private_folder,
    tls::Files,
    token::OwnerToken,
};

/// Make a new host: its configuration and its owner token
#[derive(Debug, Args)]
#[command(after_help = "\
Writes DIR/cardinal.toml with every key, commented, at its default, DIR/owner.token, readable by you alone, and a
certificate signed by itself, whose fingerprint is printed (`cardinal tls show` prints it again).

Example:
  cardinal init ./site
  cardinal --config ./site/cardinal.toml serve")]
pub(super) struct Init {
    /// The folder of the new host; made if it is not there
    dir: PathBuf,
}

impl Init {
    pub(super) fn run(&self) -> Result<()> {
        // One that is there may be other people's business, too; what is private in it is so by itself.
        if !self.dir.exists() {
            private_folder(&self.dir)?;
        }
        let file = self.dir.join("cardinal.toml");
        if file.exists() {
            bail!("{} is there already; it was left as it is", file.display());
        }
        let token = self.dir.join(Config::default().owner_token);
        if !token.exists() {
            OwnerToken::create(&token)?;
        }
        let config = Config::of_new(&self.dir)?;
        let certificate = Files::of(&config)?;
        certificate.make_if_absent(&config)?;
        // Last: a folder with this file is a whole host.
        std::fs::write(&file, template::text()?).with_context(|| format!("cannot write {}", file.display()))?;
        say!("{}", file.display());
        eprintln!("its certificate, SHA-256 {}", certificate.about()?.fingerprint);
        eprintln!("a new host; start it with `cardinal --config {} serve`", file.display());
        Ok(())
    }
}
