//! Prints the cost of exact MMD² on two domains of n rows and 64 columns, of the same with permutations,
//! and of the matrix product of the same shapes by the same library in the same run.
//!
//! `cargo bench --bench mmd -- 8000 [permutations]`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use adaptation::context::{Ctx, Silent};
use adaptation::data::toy;
use adaptation::distances::mmd::mmd2;
use adaptation::distances::permutation_test;
use adaptation::linalg::kernels::{Accumulate, Kernel, product_into, tiles};
use adaptation::linalg::matmul_nt;
use ndarray::{Array2, ArrayView2, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (n, permutations) = (*arguments.first().unwrap_or(&8000), *arguments.get(1).unwrap_or(&499));
    let size = toy::Size { n_source: n, n_target: n, n_features: 64, n_labelled: 0 };
    let (problem, _) = toy::classification(toy::Shift::Affine, size, &mut ChaCha8Rng::seed_from_u64(0));
    let (x, y) = (problem.sources[0].x.dense(), problem.target.x.dense());
    let kernels = [Kernel::Rbf { bandwidth: 11.0 }];
    let ctx = Ctx::new(0, &Silent);

    // First, so that the peak is its own.
    let before = peak_kb() / 1024;
    let (seconds, test) = timed(|| permutation_test(x.view(), y.view(), &kernels, permutations, &ctx));
    let p = test.map(|t| t.p_value);
    println!(
        "with {permutations} permutations: {seconds:.2} s, p = {p:?}, peak {} MB of which {before} MB were there before",
        peak_kb() / 1024
    );

    // As many products as the statistic has: xx and yy above the diagonal, and xy.
    let flops = 2.0 * 64.0 * (2.0 * (n * (n + 1) / 2) as f64 + (n * n) as f64);
    for round in 0..3 {
        let (whole, _) = timed(|| matmul_nt(x.view(), y.slice(s![..n.min(4000), ..]))[[0, 0]]);
        let whole = 2.0 * 64.0 * (n * n.min(4000)) as f64 / whole;
        let (tiled, _) = timed(|| tiled_product(x.view(), y.view()));
        let tiled = 2.0 * 64.0 * (n * n) as f64 / tiled;
        let (seconds, got) = timed(|| mmd2(x.view(), y.view(), &kernels, &ctx));
        println!(
            "round {round}: MMD² n={n} d=64 {got:?}: {seconds:.2} s, {:.1} Gflop/s; product {:.1} Gflop/s ({:.0} %), in \
             tiles on one thread {:.1} Gflop/s",
            flops / seconds / 1e9,
            whole / 1e9,
            100.0 * flops / seconds / whole,
            tiled / 1e9,
        );
    }
}

/// All tiles of x yᵀ on the calling thread.
fn tiled_product(x: ArrayView2<f64>, y: ArrayView2<f64>) -> f64 {
    let mut out = Array2::zeros((256, 256));
    let mut sum = 0.0;
    for rows in tiles(x.nrows(), 256) {
        for columns in tiles(y.nrows(), 256) {
            let out = out.slice_mut(s![..rows.len(), ..columns.len()]);
            let (a, b) = (x.slice(s![rows.clone(), ..]), y.slice(s![columns, ..]));
            product_into(out, Accumulate::Replace, a, b.reversed_axes(), 1.0);
        }
        sum += out[[0, 0]];
    }
    sum
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let out = work();
    (start.elapsed().as_secs_f64(), out)
}

fn peak_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).unwrap_or(0)
}
