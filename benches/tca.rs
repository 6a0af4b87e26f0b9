//! Prints the cost of a TCA fit (RBF, median bandwidth, 30 components) on two domains of n rows and 64
//! columns: CPU seconds, wall seconds, peak resident memory, and the time of the matrix product
//! (n, 64) · (64, n) in the same run. One size a process, so that the peak is its own.
//!
//! `cargo bench --bench tca -- 2000 [max_landmarks] [linear|rbf|laplacian]`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Holdout, Labels, Problem, toy};
use adaptation::learners::{self, BoundLearner, Prediction};
use adaptation::linalg::matmul_nt;
use adaptation::methods::mmd::transfer_component_analysis::TransferComponentAnalysis;
use adaptation::methods::{self, Adapter};
use adaptation::params::Checked;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (n, landmarks) = (number(0, 2000), number(1, 500));
    let kernel = arguments.get(2).map_or("rbf", String::as_str);
    let size = toy::Size { n_source: n, n_target: n, n_features: 64, n_labelled: 0 };
    let (problem, holdout) = toy::classification(toy::Shift::Subspace, size, &mut ChaCha8Rng::seed_from_u64(0));
    let params = json!({"kernel": kernel, "max_landmarks": landmarks, "n_components": 30});
    let params = match Checked::new(&params) {
        Ok(params) => params,
        Err(e) => return eprintln!("{e}"),
    };

    let (before, cpu, start) = (status("VmRSS"), cpu_seconds(), Instant::now());
    let got = TransferComponentAnalysis::adapt(&problem, &params, &mut Ctx::new(0, &Silent));
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let peak = status("VmHWM");
    match got {
        Ok(got) => println!("{:?}", got.diagnostics),
        Err(e) => return eprintln!("{e}"),
    }

    accuracies(&problem, &holdout, &json!({"kernel": kernel, "max_landmarks": landmarks}));

    let x = problem.target.x.dense();
    let strip = x.slice(ndarray::s![..n.min(2000), ..]);
    let (product_cpu, start) = (cpu_seconds(), Instant::now());
    let product = matmul_nt(x.view(), strip);
    let scale = n as f64 / strip.nrows() as f64;
    let (product_wall, product_cpu) = (scale * start.elapsed().as_secs_f64(), scale * (cpu_seconds() - product_cpu));
    println!(
        "tca {kernel} n={n} d=64 landmarks={landmarks}: cpu {cpu:.2} s, wall {wall:.2} s, peak {} MB of which {} MB were \
         there before; product of the kernel's size: cpu {product_cpu:.3} s, wall {product_wall:.3} s ({:.0})",
        peak / 1024,
        before / 1024,
        product[[0, 0]]
    );
}

/// Prints how often source-only and TCA, logistic regression behind both, are right on the target.
fn accuracies(problem: &Problem, holdout: &Holdout, params: &Value) {
    let Some(learner) = learners::find("logistic") else { return };
    let learner = BoundLearner { learner, params: &Value::Null, base: None };
    for (id, params) in [("source_only", &Value::Null), ("transfer_component_analysis", params)] {
        let Some(method) = methods::find(id) else { continue };
        let fitted = match method.fit(problem, params, &learner, &mut Ctx::new(0, &Silent)) {
            Ok(fitted) => fitted,
            Err(e) => return eprintln!("{id}: {e}"),
        };
        let predicted = fitted.predictor.predict(&fitted.maps.target.apply(&holdout.x));
        if let (Prediction::Classes { codes, .. }, Labels::Classes(truth)) = (predicted, &holdout.labels) {
            let right = codes.iter().zip(truth).filter(|(code, truth)| **truth == Some(**code)).count();
            println!("accuracy of {id}: {:.3}", right as f64 / codes.len() as f64);
        }
    }
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
