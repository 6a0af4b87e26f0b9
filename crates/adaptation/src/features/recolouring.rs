//! Maps that give each source the target's covariance (Sun, Feng and Saenko, "Return of frustratingly easy domain
//! adaptation", AAAI 2016, algorithm 1).

use ndarray::Array1;

use super::map::{DomainMaps, Map};
use crate::context::{Ctx, FitError};
use crate::data::Problem;
use crate::linalg::{Matrix, PrincipalAxes, recolouring};

/// `x ↦ (x − μ_s) (C_s + λI)^{-1/2} (C_t + λI)^{1/2} + μ_t` for each source, without the means unless `center`; the
/// target stays as it is. O(n d min(n, d) + d² min(n, d)) a source.
///
/// # Errors
/// Where a decomposition does not converge, or the context stops.
pub fn recoloured(problem: &Problem, lambda: f64, center: bool, ctx: &Ctx) -> Result<DomainMaps, FitError> {
    let axes = |x: &Matrix| PrincipalAxes::of(x.dense().view()).map_err(|e| FitError::Numerical(e.to_string()));
    ctx.check()?;
    let target = axes(&problem.target.x)?;
    let mut sources = Vec::with_capacity(problem.sources.len());
    for source in &problem.sources {
        ctx.check()?;
        let source = axes(&source.x)?;
        let matrix = recolouring(&source, &target, lambda);
        let zeros = || Array1::zeros(problem.n_features());
        let (shift, offset) = if center { (source.mean, target.mean.clone()) } else { (zeros(), zeros()) };
        sources.push(Map::Affine { shift, matrix, offset });
    }
    Ok(DomainMaps { sources, target: Map::Identity })
}
