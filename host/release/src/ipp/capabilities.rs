//! What depends on the printer behind a queue, and is not known here: this is the one place for it, with `media` for its
//! sheets and the table in `template` for what jobs may ask.
//!
//! A queue may have any printer behind it, and a hold queue several. So these are what office printers have in common;
//! documents and wishes are passed on as they come, and the printer makes of them what it can.

use ipp::{attribute::IppAttribute, value::IppValue};

use super::template::dpi;
use crate::values::{attribute, keyword, keywords, list, text};

/// Cardinal does not look into documents: these are what clients send, passed on as they are. `image/urf` is missing on
/// purpose: a client that sees it sends nothing else, and most printers cannot print it.
pub(crate) const FORMATS: [&str; 8] = [
    "application/octet-stream",
    "application/pdf",
    "application/postscript",
    "application/vnd.hp-pcl",
    "image/jpeg",
    "image/png",
    "image/pwg-raster",
    "text/plain",
];

/// Clients only show it.
const PAGES_PER_MINUTE: i32 = 30;
/// Supplies are the printer's; this says that there are some and that their level is not known (PWG 5100.13 §5.6.17, -2).
const SUPPLY: &[u8] = b"class=other;type=other;unit=unknown;maxcapacity=-2;level=-2;index=1;";

/// What a queue says of the printer behind it, besides its sheets and what jobs may ask.
pub(crate) fn described() -> Vec<IppAttribute> {
    vec![
        attribute("color-supported", IppValue::Boolean(true)),
        attribute("pages-per-minute", IppValue::Integer(PAGES_PER_MINUTE)),
        attribute("pages-per-minute-color", IppValue::Integer(PAGES_PER_MINUTE)),
        attribute("pdl-override-supported", keyword("attempted")),
        attribute("printer-device-id", text("MFG:Cardinal;MDL:Print queue;CMD:PDF,PWGRaster,JPEG,PS,PCL;")),
        attribute("printer-supply", IppValue::OctetString(bytes::Bytes::from_static(SUPPLY))),
        attribute("printer-supply-description", text("See the printer")),
        attribute("pwg-raster-document-resolution-supported", list([dpi(300), dpi(600)])),
        attribute("pwg-raster-document-sheet-back", keyword("normal")),
        attribute("pwg-raster-document-type-supported", keywords(&["black_1", "sgray_8", "srgb_8"])),
    ]
}
