//! Reproduces the field's tables through the library's engine and prints them as Markdown: accuracy of each task,
//! the mean beside the published figure, CPU seconds and peak memory of each row.
//!
//! `cargo run --release --bin tables -- [--data FOLDER] [--threads 2] [--method ID]… [TABLE…]`
//!
//! A binary of its own, not a subcommand of the service: it needs data that does not ship, and nobody who runs the
//! service needs it. The data is read through the service's own ingest, and skipped with a word where it is absent.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod catalogue;
mod data;
mod measure;
mod run;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

/// The service's own, so that figures are the service's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    /// The folder of the benchmark data.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Threads of the library; figures do not depend on it.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only rows of this method; may be given several times.
    #[arg(long)]
    method: Vec<String>,
    /// Names of tables; all where none is given.
    tables: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let known: Vec<&str> = catalogue::TABLES.iter().map(|t| t.id).collect();
    if let Some(odd) = arguments.tables.iter().find(|t| !known.contains(&t.as_str())) {
        anyhow::bail!("there is no table {odd:?}; known are {}", known.join(", "));
    }
    if !arguments.data.is_dir() {
        println!("skipped: {} is not there; name the folder of the data with --data", arguments.data.display());
        return Ok(());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build().context("the threads")?;
    println!(
        "# Tables\n\nMade by `cargo run --release --bin tables`; {} threads. Scores in percent; CPU seconds and peak \
         memory are of the whole row, source-only and scoring with intervals included. Published figures are of the \
         protocol that is named, unless a note says otherwise.",
        arguments.threads
    );
    for table in catalogue::TABLES {
        if arguments.tables.is_empty() || arguments.tables.iter().any(|t| t == table.id) {
            pool.install(|| run::print(table, &arguments.data, &arguments.method))?;
        }
    }
    Ok(())
}
