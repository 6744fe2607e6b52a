//! A folder as a printer, for trying out. A file appears under its name only when it is whole and on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cardinal_domain::{job::Job, names::PrinterName};

use super::{Failure, Sent};

/// The name of a job's file: made of what is ours alone.
fn file_name(job: &Job) -> String {
    let ending = match job.format.as_str() {
        "application/pdf" => "pdf",
        "application/postscript" => "ps",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/pwg-raster" => "pwg",
        "text/plain" => "txt",
        _ => "prn",
    };
    // One for each attempt, so that the file of an earlier one is not taken for this one.
    let attempt = if job.attempt > 1 { format!(".{}", job.attempt) } else { String::new() };
    format!("{}-{}{attempt}.{ending}", job.number, job.id)
}

/// Writes the document into the folder.
pub(crate) async fn deliver(printer: &PrinterName, folder: &Path, job: &Job, document: tokio::fs::File) -> Sent {
    let (folder, name) = (folder.to_owned(), file_name(job));
    let document = document.into_std().await;
    let written = tokio::task::spawn_blocking(move || write(&folder, &name, document)).await.map_err(io::Error::other);
    match written {
        Ok(Ok(())) => Sent::Done,
        Ok(Err(error)) | Err(error) => Sent::Failed(Failure::again(format!(
            "the folder of printer {:?} cannot be written: {error}",
            printer.as_str()
        ))),
    }
}

fn write(folder: &Path, name: &str, mut document: fs::File) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let part: PathBuf = folder.join(format!(".{name}.part"));
    // One left by a crash; what stands there otherwise is not followed but replaced.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&part).and_then(|mut file| {
        io::copy(&mut document, &mut file)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    fs::rename(&part, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}

/// Whether the job's file is in the folder.
pub(crate) async fn is_there(folder: &Path, job: &Job) -> bool {
    tokio::fs::metadata(folder.join(file_name(job))).await.is_ok_and(|metadata| metadata.is_file())
}
