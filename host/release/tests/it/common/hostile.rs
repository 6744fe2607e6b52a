//! A printer that breaks HTTP or IPP itself, below what a web server would let through.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What it does with every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Takes it and closes it at once.
    Drops,
    /// Answers bytes that are no IPP.
    Rubbish,
    /// Answers bytes that never end.
    EndlessBody,
    /// Answers a header that never ends.
    EndlessHeader,
    /// Announces more than it sends.
    LyingLength,
    /// An attribute whose length points far behind the end.
    LyingAttribute,
    /// A sound answer of 10 MB.
    TenMegabytes,
    /// Sends us elsewhere.
    Redirects(SocketAddr),
    /// Reads a little, then is gone.
    DiesEarly,
    /// Takes the connection and nothing more.
    ReadsNothing,
    /// Reads a little of the document, then no more.
    StopsReading,
    /// Reads everything and never answers.
    NeverAnswers,
}

pub(crate) struct Hostile {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicU32>,
    documents: Arc<AtomicU32>,
}

impl Hostile {
    /// Does it with every connection.
    pub(crate) async fn start(does: Does) -> Self {
        Self::start_with(does, true).await
    }

    /// Does it with jobs only; questions are answered with 404.
    pub(crate) async fn with_jobs(does: Does) -> Self {
        Self::start_with(does, false).await
    }

    async fn start_with(does: Does, always: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let documents = Arc::new(AtomicU32::new(0));
        let (counted, jobs) = (Arc::clone(&connections), Arc::clone(&documents));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let jobs = Arc::clone(&jobs);
                tokio::spawn(async move {
                    let _ = serve(stream, does, always, &jobs).await;
                });
            }
        });
        Self { address, connections, documents }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ipp://{}/ipp/print", self.address)
    }

    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many Print-Jobs came.
    pub(crate) fn documents(&self) -> u32 {
        self.documents.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, does: Does, always: bool, jobs: &AtomicU32) -> std::io::Result<()> {
    if always && does == Does::Drops {
        return Ok(());
    }
    if always && does == Does::ReadsNothing {
        return forever().await;
    }
    // The header; a document comes in chunks, a question with its length.
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.push(stream.read_u8().await?);
    }
    let header = String::from_utf8_lossy(&header).to_lowercase();
    let is_job = header.contains("transfer-encoding: chunked");
    jobs.fetch_add(u32::from(is_job), Ordering::SeqCst);
    if !is_job {
        let length = header.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await?;
        if !always {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    }
    match does {
        Does::Drops => return Ok(()),
        Does::ReadsNothing => return forever().await,
        Does::StopsReading | Does::DiesEarly => {
            let mut some = [0; 4096];
            stream.read_exact(&mut some).await?;
            if does == Does::StopsReading {
                forever().await?;
            }
            return Ok(());
        }
        _ => {}
    }
    let (mut read, mut write) = stream.into_split();
    // To its end: what is sent back before that could be lost with a reset connection.
    if is_job {
        let mut tail = Vec::new();
        let mut piece = vec![0; 1 << 16];
        while !tail.ends_with(b"0\r\n\r\n") {
            let count = read.read(&mut piece).await?;
            if count == 0 {
                return Ok(());
            }
            tail.extend_from_slice(&piece[..count]);
            tail.drain(..tail.len().saturating_sub(5));
        }
    }
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/ipp\r\n";
    match does {
        Does::Rubbish => write.write_all(format!("{ok}content-length: 7\r\n\r\nrubbish").as_bytes()).await?,
        Does::EndlessBody => {
            write.write_all(format!("{ok}\r\n").as_bytes()).await?;
            // An IPP header, and an attribute that goes on with others like it.
            write.write_all(&[1, 1, 0, 0, 0, 0, 0, 1, 4]).await?;
            loop {
                write.write_all(&text_attribute(60_000)).await?;
            }
        }
        Does::EndlessHeader => {
            write.write_all(ok.as_bytes()).await?;
            loop {
                write.write_all(b"x-more: and more and more and more\r\n").await?;
            }
        }
        Does::LyingLength => write.write_all(format!("{ok}content-length: 100000\r\n\r\n\x01\x01").as_bytes()).await?,
        Does::LyingAttribute => {
            let body = [&[1, 1, 0, 0, 0, 0, 0, 1, 4, 0x41, 0, 1][..], b"a", &[0xff, 0xff], b"short", &[3]].concat();
            write.write_all(format!("{ok}content-length: {}\r\n\r\n", body.len()).as_bytes()).await?;
            write.write_all(&body).await?;
        }
        Does::TenMegabytes => {
            let attributes = text_attribute(60_000).repeat(175);
            let body = [&[1, 1, 0, 0, 0, 0, 0, 1, 4][..], &attributes, &[3]].concat();
            assert!(body.len() > 10_000_000);
            write.write_all(format!("{ok}content-length: {}\r\n\r\n", body.len()).as_bytes()).await?;
            write.write_all(&body).await?;
        }
        Does::Redirects(to) => {
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{to}/ipp/print\r\ncontent-length: 0\r\n\r\n"
            );
            write.write_all(answer.as_bytes()).await?;
        }
        _ => forever().await?,
    }
    Ok(())
}

async fn forever() -> std::io::Result<()> {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    Ok(())
}

fn text_attribute(length: u16) -> Vec<u8> {
    [&[0x41, 0, 1][..], b"a", &length.to_be_bytes(), &vec![b'x'; usize::from(length)]].concat()
}
