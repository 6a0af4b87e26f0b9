//! Prints the cost of kernel mean matching (RBF, median bandwidth) on two domains of n rows and 64 columns.
//!
//! `cargo bench --bench kmm -- 2000 [max_landmarks]`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use adaptation::context::{Ctx, Silent};
use adaptation::data::toy;
use adaptation::methods::Adapter;
use adaptation::methods::reweighting::kernel_mean_matching::KernelMeanMatching;
use adaptation::params::Checked;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (n, landmarks) = (*arguments.first().unwrap_or(&2000), *arguments.get(1).unwrap_or(&500));
    let size = toy::Size { n_source: n, n_target: n, n_features: 64, n_labelled: 0 };
    let (problem, _) = toy::classification(toy::Shift::Covariate, size, &mut ChaCha8Rng::seed_from_u64(0));
    let params = match Checked::new(&json!({"max_landmarks": landmarks})) {
        Ok(params) => params,
        Err(e) => return eprintln!("{e}"),
    };
    let start = Instant::now();
    let got = KernelMeanMatching::adapt(&problem, &params, &mut Ctx::new(0, &Silent));
    let wall = start.elapsed().as_secs_f64();
    println!("kmm n={n} d=64 landmarks={landmarks}: wall {wall:.2} s, {:?}", got.map(|a| a.diagnostics));
}
