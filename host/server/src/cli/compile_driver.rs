//! `cardinal compile-driver`: the child process in which a host compiles a driver. Not for people.

use std::ffi::OsString;

use anyhow::Result;
use cardinal_runtime::compile_child::{self, CompileRequest};
use clap::Args;

/// For Cardinal's own use: compile one driver within limits
#[derive(Debug, Args)]
pub(super) struct CompileDriver {
    #[arg(num_args = 4)]
    arguments: Vec<OsString>,
}

impl CompileDriver {
    pub(super) fn run(self) -> Result<()> {
        Ok(compile_child::run(&CompileRequest::from_args(self.arguments)?)?)
    }
}
