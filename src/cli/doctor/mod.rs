//! `adaptd doctor`: looks at a data folder, beside the service that uses it or without one, and tells what is not as it
//! should be and what to do about it. It changes nothing.

mod blobs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;

use super::backup::DATABASE;
use super::in_use::is_in_use;
use crate::records::{Clock as _, Finding, Severity, SystemClock};
use crate::store::{Owner, SqliteBeside};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the service, which may be running
    #[arg(long, value_name = "DIR", env = "ADAPTD_DATA", default_value = "adaptd-data")]
    data: PathBuf,
    /// Read every blob that is named and hold it to its hash
    #[arg(long)]
    deep: bool,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

/// How closely blobs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// That they are there and of their size.
    Sizes,
    /// Every byte.
    Hashes,
}

/// What the command has found, as its exit code.
const FINDINGS: u8 = 1;
const CANNOT_LOOK: u8 = 2;

pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let depth = if arguments.deep { Depth::Hashes } else { Depth::Sizes };
    match look(&arguments.data, depth).await {
        Ok(findings) => {
            if arguments.json {
                print_json(&findings)
            } else {
                print_lines(&findings)
            }
            if is_clean(&findings) { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) }
        }
        Err(error) => {
            eprintln!("adaptd: {error:#}");
            ExitCode::from(CANNOT_LOOK)
        }
    }
}

async fn look(data: &Path, depth: Depth) -> anyhow::Result<Vec<Finding>> {
    let database = data.join(DATABASE);
    ensure!(database.is_file(), "--data {}: there is no {DATABASE} in it", data.display());
    let owner = if is_in_use(data)? { Owner::Alive } else { Owner::Gone };
    let mut beside = SqliteBeside::open_to_inspect(&database).await.with_context(|| database.display().to_string())?;
    let mut findings =
        beside.inspect(owner, SystemClock.now()).await.with_context(|| database.display().to_string())?;
    findings.extend(blobs::look(&mut beside, &data.join("blobs"), depth).await?);
    beside.close().await?;
    findings.sort_by_key(|f| std::cmp::Reverse(f.check.severity()));
    Ok(findings)
}

/// Notes are told, and are nothing to act on.
fn is_clean(findings: &[Finding]) -> bool {
    findings.iter().all(|f| f.check.severity() == Severity::Note)
}

fn print_lines(findings: &[Finding]) {
    for f in findings {
        let severity = match f.check.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        println!("{severity}: {}: {}; {}", f.subject, f.detail, f.check.advice());
    }
    if is_clean(findings) {
        println!("clean");
    }
}

fn print_json(findings: &[Finding]) {
    let one = |f: &Finding| {
        json!({"severity": f.check.severity(), "check": f.check, "subject": f.subject, "detail": f.detail,
               "advice": f.check.advice()})
    };
    let findings_json: Vec<_> = findings.iter().map(one).collect();
    println!("{}", json!({"clean": is_clean(findings), "findings": findings_json}));
}
