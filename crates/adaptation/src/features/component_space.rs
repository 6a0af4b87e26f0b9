//! The space in which component methods look for directions: features of the rows of all domains, centred,
//! with their scatter, from which no n × n matrix is ever needed.
//!
//! Linear kernel: the columns where d ≤ n, coordinates on the principal axes where d > n (the same
//! solutions, r ≤ n). Other kernels: Nyström features of some rows, half of them from the target; all rows,
//! hence exact, where there are no more than that.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::map::Map;
use crate::context::{Ctx, FitError};
use crate::data::Problem;
use crate::linalg::kernels::Kernel;
use crate::linalg::nystrom::{Nystrom, NystromError, landmarks_of};
use crate::linalg::{Constrained, DecomposeError, Matrix, PrincipalAxes, column_means, gram, matmul, top_constrained};
use crate::params::{Bandwidth, KernelName};

/// Where the number of components is not given; the dimension of the published tables.
const DEFAULT_COMPONENTS: usize = 30;
/// A component whose variance is below this share of the first one's is rounding.
const RELATIVE_FLOOR: f64 = 1e-10;

/// Features of a kernel.
#[derive(Debug, Clone)]
pub enum ComponentFeatures {
    /// The columns themselves.
    Columns,
    /// Coordinates on the principal axes, for more columns than rows.
    Axes(PrincipalAxes),
    Kernel(Nystrom),
}

impl ComponentFeatures {
    /// Of the linear kernel, for rows like `pooled`.
    ///
    /// # Errors
    /// Where a decomposition does not converge.
    pub fn linear(pooled: &Matrix) -> Result<Self, FitError> {
        if pooled.n_columns() <= pooled.n_rows() {
            return Ok(Self::Columns);
        }
        Ok(Self::Axes(PrincipalAxes::of(pooled.dense().view()).map_err(numerical)?))
    }

    /// Of a kernel through `landmarks (m, d)`.
    ///
    /// # Errors
    /// Where the kernel has vanished or is saturated on the landmarks.
    pub fn of_kernel(kernel: Kernel, landmarks: Array2<f64>) -> Result<Self, FitError> {
        Nystrom::new(kernel, landmarks).map(Self::Kernel).map_err(|e| match e {
            NystromError::Kernel(e) => FitError::Degenerate(e.to_string()),
            NystromError::Decompose(e) => numerical(e),
        })
    }

    /// Φ `(n, r)`
    pub fn apply(&self, x: &Matrix) -> Array2<f64> {
        match self {
            Self::Columns => x.dense().into_owned(),
            Self::Axes(axes) => x.dot(axes.axes.view()),
            Self::Kernel(nystrom) => nystrom.features(x),
        }
    }

    /// The map `x ↦ (φ(x) − mean) W`, mean `(r,)`, W `(r, k)`.
    pub fn followed_by(&self, mean: &Array1<f64>, w: ArrayView2<f64>) -> Map {
        let offset = Array1::zeros(w.ncols());
        match self {
            Self::Columns => Map::Affine { shift: mean.clone(), matrix: w.to_owned(), offset },
            // The mean in coordinates on the axes stands for the axes' own one, less what lies along no axis.
            Self::Axes(axes) => {
                let along = mean - &axes.mean.dot(&axes.axes);
                Map::Affine {
                    shift: axes.mean.clone(),
                    matrix: matmul(axes.axes.view(), w),
                    offset: offset - along.dot(&w),
                }
            }
            Self::Kernel(nystrom) => Map::Kernel {
                kernel: nystrom.kernel(),
                landmarks: nystrom.landmarks().clone(),
                matrix: matmul(nystrom.projection().view(), w),
                offset: -mean.dot(&w),
            },
        }
    }
}

/// How rows are seen: a kernel, and the number of rows that its features are built from.
#[derive(Debug, Clone, Copy)]
pub struct Lens {
    pub kernel: KernelName,
    pub bandwidth: Bandwidth,
    pub max_landmarks: usize,
}

impl Lens {
    /// The number of features at most, r.
    pub fn n_features(&self, problem: &Problem) -> usize {
        let n = n_rows(problem);
        match self.kernel {
            KernelName::Linear => problem.n_features().min(n),
            KernelName::Rbf | KernelName::Laplacian | KernelName::Cosine | KernelName::Polynomial(_) => {
                self.max_landmarks.min(n)
            }
        }
    }

    /// The memory of a space and of the components found in it, with a constraint of `q` columns, in bytes.
    pub fn memory_bytes(&self, problem: &Problem, q: usize) -> u64 {
        let (n, r) = (n_rows(problem), self.n_features(problem));
        8 * (2 * n * problem.n_features() + n * (2 * r + q) + 5 * r * r) as u64
    }
}

fn n_rows(problem: &Problem) -> usize {
    problem.sources.iter().chain([&problem.target]).map(|d| d.n_rows()).sum()
}

/// The rows of all domains in the space of their features, the sources' first.
#[derive(Debug, Clone)]
pub struct ComponentSpace {
    pub features: ComponentFeatures,
    pub kernel: Kernel,
    /// Mean of all rows' features, `(r,)`.
    pub mean: Array1<f64>,
    /// Φ less its mean, `(n, r)`.
    pub rows: Array2<f64>,
    /// Φᵀ H Φ, `(r, r)`.
    pub scatter: Array2<f64>,
    pub n_source: usize,
}

impl ComponentSpace {
    /// The space of a problem's rows, those of several sources pooled. `purpose` names the method's randomness.
    ///
    /// # Errors
    /// A kernel that says nothing about the rows, and rows that are all equal.
    pub fn of(problem: &Problem, lens: Lens, purpose: &str, ctx: &mut Ctx) -> Result<Self, FitError> {
        ctx.phase("features")?;
        let sources: Vec<&Matrix> = problem.sources.iter().map(|s| &s.x).collect();
        let domains: Vec<&Matrix> = sources.iter().copied().chain([&problem.target.x]).collect();
        let mut rng = ctx.rng(&format!("{purpose} bandwidth"));
        let kernel = lens.kernel.resolve(lens.bandwidth, &domains, &mut rng);
        let kernel = kernel.map_err(|e| FitError::Degenerate(e.to_string()))?;
        let pooled = Matrix::stack(&domains);
        let features = match kernel {
            Kernel::Linear => ComponentFeatures::linear(&pooled)?,
            Kernel::Rbf { .. } | Kernel::Laplacian { .. } | Kernel::Polynomial { .. } | Kernel::Cosine => {
                let mut rng = ctx.rng(&format!("{purpose} landmarks"));
                let landmarks = landmarks_of(&sources, &problem.target.x, lens.max_landmarks, &mut rng);
                ComponentFeatures::of_kernel(kernel, landmarks)?
            }
        };
        ctx.check()?;
        Self::seen_through(features, kernel, &pooled, pooled.n_rows() - problem.target.n_rows())
    }

    /// The space of `pooled` rows, of which the first `n_source` are the sources'.
    ///
    /// # Errors
    /// Where all rows are equal.
    pub fn seen_through(
        features: ComponentFeatures,
        kernel: Kernel,
        pooled: &Matrix,
        n_source: usize,
    ) -> Result<Self, FitError> {
        let mut rows = features.apply(pooled);
        let mean = column_means(rows.view());
        rows -= &mean;
        let scatter = gram(rows.view());
        if scatter.diag().sum() <= 1e-24 * rows.nrows() as f64 * mean.dot(&mean) {
            return Err(FitError::Degenerate("all rows of all domains are equal: no component varies".into()));
        }
        Ok(Self { features, kernel, mean, rows, scatter, n_source })
    }

    /// Directions W `(r, k)` of large scatter with `Wᵀ (a aᵀ + λI) W = λI`, a `(r, q)`; `asked` of them, or 30 or
    /// as many as there are.
    ///
    /// # Errors
    /// Where more are asked for than vary.
    pub fn components(&self, a: ArrayView2<f64>, lambda: f64, asked: Option<usize>) -> Result<Constrained, FitError> {
        let k = self.count(asked)?;
        let found = top_constrained(self.scatter.clone(), a, lambda, k).map_err(numerical)?;
        varying(found, asked)
    }

    /// How many components to look for.
    ///
    /// # Errors
    /// Where there are fewer features.
    pub fn count(&self, asked: Option<usize>) -> Result<usize, FitError> {
        let r = self.rows.ncols();
        match asked {
            Some(k) if k > r => Err(too_many(k, r)),
            _ => Ok(asked.unwrap_or(DEFAULT_COMPONENTS).min(r)),
        }
    }

    /// The map to the components W `(r, k)`.
    pub fn map(&self, w: ArrayView2<f64>) -> Map {
        self.features.followed_by(&self.mean, w)
    }
}

/// The components that vary, of those found in descending order.
///
/// # Errors
/// Where none does, or fewer than were asked for.
pub fn varying(found: Constrained, asked: Option<usize>) -> Result<Constrained, FitError> {
    let Constrained { values, vectors } = found;
    let floor = RELATIVE_FLOOR * values.first().copied().unwrap_or(0.0);
    let rank = values.iter().filter(|v| **v > floor && **v > 0.0).count();
    match asked {
        _ if rank == 0 => Err(FitError::Degenerate("the components of all rows are equal".into())),
        Some(asked) if rank < asked => Err(too_many(asked, rank)),
        _ => Ok(Constrained {
            values: values.slice(s![..rank]).to_owned(),
            vectors: vectors.slice_axis(Axis(1), (..rank).into()).to_owned(),
        }),
    }
}

fn too_many(asked: usize, possible: usize) -> FitError {
    FitError::Invalid {
        pointer: "/method/params/n_components".into(),
        detail: format!("{asked} components were asked for; the features have rank {possible}"),
    }
}

fn numerical(e: DecomposeError) -> FitError {
    FitError::Numerical(e.to_string())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn more_features_than_rows_give_what_a_kernel_matrix_would() {
        // Exact Nyström features of the linear kernel are another road to the same components.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let pooled = Matrix::Dense(Array2::from_shape_simple_fn((31, 40), || rng.random_range(0.0..1.0)));
        let gram = |features: ComponentFeatures| {
            let space = ComponentSpace::seen_through(features, Kernel::Linear, &pooled, 12).unwrap();
            let half = |range| column_means(space.rows.slice_axis(Axis(0), range));
            let a = (half((..12).into()) - half((12..).into())).insert_axis(Axis(1)) * 3.0;
            let w = space.components(a.view(), 1.0, Some(5)).unwrap().vectors;
            let z = space.map(w.view()).apply(&pooled).dense().into_owned();
            assert!(column_means(z.view()).iter().all(|v| v.abs() < 1e-9), "components are centred");
            z.dot(&z.t())
        };
        let by_axes = gram(ComponentFeatures::linear(&pooled).unwrap());
        let by_kernel = gram(ComponentFeatures::of_kernel(Kernel::Linear, pooled.dense().into_owned()).unwrap());
        let by_columns = gram(ComponentFeatures::Columns);
        let scale = by_columns.diag().sum();
        assert!((&by_axes - &by_columns).iter().all(|v| v.abs() < 1e-9 * scale));
        assert!((&by_kernel - &by_columns).iter().all(|v| v.abs() < 1e-9 * scale));
    }
}
