//! What a printer's list says of a job, and how ours is known in it.
//!
//! A job is found again by its id and the count of the attempt, which stand first in `job-name`, where no printer cuts them.
//! Nothing here talks to a printer.

use cardinal_domain::{job::Job, names::JobId};
use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    model::JobState as Remote,
};

use crate::values::{as_integer, as_text, cut, each};

/// The longest `job-name` sent, in bytes: printers cut longer ones.
const LONGEST_NAME: usize = 127;
/// A name cut shorter than this is not known again: it may hold no more than the time of day.
const SHORTEST_CUT: usize = 20;

/// What a printer's list says of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: Option<i32>,
    name: Option<String>,
    state: Option<i32>,
    reasons: Vec<String>,
    impressions: Option<i32>,
    impressions_completed: Option<i32>,
    sheets_completed: Option<i32>,
}

/// What that means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Going,
    Done,
    Failed { reason: String, maybe_printed: bool },
}

impl Seen {
    pub(super) fn of(group: &IppAttributeGroup) -> Self {
        let value = |name| group.get(name).map(IppAttribute::value);
        Self {
            id: value("job-id").and_then(as_integer).filter(|id| *id > 0),
            name: value("job-name").and_then(as_text).filter(|name| !name.is_empty()),
            state: value("job-state").and_then(as_integer),
            reasons: value("job-state-reasons")
                .map(each)
                .unwrap_or_default()
                .iter()
                .take(32)
                .filter_map(as_text)
                .collect(),
            impressions: value("job-impressions").and_then(as_integer),
            impressions_completed: value("job-impressions-completed").and_then(as_integer),
            sheets_completed: value("job-media-sheets-completed").and_then(as_integer),
        }
    }

    /// Whether the name says that it is this attempt at this job.
    pub(super) fn is(&self, job: &Job) -> bool {
        self.name.as_ref().is_some_and(|name| name.starts_with(&tag(job)))
    }

    /// Whether it is our job, being what the printer has under the number that it gave our job. If it did so just now
    /// (`live`), only the id of another job in the name speaks against it. After a restart the printer may have begun its
    /// numbers anew, and the name, as far as it is told and not cut, must be ours.
    pub(super) fn fits(&self, job: &Job, live: bool) -> bool {
        let Some(name) = &self.name else { return true };
        let cut = name.len() >= SHORTEST_CUT && remote_name(job).starts_with(name);
        self.is(job) || cut || (live && !is_tagged(name))
    }

    /// Whether the printer is at work on it.
    pub(crate) fn is_at_work(&self) -> bool {
        self.state == Some(Remote::Processing as i32)
    }

    /// The state alone is not trusted: printers end jobs as completed that they could not read.
    pub(crate) fn verdict(&self) -> Verdict {
        let is = |state: Remote| self.state == Some(state as i32);
        let completed = [self.impressions_completed, self.sheets_completed];
        let none_out = completed.iter().flatten().all(|count| *count == 0);
        if is(Remote::Completed) {
            let bad = |reason: &&String| {
                ["error", "abort", "cancel", "unsupported", "unprintable"].iter().any(|word| reason.contains(word))
            };
            return if let Some(reason) = self.reasons.iter().find(bad) {
                Verdict::Failed { reason: format!("ended it with {reason}"), maybe_printed: true }
            } else if self.impressions.is_some_and(|expected| expected > 0)
                && none_out
                && completed.iter().any(Option::is_some)
            {
                Verdict::Failed { reason: "ended it without printing a page".to_owned(), maybe_printed: true }
            } else {
                Verdict::Done
            };
        }
        let ended = if is(Remote::Canceled) {
            "cancelled it"
        } else if is(Remote::Aborted) {
            "aborted it"
        } else if self.state.is_some() {
            return Verdict::Going;
        } else {
            let reason = "does not tell how it stands".to_owned();
            return Verdict::Failed { reason, maybe_printed: true };
        };
        let reasons: Vec<_> = self.reasons.iter().map(String::as_str).filter(|reason| *reason != "none").collect();
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", cut(&reasons.join(", "), 200)) };
        // Only a printer that counts, and counted none, has surely printed none.
        let maybe_printed = !(none_out && completed.iter().any(Option::is_some));
        Verdict::Failed { reason: format!("{ended}{why}"), maybe_printed }
    }
}

/// What a job is found again by: `[job id.attempt]`.
fn tag(job: &Job) -> String {
    format!("[{}.{}]", job.id, job.attempt)
}

/// Whether a name begins like one of ours, whosever it is.
fn is_tagged(name: &str) -> bool {
    let id = name.strip_prefix('[').and_then(|rest| rest.split_once('.'));
    id.is_some_and(|(id, _)| id.parse::<JobId>().is_ok())
}

/// What the job is called at the printer: what it is found again by, and what the client called it.
pub(super) fn remote_name(job: &Job) -> String {
    let name = format!("{} {}", tag(job), job.name);
    cut(&name, LONGEST_NAME).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::a_job;

    fn seen(state: Remote, reasons: &[&str], completed: Option<i32>) -> Seen {
        Seen {
            state: Some(state as i32),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            impressions_completed: completed,
            ..Seen::default()
        }
    }

    #[test]
    fn the_state_alone_is_not_trusted() {
        let doubt = |seen: Seen| match seen.verdict() {
            Verdict::Failed { maybe_printed, .. } => Some(maybe_printed),
            Verdict::Done => None,
            Verdict::Going => panic!("{seen:?}"),
        };
        assert_eq!(doubt(seen(Remote::Completed, &["job-completed-successfully"], Some(0))), None);
        assert_eq!(doubt(seen(Remote::Completed, &["job-completed-with-warnings"], None)), None);
        assert_eq!(doubt(seen(Remote::Completed, &["none"], None)), None);
        for reason in
            ["document-format-error", "aborted-by-system", "job-completed-with-errors", "job-canceled-by-user"]
        {
            assert_eq!(doubt(seen(Remote::Completed, &["processing-to-stop-point", reason], Some(2))), Some(true));
        }
        let pages = |completed| Seen { impressions: Some(3), ..seen(Remote::Completed, &[], completed) };
        assert_eq!(doubt(pages(Some(0))), Some(true));
        assert_eq!(doubt(pages(Some(3))), None);
        assert_eq!(doubt(pages(None)), None);
        assert_eq!(doubt(seen(Remote::Aborted, &[], Some(0))), Some(false));
        assert_eq!(doubt(seen(Remote::Aborted, &[], Some(1))), Some(true));
        assert_eq!(doubt(seen(Remote::Canceled, &[], None)), Some(true));
        assert_eq!(doubt(Seen::default()), Some(true));
        assert_eq!(seen(Remote::ProcessingStopped, &["document-format-error"], None).verdict(), Verdict::Going);
        assert_eq!(
            seen(Remote::Aborted, &["none", "document-format-error"], Some(0)).verdict(),
            Verdict::Failed { reason: "aborted it (document-format-error)".to_owned(), maybe_printed: false }
        );
    }

    #[test]
    fn the_id_survives_any_name() {
        let job = Job { name: "ö".repeat(300), attempt: 1, ..a_job() };
        let name = remote_name(&job);
        assert!(name.len() <= LONGEST_NAME);
        assert!(named(&name).is(&job));
        assert!(named(cut(&name, 60)).is(&job), "a printer may cut it");
        assert!(!named("letter").is(&job));
    }

    fn named(name: &str) -> Seen {
        Seen { name: Some(name.to_owned()), ..Seen::default() }
    }

    #[test]
    fn another_attempt_is_another_job() {
        let job = Job { attempt: 2, ..a_job() };
        for attempt in [1, 3, 20] {
            assert!(!named(&remote_name(&Job { attempt, ..job.clone() })).is(&job), "{attempt}");
        }
        // Nor is a job whose owner called it so.
        let other = Job { name: remote_name(&job), ..a_job() };
        assert!(!named(&remote_name(&other)).is(&job));
    }

    #[test]
    fn a_number_is_believed_unless_the_name_speaks_against_it() {
        let job = Job { attempt: 1, ..a_job() };
        let name = remote_name(&job);
        let other = remote_name(&Job { attempt: 1, ..a_job() });
        for (seen, live, after_a_restart) in [
            (Seen::default(), true, true),
            (named(&name), true, true),
            (named(name.get(..30).unwrap()), true, true),
            (named(name.get(..10).unwrap()), true, false),
            (named("smbprn.00000042"), true, false),
            (named(&other), false, false),
            (named(&remote_name(&Job { attempt: 2, ..job.clone() })), false, false),
        ] {
            assert_eq!(seen.fits(&job, true), live, "{seen:?}");
            assert_eq!(seen.fits(&job, false), after_a_restart, "{seen:?}");
        }
    }
}
