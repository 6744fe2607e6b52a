//! JSON over TCP: the reader is the server and takes one host at a time (page TCP Server, JSON).

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{Clock, Command, Event, Record, Tag, WaitError, event, record};

/// The longest command that the reader takes, in bytes. Assumed.
const LONGEST: usize = 1024;

/// The bytes could not be sent: nobody is connected, or the connection ended meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no host is connected to this reader, so nothing was sent")
    }
}

impl std::error::Error for NotConnected {}

/// What the reader is to do.
enum Order {
    Send { event: Event, bytes: Vec<u8>, sent: oneshot::Sender<()> },
    Drop,
}

/// A running reader; dropping it closes its connection and its port.
#[derive(Debug)]
pub struct TcpReader {
    address: SocketAddr,
    clock: Clock,
    orders: mpsc::Sender<Order>,
    record: watch::Receiver<Record>,
    task: JoinHandle<()>,
}

impl TcpReader {
    /// Starts a reader that waits for a host at this address; port 0 takes a free one. Fails where the port is taken.
    pub async fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (orders, incoming) = mpsc::channel(1);
        let (recorder, record) = watch::channel(Record::default());
        let task = tokio::spawn(serve(listener, incoming, recorder));
        Ok(Self { address, clock: Clock::started(1), orders, record, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that happened so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// A view of the record that tells when something is added.
    pub fn watch(&self) -> watch::Receiver<Record> {
        self.record.clone()
    }

    /// Waits until the record is as wished, for `limit` at most, and gives it. The error shows what did happen.
    pub async fn wait_for(
        &self,
        limit: Duration,
        wish: impl FnMut(&Record) -> bool + Send,
    ) -> Result<Record, WaitError> {
        record::wait_for(self.watch(), limit, wish).await
    }

    /// Shows a card.
    pub async fn tap(&self, tag: &Tag) -> Result<(), NotConnected> {
        let event = event::card(None, tag, &self.clock.uptime());
        self.order(Event::Tapped(tag.id.clone()), event.into_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), NotConnected> {
        self.order(Event::Sent(bytes.len()), bytes.to_owned()).await
    }

    /// Closes the connection. The next host is served.
    pub async fn drop_connection(&self) {
        // Fails only when the task is gone, and the connection with it.
        let _ = self.orders.send(Order::Drop).await;
    }

    /// Loses power and comes back: the connection ends, the clock begins anew.
    pub async fn restart(&mut self) {
        self.clock.restart();
        self.drop_connection().await;
    }

    async fn order(&self, event: Event, bytes: Vec<u8>) -> Result<(), NotConnected> {
        let (sent, done) = oneshot::channel();
        self.orders.send(Order::Send { event, bytes, sent }).await.map_err(|_| NotConnected)?;
        // Dropped unanswered when nobody is connected, or the connection ends before the bytes have left.
        done.await.map_err(|_| NotConnected)
    }
}

impl Drop for TcpReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one host after the other, as long as the reader lives.
async fn serve(listener: TcpListener, mut orders: mpsc::Receiver<Order>, record: watch::Sender<Record>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            order = orders.recv() => match order {
                Some(_) => continue, // nobody hears it
                None => return,
            },
        };
        // A caller that is gone before it was accepted is none.
        let Ok((stream, host)) = accepted else { continue };
        record.send_modify(|record| {
            record.host = Some(host);
            record.events.push(Event::Connected(host));
        });
        let why = tokio::select! {
            why = connection(stream, &mut orders, &record) => why,
            never = turn_away(&listener, &record) => match never {},
        };
        record.send_modify(|record| {
            record.host = None;
            record.events.push(Event::Disconnected(why));
        });
    }
}

/// Closes every further connection, for ever: the reader takes one client at a time.
async fn turn_away(listener: &TcpListener, record: &watch::Sender<Record>) -> std::convert::Infallible {
    loop {
        if let Ok((_, other)) = listener.accept().await {
            record::note(record, Event::Refused(other));
        }
    }
}

/// Carries one connection to its end, and says what ended it.
async fn connection(
    mut stream: TcpStream,
    orders: &mut mpsc::Receiver<Order>,
    record: &watch::Sender<Record>,
) -> String {
    // An event is a few bytes that must leave at once; without the option it is only slower.
    let _ = stream.set_nodelay(true);
    let (mut read, mut write) = stream.split();
    let mut heard = Vec::new();
    let mut buffer = vec![0; 1024];
    loop {
        tokio::select! {
            came = read.read(&mut buffer) => match came {
                Ok(0) => return "by the host".to_owned(),
                Ok(count) => {
                    heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    obey(&mut heard, record);
                }
                Err(error) => return error.to_string(),
            },
            order = orders.recv() => match order {
                Some(Order::Send { event, bytes, sent }) => {
                    if let Err(error) = write.write_all(&bytes).await {
                        return error.to_string();
                    }
                    record::note(record, event);
                    // Whoever ordered may have stopped waiting.
                    let _ = sent.send(());
                }
                Some(Order::Drop) | None => return "dropped on purpose".to_owned(),
            },
        }
    }
}

/// Obeys the whole commands among these bytes, and leaves what is not whole yet.
fn obey(heard: &mut Vec<u8>, record: &watch::Sender<Record>) {
    let mut values = serde_json::Deserializer::from_slice(heard).into_iter::<serde_json::Value>();
    let mut done = 0;
    let mut is_broken = false;
    loop {
        match values.next() {
            Some(Ok(value)) => {
                done = values.byte_offset();
                record::note(
                    record,
                    match Command::parse(&value.to_string()) {
                        Ok(command) => Event::Command(command),
                        Err(why) => Event::NoCommand(why),
                    },
                );
            }
            Some(Err(error)) => {
                is_broken = !error.is_eof();
                break;
            }
            None => break,
        }
    }
    heard.drain(..done);
    if is_broken || heard.len() > LONGEST {
        record::note(record, Event::NoCommand(format!("{} bytes are no JSON", heard.len())));
        heard.clear();
    }
}
