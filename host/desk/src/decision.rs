//! The decision about a card, as a state machine without I/O.
//!
//! ```text
//! tap ─▶ convert ─▶ find user ─▶ list held jobs ─▶ commit (events, jobs) ─▶ verdict
//! ```
//! Each step asks for one effect and takes its result as the next input. Whatever happens, the last effect is a commit, so
//! that no card goes by without a stored event.

use cardinal_domain::{
    card::{CardNumber, mask},
    convert::Conversion,
    driver::{Bits, CardRead, VerdictCode},
    event::{EventBody, EventKind},
    job::Job,
    names::{JobId, PrinterName, ReaderName, TraceId, UserName},
    site::{Device, OnCard},
};

/// What the decision needs done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Look up whose card this is.
    FindUser(CardNumber),
    /// Look up what waits for this user.
    ListHeld(UserName),
    /// Move these jobs to `releasing` for this printer and store the events of [`Tap::conclude`], all at once.
    Commit { jobs: Vec<JobId>, printer: PrinterName },
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Whose card it is.
    User(Option<UserName>),
    /// What waits for the user, in the order of release.
    Held(Vec<Job>),
}

/// A card on its way through the desk.
#[derive(Debug)]
pub(crate) struct Tap {
    trace: TraceId,
    reader: ReaderName,
    device: Device,
    user: Option<UserName>,
    /// How many jobs wait that this device may not print.
    elsewhere: usize,
    /// The verdict if no job is released.
    otherwise: VerdictCode,
    events: Vec<EventBody>,
}

impl Tap {
    /// A card was shown.
    pub(crate) fn begin(
        trace: TraceId,
        reader: &ReaderName,
        device: &Device,
        conversion: &Conversion,
        read: &CardRead,
    ) -> (Self, Effect) {
        let mut tap = Self {
            trace,
            reader: reader.clone(),
            device: device.clone(),
            user: None,
            elsewhere: 0,
            otherwise: VerdictCode::Failed,
            events: Vec::new(),
        };
        let said = read.number.clone().or_else(|| read.bits.as_ref().map(hex)).unwrap_or_default();
        let mut event = tap.event(EventKind::CardRead, format!("card {} was shown at {reader}", mask(&said)));
        if let Some(technology) = &read.technology {
            event = event.fact("technology", technology.clone());
        }
        tap.events.push(event);
        let effect = match conversion.convert(&said) {
            Ok(card) => Effect::FindUser(card),
            Err(why) => {
                tap.otherwise = VerdictCode::UnknownCard;
                let event =
                    tap.event(EventKind::CardUnreadable, format!("what {reader} sent is no card number: {why}"));
                tap.events.push(event);
                tap.commit(Vec::new())
            }
        };
        if let Effect::FindUser(card) = &effect {
            let masked = card.masked();
            if let Some(event) = tap.events.last_mut() {
                event.facts.insert("card".to_owned(), masked);
            }
        }
        (tap, effect)
    }

    /// An effect was carried out.
    pub(crate) fn next(&mut self, input: Input) -> Effect {
        match input {
            Input::User(None) => {
                self.otherwise = VerdictCode::UnknownCard;
                let masked = self.events.last().and_then(|event| event.facts.get("card")).cloned().unwrap_or_default();
                let event = self.event(
                    EventKind::CardUnknown,
                    format!("no user has card {masked}; give it to somebody with `cardinal user set NAME card=…`"),
                );
                self.events.push(event.fact("card", masked));
                self.commit(Vec::new())
            }
            Input::User(Some(user)) => {
                self.otherwise = VerdictCode::NothingHeld;
                self.user = Some(user.clone());
                let event = self.event(EventKind::CardMatched, format!("the card belongs to {user}"));
                self.events.push(event);
                match self.device.on_card {
                    OnCard::ReleaseAll => Effect::ListHeld(user),
                }
            }
            Input::Held(jobs) => {
                let (here, elsewhere): (Vec<Job>, Vec<Job>) =
                    jobs.into_iter().partition(|job| self.device.may_print(&job.queue));
                self.elsewhere = elsewhere.len();
                self.commit(here.into_iter().map(|job| job.id).collect())
            }
        }
    }

    /// The verdict and the events, once it is known which jobs were really moved: somebody may have been faster.
    pub(crate) fn conclude(&mut self, released: &[Job]) -> (VerdictCode, String, Vec<EventBody>) {
        let code = if released.is_empty() { self.otherwise } else { VerdictCode::Released };
        let message = match (code, released.len(), self.elsewhere) {
            (VerdictCode::Released, 1, _) => "1 job released".to_owned(),
            (VerdictCode::Released, count, _) => format!("{count} jobs released"),
            (VerdictCode::NothingHeld, _, 0) => "nothing waiting".to_owned(),
            (VerdictCode::NothingHeld, _, _) => "your jobs cannot be printed here".to_owned(),
            (VerdictCode::UnknownCard, ..) => "unknown card".to_owned(),
            _ => String::new(),
        };
        let told = match &self.user {
            Some(user) => format!("{user} at {}: {code} ({message})", self.device.name),
            None => format!("{} said {code}", self.device.name),
        };
        let event = self.event(EventKind::VerdictGiven, told).fact("verdict", code.as_str());
        let mut events = std::mem::take(&mut self.events);
        events.push(event);
        (code, message, events)
    }

    fn commit(&self, jobs: Vec<JobId>) -> Effect {
        Effect::Commit { jobs, printer: self.device.printer.clone() }
    }

    fn event(&self, kind: EventKind, message: String) -> EventBody {
        let mut event = EventBody::new(self.trace, kind, message).reader(&self.reader).device(&self.device.name);
        event.user.clone_from(&self.user);
        event
    }
}

/// Raw bits as hexadecimal digits: the number of a reader that says no text.
fn hex(bits: &Bits) -> String {
    bits.data.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cardinal_domain::{
        job::{JobState, NewJob},
        names::{DeviceName, QueueName},
    };

    use super::*;

    fn device(queues: &[&str]) -> Device {
        Device {
            name: DeviceName::new("floor-2").unwrap(),
            printer: PrinterName::new("east").unwrap(),
            on_card: OnCard::ReleaseAll,
            queues: queues.iter().map(|queue| QueueName::new(queue).unwrap()).collect(),
            card_no_regex: None,
            card_no_converter: None,
        }
    }

    fn job(queue: &str) -> Job {
        let new = NewJob {
            queue: QueueName::new(queue).unwrap(),
            owner: "ada".to_owned(),
            signed_in: None,
            name: String::new(),
            format: String::new(),
            options: BTreeMap::new(),
        };
        Job { state: JobState::Held, ..new.announced(1, Some(ada())) }
    }

    fn ada() -> UserName {
        UserName::new("ada").unwrap()
    }

    fn begin(device: &Device, said: &str) -> (Tap, Effect) {
        let read = CardRead {
            swipe: 1,
            number: Some(said.to_owned()),
            bits: None,
            technology: None,
            port: 0,
            facts: Vec::new(),
        };
        Tap::begin(TraceId::new(), &ReaderName::new("r").unwrap(), device, &Conversion::default(), &read)
    }

    fn kinds(events: &[EventBody]) -> Vec<&'static str> {
        events.iter().map(|event| event.kind.name()).collect()
    }

    #[test]
    fn a_known_card_releases_what_this_device_may_print() {
        let (mut tap, effect) = begin(&device(&["a"]), "471155=8");
        assert_eq!(effect, Effect::FindUser(CardNumber::new("471155").unwrap()));
        assert_eq!(tap.next(Input::User(Some(ada()))), Effect::ListHeld(ada()));
        let (here, elsewhere) = (job("a"), job("b"));
        let effect = tap.next(Input::Held(vec![here.clone(), elsewhere]));
        assert_eq!(effect, Effect::Commit { jobs: vec![here.id], printer: PrinterName::new("east").unwrap() });
        let (code, message, events) = tap.conclude(&[here]);
        assert_eq!((code, message.as_str()), (VerdictCode::Released, "1 job released"));
        assert_eq!(kinds(&events), ["card.read", "card.matched", "verdict.given"]);
        assert!(events.iter().all(|event| !event.message.contains("471155")), "no card number in clear");
    }

    #[test]
    fn every_other_end_has_its_verdict_and_its_events() {
        let ends = |said: &str, inputs: Vec<Input>, queues: &[&str]| {
            let (mut tap, _) = begin(&device(queues), said);
            for input in inputs {
                tap.next(input);
            }
            let (code, message, events) = tap.conclude(&[]);
            (code, message, kinds(&events).join(" "))
        };
        assert_eq!(
            ends("471155", vec![Input::User(None)], &[]),
            (VerdictCode::UnknownCard, "unknown card".to_owned(), "card.read card.unknown verdict.given".to_owned())
        );
        assert_eq!(
            ends("47-11", vec![], &[]),
            (VerdictCode::UnknownCard, "unknown card".to_owned(), "card.read card.unreadable verdict.given".to_owned())
        );
        let known = || Input::User(Some(ada()));
        assert_eq!(ends("471155", vec![known(), Input::Held(vec![])], &[]).1, "nothing waiting");
        // Held, but not for this device; or somebody was faster.
        assert_eq!(
            ends("471155", vec![known(), Input::Held(vec![job("b")])], &["a"]).1,
            "your jobs cannot be printed here"
        );
        assert_eq!(ends("471155", vec![known(), Input::Held(vec![job("a")])], &["a"]).0, VerdictCode::NothingHeld);
    }

    #[test]
    fn raw_bits_stand_in_for_a_number() {
        let bits = Bits { data: vec![0x94, 0x6e, 0xbd, 0x28], length: 32 };
        let read = CardRead { swipe: 1, number: None, bits: Some(bits), technology: None, port: 0, facts: Vec::new() };
        let reader = ReaderName::new("r").unwrap();
        let (_, effect) = Tap::begin(TraceId::new(), &reader, &device(&[]), &Conversion::default(), &read);
        assert_eq!(effect, Effect::FindUser(CardNumber::new("946EBD28").unwrap()));
    }
}
