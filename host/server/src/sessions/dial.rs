//! Readers that we dial.

use std::time::Duration;

use cardinal_domain::site::Link;
use tokio::net::TcpStream;

/// Why a reader was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot reach {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("{address} did not answer within {timeout:?}; is it on, and is the address right?")]
    Timeout { address: String, timeout: Duration },
}

/// `host[:port]` with the port filled in.
///
/// # Errors
/// What is wrong with the address, in words for the administrator.
pub fn with_port(address: &str, default: u16) -> Result<String, String> {
    let has_port = match address.rfind(']') {
        Some(end) => address.get(end + 1..).is_some_and(|rest| rest.starts_with(':')),
        None => address.matches(':').count() == 1,
    };
    if has_port {
        let port = address.rsplit(':').next().unwrap_or_default();
        return match port.parse::<u16>() {
            Ok(1..) => Ok(address.to_owned()),
            _ => Err(format!("address {address:?} has no valid port")),
        };
    }
    if address.is_empty() || address.contains(char::is_whitespace) {
        return Err(format!("{address:?} is no address; write host:port"));
    }
    match default {
        0 => Err(format!("address {address:?} names no port, and this mode has no usual one; write host:port")),
        port if address.contains(':') && !address.starts_with('[') => Ok(format!("[{address}]:{port}")),
        port => Ok(format!("{address}:{port}")),
    }
}

/// A connection with the reader at this address.
pub(super) async fn dial(address: &str, link: &Link) -> Result<TcpStream, DialError> {
    let timeout = Duration::from_millis(link.connect_timeout_ms);
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(DialError::Connect { address: address.to_owned(), source }),
        Err(_) => Err(DialError::Timeout { address: address.to_owned(), timeout }),
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn the_port_is_filled_in_where_there_is_a_usual_one() {
        assert_eq!(with_port("10.0.0.21", 7778).unwrap(), "10.0.0.21:7778");
        assert_eq!(with_port("10.0.0.21:99", 7778).unwrap(), "10.0.0.21:99");
        assert_eq!(with_port("fe80::1", 7778).unwrap(), "[fe80::1]:7778");
        assert_eq!(with_port("[fe80::1]:99", 7778).unwrap(), "[fe80::1]:99");
        assert_eq!(with_port("[fe80::1]", 7778).unwrap(), "[fe80::1]:7778");
        assert!(with_port("reader", 0).unwrap_err().contains("names no port"));
        assert!(with_port("reader:0", 0).is_err());
        assert!(with_port("", 1).is_err());
    }
}
