//! Asking for a password, which stands in no shell history and no list of processes then.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};

/// One that is new: twice on a terminal, where a slip would not be seen; else a line of standard input.
pub(super) fn new(name: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let password = prompt(&format!("New password of {name}: "))?;
    if prompt("Once more: ")? != password {
        bail!("these were two different passwords; nothing was changed");
    }
    Ok(password)
}

/// One that is known elsewhere, which tells whether it is right.
pub(super) fn known(name: &str) -> Result<String> {
    if std::io::stdin().is_terminal() { prompt(&format!("Password of {name}: ")) } else { line() }
}

fn line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn prompt(text: &str) -> Result<String> {
    rpassword::prompt_password(text).context("cannot ask for a password on this terminal")
}
