//! The decision about a card, as a state machine without I/O.
//!
//! ```text
//! tap ─▶ convert ─▶ find whose card it is, and what waits ─▶ commit (events, jobs) ─▶ verdict
//! ```
//! Each step asks for one effect and takes what came of it. Whatever happens, the last effect is a commit, so
//! that no card goes by without a stored event.

use cardinal_domain::{
    card::{CardNumber, mask},
    convert::{ConvertError, Value},
    driver::{CardRead, VerdictCode},
    event::{EventBody, EventKind},
    job::Job,
    names::{GroupName, JobId, PrinterName, ReaderName, TraceId, UserName},
    site::{Device, OnCard},
};
use cardinal_store::Holder;

/// What the decision needs done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Look up whose card this is, and what waits for them.
    FindHolder(CardNumber),
    /// Look up whether the user is in one of these groups.
    FindMember(UserName, Vec<GroupName>),
    /// Move these jobs to `releasing` for this printer and store the events of [`Tap::conclude`], all at once.
    Commit { jobs: Vec<JobId>, printer: PrinterName },
}

/// A card on its way through the desk.
#[derive(Debug)]
pub(crate) struct Tap {
    trace: TraceId,
    reader: ReaderName,
    device: Device,
    /// The number, once there is one.
    card: Option<CardNumber>,
    /// Whether the event of an unknown card tells its number.
    show_unknown: bool,
    user: Option<UserName>,
    /// The user's held jobs, while it is asked whether the user may release here.
    held: Vec<Job>,
    /// How many jobs wait that this device may not print.
    elsewhere: usize,
    /// The verdict if no job is released.
    otherwise: VerdictCode,
    events: Vec<EventBody>,
}

impl Tap {
    /// A card was shown, and this is the number that the device's rules make of it.
    pub(crate) fn begin(
        trace: TraceId,
        reader: &ReaderName,
        device: &Device,
        read: &CardRead,
        card: Result<CardNumber, ConvertError>,
        show_unknown: bool,
    ) -> (Self, Effect) {
        let mut tap = Self {
            trace,
            reader: reader.clone(),
            device: device.clone(),
            card: None,
            show_unknown,
            user: None,
            held: Vec::new(),
            elsewhere: 0,
            otherwise: VerdictCode::Failed,
            events: Vec::new(),
        };
        let said = match (&read.number, &read.bits) {
            (Some(number), _) => mask(number),
            (None, Some(bits)) => mask(&Value::raw(bits).text()),
            (None, None) => mask(""),
        };
        let mut event = tap.event(EventKind::CardRead, format!("card {said} was shown at {reader}"));
        if let Some(technology) = &read.technology {
            event = event.fact("technology", technology.clone());
        }
        let effect = match card {
            Ok(card) => {
                tap.events.push(event.fact("card", card.masked()));
                tap.card = Some(card.clone());
                Effect::FindHolder(card)
            }
            Err(why) => {
                tap.events.push(event);
                tap.otherwise = VerdictCode::UnknownCard;
                let mut event =
                    tap.event(EventKind::CardUnreadable, format!("what {reader} sent is no card number: {why}"));
                if let ConvertError::Step(failed) = why {
                    event = event.fact("step", failed.step);
                }
                tap.events.push(event);
                tap.commit(Vec::new())
            }
        };
        (tap, effect)
    }

    /// It is known whose card it is, and what waits for them in the order of release.
    pub(crate) fn found(&mut self, holder: Option<Holder>) -> Effect {
        match holder {
            None => {
                self.otherwise = VerdictCode::UnknownCard;
                let masked = self.card.as_ref().map(CardNumber::masked).unwrap_or_default();
                let mut event = self
                    .event(
                        EventKind::CardUnknown,
                        format!("no user has card {masked}; give it to somebody with `cardinal user set NAME card=…`"),
                    )
                    .fact("card", masked);
                // A fact, because messages are logged.
                if let Some(card) = self.card.as_ref().filter(|_| self.show_unknown) {
                    event = event.fact("card_in_clear", card.reveal());
                }
                self.events.push(event);
                self.commit(Vec::new())
            }
            Some(Holder { user, held }) => {
                self.otherwise = VerdictCode::NothingHeld;
                self.user = Some(user.clone());
                let event = self.event(EventKind::CardMatched, format!("the card belongs to {user}"));
                self.events.push(event);
                self.held = held;
                if self.device.groups.is_empty() {
                    self.release()
                } else {
                    Effect::FindMember(user, self.device.groups.clone())
                }
            }
        }
    }

    /// It is known whether the user is in one of the device's groups.
    pub(crate) fn checked(&mut self, is_member: bool) -> Effect {
        if is_member {
            return self.release();
        }
        self.otherwise = VerdictCode::Denied;
        self.commit(Vec::new())
    }

    fn release(&mut self) -> Effect {
        let held = std::mem::take(&mut self.held);
        let (here, elsewhere): (Vec<Job>, Vec<Job>) = match self.device.on_card {
            OnCard::ReleaseAll => held.into_iter().partition(|job| self.device.may_print(&job.queue)),
        };
        self.elsewhere = elsewhere.len();
        self.commit(here.into_iter().map(|job| job.id).collect())
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
            (VerdictCode::Denied, ..) => "you may not print here".to_owned(),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cardinal_domain::{
        convert::Conversion,
        driver::Bits,
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
            groups: Vec::new(),
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

    /// It is Ada's card, and this waits for her.
    fn adas(held: Vec<Job>) -> Option<Holder> {
        Some(Holder { user: ada(), held })
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
        shown(device, &read, false)
    }

    fn shown(device: &Device, read: &CardRead, show_unknown: bool) -> (Tap, Effect) {
        let card = Conversion::default().convert(read.number.as_deref(), read.bits.as_ref());
        Tap::begin(TraceId::new(), &ReaderName::new("r").unwrap(), device, read, card, show_unknown)
    }

    fn kinds(events: &[EventBody]) -> Vec<&'static str> {
        events.iter().map(|event| event.kind.name()).collect()
    }

    #[test]
    fn a_known_card_releases_what_this_device_may_print() {
        let (mut tap, effect) = begin(&device(&["a"]), "471155=8");
        assert_eq!(effect, Effect::FindHolder(CardNumber::new("471155").unwrap()));
        let (here, elsewhere) = (job("a"), job("b"));
        let effect = tap.found(adas(vec![here.clone(), elsewhere]));
        assert_eq!(effect, Effect::Commit { jobs: vec![here.id], printer: PrinterName::new("east").unwrap() });
        let (code, message, events) = tap.conclude(&[here]);
        assert_eq!((code, message.as_str()), (VerdictCode::Released, "1 job released"));
        assert_eq!(kinds(&events), ["card.read", "card.matched", "verdict.given"]);
        assert!(events.iter().all(|event| !event.message.contains("471155")), "no card number in clear");
    }

    #[test]
    fn every_other_end_has_its_verdict_and_its_events() {
        let ends = |said: &str, found: Option<Option<Holder>>, queues: &[&str]| {
            let (mut tap, _) = begin(&device(queues), said);
            if let Some(holder) = found {
                tap.found(holder);
            }
            let (code, message, events) = tap.conclude(&[]);
            (code, message, kinds(&events).join(" "))
        };
        assert_eq!(
            ends("471155", Some(None), &[]),
            (VerdictCode::UnknownCard, "unknown card".to_owned(), "card.read card.unknown verdict.given".to_owned())
        );
        assert_eq!(
            ends("47-11", None, &[]),
            (VerdictCode::UnknownCard, "unknown card".to_owned(), "card.read card.unreadable verdict.given".to_owned())
        );
        assert_eq!(ends("471155", Some(adas(vec![])), &[]).1, "nothing waiting");
        // Held, but not for this device; or somebody was faster.
        assert_eq!(ends("471155", Some(adas(vec![job("b")])), &["a"]).1, "your jobs cannot be printed here");
        assert_eq!(ends("471155", Some(adas(vec![job("a")])), &["a"]).0, VerdictCode::NothingHeld);
    }

    #[test]
    fn a_device_of_groups_asks_whether_the_user_is_in_one() {
        let staff = GroupName::new("Staff").unwrap();
        let device = Device { groups: vec![staff.clone()], ..device(&[]) };
        for is_member in [true, false] {
            let (mut tap, _) = begin(&device, "471155");
            let waiting = job("a");
            assert_eq!(tap.found(adas(vec![waiting.clone()])), Effect::FindMember(ada(), vec![staff.clone()]));
            let jobs = if is_member { vec![waiting.id] } else { Vec::new() };
            assert_eq!(tap.checked(is_member), Effect::Commit { jobs, printer: PrinterName::new("east").unwrap() });
            let released = if is_member { vec![waiting] } else { Vec::new() };
            let (code, message, _) = tap.conclude(&released);
            let expected = if is_member { VerdictCode::Released } else { VerdictCode::Denied };
            assert_eq!(
                (code, message.as_str()),
                (expected, if is_member { "1 job released" } else { "you may not print here" })
            );
        }
        // An unknown card is unknown there, too.
        let (mut tap, _) = begin(&device, "471155");
        tap.found(None);
        assert_eq!(tap.conclude(&[]).0, VerdictCode::UnknownCard);
    }

    #[test]
    fn raw_bits_stand_in_for_a_number() {
        let bits = Bits { data: vec![0x94, 0x6e, 0xbd, 0x28], length: 32 };
        let read = CardRead { swipe: 1, number: None, bits: Some(bits), technology: None, port: 0, facts: Vec::new() };
        let (mut tap, effect) = shown(&device(&[]), &read, false);
        assert_eq!(effect, Effect::FindHolder(CardNumber::new("946EBD28").unwrap()));
        assert!(tap.conclude(&[]).2[0].message.contains("card ***28 was shown"));
    }

    #[test]
    fn an_unknown_card_is_told_in_clear_only_where_the_site_says_so_and_only_as_a_fact() {
        for show_unknown in [false, true] {
            let read = CardRead {
                swipe: 1,
                number: Some("471155".to_owned()),
                bits: None,
                technology: None,
                port: 0,
                facts: Vec::new(),
            };
            let (mut tap, _) = shown(&device(&[]), &read, show_unknown);
            tap.found(None);
            let events = tap.conclude(&[]).2;
            let clear: Vec<_> = events.iter().filter_map(|event| event.facts.get("card_in_clear")).collect();
            assert_eq!(clear, if show_unknown { vec!["471155"] } else { vec![] });
            assert!(events.iter().all(|event| !event.message.contains("471155")), "messages are logged");
            // A card that somebody has is never told.
            let (mut tap, _) = shown(&device(&[]), &read, show_unknown);
            tap.found(adas(Vec::new()));
            let told = format!("{:?}", tap.conclude(&[]).2);
            assert!(!told.contains("471155"), "{told}");
        }
    }
}
