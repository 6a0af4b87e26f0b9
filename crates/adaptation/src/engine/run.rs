//! Runs a spec: fits the adapted model and source-only beside it, scores both on the same rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::checkpoint;
use super::model::{FittedModel, Manifest, SourceOnly};
use super::outcome::{Distances, Memory, Metrics, Mmd2};
use super::problem::{
    Preparation, Prepared, TargetLabels, classes_of, labels_of, prepare, task_of, units_of, unused_columns,
};
use super::scoring::{Pair, Scored};
use super::spec::{Evaluation, Spec};
use crate::context::{Ctx, FitError};
use crate::data::{Dataset, DomainTable, Labels, Problem, Task, TaskKind};
use crate::distances::mmd::mmd2_unbiased;
use crate::evaluation::{self, Split};
use crate::features::{DomainMaps, Map};
use crate::learners::{self, BoundLearner, Predictor};
use crate::linalg::{Matrix, column_means};
use crate::methods::{self, Family, FittedMethod, Method, Needs};
use crate::params::Bandwidth;

const SOURCE_ONLY: &str = "source_only";

/// The phases of a run, in order; observers get these names.
pub const PHASES: [&str; 5] = ["source_only", "fit", "evaluate", "score", "distances"];

/// What a run works on.
pub struct Input<'a> {
    pub task: TaskKind,
    /// At least one, unless a base is continued.
    pub sources: &'a [DomainTable],
    pub target: &'a DomainTable,
    /// The model that `fine_tune` continues.
    pub base: Option<&'a FittedModel>,
}

/// A fitted model and its numbers.
pub struct Outcome {
    pub model: FittedModel,
    pub metrics: Metrics,
}

/// Above this product of squared rows and columns MMD² before and after is estimated on a seeded sample of rows, so that
/// a report costs less than a fit: 2000 of 50 columns, 1000 of 200, 500 of 800, ...
const MMD_WORK: f64 = 2e8;
/// ... and these numbers of rows at least and at most.
const MMD_ROWS: (usize, usize) = (500, 2000);

/// Runs a spec.
///
/// # Errors
/// [`FitError`] with the reason; nothing is returned half done.
pub fn run(spec: &Spec, input: &Input, ctx: &mut Ctx) -> Result<Outcome, FitError> {
    let run = Run::new(spec, input)?;
    let labels = run.target_labels()?;
    let splits = run.splits(&labels, ctx)?;

    // The model that is kept sees all target rows, except under a hold-out, whose rows stay unseen.
    let kept_rows = match (&spec.evaluation, splits.first()) {
        (Evaluation::HoldOut { .. }, Some(split)) => split.train.clone(),
        _ => (0..input.target.table.n_rows()).collect(),
    };
    let kept = run.fit(&kept_rows, ctx)?;

    ctx.phase("evaluate")?;
    let predict_began = ctx.elapsed();
    let mut scored = Scored::new(run.scored_task(), units_of(input.target));
    match spec.evaluation {
        Evaluation::None {} => {}
        Evaluation::TargetLabels {} => scored.add(run.predict(&kept, &labels.known_rows())?, &labels),
        Evaluation::HoldOut { .. } => {
            for split in &splits {
                scored.add(run.predict(&kept, &split.test)?, &labels);
            }
        }
        Evaluation::KFold { .. } | Evaluation::LeaveOneOut {} | Evaluation::Bootstrap { .. } => {
            for pair in run.resampled(&splits, ctx)? {
                scored.add(pair, &labels);
            }
        }
    }
    let predict = ctx.elapsed().saturating_sub(predict_began);

    ctx.phase("score")?;
    let score_began = ctx.elapsed();
    let scores = scored.scores(&mut ctx.rng("score"))?;
    let score = ctx.elapsed().saturating_sub(score_began);
    for (name, interval) in scores.adapted.iter().flatten() {
        if let Some(interval) = interval {
            ctx.metric(name, interval.value);
        }
    }
    let mmd2 = run.mmd2(&kept, ctx)?;
    let mut notes = scores.notes;
    let domains: Vec<&DomainTable> = input.sources.iter().chain([input.target]).collect();
    notes.extend(unused_columns(&domains, &kept.adapted.pipeline));

    let timings_ms =
        [("fit", kept.fit_time), ("source_only", kept.source_only_time), ("predict", predict), ("score", score)];
    let metrics = Metrics {
        task: input.task,
        evaluation: spec.evaluation,
        oracle: run.method.card().id == "target_only",
        n_scored: scored.n_rows(),
        adapted: scores.adapted,
        source_only: scores.source_only,
        per_class: scores.per_class,
        confusion: scores.confusion,
        roc: scores.roc,
        distances: Distances { mmd2 },
        timings_ms: timings_ms.map(|(name, t)| (name, t.as_secs_f64() * 1e3)).into(),
        memory_bytes: Memory { estimate: kept.memory_estimate, peak: None },
        diagnostics: kept.diagnostics,
        notes,
    };
    Ok(Outcome { model: kept.adapted, metrics })
}

/// Checks a spec against its data without fitting more than its features; answers with the bytes that these and the
/// method would ask for beyond the data.
///
/// # Errors
/// What a run would end with before its first fit.
pub fn estimate(spec: &Spec, input: &Input, ctx: &Ctx) -> Result<u64, FitError> {
    let run = Run::new(spec, input)?;
    let labels = run.target_labels()?;
    run.splits(&labels, ctx)?;
    let prepared = run.prepared(input.target, ctx)?;
    Ok(prepared.memory_bytes.saturating_add(run.method.memory_bytes(&prepared.problem, &spec.method.params)))
}

/// Both models of one fit, with what is told about them.
struct Fit {
    /// With source-only beside it.
    adapted: FittedModel,
    problem: Problem,
    source_maps: Vec<Map>,
    diagnostics: BTreeMap<String, f64>,
    memory_estimate: u64,
    fit_time: Duration,
    source_only_time: Duration,
}

/// A spec with its method and learner looked up.
struct Run<'a> {
    spec: &'a Spec,
    input: &'a Input<'a>,
    method: &'static dyn Method,
    learner: BoundLearner<'a>,
    /// With the classes that a fit knows.
    task: Task,
}

impl<'a> Run<'a> {
    fn new(spec: &'a Spec, input: &'a Input<'a>) -> Result<Self, FitError> {
        let unknown = |pointer: &str, id: &str| FitError::Invalid {
            pointer: pointer.into(),
            detail: format!("{id:?} is not known to this version"),
        };
        let method = methods::find(&spec.method.id).ok_or_else(|| unknown("/method/id", &spec.method.id))?;
        let learner = learners::find(&spec.learner.id).ok_or_else(|| unknown("/learner/id", &spec.learner.id))?;
        if method.card().needs == Needs::TargetLabels && spec.evaluation == (Evaluation::TargetLabels {}) {
            return Err(FitError::Invalid {
                pointer: "/evaluation".into(),
                detail: format!(
                    "{} trains on target labels, so the same labels cannot score it; use hold_out or k_fold",
                    spec.method.id
                ),
            });
        }
        let task = match (input.base, method.card().needs) {
            (Some(base), _) => base.task(),
            (None, Needs::Nothing) => task_of(input.task, input.sources, None),
            (None, Needs::TargetLabels) => task_of(input.task, input.sources, Some(input.target)),
        };
        // Without any label, the source that lacks them is named where it is prepared.
        if let [only] = task.classes() {
            return Err(FitError::Degenerate(format!(
                "the labels that may be learnt from hold only {only:?}; a classification needs rows of two classes"
            )));
        }
        let base = input.base.map(|b| b.predictor.as_ref());
        Ok(Self { spec, input, method, learner: BoundLearner { learner, params: &spec.learner.params, base }, task })
    }

    fn shown(&self) -> TargetLabels {
        match self.method.card().needs {
            Needs::Nothing => TargetLabels::Hidden,
            Needs::TargetLabels => TargetLabels::Shown,
        }
    }

    /// The task with the classes that only held-out labels have behind those of the fit.
    fn scored_task(&self) -> Task {
        let mut task = self.task.clone();
        if let Task::Classification { classes } = &mut task {
            let unseen: Vec<String> =
                classes_of(&[self.input.target]).into_iter().filter(|c| !classes.contains(c)).collect();
            classes.extend(unseen);
        }
        task
    }

    /// Every label of the target. Used to split and to score; a fit gets them only through `prepare`.
    fn target_labels(&self) -> Result<Labels, FitError> {
        let labels = labels_of(self.input.target, &self.scored_task())?;
        let needed = self.shown() == TargetLabels::Shown || self.spec.evaluation != (Evaluation::None {});
        if needed && labels.known_rows().is_empty() {
            return Err(FitError::LabelMissing(format!("target {} has no row with a label", self.input.target.name)));
        }
        let n_learnt = self.task.n_classes();
        if let Labels::Classes(codes) = &labels
            && needed
            && codes.iter().flatten().all(|code| *code >= n_learnt)
        {
            let of_target = classes_of(&[self.input.target]);
            return Err(FitError::Invalid {
                pointer: "/target".into(),
                detail: format!(
                    "the labels of target {} are {}, those to learn from are {}: none is among both; write labels \
                     alike in all domains",
                    self.input.target.name,
                    few(&of_target),
                    few(self.task.classes())
                ),
            });
        }
        Ok(labels)
    }

    fn splits(&self, labels: &Labels, ctx: &Ctx) -> Result<Vec<Split>, FitError> {
        let strata: Vec<Option<usize>> = match labels {
            Labels::Classes(codes) => codes.clone(),
            Labels::Values(values) => values.iter().map(|v| v.map(|_| 0)).collect(),
        };
        let mut rng = ctx.rng("splits");
        let split = |strata: &evaluation::Strata| match self.spec.evaluation {
            Evaluation::None {} | Evaluation::TargetLabels {} => Vec::new(),
            Evaluation::HoldOut { fraction } => vec![evaluation::hold_out(strata, fraction, &mut rng)],
            Evaluation::KFold { n_folds } => evaluation::k_fold(strata, n_folds, &mut rng),
            Evaluation::LeaveOneOut {} => evaluation::leave_one_out(strata),
            Evaluation::Bootstrap { n_draws } => evaluation::bootstrap(strata, n_draws, &mut rng),
        };
        let splits = evaluation::of_units(&strata, &units_of(self.input.target), split);
        if matches!(self.spec.evaluation, Evaluation::None {} | Evaluation::TargetLabels {}) {
            return Ok(splits);
        }
        if splits.is_empty() || splits.iter().any(|s| s.test.is_empty() || s.train.is_empty()) {
            return Err(FitError::Invalid {
                pointer: "/evaluation".into(),
                detail: format!("target {} has too few labelled rows to split", self.input.target.name),
            });
        }
        Ok(splits)
    }

    /// What models fitted on the training rows of each split say about its test rows. The splits that are done are a
    /// checkpoint: these many fits are where a job spends its hours.
    fn resampled(&self, splits: &[Split], ctx: &mut Ctx) -> Result<Vec<Pair>, FitError> {
        let tests: Vec<&[usize]> = splits.iter().map(|s| s.test.as_slice()).collect();
        let mut done = ctx.resume().map_or_else(Vec::new, |bytes| checkpoint::read(&bytes, self.spec, &tests));
        while let Some(split) = splits.get(done.len()) {
            ctx.step(done.len() as u64, Some(splits.len() as u64))?;
            let fold = ctx.quietly(|ctx| self.fit(&split.train, ctx))?;
            done.push(self.predict(&fold, &split.test)?);
            ctx.checkpoint(&|| checkpoint::write(self.spec, &done))?;
        }
        Ok(done)
    }

    /// The problem of training rows of the target.
    fn prepared(&self, target: &DomainTable, ctx: &Ctx) -> Result<Prepared, FitError> {
        match self.input.base {
            Some(base) => self.continued(base, target),
            None => {
                let how = Preparation { task: &self.task, shown: self.shown(), features: self.spec.features };
                prepare(&how, self.input.sources, target, ctx)
            }
        }
    }

    /// Fits source-only and the method on these rows of the target.
    fn fit(&self, rows: &[usize], ctx: &mut Ctx) -> Result<Fit, FitError> {
        let target = self.input.target.select_rows(rows);
        let Prepared { problem, pipeline, memory_bytes } = self.prepared(&target, ctx)?;
        let memory_bytes = memory_bytes.saturating_add(self.method.memory_bytes(&problem, &self.spec.method.params));
        ctx.admit("the method", memory_bytes)?;
        ctx.phase("source_only")?;
        let began = ctx.elapsed();
        let source_only = self.source_only(&problem, ctx)?;
        let source_only_time = ctx.elapsed().saturating_sub(began);

        ctx.phase("fit")?;
        let began = ctx.elapsed();
        let params = &self.spec.method.params;
        let mut fit_time = Duration::ZERO;
        let (fitted, source_only) = match self.method.card().id {
            // It is there already; a second fit would give the same.
            SOURCE_ONLY => {
                fit_time = source_only_time;
                let maps = DomainMaps::identity(problem.sources.len());
                let diagnostics = BTreeMap::new();
                (FittedMethod { maps, predictor: source_only, weights: None, diagnostics }, SourceOnly::Itself)
            }
            _ => {
                let map = self.input.base.map_or(Map::Identity, |b| b.map.clone());
                let beside = SourceOnly::Beside { map, predictor: source_only };
                (self.method.fit(&problem, params, &self.learner, ctx)?, beside)
            }
        };
        fit_time += ctx.elapsed().saturating_sub(began);
        if self.method.card().family != Family::Baselines && all_equal(&fitted.maps.target.apply(&problem.target.x)) {
            return Err(FitError::Degenerate(format!(
                "all rows of target {} are equal in the space that {} finds: there is nothing to adapt to",
                target.name, self.spec.method.id
            )));
        }

        let manifest = Manifest {
            task: self.input.task,
            classes: self.task.classes().to_vec(),
            spec: self.spec.clone(),
            lineage: Value::Null,
            library: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // A continued model keeps the map of its base; its problem was mapped already.
        let map = self.input.base.map_or(fitted.maps.target, |b| b.map.clone());
        Ok(Fit {
            adapted: FittedModel {
                manifest,
                pipeline,
                map,
                predictor: fitted.predictor,
                source_only: Some(source_only),
            },
            memory_estimate: memory_bytes,
            problem,
            source_maps: fitted.maps.sources,
            diagnostics: fitted.diagnostics,
            fit_time,
            source_only_time,
        })
    }

    /// The learner on the sources alone; the base itself where one is continued.
    fn source_only(&self, problem: &Problem, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
        if let Some(base) = self.input.base {
            let copy = self.learner.learner.load(&base.predictor.save());
            return copy.map_err(|e| FitError::Invalid { pointer: "/base".into(), detail: e.to_string() });
        }
        let method = methods::find(SOURCE_ONLY).ok_or_else(|| FitError::Degenerate("source_only is missing".into()))?;
        Ok(method.fit(problem, &Value::Null, &self.learner, ctx)?.predictor)
    }

    /// The problem of a target in the adapted space of a base: no sources, frozen features.
    fn continued(&self, base: &FittedModel, target: &DomainTable) -> Result<Prepared, FitError> {
        let known = self.task.classes();
        let all = if self.input.task == TaskKind::Classification { classes_of(&[target]) } else { Vec::new() };
        let unseen: Vec<String> = all.into_iter().filter(|c| !known.contains(c)).collect();
        if !unseen.is_empty() {
            let what = format!("target {} has classes that the base lacks: {unseen:?}", target.name);
            return Err(FitError::Degenerate(what));
        }
        let x = base.pipeline.transform(&target.table).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(|p| format!("column {:?}: {}", p.column, p.detail)).collect();
            FitError::NoSharedColumns(format!("target {} does not fit the base: {}", target.name, all.join("; ")))
        })?;
        let labels = labels_of(target, &self.task)?;
        let target = Dataset { x: base.map.apply(&x), labels, weights: None };
        let problem = Problem { task: self.task.clone(), sources: Vec::new(), target };
        Ok(Prepared { problem, pipeline: base.pipeline.clone(), memory_bytes: 0 })
    }

    /// What both models say about these rows of the target.
    fn predict(&self, fit: &Fit, rows: &[usize]) -> Result<Pair, FitError> {
        let table = self.input.target.table.select_rows(rows);
        // Training rows of the same table passed already; only a strict policy can refuse others.
        let x = fit.adapted.pipeline.transform(&table).map_err(|problems| {
            FitError::Degenerate(
                problems.first().map_or_else(String::new, |p| format!("column {:?}: {}", p.column, p.detail)),
            )
        })?;
        Ok(Pair::of(&fit.adapted, &x, rows.to_vec()))
    }

    /// MMD² between sources and target before and after. Rows beyond a bound are sampled.
    fn mmd2(&self, fit: &Fit, ctx: &mut Ctx) -> Result<Mmd2, FitError> {
        ctx.phase("distances")?;
        if fit.problem.sources.is_empty() {
            return Ok(Mmd2 { before: None, after: None });
        }
        let target = &fit.problem.target.x;
        // The same rows before and after, however many columns a map leaves.
        let rows = ((MMD_WORK / target.n_columns().max(1) as f64).sqrt() as usize).clamp(MMD_ROWS.0, MMD_ROWS.1);
        let before = mmd2(&fit.problem.pooled_sources(), target, rows, ctx)?;
        let identity = fit.adapted.map == Map::Identity && fit.source_maps.iter().all(|m| *m == Map::Identity);
        if identity {
            return Ok(Mmd2 { before, after: None });
        }
        let mapped: Vec<Matrix> =
            fit.problem.sources.iter().zip(&fit.source_maps).map(|(s, m)| m.apply(&s.x)).collect();
        let sources = Matrix::stack(&mapped.iter().collect::<Vec<_>>());
        let after = mmd2(&sources, &fit.adapted.map.apply(target), rows, ctx)?;
        Ok(Mmd2 { before, after })
    }
}

/// Whether there are several rows without any variance beyond the rounding of their mean.
fn all_equal(x: &Matrix) -> bool {
    let x = x.dense();
    let mean = column_means(x.view());
    let near = |(v, m): (&f64, &f64)| (v - m).abs() <= 1e-12 * m.abs();
    x.nrows() > 1 && x.outer_iter().all(|row| row.iter().zip(&mean).all(near))
}

/// The first words of a list.
fn few(words: &[String]) -> String {
    let shown: Vec<String> =
        words.iter().take(5).map(|w| format!("{:?}", w.chars().take(40).collect::<String>())).collect();
    if words.len() > shown.len() { format!("{} …", shown.join(", ")) } else { shown.join(", ") }
}

/// MMD² of at most so many rows a side with the median bandwidth; `None` where it is not defined, as for a domain of one
/// row.
fn mmd2(x: &Matrix, y: &Matrix, max_rows: usize, ctx: &Ctx) -> Result<Option<f64>, FitError> {
    match mmd2_unbiased(x, y, Bandwidth::default(), Some(max_rows), ctx) {
        Ok(value) => Ok(Some(value)),
        Err(FitError::Degenerate(_)) => Ok(None),
        Err(e) => Err(e),
    }
}
