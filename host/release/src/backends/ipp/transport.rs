//! A question to a printer, and its answer: bounded in time and size, and never from another address.

use cardinal_domain::bounds::size;
use futures_util::TryStreamExt as _;
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, IppVersion, Operation},
};
use tokio_util::io::StreamReader;

use super::{IppPrinter, Unanswered};
use crate::{
    backends::tls::root_cause,
    message::{self, Message},
    values::{self, attribute},
};

/// Why a request has no answer.
pub(super) enum Posted {
    /// There was no connection: not one byte was sent.
    Unreachable(String),
    /// The connection was lost, or what came over it is no answer.
    Lost(String),
    /// An HTTP status that is no success.
    Http(u16),
}

impl IppPrinter<'_> {
    /// A request without a document.
    pub(super) async fn ask(&self, operation: Operation, asked: Vec<IppAttribute>) -> Result<Message, Unanswered> {
        let body = reqwest::Body::from(self.head(operation, asked, Vec::new()));
        let _permit = self.engine.may_ask(&self.spec.name).await;
        match tokio::time::timeout(self.limits.answer_timeout(), self.post(body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Posted::Unreachable(why))) => Err(Unanswered::Unreachable(why)),
            Ok(Err(Posted::Lost(why))) => Err(Unanswered::Silent(why)),
            Ok(Err(Posted::Http(status))) if (300..500).contains(&status) => {
                Err(Unanswered::Refused(format!("HTTP status {status}")))
            }
            Ok(Err(Posted::Http(status))) => Err(Unanswered::Silent(format!("HTTP status {status}"))),
            Err(_) => Err(Unanswered::Silent("it did not answer in time".to_owned())),
        }
    }

    /// An encoded request up to its document.
    pub(super) fn head(
        &self,
        operation: Operation,
        asked: Vec<IppAttribute>,
        template: Vec<IppAttribute>,
    ) -> bytes::Bytes {
        let mut attributes = ipp::attribute::IppAttributes::new();
        let fixed = [
            attribute("attributes-charset", values::charset("utf-8")),
            attribute("attributes-natural-language", values::language("en")),
            attribute("printer-uri", values::uri(self.uri)),
        ];
        for one in fixed.into_iter().chain(asked) {
            attributes.add(DelimiterTag::OperationAttributes, one);
        }
        for one in template {
            attributes.add(DelimiterTag::JobAttributes, one);
        }
        // Every printer since 1999 knows 1.1, and nothing here needs more.
        let header = ipp::IppHeader::new(IppVersion::v1_1(), operation as i16, 1);
        [header.to_bytes(), attributes.to_bytes()].concat().into()
    }

    pub(super) async fn post(&self, body: reqwest::Body) -> Result<Message, Posted> {
        let client = self.engine.clients.of(self.spec, self.uri);
        let client = client.map_err(|error| Posted::Unreachable(root_cause(&error)))?;
        let sent = client.post(http_url(self.uri)).header("content-type", "application/ipp").body(body).send().await;
        let response = sent.map_err(|error| {
            let error = error.without_url();
            let why = root_cause(&error);
            if error.is_connect() || error.is_builder() { Posted::Unreachable(why) } else { Posted::Lost(why) }
        })?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Posted::Http(response.status().as_u16()));
        }
        let mut body = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
        let read = message::read(&mut body, size(self.limits.max_head_bytes));
        match tokio::time::timeout(self.limits.answer_timeout(), read).await {
            Ok(answer) => answer.map_err(|error| Posted::Lost(format!("its answer cannot be read: {error}"))),
            Err(_) => Err(Posted::Lost("its answer broke off".to_owned())),
        }
    }
}

/// The address for HTTP; port 631 where none is named (RFC 8010 §4.1, RFC 7472 §5).
pub(crate) fn http_url(uri: &str) -> String {
    let (scheme, rest) = match uri.strip_prefix("ipps://") {
        Some(rest) => ("https", rest),
        None => ("http", uri.strip_prefix("ipp://").unwrap_or(uri)),
    };
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, "/"), |at| rest.split_at(at));
    let port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    format!("{scheme}://{authority}{}{path}", if port { "" } else { ":631" })
}

#[cfg(test)]
mod tests {
    use super::http_url;

    #[test]
    fn addresses() {
        for (uri, url) in [
            ("ipp://p/ipp/print", "http://p:631/ipp/print"),
            ("ipp://p:80/ipp/print", "http://p:80/ipp/print"),
            ("ipp://[::1]/x", "http://[::1]:631/x"),
            ("ipp://[::1]:8631", "http://[::1]:8631/"),
            ("ipp://p", "http://p:631/"),
            ("ipps://p/ipp/print", "https://p:631/ipp/print"),
        ] {
            assert_eq!(http_url(uri), url);
        }
    }
}
