//! A connection with a reader as its session sees it: plain or TLS, and what was read ahead of the session.

use std::{io, mem::MaybeUninit};

use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A connection with a reader.
pub(super) struct Stream {
    wire: Wire,
    /// What came behind a first line, in the same piece.
    early: Vec<u8>,
    /// The first line ended in CR; if LF comes next, it belongs to it.
    after_cr: bool,
}

/// TLS is boxed: it is many times as large, and most readers have none.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self { wire: Wire::Plain(stream), early: Vec::new(), after_cr: false }
    }
}

impl From<Box<TlsStream<TcpStream>>> for Stream {
    fn from(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self { wire: Wire::Tls(stream), early: Vec::new(), after_cr: false }
    }
}

impl Stream {
    /// The same behind its first line: `early` was read with it.
    pub(super) fn behind_a_line(mut self, early: Vec<u8>, after_cr: bool) -> Self {
        self.early = early;
        self.after_cr = after_cr;
        self
    }

    /// The socket, for its options and addresses.
    pub(super) fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Waits for bytes; 0 at the end. Nothing is lost when this is dropped half way.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = match self.take_early(buffer) {
                0 => match &mut self.wire {
                    Wire::Plain(stream) => stream.read(buffer).await?,
                    Wire::Tls(stream) => stream.read(buffer).await?,
                },
                length => length,
            };
            match self.without_line_feed(buffer, length) {
                0 if length > 0 => {}
                length => return Ok(length),
            }
        }
    }

    /// Takes bytes that are there already; none at the end, too.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let length = match self.take_early(buffer) {
                0 => match &mut self.wire {
                    Wire::Plain(stream) => stream.try_read(buffer).ok()?,
                    // Without the runtime's fairness, which may say "not yet" although bytes are there.
                    Wire::Tls(stream) => tokio::task::unconstrained(stream.read(buffer)).now_or_never()?.ok()?,
                },
                length => length,
            };
            match self.without_line_feed(buffer, length) {
                0 if length > 0 => {}
                0 => return None,
                length => return Some(length),
            }
        }
    }

    /// Whether something came on it that was not read yet. Under TLS that may be its goodbye alone.
    pub(super) fn has_something(&mut self) -> bool {
        let is_decrypted = match &mut self.wire {
            Wire::Plain(_) => false,
            Wire::Tls(stream) => {
                let state = stream.get_mut().1.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
            }
        };
        // The kernel is asked: the runtime may not have heard yet of what came just now.
        let peeked = || SockRef::from(self.socket()).peek(&mut [MaybeUninit::uninit()]);
        is_decrypted || !self.early.is_empty() || peeked().is_ok_and(|length| length > 0)
    }

    fn take_early(&mut self, buffer: &mut [u8]) -> usize {
        let length = self.early.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.early.drain(..length)) {
            *to = from;
        }
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        length
    }

    /// How much is left of what was read, without a LF that ends the first line.
    fn without_line_feed(&mut self, buffer: &mut [u8], length: usize) -> usize {
        if length == 0 || !std::mem::take(&mut self.after_cr) || buffer.first() != Some(&b'\n') {
            return length;
        }
        buffer.copy_within(1..length, 0);
        length - 1
    }

    /// Sends everything.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes).await,
            Wire::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Says that nothing more is sent.
    pub(super) async fn close(&mut self) {
        // Whoever is gone already needs no word.
        let _ = match &mut self.wire {
            Wire::Plain(stream) => stream.shutdown().await,
            Wire::Tls(stream) => stream.shutdown().await,
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0.into(), far)
    }

    #[tokio::test]
    async fn what_came_early_is_read_first_and_a_line_feed_belongs_to_the_line_before() {
        for (early, after_cr, late, expected) in [
            ("47", false, "11\n", "4711\n"),
            ("\n47", true, "11\n", "4711\n"),
            ("\n", true, "\n4711", "\n4711"),
            ("", true, "\n4711", "4711"),
            ("", true, "4711\n", "4711\n"),
            ("", false, "\n4711", "\n4711"),
        ] {
            let (near, mut far) = pair().await;
            let mut near = near.behind_a_line(early.into(), after_cr);
            far.write_all(late.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
            let (mut read, mut buffer) = (Vec::new(), [0; 3]);
            loop {
                match near.read(&mut buffer).await.unwrap() {
                    0 => break,
                    length => read.extend_from_slice(&buffer[..length]),
                }
            }
            assert_eq!(String::from_utf8(read).unwrap(), expected);
            assert_eq!(near.read_now(&mut buffer), None);
        }
    }
}
