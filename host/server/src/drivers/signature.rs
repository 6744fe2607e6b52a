//! A publisher's signature: Ed25519 over the file, detached, in minisign's format. Pure.
//!
//! The format is <https://jedisct1.github.io/minisign/#signature-format>. Its trusted comment is signed, too, and says
//! which driver this is ([`Claim`]): a signature of another file, driver or version is good for nothing here.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cardinal_domain::driver::Manifest;
use cardinal_store::Publisher;
use minisign_verify::Error;
use serde::{Deserialize, Serialize};

/// What a signature's file is called: the driver's file with this behind it.
pub const SUFFIX: &str = "minisig";
/// The longest signature that is looked at, in bytes. One has about 400.
pub const LONGEST: usize = 4 << 10;

/// Why a signature is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("this is no minisign signature; sign the file with `cardinal driver sign FILE --key KEY`")]
    Form,
    #[error("this is no minisign public key; it is the .pub file that `cardinal driver keygen` wrote")]
    Key,
    #[error("the signature was made in minisign's legacy form; sign the file anew (without -l)")]
    Legacy,
    #[error(
        "the trusted comment of the signature does not say which driver it is for ({0:?}); \
         it must read {CLAIM}, as `cardinal driver sign` writes it"
    )]
    Comment(String),
    #[error("the signature is of another file: it says sha256 {signed}, and this file has {file}")]
    OtherFile { signed: String, file: String },
    #[error("the signature is for {signed}, and the file says that it is {file}")]
    OtherDriver { signed: String, file: String },
    #[error("key {key} is not trusted for vendor {vendor}")]
    Unknown { key: KeyId, vendor: String },
    #[error("key {key} was withdrawn for vendor {vendor}; get a signature by its publisher's present key")]
    Withdrawn { key: KeyId, vendor: String },
    #[error("the signature does not fit: the file or the comment was changed, or it was not made with key {0}")]
    Invalid(KeyId),
}

/// The id of a key, as minisign shows it: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(u64);

impl KeyId {
    /// From the eight bytes that keys and signatures have it in.
    pub fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Out of a line of a key or a signature: two bytes of algorithm, then the id.
    fn of_line(line: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(line).ok()?;
        Some(Self::new(bytes.get(2..10)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self)
            .ok_or_else(|| format!("{text:?} is no key id: 16 digits, as `cardinal driver trust list` shows it"))
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// A publisher's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub id: KeyId,
    /// Its base64 form, without a comment.
    pub text: String,
    key: minisign_verify::PublicKey,
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    /// Reads a .pub file, or its second line alone.
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.find(|line| !line.starts_with("untrusted comment:")).ok_or(SignatureError::Key)?;
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_| SignatureError::Key)?;
        let id = KeyId::of_line(line).ok_or(SignatureError::Key)?;
        Ok(Self { id, text: line.to_owned(), key })
    }
}

/// The form of a [`Claim`], for people.
const CLAIM: &str = "\"cardinal driver VENDOR/NAME@VERSION sha256:DIGEST\"";

/// What a signature's trusted comment says: which driver this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub vendor: String,
    pub name: String,
    pub version: String,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

impl Claim {
    /// What must be signed for this driver.
    pub fn of(manifest: &Manifest, sha256: &str) -> Self {
        let Manifest { vendor, name, version, .. } = manifest.clone();
        Self { vendor, name, version, sha256: sha256.to_owned() }
    }

    fn label(&self) -> String {
        format!("{}/{}@{}", self.vendor, self.name, self.version)
    }

    /// Whether the file is the driver that was signed.
    ///
    /// # Errors
    /// What each of them says.
    pub fn fits(&self, manifest: &Manifest) -> Result<(), SignatureError> {
        let (signed, file) = (self.label(), Self::of(manifest, &self.sha256).label());
        if signed == file { Ok(()) } else { Err(SignatureError::OtherDriver { signed, file }) }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cardinal driver {} sha256:{}", self.label(), self.sha256)
    }
}

impl FromStr for Claim {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let parts = || {
            let (label, sha256) = text.strip_prefix("cardinal driver ")?.split_once(" sha256:")?;
            let (vendor, rest) = label.split_once('/')?;
            let (name, version) = rest.split_once('@')?;
            let word = |text: &str| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
                !text.is_empty() && text.len() <= 40 && text.bytes().all(plain)
            };
            let digest = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let good = word(vendor) && word(name) && word(version) && digest;
            let [vendor, name, version, sha256] = [vendor, name, version, sha256].map(str::to_owned);
            good.then_some(Self { vendor, name, version, sha256 })
        };
        parts().ok_or_else(|| SignatureError::Comment(shown(text)))
    }
}

/// Text from outside, short enough for an error.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A signature as it was read; nothing of it is believed yet.
struct Read {
    signature: minisign_verify::Signature,
    key: KeyId,
    claim: Claim,
}

fn read(text: &str, digest: &str) -> Result<Read, SignatureError> {
    if text.len() > LONGEST {
        return Err(SignatureError::Form);
    }
    let signature = minisign_verify::Signature::decode(text).map_err(|_| SignatureError::Form)?;
    let key = text.lines().nth(1).and_then(KeyId::of_line).ok_or(SignatureError::Form)?;
    let claim: Claim = signature.trusted_comment().parse()?;
    if claim.sha256 != digest {
        return Err(SignatureError::OtherFile { signed: claim.sha256, file: digest.to_owned() });
    }
    Ok(Read { signature, key, claim })
}

fn check_with(key: &PublicKey, file: &[u8], read: &Read) -> Result<(), SignatureError> {
    key.key.verify(file, &read.signature, false).map_err(|error| match error {
        Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode => SignatureError::Legacy,
        _ => SignatureError::Invalid(read.key),
    })
}

/// Checks a signature of a file with these digest and bytes against one key, whosever it is.
///
/// # Errors
/// Why it is not good.
pub fn check_by(key: &PublicKey, file: &[u8], digest: &str, signature: &str) -> Result<Claim, SignatureError> {
    let read = read(signature, digest)?;
    if read.key != key.id {
        return Err(SignatureError::Unknown { key: read.key, vendor: read.claim.vendor });
    }
    check_with(key, file, &read).map(|()| read.claim)
}

/// Checks a signature against the publishers of the vendor that it names. What it claims must still be held against what
/// the driver says of itself.
///
/// # Errors
/// Why it is not good.
pub fn check(
    publishers: &[Publisher],
    file: &[u8],
    digest: &str,
    signature: &str,
) -> Result<(KeyId, Claim), SignatureError> {
    let read = read(signature, digest)?;
    let (key, vendor) = (read.key, read.claim.vendor.clone());
    let publisher = publishers.iter().find(|of| of.vendor == vendor && of.key_id == key.to_string());
    let publisher = publisher.ok_or_else(|| SignatureError::Unknown { key, vendor: vendor.clone() })?;
    if publisher.withdrawn.is_some() {
        return Err(SignatureError::Withdrawn { key, vendor });
    }
    check_with(&publisher.public_key.parse()?, file, &read)?;
    Ok((key, read.claim))
}

/// The key that a signature says it was made with.
pub fn key_of(signature: &str) -> Option<KeyId> {
    KeyId::of_line(signature.lines().nth(1)?)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
