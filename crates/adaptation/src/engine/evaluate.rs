//! Scores a fitted model on a labelled domain that it is only shown, in the numbers of a run.

use std::collections::BTreeMap;

use super::model::FittedModel;
use super::outcome::{Distances, Memory, Metrics, Mmd2};
use super::problem::{classes_of, labels_of, units_of};
use super::scoring::{Pair, Scored};
use super::spec::Evaluation;
use crate::context::{Ctx, FitError};
use crate::data::{DomainTable, Task};
use crate::features::InputProblem;

/// Rows predicted between two looks at whether the caller still wants them.
const ROWS_PER_STEP: usize = 1000;

/// Predicts every labelled row of a domain and scores the predictions as [`super::run`] does: the same metrics,
/// intervals and draws, source-only beside where the model keeps it. Distances need sources and are not told.
///
/// # Errors
/// [`FitError::LabelMissing`] where no row has a label, [`FitError::NoSharedColumns`] and [`FitError::Degenerate`] where
/// rows do not fit the model, and what `ctx` says.
pub fn evaluate(model: &FittedModel, target: &DomainTable, ctx: &mut Ctx) -> Result<Metrics, FitError> {
    let task = scored_task(model, target);
    let labels = labels_of(target, &task)?;
    let known = labels.known_rows();
    if known.is_empty() {
        return Err(FitError::LabelMissing(format!("target {} has no row with a label", target.name)));
    }
    ctx.phase("predict")?;
    let began = ctx.elapsed();
    let mut scored = Scored::new(task, units_of(target));
    let n_steps = known.len().div_ceil(ROWS_PER_STEP) as u64;
    for (i, rows) in known.chunks(ROWS_PER_STEP).enumerate() {
        ctx.step(i as u64, Some(n_steps))?;
        let x = model.transform(&target.table.select_rows(rows)).map_err(|p| unfit(&target.name, &p))?;
        scored.add(Pair::of(model, &x, rows.to_vec()), &labels);
    }
    let predict = ctx.elapsed().saturating_sub(began);

    ctx.phase("score")?;
    let began = ctx.elapsed();
    let scores = scored.scores(&mut ctx.rng("score"))?;
    let score = ctx.elapsed().saturating_sub(began);
    let mut notes = scores.notes;
    if !model.keeps_source_only() {
        notes.push("the model was stored before source-only was kept beside models; there are no numbers of it".into());
    }
    Ok(Metrics {
        task: model.manifest().task,
        evaluation: Evaluation::TargetLabels {},
        oracle: model.manifest().spec.method.id == "target_only",
        n_scored: scored.n_rows(),
        adapted: scores.adapted,
        source_only: scores.source_only,
        per_class: scores.per_class,
        confusion: scores.confusion,
        roc: scores.roc,
        distances: Distances { mmd2: Mmd2 { before: None, after: None } },
        timings_ms: [("predict", predict), ("score", score)].map(|(name, t)| (name, t.as_secs_f64() * 1e3)).into(),
        memory_bytes: Memory { estimate: 0, peak: None },
        diagnostics: BTreeMap::new(),
        notes,
    })
}

/// The model's task with the classes that only this domain has behind its own.
fn scored_task(model: &FittedModel, target: &DomainTable) -> Task {
    let mut task = model.task();
    if let Task::Classification { classes } = &mut task {
        let unseen: Vec<String> = classes_of(&[target]).into_iter().filter(|c| !classes.contains(c)).collect();
        classes.extend(unseen);
    }
    task
}

/// Rows that the model cannot take.
fn unfit(name: &str, problems: &[InputProblem]) -> FitError {
    let all: Vec<String> = problems.iter().map(|p| format!("column {:?}: {}", p.column, p.detail)).collect();
    let detail = format!("target {name} does not fit the model: {}", all.join("; "));
    if problems.iter().all(|p| p.row.is_none()) {
        FitError::NoSharedColumns(detail)
    } else {
        FitError::Degenerate(detail)
    }
}
