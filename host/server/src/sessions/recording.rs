//! What a session tells the flight recorder: each input before its driver is given it, each answer after, and for a capture
//! how the session began.

use cardinal_domain::{
    driver::{Context, Input, Millis, Output, SettingKind, Transport},
    settings,
};
use cardinal_runtime::SessionError;

use super::{connection::End, hands::Hands};
use crate::recorder::Standins;

impl Hands<'_> {
    /// To be called right before the driver is given an input.
    pub(super) async fn record_input(&mut self, now: Millis, input: &Input) -> Result<(), End> {
        if self.tape.begins(input, self.session.driver().digest()) {
            // Boxed: what is rare has no room in the task of each reader.
            Box::pin(self.capture_from_here(now, input)).await?;
        }
        self.tape.told(now, input);
        Ok(())
    }

    /// To be called right after, with the answer as it came.
    pub(super) fn record_answer(&self, answer: &Result<Vec<Output>, SessionError>) {
        self.tape.answered(answer, self.hidden.secret());
    }

    /// A capture begins with a new session, or in one that is under way with what the driver saves at a quiet point; until
    /// there is one, later.
    async fn capture_from_here(&mut self, now: Millis, input: &Input) -> Result<(), End> {
        let is_new = matches!(input, Input::Connected(_));
        let mut saved = None;
        if !is_new {
            if !self.session.accounts().quiet() {
                return Ok(());
            }
            saved = self.session.save().await.map_err(|error| End::Driver(self.hidden.error(error)))?;
            if saved.is_none() {
                return Ok(());
            }
        }
        let driver = self.session.driver().clone();
        // It runs, so it has the mode, and the settings fit.
        let Some(mode) = driver.manifest().mode(&self.spec.mode) else { return Ok(()) };
        let Ok(settings) = settings::check(mode, &self.spec.settings) else { return Ok(()) };
        let usual = mode.transports.first().map(Transport::name);
        let transport = self.spec.transport.as_deref().or(usual).unwrap_or_default().to_owned();
        let memory = match self.services.memory.recall(&self.spec.name).await {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(reader = %self.spec.name, error = format!("{error:#}"), "a capture cannot begin yet");
                return Ok(());
            }
        };
        let mut callback = None;
        if transport == "http" {
            // A session that rotation will end soon has the one before.
            let known = self.services.calls.url(&self.spec.name).await.ok();
            let (base, secret) = (known.as_deref().and_then(|url| url.rsplit_once('/')), self.hidden.secret());
            callback = base.zip(secret).map(|((base, _), secret)| format!("{base}/{secret}"));
            if callback.is_none() {
                return Ok(());
            }
        }
        let is_secret =
            |key: &str| mode.settings.iter().any(|setting| setting.key == key && setting.kind == SettingKind::Secret);
        let secrets: Vec<&str> =
            settings.iter().filter(|(key, _)| is_secret(key)).map(|(_, value)| value.as_str()).collect();
        let standins = Standins::new(&secrets, callback.as_deref());
        let mode = self.spec.mode.clone();
        let context = Context { mode, transport, settings: settings.clone(), callback, memory, saved };
        let context = standins.context(context, is_secret);
        // A driver that is told `resumed` itself says what it makes of that.
        let untold = (!is_new && !matches!(input, Input::Resumed)).then_some(now);
        let label = (driver.label(), driver.digest().to_owned());
        self.tape.begin(label, driver.manifest().id(), &context, standins, untold);
        Ok(())
    }
}
