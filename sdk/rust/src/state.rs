//! Saved state as bytes: fields one after another behind a version number.
//!
//! [`Saver`] and [`Loader`] write and read the same fields in the same order. The version is the driver's own: raise it
//! when the fields change, and let `open` of the new version still read the old one, so that a running reader can be
//! swapped to it. Truncated or foreign bytes are a fault, never a panic.

use crate::Fault;

/// Writes state for [`crate::Driver::save`].
#[derive(Debug, Clone, Default)]
pub struct Saver(Vec<u8>);

impl Saver {
    /// State of this version.
    pub fn new(version: u8) -> Self {
        Self(vec![version])
    }

    /// A number.
    pub fn number(mut self, number: impl Into<u64>) -> Self {
        self.0.extend_from_slice(&number.into().to_le_bytes());
        self
    }

    /// A yes or no.
    pub fn flag(mut self, flag: bool) -> Self {
        self.0.push(u8::from(flag));
        self
    }

    /// Bytes of any length.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// The state.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what a [`Saver`] wrote.
#[derive(Debug, Clone)]
pub struct Loader<'a> {
    version: u8,
    rest: &'a [u8],
}

impl<'a> Loader<'a> {
    /// The state that was saved.
    ///
    /// # Errors
    /// No bytes at all, or a version above `newest`: it was saved by a later driver than this one.
    pub fn new(saved: &'a [u8], newest: u8) -> Result<Self, Fault> {
        match saved.split_first() {
            Some((&version, rest)) if version <= newest => Ok(Self { version, rest }),
            Some((version, _)) => {
                Err(bad(&format!("it is of version {version}, and this driver knows versions up to {newest}")))
            }
            None => Err(bad("it is empty")),
        }
    }

    /// The version it was saved as.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// A number.
    ///
    /// # Errors
    /// Cut short, or too large for this type.
    pub fn number<N: TryFrom<u64>>(&mut self) -> Result<N, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| bad("it is cut short"))?;
        self.rest = rest;
        N::try_from(u64::from_le_bytes(*bytes)).map_err(|_| bad("a number in it is out of range"))
    }

    /// A yes or no.
    ///
    /// # Errors
    /// Cut short, or neither.
    pub fn flag(&mut self) -> Result<bool, Fault> {
        match self.rest.split_first() {
            Some((&byte @ (0 | 1), rest)) => {
                self.rest = rest;
                Ok(byte == 1)
            }
            _ => Err(bad("a yes or no in it is neither")),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// Cut short.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.number::<usize>()?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| bad("it is cut short"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A text.
    ///
    /// # Errors
    /// Cut short, or not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| bad("a text in it is not UTF-8"))
    }

    /// Nothing must be left.
    ///
    /// # Errors
    /// Bytes are left: the fields read are not those written.
    pub fn end(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(bad("there is more of it than expected")) }
    }
}

fn bad(why: &str) -> Fault {
    Fault::new("bad-state", format!("the saved state cannot be used: {why}"))
}
