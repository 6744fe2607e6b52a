//! Reading sources from outside: over real sockets from a server that does what real ones do not, and from programs and files
//! that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod active_directory;
mod fake_ldap;
mod files;
mod programs;
mod servers;
mod tls;
mod whole_or_nothing;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cardinal_directory::{Handover, Locals, Progress, Reading, Schema, Snapshot, SourceError, Trust, read};
use cardinal_domain::site::{ServerType, Site, Source, SourceKind};

/// A source as a site file has it.
fn source(text: &str) -> Source {
    let site: Site = cardinal_domain::strict_toml::parse(&format!("[[source]]\nname = \"school\"\n{text}")).unwrap();
    site.source.into_iter().next().unwrap()
}

/// A configuration that believes these authorities.
fn trust(roots: &[rustls::pki_types::CertificateDer<'static>]) -> Trust {
    let mut store = rustls::RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Trust(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}

/// Reads a source with everything as usual.
async fn read_source(source: &Source) -> Result<Snapshot, SourceError> {
    read_with(source, &trust(&[]), &Locals::default(), None).await
}

async fn read_with(
    source: &Source,
    trust: &Trust,
    locals: &Locals,
    since: Option<&cardinal_directory::Mark>,
) -> Result<Snapshot, SourceError> {
    let server = match source.kind {
        SourceKind::ActiveDirectory => ServerType::ActiveDirectory,
        _ => source.server_type.unwrap_or(ServerType::OpenLdap),
    };
    let schema = Schema::of(server, &Default::default(), &source.schema);
    let (progress, seen) = Progress::new();
    let handed_over = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&handed_over);
    let handover = Some(Handover::new(move |person| taken.lock().unwrap().push(person)));
    let reading = Reading { source, schema: &schema, trust, locals, since, progress, handover };
    // Nothing may hang: every step has its own time, and all of them together are far below this.
    let mut result = tokio::time::timeout(Duration::from_secs(60), read(reading)).await.expect("reading hangs");
    if let Ok(snapshot) = &mut result {
        assert_eq!(snapshot.figures, *seen.borrow());
        snapshot.people.append(&mut handed_over.lock().unwrap());
    }
    result
}

/// What an error says.
fn told(result: Result<Snapshot, SourceError>) -> String {
    result
        .map(|snapshot| panic!("{} users came", snapshot.people.len()))
        .unwrap_or_else(|error: SourceError| error.to_string())
}
