//! What fitting costs: CPU and wall seconds and the memory beyond the data of one fit of a method on two domains of n
//! rows and d columns, and how that compares with the matrix product (n, d) · (d, n) in the same process.
//!
//! - `cargo bench --bench fit` prints a Markdown table of every method that adapts, at the sizes of the peers' figures
//!   and at 20,000 rows. Each line is a process of its own, so that its peak is its own.
//! - `cargo bench --bench fit -- METHOD [N [D [PARAMS]]]` prints one line.
//!
//! The learner behind adapters is the nearest class mean, which costs next to nothing; the data is the toy problem of
//! the method's card. The accuracy on the target tells that the fit was a real one.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Labels, toy};
use adaptation::learners::{self, BoundLearner};
use adaptation::linalg::matmul_nt;
use adaptation::methods::{self, Family, Method, Needs, Toy};
use anyhow::Context;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// The service's own, so that figures are the service's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows a domain and columns: those that the peers were measured at, and growth.
const SIZES: [(usize, usize); 5] = [(500, 64), (1000, 64), (2000, 64), (20_000, 64), (2000, 800)];
/// After which a fit is given up.
const PATIENCE: Duration = Duration::from_secs(90);
/// Rows of the matrix product that is timed; longer ones are scaled up from it.
const PRODUCT_ROWS: usize = 2000;

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |i: usize, default: usize| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let Some(id) = arguments.first() else { return all() };
    let method = methods::find(id).with_context(|| format!("there is no method {id:?}"))?;
    let params = arguments.get(3).map_or(Ok(Value::Null), |p| serde_json::from_str(p)).context("parameters")?;
    println!("{}", line(method, number(1, 2000), number(2, 64), &params)?);
    Ok(())
}

fn all() -> anyhow::Result<()> {
    println!("| method | n | d | CPU s | wall s | MiB beyond the data | in products | accuracy |");
    println!("|---|---|---|---|---|---|---|---|");
    let adapts = |m: &&&dyn Method| m.card().family != Family::Baselines && m.card().needs == Needs::Nothing;
    for method in methods::METHODS.iter().filter(adapts) {
        for (n, d) in SIZES {
            println!("{}", apart(method.card().id, n, d)?);
        }
    }
    Ok(())
}

/// One fit in a process of its own, given up where it takes too long.
fn apart(id: &str, n: usize, d: usize) -> anyhow::Result<String> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([id, &n.to_string(), &d.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(format!("| {id} | {n} | {d} | more than {} s | | | | |", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let out = child.wait_with_output()?;
    let (text, why) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Ok(match text.lines().last() {
        Some(line) if out.status.success() => line.to_owned(),
        _ => format!("| {id} | {n} | {d} | {} | | | | |", why.lines().next().unwrap_or("failed")),
    })
}

/// One fit, as a line of the table.
fn line(method: &dyn Method, n: usize, d: usize, params: &Value) -> anyhow::Result<String> {
    let shift = match method.card().toy {
        Toy::Covariate => toy::Shift::Covariate,
        Toy::Label => toy::Shift::Label,
        Toy::Concept => toy::Shift::Concept,
        Toy::Subspace => toy::Shift::Subspace,
        Toy::Affine | Toy::None => toy::Shift::Affine,
    };
    let size = toy::Size { n_source: n, n_target: n, n_features: d, n_labelled: 0 };
    let (problem, holdout) = toy::classification(shift, size, &mut ChaCha8Rng::seed_from_u64(0));
    let learner = learners::find("nearest_centroid").context("the learner")?;
    let learner = BoundLearner { learner, params: &Value::Null, base: None };
    method.check(params).map_err(|e| anyhow::anyhow!("{e}"))?;

    let (before, cpu, start) = (status("VmRSS"), cpu_seconds(), Instant::now());
    let fitted = method.fit(&problem, params, &learner, &mut Ctx::new(0, &Silent))?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let beyond = status("VmHWM").saturating_sub(before) / 1024;

    let predicted = fitted.predictor.predict(&fitted.maps.target.apply(&holdout.x));
    let Labels::Classes(truth) = &holdout.labels else { anyhow::bail!("classes") };
    let right = predicted.codes().iter().zip(truth).filter(|(code, truth)| **truth == Some(**code)).count();

    let x = problem.target.x.dense();
    let strip = x.slice(ndarray::s![..n.min(PRODUCT_ROWS), ..]);
    let start = Instant::now();
    let product = matmul_nt(strip, strip);
    let product = start.elapsed().as_secs_f64() * (n as f64 / product.nrows() as f64).powi(2);
    Ok(format!(
        "| {} | {n} | {d} | {cpu:.2} | {wall:.2} | {beyond} | {:.1} | {:.3} |",
        method.card().id,
        wall / product,
        right as f64 / truth.len() as f64
    ))
}

/// A line of this process's status, in kB; 0 where the system does not say.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// User and system time of all threads, in hundredths resolved by the kernel.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|v| v.parse::<f64>().ok()).sum();
    ticks / 100.0
}
