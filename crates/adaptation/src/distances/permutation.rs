//! The permutation test of MMD, all relabellings from one pass over the kernel's tiles.
//!
//! With indicators `v_b` of the rows that relabelling b calls x, all statistics follow from `v_bᵀ K v_b`
//! and `v_bᵀ K 1`. Both are summed tile by tile for all b at once, one product `K_tile · V_block` a tile;
//! the kernel is evaluated once and never stored.
//!
//! **Cost.** O(N² d + N² B / 2) for B permutations of N rows; memory O(N d + N B / 64) and a few tiles a
//! thread. Sums are taken in the order of tiles, so the bits do not depend on how many threads there are.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::mmd::{Mmd2, Sums, Tile, mean_diagonal, prepared, statistic};
use crate::context::{Ctx, FitError, Observer};
use crate::linalg::kernels::{Accumulate, Kernel, KernelRows, TILE, product_into, tiles};

/// A permutation test of "both samples come from one distribution".
#[derive(Debug, Clone, PartialEq)]
pub struct PermutationTest {
    pub mmd2: Mmd2,
    /// (1 + permutations with an unbiased statistic not below the observed one) / (1 + permutations)
    pub p_value: f64,
    /// The unbiased statistic of each permutation.
    pub null: Vec<f64>,
}

/// MMD² of `x` and `y` with a p-value from `n_permutations` seeded relabellings of the pooled rows.
///
/// # Errors
/// As [`mmd2`](super::mmd::mmd2).
pub fn permutation_test(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    kernels: &[Kernel],
    n_permutations: usize,
    ctx: &Ctx,
) -> Result<PermutationTest, FitError> {
    let sizes @ (m, n) = (x.nrows(), y.nrows());
    let (x, y) = prepared(x, y, kernels)?;
    let pooled = KernelRows::stacked(&x, &y);
    let relabellings = Relabellings::draw(m, n, n_permutations, &mut ctx.rng("mmd permutations"));
    let diagonal = mean_diagonal(kernels, &pooled);

    let blocks = pooled.tiles();
    let partial: Vec<BlockSums> = blocks
        .par_iter()
        .map(|rows| block_sums(kernels, &pooled, rows.clone(), &relabellings, ctx.observer()))
        .collect::<Result<_, _>>()?;
    let mut sums = BlockSums::zeros(relabellings.count);
    partial.iter().for_each(|p| sums.add(p));

    let diagonal_of_x = relabellings.masked_sums(&diagonal);
    let total_diagonal = diagonal.sum();
    let statistics: Vec<Mmd2> = (0..relabellings.count)
        .map(|b| {
            let xx = sums.within[b];
            let xy = sums.with_all[b] - xx;
            let yy = sums.total - xx - 2.0 * xy;
            statistic(
                Sums { all: xx, diagonal: diagonal_of_x[b] },
                Sums { all: yy, diagonal: total_diagonal - diagonal_of_x[b] },
                xy,
                sizes,
            )
        })
        .collect();
    let observed = statistics[0];
    let null: Vec<f64> = statistics[1..].iter().map(|s| s.unbiased).collect();
    // Two orders of summation of equal values differ in their last digits: such a tie counts as one.
    let slack = 1e-12 * sums.total.abs() / ((m + n) as f64).powi(2);
    let not_below = null.iter().filter(|v| **v >= observed.unbiased - slack).count();
    Ok(PermutationTest { mmd2: observed, p_value: (1 + not_below) as f64 / (1 + null.len()) as f64, null })
}

/// Which rows each relabelling calls x, one bit each. Relabelling 0 is the truth.
struct Relabellings {
    /// `n_rows × words` words; bit b of a row is relabelling b.
    bits: Vec<u64>,
    words: usize,
    count: usize,
}

impl Relabellings {
    fn draw(m: usize, n: usize, n_permutations: usize, rng: &mut ChaCha8Rng) -> Self {
        let count = 1 + n_permutations;
        let words = count.div_ceil(64);
        let mut this = Self { bits: vec![0; (m + n) * words], words, count };
        let mut order: Vec<usize> = (0..m + n).collect();
        for b in 0..count {
            let chosen = if b == 0 { &order[..m] } else { &*order.partial_shuffle(rng, m).0 };
            chosen.iter().for_each(|row| this.bits[row * words + b / 64] |= 1 << (b % 64));
        }
        this
    }

    /// The indicators of some rows, `(rows, count)`, into the top of `out`.
    fn expand(&self, rows: Range<usize>, out: &mut Array2<f64>) {
        for (row, mut out) in rows.zip(out.axis_iter_mut(Axis(0))) {
            let words = &self.bits[row * self.words..(row + 1) * self.words];
            if let Some(out) = out.as_slice_mut() {
                for (word, out) in words.iter().zip(out.chunks_mut(64)) {
                    out.iter_mut().enumerate().for_each(|(b, v)| *v = (word >> b & 1) as f64);
                }
            }
        }
    }

    /// For each relabelling, the sum of `values` over the rows that it calls x.
    fn masked_sums(&self, values: &Array1<f64>) -> Array1<f64> {
        let mut out = Array1::zeros(self.count);
        let mut indicators = Array2::zeros((TILE, self.count));
        for rows in tiles(values.len(), TILE) {
            self.expand(rows.clone(), &mut indicators);
            out += &values.slice(s![rows.clone()]).dot(&indicators.slice(s![..rows.len(), ..]));
        }
        out
    }
}

/// What a strip of tiles adds to the statistics of all relabellings.
struct BlockSums {
    /// `v_bᵀ K v_b`
    within: Array1<f64>,
    /// `v_bᵀ K 1`
    with_all: Array1<f64>,
    /// `1ᵀ K 1`
    total: f64,
}

impl BlockSums {
    fn zeros(count: usize) -> Self {
        Self { within: Array1::zeros(count), with_all: Array1::zeros(count), total: 0.0 }
    }

    /// Adds `valuesᵀ V` to `with_all`.
    fn add_with_all(&mut self, values: &Array1<f64>, v: ArrayView2<f64>) {
        let out = self.with_all.view_mut().insert_axis(Axis(0));
        product_into(out, Accumulate::Add, values.view().insert_axis(Axis(0)), v, 1.0);
    }

    fn add(&mut self, other: &BlockSums) {
        self.within += &other.within;
        self.with_all += &other.with_all;
        self.total += other.total;
    }
}

/// The tiles of one strip from the diagonal on; those beyond it count for both of their sides.
fn block_sums(
    kernels: &[Kernel],
    pooled: &KernelRows,
    rows: Range<usize>,
    relabellings: &Relabellings,
    observer: &dyn Observer,
) -> Result<BlockSums, FitError> {
    let mut sums = BlockSums::zeros(relabellings.count);
    let mut tile = Tile::new(kernels);
    let mut indicators = Array2::zeros((TILE, relabellings.count));
    let mut products = Array2::zeros((rows.len(), relabellings.count));
    let mut row_sums = Array1::<f64>::zeros(rows.len());
    for columns in tiles(pooled.len(), TILE).into_iter().skip(rows.start / TILE) {
        observer.check()?;
        tile.fill(kernels, (pooled, rows.clone()), (pooled, columns.clone()));
        relabellings.expand(columns.clone(), &mut indicators);
        let k = tile.mean.slice(s![..rows.len(), ..columns.len()]);
        let v = indicators.slice(s![..columns.len(), ..]);
        let sides = if columns == rows { 1.0 } else { 2.0 };
        product_into(products.view_mut(), Accumulate::Add, k, v, sides);
        row_sums += &k.sum_axis(Axis(1));
        sums.total += sides * k.sum();
        if columns != rows {
            sums.add_with_all(&k.sum_axis(Axis(0)), v);
        }
    }
    relabellings.expand(rows.clone(), &mut indicators);
    let v = indicators.slice(s![..rows.len(), ..]);
    sums.add_with_all(&row_sums, v);
    products.zip_mut_with(&v, |p, v| *p *= v);
    sums.within += &products.sum_axis(Axis(0));
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::context::Silent;
    use crate::distances::mmd::{mmd2, plainly};

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn each_permutation_is_the_statistic_of_its_relabelled_rows() {
        let (m, n) = (TILE + 10, 60);
        let (x, y) = (noise(m, 2, 5), noise(n, 2, 6) + 0.05);
        let kernels = [Kernel::Rbf { bandwidth: 0.8 }, Kernel::Linear];
        let ctx = Ctx::new(3, &Silent);
        let test = permutation_test(x.view(), y.view(), &kernels, 70, &ctx).unwrap();
        let relabellings = Relabellings::draw(m, n, 70, &mut ctx.rng("mmd permutations"));
        let pooled = ndarray::concatenate![Axis(0), x, y];
        for b in [0, 1, 64, 70] {
            let is_x = |row: &usize| relabellings.bits[row * relabellings.words + b / 64] >> (b % 64) & 1 == 1;
            let (first, second): (Vec<usize>, Vec<usize>) = (0..m + n).partition(is_x);
            assert_eq!((first.len(), second.len()), (m, n));
            let want = plainly(pooled.select(Axis(0), &first).view(), pooled.select(Axis(0), &second).view(), &kernels);
            let got = if b == 0 { test.mmd2.unbiased } else { test.null[b - 1] };
            assert!((got - want.unbiased).abs() < 1e-12, "{b}: {got} {}", want.unbiased);
        }
        let observed = mmd2(x.view(), y.view(), &kernels, &ctx).unwrap();
        assert!((observed.biased - test.mmd2.biased).abs() < 1e-12);
    }

    #[test]
    fn p_values_are_small_under_a_shift_and_spread_without_one() {
        let p_of = |shift: f64, seed: u64| {
            let (x, y) = (noise(40, 2, 100 + seed), noise(50, 2, 200 + seed) + shift);
            let kernels = [Kernel::Rbf { bandwidth: 0.7 }];
            permutation_test(x.view(), y.view(), &kernels, 99, &Ctx::new(seed, &Silent)).unwrap().p_value
        };
        assert!((0..5).all(|seed| p_of(0.8, seed) == 0.01));
        let rejected = (0..60).filter(|&seed| p_of(0.0, seed) <= 0.1).count();
        assert!((1..=14).contains(&rejected), "{rejected} of 60 at level 0.1");
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (x, y) = (noise(3 * TILE + 5, 3, 7), noise(2 * TILE, 3, 8));
        let kernels = [Kernel::Rbf { bandwidth: 0.8 }];
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| permutation_test(x.view(), y.view(), &kernels, 9, &Ctx::new(0, &Silent)).unwrap())
        };
        assert_eq!(with(1), with(3));
    }
}
