//! Rounds of pseudo-labels: domains are mapped, the learner is fitted on the mapped sources and predicts the
//! mapped target, and its predictions shape the next map (Long, Wang, Ding, Sun and Yu, "Transfer feature learning
//! with joint distribution adaptation", ICCV 2013, algorithm 1). What makes a map from pseudo-labels is the
//! caller's. Rounds end early where no pseudo-label changes, since every later round would be the same.

use std::collections::BTreeMap;

use ndarray::Array1;

use super::contract::{BoundLearner, Prediction, Predictor, Targets, Training};
use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::features::DomainMaps;
use crate::linalg::Matrix;

/// A problem of classification with the learner that labels its target.
pub struct PseudoLabels<'a> {
    problem: &'a Problem,
    learner: &'a BoundLearner<'a>,
    /// The classes of all source rows, `(n_source,)`.
    source: Vec<usize>,
    /// `(n_source,)`
    weights: Option<Array1<f64>>,
}

/// The last round.
pub struct Settled {
    pub maps: DomainMaps,
    pub predictor: Box<dyn Predictor>,
    /// `rounds` made, and pseudo-labels `changed` in the last of them.
    pub diagnostics: BTreeMap<String, f64>,
}

impl<'a> PseudoLabels<'a> {
    /// # Errors
    /// Where the task is not classification.
    pub fn new(problem: &'a Problem, learner: &'a BoundLearner<'a>) -> Result<Self, FitError> {
        if problem.task.kind() != TaskKind::Classification {
            return Err(FitError::Degenerate("pseudo-labels are classes; the task is regression".into()));
        }
        let source = problem.source_codes();
        if source.is_empty() {
            return Err(FitError::LabelMissing("no source row is labelled".into()));
        }
        let weighted = problem.sources.iter().any(|s| s.weights.is_some());
        Ok(Self { problem, learner, weights: weighted.then(|| problem.source_weights()), source })
    }

    /// The classes of all source rows, `(n_source,)`.
    pub fn source(&self) -> &[usize] {
        &self.source
    }

    /// What a learner fitted on mapped sources predicts for the mapped target, and the learner.
    ///
    /// # Errors
    /// As the learner's own fit.
    pub fn label(&self, maps: &DomainMaps, ctx: &Ctx) -> Result<(Vec<usize>, Box<dyn Predictor>), FitError> {
        let mapped: Vec<Matrix> = self.problem.sources.iter().zip(&maps.sources).map(|(s, m)| m.apply(&s.x)).collect();
        let x = Matrix::stack(&mapped.iter().collect::<Vec<_>>());
        let y = Targets::Classes { codes: &self.source, n_classes: self.problem.task.n_classes() };
        let training = Training { x: &x, y, weights: self.weights.as_ref().map(|w| w.view()) };
        let predictor = ctx.quietly(|ctx| self.learner.fit(&training, ctx))?;
        match predictor.predict(&maps.target.apply(&self.problem.target.x)) {
            Prediction::Classes { codes, .. } => Ok((codes, predictor)),
            Prediction::Values(_) => Err(FitError::Degenerate("the learner predicts values, not classes".into())),
        }
    }

    /// At most `rounds` ≥ 1 rounds of `map_for`, which receives the pseudo-labels so far; none, where `first` is.
    ///
    /// # Errors
    /// Where the last round takes all of many target rows for one class.
    pub fn settle(
        &self,
        first: Option<Vec<usize>>,
        rounds: usize,
        ctx: &mut Ctx,
        mut map_for: impl FnMut(Option<&[usize]>, &Ctx) -> Result<DomainMaps, FitError>,
    ) -> Result<Settled, FitError> {
        ctx.phase("rounds")?;
        let mut codes = first;
        let mut round = 0;
        loop {
            let maps = map_for(codes.as_deref(), ctx)?;
            ctx.check()?;
            let (next, predictor) = self.label(&maps, ctx)?;
            round += 1;
            ctx.step(round as u64, Some(rounds as u64))?;
            let changed = codes.map_or(next.len(), |old| changes(&old, &next));
            ctx.metric("changed", changed as f64);
            if changed == 0 || round >= rounds {
                refuse_one_class(
                    &next,
                    self.problem,
                    "take another learner or scaling, or a method without pseudo-labels",
                )?;
                let diagnostics = [("rounds".into(), round as f64), ("changed".into(), changed as f64)].into();
                return Ok(Settled { maps, predictor, diagnostics });
            }
            codes = Some(next);
        }
    }
}

/// How many of the rows have another class after than before.
pub fn changes(before: &[usize], after: &[usize]) -> usize {
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}

/// From this many target rows for every class on, one class for all of them is a failure; fewer may well be of one.
const ROWS_FOR_A_CLASS: usize = 5;

/// Refuses labels `codes (n_target,)` that have collapsed into one class where the sources hold several; `advice` says
/// what might help.
///
/// # Errors
/// Where all of enough target rows are of one class.
pub fn refuse_one_class(codes: &[usize], problem: &Problem, advice: &str) -> Result<(), FitError> {
    let n_present = problem.source_classes().len();
    let Some(&first) = codes.first() else { return Ok(()) };
    if n_present > 1 && codes.len() >= ROWS_FOR_A_CLASS * n_present && codes.iter().all(|c| *c == first) {
        return Err(FitError::Degenerate(format!(
            "all {} target rows are taken for class {:?} of {n_present}: the pseudo-labels have collapsed; {advice}",
            codes.len(),
            problem.task.classes()[first]
        )));
    }
    Ok(())
}
