//! The descent of linear learners on a regularised mean loss, in variables in which it takes few steps.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::context::{Ctx, FitError};
use crate::learners::contract::LinearModel;
use crate::linalg::{MAX_WHOLE, Matrix, Options, matmul, matmul_nt, minimise, thin_svd};

/// Iterations without a better validation loss after which an early-stopped fit ends.
const PATIENCE: usize = 20;
/// From this many columns for each row on, a basis of the rows pays.
const WIDE: usize = 2;
/// Of the gradient of the mean loss, in units in which columns have unit curvature.
const GRADIENT_TOLERANCE: f64 = 1e-9;
const MAX_ITERATIONS: usize = 3000;
/// A gradient that has shrunk by this much is accepted where the iterations ran out.
const ACCEPTED_SHRINKAGE: f64 = 1e-3;

/// The value of a mean loss at outputs `(n, k)`, and its derivative by them `(n, k)`.
pub(in crate::learners) type Loss<'a> = dyn Fn(&Array2<f64>) -> (f64, Array2<f64>) + 'a;

/// A mean loss of linear outputs with `l2/2 · ‖coef − centre‖²`; intercepts are free.
pub(in crate::learners) struct Objective<'a> {
    pub x: &'a Matrix,
    /// `(n,)`, sum one; the loss holds them too.
    pub shares: &'a Array1<f64>,
    pub loss: &'a Loss<'a>,
    pub l2: f64,
    /// Where the penalty is zero and, by its intercepts too, the descent begins.
    pub centre: LinearModel,
    pub begin: LinearModel,
}

impl Objective<'_> {
    /// The minimum, or the iterate with the least `validation` loss where that is asked for.
    ///
    /// # Errors
    /// [`FitError::NotConverged`], or where the context stops the fit.
    pub(in crate::learners) fn descend(
        &self,
        validation: Option<&dyn Fn(&LinearModel) -> f64>,
        ctx: &mut Ctx,
    ) -> Result<LinearModel, FitError> {
        match self.x {
            // From the centre of the penalty the gradient never leaves the space of the rows. A start
            // that lies elsewhere must not lose what is outside of it.
            Matrix::Dense(x)
                if x.ncols() >= WIDE * x.nrows() && x.nrows() <= MAX_WHOLE && self.begin.coef == self.centre.coef =>
            {
                self.descend_among_rows(x, validation, ctx)
            }
            _ => self.descend_in_full(validation, ctx),
        }
    }

    /// The descent in an orthonormal basis of the rows' space: n variables for each output instead of d, and
    /// of such curvature that few steps lead to the minimum.
    fn descend_among_rows(
        &self,
        x: &Array2<f64>,
        validation: Option<&dyn Fn(&LinearModel) -> f64>,
        ctx: &mut Ctx,
    ) -> Result<LinearModel, FitError> {
        let (n, d) = x.dim();
        ctx.reserve("a basis of the rows", 8 * (2 * n * d + 4 * n * n) as u64)?;
        ctx.check()?;
        let x_mean = x.t().dot(self.shares);
        let (u, s, vt) =
            thin_svd((x - &x_mean).view()).map_err(|e| FitError::Numerical(format!("a basis of the rows: {e}")))?;
        let rows = Matrix::Dense(u * &s);
        let k = self.centre.intercept.len();
        let offset = self.x.dot(self.centre.coef.t());
        let loss = |outputs: &Array2<f64>| (self.loss)(&(outputs + &offset));
        // The basis is of centred rows, so that the intercept moves with the weights.
        let expand = |inner: &LinearModel| {
            let moved = matmul(inner.coef.view(), vt.view());
            let intercept = &inner.intercept - &moved.dot(&x_mean);
            LinearModel { coef: moved + &self.centre.coef, intercept }
        };
        let begin = LinearModel { coef: Array2::zeros((k, s.len())), intercept: self.begin.intercept.clone() };
        let inner = Objective {
            x: &rows,
            shares: self.shares,
            loss: &loss,
            l2: self.l2,
            centre: LinearModel::zeros(k, s.len()),
            begin,
        };
        let validation = validation.map(|v| move |inner: &LinearModel| v(&expand(inner)));
        let found = inner.descend_in_full(validation.as_ref().map(|v| v as &dyn Fn(&LinearModel) -> f64), ctx)?;
        Ok(expand(&found))
    }

    fn descend_in_full(
        &self,
        validation: Option<&dyn Fn(&LinearModel) -> f64>,
        ctx: &mut Ctx,
    ) -> Result<LinearModel, FitError> {
        let scaling = Scaling::of(self.x, self.shares, self.l2);
        let columns = Columns::of(self.x);
        let begin = scaling.pack(&self.begin);
        let mut best = validation.map(|v| (v(&self.begin), self.begin.clone(), 0));
        let options = Options { max_iterations: MAX_ITERATIONS, gradient_tolerance: GRADIENT_TOLERANCE };
        let observer = ctx.observer();
        let found = minimise(
            |v| {
                observer.check()?;
                Ok(self.value_and_gradient(&scaling, &columns, v))
            },
            begin,
            &options,
            |iteration| {
                ctx.step(iteration.number as u64, None)?;
                let (Some(validation), Some(best)) = (validation, best.as_mut()) else {
                    return Ok(ControlFlow::Continue(()));
                };
                let model = scaling.unpack(iteration.x, self.centre.intercept.len());
                let loss = validation(&model);
                if loss < best.0 {
                    *best = (loss, model, iteration.number);
                }
                let waited = iteration.number - best.2;
                Ok(if waited >= PATIENCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )?;
        if let Some((_, model, _)) = best {
            return Ok(model);
        }
        let near = found.gradient_norm <= ACCEPTED_SHRINKAGE * found.initial_gradient_norm.max(1.0);
        if !found.converged() && !near {
            return Err(FitError::NotConverged(format!(
                "the gradient is still {:.1e} after {} iterations",
                found.gradient_norm, found.iterations
            )));
        }
        Ok(scaling.unpack(&found.x, self.centre.intercept.len()))
    }

    fn value_and_gradient(&self, scaling: &Scaling, columns: &Columns, v: &Array1<f64>) -> (f64, Array1<f64>) {
        let model = scaling.unpack(v, self.centre.intercept.len());
        let (loss, by_output) = (self.loss)(&model.outputs(self.x));
        let pulled = &model.coef - &self.centre.coef;
        let by_intercept = by_output.sum_axis(Axis(0));
        let mut by_coef = columns.dot(by_output.view()).reversed_axes();
        by_coef.scaled_add(self.l2, &pulled);
        // The free intercept is that of centred columns.
        let outer = matmul_nt(by_intercept.view().insert_axis(Axis(1)), scaling.mean.view().insert_axis(Axis(1)));
        by_coef -= &outer;
        by_coef /= &scaling.scale;
        let value = loss + 0.5 * self.l2 * pulled.iter().map(|w| w * w).sum::<f64>();
        (value, flatten(&by_coef, &by_intercept))
    }
}

/// Rows transposed. A product with few columns runs along the memory of its left side: gradients take `xᵀ` as outputs
/// take `x`, nearly twice as fast as from the same memory.
enum Columns<'a> {
    /// `(d, n)`
    Dense(Array2<f64>),
    Sparse(&'a Matrix),
}

impl<'a> Columns<'a> {
    fn of(x: &'a Matrix) -> Self {
        match x {
            Matrix::Dense(x) => Self::Dense(x.t().as_standard_layout().into_owned()),
            Matrix::Sparse(_) => Self::Sparse(x),
        }
    }

    /// `xᵀ · b`, `(d, k)`
    fn dot(&self, b: ArrayView2<f64>) -> Array2<f64> {
        match self {
            Self::Dense(columns) => matmul(columns.view(), b),
            Self::Sparse(x) => x.t_dot(b),
        }
    }
}

/// A change of variables in which columns are centred and of like curvature, so that the descent takes
/// as many steps on raw columns as on scaled ones. The minimum stays the same.
struct Scaling {
    mean: Array1<f64>,
    scale: Array1<f64>,
}

impl Scaling {
    fn of(x: &Matrix, shares: &Array1<f64>, l2: f64) -> Scaling {
        let mean = x.t_dot(shares.view().insert_axis(Axis(1))).column(0).to_owned();
        let mut variance = Array1::zeros(mean.len());
        match x {
            Matrix::Dense(x) => {
                for (row, share) in x.axis_iter(Axis(0)).zip(shares) {
                    variance.zip_mut_with(&(&row - &mean), |v, c| *v += share * c * c);
                }
            }
            Matrix::Sparse(x) => {
                for (i, share) in shares.iter().enumerate() {
                    x.row(i).for_each(|(j, v)| variance[j] += share * v * v);
                }
                variance.zip_mut_with(&mean, |v: &mut f64, m: &f64| *v = (*v - m * m).max(0.0));
            }
        }
        let scale = variance.mapv(|v: f64| if v + l2 > 1e-200 { (v + l2).sqrt() } else { 1.0 });
        Scaling { mean, scale }
    }

    fn pack(&self, model: &LinearModel) -> Array1<f64> {
        flatten(&(&model.coef * &self.scale), &(&model.intercept + &model.coef.dot(&self.mean)))
    }

    fn unpack(&self, v: &Array1<f64>, n_outputs: usize) -> LinearModel {
        let d = self.mean.len();
        let scaled = v.slice(s![..n_outputs * d]).into_shape_with_order((n_outputs, d));
        // A contiguous slice of that length always has the shape.
        let coef = scaled.map_or_else(|_| Array2::zeros((n_outputs, d)), |w| &w / &self.scale);
        let intercept = &v.slice(s![n_outputs * d..]) - &coef.dot(&self.mean);
        LinearModel { coef, intercept }
    }
}

fn flatten(coef: &Array2<f64>, intercept: &Array1<f64>) -> Array1<f64> {
    coef.iter().chain(intercept).copied().collect()
}
