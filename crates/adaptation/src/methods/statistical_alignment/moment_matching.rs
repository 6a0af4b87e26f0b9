//! Every domain is moved and scaled on its own so that each column has mean 0 and variance 1:
//! `x ↦ (x − μ_domain) / σ_domain`, the deviation with n − 1.
//!
//! A column that is constant in a domain becomes 0 there and is not scaled. New rows are taken to be
//! of the target and use its stored mean and deviation, so one row at a time is predicted as in a
//! batch. Several sources each have their own map.
//!
//! **Cost.** O(n d). **When.** Domains differ by units, sensors or calibration, column by column, and
//! classes are mixed alike in both. **When not.** Where the share of classes differs: the means then
//! differ for a good reason, and matching them moves one class onto another.

use ndarray::{Array1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::linalg::{Matrix, column_means};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::Checked;

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

pub struct MomentMatching;

impl Adapter for MomentMatching {
    const CARD: Card = Card {
        id: "moment_matching",
        title: "Moment matching",
        family: Family::StatisticalAlignment,
        summary: "Gives every column of every domain mean 0 and variance 1 on its own.",
        when_to_use: "Units, sensors or calibration differ column by column.",
        when_not: "The shares of the classes differ between the domains.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d)",
        references: &["Per-domain standardisation, as in Sun, Feng and Saenko, AAAI 2016, section 4"],
        defaults_from: "no parameters",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, _: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let mut sources = Vec::with_capacity(problem.sources.len());
        for source in &problem.sources {
            ctx.check()?;
            sources.push(standardising(&source.x));
        }
        ctx.check()?;
        Ok(Adaptation::of_maps(DomainMaps { sources, target: standardising(&problem.target.x) }))
    }
}

/// The map that gives every column of `x` mean 0 and, where it varies, variance 1.
fn standardising(x: &Matrix) -> Map {
    let x = x.dense();
    let shift = column_means(x.view());
    let degrees = (x.nrows() as f64 - 1.0).max(1.0);
    let scale: Array1<f64> = x
        .axis_iter(Axis(1))
        .zip(&shift)
        .map(|(column, mean)| {
            let variance = column.fold(0.0, |sum, v| sum + (v - mean) * (v - mean)) / degrees;
            // What rounding the mean leaves over is no variance.
            if variance > 1e-24 * mean * mean { variance.sqrt().recip() } else { 1.0 }
        })
        .collect();
    let offset = Array1::zeros(shift.len());
    Map::Scale { shift, scale, offset }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    #[test]
    fn mapped_columns_have_mean_zero_and_variance_one_in_every_domain() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (mut problem, _) = toy::classification(toy::Shift::Affine, toy::Size::default(), &mut rng);
        let (other, _) = toy::classification(toy::Shift::Concept, toy::Size::default(), &mut rng);
        problem.sources.extend(other.sources);
        let maps = MomentMatching::adapt(&problem, &Checked::default(), &mut Ctx::new(0, &Silent)).unwrap().maps;
        let domains = problem.sources.iter().map(|s| &s.x).zip(&maps.sources);
        for (x, map) in domains.chain([(&problem.target.x, &maps.target)]) {
            let mapped = map.apply(x);
            let mapped = mapped.dense();
            assert!(column_means(mapped.view()).iter().all(|m| m.abs() < 1e-12));
            assert!(mapped.var_axis(Axis(0), 1.0).iter().all(|v| (v - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn a_constant_column_becomes_zero_and_a_single_row_too() {
        let constant = Matrix::from(array![[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]]);
        let mapped = standardising(&constant).apply(&constant);
        assert!(mapped.dense().column(0).iter().all(|v| v.abs() < 1e-12));
        let single = Matrix::from(array![[7.0, -3.0]]);
        assert_eq!(*standardising(&single).apply(&single).dense(), array![[0.0, 0.0]]);
    }
}
