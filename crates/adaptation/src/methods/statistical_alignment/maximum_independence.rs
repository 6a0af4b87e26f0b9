//! Components of large variance that do not tell from which domain a row comes, and that follow the label
//! (Yan, Kou and Zhang, "Learning domain-invariant subspace using domain features and independence
//! maximization", IEEE Transactions on Cybernetics 48(1), 2018: MIDA, and SMIDA where γ > 0):
//!
//! ```text
//! max_W  tr(Wᵀ K (−H K_d H + μ H + γ H K_y H) K W)   with   Wᵀ W = I
//! ```
//!
//! K is the kernel of all rows, `K_d = D Dᵀ` of their domain features, `K_y = Y Yᵀ` of their labels; H centres.
//! D marks the domain of a row, one column for each source and one for the target, so that any number of sources
//! is made alike at once. Y marks the class of source rows, or holds their centred and scaled value; rows
//! of the target are zero in it, whether labelled or not. The dependence terms grow as n², the variance as
//! n: with many rows independence comes before variance, as in the paper.
//!
//! **Feature augmentation.** D is appended to the features of every row, so that a component may subtract what
//! is peculiar to a domain instead of giving up the direction. New rows are given the target's.
//!
//! **No n × n matrix.** With Φ (n, r) centred features of the kernel, `K = Φ Φᵀ` (centred, which the paper leaves
//! open) and `R = Φᵀ Φ`, every W is `Φ R^{-1/2} V`, and what is left is
//!
//! ```text
//! max_V  tr(Vᵀ R^{1/2} (−A Aᵀ + μ R + γ B Bᵀ) R^{1/2} V)  with  Vᵀ V = I,   A = Φᵀ D,  B = Φᵀ Y
//! ```
//!
//! of size r. Rows go to `(φ(x) − mean) R^{1/2} V`, divided by the largest deviation so that components
//! keep the scale of the features. Components on which the objective is not positive depend on the domain
//! more than they vary, and are left out.
//!
//! **Features.** Linear kernel: the columns where d ≤ n, coordinates on the principal axes where d > n. Other
//! kernels: Nyström features of `max_landmarks` rows, half of them from the target, exact where there are no
//! more rows than that; this is also how **new rows** are mapped (Williams and Seeger 2000).
//!
//! **Cost.** O(n d² + d³) linear with d ≤ n, O(n² d) with d > n, O(n m (d + m) + m³) otherwise; memory linear in
//! n. **When.** Several domains, or devices with a bias of their own each. **When not.** The shares of classes
//! differ: then the domain is not independent of the label.

use ndarray::{Array1, Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Labels, Problem, Task, TaskKind};
use crate::features::ComponentFeatures;
use crate::linalg::kernels::Kernel;
use crate::linalg::nystrom::landmarks_of;
use crate::linalg::{Matrix, column_means, gram, matmul, matmul_nt, matmul_tn, sqrt_spd, top_symmetric_eigen};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

/// Where the number of components is not given; the paper's.
const DEFAULT_COMPONENTS: usize = 30;
/// A component whose objective is below this share of the first one's is rounding.
const RELATIVE_FLOOR: f64 = 1e-10;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The kernel by which rows are compared.
    pub kernel: KernelName,
    /// σ of the kernel; "median" is the median distance of at most 1000 pooled rows. Not used by linear and cosine.
    pub bandwidth: Bandwidth,
    /// Number of components; left out, 30 or as many as there are.
    #[schemars(range(min = 1, max = 10_000))]
    pub n_components: Option<usize>,
    /// μ: how much variance counts against independence of the domain.
    #[schemars(range(min = 1e-10, max = 1e10))]
    pub variance_weight: f64,
    /// γ: how much it counts that components follow the source's labels; 0 does not look at labels (MIDA).
    #[schemars(range(min = 0.0, max = 1e10))]
    pub label_weight: f64,
    /// Whether a mark of its domain is appended to every row, so that components can subtract what is peculiar
    /// to a domain.
    pub augment_features: bool,
    /// Rows from which kernel features are built; with no more rows than this they are exact.
    #[schemars(range(min = 10, max = 2500))]
    pub max_landmarks: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            kernel: KernelName::Linear,
            bandwidth: Bandwidth::default(),
            n_components: None,
            variance_weight: 1.0,
            label_weight: 0.1,
            augment_features: true,
            max_landmarks: 500,
        }
    }
}

pub struct MaximumIndependence;

impl Adapter for MaximumIndependence {
    const CARD: Card = Card {
        id: "maximum_independence",
        title: "Maximum independence domain adaptation (MIDA, SMIDA)",
        family: Family::StatisticalAlignment,
        summary: "Finds components of large variance that do not tell the domains apart and that follow the label.",
        when_to_use: "Several domains or devices, each with a bias of its own.",
        when_not: "The shares of the classes differ, so that the domain is not independent of the label.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "linear kernel O(n d min(n, d)); others O(n m (d + m) + m³) with m landmarks; memory linear in n",
        references: &[
            "Yan, Kou and Zhang, Learning domain-invariant subspace using domain features and independence \
             maximization, IEEE Transactions on Cybernetics 2018",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "linear kernel, 30 components, μ = 1, γ = 0.1 and augmented features as in the leading code",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        ctx.phase("features")?;
        let rows = Rows::of(problem, params.augment_features);
        let domains: Vec<&Matrix> = rows.domains.iter().collect();
        let kernel = params
            .kernel
            .resolve(params.bandwidth, &domains, &mut ctx.rng("maximum_independence bandwidth"))
            .map_err(|e| FitError::Degenerate(e.to_string()))?;
        let pooled = Matrix::stack(&domains);
        let features = match kernel {
            Kernel::Linear => ComponentFeatures::linear(&pooled)?,
            Kernel::Rbf { .. } | Kernel::Laplacian { .. } | Kernel::Polynomial { .. } | Kernel::Cosine => {
                let (target, sources) = (domains[domains.len() - 1], &domains[..domains.len() - 1]);
                let mut rng = ctx.rng("maximum_independence landmarks");
                ComponentFeatures::of_kernel(kernel, landmarks_of(sources, target, params.max_landmarks, &mut rng))?
            }
        };
        let f = features.apply(&pooled);
        ctx.phase("components")?;
        let components = Components::fit(f, &rows, &labels_of(problem), params)?;

        let map = features.followed_by(&components.mean, components.matrix.view());
        let mut maps = rows.augment.into_iter().map(|augment| match augment {
            Map::Identity => map.clone(),
            augment => Map::Chain(vec![augment, map.clone()]),
        });
        let sources = maps.by_ref().take(problem.sources.len()).collect();
        let target = maps.next().unwrap_or(Map::Identity);
        let mut adaptation = Adaptation::of_maps(DomainMaps { sources, target });
        let figures = [
            ("n_components", Some(components.matrix.ncols() as f64)),
            ("domain_share_before", Some(components.domain_share_before)),
            ("domain_share_after", Some(components.domain_share_after)),
            ("bandwidth", kernel.bandwidth()),
        ];
        adaptation.diagnostics.extend(figures.into_iter().filter_map(|(name, v)| Some((name.into(), v?))));
        Ok(adaptation)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum();
        let n_domains = problem.sources.len() + 1;
        let d = problem.n_features() + n_domains;
        let r = match params.kernel {
            KernelName::Linear => d.min(n),
            KernelName::Rbf | KernelName::Laplacian | KernelName::Cosine | KernelName::Polynomial(_) => {
                params.max_landmarks.min(n)
            }
        };
        8 * (3 * n * d + 2 * n * r + 6 * r * r + n_domains * d * r.min(params.max_landmarks)) as u64
    }
}

/// The rows of all domains, the target's last.
struct Rows {
    domains: Vec<Matrix>,
    /// What was appended to the rows of each domain.
    augment: Vec<Map>,
}

impl Rows {
    fn of(problem: &Problem, augmented: bool) -> Self {
        let q = problem.sources.len() + 1;
        let mark = |at: usize| Array1::from_shape_fn(q, |i| if i == at { 1.0 } else { 0.0 });
        let augment: Vec<Map> =
            (0..q).map(|i| if augmented { Map::Append { columns: mark(i) } } else { Map::Identity }).collect();
        let datasets = problem.sources.iter().chain([&problem.target]);
        let domains = datasets.zip(&augment).map(|(dataset, map)| map.apply(&dataset.x)).collect();
        Self { domains, augment }
    }

    /// `Fᵀ D`, `(r, q)`: the sums of centred features `f (n, r)` over the rows of each domain.
    fn sums(&self, f: &Array2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((f.ncols(), self.domains.len()));
        let mut start = 0;
        for (domain, mut sum) in self.domains.iter().zip(out.axis_iter_mut(Axis(1))) {
            let end = start + domain.n_rows();
            sum.assign(&f.slice(s![start..end, ..]).sum_axis(Axis(0)));
            start = end;
        }
        out
    }

    /// `tr(Σ_q s_q s_qᵀ / n_q)` for the sums `s_q` of each domain: the sum of squares that domain means explain.
    fn between(&self, sums: &Array2<f64>) -> f64 {
        self.domains.iter().zip(sums.axis_iter(Axis(1))).map(|(x, s)| s.dot(&s) / x.n_rows() as f64).sum()
    }
}

/// Y `(n_source, C)`: one column for each class, or one with the values centred and scaled to deviation 1.
fn labels_of(problem: &Problem) -> Array2<f64> {
    let n = problem.sources.iter().map(Dataset::n_rows).sum();
    let labels = problem.sources.iter().map(|s| &s.labels);
    match &problem.task {
        Task::Classification { classes } => {
            let codes = labels.flat_map(|l| if let Labels::Classes(v) = l { v.as_slice() } else { &[] });
            let mut y = Array2::zeros((n, classes.len()));
            for (mut row, code) in y.axis_iter_mut(Axis(0)).zip(codes) {
                code.iter().for_each(|c| row[*c] = 1.0);
            }
            y
        }
        Task::Regression => {
            let values = labels.flat_map(|l| if let Labels::Values(v) = l { v.as_slice() } else { &[] });
            let values: Array1<f64> = values.map(|v| v.unwrap_or(0.0)).collect();
            let centred = &values - values.mean().unwrap_or(0.0);
            let deviation = (centred.dot(&centred) / n as f64).sqrt();
            (if deviation > 0.0 { centred / deviation } else { centred }).insert_axis(Axis(1))
        }
    }
}

/// The solution in the space of the features.
struct Components {
    /// Mean of all rows' features, `(r,)`.
    mean: Array1<f64>,
    /// `R^{1/2} V` in units of the largest deviation, `(r, k)`
    matrix: Array2<f64>,
    /// The share of all variance that the domains' means explain, among the features and among the components.
    domain_share_before: f64,
    domain_share_after: f64,
}

impl Components {
    /// The components of features `f (n, r)` of these rows; `y (n_source, C)` belongs to the first of them.
    fn fit(mut f: Array2<f64>, rows: &Rows, y: &Array2<f64>, params: &Params) -> Result<Self, FitError> {
        let n = f.nrows() as f64;
        let mean = column_means(f.view());
        f -= &mean;
        let total = f.iter().map(|v| v * v).sum::<f64>();
        if total <= 1e-24 * n * mean.dot(&mean) {
            return Err(FitError::Degenerate("all rows of all domains are equal: no component varies".into()));
        }
        // With a mean square of 1 a row, fourth powers neither overflow nor vanish; every term is of degree 2.
        f *= (n / total).sqrt();
        let numerical = |e: crate::linalg::DecomposeError| FitError::Numerical(e.to_string());
        let scatter = gram(f.view());
        let a = rows.sums(&f);
        let b = matmul_tn(f.slice(s![..y.nrows(), ..]), y.view());
        drop(f);
        let mut inner = &scatter * params.variance_weight;
        inner -= &matmul_nt(a.view(), a.view());
        if params.label_weight > 0.0 {
            inner += &(matmul_nt(b.view(), b.view()) * params.label_weight);
        }
        let root = sqrt_spd(scatter.view()).map_err(numerical)?;
        let inner = matmul(matmul(root.view(), inner.view()).view(), root.view());
        let most = params.n_components.unwrap_or(DEFAULT_COMPONENTS);
        let (values, vectors) = top_symmetric_eigen(inner.view(), most).map_err(numerical)?;
        let k = n_independent(&values, params.n_components)?;
        let (largest, _) = top_symmetric_eigen(scatter.view(), 1).map_err(numerical)?;
        let matrix = matmul(root.view(), vectors.slice(s![.., ..k])) / largest[0].sqrt();
        let along = matmul_tn(matrix.view(), a.view());
        let after = (&matmul(scatter.view(), matrix.view()) * &matrix).sum();
        Ok(Self {
            domain_share_before: rows.between(&a) / n,
            domain_share_after: rows.between(&along) / after,
            mean,
            matrix,
        })
    }
}

/// How many of the components with these objectives, descending, are kept.
fn n_independent(values: &Array1<f64>, asked: Option<usize>) -> Result<usize, FitError> {
    let floor = RELATIVE_FLOOR * values.first().copied().unwrap_or(0.0);
    let k = values.iter().filter(|v| **v > floor && **v > 0.0).count();
    match asked {
        _ if k == 0 => Err(FitError::Degenerate(
            "every direction tells the domains apart more than it varies; raise variance_weight".into(),
        )),
        Some(asked) if k < asked => Err(FitError::Invalid {
            pointer: "/method/params/n_components".into(),
            detail: format!("{asked} components were asked for; only {k} vary more than they tell domains apart"),
        }),
        _ => Ok(k),
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

    fn problem(n: usize, d: usize) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: n, n_target: n + 7, n_features: d, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn adapt(problem: &Problem, params: Value) -> Result<Adaptation, FitError> {
        let params = Checked::new(&params).unwrap();
        MaximumIndependence::adapt(problem, &params, &mut Ctx::new(0, &Silent))
    }

    #[test]
    fn components_tell_little_of_the_domain_with_every_kernel() {
        let mut problem = problem(80, 6);
        let mut third = problem.sources[0].clone();
        third.x = (third.x.dense().into_owned() * 1.5 - 3.0).into();
        problem.sources.push(third);
        let polynomial = json!({"polynomial": {"degree": 2, "offset": 1.0}});
        for kernel in [json!("linear"), json!("rbf"), json!("laplacian"), json!("cosine"), polynomial] {
            for augment in [true, false] {
                let got = adapt(&problem, json!({"kernel": kernel, "augment_features": augment})).unwrap().diagnostics;
                let (before, after) = (got["domain_share_before"], got["domain_share_after"]);
                assert!(after < 0.05 * before, "{kernel}, {augment}: {before} to {after}");
            }
        }
    }

    #[test]
    fn reported_shares_are_those_of_the_mapped_rows() {
        let problem = problem(60, 5);
        let got = adapt(&problem, json!(null)).unwrap();
        let s = got.maps.sources[0].apply(&problem.sources[0].x).dense().into_owned();
        let t = got.maps.target.apply(&problem.target.x).dense().into_owned();
        let all = ndarray::concatenate![Axis(0), s, t];
        assert!(column_means(all.view()).iter().all(|v| v.abs() < 1e-10), "components have mean zero");
        let squared = |v: Array1<f64>| v.dot(&v);
        let between = 60.0 * squared(column_means(s.view())) + 67.0 * squared(column_means(t.view()));
        let want = between / all.iter().map(|v| v * v).sum::<f64>();
        assert!((got.diagnostics["domain_share_after"] - want).abs() < 1e-9 * want.max(1e-6), "{want}");
    }

    #[test]
    fn labels_draw_the_first_component_towards_them() {
        let problem = problem(100, 6);
        let Labels::Classes(codes) = &problem.sources[0].labels else { panic!("classes") };
        let correlation = |label_weight: f64| {
            let maps = adapt(&problem, json!({"label_weight": label_weight})).unwrap().maps;
            let z = maps.sources[0].apply(&problem.sources[0].x).dense().column(0).to_owned();
            let y: Array1<f64> = codes.iter().map(|c| c.unwrap_or(0) as f64 - 0.5).collect();
            let z = &z - z.mean().unwrap();
            (z.dot(&y) / (z.dot(&z) * y.dot(&y)).sqrt()).abs()
        };
        let (without, with) = (correlation(0.0), correlation(10.0));
        assert!(with > 0.7 && with > without, "{without} to {with}");
    }

    #[test]
    fn more_columns_than_rows_give_what_the_columns_themselves_would() {
        let problem = problem(12, 40);
        let rows = Rows::of(&problem, true);
        let pooled = Matrix::stack(&rows.domains.iter().collect::<Vec<_>>());
        let gram = |features: ComponentFeatures| {
            let params = Params { n_components: Some(5), ..Params::default() };
            let components = Components::fit(features.apply(&pooled), &rows, &labels_of(&problem), &params).unwrap();
            let map = features.followed_by(&components.mean, components.matrix.view());
            let z = map.apply(&pooled).dense().into_owned();
            z.dot(&z.t())
        };
        let (by_axes, by_columns) =
            (gram(ComponentFeatures::linear(&pooled).unwrap()), gram(ComponentFeatures::Columns));
        let scale = by_columns.diag().sum();
        assert!((by_axes - by_columns).iter().all(|v| v.abs() < 1e-9 * scale));
    }

    #[test]
    fn more_components_than_are_independent_are_refused_by_name() {
        let refused = adapt(&problem(30, 4), json!({"n_components": 7}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_components"));
    }
}
