//! DASVM: a support vector machine that walks from the sources to the target (Bruzzone and Marconcini, "Domain
//! adaptation problems: a DASVM classification technique and a circular validation strategy", IEEE TPAMI 32(5), 2010).
//!
//! It begins with the machine of the sources. Every round
//!
//! ```text
//! 1. labels that the new machine contradicts are taken back,
//! 2. on each side, the ρ unlabelled target rows in the margin that lie nearest to its bound get that side's label,
//! 3. on each side, the ρ source rows farthest from the boundary are dropped,
//! ```
//!
//! until no source row is left and hardly any label changes. A loss counts less the later the round for source rows,
//! `c · (1 − (1 − a) · (i/R)²)` in round i of the R that it takes to drop them all, and more the longer a target row
//! has kept its label, `c · (a + (1 − a) · (k/γ)²)` after k of γ rounds: a wrong early label weighs little.
//!
//! **What the paper leaves open, and what is chosen.** The loss is the squared hinge of the learner `linear_svm`. ρ is a
//! fortieth of the source rows. A side keeps its source rows until the target has some of that side, since
//! a machine needs both. Several classes are told apart one against the rest, each by rounds of its own, and the
//! largest decision wins. Target rows beyond the margin are never labelled: they have no loss.
//!
//! **New rows** are mapped to their decisions, one column for each class, without filling sparse rows.
//!
//! **Cost.** One linear machine a round and class, on n_source + n_target rows at most, begun at the last one: about
//! 40 rounds; memory for a copy of the rows. **When.** Classes moved gradually and lie apart in the target too.
//! **When not.** Shares of classes differ strongly, or the first machine is near chance: the walk then loses its way.
//! On the heart data and on the drifting gas sensors it ends below logistic regression on the sources (docs/tables.md).
//! The machine is linear.

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::learners::linear_svm::LinearSvm;
use crate::learners::{Learner, LinearPredictor, Prediction, Predictor, Start, Targets, Training, refuse_one_class};
use crate::linalg::Matrix;
use crate::methods::{Card, DomainMaps, Estimate, Estimator, Family, Map, Needs, Toy};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

/// Rounds in which the larger side of a balanced source is dropped, where ρ is not given: n_source / (2 · 20).
const DEFAULT_PARTS: usize = 40;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What the summed loss costs beside `½‖w‖²`; smaller is smoother.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub c: f64,
    /// ρ, rows that each side gains and drops in a round; left out, a fortieth of the source rows.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rows_per_round: Option<usize>,
    /// a, the part of its weight with which a target row begins and a source row ends.
    #[schemars(range(min = 1e-3, max = 1.0))]
    pub initial_weight: f64,
    /// γ, rounds in which a label grows to full weight.
    #[schemars(range(min = 1, max = 1000))]
    pub growth_rounds: usize,
    /// The part of the target's rows whose label may still change when the rounds end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tolerance: f64,
    /// Rounds at most; the last machine is kept.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_rounds: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { c: 1.0, rows_per_round: None, initial_weight: 0.1, growth_rounds: 5, tolerance: 0.01, max_rounds: 100 }
    }
}

pub struct DomainAdaptationSvm;

impl Estimator for DomainAdaptationSvm {
    const CARD: Card = Card {
        id: "domain_adaptation_svm",
        title: "Domain adaptation support vector machine (DASVM)",
        family: Family::ClassStructure,
        summary: "A linear support vector machine that walks from source to target: round by round it takes in target \
                  rows from its margin and lets source rows go.",
        when_to_use: "Classes moved gradually and are still apart in the target.",
        when_not: "Classes overlap in the target, or their shares differ strongly: it then does harm.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "about 40 linear machines a class, on n_source + n_target rows at most",
        references: &[
            "Bruzzone and Marconcini, Domain adaptation problems: a DASVM classification technique and a circular \
             validation strategy, IEEE TPAMI 32(5), 2010",
        ],
        defaults_from: "own choice: 20 rounds to drop a balanced source, weights from a tenth, grown in 5 rounds",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;
    type Model = LinearPredictor;

    fn fit(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Estimate<LinearPredictor>, FitError> {
        let codes = problem.source_codes();
        if codes.is_empty() {
            return Err(FitError::LabelMissing("no source row is labelled".into()));
        }
        let n_classes = problem.task.n_classes();
        let source = problem.pooled_sources();
        let weights = problem.source_weights();
        let counts = |class: usize| codes.iter().zip(&weights).any(|(c, w)| *c == class && *w > 0.0);
        let present: Vec<bool> = (0..n_classes).map(counts).collect();
        let classes: Vec<usize> = (0..n_classes).filter(|c| present[*c]).collect();
        let [first, second, ..] = classes[..] else {
            return Err(FitError::Degenerate("all source rows are of one class; a machine needs two".into()));
        };
        ctx.phase("rounds")?;
        let (d, n_walks) = (problem.n_features(), if classes.len() == 2 { 1 } else { classes.len() });
        let (mut matrix, mut offset) = (Array2::zeros((d, n_classes)), Array1::zeros(n_classes));
        let (mut rounds, mut changing) = (0, 0);
        // Two classes are the two sides of one boundary.
        for (i, &class) in classes.iter().rev().take(n_walks).enumerate() {
            let positive = codes.iter().map(|c| *c == class).collect();
            let walk = Walk { source: &source, target: &problem.target.x, positive, weights: &weights, params };
            let end = walk.settle((i, n_walks), ctx)?;
            matrix.column_mut(class).assign(&end.coef);
            offset[class] = end.intercept;
            rounds += end.rounds;
            changing += end.changing;
        }
        if n_walks == 1 {
            let opposite = matrix.column(second).mapv(|w: f64| -w);
            matrix.column_mut(first).assign(&opposite);
            offset[first] = -offset[second];
        }
        let map = Map::Affine { shift: Array1::zeros(d), matrix, offset };
        let predictor = LinearPredictor::largest_of(&present);
        if let Prediction::Classes { codes: found, .. } = predictor.predict(&map.apply(&problem.target.x)) {
            refuse_one_class(&found, problem, "take another scaling, or another method")?;
        }
        let diagnostics = [("rounds".into(), rounds as f64), ("changing".into(), changing as f64)].into();
        Ok(Estimate { maps: DomainMaps::shared(problem.sources.len(), map), model: predictor, diagnostics })
    }

    fn load(parts: &Parts) -> Result<LinearPredictor, LoadError> {
        LinearPredictor::load_decisions(parts)
    }

    fn memory_bytes(problem: &Problem, _: &Checked<Params>) -> u64 {
        // The sources pooled; they and the chosen target rows for each fit, and the same transposed.
        let sources: usize = problem.sources.iter().map(|s| 3 * s.x.stored_bytes()).sum();
        (sources + 3 * problem.target.x.stored_bytes()) as u64
    }
}

/// The rounds of one class against the rest.
struct Walk<'a> {
    source: &'a Matrix,
    target: &'a Matrix,
    /// The source rows of the class.
    positive: Vec<bool>,
    weights: &'a Array1<f64>,
    params: &'a Params,
}

/// Where the rounds of one class ended.
struct End {
    /// `(d,)`
    coef: Array1<f64>,
    intercept: f64,
    rounds: usize,
    /// Labels that changed in the last round.
    changing: usize,
}

/// What a round learns from.
struct State {
    /// Source rows that are left.
    kept: Vec<bool>,
    /// Labels of target rows.
    labels: Vec<Option<Label>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label {
    positive: bool,
    /// Rounds that it was kept for.
    age: usize,
}

impl Walk<'_> {
    /// The `walk` is its number and how many there are, for reports.
    fn settle(&self, walk: (usize, usize), ctx: &mut Ctx) -> Result<End, FitError> {
        let max_rounds = self.params.max_rounds;
        let per_round = self.params.rows_per_round.unwrap_or(self.positive.len().div_ceil(DEFAULT_PARTS));
        let n_positive = self.positive.iter().filter(|p| **p).count();
        let planned = n_positive.max(self.positive.len() - n_positive).div_ceil(per_round);
        let may_change = self.params.tolerance * self.target.n_rows() as f64;
        let mut state = State { kept: vec![true; self.positive.len()], labels: vec![None; self.target.n_rows()] };
        let mut machine: Option<LinearPredictor> = None;
        for round in 1..=max_rounds {
            let next = self.fit(&state, (round - 1) as f64 / planned as f64, machine.as_ref(), ctx)?;
            let Some(linear) = next.linear() else {
                return Err(FitError::Numerical("the machine has no weights".into()));
            };
            // Of the two mirrored outputs the second is that of the class.
            let decisions = |x: &Matrix| linear.outputs(x).column(1).to_owned();
            let alone = state.kept.iter().all(|kept| !kept);
            let changing = state.relabel(&decisions(self.target), per_round);
            let dropped = state.drop_farthest(&decisions(self.source), &self.positive, per_round);
            // Weights no longer move either: every later round would be the same.
            let idle = changing + dropped == 0 && round > planned && state.aged(self.params.growth_rounds);
            ctx.step((walk.0 * max_rounds + round) as u64, Some((walk.1 * max_rounds) as u64))?;
            ctx.metric("changing", changing as f64);
            if (alone && changing as f64 <= may_change) || idle || round == max_rounds {
                let (coef, intercept) = (linear.coef.row(1).to_owned(), linear.intercept[1]);
                return Ok(End { coef, intercept, rounds: round, changing });
            }
            machine = Some(next);
        }
        Err(FitError::Degenerate("there was no round".into()))
    }

    /// The machine of what is left and labelled, `progress` of the way through the source rows.
    fn fit(
        &self,
        state: &State,
        progress: f64,
        start: Option<&LinearPredictor>,
        ctx: &Ctx,
    ) -> Result<LinearPredictor, FitError> {
        let Params { c, initial_weight: low, growth_rounds, .. } = *self.params;
        let kept: Vec<usize> = (0..state.kept.len()).filter(|i| state.kept[*i]).collect();
        let labelled: Vec<(usize, Label)> =
            state.labels.iter().enumerate().filter_map(|(i, label)| Some((i, (*label)?))).collect();
        let rows: Vec<usize> = labelled.iter().map(|(i, _)| *i).collect();
        let x = Matrix::stack(&[&self.source.select_rows(&kept), &self.target.select_rows(&rows)]);
        let sides = kept.iter().map(|i| self.positive[*i]).chain(labelled.iter().map(|(_, label)| label.positive));
        let codes: Vec<usize> = sides.map(usize::from).collect();
        if !(codes.contains(&0) && codes.contains(&1)) {
            return Err(FitError::Degenerate(
                "the walk has lost one side of a boundary: every label of that side was taken back; \
                 take fewer rows_per_round, or another method"
                    .into(),
            ));
        }
        let of_source = 1.0 - (1.0 - low) * progress.min(1.0).powi(2);
        let of_age = |age: usize| low + (1.0 - low) * (age.min(growth_rounds) as f64 / growth_rounds as f64).powi(2);
        let weights: Array1<f64> = kept
            .iter()
            .map(|i| self.weights[*i] * of_source)
            .chain(labelled.iter().map(|(_, label)| of_age(label.age)))
            .collect();
        // The learner multiplies its c by weights of mean one over the rows that count.
        let counted = weights.iter().filter(|w| **w > 0.0).count();
        let checked = Checked::new(&json!({"c": c * weights.sum() / counted as f64}))
            .map_err(|e| FitError::Invalid { pointer: "/method/params/c".into(), detail: e.to_string() })?;
        let training =
            Training { x: &x, y: Targets::Classes { codes: &codes, n_classes: 2 }, weights: Some(weights.view()) };
        let start = start.map(|model| Start { model, pull: 0.0, validation: None });
        ctx.quietly(|ctx| LinearSvm::fit(&training, start.as_ref(), &checked, ctx))
    }
}

impl State {
    /// Takes back labels that `decisions (n_target,)` contradict and gives those of the margin; how many changed.
    fn relabel(&mut self, decisions: &Array1<f64>, per_side: usize) -> usize {
        let mut changing = 0;
        let mut free = Vec::new();
        for (i, label) in self.labels.iter_mut().enumerate() {
            let positive = decisions[i] >= 0.0;
            match label {
                Some(known) if known.positive == positive => known.age += 1,
                Some(_) => {
                    *label = None;
                    changing += 1;
                }
                None if decisions[i].abs() < 1.0 => free.push(i),
                None => {}
            }
        }
        // The nearest to the bound first; of equal ones the earlier row.
        free.sort_by(|a, b| decisions[*b].abs().total_cmp(&decisions[*a].abs()));
        for positive in [true, false] {
            for &i in free.iter().filter(|i| (decisions[**i] >= 0.0) == positive).take(per_side) {
                self.labels[i] = Some(Label { positive, age: 0 });
                changing += 1;
            }
        }
        changing
    }

    /// Whether all labels have the weight of old ones.
    fn aged(&self, growth_rounds: usize) -> bool {
        self.labels.iter().flatten().all(|label| label.age >= growth_rounds)
    }

    /// Drops the source rows of each side that lie deepest in it, where the target has rows of that side; how many.
    fn drop_farthest(&mut self, decisions: &Array1<f64>, sides: &[bool], per_side: usize) -> usize {
        let mut dropped = 0;
        for positive in [true, false] {
            if !self.labels.iter().flatten().any(|label| label.positive == positive) {
                continue;
            }
            let mut rows: Vec<usize> = (0..sides.len()).filter(|i| self.kept[*i] && sides[*i] == positive).collect();
            let depth = |i: usize| if positive { decisions[i] } else { -decisions[i] };
            rows.sort_by(|a, b| depth(*b).total_cmp(&depth(*a)));
            for i in rows.into_iter().take(per_side) {
                self.kept[i] = false;
                dropped += 1;
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::Value;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    #[test]
    fn a_round_takes_back_and_gives_labels_and_drops_the_deepest_source_rows() {
        let old = |positive| Some(Label { positive, age: 3 });
        let mut state = State { kept: vec![true; 4], labels: vec![old(true), old(true), None, None, None, None, None] };
        // Kept, taken back, beyond the margin, then the margin's rows.
        let changing = state.relabel(&array![0.5, -0.5, 1.5, 0.2, 0.9, -0.1, -0.7], 1);
        let new = |positive| Some(Label { positive, age: 0 });
        let aged = Some(Label { positive: true, age: 4 });
        assert_eq!(state.labels, [aged, None, None, None, new(true), None, new(false)]);
        assert_eq!(changing, 3);
        state.drop_farthest(&array![2.0, 3.0, -1.0, -4.0], &[true, true, false, false], 1);
        assert_eq!(state.kept, [true, false, true, false]);
        // Without a label of its own a side keeps its source rows.
        state.labels.fill(old(true));
        state.drop_farthest(&array![2.0, 3.0, -1.0, -4.0], &[true, true, false, false], 1);
        assert_eq!(state.kept, [false, false, true, false]);
    }

    #[test]
    fn at_the_end_the_machine_is_one_of_the_target_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (problem, _) = toy::classification(toy::Shift::Affine, toy::Size::default(), &mut rng);
        let weights = problem.source_weights();
        let positive: Vec<bool> = problem.source_codes().iter().map(|c| *c == 1).collect();
        let source = problem.pooled_sources();
        let params = Params::default();
        let walk = Walk { source: &source, target: &problem.target.x, positive, weights: &weights, params: &params };
        let state = State {
            kept: vec![false; source.n_rows()],
            labels: (0..150).map(|i| Some(Label { positive: i % 2 == 1, age: 5 })).collect(),
        };
        let machine = walk.fit(&state, 1.0, None, &Ctx::new(1, &Silent)).unwrap();
        // All labels at full weight: the learner on the target rows alone.
        let codes: Vec<usize> = (0..150).map(|i| i % 2).collect();
        let training =
            Training { x: &problem.target.x, y: Targets::Classes { codes: &codes, n_classes: 2 }, weights: None };
        let checked = Checked::new(&Value::Null).unwrap();
        let want = LinearSvm::fit(&training, None, &checked, &mut Ctx::new(1, &Silent)).unwrap();
        let difference = &machine.linear().unwrap().coef - &want.linear().unwrap().coef;
        assert!(difference.iter().all(|v| v.abs() < 1e-6), "{difference}");
    }
}
