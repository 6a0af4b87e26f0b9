//! Reproduces the field's tables through the service's own HTTP interface: starts it on a free port,
//! uploads the domains as Parquet, runs one job a task, prints accuracies as Markdown.
//!
//! `cargo bench --bench tables`
//!
//! The data may not ship; it is read from `../shared/data` or the folder in `ADAPTD_BENCH_DATA`, and the
//! tables are skipped where it is absent.
//!
//! - Office-Caltech10, SURF: all source rows; rows divided by their sum, then each domain's z-score;
//!   1-NN behind adapters. Published: 1-NN 31.4, TCA 46.2 (Long et al., ICCV 2013; 12 tasks).
//! - MNIST ↔ USPS: rows of unit length; 1-NN. Published: 65.94 and 44.70.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its environment")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use adaptation::methods;
use adaptd::cli::serve;
use adaptd::config::Options;
use anyhow::{Context, bail};
use serde_json::{Value, json};

/// The name of a row, the method that it runs and its parameters.
type Row = (&'static str, &'static str, &'static str);

/// One table: its domains, tasks and settings.
struct Table {
    title: &'static str,
    folder: &'static str,
    /// Short names in the head of the table, and files.
    domains: &'static [(&'static str, &'static str)],
    scaling: &'static str,
    rows: &'static [Row],
}

const SURF: Table = Table {
    title: "Office-Caltech10, SURF, full source, 1-NN",
    folder: "office_caltech10_surf",
    domains: &[("C", "caltech"), ("A", "amazon"), ("W", "webcam"), ("D", "dslr")],
    scaling: "row_sum_domain_z_score",
    rows: &[
        SOURCE_ONLY,
        TCA,
        ("JDA", "joint_distribution_adaptation", r#"{"kernel":"linear"}"#),
        ("EasyTL", "easy_transfer_learning", "{}"),
        ("SPL", "selective_pseudo_labeling", "{}"),
        ("MEDA", "manifold_embedded_distribution_alignment", "{}"),
        ("CMMS", "class_matching_manifold_smoothing", "{}"),
    ],
};

const DIGITS: Table = Table {
    title: "MNIST ↔ USPS, rows of unit length, 1-NN",
    folder: "mnist_usps",
    domains: &[("M", "mnist"), ("U", "usps")],
    scaling: "l2_rows",
    rows: &[SOURCE_ONLY, TCA],
};

const SOURCE_ONLY: Row = ("1-NN", "source_only", "{}");
const TCA: Row = (
    "TCA linear, 30, λ = 1",
    "transfer_component_analysis",
    r#"{"kernel":"linear","n_components":30,"regularization":1.0}"#,
);

fn main() -> anyhow::Result<()> {
    let data = std::env::var_os("ADAPTD_BENCH_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    if !data.is_dir() {
        println!("skipped: {} is not there; name the benchmark data in ADAPTD_BENCH_DATA", data.display());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: folder.path().to_owned(),
        job_threads: 2,
        ..Options::default()
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let server = runtime.block_on(serve::start(&options))?;
    let client = Client { agent: ureq::Agent::new_with_defaults(), base: format!("http://{}", server.addr()) };
    let printed = [SURF, DIGITS].iter().try_for_each(|table| client.print(table, &data));
    runtime.block_on(server.shutdown());
    printed
}

struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    fn print(&self, table: &Table, data: &Path) -> anyhow::Result<()> {
        for (_, file) in table.domains {
            let path = data.join(table.folder).join(file).with_extension("parquet");
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let url = format!("{}/v1/domains/{file}?label=label", self.base);
            self.agent.put(url).header("content-type", "application/vnd.apache.parquet").send(&bytes[..])?;
        }
        let tasks: Vec<_> = table
            .domains
            .iter()
            .flat_map(|s| table.domains.iter().filter(move |t| t.0 != s.0).map(move |t| (*s, *t)))
            .collect();
        let heads: Vec<String> = tasks.iter().map(|(s, t)| format!("{}-{}", s.0, t.0)).collect();
        println!(
            "\n{}\n\n| method | {} | mean | s |\n|---|{}",
            table.title,
            heads.join(" | "),
            "---|".repeat(tasks.len() + 2)
        );
        for (name, method, params) in table.rows {
            let method = json!({"id": method, "params": serde_json::from_str::<Value>(params)?});
            let began = Instant::now();
            let jobs: Vec<String> =
                tasks.iter().map(|(s, t)| self.submit(table, s.1, t.1, &method)).collect::<anyhow::Result<_>>()?;
            let accuracies: Vec<f64> = jobs.iter().map(|j| self.accuracy(j)).collect::<anyhow::Result<_>>()?;
            let seconds = began.elapsed().as_secs_f64();
            let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
            let cells: Vec<String> = accuracies.iter().map(|a| format!("{a:.2}")).collect();
            println!("| {name} | {} | {mean:.2} | {seconds:.1} |", cells.join(" | "));
        }
        Ok(())
    }

    fn submit(&self, table: &Table, source: &str, target: &str, method: &Value) -> anyhow::Result<String> {
        let mut spec = json!({
            "kind": "adapt", "sources": [source], "target": target, "method": method,
            "features": {"scaling": table.scaling}, "evaluation": {"kind": "target_labels"},
        });
        let own = method["id"].as_str().and_then(methods::find).is_some_and(|m| m.brings_predictor());
        if !own {
            spec["learner"] = json!({"id": "nearest_neighbors", "params": {"n_neighbors": 1}});
        }
        let job: Value = self.agent.post(format!("{}/v1/jobs", self.base)).send_json(&spec)?.body_mut().read_json()?;
        Ok(job["id"].as_str().context("a job has an id")?.to_owned())
    }

    /// In percent, when the job has ended.
    fn accuracy(&self, job: &str) -> anyhow::Result<f64> {
        let get = |path: String| -> anyhow::Result<Value> {
            Ok(self.agent.get(format!("{}{path}", self.base)).call()?.body_mut().read_json()?)
        };
        loop {
            let view = get(format!("/v1/jobs/{job}?wait=30"))?;
            match view["state"].as_str() {
                Some("succeeded") => break,
                Some("queued" | "running") => {}
                _ => bail!("{job}: {}", view["error"]),
            }
        }
        let metrics = get(format!("/v1/jobs/{job}/metrics"))?;
        Ok(100.0 * metrics["adapted"]["accuracy"]["value"].as_f64().context("an accuracy")?)
    }
}
