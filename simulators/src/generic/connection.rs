//! A terminal's end of the wire: one task that keeps a connection up and carries bytes both ways.
//!
//! Reading and writing go on side by side, so that a server which does not read cannot keep the terminal from hearing
//! it. Owns the socket; knows nothing of cards.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot, watch};

use super::wire::Wire;
use super::{Command, Event, Record, Settings, commands};

/// Answers that wait for a writer that is busy; further ones are lost, as in a small device.
const ANSWERS: usize = 16;

/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes to be sent.
#[derive(Debug)]
pub(super) struct Order {
    /// Recorded when they have left.
    pub(super) event: Event,
    pub(super) bytes: Vec<u8>,
    /// Told when they have left; dropped when they could not.
    pub(super) sent: oneshot::Sender<()>,
}

/// What acts on the connection itself, at once and past any bytes still waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Control {
    /// How often the connection was to be closed.
    pub(super) drops: u64,
    /// How often it was to be torn down.
    pub(super) resets: u64,
    /// Whether to read and answer at all.
    pub(super) silent: bool,
}

/// How a connection came to its end.
enum End {
    Closed(String),
    DroppedByUs,
    ResetByUs,
}

/// The task's side of a terminal.
pub(super) struct Line {
    settings: Settings,
    orders: mpsc::Receiver<Order>,
    control: watch::Receiver<Control>,
    record: watch::Sender<Record>,
}

impl Line {
    pub(super) fn new(
        settings: Settings,
        orders: mpsc::Receiver<Order>,
        control: watch::Receiver<Control>,
        record: watch::Sender<Record>,
    ) -> Self {
        Self { settings, orders, control, record }
    }

    /// Serves one server after the other, as long as the terminal lives.
    pub(super) async fn listen(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = lose(&mut self.orders) => return,
            };
            // A caller that is gone before it was accepted is none.
            let Ok((stream, server)) = accepted else { continue };
            let record = self.record.clone();
            tokio::select! {
                () = self.serve(Wire::Plain(stream), server) => {}
                () = turn_away(&listener, &record) => {}
            }
        }
    }

    /// Calls the server, as long as the terminal lives.
    pub(super) async fn dial(mut self, server: SocketAddr) {
        loop {
            let connected = tokio::select! {
                connected = connect(server, &self.settings) => connected,
                () = lose(&mut self.orders) => return,
            };
            match connected {
                Ok(stream) => self.serve(stream, server).await,
                Err(error) => note(&self.record, Event::Unreachable(error.to_string())),
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.retry) => {}
                () = lose(&mut self.orders) => return,
            }
        }
    }

    /// Carries one connection from its beginning to its end.
    async fn serve(&mut self, mut stream: Wire, server: SocketAddr) {
        // A tap is a few bytes that must leave at once; without the option it is only slower.
        let _ = stream.socket().set_nodelay(true);
        let before = *self.control.borrow();
        self.record.send_modify(|record| {
            record.server = Some(server);
            record.events.push(Event::Connected(server));
        });
        let (answers, waiting) = mpsc::channel(ANSWERS);
        let (read, write) = tokio::io::split(&mut stream);
        let end = tokio::select! {
            end = reading(read, &answers, &self.settings.version, self.control.clone(), &self.record) => end,
            end = writing(write, &mut self.orders, waiting, &self.record) => end,
            end = ended_by_us(before, self.control.clone()) => end,
        };
        let why = match end {
            End::Closed(why) => why,
            End::DroppedByUs => {
                if let Wire::Tls(stream) = &mut stream {
                    // The goodbye of TLS; whoever does not take it must do without.
                    let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
                }
                "dropped on purpose".to_owned()
            }
            End::ResetByUs => {
                // Closing with no time to linger sends a reset; where that cannot be set, a close must do.
                let _ = stream.socket().set_zero_linger();
                "reset on purpose".to_owned()
            }
        };
        drop(stream);
        self.record.send_modify(|record| {
            record.server = None;
            record.events.push(Event::Disconnected(why));
        });
    }
}

/// Records what comes and obeys it, except while silent.
async fn reading(
    mut from: ReadHalf<&mut Wire>,
    answers: &mpsc::Sender<Vec<u8>>,
    version: &str,
    mut control: watch::Receiver<Control>,
    record: &watch::Sender<Record>,
) -> End {
    let mut buffer = vec![0; 4096];
    loop {
        let read = tokio::select! {
            biased;
            () = until(&mut control, |now| now.silent) => {
                until(&mut control, |now| !now.silent).await;
                continue;
            }
            read = from.read(&mut buffer) => read,
        };
        let bytes = match read {
            Ok(0) => return End::Closed("by the server".to_owned()),
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) => return End::Closed(error.to_string()),
        };
        let commands = commands::parse(bytes);
        record.send_modify(|record| {
            record.received.extend_from_slice(bytes);
            record.events.push(Event::Received(bytes.to_owned()));
            record.events.extend(commands.iter().copied().map(Event::Command));
        });
        for _ in commands.iter().filter(|command| **command == Command::Version) {
            let _ = answers.try_send(format!("{version}\r").into_bytes());
        }
    }
}

/// Waits for a state of the controls; for ever once the terminal is gone, which also ends this task.
async fn until(control: &mut watch::Receiver<Control>, wish: impl FnMut(&Control) -> bool) {
    if control.wait_for(wish).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Sends what was ordered, and answers in between.
async fn writing(
    mut to: WriteHalf<&mut Wire>,
    orders: &mut mpsc::Receiver<Order>,
    mut answers: mpsc::Receiver<Vec<u8>>,
    record: &watch::Sender<Record>,
) -> End {
    loop {
        let written = tokio::select! {
            Some(order) = orders.recv() => match send(&mut to, &order.bytes).await {
                Ok(()) => {
                    note(record, order.event);
                    // Whoever ordered may have stopped waiting.
                    let _ = order.sent.send(());
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Some(answer) = answers.recv() => send(&mut to, &answer).await,
            else => return End::DroppedByUs,
        };
        if let Err(error) = written {
            return End::Closed(error.to_string());
        }
    }
}

async fn send(to: &mut WriteHalf<&mut Wire>, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Ends when the connection is to be ended on purpose.
async fn ended_by_us(before: Control, mut control: watch::Receiver<Control>) -> End {
    until(&mut control, |now| now.drops > before.drops || now.resets > before.resets).await;
    if control.borrow().resets > before.resets { End::ResetByUs } else { End::DroppedByUs }
}

/// Closes every further connection, for ever: a terminal accepts one server only.
async fn turn_away(listener: &TcpListener, record: &watch::Sender<Record>) {
    loop {
        if let Ok((_, other)) = listener.accept().await {
            note(record, Event::Refused(other));
        }
    }
}

/// Drops orders while nobody is connected; ends with the terminal.
async fn lose(orders: &mut mpsc::Receiver<Order>) {
    while orders.recv().await.is_some() {}
}

async fn connect(server: SocketAddr, settings: &Settings) -> io::Result<Wire> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = settings.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(server).await?;
    let mut wire = Wire::over(stream, server, settings.tls.as_ref()).await?;
    if let Some(token) = &settings.token {
        wire.write_all(format!("{token}{}", settings.ending).as_bytes()).await?;
        wire.flush().await?;
    }
    Ok(wire)
}

fn note(record: &watch::Sender<Record>, event: Event) {
    record.send_modify(|record| record.events.push(event));
}
