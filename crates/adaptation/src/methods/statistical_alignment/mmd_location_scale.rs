//! Every column of each source is scaled and moved so that, seen through a Gaussian kernel, the source's rows
//! have the target's mean (Zhang, Schölkopf, Muandet and Wang, "Domain adaptation under target and conditional
//! shift", ICML 2013, section 4 on location-scale shift):
//!
//! ```text
//! min_{w, b}  MMD²(w ⊙ X_s + b, X_t) + λ/d Σ_f (log² w_f + b_f² / s_f²),     w > 0
//! ```
//!
//! s_f is the deviation of column f over both domains. Where `moment_matching` makes two moments equal, this
//! looks at the whole distribution, so that a heavy tail or one odd cluster does not set the scale.
//!
//! **One map, not one for each class.** The paper lets w and b depend on the label, and estimates the target's
//! class shares beside them. A map of a class cannot be applied to rows whose class is not known, be they
//! of a source table or new, and shares of classes are the subject of label-shift methods; what is kept is the
//! map that all classes have in common. Scales are positive, which the paper leaves open: a column is not
//! turned over.
//!
//! **Random frequencies, not a kernel matrix.** MMD² is taken at D frequencies ω of the kernel (Rahimi and Recht
//! 2007): the mean over them of `|mean_s exp(iω·x) − mean_t exp(iω·x)|²`. Nyström features would not do: the
//! source's rows move, and would leave the span of any landmarks chosen before. It is zero for equal rows.
//!
//! **Minimum.** L-BFGS with the exact gradient, from the identity or from the moments' map, whichever is lower;
//! the problem is not convex, and both starts are local. Each source has its own map; the target stays as it is,
//! so **new rows** of it need none, and new source rows are mapped like those seen.
//!
//! **Cost.** O(n d D) an iteration; memory O(n (d + D) + d D). **When.** Columns differ by unit, sensor or
//! calibration, and moments are not to be trusted. **When not.** Columns are correlated differently (see
//! `linear_optimal_transport`), or the shares of classes differ.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError, Observer};
use crate::data::{Dataset, Problem, TaskKind};
use crate::linalg::kernels::Kernel;
use crate::linalg::median::sample_rows;
use crate::linalg::nystrom::Nystrom;
use crate::linalg::{Matrix, Options, column_means, gaussian_frequencies, matmul, matmul_tn, minimise};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

/// The search ends where no component of the gradient is larger; MMD² is at most 4.
const GRADIENT_TOLERANCE: f64 = 1e-7;
/// Rows on which the kernel is asked whether it still tells rows apart.
const CHECKED_ROWS: usize = 300;
/// Waves that one thread computes before another may take over.
const CHUNK: usize = 4096;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// σ of the Gaussian kernel; "median" is the median distance of at most 1000 pooled rows.
    pub bandwidth: Bandwidth,
    /// λ: what it costs to move and scale columns; the larger, the nearer the map stays to none at all.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub regularization: f64,
    /// D: random frequencies at which the distributions are compared; more are slower and less noisy.
    #[schemars(range(min = 16, max = 20_000))]
    pub n_frequencies: usize,
    /// Steps of the search at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_iterations: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { bandwidth: Bandwidth::default(), regularization: 1e-3, n_frequencies: 256, max_iterations: 100 }
    }
}

pub struct MmdLocationScale;

impl Adapter for MmdLocationScale {
    const CARD: Card = Card {
        id: "mmd_location_scale",
        title: "Location-scale map by MMD (MMD-LS)",
        family: Family::StatisticalAlignment,
        summary: "Scales and moves every column of each source until a kernel cannot tell its mean from the target's.",
        when_to_use: "Columns differ by unit, sensor or calibration, with outliers that spoil means and deviations.",
        when_not: "Columns are correlated differently, the shares of the classes differ, or there are hundreds of columns: \
                   then the default number of frequencies is too small, and the map fits the draw of them.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d D) an iteration with D frequencies; memory linear in n",
        references: &[
            "Zhang, Schölkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013",
            "Rahimi and Recht, Random features for large-scale kernel machines, NIPS 2007",
        ],
        defaults_from: "median bandwidth; λ = 1e-3, of the order of the noise of MMD² with a thousand rows",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        ctx.phase("frequencies")?;
        let domains: Vec<&Matrix> = problem.sources.iter().map(|s| &s.x).chain([&problem.target.x]).collect();
        let degenerate = |e: &dyn std::fmt::Display| FitError::Degenerate(e.to_string());
        let mut rng = ctx.rng("mmd_location_scale bandwidth");
        let kernel = KernelName::Rbf.resolve(params.bandwidth, &domains, &mut rng).map_err(|e| degenerate(&e))?;
        // Refused where the kernel has vanished or is saturated.
        let rows = sample_rows(&domains, CHECKED_ROWS, &mut ctx.rng("mmd_location_scale check"));
        Nystrom::new(kernel, rows).map_err(|e| degenerate(&e))?;
        let Kernel::Rbf { bandwidth } = kernel else { return Err(degenerate(&"the kernel is not Gaussian")) };
        let size = (problem.n_features(), params.n_frequencies);
        let frequencies = gaussian_frequencies(bandwidth, size, &mut ctx.rng("mmd_location_scale frequencies"));

        ctx.phase("maps")?;
        let target = problem.target.x.dense();
        let mut fits = Vec::with_capacity(problem.sources.len());
        for source in &problem.sources {
            fits.push(fit(source.x.dense().view(), target.view(), &frequencies, params, ctx)?);
        }
        let mean = |of: &dyn Fn(&Fit) -> f64| fits.iter().map(of).sum::<f64>() / fits.len() as f64;
        let figures = [
            ("bandwidth", bandwidth),
            ("mmd2_before", mean(&|f| f.before)),
            ("mmd2_after", mean(&|f| f.after)),
            ("iterations", mean(&|f| f.iterations as f64)),
        ];
        let maps = DomainMaps { sources: fits.into_iter().map(|f| f.map).collect(), target: Map::Identity };
        let mut adaptation = Adaptation::of_maps(maps);
        adaptation.diagnostics.extend(figures.map(|(name, v)| (name.into(), v)));
        Ok(adaptation)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).max().unwrap_or(0);
        let (d, k) = (problem.n_features(), params.n_frequencies);
        // The L-BFGS history is a few dozen vectors of 2 d.
        8 * (4 * n * d + 3 * n * k + 4 * d * k + 60 * d + 3 * CHECKED_ROWS * CHECKED_ROWS) as u64
    }
}

/// The map of one source.
struct Fit {
    map: Map,
    before: f64,
    after: f64,
    iterations: usize,
}

/// The map of rows `source (n_s, d)` towards `target (n_t, d)`, compared at `frequencies (d, D)`.
fn fit(
    source: ArrayView2<f64>,
    target: ArrayView2<f64>,
    frequencies: &Array2<f64>,
    params: &Params,
    ctx: &mut Ctx,
) -> Result<Fit, FitError> {
    let d = source.ncols();
    let both = Columns::of(concatenate![Axis(0), source, target].view());
    // In these units columns have deviation 1 and lie about 0, so that one tolerance and one λ suit all.
    let units = |x: ArrayView2<f64>| (&x - &both.mean) / &both.deviation;
    let (z_source, z_target) = (units(source), units(target));
    let start = moments_map(&Columns::of(z_source.view()), &Columns::of(z_target.view()));
    let frequencies = frequencies * &both.deviation.view().insert_axis(Axis(1));
    let goal = Waves::of(&z_target, &frequencies, &Array1::zeros(2 * d));
    let matching =
        Matching { source: z_source, goal: goal.means(), frequencies, regularization: params.regularization };

    let identity = Array1::zeros(2 * d);
    let before = matching.mmd2(&identity);
    let from = if matching.at(&start).0 < matching.at(&identity).0 { start } else { identity };
    let options = Options { max_iterations: params.max_iterations, gradient_tolerance: GRADIENT_TOLERANCE };
    let observer: &dyn Observer = ctx.observer();
    let total = Some(params.max_iterations as u64);
    let minimum = minimise(
        |v| observer.check().map(|()| matching.at(v)),
        from,
        &options,
        |i| ctx.step(i.number as u64, total).map(|()| ControlFlow::Continue(())),
    )?;
    let after = matching.mmd2(&minimum.x);
    let (u, b) = (minimum.x.slice(s![..d]), minimum.x.slice(s![d..]));
    let offset = &both.mean + &(&both.deviation * &b);
    let map = Map::Scale { shift: both.mean, scale: u.mapv(f64::exp), offset };
    Ok(Fit { map, before, after, iterations: minimum.iterations })
}

/// Means and deviations of columns, `(d,)`; a column that does not vary has deviation 1.
struct Columns {
    mean: Array1<f64>,
    deviation: Array1<f64>,
}

impl Columns {
    fn of(x: ArrayView2<f64>) -> Self {
        let mean = column_means(x);
        let n = x.nrows() as f64;
        let deviation = x.axis_iter(Axis(1)).zip(&mean).map(|(column, mean)| {
            let variance = column.fold(0.0, |sum, v| sum + (v - mean) * (v - mean)) / n;
            // What rounding the mean leaves over is no variance.
            if variance > 1e-24 * mean * mean { variance.sqrt() } else { 1.0 }
        });
        let deviation = deviation.collect();
        Self { mean, deviation }
    }
}

/// The map that makes means and deviations equal, as `(log w, b)`.
fn moments_map(source: &Columns, target: &Columns) -> Array1<f64> {
    let w = &target.deviation / &source.deviation;
    let b = &target.mean - &(&w * &source.mean);
    concatenate![Axis(0), w.mapv(f64::ln), b]
}

/// Cosines and sines of rows at frequencies, each `(n, D)`.
struct Waves {
    cos: Array2<f64>,
    sin: Array2<f64>,
}

impl Waves {
    /// Of the rows `w ⊙ z + b` for `z (n, d)` and `v = (log w, b)`.
    fn of(z: &Array2<f64>, frequencies: &Array2<f64>, v: &Array1<f64>) -> Self {
        let d = z.ncols();
        let scaled = frequencies * &v.slice(s![..d]).mapv(f64::exp).insert_axis(Axis(1));
        let mut cos = matmul(z.view(), scaled.view()) + v.slice(s![d..]).dot(frequencies);
        let mut sin = Array2::zeros(cos.dim());
        // Entry by entry, so that the bits do not depend on how many threads there are.
        if let (Some(cos), Some(sin)) = (cos.as_slice_memory_order_mut(), sin.as_slice_memory_order_mut()) {
            cos.par_iter_mut().zip(sin).with_min_len(CHUNK).for_each(|(c, s)| (*s, *c) = c.sin_cos());
        }
        Self { cos, sin }
    }

    /// `(mean cos, mean sin)`, each `(D,)`.
    fn means(&self) -> (Array1<f64>, Array1<f64>) {
        (column_means(self.cos.view()), column_means(self.sin.view()))
    }
}

/// What is minimised, of `v = (log w, b)`.
struct Matching {
    /// `(n, d)`
    source: Array2<f64>,
    /// The target's mean cosines and sines.
    goal: (Array1<f64>, Array1<f64>),
    /// `(d, D)`
    frequencies: Array2<f64>,
    regularization: f64,
}

impl Matching {
    fn mmd2(&self, v: &Array1<f64>) -> f64 {
        let (cos, sin) = Waves::of(&self.source, &self.frequencies, v).means();
        let (c, s) = (cos - &self.goal.0, sin - &self.goal.1);
        (c.dot(&c) + s.dot(&s)) / c.len() as f64
    }

    /// Value and gradient.
    fn at(&self, v: &Array1<f64>) -> (f64, Array1<f64>) {
        let (n, d) = self.source.dim();
        let waves = Waves::of(&self.source, &self.frequencies, v);
        let (cos, sin) = waves.means();
        let (c, s) = (cos - &self.goal.0, sin - &self.goal.1);
        let count = c.len() as f64;
        let penalty = self.regularization / d as f64;
        let value = (c.dot(&c) + s.dot(&s)) / count + penalty * v.dot(v);
        // The derivative by each row's phase at each frequency.
        let by = 2.0 / (n as f64 * count);
        let phase = waves.cos * &(s * by) - waves.sin * &(c * by);
        let scaled = &self.frequencies * &v.slice(s![..d]).mapv(f64::exp).insert_axis(Axis(1));
        let through_rows = matmul_tn(self.source.view(), phase.view());
        let by_scale = (scaled * through_rows).sum_axis(Axis(1));
        let by_shift = self.frequencies.dot(&phase.sum_axis(Axis(0)));
        (value, concatenate![Axis(0), by_scale, by_shift] + v * (2.0 * penalty))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;
    use crate::distances::mmd::mmd2_unbiased;

    fn problem(shift: toy::Shift) -> Problem {
        toy::classification(shift, toy::Size::default(), &mut ChaCha8Rng::seed_from_u64(0)).0
    }

    fn adapt(problem: &Problem, params: Value) -> Result<Adaptation, FitError> {
        MmdLocationScale::adapt(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn scale_and_offset(adaptation: &Adaptation, of: &Array1<f64>) -> (Array1<f64>, Array1<f64>) {
        let Map::Scale { shift, scale, offset } = &adaptation.maps.sources[0] else { panic!("the map scales") };
        (scale.clone(), (of - shift) * scale + offset)
    }

    #[test]
    fn a_map_of_the_columns_is_found_again_and_mmd_falls_to_nothing() {
        let mut problem = problem(toy::Shift::Concept);
        let (w, b) = (ndarray::array![0.5, 2.0, 1.3, 0.8], ndarray::array![1.0, -2.0, 0.5, 3.0]);
        problem.target.x = (&*problem.sources[0].x.dense() * &w + &b).into();
        let got = adapt(&problem, json!({"regularization": 0.0, "max_iterations": 500})).unwrap();
        let (scale, at_zero) = scale_and_offset(&got, &Array1::zeros(4));
        assert!((scale - &w).iter().all(|v| v.abs() < 1e-3));
        assert!((at_zero - &b).iter().all(|v| v.abs() < 1e-3));
        assert!(got.diagnostics["mmd2_after"] < 1e-6 && got.diagnostics["mmd2_before"] > 0.1);
    }

    #[test]
    fn one_outlier_does_not_set_the_scale_as_it_does_for_moments() {
        let mut problem = problem(toy::Shift::Concept);
        let mut x = problem.sources[0].x.dense().into_owned();
        problem.target.x = x.clone().into();
        x[[0, 0]] = 200.0;
        problem.sources[0].x = x.into();
        let got = adapt(&problem, json!({"bandwidth": 2.0})).unwrap();
        let (scale, _) = scale_and_offset(&got, &Array1::zeros(4));
        assert!((0.8..1.25).contains(&scale[0]), "{scale}");
    }

    #[test]
    fn the_exact_mmd_falls_and_equal_domains_are_not_changed() {
        let problem = problem(toy::Shift::Affine);
        let got = adapt(&problem, json!(null)).unwrap();
        let ctx = Ctx::new(0, &Silent);
        let mmd = |x: &Matrix| mmd2_unbiased(x, &problem.target.x, Bandwidth::Number(4.0), None, &ctx).unwrap();
        let (before, after) = (mmd(&problem.sources[0].x), mmd(&got.maps.sources[0].apply(&problem.sources[0].x)));
        assert!(after < 0.05 * before, "{before} to {after}");
        let mut equal = problem.clone();
        equal.target.x = equal.sources[0].x.clone();
        let mapped = adapt(&equal, json!(null)).unwrap().maps.sources[0].apply(&equal.target.x);
        assert!((&*mapped.dense() - &*equal.target.x.dense()).iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let frequencies = gaussian_frequencies(1.5, (3, 20), &mut ChaCha8Rng::seed_from_u64(2));
        let rows = |seed| gaussian_frequencies(1.0, (12, 3), &mut ChaCha8Rng::seed_from_u64(seed));
        let goal = Waves::of(&rows(3), &frequencies, &Array1::zeros(6)).means();
        let matching = Matching { source: rows(4), goal, frequencies, regularization: 0.1 };
        let v = ndarray::array![0.3, -0.2, 0.1, 0.4, -0.5, 0.2];
        let (_, gradient) = matching.at(&v);
        for i in 0..6 {
            let moved = |by: f64| {
                let mut v = v.clone();
                v[i] += by;
                matching.at(&v).0
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient[i] - numeric).abs() < 1e-8, "{i}: {} and {numeric}", gradient[i]);
        }
    }

    #[test]
    fn the_map_is_that_of_a_reference_implementation_at_the_same_frequencies() {
        let reference: Value = serde_json::from_str(include_str!("../../../tests/reference/stats.json")).unwrap();
        let matrix = |value: &Value| {
            let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
            Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
        };
        let case = &reference["mmd_location_scale"];
        let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
        let params = Params { regularization: 0.01, max_iterations: 1000, ..Params::default() };
        let frequencies = matrix(&case["frequencies"]);
        let got = fit(xs.view(), xt.view(), &frequencies, &params, &mut Ctx::new(0, &Silent)).unwrap();
        let mapped = got.map.apply(&xs.into()).dense().into_owned();
        let worst = (mapped - matrix(&case["mapped"])).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(worst < 1e-4, "differ by {worst:e}");
        assert!((got.before - case["mmd2_before"].as_f64().unwrap()).abs() < 1e-12);
        assert!((got.after - case["mmd2_after"].as_f64().unwrap()).abs() < 1e-8);
    }
}
