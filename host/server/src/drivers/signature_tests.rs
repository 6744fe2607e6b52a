use cardinal_domain::time::Timestamp;
use minisign::KeyPair;
use proptest::prelude::*;

use super::*;

const FILE: &[u8] = b"\0asm and so on";

fn digest() -> String {
    cardinal_runtime::inspect::digest(FILE)
}

fn claim(label: &str, sha256: &str) -> String {
    format!("cardinal driver {label} sha256:{sha256}")
}

fn sign(keys: &KeyPair, file: &[u8], comment: &str) -> String {
    minisign::sign(Some(&keys.pk), &keys.sk, file, Some(comment), None).unwrap().into_string()
}

fn keys() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn public(keys: &KeyPair) -> PublicKey {
    keys.pk.to_box().unwrap().to_string().parse().unwrap()
}

fn trusted(vendor: &str, keys: &KeyPair) -> Publisher {
    let key = public(keys);
    let (key_id, public_key) = (key.id.to_string(), key.text);
    Publisher { vendor: vendor.into(), key_id, public_key, trusted: Timestamp(1), withdrawn: None }
}

fn refused(publishers: &[Publisher], signature: &str) -> SignatureError {
    check(publishers, FILE, &digest(), signature).unwrap_err()
}

#[test]
fn a_signature_of_a_trusted_publisher_is_good_for_its_driver_alone() {
    let keys = keys();
    let good = sign(&keys, FILE, &claim("acme/line@1.2.0", &digest()));
    let (key, signed) = check(&[trusted("acme", &keys)], FILE, &digest(), &good).unwrap();
    assert_eq!((key, signed.to_string()), (public(&keys).id, claim("acme/line@1.2.0", &digest())));
    assert_eq!(check_by(&public(&keys), FILE, &digest(), &good).unwrap(), signed);
    assert_eq!(key_of(&good), Some(key));
    let manifest = |version: &str| Manifest {
        vendor: "acme".into(),
        name: "line".into(),
        version: version.into(),
        summary: String::new(),
        modes: Vec::new(),
    };
    assert_eq!(signed.fits(&manifest("1.2.0")), Ok(()));
    let why = signed.fits(&manifest("1.3.0")).unwrap_err().to_string();
    assert_eq!(why, "the signature is for acme/line@1.2.0, and the file says that it is acme/line@1.3.0");
}

#[test]
fn every_other_signature_is_refused_for_its_own_reason() {
    let (acme, other) = (keys(), keys());
    let publishers = [trusted("acme", &acme), trusted("other", &other)];
    let good = sign(&acme, FILE, &claim("acme/line@1.2.0", &digest()));
    let key = public(&acme).id;

    let of_another = sign(&acme, b"another", &claim("acme/line@1.2.0", &cardinal_runtime::inspect::digest(b"another")));
    assert!(matches!(refused(&publishers, &of_another), SignatureError::OtherFile { .. }));
    // Who claims this file's digest over another file's signature.
    let forged = sign(&acme, b"another", &claim("acme/line@1.2.0", &digest()));
    assert_eq!(refused(&publishers, &forged), SignatureError::Invalid(key));
    let tampered = good.replace("line@1.2.0", "line@9.2.0");
    assert_eq!(refused(&publishers, &tampered), SignatureError::Invalid(key));
    // Another vendor's publisher, and nobody's.
    let stolen = sign(&other, FILE, &claim("acme/line@1.2.0", &digest()));
    assert!(matches!(refused(&publishers, &stolen), SignatureError::Unknown { vendor, .. } if vendor == "acme"));
    assert!(matches!(refused(&[], &good), SignatureError::Unknown { .. }));
    let withdrawn = Publisher { withdrawn: Some(Timestamp(2)), ..trusted("acme", &acme) };
    assert!(matches!(refused(&[withdrawn], &good), SignatureError::Withdrawn { .. }));
    // A key of the same id is another key all the same.
    let impostor = Publisher { public_key: public(&other).text, ..trusted("acme", &acme) };
    assert_eq!(refused(&[impostor], &good), SignatureError::Invalid(key));
    assert!(matches!(refused(&publishers, &sign(&acme, FILE, "timestamp:1")), SignatureError::Comment(_)));
    for rubbish in ["", "rubbish", "a\nb\nc\nd", &good[..good.len() / 2], &"x".repeat(LONGEST + 1)] {
        assert_eq!(refused(&publishers, rubbish), SignatureError::Form, "{rubbish:?}");
    }
}

/// The key of minisign's own documentation.
#[test]
fn keys_are_read_as_minisign_writes_them() {
    let text = "untrusted comment: minisign public key E7620F1842B4E81F\n\
                RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
    let key: PublicKey = text.parse().unwrap();
    assert_eq!(key.id.to_string(), "E7620F1842B4E81F");
    assert_eq!(key.text.parse::<PublicKey>().unwrap(), key);
    assert_eq!("E7620F1842B4E81F".parse::<KeyId>().unwrap(), key.id);
    for wrong in ["", "untrusted comment: x", "RWQf6LRC", "+7620F1842B4E81F"] {
        assert!(wrong.parse::<PublicKey>().is_err() && wrong.parse::<KeyId>().is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn a_claim_is_read_as_it_is_written(vendor in "[a-z][a-z0-9-]{0,39}", name in "[a-z][a-z0-9-]{0,39}",
        version in "[0-9]{1,9}\\.[0-9]{1,9}\\.[0-9]{1,9}", sha256 in "[0-9a-f]{64}") {
        let claim = Claim { vendor, name, version, sha256 };
        prop_assert_eq!(claim.to_string().parse::<Claim>().unwrap(), claim);
    }

    #[test]
    fn whatever_is_read_as_a_claim_says_the_same(text in "(cardinal driver )?[a-z/@. :0-9]{0,40}( sha256:[0-9a-f]{62,66})?.{0,4}") {
        if let Ok(claim) = text.parse::<Claim>() {
            prop_assert_eq!(claim.to_string(), text);
        }
    }

    #[test]
    fn rubbish_is_no_signature(text in "(\\PC{0,90}\n){0,5}") {
        prop_assert!(check(&[], FILE, &digest(), &text).is_err());
        let _ = text.parse::<PublicKey>();
    }
}
