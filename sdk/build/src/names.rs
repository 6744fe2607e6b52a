//! The names of a driver's functions, kept beside it: a file ships without them, and a backtrace still has them.
//!
//! A names file is text:
//!
//! ```text
//! cardinal names 1
//! driver sha256:5f1c…                 of the file that was shipped, so that names never stand for another driver
//! module acme_tcp.wasm                as the file calls its core module
//! 0 acme_tcp::AcmeTcp::message
//! 7 core::panicking::panic_fmt
//! ```

use std::collections::BTreeMap;

use wasmparser::{BinaryReaderError, KnownCustom, Name, Parser, Payload};

use crate::BuildError;

/// The first line.
const HEAD: &str = "cardinal names 1";
/// What is read of a names file at most, in bytes: some 50 000 functions with long names.
pub const LARGEST_NAMES: usize = 8 << 20;
/// What is kept of a name, in bytes.
const LONGEST: usize = 500;
/// The section of the core format that holds no code or data.
const CUSTOM: u8 = 0;

/// The names of the functions of one core module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// As the file calls its core module, which backtraces say.
    module: String,
    functions: BTreeMap<u32, String>,
}

/// Why a text is no names file of a driver.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// It has more than [`LARGEST_NAMES`] bytes.
    #[error("it is larger than {LARGEST_NAMES} bytes")]
    Large,
    /// It begins otherwise.
    #[error("it is no names file: `cardinal driver build` writes one")]
    Form,
    /// The names are another file's.
    #[error("it holds the names of another file (sha256 {0}…)")]
    OtherDriver(String),
    /// A line of it cannot be read.
    #[error("line {0} is not a function's number and its name")]
    Line(usize),
}

impl Names {
    /// The text of the file, for the driver with this SHA-256.
    pub fn to_text(&self, digest: &str) -> String {
        let mut text = format!("{HEAD}\ndriver sha256:{digest}\nmodule {}\n", self.module);
        for (index, name) in &self.functions {
            text.push_str(&format!("{index} {name}\n"));
        }
        text
    }

    /// Reads such a text for the driver with this SHA-256.
    ///
    /// # Errors
    /// It is something else, or another driver's.
    pub fn parse(text: &str, digest: &str) -> Result<Self, NamesError> {
        if text.len() > LARGEST_NAMES {
            return Err(NamesError::Large);
        }
        let mut lines = text.lines().enumerate();
        let mut head =
            |start: &str| lines.next().and_then(|(_, line)| line.strip_prefix(start)).ok_or(NamesError::Form);
        head(HEAD)?;
        let of = head("driver sha256:")?;
        let module = head("module ")?.to_owned();
        if of != digest {
            return Err(NamesError::OtherDriver(of.chars().take(12).collect()));
        }
        let mut functions = BTreeMap::new();
        for (number, line) in lines {
            let function = line.split_once(' ').and_then(|(index, name)| Some((index.parse().ok()?, tidy(name))));
            let (index, name) = function.ok_or(NamesError::Line(number + 1))?;
            functions.insert(index, name);
        }
        Ok(Self { module, functions })
    }

    /// A backtrace with names in place of the numbers of this module's functions (`module!<wasm function 7>`).
    pub fn put_into(&self, backtrace: &str) -> String {
        let mark = format!("{}!<wasm function ", self.module);
        let mut pieces = backtrace.split(mark.as_str());
        let mut named = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let function = piece.split_once('>').and_then(|(index, rest)| {
                let name = self.functions.get(&index.parse().ok()?)?;
                Some(format!("{}!{name}{rest}", self.module))
            });
            named.push_str(&function.unwrap_or_else(|| format!("{mark}{piece}")));
        }
        named
    }

    /// How many functions have one.
    pub fn count(&self) -> usize {
        self.functions.len()
    }
}

/// A core module without its functions' names and without debug information, and these names. What it calls itself stays.
///
/// # Errors
/// It is no core module.
pub fn split(module: &[u8], usual_name: &str) -> Result<(Vec<u8>, Names), BuildError> {
    let mut names = Names { module: usual_name.to_owned(), functions: BTreeMap::new() };
    let mut bare = Vec::with_capacity(module.len());
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::Version { range, .. } = &payload {
            bare.extend_from_slice(module.get(range.clone()).unwrap_or_default());
        }
        if let Payload::CustomSection(section) = &payload {
            if let KnownCustom::Name(subsections) = section.as_known() {
                // Names serve people: what cannot be read of them is left out.
                for name in subsections.into_iter().map_while(Result::ok) {
                    names.learn(name);
                }
            }
            if section.name() == "name" || section.name().starts_with(".debug") {
                continue;
            }
        }
        if let Some((id, range)) = payload.as_section() {
            put_section(&mut bare, id, module.get(range).unwrap_or_default());
        }
    }
    let mut own = text_of("name");
    let module_name = text_of(&names.module);
    put_section(&mut own, 0, &module_name);
    put_section(&mut bare, CUSTOM, &own);
    Ok((bare, names))
}

impl Names {
    fn learn(&mut self, name: Name<'_>) {
        match name {
            Name::Module { name, .. } if !name.is_empty() => self.module = tidy(name),
            Name::Function(functions) => {
                let named = functions.into_iter().map_while(Result::<_, BinaryReaderError>::ok);
                // Without the hash that the compiler adds.
                let named = named.map(|of| (of.index, tidy(&format!("{:#}", rustc_demangle::demangle(of.name)))));
                self.functions.extend(named);
            }
            _ => {}
        }
    }
}

/// One line, and not an endless one.
fn tidy(name: &str) -> String {
    let line = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut length = 0;
    line.take_while(|c| {
        length += c.len_utf8();
        length <= LONGEST
    })
    .collect()
}

/// A section, or a subsection of names: its number, its length, what is in it.
fn put_section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(length_of(content));
    module.extend_from_slice(content);
}

fn text_of(text: &str) -> Vec<u8> {
    let mut bytes = length_of(text.as_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A length as the core format writes it: seven bits a byte, the lowest first.
fn length_of(content: &[u8]) -> Vec<u8> {
    let (mut left, mut bytes) = (content.len(), Vec::new());
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        if left == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODULE: &str = r#"(module $acme (func $_ZN4acme3tcp17h0123456789abcdefE) (func $plain (call 0)))"#;

    fn acme() -> (Vec<u8>, Names) {
        split(&wat::parse_str(MODULE).unwrap(), "unnamed").unwrap()
    }

    #[test]
    fn names_are_taken_out_and_the_module_stays_whole() {
        let (bare, names) = acme();
        assert!(!bare.windows(5).any(|bytes| bytes == b"plain"));
        wasmparser::validate(&bare).unwrap();
        assert_eq!(
            split(&bare, "unnamed").unwrap(),
            (bare.clone(), Names { module: "acme".into(), ..Names::default() })
        );
        assert_eq!(names.to_text("5f"), "cardinal names 1\ndriver sha256:5f\nmodule acme\n0 acme::tcp\n1 plain\n");
        assert_eq!(Names::parse(&names.to_text("5f"), "5f"), Ok(names));
    }

    #[test]
    fn numbers_of_this_module_become_names_and_nothing_else() {
        let (_, names) = acme();
        let trace = "wasm backtrace:\n    0: 0x1 - acme!<wasm function 0>\n    1: 0x2 - acme!<wasm function 9>\n    \
                     2: 0x3 - other!<wasm function 1>";
        let named = names.put_into(trace);
        assert_eq!(named, trace.replace("acme!<wasm function 0>", "acme!acme::tcp"));
    }

    #[test]
    fn names_of_another_file_and_other_texts_are_refused() {
        let (_, names) = acme();
        assert_eq!(Names::parse(&names.to_text("5f"), "60"), Err(NamesError::OtherDriver("5f".to_owned())));
        assert_eq!(Names::parse("", "5f"), Err(NamesError::Form));
        assert_eq!(Names::parse(&(names.to_text("5f") + "x y\n"), "5f"), Err(NamesError::Line(6)));
    }

    #[test]
    fn a_long_module_is_written_with_its_length() {
        let data = "x".repeat(70_000);
        let module = wat::parse_str(format!(r#"(module (memory 2) (data (i32.const 0) "{data}"))"#)).unwrap();
        let (bare, _) = split(&module, "long").unwrap();
        wasmparser::validate(&bare).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
            let _ = split(&bytes, "any");
            let _ = split(&[b"\0asm\x01\0\0\0".as_slice(), &bytes].concat(), "any");
            let _ = Names::parse(&text, "5f");
            let _ = Names::parse(&format!("{HEAD}\ndriver sha256:5f\nmodule m\n{text}"), "5f");
            let _ = acme().1.put_into(&text);
        }
    }
}
