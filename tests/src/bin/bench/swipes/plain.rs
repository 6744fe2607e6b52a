//! The plain server: the same HTTP over the same TLS as the host's listener for readers, and a handler that answers by
//! itself, without secret, driver, decision and store.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What `cardinal/springcore` answers by default where nothing is held.
const COMMAND: &str = r#"{"Leds":"01000000","RgbColor":"FF0000","Buzzer":500}"#;

/// Serves at this address for ever, with the certificate and the key in this folder.
pub(crate) async fn answer(address: SocketAddr, tls: &Path) -> Result<()> {
    let chain = CertificateDer::pem_file_iter(tls.join("certificate.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(tls.join("key.pem"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // As the host has it.
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let service = TowerToHyperService::new(Router::new().fallback(swipe));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder.http1().timer(TokioTimer::new());
            // Whoever is gone has its answer, or sees that it has none.
            let _ = builder.serve_connection(TokioIo::new(Box::new(stream)), service).await;
        });
    }
}

async fn swipe(body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    if event.get("TagId").and_then(Value::as_str).is_none_or(str::is_empty) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    ([(CONTENT_TYPE, "application/json")], COMMAND).into_response()
}
