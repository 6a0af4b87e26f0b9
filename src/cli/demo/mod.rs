//! The main job on real data: starts the service, uploads two domains through its own HTTP interface,
//! adapts, and shows what came of it, then a pair of domains on which adapting does harm.

mod client;
mod print;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::client::Client;
use self::print::Finished;
use super::serve;
use crate::config::Options;

/// A domain that ships inside the program.
struct Example {
    name: &'static str,
    csv: &'static [u8],
}

/// A pair of domains, and the methods that are tried on it.
struct Pair {
    source: Example,
    target: Example,
    /// Roles, as they stand in the query of an upload.
    roles: &'static str,
    methods: &'static [&'static str],
}

const PENGUINS: Pair = Pair {
    source: Example { name: "adelie", csv: include_bytes!("../../../examples/data/penguins/adelie.csv") },
    target: Example { name: "gentoo", csv: include_bytes!("../../../examples/data/penguins/gentoo.csv") },
    roles: "label=label",
    methods: &["source_only", "moment_matching", "coral", "subspace_alignment", "transfer_component_analysis"],
};

const HEART: Pair = Pair {
    source: Example { name: "long_beach_va", csv: include_bytes!("../../../examples/data/heart/long_beach_va.csv") },
    target: Example { name: "hungarian", csv: include_bytes!("../../../examples/data/heart/hungarian.csv") },
    // Outside Cleveland these were mostly not measured.
    roles: "label=label&ignore=chol,slope,ca,thal",
    methods: &["source_only", "moment_matching", "coral"],
};

/// What may be chosen about the demo.
#[derive(Debug, Clone, Copy, Args)]
pub struct DemoArgs {
    /// End the service when the demo is done, instead of leaving it running.
    #[arg(long)]
    exit: bool,
}

/// Runs the demo. The service stays up until it is interrupted, unless asked otherwise.
///
/// # Errors
/// A service that cannot start, and any answer of it that is not a success.
pub async fn run(options: &Options, args: DemoArgs) -> anyhow::Result<()> {
    let server = serve::start(options).await?;
    let addr = server.addr();
    let shown = tokio::task::spawn_blocking(move || show(addr)).await.context("the demo stopped")?;
    if let Err(error) = shown {
        server.shutdown().await;
        return Err(error);
    }
    if !args.exit {
        println!("\nThe service stays up; stop it with Ctrl-C.");
        serve::interrupted().await;
    }
    server.shutdown().await;
    Ok(())
}

fn show(addr: SocketAddr) -> anyhow::Result<()> {
    let client = Client::new(addr);
    println!("adaptd listens on {}\n", client.url("/"));
    penguins(&client)?;
    heart(&client)
}

fn penguins(client: &Client) -> anyhow::Result<()> {
    println!("1. Penguins: tell the sex of a bird from four measures.");
    println!("   Source: Adelie penguins, labelled. Target: Gentoo penguins, whose labels only score.\n");
    let jobs = adapt(client, &PENGUINS)?;
    println!("{}", print::table(&jobs));
    // The labels that were kept aside choose what is printed, nothing that was fitted.
    let best = jobs.iter().max_by(|a, b| a.accuracy().total_cmp(&b.accuracy())).context("no job ran")?;
    println!("Highest by the labels kept aside (an oracle's choice): {}\n", best.method);
    println!("{}", print::confusion(best));
    println!(
        "Why it works: Gentoo are larger than Adelie, so a rule learnt on Adelie calls almost every Gentoo male.\n\
         In each species about half of the birds are female. With balanced sexes, what is left of the difference\n\
         once means and scales are matched is the sex. Were one sex rarer in one species, the same step would do harm.\n"
    );
    println!("Look at:");
    for path in [
        format!("/v1/jobs/{}", best.job),
        format!("/v1/jobs/{}/metrics", best.job),
        format!("/v1/jobs/{}/events", best.job),
        format!("/v1/models/{}", best.model),
        "/v1/methods".into(),
        "/docs".into(),
    ] {
        println!("  {}", client.url(&path));
    }
    let row = json!({"rows": [{"bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211.0, "body_mass_g": 4500.0}]});
    let predict = format!("/v1/models/{}/predict", best.model);
    println!("Predict:\n  curl -s {} -H 'content-type: application/json' -d '{row}'", client.url(&predict));
    println!("  → {}\n", client.post(&predict, &row)?["predictions"]);
    Ok(())
}

fn heart(client: &Client) -> anyhow::Result<()> {
    println!("2. Heart disease: the same steps on two hospitals, Long Beach → Hungary.\n");
    let jobs = adapt(client, &HEART)?;
    println!("{}", print::table(&jobs));
    let worst = jobs.iter().min_by(|a, b| a.accuracy().total_cmp(&b.accuracy())).context("no job ran")?;
    println!("{}", print::confusion(worst));
    println!(
        "Adapting hurts here: in Long Beach three of four patients are ill, in Hungary about one of three.\n\
         Matching the domains also matches what differs because more people are ill, and so moves healthy\n\
         patients to where the ill ones were. Source-only is the model to take."
    );
    Ok(())
}

/// Uploads a pair and runs all its methods at once, each with a bar.
fn adapt(client: &Client, pair: &Pair) -> anyhow::Result<Vec<Finished>> {
    for domain in [&pair.source, &pair.target] {
        client.put(&format!("/v1/domains/{}?{}", domain.name, pair.roles), domain.csv)?;
    }
    let bars = MultiProgress::new();
    let mut jobs = Vec::new();
    for method in pair.methods {
        let spec = json!({
            "kind": "adapt",
            "sources": [pair.source.name],
            "target": pair.target.name,
            "method": {"id": method},
            "model": format!("{}-{method}", pair.target.name.replace('_', "-")),
        });
        let job = client.post("/v1/jobs", &spec)?;
        let id = job["id"].as_str().context("a job has an id")?.to_owned();
        jobs.push((*method, id, bars.add(bar(method))));
    }
    jobs.into_iter().map(|(method, job, bar)| follow(client, method, job, &bar)).collect()
}

fn bar(method: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:30} [{bar:40}] {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(1000).with_style(style).with_prefix(method.to_owned())
}

/// Watches a job until it ends.
fn follow(client: &Client, method: &'static str, job: String, bar: &ProgressBar) -> anyhow::Result<Finished> {
    let ended = loop {
        let view = client.get(&format!("/v1/jobs/{job}"))?;
        let fraction = view["progress"]["fraction"].as_f64().unwrap_or(0.0);
        bar.set_position((fraction * 1000.0) as u64);
        bar.set_message(view["progress"]["phase"].as_str().unwrap_or_default().to_owned());
        if view["terminal"] == Value::Bool(true) {
            break view;
        }
        std::thread::sleep(Duration::from_millis(30));
    };
    if ended["state"] != "succeeded" {
        bail!("{method} {}: {}", ended["state"].as_str().unwrap_or("?"), ended["error"]["message"]);
    }
    bar.finish();
    let model = ended["result"]["model"].as_str().context("a succeeded job names its model")?.to_owned();
    let metrics = client.get(&format!("/v1/jobs/{job}/metrics"))?;
    Ok(Finished { method, job, model, metrics })
}
