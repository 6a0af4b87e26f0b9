//! SPL: pseudo-labels by class means and by clusters of the target, of which the surest of each class shape the
//! next projection, a larger share every round (Wang and Breckon, "Unsupervised domain adaptation via structured
//! prediction based selective pseudo-labeling", AAAI 2020):
//!
//! 1. Rows are scaled to unit length, put on the first k principal axes of all domains, and to unit length again.
//! 2. Supervised locality preserving projection of the rows labelled so far, W the graph that joins rows of one
//!    class: the leading P of `Xᵀ D X p = γ (Xᵀ L X + α I) p`, rows being samples.
//! 3. Projected rows are centred and scaled to unit length; so are the means of the sources' classes.
//! 4. k-means of the target that begins at these means; a cluster keeps the class that it began with.
//! 5. `p(c | x)` is the larger of the two of `exp(−‖x − μ_c‖)`, normalised over classes, μ of classes or of
//!    clusters.
//! 6. The surest `t/T` of the rows of each predicted class join the sources for round t + 1.
//!
//! **No n × n matrix.** W is constant on blocks: `Xᵀ L X = Σ_c n_c X_cᵀ X_c − s_c s_cᵀ` with s_c the sum of the rows of
//! class c, and `Xᵀ D X = Σ_c n_c X_cᵀ X_c`. With as many projections as axes (the default) any P with
//! `P Pᵀ = (Xᵀ L X + α I)⁻¹` gives the same distances, so a Cholesky factor takes the place of the eigenproblem.
//!
//! **Left open, and chosen as the authors' published experiments do:** rows are not centred before they are put on
//! the axes; means of classes and clusters are scaled to unit length; P is scaled so that `Pᵀ (Xᵀ L X + αI) P = I`.
//! The share of a class is rounded up, so that a class of few rows takes part from the first round on. The axes are
//! exact: by a randomised decomposition accuracies move by points from seed to seed. Weights of source rows
//! count as so many rows.
//!
//! **New rows** are mapped as the target's and compared with the last means of classes and clusters.
//!
//! **Cost.** O(n d min(n, d) + T (n k² + n k C + k³)), T rounds. **When.** Classes form clusters in the target
//! that lie nearest to their own class's mean. **When not.** The target lacks classes, or clusters are mixed.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::learners::nearest_centroid::Centroids;
use crate::learners::{Prediction, Predictor, Scores, changes, refuse_one_class};
use crate::linalg::{
    DecomposeError, Matrix, PrincipalAxes, Triangle, cholesky, column_means, gram, matmul, solve_triangular,
    top_symmetric_eigen,
};
use crate::methods::{Card, DomainMaps, Estimate, Estimator, Family, Map, Needs, Toy};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

/// k-means ends here at the latest; it is usually done in ten rounds.
const MOST_CLUSTERINGS: usize = 100;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Principal axes that rows are first put on; fewer where there are fewer.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_components: usize,
    /// Projections among them that keep rows of one class together; left out, as many as axes.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_projections: Option<usize>,
    /// α: the larger, the less the projection follows the classes.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub regularization: f64,
    /// T: the surest 1/T of each class joins after the first round, 2/T after the second, and so on.
    #[schemars(range(min = 1, max = 100))]
    pub n_iterations: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { n_components: 128, n_projections: None, regularization: 1.0, n_iterations: 10 }
    }
}

pub struct SelectivePseudoLabeling;

impl Estimator for SelectivePseudoLabeling {
    const CARD: Card = Card {
        id: "selective_pseudo_labeling",
        title: "Selective pseudo-labeling (SPL)",
        family: Family::ClassStructure,
        summary: "Labels the target by class means and by its own clusters, and lets the surest rows of each class \
                  shape the next projection. Fast; brings its own predictor.",
        when_to_use: "The target's classes are clusters that lie nearest to the same class of the source.",
        when_not: "The target lacks some of the classes, or its rows do not cluster by class.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + T (n k² + k³)) with k axes and T rounds",
        references: &[
            "Wang and Breckon, Unsupervised domain adaptation via structured prediction based selective \
             pseudo-labeling, AAAI 2020",
            "Wang, Bu and Breckon, Unifying unsupervised domain adaptation and zero-shot visual recognition, IJCNN 2019",
        ],
        defaults_from: "the authors' experiments on Office-Caltech: 128 axes, α = 1, T = 10",
        toy: Toy::Subspace,
        waived: &[(
            "equal_domains_change_nothing",
            "it brings its own predictor, class and cluster means, where the check compares with source-only's learner",
        )],
    };
    type Params = Params;
    type Model = ClassAndCluster;

    fn fit(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Estimate<ClassAndCluster>, FitError> {
        ctx.phase("axes")?;
        let axes = axes(problem, params)?;
        let rows = axes.apply(&Matrix::stack(&[&problem.pooled_sources(), &problem.target.x])).dense().into_owned();
        ctx.phase("rounds")?;
        let rounds = Rounds::new(problem, rows);
        let n_rounds = params.n_iterations as u64 + 1;
        let mut labelled = rounds.label(&vec![None; problem.target.n_rows()], params)?;
        for round in 1..=params.n_iterations {
            ctx.step(round as u64, Some(n_rounds))?;
            let chosen = surest(&labelled.codes, &labelled.scores, (round, params.n_iterations));
            let before = std::mem::replace(&mut labelled, rounds.label(&chosen, params)?);
            labelled.changed = changes(&before.codes, &labelled.codes);
            ctx.metric("changed", labelled.changed as f64);
        }
        ctx.step(n_rounds, Some(n_rounds))?;
        let Labelled { projection, model, codes, changed, .. } = labelled;
        refuse_one_class(&codes, problem, "take a larger regularization, or fewer components")?;
        let maps = DomainMaps::shared(problem.sources.len(), Map::Chain(vec![axes, projection, Map::UnitRows]));
        Ok(Estimate { maps, model, diagnostics: BTreeMap::from([("changed_in_last_round".into(), changed as f64)]) })
    }

    fn load(parts: &Parts) -> Result<ClassAndCluster, LoadError> {
        ClassAndCluster::load(parts)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum();
        let (d, c) = (problem.n_features(), problem.task.n_classes());
        let k = params.n_components.min(d).min(n);
        8 * (3 * n * d + 3 * d * d.min(n) + n * (4 * k + 3 * c) + 4 * k * k) as u64
    }
}

/// The map to unit length, the first principal axes of all domains, and unit length again.
fn axes(problem: &Problem, params: &Params) -> Result<Map, FitError> {
    let pooled = Map::UnitRows.apply(&Matrix::stack(&[&problem.pooled_sources(), &problem.target.x]));
    let axes = PrincipalAxes::widest(pooled.dense().view(), params.n_components).map_err(numerical)?;
    let k = params.n_components.min(axes.rank());
    if k == 0 {
        return Err(FitError::Degenerate("all rows of all domains are equal: there is no axis".into()));
    }
    let (shift, offset) = (Array1::zeros(problem.n_features()), Array1::zeros(k));
    let onto = Map::Affine { shift, matrix: axes.first(k).to_owned(), offset };
    Ok(Map::Chain(vec![Map::UnitRows, onto, Map::UnitRows]))
}

fn numerical(e: DecomposeError) -> FitError {
    FitError::Numerical(e.to_string())
}

fn unit(x: Array2<f64>) -> Array2<f64> {
    Map::UnitRows.apply(&Matrix::Dense(x)).dense().into_owned()
}

/// What does not change from round to round.
struct Rounds {
    /// On the axes, the sources' first, `(n, k)`.
    rows: Array2<f64>,
    /// The sources' classes, `(n_source,)`.
    codes: Vec<usize>,
    /// `(n_source,)`
    weights: Array1<f64>,
    /// The classes of source rows that count, ascending.
    present: Vec<usize>,
    n_classes: usize,
}

/// What one round makes of the rows chosen for it.
struct Labelled {
    projection: Map,
    model: ClassAndCluster,
    /// The class of each target row, `(n_target,)`.
    codes: Vec<usize>,
    /// How sure of each class, `(n_target, C)`.
    scores: Array2<f64>,
    /// How many target rows got another class than in the round before.
    changed: usize,
}

impl Rounds {
    fn new(problem: &Problem, rows: Array2<f64>) -> Self {
        let (codes, weights) = (problem.source_codes(), problem.source_weights());
        let present = problem.source_classes();
        Self { rows, codes, weights, present, n_classes: problem.task.n_classes() }
    }

    /// `chosen (n_target,)`: the classes of the target rows that shape the projection.
    fn label(&self, chosen: &[Option<usize>], params: &Params) -> Result<Labelled, FitError> {
        let matrix = self.projection(chosen, params)?;
        let mean = column_means(self.rows.view());
        let projected = unit(matmul((&self.rows - &mean).view(), matrix.view()));
        let (source, target) = projected.view().split_at(Axis(0), self.codes.len());
        let classes = self.class_means(source);
        let target = Matrix::Dense(target.to_owned());
        let clusters = unit(cluster(&target, classes.clone()));
        let centroids = |means| Centroids::new(means, self.present.clone(), self.n_classes);
        let model = ClassAndCluster { classes: centroids(classes), clusters: centroids(clusters) };
        let offset = Array1::zeros(matrix.ncols());
        let scores = model.larger(&target);
        let codes = model.largest(&scores);
        let projection = Map::Affine { shift: mean, matrix, offset };
        Ok(Labelled { projection, model, codes, scores, changed: chosen.len() })
    }

    /// P, `(k, q)`.
    fn projection(&self, chosen: &[Option<usize>], params: &Params) -> Result<Array2<f64>, FitError> {
        let k = self.rows.ncols();
        let target = chosen.iter().enumerate().filter_map(|(i, c)| c.map(|c| (self.codes.len() + i, c, 1.0)));
        let source = self.codes.iter().enumerate().map(|(i, &c)| (i, c, self.weights[i]));
        let labelled: Vec<(usize, usize, f64)> = source.chain(target).collect();
        let mut totals = vec![0.0; self.n_classes];
        labelled.iter().for_each(|&(_, c, w)| totals[c] += w);
        let mut weighted = Array2::zeros((labelled.len(), k));
        let mut sums = Array2::zeros((self.n_classes, k));
        for (&(i, c, w), mut row) in labelled.iter().zip(weighted.axis_iter_mut(Axis(0))) {
            row.scaled_add((w * totals[c]).sqrt(), &self.rows.row(i));
            sums.row_mut(c).scaled_add(w, &self.rows.row(i));
        }
        // Xᵀ D X, and what is left of it within classes: Xᵀ L X.
        let degrees = gram(weighted.view());
        let mut within = &degrees - &gram(sums.view());
        within.diag_mut().mapv_inplace(|v| v + params.regularization);
        let root = cholesky(within.view()).map_err(numerical)?;
        let back = |x: Array2<f64>| solve_triangular(root.view(), x.view(), Triangle::LowerTransposed);
        match params.n_projections {
            Some(q) if q < k => {
                let half = solve_triangular(root.view(), degrees.view(), Triangle::Lower);
                let inner = solve_triangular(root.view(), half.t(), Triangle::Lower);
                let inner = (&inner + &inner.t()) * 0.5;
                Ok(back(top_symmetric_eigen(inner.view(), q).map_err(numerical)?.1))
            }
            _ => Ok(back(Array2::eye(k))),
        }
    }

    /// Means of the sources' classes, scaled to unit length, `(p, q)`.
    fn class_means(&self, source: ArrayView2<f64>) -> Array2<f64> {
        let mut sums = Array2::zeros((self.n_classes, source.ncols()));
        for ((row, &c), w) in source.axis_iter(Axis(0)).zip(&self.codes).zip(&self.weights) {
            sums.row_mut(c).scaled_add(*w, &row);
        }
        unit(sums.select(Axis(0), &self.present))
    }
}

/// Lloyd's k-means from `means (p, q)` on; a cluster that loses all rows stays where it is.
fn cluster(x: &Matrix, means: Array2<f64>) -> Array2<f64> {
    let p = means.nrows();
    let mut centroids = Centroids::new(means, (0..p).collect(), p);
    let dense = x.dense();
    let mut before = Vec::new();
    for _ in 0..MOST_CLUSTERINGS {
        let nearest = centroids.predict(x).codes().to_vec();
        if nearest == before {
            break;
        }
        let mut sums = Array2::zeros((p, dense.ncols()));
        let mut counts = vec![0.0; p];
        for (row, &c) in dense.axis_iter(Axis(0)).zip(&nearest) {
            sums.row_mut(c).scaled_add(1.0, &row);
            counts[c] += 1.0;
        }
        let mut means = centroids.means().clone();
        for c in (0..p).filter(|&c| counts[c] > 0.0) {
            means.row_mut(c).assign(&(&sums.row(c) / counts[c]));
        }
        centroids = Centroids::new(means, (0..p).collect(), p);
        before = nearest;
    }
    centroids.means().clone()
}

/// The surest `part` of `whole` of the rows of each predicted class, rounded up, with their classes.
fn surest(codes: &[usize], scores: &Array2<f64>, (part, whole): (usize, usize)) -> Vec<Option<usize>> {
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    codes.iter().enumerate().for_each(|(i, &c)| by_class.entry(c).or_default().push(i));
    let mut chosen = vec![None; codes.len()];
    for (class, mut rows) in by_class {
        rows.sort_by(|&a, &b| scores[[b, class]].total_cmp(&scores[[a, class]]));
        let count = (part * rows.len()).div_ceil(whole);
        rows.iter().take(count).for_each(|&i| chosen[i] = Some(class));
    }
    chosen
}

/// Means of the sources' classes and of the target's clusters, in one space.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassAndCluster {
    classes: Centroids,
    clusters: Centroids,
}

impl ClassAndCluster {
    fn load(parts: &Parts) -> Result<Self, LoadError> {
        let (classes, clusters) =
            (Centroids::load(parts.child("classes")?)?, Centroids::load(parts.child("clusters")?)?);
        if classes.present() != clusters.present() || classes.means().dim() != clusters.means().dim() {
            return Err(LoadError("means of classes and of clusters do not fit together".into()));
        }
        Ok(Self { classes, clusters })
    }

    /// The larger of both probabilities, `(n, C)`; rows sum to one at least.
    fn larger(&self, x: &Matrix) -> Array2<f64> {
        let mut scores = self.classes.probabilities(x);
        scores.zip_mut_with(&self.clusters.probabilities(x), |a, b| *a = a.max(*b));
        scores
    }

    /// The class of the largest score of each row.
    fn largest(&self, scores: &Array2<f64>) -> Vec<usize> {
        let of = |row: ArrayView1<f64>| {
            let classes = self.classes.present().iter().copied();
            classes.reduce(|best, c| if row[c] > row[best] { c } else { best }).unwrap_or(0)
        };
        scores.axis_iter(Axis(0)).map(of).collect()
    }
}

impl Predictor for ClassAndCluster {
    fn predict(&self, x: &Matrix) -> Prediction {
        let scores = self.larger(x);
        let codes = self.largest(&scores);
        let totals = scores.sum_axis(Axis(1)).insert_axis(Axis(1));
        Prediction::Classes { codes, scores: scores / &totals, kind: Scores::Probability }
    }

    fn n_features(&self) -> usize {
        self.classes.n_features()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put_child("classes", self.classes.save()).put_child("clusters", self.clusters.save());
        parts
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, toy};

    fn problem(n: usize) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: n, n_target: n + 10, n_features: 6, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn rounds(problem: &Problem) -> Rounds {
        let axes = axes(problem, &Params::default()).unwrap();
        let rows = axes.apply(&Matrix::stack(&[&problem.pooled_sources(), &problem.target.x])).dense().into_owned();
        Rounds::new(problem, rows)
    }

    #[test]
    fn the_projection_whitens_what_varies_within_classes() {
        // Pᵀ (Σ_c n_c X_cᵀ X_c − s_c s_cᵀ + αI) P = I, by the sums of the definition.
        let problem = problem(30);
        let rounds = rounds(&problem);
        let mut chosen = vec![None; 40];
        chosen[..7].iter_mut().enumerate().for_each(|(i, c)| *c = Some(i % 2));
        let params = Params { regularization: 0.7, ..Params::default() };
        let labels: Vec<Option<usize>> = rounds.codes.iter().map(|&c| Some(c)).chain(chosen.iter().copied()).collect();
        let mut within = Array2::<f64>::eye(rounds.rows.ncols()) * 0.7;
        for (a, la) in rounds.rows.axis_iter(Axis(0)).zip(&labels) {
            for (b, lb) in rounds.rows.axis_iter(Axis(0)).zip(&labels) {
                if la.is_some() && la == lb {
                    let difference = (&a - &b).insert_axis(Axis(1));
                    within += &(difference.dot(&difference.t()) * 0.5);
                }
            }
        }
        for n_projections in [None, Some(3)] {
            let p = rounds.projection(&chosen, &Params { n_projections, ..params.clone() }).unwrap();
            let gram = p.t().dot(&within).dot(&p) - Array2::<f64>::eye(p.ncols());
            assert!(gram.iter().all(|v| v.abs() < 1e-9), "{gram}");
        }
    }

    #[test]
    fn the_surest_of_each_class_are_chosen_and_a_class_of_one_row_is_too() {
        let scores = array![[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.7, 0.3, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0]];
        let codes = [0, 0, 0, 1, 0];
        assert_eq!(surest(&codes, &scores, (1, 2)), [Some(0), None, Some(0), Some(1), None]);
        assert_eq!(surest(&codes, &scores, (2, 2)), [Some(0), Some(0), Some(0), Some(1), Some(0)]);
    }

    #[test]
    fn clusters_follow_the_rows_and_an_empty_one_stays() {
        let x: Matrix = array![[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]].into();
        let found = cluster(&x, array![[1.0, 1.0], [4.0, 4.0], [90.0, 90.0]]);
        assert_eq!(found, array![[0.0, 0.5], [5.0, 5.5], [90.0, 90.0]]);
    }

    #[test]
    fn a_source_equal_to_the_target_keeps_its_labels_and_a_saved_model_predicts_the_same() {
        let mut problem = problem(100);
        let labels: Labels = problem.sources[0].labels.hidden();
        problem.target = Dataset { labels, ..problem.sources[0].clone() };
        for params in [Value::Null, json!({"n_projections": 2})] {
            let params = Checked::new(&params).unwrap();
            let got = SelectivePseudoLabeling::fit(&problem, &params, &mut Ctx::new(0, &Silent)).unwrap();
            let rows = got.maps.target.apply(&problem.target.x);
            let found = got.model.predict(&rows);
            let right = problem.source_codes().iter().zip(found.codes()).filter(|(a, b)| a == b).count();
            assert!(right >= 85, "{right} of 100");
            assert_eq!(ClassAndCluster::load(&got.model.save()).unwrap().predict(&rows), found);
        }
    }
}
