//! Each source is moved by the map that carries a Gaussian with its mean and covariance onto one with the
//! target's at the least mean squared displacement (Knott and Smith, "On the optimal mapping of
//! distributions", Journal of Optimization Theory and Applications 43(1), 1984; for adaptation Flamary, Lounici
//! and Ferrari, "Concentration bounds for linear Monge mapping estimation and optimal transport domain
//! adaptation", 2019, equations 3 and 4):
//!
//! ```text
//! A = Σ_s^{-1/2} (Σ_s^{1/2} Σ_t Σ_s^{1/2})^{1/2} Σ_s^{-1/2},    x ↦ (x − μ_s) A + μ_t
//! ```
//!
//! Like CORAL it makes mean and covariance those of the target. Of all linear maps that do so, A is the
//! one that moves rows least, because it is symmetric and positive: no direction is turned over.
//!
//! **Shrinkage.** Covariances are `Σ = (1 − ρ) S + ρ (tr S / d) I`, where the papers and the usual library
//! add 1e-8 to the diagonal: with n of the order of d that lets A stretch directions of no variance without
//! bound. ρ is a parameter; left out, it is estimated for each domain (Ledoit and Wolf 2004). The condition
//! numbers of the covariances that were used are reported. ρ is relative, so units of features do not matter.
//!
//! The target stays as it is, so **new rows** need no map, and the map is defined for new source rows too
//! (Flamary et al. 2019, section 2). Each source has its own.
//!
//! **Cost.** O(n d min(n, d)) for the axes. Outside the span of the two domains' axes both covariances are
//! multiples of the identity, and so is A: with r the dimension of that span, r ≤ n_s + n_t − 2, the roots cost
//! O(r³ + d r²), and the map has d² numbers. **When.** Features are scaled, moved or correlated differently, and
//! the domains look alike otherwise. **When not.** The shares of classes differ, or rows are far too few.

use std::borrow::Cow;

use ndarray::{Array1, Array2, Axis, concatenate, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::linalg::{
    DecomposeError, Matrix, PrincipalAxes, gram, ledoit_wolf, matmul, matmul_nt, matmul_tn, sqrt_spd, symmetric_eigen,
    thin_svd,
};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::Checked;

/// Directions shared by the axes of both domains count once: singular values below this are rounding.
const SPAN_FLOOR: f64 = 1e-9;
/// Squared lengths of the parts of one domain's axes outside the other's, above which products of them lose no digits.
const CLEARLY_OUTSIDE: f64 = 1e-4;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// ρ: the share of each covariance that is replaced by the mean variance in all directions, against noise of
    /// few rows; 0 takes covariances as they are. Left out, it is estimated from the rows.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub shrinkage: Option<f64>,
}

pub struct LinearOptimalTransport;

impl Adapter for LinearOptimalTransport {
    const CARD: Card = Card {
        id: "linear_optimal_transport",
        title: "Linear optimal transport (Gaussian Monge map)",
        family: Family::StatisticalAlignment,
        summary: "Moves each source so that its mean and covariance are the target's, displacing rows as little \
                  as a linear map can.",
        when_to_use: "Features are scaled, moved or correlated differently in the two domains.",
        when_not: "The shares of the classes differ, or rows are too few for a covariance.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + d r² + r³), r = min(d, n_source + n_target); the map has d² numbers",
        references: &[
            "Knott and Smith, On the optimal mapping of distributions, JOTA 1984",
            "Flamary, Lounici and Ferrari, Concentration bounds for linear Monge mapping estimation and optimal \
             transport domain adaptation, 2019",
            "Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004",
        ],
        defaults_from: "shrinkage by Ledoit and Wolf; the 1e-8 of the leading libraries is no bound with few rows",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        ctx.phase("covariances")?;
        let target = Shrunk::of(&problem.target.x, "the target", params.shrinkage)?;
        let mut sources = Vec::with_capacity(problem.sources.len());
        let (mut condition, mut shrinkage) = (0.0_f64, 0.0_f64);
        for (i, source) in problem.sources.iter().enumerate() {
            ctx.step(i as u64, Some(problem.sources.len() as u64))?;
            let source = Shrunk::of(&source.x, "a source", params.shrinkage)?;
            if source.condition().is_infinite() {
                return Err(FitError::Invalid {
                    pointer: "/method/params/shrinkage".into(),
                    detail: format!(
                        "with shrinkage {} the covariance of a source has no inverse: some direction has no \
                         variance; take more",
                        source.shrinkage
                    ),
                });
            }
            condition = condition.max(source.condition());
            shrinkage = shrinkage.max(source.shrinkage);
            let matrix = monge_map(&source, &target).map_err(|e| FitError::Numerical(e.to_string()))?;
            sources.push(Map::Affine { shift: source.axes.mean, matrix, offset: target.axes.mean.clone() });
        }
        let mut adaptation = Adaptation::of_maps(DomainMaps { sources, target: Map::Identity });
        let figures = [
            ("condition_number_source", condition),
            ("condition_number_target", target.condition()),
            ("shrinkage_source", shrinkage),
            ("shrinkage_target", target.shrinkage),
        ];
        // A covariance without inverse has no condition number; of the target none is needed.
        let finite = figures.into_iter().filter(|(_, v)| v.is_finite());
        adaptation.diagnostics.extend(finite.map(|(name, v)| (name.into(), v)));
        Ok(adaptation)
    }

    fn memory_bytes(problem: &Problem, _: &Checked<Params>) -> u64 {
        let n = |d: &Dataset| d.n_rows();
        let most = problem.sources.iter().map(n).max().unwrap_or(0);
        let d = problem.n_features();
        let r = d.min(most + n(&problem.target));
        8 * (3 * most.max(n(&problem.target)) * d + 3 * d * r + 5 * r * r + (2 + problem.sources.len()) * d * d) as u64
    }
}

/// A covariance with every variance `v` replaced by `(1 − ρ) v + ρ · mean variance`, in units of the latter.
struct Shrunk {
    axes: PrincipalAxes,
    /// ρ
    shrinkage: f64,
    /// tr S / d
    mean_variance: f64,
}

impl Shrunk {
    fn of(x: &Matrix, whose: &str, shrinkage: Option<f64>) -> Result<Self, FitError> {
        let x = x.dense();
        let axes = PrincipalAxes::of(x.view()).map_err(|e| FitError::Numerical(e.to_string()))?;
        let mean_variance = axes.variances.sum() / x.ncols() as f64;
        if axes.rank() == 0 || mean_variance <= 0.0 {
            return Err(FitError::Degenerate(format!("all rows of {whose} are equal: there is no covariance")));
        }
        let shrinkage = shrinkage.unwrap_or_else(|| ledoit_wolf(x.view(), &axes));
        Ok(Self { axes, shrinkage, mean_variance })
    }

    /// The variances along the axes, and beside them where there are fewer axes than features.
    fn variances(&self) -> (Array1<f64>, Option<f64>) {
        let along = self.axes.variances.mapv(|v| (1.0 - self.shrinkage) * v / self.mean_variance + self.shrinkage);
        let beside = self.axes.rank() < self.axes.mean.len();
        (along, beside.then_some(self.shrinkage))
    }

    /// The largest variance divided by the smallest.
    fn condition(&self) -> f64 {
        let (along, beside) = self.variances();
        let least = along.iter().copied().chain(beside).fold(f64::INFINITY, f64::min);
        along.iter().copied().chain(beside).fold(0.0, f64::max) / least
    }

    /// `Uᵀ Σ U`, `(r, r)`, for orthonormal columns `span (d, r)` that reach all axes.
    fn within(&self, span: &Array2<f64>) -> Array2<f64> {
        let (along, beside) = self.variances();
        let beside = beside.unwrap_or(0.0);
        let axes = matmul_tn(span.view(), self.axes.axes.view());
        let mut out = matmul_nt((&axes * &(along - beside)).view(), axes.view());
        out.diag_mut().mapv_inplace(|v| v + beside);
        out
    }
}

/// A, `(d, d)`: solved within the span of both domains' axes, a multiple of the identity beside it.
fn monge_map(source: &Shrunk, target: &Shrunk) -> Result<Array2<f64>, DecomposeError> {
    let d = source.axes.mean.len();
    let span = span_of(source, target)?;
    // Along these the source's covariance is diagonal: its own axes where they reach everything.
    let (variances, basis) = match source.axes.rank() == d {
        true => (source.variances().0, span),
        false => {
            let (variances, vectors) = symmetric_eigen(source.within(&span).view())?;
            (variances, Cow::Owned(matmul(span.view(), vectors.view())))
        }
    };
    let roots = variances.mapv(f64::sqrt);
    let both_sides = |m: Array2<f64>, by: &Array1<f64>| m * by * by.view().insert_axis(Axis(1));
    let middle = sqrt_spd(both_sides(target.within(&basis), &roots).view())?;
    let mut inner = both_sides(middle, &roots.mapv(f64::recip));
    // A is symmetric; rounding makes the two halves differ.
    inner = (&inner + &inner.t()) * 0.5;
    let unit = (target.mean_variance / source.mean_variance).sqrt();
    let out = |inner: &Array2<f64>| matmul_nt(matmul(basis.view(), inner.view()).view(), basis.view());
    if basis.ncols() == d {
        return Ok(out(&inner) * unit);
    }
    let beside = (target.shrinkage / source.shrinkage).sqrt();
    inner.diag_mut().mapv_inplace(|v| v - beside);
    let mut out = out(&inner);
    out.diag_mut().mapv_inplace(|v| v + beside);
    Ok(out * unit)
}

/// An orthonormal basis, `(d, r)`, of a space that holds both domains' axes; no more than they span, where few.
fn span_of<'a>(source: &'a Shrunk, target: &'a Shrunk) -> Result<Cow<'a, Array2<f64>>, DecomposeError> {
    let (a, b) = (&source.axes.axes, &target.axes.axes);
    let d = a.nrows();
    if a.ncols() == d {
        return Ok(Cow::Borrowed(a));
    }
    if b.ncols() == d {
        return Ok(Cow::Borrowed(b));
    }
    if a.ncols() + b.ncols() >= d {
        // Nothing to save: all of the space holds them both.
        return Ok(Cow::Owned(Array2::eye(d)));
    }
    // In general position, by far the cheaper way: what of b is outside a, made orthonormal.
    let outside = |x: &Array2<f64>| x - &matmul(a.view(), matmul_tn(a.view(), x.view()).view());
    let rest = outside(b);
    let (squares, vectors) = symmetric_eigen(gram(rest.view()).view())?;
    if squares.first().is_some_and(|least| *least > CLEARLY_OUTSIDE) {
        let rest = outside(&(matmul(rest.view(), vectors.view()) / squares.mapv(f64::sqrt)));
        return Ok(Cow::Owned(concatenate![Axis(1), *a, rest]));
    }
    let (u, lengths, _) = thin_svd(concatenate![Axis(1), *a, *b].view())?;
    let rank = lengths.iter().filter(|v| **v > SPAN_FLOOR).count();
    Ok(Cow::Owned(u.slice(s![.., ..rank]).as_standard_layout().into_owned()))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, Task};

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mixing = Array2::from_shape_simple_fn((d, d), || rng.random_range(-1.0..1.0));
        Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0)).dot(&mixing) + seed as f64
    }

    fn adapt(xs: &Array2<f64>, xt: &Array2<f64>, params: Value) -> Result<Adaptation, FitError> {
        let dataset = |x: &Array2<f64>| Dataset {
            labels: Labels::Values(vec![Some(0.0); x.nrows()]),
            x: Matrix::Dense(x.clone()),
            weights: None,
        };
        let problem = Problem { task: Task::Regression, sources: vec![dataset(xs)], target: dataset(xt) };
        LinearOptimalTransport::adapt(&problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn matrix(adaptation: &Adaptation) -> &Array2<f64> {
        let Map::Affine { matrix, .. } = &adaptation.maps.sources[0] else { panic!("the map is affine") };
        matrix
    }

    fn shrunk(x: &Array2<f64>, rho: f64) -> Array2<f64> {
        let centred = x - &x.mean_axis(Axis(0)).unwrap();
        let s = centred.t().dot(&centred) / (x.nrows() as f64 - 1.0);
        let mean = s.diag().sum() / s.nrows() as f64;
        &s * (1.0 - rho) + Array2::<f64>::eye(s.nrows()) * (rho * mean)
    }

    #[track_caller]
    fn near(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
        let worst = (a - b).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(worst < tolerance, "differ by {worst:e}");
    }

    #[test]
    fn the_map_is_symmetric_positive_and_carries_the_sources_covariance_to_the_targets() {
        for (ns, nt, d) in [(50, 30, 6), (8, 5, 12), (8, 5, 40), (30, 5, 12), (5, 30, 12)] {
            let (xs, xt) = (noise(ns, d, 3), noise(nt, d, 4));
            let got = adapt(&xs, &xt, json!({"shrinkage": 0.2})).unwrap();
            let a = matrix(&got);
            near(&a.t().dot(&shrunk(&xs, 0.2)).dot(a), &shrunk(&xt, 0.2), 1e-9);
            near(&a.t().to_owned(), a, 1e-12);
            let (values, _) = symmetric_eigen(a.view()).unwrap();
            assert!(values.iter().all(|v| *v > 0.0), "{values}");
        }
    }

    #[test]
    fn without_shrinkage_mapped_sources_have_the_targets_mean_and_covariance() {
        let (xs, xt) = (noise(50, 4, 1), noise(40, 4, 2));
        let got = adapt(&xs, &xt, json!({"shrinkage": 0.0})).unwrap();
        let mapped = got.maps.sources[0].apply(&xs.into()).dense().into_owned();
        near(&shrunk(&mapped, 0.0), &shrunk(&xt, 0.0), 1e-9);
        let mean = |x: &Array2<f64>| x.mean_axis(Axis(0)).unwrap().insert_axis(Axis(0));
        near(&mean(&mapped), &mean(&xt), 1e-9);
        assert_eq!(got.maps.target, Map::Identity);
    }

    #[test]
    fn a_source_equal_to_the_target_is_not_changed() {
        for (n, d) in [(40, 5), (6, 15)] {
            let x = noise(n, d, 5);
            let got = adapt(&x, &x, json!(null)).unwrap();
            near(got.maps.sources[0].apply(&x.clone().into()).dense().as_ref(), &x, 1e-8);
        }
    }

    #[test]
    fn a_covariance_without_inverse_is_refused_by_name_and_conditions_are_told() {
        let (xs, xt) = (noise(5, 8, 1), noise(40, 8, 2));
        let refused = adapt(&xs, &xt, json!({"shrinkage": 0.0}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/shrinkage"));
        assert!(adapt(&xt, &xs, json!({"shrinkage": 0.0})).is_ok(), "the target's needs no inverse");
        let got = adapt(&xs, &xt, json!(null)).unwrap().diagnostics;
        assert!(got["condition_number_source"] > 1.0 && got["condition_number_source"] < 1e3, "{got:?}");
        assert!(got["shrinkage_source"] > got["shrinkage_target"], "{got:?}");
    }
}
