//! Numbered steps, so that a person sees how far a long command is and where it failed.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The steps of one command.
pub(crate) struct Steps {
    total: usize,
    number: usize,
    title: String,
    started: Instant,
}

impl Steps {
    /// As many steps as will be begun.
    pub(crate) fn new(total: usize) -> Self {
        Self { total, number: 0, title: String::new(), started: Instant::now() }
    }

    /// Announces the next step.
    pub(crate) fn begin(&mut self, title: impl Display) {
        self.number += 1;
        self.title = title.to_string();
        println!("\n[{}/{}] {} ({} so far)", self.number, self.total, self.title, shown(self.started.elapsed()));
    }

    /// Announces a step and does it; a failure names the step.
    pub(crate) fn run(&mut self, title: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.begin(title);
        let begun = Instant::now();
        work().with_context(|| self.failed())?;
        println!("      {title}: done in {}", shown(begun.elapsed()));
        Ok(())
    }

    /// What to say when the present step failed.
    pub(crate) fn failed(&self) -> String {
        format!("step {} of {} ({}) failed", self.number, self.total, self.title)
    }

    /// The time since the first step.
    pub(crate) fn elapsed(&self) -> String {
        shown(self.started.elapsed())
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 60 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f32()),
    }
}
