//! Components taken apart and put together again, with something inside that no compiler would write.

use crate::common::guest;

/// What a component begins with.
pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// What a core module begins with.
pub(crate) const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Ids of a component's sections (Binary.md of the component model).
pub(crate) const CORE_MODULE: u8 = 1;
pub(crate) const NESTED_COMPONENT: u8 = 4;

/// Ids of a core module's sections (WebAssembly, 5.5 Modules).
const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const TABLE: u8 = 4;
const START: u8 = 8;
const CODE: u8 = 10;
/// The sections that come behind a start.
const BEHIND_START: [u8; 4] = [9, 12, CODE, 11];

/// A section: its id and what is in it.
pub(crate) type Section = (u8, Vec<u8>);

/// A number as WebAssembly writes it (unsigned LEB128).
pub(crate) fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read_leb(bytes: &[u8], at: &mut usize) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

/// The sections of a component or a core module.
pub(crate) fn sections(file: &[u8]) -> Vec<Section> {
    let (mut at, mut sections) = (8, Vec::new());
    while at < file.len() {
        let id = file[at];
        at += 1;
        let length = read_leb(file, &mut at);
        sections.push((id, file[at..at + length].to_vec()));
        at += length;
    }
    sections
}

/// A file of these sections.
pub(crate) fn file(header: &[u8], sections: &[Section]) -> Vec<u8> {
    let section = |(id, content): &Section| [&[*id][..], &leb(content.len()), content].concat();
    [header.to_vec(), sections.iter().flat_map(section).collect()].concat()
}

/// The guest `hostile` with these sections behind its own.
pub(crate) fn hostile_with(more: impl IntoIterator<Item = Section>) -> Vec<u8> {
    let mut parts = sections(&guest("guest-hostile"));
    parts.extend(more);
    file(COMPONENT, &parts)
}

/// The guest `hostile` with a start function in its core module, whose table has no largest size. `code` gives the
/// instructions, for the index of the function itself.
pub(crate) fn starting_with(code: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut parts = sections(&guest("guest-hostile"));
    let (_, module) = parts.iter_mut().filter(|(id, _)| *id == CORE_MODULE).max_by_key(|(_, it)| it.len()).unwrap();
    let mut inner = sections(module);
    // Functions are counted from the imported ones, and this guest imports nothing else.
    let imported = inner.iter().find(|(id, _)| *id == IMPORT).map_or(0, |(_, list)| read_leb(list, &mut 0));
    let kind = append(&mut inner, TYPE, &[0x60, 0, 0]);
    let function = imported + append(&mut inner, FUNCTION, &leb(kind));
    let (_, table) = inner.iter_mut().find(|(id, _)| *id == TABLE).unwrap();
    assert_eq!(table[..3], [1, 0x70, 1], "one table of functions, with a largest size");
    let mut behind_least = 3;
    read_leb(table, &mut behind_least);
    table.truncate(behind_least);
    table[2] = 0;
    let body = [&[0][..], &code(function), &[0x0b]].concat();
    append(&mut inner, CODE, &[leb(body.len()), body].concat());
    let place = inner.iter().position(|(id, _)| BEHIND_START.contains(id)).unwrap();
    inner.insert(place, (START, leb(function)));
    *module = file(MODULE, &inner);
    file(COMPONENT, &parts)
}

/// Adds an entry to a section that is a list: its index.
fn append(sections: &mut [Section], id: u8, entry: &[u8]) -> usize {
    let (_, list) = sections.iter_mut().find(|(known, _)| *known == id).unwrap();
    let mut at = 0;
    let count = read_leb(list, &mut at);
    *list = [&leb(count + 1), &list[at..], entry].concat();
    count
}
