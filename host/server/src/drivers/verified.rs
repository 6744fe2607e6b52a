//! The one way in: bytes with or without a signature become a [`Verified`] driver, or are refused. Whatever installs or
//! runs a driver asks for a `Verified`, and nothing but this file can make one.

use std::fmt;

use cardinal_runtime::{Bounds, Driver, LoadError, Runtime};
use cardinal_store::{Origin, Publisher};
use serde::{Deserialize, Serialize};

use super::signature::{self, Claim, KeyId, SignatureError};

/// A file that somebody brings.
#[derive(Clone)]
pub struct DriverFile {
    pub wasm: Vec<u8>,
    /// The text of its signature, if there is one.
    pub signature: Option<String>,
    /// Where it comes from. [`Origin::Bundled`] needs no signature.
    pub origin: Origin,
}

/// On whose word a driver runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Standing {
    /// It comes with the program, and is trusted as the program is.
    Bundled,
    /// A trusted publisher of its vendor signed it.
    Signed { key: KeyId },
    /// Nobody known signed it; this host allows that.
    Unsigned,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundled => f.write_str("bundled"),
            Self::Signed { key } => write!(f, "signed by {key}"),
            Self::Unsigned => f.write_str("unsigned"),
        }
    }
}

/// Whom this host believes.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Whether drivers that nobody known signed are taken.
    pub unsigned: bool,
    pub publishers: Vec<Publisher>,
}

/// Whether a driver is taken in, or was before and is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A file of a vendor whose publisher is known must be signed by it, also where unsigned drivers are allowed.
    Acceptance,
    /// What was taken in unsigned runs on when its vendor gets a publisher.
    Review,
}

/// A driver that may run here.
pub struct Verified {
    driver: Driver,
    wasm: Vec<u8>,
    signature: Option<String>,
    standing: Standing,
    origin: Origin,
}

impl Verified {
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// What a file's signature proves, before anything of the file is compiled.
enum Proof {
    Bundled,
    Signed(KeyId, Claim),
    Unsigned,
}

impl Policy {
    fn proof(&self, file: &DriverFile, occasion: Occasion) -> Result<Proof, String> {
        if file.origin == Origin::Bundled {
            return Ok(Proof::Bundled);
        }
        let unsigned = |why: String| {
            let allowed = "an operator can allow unsigned drivers on this host with [drivers] unsigned = \"allow\"";
            if self.unsigned { Ok(Proof::Unsigned) } else { Err(format!("{why}; {allowed}")) }
        };
        let Some(signature) = &file.signature else {
            return unsigned(
                "the driver is not signed; get its signature (FILE.minisig) from its publisher".to_owned(),
            );
        };
        let digest = cardinal_runtime::inspect::digest(&file.wasm);
        match signature::check(&self.publishers, &file.wasm, &digest, signature) {
            Ok((key, claim)) => Ok(Proof::Signed(key, claim)),
            // A signature that says something wrong is never taken for none.
            Err(SignatureError::Unknown { key, vendor }) => {
                if occasion == Occasion::Acceptance {
                    self.is_free(&vendor)?;
                }
                let trust = format!("if {key} is its publisher's key, `cardinal driver trust {vendor} --key FILE`");
                unsigned(format!("the driver is signed with {key}, which is not trusted for vendor {vendor}; {trust}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether a vendor has no publisher here, and never had one.
    fn is_free(&self, vendor: &str) -> Result<(), String> {
        let keys: Vec<_> =
            self.publishers.iter().filter(|of| of.vendor == vendor).map(|of| of.key_id.as_str()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let keys = keys.join(", ");
        Err(format!("vendor {vendor} belongs to the publisher with key {keys}, and this driver is not signed by it"))
    }

    /// Verifies a file: its signature, what it is, and that both say the same. Takes as long as compiling does.
    ///
    /// # Errors
    /// Why it may not run here, in words for the administrator.
    pub fn verify(
        &self,
        runtime: &Runtime,
        bounds: &Bounds,
        file: DriverFile,
        occasion: Occasion,
    ) -> Result<Verified, String> {
        let proof = self.proof(&file, occasion)?;
        let driver = runtime.load(&file.wasm, bounds).map_err(|error| words(&error))?;
        let standing = match proof {
            Proof::Bundled => Standing::Bundled,
            Proof::Signed(key, claim) => {
                claim.fits(driver.manifest()).map_err(|error| error.to_string())?;
                Standing::Signed { key }
            }
            Proof::Unsigned => {
                if occasion == Occasion::Acceptance {
                    self.is_free(&driver.manifest().vendor)?;
                }
                Standing::Unsigned
            }
        };
        let DriverFile { wasm, signature, origin } = file;
        Ok(Verified { driver, wasm, signature, standing, origin })
    }
}

/// The whole chain of an error in one line: each level says something of its own.
pub fn words(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
