//! One connection with a reader, from `connected` to its end: what happens becomes inputs, what the driver answers is
//! carried out.

use std::{io, time::Duration};

use cardinal_domain::{
    bounds::size,
    driver::{Fault, Input, Millis, Output},
};
use cardinal_runtime::SessionError;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Order, clock::Due, going_on::Step, hands::Hands, listen::Place, stream::Stream};

/// What one read counts for at least, in bytes: each is a call of the driver.
pub(super) const LEAST_READ: u64 = 64;
/// How long saying goodbye may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection, or a session over HTTP, ended.
pub(super) enum End {
    /// The reader closed it, or the network did.
    Gone(Fault),
    /// A newer connection of the same terminal waits in its place.
    Replaced,
    /// The host or the configuration wants it closed.
    Stopped,
    /// The driver asked for it.
    Closed(Fault),
    /// The driver's session is over: a trap, a bound, a fault.
    Driver(SessionError),
}

pub(super) struct Connection<'t> {
    pub(super) hands: Hands<'t>,
}

impl Connection<'_> {
    /// Runs the connection to its end. Every card that was read has been decided about when this returns.
    pub(super) async fn run(
        mut self,
        mut stream: Stream,
        place: Option<&Place>,
        orders: &mut mpsc::Receiver<Box<Order>>,
        stop: &CancellationToken,
    ) -> End {
        // What was meant for an earlier connection is none of this one's business.
        while orders.try_recv().is_ok() {}
        let mut buffer = vec![0; size(self.hands.session.bounds().input_bytes).max(1)];
        let mut step = Some(Hands::connected());
        let end = 'session: loop {
            while let Some(next) = step.take().or_else(|| self.hands.pending()) {
                if let Err(end) = self.step(next, Some(&mut stream)).await {
                    break 'session end;
                }
            }
            let pressure = self.hands.pressure().await;
            let hands = &mut self.hands;
            let due = [hands.clock.next(), pressure.paced, hands.flood.over_at(), hands.sleeps_at()];
            let due = due.into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                () = called_again(place) => break End::Replaced,
                Some(decided) = hands.taps.next() => step = Some(Step::Input(Input::Verdict(decided.verdict))),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    match hands.clock.take_due() {
                        Some(Due::Timer(id)) => step = Some(Step::Input(Input::Timer(id))),
                        Some(Due::Keepalive(bytes)) => {
                            if let Err(end) = self.send(&mut stream, &bytes).await {
                                break end;
                            }
                        }
                        None => step = Some(Step::Doze),
                    }
                }
                Some(order) = orders.recv() => step = Some(Step::ordered(*order)),
                received = stream.read(&mut buffer), if pressure.is_none() => match received {
                    Ok(0) => break End::Gone(Fault::new("closed", "the reader closed the connection")),
                    Ok(length) => {
                        hands.bytes.take(u64::try_from(length).unwrap_or(u64::MAX).max(LEAST_READ));
                        hands.status.seen();
                        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                        step = Some(Step::Input(Input::Received(bytes)));
                    }
                    Err(error) => break End::Gone(Fault::new("lost", lost(&error))),
                },
            }
        };
        Box::pin(self.finish(end, &mut buffer, &mut stream)).await
    }

    async fn input(&mut self, input: Input, write: Option<&mut Stream>) -> Result<(), End> {
        self.step(Step::Input(input), write).await
    }

    /// Takes one step and carries out what the driver answers.
    async fn step(&mut self, step: Step, mut write: Option<&mut Stream>) -> Result<(), End> {
        let (now, outputs) = self.hands.step(step).await?;
        let mut carried_out = Ok(());
        for output in outputs {
            match Box::pin(self.carry_out(now, output, write.as_deref_mut())).await {
                // A card counts although the reader went away before it could be answered.
                Err(gone @ End::Gone(_)) => (carried_out, write) = (Err(gone), None),
                other => other?,
            }
        }
        carried_out
    }

    async fn carry_out(&mut self, now: Millis, output: Output, write: Option<&mut Stream>) -> Result<(), End> {
        match self.hands.carry_out(now, output).await? {
            Some(Output::Send(bytes)) => {
                if let Some(write) = write {
                    self.send(write, &bytes).await?;
                }
            }
            Some(Output::Keepalive(keepalive)) => self.hands.clock.keep_alive(keepalive),
            // The runtime refuses what is left outside HTTP modes.
            _ => {}
        }
        Ok(())
    }

    /// A reader that takes nothing for as long as a dead one would is taken for dead.
    async fn send(&mut self, stream: &mut Stream, bytes: &[u8]) -> Result<(), End> {
        let patience = Duration::from_millis(self.hands.spec.link.dead_after_ms);
        let gone = |why: String| End::Gone(Fault::new("lost", why));
        match tokio::time::timeout(patience, stream.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(gone(lost(&error))),
            Err(_) => Err(gone(format!("the reader took nothing for {patience:?}"))),
        }
    }

    /// Takes what had arrived, decides about every card, tells the driver that it is over, and lets go of the connection.
    async fn finish(mut self, mut end: End, buffer: &mut [u8], stream: &mut Stream) -> End {
        // Nothing more comes: what there is may be decided about as fast as it can be.
        self.hands.taps.hurry();
        let over = matches!(end, End::Closed(_) | End::Driver(_));
        // Whoever only stopped talking may still listen, and an orderly end leaves time to tell the person.
        let listens = !over && !matches!(&end, End::Gone(fault) if fault.code == "lost");
        if !over && let Err(other) = self.take_the_rest(buffer, stream, listens).await {
            end = worse(end, other);
        } else if listens {
            while let Some(decided) = self.hands.taps.next().await {
                if let Err(other) = self.input(Input::Verdict(decided.verdict), Some(&mut *stream)).await {
                    end = worse(end, other);
                    break;
                }
            }
        }
        let farewell = match &end {
            End::Gone(fault) => Some(fault.clone()),
            End::Replaced => Some(Fault::new("replaced", "the terminal made a newer connection")),
            End::Stopped => Some(Fault::new("shutdown", "the host closes the connection")),
            End::Closed(_) | End::Driver(_) => None,
        };
        if let Some(fault) = farewell
            && let Err(failed @ End::Driver(_)) = self.input(Input::Disconnected(fault), None).await
        {
            end = worse(end, failed);
        }
        // Closed before the rest is waited for, so that the reader can call again.
        let _ = tokio::time::timeout(FAREWELL, stream.close()).await;
        self.hands.forsake().await;
        end
    }

    /// Gives the driver the bytes that had arrived before the end, and tells the reader what comes of them if it listens.
    async fn take_the_rest(&mut self, buffer: &mut [u8], stream: &mut Stream, listens: bool) -> Result<(), End> {
        let limits = &self.hands.services.config.sessions;
        let (most_waiting, most) = (size(limits.cards_waiting), size(limits.rest_bytes));
        let mut taken = 0;
        while taken < most {
            if self.hands.taps.len() >= most_waiting {
                let Some(decided) = self.hands.taps.next().await else { continue };
                self.input(Input::Verdict(decided.verdict), listens.then_some(&mut *stream)).await?;
                continue;
            }
            // None: nothing more, or an error that the end already tells of.
            let Some(length) = stream.read_now(buffer) else { break };
            taken += length;
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            self.input(Input::Received(bytes), listens.then_some(&mut *stream)).await?;
        }
        Ok(())
    }
}

/// Why a connection was lost, in words.
fn lost(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // Many small devices do. It is no orderly end: anybody on the way can cut a connection there.
        return "the reader hung up without TLS's goodbye (close_notify)".to_owned();
    }
    format!("the connection was lost: {error}")
}

/// Of two reasons the one that says more: a driver that failed while the end was on its way.
pub(super) fn worse(end: End, other: End) -> End {
    match (&end, &other) {
        (End::Stopped | End::Replaced, End::Gone(_)) => end,
        _ => other,
    }
}

/// Waits for a newer connection of the terminal; never for a reader that is dialled.
async fn called_again(place: Option<&Place>) {
    match place {
        Some(place) => place.called().await,
        None => std::future::pending().await,
    }
}
