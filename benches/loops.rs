//! How near the library's hot loops come to the matrix product: for each the rate of its multiply-adds beside that of a
//! product of the same shapes in the same run.
//!
//! `cargo bench --bench loops`; MMD² has a bench of its own, `cargo bench --bench mmd`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use adaptation::linalg::kernels::Kernel;
use adaptation::linalg::neighbors::Searchable;
use adaptation::linalg::nystrom::Nystrom;
use adaptation::linalg::{
    Matrix, Triangle, cholesky, gram, matmul, matmul_nt, matmul_tn, solve_triangular, symmetric_eigen,
    top_symmetric_eigen,
};
use ndarray::{Array2, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The best of so many.
const REPEATS: usize = 3;

fn main() -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut random = |n: usize, d: usize| Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0));
    println!("| loop | shape | multiply-adds | s | of the product's rate |");
    println!("|---|---|---|---|---|");

    let x = random(2000, 800);
    let product = seconds(|| matmul_tn(x.view(), x.view())[[0, 0]]) / (2000.0 * 800.0 * 800.0);
    let print = |name: &str, shape: &str, flops: f64, time: f64, product: f64| {
        println!("| {name} | {shape} | {:.2e} | {time:.3} | {:.0} % |", flops, 100.0 * product * flops / time);
    };
    // Half of the entries of a symmetric product are the others.
    let flops = 2000.0 * 800.0 * 800.0 / 2.0;
    print("Gram matrix", "2000 × 800", flops, seconds(|| gram(x.view())[[0, 0]]), product);

    let rows = Searchable::new(Matrix::Dense(x.clone()));
    let queries = Matrix::Dense(random(2000, 800));
    let dense = queries.dense();
    let product = seconds(|| matmul_nt(x.view(), dense.view())[[0, 0]]) / (2000.0 * 2000.0 * 800.0);
    for k in [1, 10] {
        let mut sum = 0;
        let time = seconds(|| {
            rows.each_nearest(&queries, k, |_, near| sum += near.len());
            f64::from(u32::from(sum > 0))
        });
        print(&format!("{k} nearest rows"), "2000 of 2000 × 800", 2000.0 * 2000.0 * 800.0, time, product);
    }

    let (n, m, d) = (20_000, 500, 64);
    let x = Matrix::Dense(random(n, d));
    let nystrom = Nystrom::new(Kernel::Rbf { bandwidth: 6.0 }, x.dense().slice(s![..m, ..]).to_owned())?;
    let flops = (n * m * d + n * m * m) as f64;
    let (wide, square) = (random(n, m), random(m, m));
    let product = seconds(|| matmul(wide.view(), square.view())[[0, 0]]) / (n * m * m) as f64;
    print("Nyström features", "20000 × 64, 500 landmarks", flops, seconds(|| nystrom.features(&x)[[0, 0]]), product);

    let half = random(1600, 800);
    let spd = gram(half.view()) + Array2::<f64>::eye(800);
    let product = seconds(|| matmul(spd.view(), spd.view())[[0, 0]]) / 800.0_f64.powi(3);
    let root = cholesky(spd.view())?;
    print(
        "Cholesky",
        "800",
        800.0_f64.powi(3) / 6.0,
        seconds(|| cholesky(spd.view()).map_or(0.0, |l| l[[0, 0]])),
        product,
    );
    let solve = || solve_triangular(root.view(), spd.view(), Triangle::Lower)[[0, 0]];
    print("triangular solve", "800, 800 right sides", 800.0_f64.powi(3) / 2.0, seconds(solve), product);
    let whole = seconds(|| symmetric_eigen(spd.view()).map_or(0.0, |(v, _)| v[0]));
    let part = seconds(|| top_symmetric_eigen(spd.view(), 30).map_or(0.0, |(v, _)| v[0]));
    println!(
        "\nEigenvectors of 800 × 800: all {whole:.3} s, the first 30 {part:.3} s, a product {:.3} s.",
        product * 800.0_f64.powi(3)
    );
    Ok(())
}

/// The least wall time of a few calls.
fn seconds(mut call: impl FnMut() -> f64) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        std::hint::black_box(call());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
