//! One session with a reader over HTTP, from `connected` to its end: the reader's calls, the driver's fetches and the
//! answers to both. There is no connection to lose: it ends when its driver does, or when it is stopped.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    bounds::size,
    driver::{Call, Fault, Fetch, Id, Input, Millis, Output, Response},
    event::{EventBody, EventKind, Level},
};
use cardinal_runtime::SessionError;
use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Order,
    clock::Due,
    connection::{End, FAREWELL, LEAST_READ, worse},
    going_on::Step,
    hands::Hands,
    open_calls::OpenCalls,
};
use crate::{
    calls::{Calling, Place},
    fetch::Target,
    readers::Http,
};

/// The least time between the beginnings of two fetches. A driver that fetches again as soon as one has ended would take the
/// time of others.
const BETWEEN_FETCHES: Duration = Duration::from_millis(10);

pub(super) struct HttpSession<'t> {
    hands: Hands<'t>,
    target: Target,
    way: Http,
    calls: OpenCalls,
    fetches: JoinSet<(Id, Result<Response, Fault>)>,
    /// When the next one may begin.
    next_fetch: Instant,
    /// Whether it was told that the driver sends bytes, which go nowhere.
    told_sending: bool,
}

impl<'t> HttpSession<'t> {
    pub(super) fn new(hands: Hands<'t>, way: Http) -> Self {
        let patience = Duration::from_millis(hands.services.config.sessions.call_answer_ms);
        let body_bytes = hands.session.bounds().http_body_bytes;
        let target = Target { host: way.host.clone(), certificate: way.certificate, body_bytes };
        let (calls, fetches) = (OpenCalls::new(patience), JoinSet::new());
        Self { hands, target, way, calls, fetches, next_fetch: Instant::now(), told_sending: false }
    }

    /// Runs the session to its end. Every card that was read has been decided about when this returns.
    pub(super) async fn run(
        mut self,
        mut place: Place,
        orders: &mut mpsc::Receiver<Box<Order>>,
        stop: &CancellationToken,
    ) -> End {
        // What was meant for an earlier session is none of this one's business.
        while orders.try_recv().is_ok() {}
        let mut step = Some(Hands::connected());
        let end = 'session: loop {
            while let Some(next) = step.take().or_else(|| self.hands.pending()) {
                if let Err(end) = self.step(next).await {
                    break 'session end;
                }
            }
            let pressure = self.hands.pressure().await;
            let takes = pressure.is_none() && self.has_room();
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                next = self.next(pressure.paced) => match next {
                    Ok(next) => step = next,
                    Err(end) => break end,
                },
                Some(order) = orders.recv() => step = Some(Step::ordered(*order)),
                calling = place.next(), if takes => step = self.called(calling).map(Step::Input),
            }
        };
        Box::pin(self.finish(end, place)).await
    }

    fn has_room(&self) -> bool {
        self.hands.session.accounts().open_calls() < size(self.hands.session.bounds().open_calls)
    }

    /// What happens next but for the reader's calls, until then at most; none: nothing for the driver. Nothing is lost when
    /// this is dropped half way.
    async fn next(&mut self, until: Option<Instant>) -> Result<Option<Step>, End> {
        let hands = &mut self.hands;
        let due = [hands.clock.next(), self.calls.due(), hands.flood.over_at(), hands.sleeps_at(), until];
        let due = due.into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(decided) = hands.taps.next() => Ok(Some(Step::Input(Input::Verdict(decided.verdict)))),
            Some(ended) = self.fetches.join_next() => self.fetched(ended).map(|input| Some(Step::Input(input))),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(id) = self.calls.take_overdue() {
                    return Ok(Some(Step::Input(Input::CallEnded(id))));
                }
                match hands.clock.take_due() {
                    Some(Due::Timer(id)) => Ok(Some(Step::Input(Input::Timer(id)))),
                    Some(Due::Keepalive(_)) => Ok(None),
                    None => Ok(Some(Step::Doze)),
                }
            }
            else => std::future::pending().await,
        }
    }

    fn fetched(&mut self, ended: Result<(Id, Result<Response, Fault>), JoinError>) -> Result<Input, End> {
        let (id, outcome) = ended.map_err(|_| {
            let detail = "a fetch was lost; the host's log says why".to_owned();
            End::Driver(SessionError::Host { export: "handle", detail })
        })?;
        if outcome.is_ok() {
            self.hands.status.seen();
        }
        Ok(Input::Fetched(id, outcome))
    }

    /// What the driver is told of a call; none: the host answers it by itself.
    fn called(&mut self, calling: Calling) -> Option<Input> {
        let Calling { method, path, query, headers, body, answer, until, .. } = calling;
        // Its reader was told 504: it shows the card again, or has given up.
        if until <= Instant::now() {
            return None;
        }
        self.hands.status.seen();
        let pairs = query.iter().chain(&headers).map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let weight = u64::try_from(path.len() + pairs + body.len()).unwrap_or(u64::MAX);
        self.hands.bytes.take(weight.max(LEAST_READ));
        if body.len() > size(self.target.body_bytes) {
            let _ = answer.send(Response { status: 413, headers: Vec::new(), body: Vec::new() });
            return None;
        }
        let id = self.calls.add(answer, until);
        Some(Input::Called(Call { id, method, path, query, headers, body }))
    }

    async fn input(&mut self, input: Input) -> Result<(), End> {
        self.step(Step::Input(input)).await
    }

    /// Takes one step and carries out what the driver answers.
    async fn step(&mut self, step: Step) -> Result<(), End> {
        let (now, outputs) = self.hands.step(step).await?;
        for output in outputs {
            Box::pin(self.carry_out(now, output)).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, now: Millis, output: Output) -> Result<(), End> {
        match self.hands.carry_out(now, output).await? {
            Some(Output::Fetch(fetch)) => self.fetch(fetch)?,
            Some(Output::Answer(id, response)) => self.calls.answer(id, response),
            Some(Output::Send(_) | Output::Keepalive(Some(_))) if !self.told_sending => {
                self.told_sending = true;
                let name = &self.hands.spec.name;
                let message =
                    format!("the driver of {name} sends bytes, but over HTTP there is no connection for them");
                let event = EventBody::new(self.hands.trace, EventKind::ReaderLog, message).level(Level::Warning);
                self.hands.tell(event).await;
            }
            _ => {}
        }
        Ok(())
    }

    fn fetch(&mut self, fetch: Fetch) -> Result<(), End> {
        let broken = |detail: String| End::Driver(SessionError::Contract { export: "handle", detail });
        let port = self.way.port(fetch.port).ok_or_else(|| match fetch.port {
            Some(port) => broken(format!("asked for a fetch on port {port}, which its mode does not name")),
            None => broken("asked for a fetch, but its mode names no port".to_owned()),
        })?;
        let (fetcher, target) = (Arc::clone(&self.hands.services.fetcher), self.target.clone());
        let now = Instant::now();
        let begins = self.next_fetch.max(now);
        self.next_fetch = begins + BETWEEN_FETCHES;
        self.fetches.spawn(async move {
            if begins > now {
                tokio::time::sleep_until(begins).await;
            }
            (fetch.id, fetcher.fetch(&target, port, fetch).await)
        });
        Ok(())
    }

    /// Decides about every card, gives the calls that are open their answers, and tells the driver that it is over.
    async fn finish(mut self, mut end: End, mut place: Place) -> End {
        // Nothing more comes: what there is may be decided about as fast as it can be.
        self.hands.taps.hurry();
        if matches!(end, End::Stopped)
            && let Err(other) = self.wind_up(&mut place).await
        {
            end = worse(end, other);
        }
        if matches!(end, End::Stopped) {
            let fault = Fault::new("shutdown", "the host ends the session");
            if let Err(failed @ End::Driver(_)) = self.input(Input::Disconnected(fault)).await {
                end = worse(end, failed);
            }
        }
        // What is still open is answered 503, and fetches are broken off, before the rest is waited for.
        let Self { mut hands, calls, fetches, .. } = self;
        drop((calls, fetches, place));
        hands.forsake().await;
        end
    }

    /// Takes the calls that had come, and waits until every card is decided about and every call is answered; for answers
    /// that no verdict brings only as long as a farewell may take.
    async fn wind_up(&mut self, place: &mut Place) -> Result<(), End> {
        let until = Instant::now() + FAREWELL;
        let mut most = self.hands.session.bounds().open_calls;
        loop {
            while most > 0
                && self.has_room()
                && let Some(calling) = place.next().now_or_never()
            {
                most -= 1;
                if let Some(input) = self.called(calling) {
                    self.input(input).await?;
                }
            }
            let has_cards = self.hands.taps.len() > 0;
            if !has_cards && (self.calls.is_empty() || Instant::now() >= until) {
                return Ok(());
            }
            let until = (!has_cards).then_some(until);
            if let Some(step) = self.next(until).await? {
                self.step(step).await?;
            }
        }
    }
}
