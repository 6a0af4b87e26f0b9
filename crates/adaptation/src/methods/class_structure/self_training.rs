//! Self-training: the learner is fitted on the sources together with the target rows that it is surest of, the same
//! part of every class, more of them from round to round (Yarowsky, "Unsupervised word sense disambiguation rivaling
//! supervised methods", ACL 1995; with equal parts of the classes Zou, Yu, Kumar and Wang, "Unsupervised domain
//! adaptation for semantic segmentation via class-balanced self-training", ECCV 2018).
//!
//! Round t of T takes `⌈share · t/T · n_target · πc⌉` target rows of class c at most, those with the largest margin
//! between the best score and the second. πc is the class's share among the sources, one in C, or its share among the
//! predictions of that round.
//!
//! **No row confirms its own label.** A model repeats what it was told, so that its margin on a row that it was
//! fitted on says little. In every round but the last the target is cut in two halves, alike in classes and margins;
//! rows of one half are labelled by a model fitted on the sources and the chosen rows of the other. The
//! last round fits one model on the sources and on all that were chosen. On the Amazon reviews this is worth half a
//! point of accuracy, and it halves what further rounds destroy.
//!
//! **What keeps classes apart.** With the shares of the predictions a class that is guessed slightly too often takes
//! over (on the Amazon reviews accuracy falls from 78 to 62 % in five rounds); with fixed shares it cannot. Shares
//! of the sources are wrong where they differ in the target; rows beyond what a class was predicted for are never
//! taken, so that the error is bounded by the guesses. Where the target's shares are known to be even, `equal` is safer.
//!
//! **New rows** are predicted by the last learner, in the space of the features: there is no map, and sparse rows stay
//! sparse. A row that was learnt from is predicted like any other.
//!
//! **Cost.** 2 T fits of the learner, on n_source + n_target rows at most; O(nnz) memory for the rows of a fit.
//! **When.** Text and other wide data, where words of the target stand beside known ones, and the learner is right
//! more often than not. **When not.** The learner is hardly better than chance, or shares of classes differ strongly.

use std::collections::BTreeMap;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::learners::{
    BoundLearner, Prediction, Predictor, PseudoLabels, Targets, Training, changes, refuse_one_class,
};
use crate::linalg::Matrix;
use crate::methods::{Card, DomainMaps, Family, FittedMethod, MetaEstimator, Needs, Toy};
use crate::params::Checked;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// T, rounds in which target rows are labelled anew.
    #[schemars(range(min = 1, max = 100))]
    pub rounds: usize,
    /// The part of the target's rows that the last round learns from.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub share: f64,
    /// What a target row counts beside a source row of mean weight.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub target_weight: f64,
    /// How the rows that are learnt from are divided among the classes.
    pub class_shares: ClassShares,
}

impl Default for Params {
    fn default() -> Self {
        Self { rounds: 3, share: 0.8, target_weight: 1.0, class_shares: ClassShares::Source }
    }
}

/// Shares of the classes among the target rows that are learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassShares {
    /// Those of the sources: right where shares of classes have not changed.
    Source,
    /// The same for every class.
    Equal,
    /// Those of the predictions: free to follow the target, and to run away.
    Predicted,
}

pub struct SelfTraining;

impl MetaEstimator for SelfTraining {
    const CARD: Card = Card {
        id: "self_training",
        title: "Self-training",
        family: Family::ClassStructure,
        summary: "Learns from the sources and from the target rows whose class the learner is surest of, balanced over \
                  the classes, more of them from round to round.",
        when_to_use: "Text and other wide or sparse data, where source-only is right well above chance.",
        when_not: "Source-only is hardly better than chance, or the shares of classes differ strongly.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "2 T fits of the learner on n_source + n_target rows at most",
        references: &[
            "Yarowsky, Unsupervised word sense disambiguation rivaling supervised methods, ACL 1995",
            "Zou, Yu, Kumar and Wang, Unsupervised domain adaptation for semantic segmentation via class-balanced \
             self-training, ECCV 2018",
        ],
        defaults_from: "3 rounds to four fifths of the target; on the Amazon reviews 2 to 5 rounds and shares from 0.5 \
                        to 1 lie within a point of each other",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn fit(
        problem: &Problem,
        learner: &BoundLearner,
        params: &Checked<Params>,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let sources = PseudoLabels::new(problem, learner)?;
        let rows = Rows::of(problem, &sources, params);
        ctx.phase("rounds")?;
        let first = ctx.quietly(|ctx| rows.fit(&Taken::default(), learner, ctx))?;
        let mut guesses = Guesses::zeros(problem.target.n_rows());
        guesses.take_over(&(0..problem.target.n_rows()).collect::<Vec<_>>(), &first.predict(&problem.target.x))?;
        let began = guesses.codes.clone();
        for round in 1..params.rounds {
            guesses = rows.label_crosswise(&guesses, round, learner, ctx)?;
            ctx.step(round as u64, Some(params.rounds as u64))?;
        }
        let taken = rows.choose(&guesses, params.rounds, |_| true);
        let predictor = ctx.quietly(|ctx| rows.fit(&taken, learner, ctx))?;
        ctx.step(params.rounds as u64, Some(params.rounds as u64))?;
        guesses.take_over(&(0..problem.target.n_rows()).collect::<Vec<_>>(), &predictor.predict(&problem.target.x))?;
        refuse_one_class(&guesses.codes, problem, "take another learner or scaling")?;
        let changed = changes(&began, &guesses.codes);
        let diagnostics: BTreeMap<String, f64> =
            [("taken".into(), taken.rows.len() as f64), ("changed".into(), changed as f64)].into();
        diagnostics.iter().for_each(|(name, value)| ctx.metric(name, *value));
        let maps = DomainMaps::identity(problem.sources.len());
        Ok(FittedMethod { maps, predictor, weights: None, diagnostics })
    }

    fn memory_bytes(problem: &Problem, _: &Checked<Params>) -> u64 {
        // The sources pooled; they and the chosen target rows for each fit, and the same transposed.
        let bytes: usize = problem.sources.iter().map(|s| 3 * s.x.stored_bytes()).sum();
        (bytes + 3 * problem.target.x.stored_bytes()) as u64
    }
}

/// What the learner says of every target row.
#[derive(Debug, Clone)]
struct Guesses {
    /// `(n_target,)`
    codes: Vec<usize>,
    /// The best score less the second, `(n_target,)`.
    margins: Vec<f64>,
}

/// Target rows to learn from, ascending, and their classes.
#[derive(Debug, Clone, Default)]
struct Taken {
    rows: Vec<usize>,
    codes: Vec<usize>,
}

impl Guesses {
    fn zeros(n: usize) -> Self {
        Self { codes: vec![0; n], margins: vec![0.0; n] }
    }

    /// What `prediction` says of `rows`.
    fn take_over(&mut self, rows: &[usize], prediction: &Prediction) -> Result<(), FitError> {
        let Prediction::Classes { codes, scores, .. } = prediction else {
            return Err(FitError::Degenerate("the learner predicts values, not classes".into()));
        };
        for ((&row, &code), scores) in rows.iter().zip(codes).zip(scores.outer_iter()) {
            let others = scores.iter().enumerate().filter(|(c, _)| *c != code).map(|(_, v)| *v);
            self.codes[row] = code;
            self.margins[row] = scores[code] - others.fold(f64::NEG_INFINITY, f64::max);
        }
        Ok(())
    }

    /// The rows of a class, the surest first; of equal margins the earlier row.
    fn surest(&self, class: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.codes.len()).filter(|i| self.codes[*i] == class).collect();
        rows.sort_by(|a, b| self.margins[*b].total_cmp(&self.margins[*a]));
        rows
    }
}

/// All that a fit draws from.
struct Rows<'a> {
    target: &'a Matrix,
    source: Matrix,
    source_codes: &'a [usize],
    source_weights: Array1<f64>,
    n_classes: usize,
    params: &'a Params,
}

impl<'a> Rows<'a> {
    fn of(problem: &'a Problem, sources: &'a PseudoLabels, params: &'a Params) -> Self {
        Self {
            target: &problem.target.x,
            source: problem.pooled_sources(),
            source_codes: sources.source(),
            source_weights: problem.source_weights(),
            n_classes: problem.task.n_classes(),
            params,
        }
    }

    /// The learner on the sources and the rows taken.
    fn fit(&self, taken: &Taken, learner: &BoundLearner, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
        let x = Matrix::stack(&[&self.source, &self.target.select_rows(&taken.rows)]);
        let codes: Vec<usize> = self.source_codes.iter().chain(&taken.codes).copied().collect();
        let counted = vec![self.params.target_weight; taken.rows.len()];
        let weights: Array1<f64> = self.source_weights.iter().copied().chain(counted).collect();
        let y = Targets::Classes { codes: &codes, n_classes: self.n_classes };
        learner.fit(&Training { x: &x, y, weights: Some(weights.view()) }, ctx)
    }

    /// The surest rows of every class, as many as the round takes, of which those are kept that `keep` says.
    fn choose(&self, guesses: &Guesses, round: usize, keep: impl Fn(usize) -> bool) -> Taken {
        let part = self.params.share * round as f64 / self.params.rounds as f64;
        let n = guesses.codes.len() as f64;
        let mut rows: Vec<usize> = Vec::new();
        for class in 0..self.n_classes {
            let surest = guesses.surest(class);
            let of_class = match self.params.class_shares {
                ClassShares::Source => n * self.source_share(class),
                ClassShares::Equal => n / self.n_classes as f64,
                ClassShares::Predicted => surest.len() as f64,
            };
            // A share like 0.8 · 3/3 · 10 must not become 9 by rounding.
            let quota = (part * of_class - 1e-9).ceil().max(0.0) as usize;
            rows.extend(surest.into_iter().take(quota).filter(|row| keep(*row)));
        }
        rows.sort_unstable();
        Taken { codes: rows.iter().map(|&row| guesses.codes[row]).collect(), rows }
    }

    fn source_share(&self, class: usize) -> f64 {
        let of_class = self.source_codes.iter().zip(&self.source_weights).filter(|(c, _)| **c == class);
        of_class.map(|(_, w)| w).sum::<f64>() / self.source_weights.sum()
    }

    /// Each half of the target labelled by a model that learnt from the other.
    fn label_crosswise(
        &self,
        guesses: &Guesses,
        round: usize,
        learner: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<Guesses, FitError> {
        // Neighbours in the order of margins go to different halves.
        let mut half = vec![0; guesses.codes.len()];
        for class in 0..self.n_classes {
            guesses.surest(class).into_iter().enumerate().for_each(|(place, row)| half[row] = place % 2);
        }
        let mut next = guesses.clone();
        for side in 0..2 {
            let unseen: Vec<usize> = (0..half.len()).filter(|row| half[*row] == side).collect();
            let taken = self.choose(guesses, round, |row| half[row] != side);
            let model = ctx.quietly(|ctx| self.fit(&taken, learner, ctx))?;
            next.take_over(&unseen, &model.predict(&self.target.select_rows(&unseen)))?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Dataset, Labels, Task};
    use crate::learners;
    use crate::linalg::SparseRows;

    fn fit(problem: &Problem, params: Value) -> Result<FittedMethod, FitError> {
        let bound = BoundLearner { learner: learners::find("logistic").unwrap(), params: &Value::Null, base: None };
        SelfTraining::fit(problem, &bound, &Checked::new(&params).unwrap(), &mut Ctx::new(1, &Silent))
    }

    fn codes(fitted: &FittedMethod, x: &Matrix) -> Vec<usize> {
        let Prediction::Classes { codes, .. } = fitted.predictor.predict(x) else { panic!("classes") };
        codes
    }

    /// Source rows have one of two known words, target rows as well or, half of them, only a word that stands
    /// beside it in the other half.
    fn words(n: usize) -> (Problem, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut source, mut target) = (SparseRows::new(6), SparseRows::new(6));
        let truth: Vec<usize> = (0..n).map(|i| i % 2).collect();
        for (i, &class) in truth.iter().enumerate() {
            let mut noise = || 0.1 * rng.random::<f64>();
            source.push_row([(class, 1.0), (4, noise()), (5, noise())]);
            let both = (i / 2) % 2 == 0;
            let known = both.then_some((class, 1.0));
            target.push_row(known.into_iter().chain([(2 + class, 1.0), (4, noise()), (5, noise())]));
        }
        let labels = Labels::Classes(truth.iter().map(|c| Some(*c)).collect());
        let problem = Problem {
            task: Task::Classification { classes: vec!["a".into(), "b".into()] },
            sources: vec![Dataset { x: Matrix::Sparse(source), labels, weights: None }],
            target: Dataset { x: Matrix::Sparse(target), labels: Labels::Classes(vec![None; n]), weights: None },
        };
        (problem, truth)
    }

    #[test]
    fn words_of_the_target_are_learnt_from_the_company_they_keep() {
        let (problem, truth) = words(80);
        let right = |found: &[usize]| found.iter().zip(&truth).filter(|(a, b)| a == b).count();
        let fitted = fit(&problem, json!({})).unwrap();
        assert_eq!(right(&codes(&fitted, &problem.target.x)), 80);
        let bound = BoundLearner { learner: learners::find("logistic").unwrap(), params: &Value::Null, base: None };
        let sources = PseudoLabels::new(&problem, &bound).unwrap();
        let (alone, _) = sources.label(&DomainMaps::identity(1), &Ctx::new(1, &Silent)).unwrap();
        assert!(right(&alone) < 75, "{}", right(&alone));
    }

    #[test]
    fn every_class_gives_its_share_of_the_surest_rows() {
        let guesses = Guesses { codes: vec![0, 0, 0, 0, 0, 1, 1, 1], margins: vec![1., 5., 3., 2., 4., 1., 2., 3.] };
        let (problem, _) = words(8);
        let bound = BoundLearner { learner: learners::find("logistic").unwrap(), params: &Value::Null, base: None };
        let sources = PseudoLabels::new(&problem, &bound).unwrap();
        let taken = |class_shares, share, round| {
            let params = Params { rounds: 2, share, class_shares, ..Params::default() };
            Rows::of(&problem, &sources, &params).choose(&guesses, round, |_| true).rows
        };
        // Half of eight rows, half of them of each class.
        assert_eq!(taken(ClassShares::Source, 0.5, 2), [1, 4, 6, 7]);
        assert_eq!(taken(ClassShares::Equal, 0.5, 1), [1, 7]);
        // No more than are predicted.
        assert_eq!(taken(ClassShares::Equal, 1.0, 2), [1, 2, 3, 4, 5, 6, 7]);
        // Two fifths of five and of three.
        assert_eq!(taken(ClassShares::Predicted, 0.4, 2), [1, 4, 6, 7]);
    }

    #[test]
    fn sparse_rows_give_what_dense_ones_give() {
        let (sparse, _) = words(40);
        let mut dense = sparse.clone();
        for domain in dense.sources.iter_mut().chain([&mut dense.target]) {
            domain.x = Matrix::Dense(domain.x.dense().into_owned());
        }
        let scores = |problem: &Problem| {
            let fitted = fit(problem, json!({})).unwrap();
            let Prediction::Classes { scores, .. } = fitted.predictor.predict(&problem.target.x) else { panic!() };
            scores
        };
        let worst = (scores(&sparse) - scores(&dense)).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(worst < 1e-5, "{worst:e}");
    }

    #[test]
    fn a_target_that_is_all_one_class_to_the_learner_is_refused() {
        let (mut problem, _) = words(40);
        problem.target.x = Matrix::Dense(array![[5.0, 0.0, 0.0, 0.0, 0.0, 0.0]]).select_rows(&[0; 40]);
        let refused = fit(&problem, json!({"class_shares": "predicted"}));
        assert!(matches!(refused.map(drop), Err(FitError::Degenerate(why)) if why.contains("collapsed")));
    }
}
