//! The sheets a queue tells of. It does not know its printer, so these are the common ones; a job may name any other.

use ipp::{attribute::IppAttribute, value::IppValue};

use crate::values::{attribute, collection, keyword, keywords, list};

/// Width and height in hundredths of a millimetre, in the order of [`NAMES`].
const SIZES: [(i32, i32); 10] = [
    (21000, 29700),
    (29700, 42000),
    (14800, 21000),
    (10500, 14800),
    (25000, 35300),
    (21590, 27940),
    (21590, 35560),
    (27940, 43180),
    (18415, 26670),
    (10160, 15240),
];
/// Their self-describing names (PWG 5101.1).
pub(crate) const NAMES: [&str; 10] = [
    "iso_a4_210x297mm",
    "iso_a3_297x420mm",
    "iso_a5_148x210mm",
    "iso_a6_105x148mm",
    "iso_b4_250x353mm",
    "na_letter_8.5x11in",
    "na_legal_8.5x14in",
    "na_ledger_11x17in",
    "na_executive_7.25x10.5in",
    "na_index-4x6_4x6in",
];
/// The margin that every laser printer manages: a sixth of an inch.
const MARGIN: i32 = 423;
const MARGINS: [&str; 4] = ["media-bottom-margin", "media-left-margin", "media-right-margin", "media-top-margin"];
const SOURCES: [&str; 3] = ["auto", "main", "manual"];
const TYPES: [&str; 6] = ["stationery", "auto", "cardstock", "envelope", "labels", "transparency"];

fn size((width, height): (i32, i32)) -> IppValue {
    collection([("x-dimension", IppValue::Integer(width)), ("y-dimension", IppValue::Integer(height))])
}

fn sheet(dimensions: (i32, i32)) -> IppValue {
    let margins = MARGINS.map(|margin| (margin, IppValue::Integer(MARGIN)));
    let kind = [("media-size", size(dimensions)), ("media-type", keyword("stationery"))];
    collection(kind.into_iter().chain(margins))
}

/// What a queue says of its sheets besides `media-supported`.
pub(crate) fn described() -> Vec<IppAttribute> {
    let members = ["media-size", "media-source", "media-type"];
    let members: Vec<_> = MARGINS.into_iter().chain(members).collect();
    let sheets = || list(SIZES.map(sheet));
    let mut all = vec![
        attribute("media-ready", keywords(&NAMES)),
        attribute("media-col-default", SIZES.first().copied().map_or(IppValue::NoValue, sheet)),
        attribute("media-col-ready", sheets()),
        attribute("media-col-supported", keywords(&members)),
        attribute("media-size-supported", list(SIZES.map(size))),
        attribute("media-source-supported", keywords(&SOURCES)),
        attribute("media-type-supported", keywords(&TYPES)),
        attribute("media-col-database", sheets()),
    ];
    all.extend(MARGINS.map(|margin| attribute(&format!("{margin}-supported"), IppValue::Integer(MARGIN))));
    all
}
