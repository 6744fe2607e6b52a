//! The head of an IPP message, read from a stream and checked before it is parsed.
//!
//! Messages come from anybody, printers included. The parser of the `ipp` crate takes any length, recurses into nested
//! collections, and reads the two lengths inside a text with language unchecked; so the frame is walked here first, with a
//! bound on its size and depth, and only a sound one is given to the parser. What follows the head stays in the stream.

use std::{
    collections::BTreeSet,
    io::{self, Cursor},
};

use futures_util::FutureExt as _;
use ipp::{
    IppHeader,
    attribute::{IppAttribute, IppAttributes},
    model::DelimiterTag,
    parser::{IppParseError, IppParser},
    reader::IppReader,
    value::IppValue,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Collections nest three deep at most in what is standardised (`media-col` has `media-size`).
const DEEPEST: usize = 8;

const END_OF_ATTRIBUTES: u8 = 0x03;
const MEMBER_NAME: u8 = 0x4a;
const BEGIN_COLLECTION: u8 = 0x34;
const TEXT_WITH_LANGUAGE: u8 = 0x35;
const NAME_WITH_LANGUAGE: u8 = 0x36;
const END_COLLECTION: u8 = 0x37;

/// Why no head could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("the IPP message is larger than {most} bytes before its document")]
    TooLarge { most: usize },
    #[error("the IPP message is malformed: {0}")]
    Malformed(&'static str),
    #[error("the IPP message cannot be parsed")]
    Parse(#[from] IppParseError),
    #[error("the IPP message broke off")]
    Io(#[from] io::Error),
}

/// The head of an IPP request or response.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: IppHeader,
    pub(crate) attributes: IppAttributes,
    /// The names of attributes with a set inside a collection: the parser loses what stands behind it, so their values are
    /// not to be believed.
    pub(crate) torn: BTreeSet<String>,
}

impl Message {
    /// An attribute of the first group of this kind.
    pub(crate) fn get(&self, group: DelimiterTag, name: &str) -> Option<&IppValue> {
        self.attributes.first_of(group)?.get(name).map(IppAttribute::value)
    }
}

/// Reads a head and leaves the rest in the reader.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: &mut R, most: usize) -> Result<Message, MessageError> {
    let mut frame = Frame { reader, bytes: Vec::new(), most };
    frame.take(8).await?;
    // How many values the member has had that is being read, for each collection around.
    let mut members: Vec<usize> = Vec::new();
    let mut attribute = String::new();
    let mut is_collection = false;
    let mut torn = BTreeSet::new();
    loop {
        let depth = members.len();
        let tag = frame.byte().await?;
        match tag {
            END_OF_ATTRIBUTES if depth == 0 => break,
            0x01..=0x0f if depth == 0 => continue,
            0x10..=0x7f => {}
            _ => return Err(MessageError::Malformed("a group inside a collection")),
        }
        let length = frame.length().await?;
        let name = frame.take(length).await?;
        if depth == 0 {
            // A set of both would be written as if all were of the first one's kind, which nobody can read.
            let begins = tag == BEGIN_COLLECTION;
            if tag == MEMBER_NAME || (name.is_empty() && begins != is_collection && tag != END_COLLECTION) {
                return Err(MessageError::Malformed("a collection's parts stand outside it"));
            }
            is_collection = begins;
            if !name.is_empty() {
                attribute = String::from_utf8_lossy(name).into_owned();
            }
        } else if !name.is_empty() {
            // RFC 8010 §3.1.7: a member's name is the value of the tag before it.
            return Err(MessageError::Malformed("a part of a collection has a name of its own"));
        }
        if tag != END_COLLECTION
            && let Some(values) = members.last_mut()
        {
            *values = if tag == MEMBER_NAME { 0 } else { *values + 1 };
            if *values > 1 {
                torn.insert(attribute.clone());
            }
        }
        let length = frame.length().await?;
        let value = frame.take(length).await?;
        match tag {
            BEGIN_COLLECTION if depth == DEEPEST => return Err(MessageError::Malformed("collections nest too deep")),
            BEGIN_COLLECTION => members.push(0),
            END_COLLECTION => {
                members.pop().ok_or(MessageError::Malformed("a collection ends twice"))?;
            }
            TEXT_WITH_LANGUAGE | NAME_WITH_LANGUAGE if !two_parts(value) => {
                return Err(MessageError::Malformed("a text with language is cut"));
            }
            _ => {}
        }
    }
    let (header, attributes, _) = IppParser::new(IppReader::new(Cursor::new(frame.bytes))).parse_parts()?;
    Ok(Message { header, attributes, torn })
}

/// The same of bytes that are all there. None: they are no head.
pub(crate) fn read_now(bytes: &mut &[u8], most: usize) -> Option<Message> {
    // A slice is never waited for, so one look is enough.
    std::pin::pin!(read(bytes, most)).now_or_never()?.ok()
}

/// Whether a value is two texts, each behind its length.
fn two_parts(value: &[u8]) -> bool {
    fn part(value: &[u8]) -> Option<&[u8]> {
        let (length, rest) = value.split_first_chunk::<2>()?;
        rest.get(usize::from(u16::from_be_bytes(*length))..)
    }
    part(value).and_then(part).is_some_and(<[u8]>::is_empty)
}

struct Frame<'r, R> {
    reader: &'r mut R,
    bytes: Vec<u8>,
    most: usize,
}

impl<R: AsyncRead + Unpin> Frame<'_, R> {
    async fn take(&mut self, count: usize) -> Result<&[u8], MessageError> {
        let start = self.bytes.len();
        if start + count > self.most {
            return Err(MessageError::TooLarge { most: self.most });
        }
        self.bytes.resize(start + count, 0);
        let room = self.bytes.get_mut(start..).unwrap_or_default();
        self.reader.read_exact(room).await?;
        Ok(room)
    }

    async fn byte(&mut self) -> Result<u8, MessageError> {
        self.take(1).await?.first().copied().ok_or(MessageError::Malformed("no tag"))
    }

    async fn length(&mut self) -> Result<usize, MessageError> {
        match self.take(2).await?.first_chunk::<2>() {
            Some(length) => Ok(usize::from(u16::from_be_bytes(*length))),
            None => Err(MessageError::Malformed("no length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: [u8; 8] = [2, 0, 0, 2, 0, 0, 0, 1];
    const MOST: usize = 1 << 16;

    fn read_all(bytes: &[u8]) -> (Result<Message, MessageError>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut rest = bytes;
            let message = read(&mut rest, MOST).await;
            (message, rest.to_vec())
        })
    }

    fn attribute(tag: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[tag], &length(name)[..], name, &length(value), value].concat()
    }

    #[test]
    fn the_document_stays_in_the_stream() {
        let bytes = [&HEADER[..], &[1], &attribute(0x44, b"which-jobs", b"completed"), &[3], b"%PDF"].concat();
        let (message, rest) = read_all(&bytes);
        let message = message.unwrap();
        assert_eq!(rest, b"%PDF");
        assert_eq!(
            message.get(DelimiterTag::OperationAttributes, "which-jobs"),
            Some(&crate::values::keyword("completed"))
        );
    }

    #[test]
    fn a_text_with_language_cannot_point_outside() {
        for value in [&b"\xff\xffen"[..], b"\0\x02en", b"\0\x02en\xff\xffx", b"\0\x02en\0\0x", b"", b"\0"] {
            let bytes = [&HEADER[..], &[1], &attribute(0x35, b"a", value), &[3]].concat();
            assert!(matches!(read_all(&bytes).0, Err(MessageError::Malformed(_))), "{value:?}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = [attribute(0x4a, b"", b"x"), attribute(0x34, b"", b"")].concat().repeat(2000);
        let bytes = [&HEADER[..], &[2], &attribute(0x34, b"media-col", b""), &nested].concat();
        assert!(matches!(read_all(&bytes).0, Err(MessageError::Malformed("collections nest too deep"))));
        let bytes = [&HEADER[..], &[1], &attribute(0x41, b"a", &[b'x'; 60_000]).repeat(2)].concat();
        assert!(matches!(read_all(&bytes).0, Err(MessageError::TooLarge { most: MOST })));
    }

    #[test]
    fn a_set_inside_a_collection_is_noticed() {
        let member = |name: &[u8]| attribute(0x4a, b"", name);
        let number = attribute(0x21, b"", &[0, 0, 0, 1]);
        let collection =
            |inside: &[u8]| [&attribute(0x34, b"overrides", b""), inside, &attribute(0x37, b"", b"")].concat();
        let torn = |inside: &[u8]| {
            let bytes = [&HEADER[..], &[2], &collection(inside), &attribute(0x44, b"sides", b"x"), &[3]].concat();
            read_all(&bytes).0.unwrap().torn.into_iter().collect::<Vec<_>>()
        };
        assert!(torn(&[member(b"pages"), number.clone(), member(b"copies"), number.clone()].concat()).is_empty());
        assert_eq!(torn(&[member(b"pages"), number.clone(), number.clone()].concat()), ["overrides"]);
        let inner = [attribute(0x34, b"", b""), member(b"x"), number.clone(), attribute(0x37, b"", b"")].concat();
        assert!(torn(&[&member(b"media-size")[..], &inner, &member(b"y"), &number].concat()).is_empty());
        assert_eq!(torn(&[&member(b"media-size")[..], &inner, &inner].concat()), ["overrides"]);
    }

    #[test]
    fn parts_of_a_collection_outside_it_are_refused() {
        let sheet = [attribute(0x34, b"media-col", b""), attribute(0x37, b"", b"")].concat();
        let number = |name| attribute(0x21, name, &[0; 4]);
        for (parts, sound) in [
            ([&sheet[..], &number(b"copies")], true),
            ([&sheet[..], &[attribute(0x34, b"", b""), attribute(0x37, b"", b"")].concat()], true),
            ([&sheet[..], &number(b"")], false),
            ([&sheet[..], &attribute(0x4a, b"", b"x")], false),
            ([&number(b"copies")[..], &attribute(0x34, b"", b"")], false),
            ([&attribute(0x34, b"media-col", b"")[..], &attribute(0x37, b"x", b"")], false),
        ] {
            let bytes = [&HEADER[..], &[2], &parts.concat(), &[3]].concat();
            assert_eq!(read_all(&bytes).0.is_ok(), sound, "{parts:?}");
        }
    }

    #[tokio::test]
    async fn a_message_cut_anywhere_is_an_error_and_not_half_a_message() {
        let sheet = [attribute(0x34, b"media-col", b""), attribute(0x4a, b"", b"x"), attribute(0x21, b"", &[0; 4])];
        let text = attribute(0x35, b"job-name", b"\0\x02en\0\x01x");
        let bytes = [&HEADER[..], &[1], &text, &[2], &sheet.concat(), &attribute(0x37, b"", b""), &[3]].concat();
        assert!(read(&mut &bytes[..], MOST).await.is_ok());
        for length in 0..bytes.len() {
            assert!(read(&mut &bytes[..length], MOST).await.is_err(), "cut at {length}");
        }
    }

    /// Bytes that look like IPP now and then, so that the walk goes deep.
    fn rubbish() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop_oneof![any::<u8>(), 0x30_u8..0x4b, Just(0x34), Just(0x37), Just(0x4a), Just(0x35)];
        let piece = (tag, prop::collection::vec(any::<u8>(), 0..3), prop::collection::vec(any::<u8>(), 0..12))
            .prop_map(|(tag, name, value)| attribute(tag, &name, &value));
        let pieces =
            prop::collection::vec(prop_oneof![4 => piece, 1 => any::<u8>().prop_map(|byte| vec![byte])], 0..40);
        pieces.prop_map(|pieces| [&HEADER[..], &[1], &pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in prop_oneof![rubbish(), prop::collection::vec(any::<u8>(), 0..400)]) {
            let _ = read_all(&bytes);
            let _ = read_all(&[&bytes[..], &[3]].concat());
        }
    }
}
