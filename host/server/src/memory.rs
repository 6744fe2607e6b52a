//! What drivers ask to be remembered (a key agreed with a reader, say), sealed before it reaches the store.
//!
//! The key lies beside the store in a file of its own: a copied database alone gives nothing away.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use cardinal_domain::names::ReaderName;
use cardinal_store::Store;
use chacha20poly1305::{
    AeadCore as _, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, OsRng, Payload},
};
use ring::{hkdf, hmac};

use crate::{files::write_private, hex};

/// The length of a nonce in bytes, which stands before each sealed value.
const NONCE: usize = 24;

/// Seals and opens what is remembered.
pub struct Memory {
    store: Store,
    cipher: XChaCha20Poly1305,
    /// What other keys are made from.
    root: hkdf::Prk,
}

impl Memory {
    /// With the key in this file, which is made if it is not there.
    ///
    /// # Errors
    /// The key can be neither read nor made.
    pub fn open(store: Store, key_file: &Path) -> Result<Self> {
        let key = if key_file.exists() {
            let text = std::fs::read_to_string(key_file)
                .with_context(|| format!("cannot read the host's key {}", key_file.display()))?;
            hex::decode(text.trim())
                .filter(|key| key.len() == 32)
                .ok_or_else(|| anyhow!("{} is not a host key; put the right file back", key_file.display()))?
        } else {
            let key = XChaCha20Poly1305::generate_key(OsRng).to_vec();
            write_private(key_file, hex::encode(&key).as_bytes())
                .with_context(|| format!("cannot write the host's key {}", key_file.display()))?;
            key
        };
        let cipher =
            XChaCha20Poly1305::new_from_slice(&key).map_err(|_| anyhow!("the host's key has a wrong length"))?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&key);
        Ok(Self { store, cipher, root })
    }

    /// Another key of this host, made from its one (HKDF, RFC 5869): the same for the same purpose, and one that tells nothing
    /// about the others.
    ///
    /// # Errors
    /// Never, with the length that is asked for here.
    pub fn key_for(&self, purpose: &str) -> Result<hmac::Key> {
        let purpose = [purpose.as_bytes()];
        let made = self.root.expand(&purpose, hmac::HMAC_SHA256).map_err(|_| anyhow!("no key could be derived"))?;
        Ok(made.into())
    }

    /// Everything remembered for a reader. What does not open (another host's key) is left out and logged.
    ///
    /// # Errors
    /// The store failed.
    pub async fn recall(&self, reader: &ReaderName) -> Result<Vec<(String, Vec<u8>)>> {
        let mut memory = Vec::new();
        for (key, sealed) in self.store.reader_memory(reader).await? {
            match self.unseal(reader, &key, &sealed) {
                Some(bytes) => memory.push((key, bytes)),
                None => tracing::warn!(%reader, key, "what was remembered cannot be opened with this host's key"),
            }
        }
        Ok(memory)
    }

    /// Remembers bytes for a reader; empty ones forget.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remember(&self, reader: &ReaderName, key: &str, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(self.store.remember(reader, key, None).await?);
        }
        let nonce = XChaCha20Poly1305::generate_nonce(OsRng);
        let about = about(reader, key);
        let sealed = self
            .cipher
            .encrypt(&nonce, Payload { msg: bytes, aad: about.as_bytes() })
            .map_err(|_| anyhow!("sealing failed"))?;
        let sealed = hex::encode(&[&nonce[..], &sealed].concat());
        Ok(self.store.remember(reader, key, Some(&sealed)).await?)
    }

    fn unseal(&self, reader: &ReaderName, key: &str, sealed: &str) -> Option<Vec<u8>> {
        let sealed = hex::decode(sealed)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let about = about(reader, key);
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: about.as_bytes() }).ok()
    }
}

/// Binds a sealed value to its place, so that one cannot be moved to another reader.
fn about(reader: &ReaderName, key: &str) -> String {
    format!("{reader}/{key}")
}

#[cfg(test)]
mod tests {
    use cardinal_domain::{plan::plan, site::Site, strict_toml};
    use cardinal_store::Durability;

    use super::*;

    #[tokio::test]
    async fn what_is_remembered_comes_back_and_is_sealed_in_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), Durability::Process).await.unwrap();
        let site: Site = strict_toml::parse(
            "printer = [{ name = 'p', uri = 'folder:x' }]\ndevice = [{ name = 'd', printer = 'p' }]\n\
             reader = [{ name = 'r', driver = 'a/b', mode = 'm', address = 'x:1', device = 'd' }]",
        )
        .unwrap();
        store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
        let reader = ReaderName::new("r").unwrap();
        let key_file = folder.path().join("host.key");
        let memory = Memory::open(store.clone(), &key_file).unwrap();
        memory.remember(&reader, "scbk", b"secret key").await.unwrap();
        let sealed = store.reader_memory(&reader).await.unwrap();
        assert!(!sealed[0].1.contains(&hex::encode(b"secret key")));
        // A restart reads the key again.
        let memory = Memory::open(store.clone(), &key_file).unwrap();
        assert_eq!(memory.recall(&reader).await.unwrap(), [("scbk".to_owned(), b"secret key".to_vec())]);
        // Other keys are made from it, each its own, and the same again after a restart.
        let sign = |memory: &Memory, purpose| hmac::sign(&memory.key_for(purpose).unwrap(), b"x").as_ref().to_vec();
        let other = Memory::open(store.clone(), &folder.path().join("yet-another.key")).unwrap();
        assert_eq!(sign(&memory, "a"), sign(&Memory::open(store.clone(), &key_file).unwrap(), "a"));
        assert_ne!(sign(&memory, "a"), sign(&memory, "b"));
        assert_ne!(sign(&memory, "a"), sign(&other, "a"));
        // Another key opens nothing, and says so instead of failing.
        let other = Memory::open(store.clone(), &folder.path().join("other.key")).unwrap();
        assert_eq!(other.recall(&reader).await.unwrap(), []);
        memory.remember(&reader, "scbk", b"").await.unwrap();
        assert_eq!(memory.recall(&reader).await.unwrap(), []);
    }
}
