//! How commands answer: a table for people, or JSON for programs.

use std::io::{ErrorKind, Write as _};

use anyhow::Result;
use cardinal_domain::plan::Line;
use serde::Serialize;

use crate::http::Applied;

/// A line of answer.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::text(&format!("{}\n", format_args!($($words)*))) };
}
pub(super) use say;

/// A piece of answer. Whoever reads it may stop reading (`… | head`), which is no error: the command ends.
pub(super) fn text(text: &str) {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// JSON for programs.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// That something was done which has nothing else to answer.
pub(super) fn done(as_json: bool, what: &str) -> Result<()> {
    if as_json {
        return json(&serde_json::json!({ "done": what }));
    }
    say!("{what}");
    Ok(())
}

/// Columns under their headings; `none` where there is no row.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]], none: &str) {
    if rows.is_empty() {
        say!("{none}");
        return;
    }
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let mut widths = headings.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str]| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        say!("{}", padded.join("  ").trim_end());
    };
    line(&headings);
    for row in &rows {
        line(&row.each_ref().map(String::as_str));
    }
}

/// Text from outside (a job's name, a driver's words) must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a change of the site did, or would do.
pub(super) fn applied(applied: &Applied, as_json: bool) -> Result<()> {
    if as_json {
        return json(applied);
    }
    for line in &applied.lines {
        say!("{}", shown(line));
    }
    match (applied.lines.len(), applied.applied) {
        (0, _) => say!("nothing to do: the site is as wanted"),
        (count, true) => say!("{count} applied"),
        (count, false) => say!("{count} would be applied; nothing was changed (--dry-run)"),
    }
    Ok(())
}

fn shown(line: &Line) -> String {
    line.to_string().lines().map(plain).collect::<Vec<_>>().join("\n")
}
