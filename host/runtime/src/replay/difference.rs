//! Where an answer is first another than the trace expects, for people: in a few lines, or side by side.

use std::fmt;

use cardinal_domain::{
    driver::Millis,
    trace::{Outcome, Step, Trace},
};

/// How wide each of the two columns is, in characters: both and what is between them fit into 110.
const COLUMN: usize = 52;
/// How much of one line is shown, in rows of its column.
const ROWS: usize = 8;

/// The first place where a driver did not answer what its trace expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The step, from 1; 0: the opening of the session.
    pub step: usize,
    /// How many steps the trace has.
    pub steps: usize,
    /// The line of the trace's text where the difference is, from 1.
    pub line: usize,
    /// The session's clock.
    pub at: Millis,
    /// What happened, as the trace says it.
    pub event: String,
    /// All that is expected of this step, a line of the trace each.
    pub expected: Vec<String>,
    /// All that came.
    pub got: Vec<String>,
}

impl Difference {
    /// The first difference of what a trace expects and what was got; none if there is none. `text` is the trace's.
    pub fn first(text: &str, expected: &Trace, got: &Trace) -> Option<Self> {
        if expected.is_met_by(got) {
            return None;
        }
        let steps = expected.steps.len();
        let mut both = expected.steps.iter().zip(&got.steps).enumerate();
        let Some((index, (step, answered))) = both.find(|(_, (step, got))| !step.outcome.is_met_by(&got.outcome))
        else {
            let opened = |trace: &Trace| match &trace.refused {
                Some(fault) => Outcome::Fault(fault.clone()).lines(),
                None => vec!["a session".to_owned()],
            };
            let (expected, got) = (opened(expected), opened(got));
            return Some(Self { step: 0, steps, line: 1, at: 0, event: "open".to_owned(), expected, got });
        };
        let mut difference = Self {
            step: index + 1,
            steps,
            line: step.line,
            at: step.at,
            event: text.lines().nth(step.line.saturating_sub(1)).unwrap_or_default().trim().to_owned(),
            expected: step.outcome.lines(),
            got: answered.outcome.lines(),
        };
        difference.line = outcome_lines(text, step).nth(difference.place()).unwrap_or(step.line);
        Some(difference)
    }

    /// How many lines are the same before the first that is not.
    fn place(&self) -> usize {
        self.expected.iter().zip(&self.got).take_while(|(expected, got)| expected == got).count()
    }

    /// The two answers as columns, of 110 characters together at most. Lines that differ are marked.
    pub fn side_by_side(&self) -> String {
        let row = |mark: char, left: &str, right: &str| {
            format!("{mark} {left:COLUMN$} | {right}").trim_end().to_owned() + "\n"
        };
        let mut text = row(' ', "expected", "got");
        text += &row(' ', &"-".repeat(COLUMN), &"-".repeat(COLUMN));
        for index in 0..self.expected.len().max(self.got.len()).max(1) {
            let (left, right) = (self.expected.get(index), self.got.get(index));
            let mark = if left == right && left.is_some() { ' ' } else { '*' };
            let nothing = if index == 0 { "(nothing)" } else { "" };
            let cells = |line: Option<&String>| folded(line.map_or(nothing, String::as_str));
            let (left, right) = (cells(left), cells(right));
            for place in 0..left.len().max(right.len()) {
                let cell = |cells: &[String]| cells.get(place).cloned().unwrap_or_default();
                text += &row(mark, &cell(&left), &cell(&right));
            }
        }
        text
    }
}

/// The difference in a few lines: the first that is another.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let shown = |lines: &[String]| lines.get(place).cloned().unwrap_or_else(|| "nothing more".to_owned());
        let (expected, got) = (shown(&self.expected), shown(&self.got));
        write!(f, "after\n      {}\n    expected: {expected}\n    got:      {got}", self.event)
    }
}

/// A line in rows of a column; what is too much is left out.
fn folded(line: &str) -> Vec<String> {
    // A backtrace has line ends, which would break the table.
    let line: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut rows: Vec<String> = line.chunks(COLUMN).map(|row| row.iter().collect()).collect();
    if rows.len() > ROWS {
        rows.truncate(ROWS);
        rows.push("…".to_owned());
    }
    if rows.is_empty() { vec![String::new()] } else { rows }
}

/// The numbers of the lines that stand for the outcome of this step.
pub(super) fn outcome_lines(text: &str, step: &Step) -> impl Iterator<Item = usize> {
    let after = text.lines().enumerate().skip(step.line).map(|(index, line)| (index + 1, line.trim_start()));
    after
        .take_while(|(_, line)| !line.starts_with('@'))
        .filter(|(_, line)| line.starts_with(['>', '!']))
        .map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(expected: &str, got: &str) -> Option<Difference> {
        let trace = |body: &str| format!("mode m\ntransport dial\n\n@0 connected\n@5 received \"a\"\n{body}");
        let text = trace(expected);
        Difference::first(&text, &Trace::parse(&text).unwrap(), &Trace::parse(&trace(got)).unwrap())
    }

    #[test]
    fn the_same_is_no_difference() {
        assert_eq!(difference("> send \"x\"", "> send \"x\""), None);
        assert_eq!(difference("> anything", "> send \"x\""), None);
    }

    #[test]
    fn both_answers_stand_side_by_side_and_fit() {
        let long = "y".repeat(200);
        let found = difference("> send \"x\"\n> send \"z\"", &format!("> send \"x\"\n> send \"{long}\"")).unwrap();
        assert_eq!((found.step, found.steps, found.line, found.at), (2, 2, 7, 5));
        assert_eq!(found.event, "@5 received \"a\"");
        let shown = found.side_by_side();
        assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
        let marked: Vec<bool> = shown.lines().skip(2).map(|line| line.starts_with('*')).collect();
        assert_eq!(marked, [false, true, true, true, true, true], "{shown}");
        assert_eq!(shown.matches('y').count(), 200, "nothing is lost in folding");
        let nothing = difference("", "! broken \"it\\nwent wrong\"").unwrap().side_by_side();
        assert!(nothing.contains("(nothing)") && nothing.contains("it\\nwent wrong"), "{nothing}");
        let huge = difference("", &format!("> send \"{}\"", "y".repeat(100_000))).unwrap().side_by_side();
        assert!(huge.len() < 2_000 && huge.contains('…'), "{huge}");
    }
}
