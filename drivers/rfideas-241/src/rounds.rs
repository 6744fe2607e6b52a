//! Rounds: the firmware is read, the configuration checked, and repaired where it is not as it should be.
//!
//! One request at a time. A round ends with a timer for the next: after the check interval where all is well, after a
//! growing pause where it is not. Owns the reader's status.

use cardinal_sdk::{
    Output, Pair, Status,
    prelude::*,
    state::{Loader, Saver},
};

use crate::{answers, firmware::Firmware, options::Options, template::Request};

/// The next round is due.
pub(crate) const ROUND_TIMER: Id = 1;
/// The pause after the first failure, in milliseconds; it doubles with each further one.
const FIRST_PAUSE: Millis = 1_000;
/// The least time between two log lines about a repair.
const BETWEEN_LOGS: Millis = 60_000;

/// Where this session stands with its reader.
pub(crate) struct Rounds {
    awaiting: Option<(Id, Step)>,
    last_fetch: Id,
    /// The pause after the next failure.
    pause: Millis,
    /// The firmware was read since the reader last failed, and is new enough.
    firmware_known: bool,
    /// As last read, and whether the operator was told.
    firmware: (String, bool),
    /// A check passed in this session: where a later one does not, the configuration changed.
    configured: bool,
    /// It changed, and the operator was not told yet: a repair may take several rounds.
    drifted: bool,
    /// The operator was told that the reader's pages are asked in clear.
    told_clear: bool,
    /// Health and reason as last told.
    told: (String, String),
    quiet_until: Millis,
    /// By how much of 65,536 parts the first interval is shorter, once: readers that begin together are not checked together.
    sooner: u64,
}

/// What the awaited answer is for.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The firmware, before the reader is configured or else checked.
    Version { configures: bool },
    /// The configuration. Whether the firmware was read in this same round: else it may be another reader by now.
    Check { read_firmware: bool },
    /// This one of the configuration requests, from 0.
    Configure(usize),
    /// The check after them.
    Recheck,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self {
            awaiting: None,
            last_fetch: 0,
            pause: FIRST_PAUSE,
            firmware_known: false,
            firmware: (String::new(), true),
            configured: false,
            drifted: false,
            told_clear: false,
            told: (String::new(), String::new()),
            quiet_until: 0,
            sooner: 0,
        }
    }

    /// A session begins: its checks are to lie elsewhere than those of other readers.
    pub(crate) fn spread(&mut self, random: &[u8]) {
        self.sooner = random.iter().take(2).fold(0, |number, byte| number << 8 | u64::from(*byte));
    }

    /// Whether a request is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.awaiting.is_some()
    }

    pub(crate) fn save(&self, saver: Saver) -> Saver {
        saver
            .number(self.last_fetch)
            .number(self.pause)
            .flag(self.firmware_known)
            .text(&self.firmware.0)
            .flag(self.firmware.1)
            .flag(self.configured)
            .text(&self.told.0)
            .text(&self.told.1)
            .number(self.quiet_until)
            .flag(self.drifted)
            .flag(self.told_clear)
            .number(self.sooner)
    }

    pub(crate) fn load(loader: &mut Loader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            awaiting: None,
            last_fetch: loader.number()?,
            pause: loader.number()?,
            firmware_known: loader.flag()?,
            firmware: (loader.text()?.to_owned(), loader.flag()?),
            configured: loader.flag()?,
            told: (loader.text()?.to_owned(), loader.text()?.to_owned()),
            quiet_until: loader.number()?,
            // Not in the first version of the state.
            drifted: loader.version() > 1 && loader.flag()?,
            told_clear: loader.version() > 1 && loader.flag()?,
            sooner: if loader.version() > 1 { loader.number()? } else { 0 },
        })
    }

    /// Begins a round, unless one is under way.
    pub(crate) fn begin(&mut self, options: &Options, out: &mut Outputs) {
        if self.is_busy() {
            return;
        }
        match &options.version {
            Some(version) if !self.firmware_known => {
                self.ask(Step::Version { configures: false }, version, options, out);
            }
            _ => self.ask(Step::Check { read_firmware: false }, &options.check, options, out),
        }
    }

    /// Configures the reader even where it is as it should be, unless a round is under way. Its firmware is read first.
    pub(crate) fn configure(&mut self, options: &Options, out: &mut Outputs) {
        if self.is_busy() {
            return;
        }
        self.configured = false;
        self.read_and_send(options, out);
    }

    /// Sends the configuration requests once the firmware is known to be new enough: the reader may have been replaced since
    /// it was read.
    fn read_and_send(&mut self, options: &Options, out: &mut Outputs) {
        match &options.version {
            Some(version) => self.ask(Step::Version { configures: true }, version, options, out),
            None => self.send(0, options, out),
        }
    }

    /// The reader is to be configured otherwise than before.
    pub(crate) fn changed(&mut self, options: &Options, out: &mut Outputs) {
        self.configured = false;
        self.firmware_known = false;
        self.begin(options, out);
    }

    /// A request came to its end. An answer that is not awaited is ignored.
    pub(crate) fn fetched(&mut self, now: Millis, fetched: Fetched, options: &Options, out: &mut Outputs) {
        let Some((_, step)) = self.awaiting.take_if(|(id, _)| *id == fetched.id) else { return };
        if let Err(why) = self.answered(now, step, fetched.outcome, options, out) {
            self.failed(why, options, out);
        }
    }

    fn answered(
        &mut self,
        now: Millis,
        step: Step,
        outcome: Result<Response, Fault>,
        options: &Options,
        out: &mut Outputs,
    ) -> Result<(), String> {
        let page = answers::page(outcome, options).map_err(|why| format!("{}: {why}", step.doing(options)))?;
        match step {
            Step::Version { configures } => {
                self.check_firmware(&page, options)?;
                if configures {
                    self.send(0, options, out);
                } else {
                    self.ask(Step::Check { read_firmware: true }, &options.check, options, out);
                }
            }
            Step::Check { read_firmware } => match missing(&page, options) {
                None => self.passed(now, options, out),
                Some(_) => {
                    self.drifted |= self.configured;
                    if read_firmware { self.send(0, options, out) } else { self.read_and_send(options, out) }
                }
            },
            Step::Configure(index) => self.send(index.saturating_add(1), options, out),
            Step::Recheck => match missing(&page, options) {
                None => {
                    if !self.configured {
                        out.log("info", "the reader was configured");
                    }
                    self.passed(now, options, out);
                }
                Some(place) if options.configure.is_empty() => {
                    return Err(format!(
                        "the reader is not configured as it should be: pattern {place} of `check_pattern` is not found, and \
                         `configure` has no request"
                    ));
                }
                Some(place) => {
                    return Err(format!(
                        "the reader took every request of `configure`, but pattern {place} of `check_pattern` is still not \
                         found: adapt these settings to this reader"
                    ));
                }
            },
        }
        Ok(())
    }

    /// Takes the firmware version from the page. Fails where it is too old, or not to be found.
    fn check_firmware(&mut self, page: &str, options: &Options) -> Result<(), String> {
        let found = options.version_pattern.captures(page).and_then(|found| Firmware::parse(found.get(1)?.as_str()));
        let firmware = found.ok_or(
            "cannot read the firmware version: the reader's answer does not tell it; adapt `version_request` and \
             `version_pattern` to this reader",
        )?;
        if self.firmware.0 != firmware.text() {
            self.firmware = (firmware.text().to_owned(), false);
        }
        if let Some(minimum) = options.minimum_firmware.as_ref().filter(|minimum| firmware.is_before(minimum)) {
            let (has, needed) = (firmware.text(), minimum.text());
            return Err(format!(
                "firmware {has} is too old, {needed} or later is needed: update the reader's firmware"
            ));
        }
        self.firmware_known = true;
        Ok(())
    }

    /// Sends this one of the configuration requests; after the last, checks.
    fn send(&mut self, index: usize, options: &Options, out: &mut Outputs) {
        match options.configure.get(index) {
            Some(request) => self.ask(Step::Configure(index), request, options, out),
            None => self.ask(Step::Recheck, &options.check, options, out),
        }
    }

    fn ask(&mut self, step: Step, request: &Request, options: &Options, out: &mut Outputs) {
        self.last_fetch = self.last_fetch.wrapping_add(1);
        self.awaiting = Some((self.last_fetch, step));
        let mut fetch = Fetch::get(self.last_fetch, request.path.as_str()).tls(options.tls);
        if options.tls {
            fetch = fetch.port(443);
        }
        if let Some(authorization) = &options.authorization {
            fetch = fetch.header("authorization", authorization.as_str());
        }
        fetch.query.clone_from(&request.query);
        out.fetch(fetch);
    }

    /// The reader is as it should be. What it took to get there is told now, however many rounds that were.
    fn passed(&mut self, now: Millis, options: &Options, out: &mut Outputs) {
        self.configured = true;
        self.pause = FIRST_PAUSE;
        if std::mem::take(&mut self.drifted) {
            if now >= self.quiet_until {
                self.quiet_until = now.saturating_add(BETWEEN_LOGS);
                out.warn("the reader's configuration had changed; it was repaired");
            }
            // Until the next check, so that somebody sees it.
            let reason =
                "the configuration had changed: repaired. If this comes again, look who else configures this reader";
            self.tell("degraded", reason.to_owned(), options, out);
        } else {
            self.tell("online", String::new(), options, out);
        }
        let sooner = options.check_every.saturating_mul(std::mem::take(&mut self.sooner)) >> 16;
        out.set_timer(ROUND_TIMER, options.check_every.saturating_sub(sooner));
    }

    fn failed(&mut self, why: String, options: &Options, out: &mut Outputs) {
        // It may come back as another: restarted, updated, replaced.
        self.firmware_known = false;
        self.tell("error", why, options, out);
        let pause = self.pause.min(options.longest_pause);
        out.set_timer(ROUND_TIMER, pause);
        self.pause = pause.saturating_mul(2).min(options.longest_pause);
    }

    /// Tells the operator how the reader is, unless that was told.
    fn tell(&mut self, health: &str, reason: String, options: &Options, out: &mut Outputs) {
        let mut facts = Vec::new();
        if !self.firmware.1 {
            self.firmware.1 = true;
            facts.push(Pair::new("firmware", self.firmware.0.as_str()));
        }
        if self.told_clear == options.tls {
            self.told_clear = !options.tls;
            // An empty value takes the fact back.
            facts.push(Pair::new("configured-over", if self.told_clear { "HTTP, in clear" } else { "" }));
        }
        if !facts.is_empty() || self.told.0 != health || self.told.1 != reason {
            out.push(Output::Status(Status { health: health.to_owned(), reason: reason.clone(), facts }));
        }
        self.told = (health.to_owned(), reason);
    }
}

impl Step {
    /// What cannot be done where this step fails.
    fn doing(self, options: &Options) -> String {
        match self {
            Self::Version { .. } => "cannot read the firmware version".to_owned(),
            Self::Check { .. } | Self::Recheck => "cannot check the configuration".to_owned(),
            Self::Configure(index) => {
                format!("cannot configure (request {} of {})", index.saturating_add(1), options.configure.len())
            }
        }
    }
}

/// The first pattern that is not found in the page, counted from 1.
fn missing(page: &str, options: &Options) -> Option<usize> {
    let absent = options.check_patterns.iter().position(|pattern| !pattern.is_match(page))?;
    Some(absent.saturating_add(1))
}
