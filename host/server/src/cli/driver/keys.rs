//! `cardinal driver keygen`, `sign`, `verify`: a publisher's side of signatures, in minisign's format.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use minisign::{KeyPair, SecretKey, SecretKeyBox};

use super::{
    super::{
        client::Client,
        output::{self, say},
    },
    files, install,
};
use crate::drivers::{Claim, KeyId, PublicKey, check_by};

/// Make a publisher's key pair
#[derive(Debug, Args)]
#[command(after_help = "\
Writes KEY, which signs and stays with you, and the public key beside it (.pub), which goes to everybody. Asks for a password,
or reads one line from standard input where that is no terminal. The files are minisign's.

Examples:
  cardinal driver keygen --out acme.key                 acme.key and acme.pub
  cardinal driver keygen --out ci.key --no-password     for a build machine that keeps secrets itself")]
pub(in crate::cli) struct Keygen {
    /// The file of the secret key
    #[arg(long, value_name = "KEY")]
    out: PathBuf,
    /// Do not protect the secret key with a password
    #[arg(long)]
    no_password: bool,
}

/// Sign a driver file: writes FILE.minisig
#[derive(Debug, Args)]
#[command(after_help = "\
Asks the driver what it is, so that the signature says for which driver, version and bytes it is good. With minisign itself:
  minisign -S -s acme.key -m FILE -t \"cardinal driver VENDOR/NAME@VERSION sha256:$(sha256sum FILE | cut -c -64)\"

Examples:
  cardinal driver sign acme-line.wasm --key acme.key")]
pub(in crate::cli) struct Sign {
    file: PathBuf,
    /// The secret key
    #[arg(long)]
    key: PathBuf,
}

/// Check a driver file's signature: against a key, or against the publishers that the host trusts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal driver verify acme-line.wasm --key acme.pub     no host is needed
  cardinal driver verify acme-line.wasm                    whether this host takes it")]
pub(in crate::cli) struct Verify {
    file: PathBuf,
    /// A public key
    #[arg(long)]
    key: Option<PathBuf>,
    /// The signature, where it is not FILE.minisig
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

impl Keygen {
    pub(super) fn run(&self, as_json: bool) -> Result<()> {
        let public = self.out.with_extension("pub");
        if public == self.out {
            bail!("the secret key cannot be called .pub, as the public one is; call it acme.key");
        }
        for file in [&self.out, &public] {
            if file.exists() {
                bail!(
                    "{} is there already; a key that is lost cannot be made again, so it is not overwritten",
                    file.display()
                );
            }
        }
        let keys = if self.no_password {
            KeyPair::generate_unencrypted_keypair()
        } else {
            KeyPair::generate_encrypted_keypair(Some(new_password()?))
        }
        .map_err(|error| anyhow!("cannot make a key: {error}"))?;
        let id = id(keys.pk.keynum())?;
        let secret = keys.sk.to_box(Some(&format!("cardinal publisher's secret key {id}")));
        let secret = secret.map_err(|error| anyhow!("cannot write the key: {error}"))?.into_string();
        let text = keys.pk.to_box().map_err(|error| anyhow!("cannot write the key: {error}"))?.into_string();
        write_new(&self.out, &secret, 0o600)?;
        write_new(&public, &text, 0o644)?;
        if as_json {
            return output::json(&serde_json::json!({ "key": id, "secret": self.out, "public": public }));
        }
        say!("key {id}: {} signs and stays with you, {} goes to everybody", self.out.display(), public.display());
        Ok(())
    }
}

impl Sign {
    pub(super) fn run(&self, config: &Path, as_json: bool) -> Result<()> {
        let Signed { path, key, claim } = sign(&self.file, &self.key, config)?;
        if as_json {
            return output::json(&serde_json::json!({ "signature": path, "key": key, "trusted_comment": claim }));
        }
        say!("{}: {claim}, by key {key}", path.display());
        Ok(())
    }
}

/// A signature that was written.
pub(super) struct Signed {
    pub(super) path: PathBuf,
    pub(super) key: KeyId,
    pub(super) claim: String,
}

/// Signs a driver file: writes its signature beside it.
pub(super) fn sign(file: &Path, key: &Path, config: &Path) -> Result<Signed> {
    let secret = secret_key(key)?;
    let wasm = files::read(file, None)?.wasm;
    let driver = files::load(&wasm, &files::bounds(config)?)?;
    let claim = Claim::of(driver.manifest(), driver.digest()).to_string();
    let key = id(secret.keynum())?;
    let about = format!("signature by key {key}");
    let signature = minisign::sign(None, &secret, wasm.as_slice(), Some(&claim), Some(&about))
        .map_err(|error| anyhow!("cannot sign: {error}"))?;
    let path = files::signature_of(file);
    fs::write(&path, signature.into_string()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Signed { path, key, claim })
}

impl Verify {
    pub(super) fn is_offline(&self) -> bool {
        self.key.is_some()
    }

    /// Against the key that was named.
    pub(super) fn run_here(&self, config: &Path, as_json: bool) -> Result<()> {
        let Some(path) = &self.key else { bail!("which key? say --key FILE") };
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let key: PublicKey = text.parse().with_context(|| format!("{} cannot be used", path.display()))?;
        let read = files::read(&self.file, self.signature.as_deref())?;
        let Some(signature) = &read.signature else {
            bail!("there is no {}; say --signature FILE", files::signature_of(&self.file).display());
        };
        let not_good = || format!("{} is not what key {} signed", self.file.display(), key.id);
        let digest = cardinal_runtime::inspect::digest(&read.wasm);
        let claim = check_by(&key, &read.wasm, &digest, signature).with_context(not_good)?;
        // Only a file whose bytes are the publisher's is compiled.
        let driver = files::load(&read.wasm, &files::bounds(config)?)?;
        claim.fits(driver.manifest()).with_context(not_good)?;
        if as_json {
            return output::json(&serde_json::json!({ "driver": driver.label(), "sha256": digest, "key": key.id }));
        }
        say!("{}: {} (signed by {})", self.file.display(), driver.label(), key.id);
        Ok(())
    }

    /// Against the publishers that the host trusts.
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let read = files::read(&self.file, self.signature.as_deref())?;
        install::verify(client, &self.file, read).await
    }
}

fn id(bytes: &[u8]) -> Result<KeyId> {
    Ok(KeyId::new(bytes.try_into().context("a key without an id")?))
}

/// Writes a file that was not there before, whole or not at all as far as anybody is told.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let done = file.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
    let done = done.and_then(|file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    done.with_context(|| format!("cannot write {}", path.display()))
}

fn secret_key(path: &Path) -> Result<SecretKey> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = SecretKeyBox::from(text);
    if let Ok(key) = key.clone().into_unencrypted_secret_key() {
        return Ok(key);
    }
    let password = password(&format!("Password of {}: ", path.display()))?;
    let opened = key.into_secret_key(Some(password));
    opened.map_err(|error| {
        anyhow!("{} cannot be used: {error}; is it a secret key, and the password right?", path.display())
    })
}

fn new_password() -> Result<String> {
    let first = password("Password for the new key: ")?;
    if std::io::stdin().is_terminal() && password("Once more: ")? != first {
        bail!("these were two different passwords; no key was made");
    }
    if first.is_empty() {
        bail!("an empty password protects nothing; say --no-password if that is meant");
    }
    Ok(first)
}

fn password(prompt: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).context("cannot ask for a password on this terminal");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
