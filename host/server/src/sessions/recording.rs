//! What a session tells the flight recorder: each input before its driver is given it, each answer after, and for a capture
//! how the session began.

use cardinal_domain::{
    driver::{Context, Input, Millis, Output, SettingKind},
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

    /// To be called when the driver was woken, with its answer. A capture that is still to begin does so with the next input.
    pub(super) fn record_wake(&mut self, now: Millis, answer: &Result<Vec<Output>, SessionError>) {
        self.tape.told(now, &Input::Resumed);
        self.record_answer(answer);
    }

    /// To be called right after, with the answer as it came.
    pub(super) fn record_answer(&self, answer: &Result<Vec<Output>, SessionError>) {
        self.tape.answered(answer, || {
            let secrets = self.secret_settings();
            let secrets = secrets.iter().chain(self.hidden.secrets()).map(String::as_str);
            Standins::new(&secrets.collect::<Vec<_>>(), None)
        });
    }

    /// The values of the settings that its driver calls secret.
    fn secret_settings(&self) -> Vec<String> {
        let Some(mode) = self.session.driver().manifest().mode(&self.spec.mode) else { return Vec::new() };
        let settings = settings::check(mode, &self.spec.settings).unwrap_or_default();
        let is_secret = |key: &str| mode.settings.iter().any(|it| it.key == key && it.kind == SettingKind::Secret);
        settings.into_iter().filter(|(key, _)| is_secret(key)).map(|(_, value)| value).collect()
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
        let (transport, memory) = (self.origin.way.name().to_owned(), self.origin.memory.clone());
        let callback = self.origin.callback.clone();
        let kind = |key: &str| mode.settings.iter().find(|setting| setting.key == key).map(|setting| setting.kind);
        let secrets = self.secret_settings();
        let standins = Standins::new(&secrets.iter().map(String::as_str).collect::<Vec<_>>(), callback.as_deref());
        let mode = self.spec.mode.clone();
        let context = Context { mode, transport, settings, callback, memory, saved };
        let context = standins.context(context, kind);
        // A driver that is told `resumed` itself says what it makes of that.
        let untold = (!is_new && !matches!(input, Input::Resumed)).then_some(now);
        let label = (driver.label(), driver.digest().to_owned());
        self.tape.begin(label, driver.manifest().id(), &context, standins, untold);
        Ok(())
    }
}
