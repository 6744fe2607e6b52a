//! What a driver's file is, found out before anything of it is compiled or run.
//!
//! The whole file is parsed and validated here with the features the engine has, so a cut or forged file stops at a
//! typed error. What a file imports and which generation of the contract it exports are read from it and nowhere else.

mod nesting;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use wasmparser::{BinaryReaderError, ComponentInstance, Encoding, Instance, Parser, Payload, Validator};

use crate::{bounds::Bounds, engine, error::shown_line, generations::GENERATIONS};

/// The interface a driver exports, without its version.
pub const CONTRACT: &str = "cardinal:reader/driver";

/// A page of WebAssembly memory, in bytes.
const PAGE: u64 = 64 << 10;

/// How deep components may lie inside each other, and types of components. A driver has them one or two deep; parsing takes
/// time by the square of the depth, or a piece of the stack for each level.
const DEEPEST: u32 = 16;

/// How many instances of components a file may make. A driver makes one; each has everything that its component exports
/// again, and each level of components that instantiate each other may double what is below.
const MOST_PARTS: u32 = 16;

/// What a file turned out to be: a component of a served generation that imports nothing. There is no way to have one for
/// a file that cannot be a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub digest: String,
    /// The size of the file.
    pub bytes: u64,
    /// The contract it exports.
    pub contract: ContractVersion,
    /// What it asks for before it runs.
    pub declared: Declared,
}

/// What a file asks for before any of its code runs, each with the bound that holds for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its memories at their start, all together, in bytes: [`Bounds::memory_bytes`].
    pub memory_bytes: u64,
    /// Its largest table at its start, in elements: [`Bounds::table_elements`].
    pub table_elements: u64,
    /// How often it instantiates a core module: [`Bounds::instances`].
    pub instances: u64,
}

impl Declared {
    /// Each with the name of its bound and the value of that.
    pub fn beside(&self, bounds: &Bounds) -> [(&'static str, u64, u64); 3] {
        [
            ("memory_bytes", self.memory_bytes, bounds.memory_bytes),
            ("table_elements", self.table_elements, bounds.table_elements),
            ("instances", self.instances, bounds.instances),
        ]
    }
}

impl Inspection {
    /// The generation of the contract, which is its major version.
    pub fn generation(&self) -> u64 {
        self.contract.major
    }
}

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContractVersion {
    /// The generation.
    pub major: u64,
    /// Growth within the generation.
    pub minor: u64,
    /// Words only.
    pub patch: u64,
}

impl std::fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a file cannot be a driver here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Larger than the bound.
    #[error("the file has {bytes} bytes, more than the bound component_bytes ({limit}); is it a release build?")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// Nothing WebAssembly knows.
    #[error("this is no WebAssembly file (it does not begin with `\\0asm`); a driver is a component, a .wasm file")]
    NotWasm,
    /// A module that was not made into a component.
    #[error(
        "this is a WebAssembly core module, not a component; build it with `cargo xtask drivers`, or run `wasm-tools component new` on it"
    )]
    CoreModule,
    /// Cut, damaged, or using what the engine does not allow.
    #[error(
        "the file is damaged, cut short, or uses a WebAssembly feature that is switched off: {message} (at byte {offset}); get it again from its publisher"
    )]
    Invalid {
        /// Where.
        offset: usize,
        /// What the parser says.
        message: String,
    },
    /// It wants something from the host.
    #[error("a driver may import nothing, this one wants: {}; it must be built without WASI (target wasm32-unknown-unknown)", names(.0))]
    Imports(Vec<String>),
    /// It asks for more than it may have.
    #[error(
        "the file asks for more at its start than a driver may have: {asked}, where the bound {name} is {limit}; raise it for this driver if it is meant to need more"
    )]
    Declares {
        /// The bound.
        name: &'static str,
        /// What the file asks for.
        asked: u64,
        /// The bound's value.
        limit: u64,
    },
    /// Its parts lie inside each other too deep.
    #[error(
        "the file has components, or their types, inside each other more than {limit} deep; no tool chain makes a driver so"
    )]
    Nested {
        /// How deep they may lie.
        limit: u32,
    },
    /// It makes too many instances of components.
    #[error("the file makes more than {limit} instances of components; a driver needs one")]
    Parts {
        /// How many it may make.
        limit: u32,
    },
    /// A component, but not a driver.
    #[error("this component does not export {CONTRACT}, so it is no reader driver")]
    NoContract,
    /// The name of the contract has no usable version.
    #[error("this component exports {0:?}; a version such as @1.0.0 is wanted")]
    ContractName(String),
    /// Two generations in one file.
    #[error("this component exports {CONTRACT} more than once ({0} and {1}); a driver has one")]
    TwoContracts(ContractVersion, ContractVersion),
    /// A generation this host does not serve.
    #[error("this driver was built for {CONTRACT}@{file}, this host serves generation {}; get a build of the driver for it, or another version of Cardinal", list(.host))]
    Generation {
        /// The file's.
        file: ContractVersion,
        /// Those of this host.
        host: Vec<u64>,
    },
}

/// Names for people: the first few.
fn names(all: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = all.len().saturating_sub(SHOWN);
    let few = all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { few } else { format!("{few} and {more} more") }
}

fn list(generations: &[u64]) -> String {
    generations.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Looks at a file.
///
/// # Errors
/// Why it cannot be a driver on this host, and what to do about it.
pub fn inspect(file: &[u8], bounds: &Bounds) -> Result<Inspection, InspectError> {
    let bytes = file.len() as u64;
    if bytes > bounds.component_bytes {
        return Err(InspectError::TooLarge { bytes, limit: bounds.component_bytes });
    }
    if !file.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm);
    }
    let outline = outline(file)?;
    // Before validation: a file of a later generation may well use later features, and its generation is the better answer.
    let contract = outline.contract()?;
    if !GENERATIONS.contains(&contract.major) {
        return Err(InspectError::Generation { file: contract, host: GENERATIONS.to_vec() });
    }
    Validator::new_with_features(engine::FEATURES).validate_all(file).map_err(|error| invalid(&error))?;
    if !outline.imports.is_empty() {
        return Err(InspectError::Imports(outline.imports));
    }
    if let Some((name, asked, limit)) =
        outline.declared.beside(bounds).into_iter().find(|(_, asked, most)| asked > most)
    {
        return Err(InspectError::Declares { name, asked, limit });
    }
    Ok(Inspection { digest: digest(file), bytes, contract, declared: outline.declared })
}

/// SHA-256 of a file, in lower-case hexadecimal: what a driver is known by.
pub fn digest(file: &[u8]) -> String {
    Sha256::digest(file).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The names a component shows to the outside.
#[derive(Default)]
struct Outline {
    imports: Vec<String>,
    contracts: Vec<String>,
    declared: Declared,
}

impl Outline {
    fn contract(&self) -> Result<ContractVersion, InspectError> {
        let mut versions = self
            .contracts
            .iter()
            .map(|name| version(name).ok_or_else(|| InspectError::ContractName(shown_line(name, 100))));
        let first = versions.next().ok_or(InspectError::NoContract)??;
        match versions.next() {
            None => Ok(first),
            Some(second) => Err(InspectError::TwoContracts(first, second?)),
        }
    }
}

/// The names of the outermost component; parts nested in it are not its own. What is asked for counts wherever it stands.
fn outline(file: &[u8]) -> Result<Outline, InspectError> {
    let mut outline = Outline::default();
    let (mut depth, mut parts) = (0_u32, 0_u32);
    let mut parser = Parser::new(0);
    parser.set_features(engine::FEATURES);
    for payload in parser.parse_all(file) {
        match payload.map_err(|error| invalid(&error))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(InspectError::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth = depth.saturating_add(1);
                if depth > DEEPEST {
                    return Err(InspectError::Nested { limit: DEEPEST });
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentTypeSection(section) => {
                let range = section.range();
                let types = file.get(range.clone()).unwrap_or_default();
                if !nesting::is_within(DEEPEST, types, range.start).map_err(|error| invalid(&error))? {
                    return Err(InspectError::Nested { limit: DEEPEST });
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { .. } = instance.map_err(|error| invalid(&error))? {
                        parts = parts.saturating_add(1);
                    }
                }
                if parts > MOST_PARTS {
                    return Err(InspectError::Parts { limit: MOST_PARTS });
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.map_err(|error| invalid(&error))?.name.name;
                    outline.imports.push(shown_line(name, 200));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let name = export.map_err(|error| invalid(&error))?.name.name;
                    if name.split('@').next() == Some(CONTRACT) {
                        outline.contracts.push(name.to_owned());
                    }
                }
            }
            other => count(&mut outline.declared, other).map_err(|error| invalid(&error))?,
        }
    }
    Ok(outline)
}

/// Adds what this part of a file asks for.
fn count(declared: &mut Declared, part: Payload<'_>) -> Result<(), BinaryReaderError> {
    match part {
        Payload::MemorySection(section) => {
            for memory in section {
                let bytes = memory?.initial.saturating_mul(PAGE);
                declared.memory_bytes = declared.memory_bytes.saturating_add(bytes);
            }
        }
        Payload::TableSection(section) => {
            for table in section {
                declared.table_elements = declared.table_elements.max(table?.ty.initial);
            }
        }
        Payload::InstanceSection(section) => {
            for instance in section {
                if let Instance::Instantiate { .. } = instance? {
                    declared.instances = declared.instances.saturating_add(1);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn version(name: &str) -> Option<ContractVersion> {
    let mut parts = name.split_once('@')?.1.split('.').map(|part| part.parse().ok());
    let version = ContractVersion { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
    parts.next().is_none().then_some(version)
}

fn invalid(error: &BinaryReaderError) -> InspectError {
    InspectError::Invalid { offset: error.offset(), message: shown_line(error.message(), 300) }
}
