//! A model trained on the sources, or a stored one, is continued on the target's labelled rows and
//! held near where it began:
//!
//! ```text
//! min_w  mean loss over labelled target rows + λ/2 · ‖w − w₀‖²
//! ```
//!
//! Li, Grandvalet and Davoine, "Explicit inductive bias for transfer learning with convolutional
//! networks", ICML 2018, equation 2 (L2-SP). For ridge it is Chelba and Acero's regular transfer
//! (EMNLP 2004), solved in closed form; other learners start at w₀ and may stop early.
//!
//! **Strength.** `pull` is λ. By default it is the one of 10⁻⁴, 10⁻³, …, 10³ with the least loss on
//! rows left out, in seeded, stratified folds of the labelled target rows; of equal ones the
//! strongest. Where no row can be left out, since then one class or none would remain, λ is 1. Classes
//! without a labelled target row keep the start's weights; labelled rows of a single class are refused,
//! for nothing would stop the intercept of that class from growing.
//!
//! **Early stopping.** With `validation_fraction` of the labelled rows kept aside, an iterative
//! learner keeps its best iterate on them; with fewer than 20 labelled rows none is kept aside.
//!
//! **Cost.** Fits of the learner: one on the sources, and 8 × `n_folds` + 1 on the labelled target
//! rows. **When.** A few target rows are labelled and the boundary itself has moved. **When not.**
//! Without target labels. Features are scaled once, for source and target alike, and stay so: the
//! weights that are continued keep their meaning. **New rows** are predicted by the learner.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Labels, Problem, TaskKind};
use crate::learners::{BoundLearner, LEARNERS, LearnerCard, Prediction, Predictor, Scores, Start};
use crate::methods::{Adaptation, Card, DomainMaps, Family, FittedMethod, Labelled, Map, MetaEstimator, Needs, Toy};
use crate::params::{Checked, Pull};

/// The strengths that are compared, strongest first, so that of equal losses the strongest is kept.
const STRENGTHS: [f64; 8] = [1e3, 1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4];
/// With fewer labelled rows, none is kept aside for early stopping.
const MIN_ROWS_TO_KEEP_ASIDE: usize = 20;
/// The strength where no row can be left out.
const UNSEARCHED_PULL: f64 = 1.0;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How strongly the model is held near its start; "cross_validated" finds it on rows left out.
    pub pull: Pull,
    /// Folds of the labelled target rows for the search; fewer where there are fewer rows.
    #[schemars(range(min = 2, max = 20))]
    pub n_folds: usize,
    /// Share of the labelled target rows on which an iterative learner stops early; 0 for none.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub validation_fraction: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { pull: Pull::default(), n_folds: 5, validation_fraction: 0.0 }
    }
}

pub struct FineTuning;

impl MetaEstimator for FineTuning {
    const CARD: Card = Card {
        id: "fine_tuning",
        title: "Fine-tuning",
        family: Family::Parameters,
        summary: "Trains on the sources, or takes a stored model, and continues on the target's labelled rows.",
        when_to_use: "A few target rows are labelled and the relation of features to label has changed.",
        when_not: "No target row is labelled, or the learner has no weights to continue from.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::TargetLabels,
        cost: "one fit on the sources and 8 n_folds + 1 on the labelled target rows",
        references: &[
            "Li, Grandvalet and Davoine, Explicit inductive bias for transfer learning with convolutional networks, \
             ICML 2018",
            "Chelba and Acero, Adaptation of maximum entropy capitalizer: little data can help a lot, EMNLP 2004",
        ],
        defaults_from: "strength by 5-fold cross-validation on the labelled target rows",
        toy: Toy::Concept,
        waived: &[],
    };
    type Params = Params;

    fn accepts(learner: &LearnerCard) -> Result<(), String> {
        if learner.warm_start {
            return Ok(());
        }
        let able: Vec<&str> = LEARNERS.iter().map(|l| l.card()).filter(|c| c.warm_start).map(|c| c.id).collect();
        Err(format!("{} cannot be continued from a fitted model; take one of {}", learner.id, able.join(", ")))
    }

    fn fit(
        problem: &Problem,
        learner: &BoundLearner,
        params: &Checked<Params>,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let known = problem.target.labels.known_rows();
        if known.is_empty() {
            return Err(FitError::LabelMissing("fine_tuning needs labelled target rows; there are none".into()));
        }
        if one_class(&problem.target, &known) {
            return Err(FitError::Degenerate(format!(
                "all {} labelled target rows are of one class; label a row of another one",
                known.len()
            )));
        }
        let fitted;
        let base = match learner.base {
            Some(base) => base,
            None => {
                fitted = pretrain(problem, learner, ctx)?;
                &*fitted
            }
        };
        let continued = Continued { problem, learner, base };
        let (aside, rows) = keep_aside(&problem.target, known, params.validation_fraction, &mut ctx.rng("fine_tuning"));
        let pull = match params.pull {
            Pull::Number(v) => v,
            Pull::Word(_) => continued.search(&rows, params.n_folds, ctx)?,
        };
        ctx.metric("pull", pull);
        Ok(FittedMethod {
            maps: DomainMaps::identity(problem.sources.len()),
            predictor: continued.fit(&rows, &aside, pull, ctx)?,
            weights: None,
            diagnostics: [("pull".to_owned(), pull)].into(),
        })
    }
}

/// The learner on all source rows.
fn pretrain(problem: &Problem, learner: &BoundLearner, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
    ctx.phase("pretrain")?;
    let maps = DomainMaps::identity(problem.sources.len());
    let rows = Labelled::gather(problem, &Adaptation::of_maps(maps))?;
    learner.fit(&rows.training(&problem.task), ctx)
}

/// What is continued: from which model, by which learner.
struct Continued<'a> {
    problem: &'a Problem,
    learner: &'a BoundLearner<'a>,
    base: &'a dyn Predictor,
}

impl Continued<'_> {
    fn labelled(&self, rows: &[usize]) -> Labelled {
        Labelled::of(&self.problem.target.select_rows(rows), &Map::Identity, None)
    }

    fn fit(&self, rows: &[usize], aside: &[usize], pull: f64, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
        let (rows, aside) = (self.labelled(rows), self.labelled(aside));
        let validation = (aside.x.n_rows() > 0).then(|| aside.training(&self.problem.task));
        let start = Start { model: self.base, pull, validation: validation.as_ref() };
        self.learner.fit_from(&rows.training(&self.problem.task), &start, ctx)
    }

    /// The strength with the least loss on the rows of each fold when the others are continued on.
    fn search(&self, rows: &[usize], n_folds: usize, ctx: &mut Ctx) -> Result<f64, FitError> {
        ctx.phase("search")?;
        let splits = self.splits(rows, n_folds, ctx);
        let total = (STRENGTHS.len() * splits.len()) as u64;
        let mut best: Option<(f64, f64)> = None;
        for (s, &pull) in STRENGTHS.iter().enumerate() {
            let mut sum = 0.0;
            for (f, (kept, left_out)) in splits.iter().enumerate() {
                ctx.step((s * splits.len() + f) as u64, Some(total))?;
                let model = self.fit(kept, &[], pull, ctx)?;
                let left_out = self.labelled(left_out);
                sum += total_loss(&model.predict(&left_out.x), &left_out);
            }
            if !splits.is_empty() && best.is_none_or(|(loss, _)| sum < loss) {
                best = Some((sum, pull));
            }
        }
        Ok(best.map_or(UNSEARCHED_PULL, |(_, pull)| pull))
    }

    /// The kept and the left-out rows of each fold; without the folds that keep one class only, which no
    /// learner can be fitted on.
    fn splits(&self, rows: &[usize], n_folds: usize, ctx: &Ctx) -> Vec<(Vec<usize>, Vec<usize>)> {
        let n_folds = n_folds.min(rows.len());
        let fold_of = folds(&self.problem.target, rows, n_folds, &mut ctx.rng("fine_tuning folds"));
        let pick = |in_fold: bool, fold: usize| {
            let places = (0..rows.len()).filter(|i| (fold_of[*i] == fold) == in_fold);
            places.map(|i| rows[i]).collect::<Vec<_>>()
        };
        let splits = (0..n_folds).map(|fold| (pick(false, fold), pick(true, fold)));
        splits.filter(|(kept, _)| !one_class(&self.problem.target, kept)).collect()
    }
}

/// Whether the rows have labels of a single class; values never do.
fn one_class(target: &Dataset, rows: &[usize]) -> bool {
    match &target.labels {
        Labels::Classes(v) => rows.windows(2).all(|w| v[w[0]] == v[w[1]]),
        Labels::Values(_) => rows.is_empty(),
    }
}

/// The sum over rows of the log loss, of the squared hinge of the margin where scores are decisions,
/// or of the squared error.
fn total_loss(prediction: &Prediction, truth: &Labelled) -> f64 {
    match prediction {
        Prediction::Values(values) => values.iter().zip(&truth.values).map(|(p, y)| (p - y) * (p - y)).sum(),
        Prediction::Classes { scores, kind, .. } => scores
            .outer_iter()
            .zip(&truth.codes)
            .map(|(scores, &code)| match kind {
                Scores::Probability => -scores[code].max(1e-15).ln(),
                Scores::Decision => {
                    let others = scores.iter().enumerate().filter(|(c, _)| *c != code).map(|(_, v)| *v);
                    let margin = scores[code] - others.fold(f64::NEG_INFINITY, f64::max);
                    (1.0 - margin).max(0.0).powi(2)
                }
            })
            .sum(),
    }
}

/// Rows in an order in which labels of one kind stand together, each kind shuffled: dealing them out in
/// turn gives every pile its share of each class, or of low and high values.
fn stratified_order(target: &Dataset, rows: &[usize], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.shuffle(rng);
    match &target.labels {
        Labels::Classes(v) => places.sort_by_key(|i| v[rows[*i]]),
        Labels::Values(v) => places.sort_by(|a, b| {
            let value = |i: &usize| v[rows[*i]].unwrap_or(0.0);
            value(a).total_cmp(&value(b))
        }),
    }
    places
}

/// The fold of each of `rows`.
fn folds(target: &Dataset, rows: &[usize], n_folds: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut fold_of = vec![0; rows.len()];
    for (turn, place) in stratified_order(target, rows, rng).into_iter().enumerate() {
        fold_of[place] = turn % n_folds;
    }
    fold_of
}

/// `(aside, rest)` of the rows, both ascending.
fn keep_aside(target: &Dataset, rows: Vec<usize>, fraction: f64, rng: &mut ChaCha8Rng) -> (Vec<usize>, Vec<usize>) {
    if fraction == 0.0 || rows.len() < MIN_ROWS_TO_KEEP_ASIDE {
        return (Vec::new(), rows);
    }
    let every = (1.0 / fraction).round() as usize;
    let fold_of = folds(target, &rows, every, rng);
    let (aside, rest): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|i| fold_of[*i] == 0);
    let pick = |places: Vec<usize>| places.into_iter().map(|i| rows[i]).collect();
    (pick(aside), pick(rest))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Holdout, toy};
    use crate::learners;

    fn concept(n_labelled: usize, regression: bool) -> (Problem, Holdout) {
        let size = toy::Size { n_labelled, ..toy::Size::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        match regression {
            true => toy::regression(toy::Shift::Concept, size, &mut rng),
            false => toy::classification(toy::Shift::Concept, size, &mut rng),
        }
    }

    fn fit(problem: &Problem, learner: &str, params: Value) -> Result<Box<dyn Predictor>, FitError> {
        let bound = BoundLearner { learner: learners::find(learner).unwrap(), params: &Value::Null, base: None };
        let fitted = FineTuning::fit(problem, &bound, &Checked::new(&params).unwrap(), &mut Ctx::new(1, &Silent))?;
        Ok(fitted.predictor)
    }

    fn coef(model: &dyn Predictor) -> Vec<f64> {
        model.linear().unwrap().coef.iter().copied().collect()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_pull_leads_from_the_targets_own_model_to_the_sources() {
        for (learner, regression) in [("logistic", false), ("ridge", true), ("linear_svm", false)] {
            let (problem, _) = concept(40, regression);
            let bound = BoundLearner { learner: learners::find(learner).unwrap(), params: &Value::Null, base: None };
            let start = coef(&*pretrain(&problem, &bound, &mut Ctx::new(1, &Silent)).unwrap());
            let moved = |pull: f64| distance(&coef(&*fit(&problem, learner, json!({"pull": pull})).unwrap()), &start);
            let moves = [1e-2, 1.0, 1e2, 1e6].map(moved);
            assert!(moves.windows(2).all(|w| w[1] < w[0]), "{learner}: {moves:?}");
            assert!(moves[3] < 1e-3 * moves[0], "{learner}: {moves:?}");
        }
    }

    #[test]
    fn a_search_that_sees_the_concept_change_lets_go_of_the_source() {
        let (changed, holdout) = concept(60, false);
        let right = |model: &dyn Predictor| {
            let Prediction::Classes { codes, .. } = model.predict(&holdout.x) else { panic!("classes") };
            let Labels::Classes(truth) = &holdout.labels else { panic!("classes") };
            codes.iter().zip(truth).filter(|(a, b)| Some(**a) == **b).count()
        };
        let (found, held) =
            (fit(&changed, "logistic", json!(null)).unwrap(), fit(&changed, "logistic", json!({"pull": 1e6})).unwrap());
        assert!(right(&*found) > right(&*held) + 10, "{} and {}", right(&*found), right(&*held));
    }

    #[test]
    fn a_few_labels_are_enough_if_they_are_of_two_classes() {
        for n_labelled in [1, 2, 3] {
            assert_eq!(fit(&concept(n_labelled, true).0, "ridge", json!(null)).map(drop), Ok(()), "{n_labelled}");
        }
        let with_codes = |shown: &[usize]| {
            let (mut problem, _) = concept(shown.len(), false);
            if let Labels::Classes(codes) = &mut problem.target.labels {
                codes.iter_mut().zip(shown).for_each(|(c, s)| *c = Some(*s));
            }
            fit(&problem, "logistic", json!(null)).map(drop)
        };
        for enough in [&[0, 1][..], &[1, 1, 1, 0], &[0, 0, 1, 1, 1]] {
            assert_eq!(with_codes(enough), Ok(()), "{enough:?}");
        }
        for refused in [&[1][..], &[0, 0, 0, 0]] {
            assert!(matches!(with_codes(refused), Err(FitError::Degenerate(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_stored_model_is_continued_without_sources() {
        let (mut problem, _) = concept(30, true);
        let learner = learners::find("ridge").unwrap();
        let params = Value::Null;
        let bound = BoundLearner { learner, params: &params, base: None };
        let base = pretrain(&problem, &bound, &mut Ctx::new(1, &Silent)).unwrap();
        problem.sources.clear();
        let bound = BoundLearner { base: Some(&*base), ..bound };
        let pulled = Checked::new(&json!({"pull": 1e8})).unwrap();
        let model = FineTuning::fit(&problem, &bound, &pulled, &mut Ctx::new(1, &Silent)).unwrap().predictor;
        assert!(distance(&coef(&*model), &coef(&*base)) < 1e-5);
        let alone = BoundLearner { base: None, ..bound };
        let refused = FineTuning::fit(&problem, &alone, &pulled, &mut Ctx::new(1, &Silent));
        assert!(matches!(refused.map(drop), Err(FitError::LabelMissing(_))));
    }

    #[test]
    fn a_learner_without_weights_is_refused_by_name() {
        let card = |id: &str| learners::find(id).unwrap().card();
        let refused = FineTuning::accepts(card("nearest_neighbors"));
        assert!(refused.is_err_and(|why| why.contains("logistic") && why.contains("ridge")));
        assert_eq!(FineTuning::accepts(card("linear_svm")), Ok(()));
    }

    #[test]
    fn folds_and_rows_kept_aside_have_their_share_of_each_class() {
        let (problem, _) = concept(60, false);
        let rows = problem.target.labels.known_rows();
        let Labels::Classes(codes) = &problem.target.labels else { panic!("classes") };
        let ones = |rows: &[usize]| rows.iter().filter(|i| codes[**i] == Some(1)).count();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let fold_of = folds(&problem.target, &rows, 5, &mut rng);
        for fold in 0..5 {
            let members: Vec<usize> = (0..60).filter(|i| fold_of[*i] == fold).map(|i| rows[i]).collect();
            assert_eq!(members.len(), 12);
            assert!(ones(&members).abs_diff(ones(&rows) / 5) <= 1);
        }
        let (aside, rest) = keep_aside(&problem.target, rows.clone(), 0.25, &mut rng);
        assert_eq!((aside.len(), rest.len()), (15, 45));
        assert!(ones(&aside).abs_diff(ones(&rows) / 4) <= 1);
        assert!(keep_aside(&problem.target, rows[..19].to_vec(), 0.25, &mut rng).0.is_empty());
    }
}
