//! The compiling child on its own, for this crate's tests. A host uses its own program for this.

use std::{error::Error as _, process::ExitCode};

use cardinal_runtime::compile_child::{self, CompileRequest};

fn main() -> ExitCode {
    let done = CompileRequest::from_args(std::env::args_os().skip(1)).and_then(|request| compile_child::run(&request));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
