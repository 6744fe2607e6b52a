//! The owner's token: what stands between the API and anybody who can reach its port.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;

use crate::{files::write_private, hex};

/// The length of a token in bytes: not to be guessed.
const LENGTH: usize = 32;

/// A token read from its file. `Debug` is left out on purpose.
pub struct OwnerToken(String);

impl OwnerToken {
    /// Makes a new token in a file that only this user can read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(file: &Path) -> Result<()> {
        let mut bytes = [0; LENGTH];
        rand::rng().fill_bytes(&mut bytes);
        write_private(file, format!("{}\n", hex::encode(&bytes)).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads the token.
    ///
    /// # Errors
    /// It cannot be read, or is too short to protect anything.
    pub fn read(file: &Path) -> Result<Self> {
        let rights = std::fs::metadata(file).map(|about| about.permissions().mode()).unwrap_or_default();
        if rights & 0o077 != 0 {
            bail!(
                "others may read the owner token {0}; run `chmod 600 {0}`, or make a new one if they did",
                file.display()
            );
        }
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read the owner token {}; are you the user who made it with `cardinal init`?",
                file.display()
            )
        })?;
        let token = text.trim().to_owned();
        if token.len() < LENGTH {
            bail!("the owner token in {} is too short; delete it and run `cardinal init` again", file.display());
        }
        Ok(Self(token))
    }

    /// For the `Authorization` header.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether this `Authorization` header shows the token. Takes the same time for every wrong one of the right length.
    pub fn admits(&self, header: &str) -> bool {
        let own = self.bearer();
        same(header.as_bytes(), own.as_bytes())
    }
}

/// Whether two secrets are the same. Takes the same time for every wrong one of the right length.
pub fn same(shown: &[u8], own: &[u8]) -> bool {
    shown.len() == own.len() && shown.iter().zip(own).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_itself_alone_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("owner.token");
        OwnerToken::create(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let token = OwnerToken::read(&file).unwrap();
        assert!(token.admits(&token.bearer()));
        for wrong in ["", "Bearer ", &token.bearer()[..70], &token.bearer().replace("Bearer", "bearer")] {
            assert!(!token.admits(wrong));
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(OwnerToken::read(&file).err().unwrap().to_string().contains("others may read"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "short").unwrap();
        assert!(OwnerToken::read(&file).is_err());
    }
}
