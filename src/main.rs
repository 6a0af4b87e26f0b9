//! Parses the command line and hands over.

use std::process::ExitCode;

use adaptd::cli::{self, Cli};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("adaptd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
