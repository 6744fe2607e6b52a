//! Asking for TLS on a plain connection (RFC 4511, 4.14). The library could do it, but what comes before the server has
//! proved who it is may come from anybody on the way: here the answer is bounded before it is taken apart, and nothing may
//! come along with it.

use ldap3::asn1::{PL, StructureTag, parse_tag};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{LdapError, error::Outcome};

/// The request: message 1, an extended one of this name.
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The tag of the answer.
const EXTENDED_RESPONSE: u64 = 24;
/// The longest answer that is taken, in bytes. The library goes as deep as brackets in it do; in so few it cannot go far.
const LONGEST_ANSWER: usize = 2_048;

/// Asks. Afterwards TLS begins.
pub(super) async fn ask(tcp: &mut TcpStream) -> Result<(), LdapError> {
    let broken = |error: std::io::Error| LdapError::Closed(error.to_string());
    tcp.write_all(REQUEST).await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        let room = u64::try_from(LONGEST_ANSWER - answer.len()).unwrap_or(0);
        if (&mut *tcp).take(room).read_buf(&mut answer).await.map_err(broken)? == 0 {
            return Err(LdapError::Closed("end of the connection".into()));
        }
        match parse_tag(&answer) {
            Ok(([], message)) => return agreed(&message),
            // It could be somebody else's, to be read as if it were protected.
            Ok(_) => return Err(LdapError::Protocol("something came unprotected after starttls")),
            Err(error) if error.is_incomplete() && answer.len() < LONGEST_ANSWER => {}
            Err(_) => return Err(LdapError::Protocol("the answer to starttls is malformed")),
        }
    }
}

fn agreed(message: &StructureTag) -> Result<(), LdapError> {
    let malformed = LdapError::Protocol("starttls is answered by something else");
    let PL::C(parts) = &message.payload else { return Err(malformed) };
    let [_, StructureTag { id: EXTENDED_RESPONSE, payload: PL::C(result), .. }, ..] = parts.as_slice() else {
        return Err(malformed);
    };
    match result.as_slice() {
        [StructureTag { payload: PL::P(code), .. }, _, StructureTag { payload: PL::P(text), .. }, ..] => {
            match code.as_slice() {
                [0] => Ok(()),
                [code] => {
                    let refused = LdapError::Result(Outcome::new(u32::from(*code), text));
                    Err(LdapError::Tls(format!("starttls is refused: {refused}")))
                }
                _ => Err(malformed),
            }
        }
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_success_is_agreement() {
        let answer = |bytes: &[u8]| agreed(&parse_tag(bytes).unwrap().1);
        let success = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert!(answer(success).is_ok());
        for (at, byte) in [(9, 1), (9, 0x80), (5, 0x65), (7, 0x2a)] {
            let mut other = *success;
            other[at] = byte;
            assert!(parse_tag(&other).is_err() || answer(&other).is_err(), "{at} {byte}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((_, message)) = parse_tag(&bytes) {
                let _ = agreed(&message);
            }
        }
    }
}
