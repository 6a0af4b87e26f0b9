//! Domains become the problem that a method sees. The one place where labels of the target are
//! shown to a fit, hidden from it, or kept aside for scoring.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use ndarray::Array1;

use crate::context::{Ctx, FitError};
use crate::data::{Column, Dataset, DomainTable, Labels, Problem, Role, Task, TaskKind};
use crate::features::{FeatureParams, Pipeline};
use crate::linalg::Matrix;

/// Whether the labels of the target's training rows reach the fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetLabels {
    Hidden,
    Shown,
}

/// A problem with the pipeline that made it.
pub(super) struct Prepared {
    pub(super) problem: Problem,
    pub(super) pipeline: Pipeline,
    /// What the features took beyond the tables.
    pub(super) memory_bytes: u64,
}

/// How domains become a problem.
pub(super) struct Preparation<'a> {
    pub(super) task: &'a Task,
    pub(super) shown: TargetLabels,
    pub(super) features: FeatureParams,
}

/// The task with its classes: those of the sources and, where the fit may see them, of the target.
/// Made once for all splits, so that codes mean the same in each.
pub(super) fn task_of(kind: TaskKind, sources: &[DomainTable], target: Option<&DomainTable>) -> Task {
    match kind {
        TaskKind::Classification => {
            Task::Classification { classes: classes_of(&sources.iter().chain(target).collect::<Vec<_>>()) }
        }
        TaskKind::Regression => Task::Regression,
    }
}

/// The problem of these domains; `target` holds training rows only.
///
/// # Errors
/// [`FitError::LabelMissing`] where no source row is labelled; what [`Pipeline::fit`] refuses.
pub(super) fn prepare(
    how: &Preparation,
    sources: &[DomainTable],
    target: &DomainTable,
    ctx: &Ctx,
) -> Result<Prepared, FitError> {
    let task = how.task;
    let sources: Vec<Cow<DomainTable>> = sources.iter().map(labelled_rows).collect::<Result<_, _>>()?;
    let fitted = Pipeline::fit_in(&sources, target, how.features, ctx)?;
    let dataset = |domain: &DomainTable, x: Matrix, labels: Labels| -> Result<Dataset, FitError> {
        Ok(Dataset { x, labels, weights: weights_of(domain)? })
    };
    let source_sets = sources
        .iter()
        .zip(fitted.sources)
        .map(|(domain, x)| dataset(domain, x, labels_of(domain, task)?))
        .collect::<Result<Vec<_>, _>>()?;
    let labels = match how.shown {
        TargetLabels::Shown => labels_of(target, task)?,
        TargetLabels::Hidden => no_labels(task.kind(), target.table.n_rows()),
    };
    let problem = Problem { task: task.clone(), sources: source_sets, target: dataset(target, fitted.target, labels)? };
    Ok(Prepared { problem, pipeline: fitted.pipeline, memory_bytes: fitted.memory_bytes })
}

/// The labels of a domain; words that are not among the classes are unknown.
///
/// # Errors
/// [`FitError::Degenerate`] where a regression has words for labels.
pub(super) fn labels_of(domain: &DomainTable, task: &Task) -> Result<Labels, FitError> {
    let n = domain.table.n_rows();
    let Some(column) = domain.label() else { return Ok(no_labels(task.kind(), n)) };
    match task {
        Task::Classification { classes } => {
            let index: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
            let code = |i| column.values.word(i).and_then(|w| index.get(w.as_str()).copied());
            Ok(Labels::Classes((0..n).map(code).collect()))
        }
        Task::Regression => {
            let value = |i| column.values.number(i);
            let values: Vec<Option<f64>> = (0..n).map(value).collect();
            if (0..n).any(|i| values[i].is_none() && column.values.word(i).is_some()) {
                return Err(FitError::Degenerate(format!(
                    "label column {:?} of {} holds words, a regression needs numbers",
                    column.name, domain.name
                )));
            }
            Ok(Labels::Values(values))
        }
    }
}

/// A word about the feature columns that the model does not use: a column must be in every domain, and texts must have
/// something in common.
pub(super) fn unused_columns(domains: &[&DomainTable], pipeline: &Pipeline) -> Option<String> {
    let used: BTreeSet<&str> = pipeline.inputs().into_iter().map(|(name, _)| name).collect();
    let features = domains.iter().flat_map(|d| d.with_role(Role::Feature));
    let unused: BTreeSet<&str> = features.map(|c| c.name.as_str()).filter(|name| !used.contains(name)).collect();
    if unused.is_empty() {
        return None;
    }
    let shown: Vec<String> = unused.iter().take(10).map(|name| format!("{name:?}")).collect();
    let more = if unused.len() > shown.len() { ", …" } else { "" };
    Some(format!(
        "{} columns are not used, since a domain lacks them, has nothing in them, or has texts in them that have nothing in common: {}{more}",
        unused.len(),
        shown.join(", ")
    ))
}

/// What each row of a domain belongs to, `(n,)`: its group where it has one, else itself. A unit is never split
/// between what a fit sees and what scores it.
pub(super) fn units_of(domain: &DomainTable) -> Vec<usize> {
    let n = domain.table.n_rows();
    let Some(column) = domain.with_role(Role::Group).next() else { return (0..n).collect() };
    let mut first = HashMap::new();
    let unit = |i: usize| column.values.word(i).map_or(i, |group| *first.entry(group).or_insert(i));
    (0..n).map(unit).collect()
}

/// The classes that occur in the labels of these domains: sorted as numbers where all are numbers,
/// else as words.
pub(super) fn classes_of(domains: &[&DomainTable]) -> Vec<String> {
    let words = |c: &Column| -> BTreeSet<String> { (0..c.values.len()).filter_map(|i| c.values.word(i)).collect() };
    let all: BTreeSet<String> = domains.iter().filter_map(|d| d.label()).flat_map(words).collect();
    let mut classes: Vec<String> = all.into_iter().collect();
    let numbers: Option<Vec<f64>> = classes.iter().map(|c| c.parse().ok()).collect();
    if numbers.is_some() {
        let number = |c: &String| c.parse::<f64>().unwrap_or(f64::NAN);
        classes.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    classes
}

fn no_labels(task: TaskKind, n: usize) -> Labels {
    match task {
        TaskKind::Classification => Labels::Classes(vec![None; n]),
        TaskKind::Regression => Labels::Values(vec![None; n]),
    }
}

/// The rows of a source that have a label.
fn labelled_rows(domain: &DomainTable) -> Result<Cow<'_, DomainTable>, FitError> {
    let missing = |what: &str| FitError::LabelMissing(format!("source {} has no {what}", domain.name));
    let column = domain.label().ok_or_else(|| missing("label column; name one with ?label= when it is uploaded"))?;
    let known: Vec<usize> = (0..domain.table.n_rows()).filter(|&i| column.values.word(i).is_some()).collect();
    if known.is_empty() {
        return Err(missing("row with a label"));
    }
    Ok(domain.select_rows(&known))
}

fn weights_of(domain: &DomainTable) -> Result<Option<Array1<f64>>, FitError> {
    let Some(column) = domain.with_role(Role::Weight).next() else { return Ok(None) };
    let bad = |row: usize| {
        FitError::Degenerate(format!(
            "weight column {:?} of {}: row {} is not a number of at least 0",
            column.name,
            domain.name,
            row + 1
        ))
    };
    let weights = (0..domain.table.n_rows())
        .map(|i| column.values.number(i).filter(|w| w.is_finite() && *w >= 0.0).ok_or_else(|| bad(i)))
        .collect::<Result<Array1<f64>, _>>()?;
    if weights.sum() <= 0.0 {
        return Err(FitError::Degenerate(format!("all weights of {} are zero", domain.name)));
    }
    Ok(Some(weights))
}
