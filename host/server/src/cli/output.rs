//! How commands answer: a table for people, or JSON for programs.

use anyhow::Result;
use cardinal_domain::plan::Line;
use serde::Serialize;

use crate::http::Applied;

/// JSON for programs.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Columns under their headings; `none` where there is no row.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]], none: &str) {
    if rows.is_empty() {
        println!("{none}");
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
        println!("{}", padded.join("  ").trim_end());
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
        println!("{}", shown(line));
    }
    match (applied.lines.len(), applied.applied) {
        (0, _) => println!("nothing to do: the site is as wanted"),
        (count, true) => println!("{count} applied"),
        (count, false) => println!("{count} would be applied; nothing was changed (--dry-run)"),
    }
    Ok(())
}

fn shown(line: &Line) -> String {
    line.to_string().lines().map(plain).collect::<Vec<_>>().join("\n")
}
