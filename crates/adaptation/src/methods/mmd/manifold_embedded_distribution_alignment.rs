//! MEDA: one classifier in a reproducing kernel space is fitted to the sources' labels, to equal means of the
//! domains and of their classes, and to a graph of neighbours, on features of the geodesic between the domains
//! (Wang, Feng, Chen, Yu, Huang and Yu, "Visual domain adaptation with manifold embedded distribution alignment",
//! ACM MM 2018, equations 2-11):
//!
//! ```text
//! min_f  Σ_s w_i ‖y_i − f(z_i)‖² + η ‖f‖² + λ [(1 − μ) D(p_s, p_t) + μ Σ_c D_c] + ρ tr(Fᵀ L F)
//! ```
//!
//! z are the rows mapped by the geodesic flow kernel's factor and scaled to unit length, D and D_c squared
//! distances of means of f over the domains and over their classes, the target's by the labels that the last f
//! gave it. The first labels are those of the nearest source row.
//!
//! **No n × n matrix.** With features `Φ (n, r)` of the kernel, f = Φ w and one round solves
//! `(Φᵀ(E + ρL)Φ + ηI + A Aᵀ) w = Φᵀ E Y` with A (r, C + 1) the differences of means. The first part does not
//! change: its Cholesky factor whitens Φ once, and a round is a system of size C + 1. This is the paper's
//! equation 11 where all rows are landmarks; more rows are seen through a Nyström approximation.
//!
//! **Left open, and chosen as the authors' published experiments do:** rows of unit length, so that their
//! bandwidth σ (the root of the mean length) is 1; L is the normalised Laplacian of the p nearest by cosine with
//! cosine weights, an edge where either is near the other; M is divided by its Frobenius norm after its marginal
//! part is taken C times; μ is fixed, not estimated. Sources are pooled; weights of their rows enter the
//! loss, scaled to mean one.
//!
//! **New rows.** By the representer theorem f is a function of any row, `f(x) = Σ β_j k(z(x), z_j)` over the
//! landmarks: nothing has to be extended. Scores are regressions on indicators, no probabilities.
//!
//! **Cost.** O(n d min(n, d) + n² k + n m (m + k) + m³ + T n m C), m landmarks, k axes, T rounds; memory linear
//! in n. **When.** Classes form clouds that the nearest source row finds more often than not. **When not.** The
//! first labels are mostly wrong: later rounds then confirm them.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::distances::conditional::{RowClasses, class_contrasts, frobenius_of_outer, marginal_contrast};
use crate::learners::{LinearPredictor, changes, refuse_one_class};
use crate::linalg::graph::{Graph, Join};
use crate::linalg::kernels::Kernel;
use crate::linalg::neighbors::Searchable;
use crate::linalg::nystrom::{Nystrom, NystromError, landmarks_of};
use crate::linalg::{
    Geodesic, Matrix, PrincipalAxes, Triangle, cholesky, gram, matmul, matmul_tn, solve_spd, solve_triangular,
};
use crate::methods::{Card, DomainMaps, Estimate, Estimator, Family, Map, Needs, Toy};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

/// Where the number of axes is not given, they hold this share of the target's variance, ...
const DEFAULT_SHARE: f64 = 0.95;
/// ... and are no more than the paper's dimension.
const DEFAULT_MOST: usize = 20;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Axes of each domain's subspace; left out, as many as hold 95 % of the target's variance, at most 20.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_components: Option<usize>,
    /// σ of the Gaussian kernel on rows of unit length.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub bandwidth: f64,
    /// p, how many nearest rows each row is joined to in the graph.
    #[schemars(range(min = 1, max = 1000))]
    pub n_neighbors: usize,
    /// λ: the larger, the closer the means of the domains are held together.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub alignment: f64,
    /// η, the penalty on the classifier itself; larger is smoother.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub regularization: f64,
    /// ρ: the larger, the more rows that are near each other get the same class.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub smoothness: f64,
    /// μ, from 0 (means of whole domains are aligned) to 1 (means of classes).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub conditional_share: f64,
    /// T, rounds of fitting and labelling the target.
    #[schemars(range(min = 1, max = 100))]
    pub n_iterations: usize,
    /// Rows from which kernel features are built; with no more rows than this they are exact.
    #[schemars(range(min = 10, max = 2500))]
    pub max_landmarks: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            n_components: None,
            bandwidth: 1.0,
            n_neighbors: 10,
            alignment: 10.0,
            regularization: 0.1,
            smoothness: 1.0,
            conditional_share: 0.5,
            n_iterations: 10,
            max_landmarks: 1000,
        }
    }
}

pub struct ManifoldEmbeddedDistributionAlignment;

impl Estimator for ManifoldEmbeddedDistributionAlignment {
    const CARD: Card = Card {
        id: "manifold_embedded_distribution_alignment",
        title: "Manifold embedded distribution alignment (MEDA)",
        family: Family::Mmd,
        summary: "Fits one kernel classifier to the sources' labels, to equal means of domains and classes, and to a \
                  graph of neighbours, and labels the target in rounds. Brings its own predictor.",
        when_to_use: "Classes are clouds of rows, and the nearest source row is right more often than not.",
        when_not: "A model of the sources is mostly wrong on the target, or the target's classes have other shares.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + n² k + n m (m + k) + m³) with k axes and m landmarks; memory linear in n",
        references: &[
            "Wang, Feng, Chen, Yu, Huang and Yu, Visual domain adaptation with manifold embedded distribution \
             alignment, ACM MM 2018",
            "Gong, Shi, Sha and Grauman, Geodesic flow kernel for unsupervised domain adaptation, CVPR 2012",
        ],
        defaults_from: "the authors' experiments on Office-Caltech10; μ = 0.5, which gives their mean there; 1000 landmarks, within 0.2 of the exact form there",
        toy: Toy::Subspace,
        waived: &[(
            "equal_domains_change_nothing",
            "it brings its own predictor, a kernel machine, where the check compares with source-only's learner",
        )],
    };
    type Params = Params;
    type Model = LinearPredictor;

    fn fit(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Estimate<LinearPredictor>, FitError> {
        ctx.phase("manifold")?;
        let manifold = manifold(problem, params)?;
        ctx.phase("features")?;
        let z = manifold.apply(&Matrix::stack(&[&problem.pooled_sources(), &problem.target.x]));
        let mut rng = ctx.rng("manifold_embedded_distribution_alignment landmarks");
        let n_source = z.n_rows() - problem.target.n_rows();
        let sources = z.select_rows(&(0..n_source).collect::<Vec<_>>());
        let target = z.select_rows(&(n_source..z.n_rows()).collect::<Vec<_>>());
        let landmarks = landmarks_of(&[&sources], &target, params.max_landmarks, &mut rng);
        let kernel = Kernel::Rbf { bandwidth: params.bandwidth };
        let nystrom = Nystrom::new(kernel, landmarks).map_err(|e| match e {
            NystromError::Kernel(e) => FitError::Degenerate(e.to_string()),
            NystromError::Decompose(e) => FitError::Numerical(e.to_string()),
        })?;
        ctx.phase("graph")?;
        let graph = cosine_graph(&z, params.n_neighbors);
        ctx.check()?;
        let rounds = Rounds::new(problem, &nystrom.features(&z), &graph, params)?;
        ctx.phase("rounds")?;
        let first = nearest_labels(&sources, &rounds.codes, &target);
        let fitted = rounds.run(first, params, ctx)?;
        refuse_one_class(&fitted.labels, problem, "lower alignment, or scale the features")?;

        let map = Map::Kernel {
            kernel,
            landmarks: nystrom.landmarks().clone(),
            matrix: matmul(nystrom.projection().view(), rounds.unwhiten(&fitted.weights).view()),
            offset: Array1::zeros(problem.task.n_classes()),
        };
        let maps = DomainMaps::shared(problem.sources.len(), Map::Chain(vec![manifold, map]));
        let model = LinearPredictor::largest_of(&rounds.present());
        let diagnostics = BTreeMap::from([("changed_in_last_round".into(), fitted.changed as f64)]);
        Ok(Estimate { maps, model, diagnostics })
    }

    fn load(parts: &Parts) -> Result<LinearPredictor, LoadError> {
        LinearPredictor::load_decisions(parts)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum();
        let (d, m) = (problem.n_features(), params.max_landmarks.min(n));
        let (c, edges) = (problem.task.n_classes(), 2 * params.n_neighbors.min(n));
        let axes = 2 * n * d + 3 * d * d.min(n);
        8 * (axes + 3 * n * m + 4 * m * m + n * (3 * c + 6 * edges) + (1 << 22).min(n * n)) as u64
    }
}

/// The map into the manifold: the geodesic's factor, then unit length.
fn manifold(problem: &Problem, params: &Params) -> Result<Map, FitError> {
    let most = params.n_components.unwrap_or(DEFAULT_MOST);
    let axes =
        |x: &Matrix| PrincipalAxes::widest(x.dense().view(), most).map_err(|e| FitError::Numerical(e.to_string()));
    let (source, target) = (axes(&problem.pooled_sources())?, axes(&problem.target.x)?);
    let rank = source.rank().min(target.rank());
    let k = match params.n_components {
        _ if rank == 0 => {
            return Err(FitError::Degenerate("all rows of a domain are equal: it has no principal axis".into()));
        }
        None => target.holding(DEFAULT_SHARE).min(DEFAULT_MOST).min(rank),
        Some(k) if k <= rank => k,
        Some(k) => {
            return Err(FitError::Invalid {
                pointer: "/method/params/n_components".into(),
                detail: format!("{k} components were asked for; the domain of least rank has {rank}"),
            });
        }
    };
    let geodesic =
        Geodesic::between(source.first(k), target.first(k)).map_err(|e| FitError::Numerical(e.to_string()))?;
    let (shift, offset) = (Array1::zeros(problem.n_features()), Array1::zeros(geodesic.factor.ncols()));
    Ok(Map::Chain(vec![Map::Affine { shift, matrix: geodesic.factor, offset }, Map::UnitRows]))
}

/// Every row joined to the nearest by cosine, with the cosine as weight; z has rows of unit length.
fn cosine_graph(z: &Matrix, p: usize) -> Graph {
    let nearest = Searchable::new(z.clone()).nearest_others(p);
    let cosine = |squared: f64| (1.0 - 0.5 * squared).max(0.0);
    let edges: Vec<Vec<(usize, f64)>> =
        nearest.iter().map(|near| near.iter().map(|n| (n.row, cosine(n.squared_distance))).collect()).collect();
    Graph::joined(&edges, Join::Larger)
}

fn nearest_labels(sources: &Matrix, codes: &[usize], target: &Matrix) -> Vec<usize> {
    let mut labels = Vec::with_capacity(target.n_rows());
    let rows = Searchable::new(sources.clone());
    rows.each_nearest(target, 1, |_, nearest| labels.extend(nearest.first().map(|n| codes[n.row])));
    labels
}

/// What does not change from round to round.
struct Rounds {
    /// The sources' classes, pooled.
    codes: Vec<usize>,
    n_classes: usize,
    /// Ψ = Φ L^{-T}, `(n, r)`, with L Lᵀ = Φᵀ(E + ρL)Φ + ηI.
    whitened: Array2<f64>,
    /// L, `(r, r)`
    root: Array2<f64>,
    /// Ψᵀ E Y, `(r, C)`
    wanted: Array2<f64>,
}

/// The last round.
struct LastRound {
    /// On whitened features, `(r, C)`.
    weights: Array2<f64>,
    /// The target's classes.
    labels: Vec<usize>,
    /// How many target rows changed theirs.
    changed: usize,
}

impl Rounds {
    fn new(problem: &Problem, features: &Array2<f64>, graph: &Graph, params: &Params) -> Result<Self, FitError> {
        let (codes, weights) = (problem.source_codes(), problem.source_weights());
        let (n_source, n_classes) = (codes.len(), problem.task.n_classes());
        let source = features.slice(s![..n_source, ..]);
        let weighted = &source * &weights.view().insert_axis(Axis(1));
        let mut left = matmul_tn(weighted.view(), source);
        if params.smoothness > 0.0 {
            let smooth = graph.normalized_laplacian_dot(features.view());
            left.scaled_add(params.smoothness, &matmul_tn(features.view(), smooth.view()));
        }
        left.diag_mut().mapv_inplace(|v| v + params.regularization);
        let numerical = |e: crate::linalg::DecomposeError| FitError::Numerical(e.to_string());
        let root = cholesky(left.view()).map_err(numerical)?;
        let whitened = solve_triangular(root.view(), features.t(), Triangle::Lower).reversed_axes();
        let mut y = Array2::zeros((n_source, n_classes));
        codes.iter().enumerate().for_each(|(i, &c)| y[[i, c]] = weights[i]);
        let wanted = matmul_tn(whitened.slice(s![..n_source, ..]), y.view());
        Ok(Self { codes, n_classes, whitened, root, wanted })
    }

    fn run(&self, mut labels: Vec<usize>, params: &Params, ctx: &mut Ctx) -> Result<LastRound, FitError> {
        let present = self.present();
        let mut last = LastRound { weights: self.wanted.clone(), changed: labels.len(), labels: Vec::new() };
        for round in 0..params.n_iterations {
            last.weights = self.solve(&labels, params)?;
            let scores = matmul(self.whitened.slice(s![self.codes.len().., ..]), last.weights.view());
            let before = std::mem::replace(&mut labels, largest(&scores, &present));
            last.changed = changes(&before, &labels);
            ctx.step(round as u64 + 1, Some(params.n_iterations as u64))?;
            if last.changed == 0 {
                break;
            }
        }
        last.labels = labels;
        Ok(last)
    }

    /// One round: w of Ψ for the target's labels.
    fn solve(&self, labels: &[usize], params: &Params) -> Result<Array2<f64>, FitError> {
        let classes = RowClasses { source: &self.codes, target: labels, n_classes: self.n_classes };
        let mu = params.conditional_share;
        let n_present = self.present().iter().filter(|p| **p).count();
        let marginal = marginal_contrast(self.codes.len(), labels.len()) * ((1.0 - mu) * n_present as f64).sqrt();
        let contrasts = ndarray::concatenate![Axis(1), marginal, class_contrasts(classes) * mu.sqrt()];
        let norm = frobenius_of_outer(&contrasts);
        if norm <= 0.0 || params.alignment <= 0.0 {
            return Ok(self.wanted.clone());
        }
        let a = matmul_tn(self.whitened.view(), contrasts.view()) * (params.alignment / norm).sqrt();
        // (I + A Aᵀ)⁻¹ = I − A (I + Aᵀ A)⁻¹ Aᵀ
        let inner = gram(a.view()) + Array2::<f64>::eye(a.ncols());
        let along = matmul_tn(a.view(), self.wanted.view());
        let share = solve_spd(inner.view(), along.view()).map_err(|e| FitError::Numerical(e.to_string()))?;
        Ok(&self.wanted - &matmul(a.view(), share.view()))
    }

    /// Weights of Φ from those of Ψ.
    fn unwhiten(&self, weights: &Array2<f64>) -> Array2<f64> {
        solve_triangular(self.root.view(), weights.view(), Triangle::LowerTransposed)
    }

    /// Whether each class has a source row.
    fn present(&self) -> Vec<bool> {
        let mut present = vec![false; self.n_classes];
        self.codes.iter().for_each(|&c| present[c] = true);
        present
    }
}

/// The class of the largest score of each row among those present.
fn largest(scores: &Array2<f64>, present: &[bool]) -> Vec<usize> {
    let best = |row: ndarray::ArrayView1<f64>| {
        let classes = (0..row.len()).filter(|&c| present[c]);
        classes.reduce(|best, c| if row[c] > row[best] { c } else { best }).unwrap_or(0)
    };
    scores.axis_iter(Axis(0)).map(best).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    fn problem(n: usize) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: n, n_target: n + 10, n_features: 6, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn scores(problem: &Problem, params: Value) -> (Array2<f64>, Array2<f64>) {
        let params = Checked::new(&params).unwrap();
        let estimate = ManifoldEmbeddedDistributionAlignment::fit(problem, &params, &mut Ctx::new(0, &Silent)).unwrap();
        let apply = |map: &Map, x: &Matrix| map.apply(x).dense().into_owned();
        (apply(&estimate.maps.sources[0], &problem.sources[0].x), apply(&estimate.maps.target, &problem.target.x))
    }

    fn distance_of_means(problem: &Problem, alignment: f64) -> f64 {
        let (source, target) = scores(problem, json!({"alignment": alignment, "conditional_share": 0.0}));
        let difference = crate::linalg::column_means(source.view()) - crate::linalg::column_means(target.view());
        difference.dot(&difference).sqrt()
    }

    #[test]
    fn the_larger_the_alignment_the_nearer_the_means_of_the_decisions() {
        let problem = problem(60);
        let distances = [0.0, 10.0, 1e5].map(|alignment| distance_of_means(&problem, alignment));
        assert!(distances[0] > distances[1] && distances[1] > distances[2], "{distances:?}");
        assert!(distances[2] < 0.02 * distances[0], "{distances:?}");
    }

    #[test]
    fn a_larger_smoothness_brings_decisions_of_neighbours_together() {
        let problem = problem(60);
        let roughness = |smoothness: f64| {
            let (_, target) = scores(&problem, json!({"smoothness": smoothness, "alignment": 0.0}));
            let z = manifold(&problem, &Params::default()).unwrap().apply(&problem.target.x);
            let smooth = cosine_graph(&z, 10).normalized_laplacian_dot(target.view());
            (&target * &smooth).sum() / (&target * &target).sum()
        };
        assert!(roughness(10.0) < 0.7 * roughness(0.0));
    }

    #[test]
    fn few_landmarks_come_near_what_all_rows_give() {
        let problem = problem(200);
        let exact = scores(&problem, json!({"max_landmarks": 2500})).1;
        let few = scores(&problem, json!({"max_landmarks": 120})).1;
        let error = (&exact - &few).iter().map(|v| v * v).sum::<f64>() / exact.iter().map(|v| v * v).sum::<f64>();
        assert!(error < 1e-2, "{error:e}");
    }

    #[test]
    fn a_source_equal_to_the_target_keeps_its_labels() {
        let mut problem = problem(100);
        problem.target = Dataset { labels: problem.sources[0].labels.hidden(), ..problem.sources[0].clone() };
        let (source, target) = scores(&problem, Value::Null);
        assert_eq!(source, target);
        let codes = problem.source_codes();
        let found = largest(&target, &[true, true]);
        let right = codes.iter().zip(&found).filter(|(a, b)| a == b).count();
        assert!(right >= 85, "{right} of 100");
    }
}
