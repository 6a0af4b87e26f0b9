//! EasyTL: the target's rows go to the nearest class centre of the sources, and every class gets at least one row
//! (Wang, Chen, Yu, Huang and Yang, "Easy transfer learning by exploiting intra-domain structures", ICME 2019):
//!
//! ```text
//! min Σ_cj D_cj M_cj   with   0 ≤ M ≤ 1,   Σ_c M_cj = 1,   Σ_j M_cj ≥ 1,   D_cj = ‖x_j − h_c‖
//! ```
//!
//! the paper's intra-domain programming, h_c the mean of class c over the rows of all sources, after its intra-domain
//! alignment: each source's covariance is made that of the target (as CORAL does; the mean stays, which per-domain
//! scaling takes care of). The programme is one of transport, so its solution is integral; it is found by
//! shortest paths instead of a general solver, and costs no more than the nearest centres where none is left without
//! a row.
//!
//! **New rows.** The paper labels the rows it was given. The programme's dual prices extend it: by
//! complementary slackness the class of row j is `argmin_c D_cj − v_c`, and so it is for any other row. Where every
//! class is the nearest of some row all prices are zero: the nearest centre decides. Probabilities are
//! `exp(−(D_cj − v_c))`, normalised.
//!
//! **Cost.** O(n d min(n, d) + d² min(n, d)) for the alignment, O(n d C) for distances, O(e (n C + C²)) for e classes
//! left empty; no parameter has to be tuned. **When.** Classes are single clouds, and there is no time to tune.
//! **When not.** The target does not hold every class: one row of each missing class is wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::features::recoloured;
use crate::learners::nearest_centroid::{Centroids, NearestCentroid};
use crate::learners::{Learner, Predictor, Targets, Training, refuse_one_class};
use crate::linalg::{Matrix, assign_rows};
use crate::methods::{Card, DomainMaps, Estimate, Estimator, Family, Needs, Toy};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

/// What of a source is made that of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Nothing.
    None,
    /// The covariance, as in the paper.
    Covariance,
    /// The covariance and the mean.
    CovarianceAndMean,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What of each source is made that of the target before rows are compared.
    pub alignment: Alignment,
    /// λ, added to the diagonal of both covariances; in units of the features' variance.
    #[schemars(range(min = 1e-10, max = 1e10))]
    pub regularization: f64,
    /// Whether every class gets at least one row of the target. Say no where the target may lack a class.
    pub every_class: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { alignment: Alignment::Covariance, regularization: 1.0, every_class: true }
    }
}

pub struct EasyTransferLearning;

impl Estimator for EasyTransferLearning {
    const CARD: Card = Card {
        id: "easy_transfer_learning",
        title: "Easy transfer learning (EasyTL)",
        family: Family::ClassStructure,
        summary: "Aligns covariances and gives each target row to the nearest class centre, so that every class gets a \
                  row. Nothing to tune; brings its own predictor.",
        when_to_use: "Classes are single clouds of rows, and a quick answer without tuning is wanted.",
        when_not: "The target lacks some of the classes, or classes fall into several clouds.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + n d C)",
        references: &["Wang, Chen, Yu, Huang and Yang, Easy transfer learning by exploiting intra-domain structures, \
                       ICME 2019"],
        defaults_from: "the paper: CORAL with λ = 1, every class at least once",
        toy: Toy::Subspace,
        waived: &[(
            "equal_domains_change_nothing",
            "it brings its own predictor, class centres, where the check compares with source-only's learner",
        )],
    };
    type Params = Params;
    type Model = Centroids;

    fn fit(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Estimate<Centroids>, FitError> {
        ctx.phase("alignment")?;
        let maps = match params.alignment {
            Alignment::None => DomainMaps::identity(problem.sources.len()),
            other => recoloured(problem, params.regularization, other == Alignment::CovarianceAndMean, ctx)?,
        };
        ctx.phase("centres")?;
        let mapped: Vec<Matrix> = problem.sources.iter().zip(&maps.sources).map(|(s, m)| m.apply(&s.x)).collect();
        let x = Matrix::stack(&mapped.iter().collect::<Vec<_>>());
        let (codes, weights) = (problem.source_codes(), problem.source_weights());
        let y = Targets::Classes { codes: &codes, n_classes: problem.task.n_classes() };
        let training = Training { x: &x, y, weights: Some(weights.view()) };
        let centres = ctx.quietly(|ctx| NearestCentroid::fit(&training, None, &Checked::default(), ctx))?;
        ctx.check()?;
        let distances = centres.distances(&problem.target.x);
        if !params.every_class {
            refuse_one_class(centres.predict(&problem.target.x).codes(), problem, "scale the features otherwise")?;
            return Ok(Estimate { maps, model: centres, diagnostics: BTreeMap::new() });
        }
        let Some(assignment) = assign_rows(distances.view()) else {
            return Err(FitError::Degenerate(format!(
                "{} target rows cannot hold all {} classes; set every_class to false",
                problem.target.n_rows(),
                centres.present().len()
            )));
        };
        let forced = assignment.prices.iter().filter(|v| **v > 0.0).count();
        let diagnostics = BTreeMap::from([("classes_with_a_price".into(), forced as f64)]);
        let model = centres.with_allowances(assignment.prices);
        let found = model.predict(&problem.target.x);
        if let Some(empty) = model.present().iter().find(|c| !found.codes().contains(c)) {
            // No price tells equal rows apart.
            return Err(FitError::Degenerate(format!(
                "the target's rows are too much alike for each class to get one: none is left for class {:?}; set \
                 every_class to false",
                problem.task.classes()[*empty]
            )));
        }
        Ok(Estimate { maps, model, diagnostics })
    }

    fn load(parts: &Parts) -> Result<Centroids, LoadError> {
        Centroids::load(parts)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum();
        let (d, c) = (problem.n_features(), problem.task.n_classes());
        let covariances = if params.alignment == Alignment::None { 0 } else { (3 + problem.sources.len()) * d * d };
        8 * (4 * n * d + n * c + covariances) as u64
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, Task};

    fn problem(source: Array2<f64>, codes: &[usize], target: Array2<f64>) -> Problem {
        let dataset = |x: Array2<f64>, codes: Vec<Option<usize>>| Dataset {
            labels: Labels::Classes(codes),
            x: Matrix::Dense(x),
            weights: None,
        };
        let unknown = vec![None; target.nrows()];
        Problem {
            task: Task::Classification { classes: vec!["a".into(), "b".into(), "c".into()] },
            sources: vec![dataset(source, codes.iter().map(|&c| Some(c)).collect())],
            target: dataset(target, unknown),
        }
    }

    fn fit(problem: &Problem, params: Value) -> Result<Estimate<Centroids>, FitError> {
        EasyTransferLearning::fit(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn three_clouds() -> Array2<f64> {
        array![[0.0, 0.0], [0.2, 0.0], [5.0, 0.0], [5.2, 0.0], [0.0, 9.0], [0.2, 9.0]]
    }

    const CODES: [usize; 6] = [0, 0, 1, 1, 2, 2];

    #[test]
    fn a_class_that_no_row_is_nearest_to_gets_the_one_that_costs_least() {
        // No target row is near the third cloud; the last is the least far from it.
        let target = array![[0.1, 0.3], [5.0, 0.1], [0.3, 0.2], [0.1, 4.0]];
        let problem = problem(three_clouds(), &CODES, target.clone());
        let got = fit(&problem, json!({"alignment": "none"})).unwrap();
        assert_eq!(got.model.predict(&target.clone().into()).codes(), [0, 1, 0, 2]);
        assert_eq!(got.diagnostics["classes_with_a_price"], 1.0);
        let free = fit(&problem, json!({"alignment": "none", "every_class": false})).unwrap();
        assert_eq!(free.model.predict(&target.into()).codes(), [0, 1, 0, 0]);
    }

    #[test]
    fn a_target_with_fewer_rows_than_classes_is_refused_unless_classes_may_be_empty() {
        let problem = problem(three_clouds(), &CODES, array![[0.0, 0.0], [5.0, 0.0]]);
        let error = fit(&problem, Value::Null).err().unwrap().to_string();
        assert!(error.contains("every_class"), "{error}");
        assert!(fit(&problem, json!({"every_class": false})).is_ok());
    }

    #[test]
    fn equal_rows_cannot_hold_every_class() {
        let problem = problem(three_clouds(), &CODES, Array2::from_elem((9, 2), 0.3));
        let error = fit(&problem, Value::Null).err().unwrap().to_string();
        assert!(error.contains("every_class"), "{error}");
    }

    #[test]
    fn a_source_equal_to_the_target_is_not_moved_and_goes_to_the_nearest_mean() {
        let problem = problem(three_clouds(), &CODES, three_clouds());
        let got = fit(&problem, Value::Null).unwrap();
        let moved = got.maps.sources[0].apply(&three_clouds().into()).dense().into_owned() - three_clouds();
        assert!(moved.iter().all(|v| v.abs() < 1e-12));
        assert_eq!(got.model.predict(&three_clouds().into()).codes(), CODES);
        assert_eq!(got.diagnostics["classes_with_a_price"], 0.0);
    }
}
