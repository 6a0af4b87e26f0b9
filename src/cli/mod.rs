//! The command line: one file a command.

mod backup;
mod demo;
mod doctor;
mod health;
mod in_folder;
mod in_use;
mod keys;
mod methods;
mod openapi;
mod restore;
pub mod serve;
mod tenants;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Given, Options};
use crate::telemetry;

/// Adapts models to new data, over HTTP.
#[derive(Debug, Parser)]
#[command(name = "adaptd", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  adaptd demo --exit                       see it work on shipped data, in a minute
  adaptd serve --data ./adaptd-data        run the service on 127.0.0.1:8080
  curl -T us.csv 'localhost:8080/v1/domains/us?label=churned'
  curl -T eu.csv 'localhost:8080/v1/domains/eu'
  curl localhost:8080/v1/jobs -H 'Prefer: wait=30' \\
       -d '{\"kind\":\"adapt\",\"sources\":[\"us\"],\"target\":\"eu\",\"method\":{\"id\":\"coral\"},\"model\":\"churn\"}'
  curl localhost:8080/v1/models/churn/predict -d '{\"rows\":[{\"age\":41,\"plan\":\"basic\"}]}'

The service documents itself at http://127.0.0.1:8080/docs/ while it runs.";

const SERVE_EXAMPLES: &str = "Every option may also be set by its ADAPTD_… variable or in the file named by \
--config; a flag goes before a variable, a variable before the file.

Examples:
  adaptd serve
  adaptd serve --listen 127.0.0.1:9000 --data /var/lib/adaptd --job-threads 4
  ADAPTD_LOG_FORMAT=json adaptd serve --config /etc/adaptd.toml

Stop it with Ctrl-C or SIGTERM: running jobs are given back without losing an attempt and go on at
the next start. After a crash, jobs that were running start anew.";

const DOCTOR_HELP: &str = "One line a finding: its severity, what it is about, what is wrong and what to do.
Exit code 0: clean, perhaps with notes; 1: warnings or errors; 2: the folder cannot be looked at.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Given>),
    /// Run the service on shipped data and show what adaptation does
    Demo {
        #[command(flatten)]
        arguments: demo::DemoArgs,
        #[command(flatten)]
        given: Box<Given>,
    },
    /// Make, list and revoke keys, while the service does not run
    Keys(keys::Arguments),
    /// Set how many jobs of a tenant may run and wait, while the service does not run
    Tenants(tenants::Arguments),
    /// Copy the data folder as it is at this moment, also while the service runs
    Backup(backup::Arguments),
    /// Make a data folder of a backup, once every byte of it is checked
    Restore(restore::Arguments),
    /// Look whether a data folder is as it should be, also while the service runs
    #[command(after_help = DOCTOR_HELP)]
    Doctor(doctor::Arguments),
    /// Ask a running service whether it is ready, for container health checks
    Health(health::Arguments),
    /// Print the OpenAPI document
    Openapi,
    /// List methods and learners
    Methods(methods::Arguments),
}

/// Runs what the command line says.
///
/// # Errors
/// What went wrong, for the person at the terminal.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(given) => {
            let options = settle(&given)?;
            block_on(serve::run(&options))
        }
        Command::Demo { arguments, given } => {
            // The demo's own words are what there is to read.
            let quiet = given.log.clone().unwrap_or_else(|| "warn".into());
            let options = settle(&Given { log: Some(quiet), ..*given })?;
            block_on(demo::run(&options, arguments))
        }
        Command::Keys(arguments) => block_on(keys::run(arguments)),
        Command::Tenants(arguments) => block_on(tenants::run(arguments)),
        Command::Backup(arguments) => block_on(backup::run(arguments)),
        Command::Restore(arguments) => block_on(restore::run(arguments)),
        Command::Doctor(arguments) => return block_on(async { Ok(doctor::run(&arguments).await) }),
        Command::Health(arguments) => health::run(&arguments),
        Command::Openapi => openapi::run(),
        Command::Methods(arguments) => methods::run(&arguments),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Settles the options, and begins to log as they say.
fn settle(given: &Given) -> anyhow::Result<Options> {
    config::plan_failures().map_err(anyhow::Error::msg)?;
    let options = given.settle().map_err(anyhow::Error::msg)?;
    telemetry::start(&options.log, options.log_format).map_err(anyhow::Error::msg)?;
    Ok(options)
}

/// Runs a command's async part. Handed-out work that still computes does not hold up the end.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
