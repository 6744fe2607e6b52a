//! The parts of an X.509 certificate (RFC 5280, section 4.1) that people want to see, read with a DER library.
//!
//! Nothing is verified here: that is the business of whoever is shown the certificate.

use std::net::{Ipv4Addr, Ipv6Addr};

use cardinal_domain::time::Timestamp;
use yasna::{
    ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, BERReaderSeq, Tag,
    tags::{TAG_BOOLEAN, TAG_UTCTIME},
};

pub(super) struct Parts {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// subjectAltName (RFC 5280, section 4.2.1.6).
const ALTERNATIVE_NAMES: [u64; 4] = [2, 5, 29, 17];
/// What stands for the attributes of a name (RFC 4514, section 3); others stand with their number.
const ATTRIBUTES: [(&[u64], &str); 6] = [
    (&[2, 5, 4, 3], "CN"),
    (&[2, 5, 4, 6], "C"),
    (&[2, 5, 4, 7], "L"),
    (&[2, 5, 4, 8], "ST"),
    (&[2, 5, 4, 10], "O"),
    (&[2, 5, 4, 11], "OU"),
];

pub(super) fn read(der: &[u8]) -> ASN1Result<Parts> {
    yasna::parse_der(der, |certificate| {
        certificate.read_sequence(|fields| {
            let parts = fields.next().read_sequence(to_be_signed)?;
            // The signature and its algorithm.
            fields.next().read_der()?;
            fields.next().read_der()?;
            Ok(parts)
        })
    })
}

fn to_be_signed(fields: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Parts> {
    // Version, serial number, algorithm.
    fields.read_optional(|version| version.read_tagged(Tag::context(0), |version| version.read_u8()))?;
    fields.next().read_der()?;
    fields.next().read_der()?;
    let issuer = name(fields.next())?;
    let (not_before, not_after) =
        fields.next().read_sequence(|validity| Ok((time(validity.next())?, time(validity.next())?)))?;
    let subject = name(fields.next())?;
    // The key, and two identifiers that nobody uses.
    fields.next().read_der()?;
    fields.read_optional(|id| id.read_tagged_implicit(Tag::context(1), |id| id.read_bitvec_bytes()))?;
    fields.read_optional(|id| id.read_tagged_implicit(Tag::context(2), |id| id.read_bitvec_bytes()))?;
    let mut names = Vec::new();
    fields.read_optional(|extensions| {
        extensions.read_tagged(Tag::context(3), |extensions| {
            extensions
                .read_sequence_of(|extension| extension.read_sequence(|fields| alternative_names(fields, &mut names)))
        })
    })?;
    Ok(Parts { subject, issuer, names, not_before, not_after })
}

fn alternative_names(extension: &mut BERReaderSeq<'_, '_>, names: &mut Vec<String>) -> ASN1Result<()> {
    let kind = extension.next().read_oid()?;
    extension.read_optional(|critical| match critical.lookahead_tag()? {
        TAG_BOOLEAN => critical.read_bool(),
        _ => Err(ASN1Error::new(ASN1ErrorKind::Invalid)),
    })?;
    let value = extension.next().read_bytes()?;
    if *kind.components() != ALTERNATIVE_NAMES {
        return Ok(());
    }
    let all = yasna::parse_der(&value, |all| all.collect_sequence_of(|name| name.read_tagged_der()))?;
    for name in all {
        // dNSName is 2, iPAddress 7; the others are of no use to a print server.
        if name.tag() == Tag::context(2) {
            names.push(String::from_utf8_lossy(name.value()).into_owned());
        } else if name.tag() == Tag::context(7) {
            let four = <[u8; 4]>::try_from(name.value()).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let address =
                four.or_else(|_| <[u8; 16]>::try_from(name.value()).map(|bytes| Ipv6Addr::from(bytes).to_string()));
            names.extend(address.ok());
        }
    }
    Ok(())
}

/// A name's attributes, in the order in which they stand.
fn name(name: BERReader<'_, '_>) -> ASN1Result<String> {
    let mut shown = Vec::new();
    name.read_sequence_of(|set| {
        set.read_set_of(|attribute| {
            attribute.read_sequence(|fields| {
                let kind = fields.next().read_oid()?;
                let value = fields.next().read_tagged_der()?;
                let known = ATTRIBUTES.iter().find(|(number, _)| kind.components() == number);
                let kind = known.map_or_else(|| kind.to_string(), |(_, short)| (*short).to_owned());
                shown.push(format!("{kind}={}", String::from_utf8_lossy(value.value())));
                Ok(())
            })
        })
    })?;
    Ok(shown.join(", "))
}

fn time(time: BERReader<'_, '_>) -> ASN1Result<Timestamp> {
    let seconds = if time.lookahead_tag()? == TAG_UTCTIME {
        time.read_utctime()?.datetime().unix_timestamp()
    } else {
        time.read_generalized_time()?.datetime().unix_timestamp()
    };
    Ok(Timestamp(seconds.saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["a.example.org", "10.1.2.3", "::1"].map(str::to_owned);
        let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        CertificateDer::from_pem_slice(made.pem().as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn what_was_made_is_read() {
        let parts = read(&certificate()).ok().unwrap();
        assert_eq!(parts.names, ["a.example.org", "10.1.2.3", "::1"]);
        assert_eq!(parts.subject, "CN=rcgen self signed cert");
        assert_eq!(
            (parts.not_before.to_string().as_str(), parts.not_after.0 / 1_000),
            ("1975-01-01T00:00:00.000Z", 67_090_118_400)
        );
    }

    proptest! {
        #[test]
        fn a_damaged_one_is_an_error_or_read_and_never_more(at in 0_usize..10_000, to in any::<u8>(), cut in 0_usize..10_000) {
            let mut bytes = certificate();
            let length = bytes.len();
            bytes[at % length] = to;
            bytes.truncate(length - cut % length / 2 * (cut % 2));
            let _ = read(&bytes);
        }

        #[test]
        fn rubbish_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
        }
    }
}
