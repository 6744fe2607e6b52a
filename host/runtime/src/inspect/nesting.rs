//! How deep types lie inside each other in a component's type section. The parser reads such types by calling itself, once
//! for each level, so a file of a few hundred kilobytes could take all the stack of the process that looks at it. Here the
//! same is read with a bound.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentType, ComponentTypeDeclaration, FromReader, InstanceTypeDeclaration,
};

/// The leading bytes of a type that has declarations inside, and of a declaration that is a type (Binary.md of the
/// component model, Type Definitions).
const COMPONENT: u8 = 0x41;
const INSTANCE: u8 = 0x42;
const TYPE: u8 = 0x01;

/// Whether no type in this section lies deeper than `most` inside others.
///
/// # Errors
/// The section is broken.
pub(super) fn is_within(most: u32, section: &[u8], offset: usize) -> Result<bool, BinaryReaderError> {
    let mut reader = BinaryReader::new(section, offset);
    for _ in 0..reader.read_var_u32()? {
        if !skip_type(&mut reader, most)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads over one type. False: there is something deeper inside than so many levels.
fn skip_type(reader: &mut BinaryReader<'_>, levels: u32) -> Result<bool, BinaryReaderError> {
    match next(reader) {
        Some(COMPONENT) => skip_declarations::<ComponentTypeDeclaration<'_>>(reader, levels),
        Some(INSTANCE) => skip_declarations::<InstanceTypeDeclaration<'_>>(reader, levels),
        _ => reader.read::<ComponentType<'_>>().map(|_| true),
    }
}

fn skip_declarations<'a, D: FromReader<'a>>(
    reader: &mut BinaryReader<'a>,
    levels: u32,
) -> Result<bool, BinaryReaderError> {
    let Some(inside) = levels.checked_sub(1) else { return Ok(false) };
    reader.read_u8()?;
    for _ in 0..reader.read_var_u32()? {
        if next(reader) == Some(TYPE) {
            reader.read_u8()?;
            if !skip_type(reader, inside)? {
                return Ok(false);
            }
        } else {
            reader.read::<D>()?;
        }
    }
    Ok(true)
}

/// The next byte, which stays.
fn next(reader: &BinaryReader<'_>) -> Option<u8> {
    reader.clone().read_u8().ok()
}
