//! Leaves out the columns in which the domains differ most (Uguroglu and Carbonell, "Feature selection for transfer
//! learning", ECML-PKDD 2011: f-MMD). Columns get the weights under which the maximum mean discrepancy of the domains is
//! largest, and those of large weight are left out:
//!
//! ```text
//! max_v  MMD²(k_v; source, target)   with   v ≥ 0,  ‖v‖₂ ≤ 1
//! ```
//!
//! `v_j` weighs column j in the kernel: `k_v(x, y) = Σ_j v_j x_j y_j` (linear), or
//! `exp(−√d Σ_j v_j (x_j − y_j)² / 2σ²)` (Gaussian), which is the usual one where all weights are equal.
//!
//! **Linear**: with δ the difference of the domains' means the objective is `Σ_j v_j δ_j²`, and `v = δ² / ‖δ²‖`. No search
//! is needed, and columns are ranked by the difference of their means. **Gaussian**: projected gradient ascent from equal
//! weights with steps that are halved until the objective rises; the maximum is a local one. The gradient of all
//! columns is one product of the kernel, tile by tile, with d + 1 columns; no n × n matrix is held.
//!
//! **Which columns stay.** As many as are asked for, those of least weight; otherwise those below the widest gap between
//! sorted weights. Where the discrepancy under these weights is no more than chance gives, nine times its
//! mean for equal distributions, nothing differs and every column stays.
//!
//! **What the paper leaves open.** Columns are divided by their deviation among all rows, so that their units have no
//! part. Rows of several sources are pooled, whatever their weights.
//!
//! **New rows** lose the same columns.
//!
//! **Cost.** O(n d) linear; O(m² d) a step of the Gaussian, m rows of each domain at most; memory linear in n.
//! **When.** A few columns were recorded in another way and the others were not. **When not.** The columns that
//! moved carry the label, or all moved alike: then aligning them loses less than leaving them out.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::weighted_columns::{Apart, WeightedColumns};
use crate::linalg::median::{Distance, median_bandwidth, sample_rows};
use crate::linalg::{Matrix, column_means};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::{Bandwidth, Checked};

/// How far above its mean for equal distributions a discrepancy has to be: three standard errors, squared. The weights
/// are chosen for the largest one, which alone triples it.
const BY_CHANCE: f64 = 9.0;
/// The search ends where a step moves no weight by more than this.
const SETTLED: f64 = 1e-7;
const MAX_STEPS: usize = 100;
const MAX_HALVINGS: usize = 40;
/// The share of what the slope promises that a step must gain.
const SUFFICIENT: f64 = 1e-4;

/// By what columns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Comparison {
    /// The means of the columns.
    Linear,
    /// The whole distribution, columns together, through a Gaussian kernel.
    Rbf,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What is compared: "linear" the means of the columns, "rbf" their whole distribution.
    pub kernel: Comparison,
    /// σ of rbf over columns of deviation 1; "median" is the median distance of at most 1000 pooled rows.
    pub bandwidth: Bandwidth,
    /// How many columns to keep, those that differ least; left out, all below the widest gap between their weights.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_columns: Option<usize>,
    /// Rows of each domain that rbf compares; seeded ones where there are more.
    #[schemars(range(min = 10, max = 20_000))]
    pub max_rows: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { kernel: Comparison::Linear, bandwidth: Bandwidth::default(), n_columns: None, max_rows: 1000 }
    }
}

pub struct FeatureSelectionMmd;

impl Adapter for FeatureSelectionMmd {
    const CARD: Card = Card {
        id: "feature_selection_mmd",
        title: "Feature selection by MMD (f-MMD)",
        family: Family::Mmd,
        summary: "Leaves out the columns in which source and target differ most, and keeps the others as they are.",
        when_to_use: "A few columns were recorded in another way, and the others were not.",
        when_not: "The columns that differ carry the label, or all differ alike.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "linear kernel O(n d); rbf O(m² d) a step for m rows of each domain; memory linear in n",
        references: &["Uguroglu and Carbonell, Feature selection for transfer learning, ECML-PKDD 2011"],
        defaults_from: "linear kernel and the widest gap as in the leading code",
        toy: Toy::Affine,
        waived: &[(
            "beats_source_only_on_its_toy",
            "in every toy shift the columns that differ are those that carry the label, or all of them; its own test \
             has one column that misleads and others that do not",
        )],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let d = problem.n_features();
        if let Some(asked) = params.n_columns.filter(|asked| *asked > d) {
            return Err(FitError::Invalid {
                pointer: "/method/params/n_columns".into(),
                detail: format!("{asked} columns were asked for; there are {d}"),
            });
        }
        ctx.phase("weights")?;
        let rows = Standardised::of(problem);
        ctx.check()?;
        let weighed = match params.kernel {
            Comparison::Linear => by_means(&rows),
            Comparison::Rbf => by_distribution(&rows, params, ctx)?,
        };
        let differ = weighed.one_differs || weighed.distance > BY_CHANCE * weighed.by_chance;
        let columns = match params.n_columns {
            Some(k) => least(&weighed.weights, k),
            None if differ => below_the_widest_gap(&weighed.weights),
            None => (0..d).collect(),
        };

        let mut diagnostics = BTreeMap::from([
            ("n_columns".into(), columns.len() as f64),
            ("weighted_mmd2".into(), weighed.distance),
            ("weighted_mmd2_by_chance".into(), weighed.by_chance),
        ]);
        if let Some(bandwidth) = weighed.bandwidth {
            diagnostics.insert("bandwidth".into(), bandwidth);
        }
        let map = if columns.len() == d { Map::Identity } else { Map::Select { columns } };
        let maps = DomainMaps::shared(problem.sources.len(), map);
        Ok(Adaptation { diagnostics, ..Adaptation::of_maps(maps) })
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(|d| d.n_rows()).sum();
        let d = problem.n_features();
        let compared = match params.kernel {
            Comparison::Linear => 0,
            Comparison::Rbf => n.min(2 * params.max_rows),
        };
        8 * (3 * n * d + 6 * compared * (d + 1) + 1000 * 500 + 8 * d) as u64
    }
}

/// Rows of deviation 1 in every column that varies; the others are zero.
struct Standardised {
    source: Matrix,
    target: Matrix,
}

impl Standardised {
    fn of(problem: &Problem) -> Self {
        let (source, target) = (problem.pooled_sources(), &problem.target.x);
        let n = (source.n_rows() + target.n_rows()) as f64;
        let (mut source, mut target) = (source.dense().into_owned(), target.dense().into_owned());
        let mean = (source.sum_axis(Axis(0)) + target.sum_axis(Axis(0))) / n;
        source -= &mean;
        target -= &mean;
        // Columns of tiny or huge numbers are brought near one before they are squared.
        let largest = |x: &Array2<f64>| x.map_axis(Axis(0), |c| c.iter().fold(0.0_f64, |m, v| m.max(v.abs())));
        let mut size = largest(&source);
        size.zip_mut_with(&largest(&target), |a, b| *a = a.max(*b));
        // What centring leaves of equal values is rounding of the mean.
        size.zip_mut_with(&mean, |a, m| *a = if *a <= 1e-12 * m.abs() { 0.0 } else { *a });
        let apart = |x: &Array2<f64>| (x / &size.mapv(one_for_zero)).mapv(|v| v * v).sum_axis(Axis(0));
        let deviation = ((apart(&source) + apart(&target)) / n).mapv(f64::sqrt);
        let scale = Array1::from_shape_fn(size.len(), |j| {
            if size[j] > 0.0 && deviation[j] > 0.0 { (size[j] * deviation[j]).recip() } else { 0.0 }
        });
        // A reciprocal that overflows belongs to a column without digits.
        let scale = scale.mapv(|v| if v.is_finite() { v } else { 0.0 });
        Self { source: (source * &scale).into(), target: (target * &scale).into() }
    }
}

fn one_for_zero(v: f64) -> f64 {
    if v == 0.0 { 1.0 } else { v }
}

/// Weights of columns, and how far apart the domains are under them.
struct Weighed {
    /// v, `(d,)`
    weights: Array1<f64>,
    distance: f64,
    /// The mean of the distance where both domains have one distribution.
    by_chance: f64,
    /// Whether one column by itself lies further apart than the furthest of as many would by chance.
    one_differs: bool,
    bandwidth: Option<f64>,
}

fn by_means(rows: &Standardised) -> Weighed {
    let (source, target) = (rows.source.dense(), rows.target.dense());
    let squared = (column_means(source.view()) - column_means(target.view())).mapv(|v| v * v);
    let weights = onto_the_ball(squared.clone());
    let pairs = (source.nrows() as f64).recip() + (target.nrows() as f64).recip();
    // The largest of d squared normal values grows as 2 ln d, while the sum over all columns drowns a single one.
    let furthest = squared.fold(0.0_f64, |m, v| m.max(*v));
    let one_differs = furthest > pairs * (BY_CHANCE + 2.0 * (squared.len() as f64).ln());
    let (distance, by_chance) = (weights.dot(&squared), pairs * weights.sum());
    Weighed { distance, by_chance, one_differs, weights, bandwidth: None }
}

/// Negative weights to zero, and to a length of 1.
fn onto_the_ball(v: Array1<f64>) -> Array1<f64> {
    let v = v.mapv(|x| x.max(0.0));
    let length = v.dot(&v).sqrt();
    if length > 0.0 { v / length } else { v }
}

fn by_distribution(rows: &Standardised, params: &Params, ctx: &mut Ctx) -> Result<Weighed, FitError> {
    let mut rng = ctx.rng("feature_selection_mmd bandwidth");
    let bandwidth = match params.bandwidth {
        Bandwidth::Number(v) => v,
        Bandwidth::Word(_) => median_bandwidth(&[&rows.source, &rows.target], Distance::Euclidean, &mut rng)
            .map_err(|e| FitError::Degenerate(e.to_string()))?,
    };
    let mut rng = ctx.rng("feature_selection_mmd rows");
    let source = sample_rows(&[&rows.source], params.max_rows, &mut rng);
    let target = sample_rows(&[&rows.target], params.max_rows, &mut rng);
    let compared = WeightedColumns::of(source.view(), target.view(), bandwidth)?;

    let d = source.ncols();
    let mut here = compared.at(Array1::from_elem(d, (d as f64).sqrt().recip()));
    ctx.phase("search")?;
    for step in 0..MAX_STEPS {
        ctx.step(step as u64, Some(MAX_STEPS as u64))?;
        let Some(next) = ascend(&compared, &here, ctx)? else { break };
        let moved = (&next.weights - &here.weights).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        here = next;
        if moved <= SETTLED {
            break;
        }
    }
    Ok(Weighed {
        distance: here.distance,
        by_chance: here.by_chance,
        one_differs: false,
        weights: here.weights,
        bandwidth: Some(bandwidth),
    })
}

/// A point farther up, on the way along the gradient; `None` where there is none.
fn ascend(compared: &WeightedColumns, here: &Apart, ctx: &Ctx) -> Result<Option<Apart>, FitError> {
    let steepest = here.gradient.dot(&here.gradient).sqrt();
    if steepest.is_nan() || steepest <= f64::MIN_POSITIVE {
        return Ok(None);
    }
    let mut step = steepest.recip();
    for _ in 0..MAX_HALVINGS {
        ctx.check()?;
        let weights = into_the_ball(&here.weights + &(&here.gradient * step));
        let gained = here.gradient.dot(&(&weights - &here.weights));
        let next = compared.at(weights);
        if next.distance >= here.distance + SUFFICIENT * gained && next.distance > here.distance {
            return Ok(Some(next));
        }
        step *= 0.5;
    }
    Ok(None)
}

/// Negative weights to zero, and to a length of at most 1.
fn into_the_ball(v: Array1<f64>) -> Array1<f64> {
    let v = v.mapv(|x| x.max(0.0));
    let length = v.dot(&v).sqrt();
    if length > 1.0 { v / length } else { v }
}

/// The columns in ascending order of weight; equal ones in their own order.
fn ranked(weights: &Array1<f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*a].total_cmp(&weights[*b]));
    order
}

/// The `k` columns of least weight, ascending.
fn least(weights: &Array1<f64>, k: usize) -> Vec<usize> {
    let mut columns = ranked(weights);
    columns.truncate(k);
    columns.sort_unstable();
    columns
}

/// The columns below the widest gap between sorted weights, ascending; all where no two weights differ.
fn below_the_widest_gap(weights: &Array1<f64>) -> Vec<usize> {
    let order = ranked(weights);
    let gaps = order.windows(2).map(|pair| weights[pair[1]] - weights[pair[0]]);
    let widest = gaps.enumerate().fold((0, 0.0), |best, (i, gap)| if gap > best.1 { (i + 1, gap) } else { best });
    least(weights, if widest.1 > 0.0 { widest.0 } else { weights.len() })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Dataset, Labels, Task};

    /// Noise of deviation about 1, after `change` of the target.
    fn problem(n: (usize, usize), d: usize, change: impl Fn(usize, usize, f64) -> f64) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut noise = |n| Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.7..1.7));
        let dataset =
            |x: Array2<f64>| Dataset { labels: Labels::Values(vec![Some(0.0); x.nrows()]), x: x.into(), weights: None };
        let source = dataset(noise(n.0));
        let mut target = noise(n.1);
        target.indexed_iter_mut().for_each(|((i, j), v)| *v = change(i, j, *v));
        Problem { task: Task::Regression, sources: vec![source], target: dataset(target) }
    }

    fn fit(problem: &Problem, params: Value) -> Result<Adaptation, FitError> {
        FeatureSelectionMmd::adapt(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn kept(problem: &Problem, params: Value) -> Vec<usize> {
        match fit(problem, params).unwrap().maps.target {
            Map::Select { columns } => columns,
            map => panic!("{map:?}"),
        }
    }

    #[test]
    fn columns_that_moved_are_left_out_whatever_their_units() {
        let moved = |_: usize, j: usize, v: f64| if j == 1 || j == 4 { v + 2.0 + 0.1 * j as f64 } else { v };
        let mut problem = problem((120, 90), 6, moved);
        for dataset in problem.sources.iter_mut().chain([&mut problem.target]) {
            let mut x = dataset.x.dense().into_owned();
            x.column_mut(1).mapv_inplace(|v| 1e-3 * v);
            x.column_mut(5).mapv_inplace(|v| 1e6 * v + 1e4);
            dataset.x = x.into();
        }
        for kernel in ["linear", "rbf"] {
            assert_eq!(kept(&problem, json!({"kernel": kernel})), [0, 2, 3, 5], "{kernel}");
            assert_eq!(kept(&problem, json!({"kernel": kernel, "n_columns": 5})).len(), 5, "{kernel}");
        }
    }

    #[test]
    fn a_column_that_differs_in_spread_alone_is_seen_by_the_gaussian_kernel() {
        let spread = |_: usize, j: usize, v: f64| if j == 2 { 3.0 * v } else { v };
        let problem = problem((150, 150), 4, spread);
        assert_eq!(kept(&problem, json!({"kernel": "rbf"})), [0, 1, 3]);
        assert_eq!(fit(&problem, json!({})).unwrap().maps.target, Map::Identity);
    }

    #[test]
    fn where_nothing_differs_every_column_stays() {
        for d in [1, 4, 40] {
            let problem = problem((100, 130), d, |_, _, v| v);
            for kernel in ["linear", "rbf"] {
                let got = fit(&problem, json!({"kernel": kernel})).unwrap();
                assert_eq!(got.maps.target, Map::Identity, "{kernel}, {d}: {:?}", got.diagnostics);
            }
        }
    }

    #[test]
    fn more_columns_than_there_are_are_refused_by_name() {
        let problem = problem((20, 20), 3, |_, _, v| v);
        let refused = fit(&problem, json!({"n_columns": 4}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_columns"));
    }
}
