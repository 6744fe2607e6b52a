//! The way to a server: certificates that are believed and certificates that are not, and a start of TLS that somebody on the
//! way tampers with. Nothing is ever said before the way is safe.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{
    fake_ldap::{Fake, Running},
    read_with, source, told, trust,
    whole_or_nothing::{school, settings},
};

/// An authority.
struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Authority(Issuer::new(params, key), certificate)
}

impl Authority {
    fn server(&self, name: &str, expired: bool) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()))
    }
}

async fn start(tls: TlsAcceptor, starttls: bool, injected: bool) -> Running {
    Fake { entries: school(), tls: Some(tls), starttls, injected, ..Fake::default() }.start().await
}

async fn read(server: &Running, security: &str, roots: &[CertificateDer<'static>]) -> Result<usize, String> {
    let text = settings(&server.address).replace("\"plain\"", &format!("{security:?}"));
    let snapshot = read_with(&source(&text), &trust(roots), &Default::default(), None).await;
    match snapshot {
        Ok(snapshot) => {
            assert!(snapshot.remarks.is_empty(), "{:?}", snapshot.remarks);
            Ok(snapshot.people.len())
        }
        Err(error) => Err(told(Err(error))),
    }
}

#[tokio::test]
async fn certificates_are_believed_for_their_name_their_time_and_their_authority() {
    let known = authority("known");
    let roots = [known.1.clone()];
    for (security, starttls) in [("ldaps", false), ("starttls", true)] {
        let good = start(known.server("127.0.0.1", false), starttls, false).await;
        assert_eq!(read(&good, security, &roots).await, Ok(22), "{security}");
        for (acceptor, why) in [
            (known.server("127.0.0.1", true), "has expired"),
            (known.server("ldap.school.test", false), "for another name"),
            (authority("other").server("127.0.0.1", false), "directory.ca in cardinal.toml"),
            (authority("known").server("127.0.0.1", false), "not made by the authority"),
        ] {
            let bad = start(acceptor, starttls, false).await;
            let error = read(&bad, security, &roots).await.unwrap_err();
            assert!(error.contains(why) && error.contains(&bad.address), "{security}: {error}");
            // Nobody signed in there.
            assert!(bad.seen.lock().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn what_comes_unprotected_along_with_the_start_of_tls_is_not_taken() {
    let known = authority("known");
    let server = start(known.server("127.0.0.1", false), true, true).await;
    // It may come with the answer or a moment later, in the handshake: both end it.
    let error = read(&server, "starttls", std::slice::from_ref(&known.1)).await.unwrap_err();
    assert!(error.contains("came unprotected") || error.contains("TLS"), "{error}");
    assert!(server.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_without_tls_gets_no_password() {
    let server = Fake { entries: school(), ..Fake::default() }.start().await;
    let error = read(&server, "starttls", &[]).await.unwrap_err();
    assert!(error.contains("starttls is refused"), "{error}");
    let error = read(&server, "ldaps", &[]).await.unwrap_err();
    assert!(error.contains("TLS"), "{error}");
    assert!(server.seen.lock().unwrap().is_empty());
}
