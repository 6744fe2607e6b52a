//! Asking other programs.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::BuildError;

/// Where administrators' programs are, even if the caller's `PATH` leaves it out.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Runs a program and gives what it wrote to standard output.
///
/// # Errors
/// It does not start, or fails; what it complained of is in the error.
pub fn output(command: &mut Command) -> Result<String, BuildError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| BuildError::Start { call: shown(command), source })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BuildError::Failed { call: shown(command), status: output.status, complaint });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The path of a program of this name.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The call as a person would type it.
pub fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    command.get_args().fold(program, |line, argument| format!("{line} {}", argument.to_string_lossy()))
}
