//! One table: every row over every task, through the engine.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use adaptation::context::{Ctx, FitError, Silent};
use adaptation::data::{DomainTable, TaskKind};
use adaptation::engine::{self, Choice, Evaluation, Input, Spec};
use adaptation::features::{FeatureParams, Scaling};
use adaptation::learners::Prediction;
use adaptation::methods::{self, Needs};
use anyhow::Context;
use rayon::prelude::*;
use serde_json::Value;

use super::catalogue::{Pairs, Protocol, Row, Table};
use super::data;
use super::measure::Cost;

/// What one task is fitted on and scored by.
struct Task {
    head: String,
    /// Which draw of the pair it is, and the seed.
    draw: u64,
    sources: Vec<DomainTable>,
    target: Arc<DomainTable>,
    /// Rows that no fit sees; `None` where the target's own rows are scored.
    unseen: Option<Arc<DomainTable>>,
}

impl Task {
    fn n_rows(&self) -> usize {
        self.sources.iter().chain([self.target.as_ref()]).map(|domain| domain.table.n_rows()).sum()
    }
}

/// Prints a table, or why it is skipped; of all methods where none is named.
pub fn print(table: &Table, folder: &Path, methods: &[String]) -> anyhow::Result<()> {
    println!("\n## {}\n\n`{}`. {}\n", table.title, table.id, table.protocol_words);
    let folder = folder.join(table.folder);
    if !folder.is_dir() {
        println!("Skipped: {} is not there.", table.folder);
        return Ok(());
    }
    let tasks = tasks(table, &folder)?;
    // Draws of one pair are one column.
    let mut heads: Vec<&str> = tasks.iter().map(|t| t.head.as_str()).collect();
    heads.dedup();
    println!("| method | learner | settings | {} | mean | published | CPU s | MiB |", heads.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(heads.len() + 4));
    let mut notes = Vec::new();
    for row in table.rows.iter().filter(|row| methods.is_empty() || methods.iter().any(|m| m == row.method)) {
        match line(table, row, &heads, &tasks) {
            Ok((line, failed)) => {
                println!("{line}");
                notes.extend(failed.into_iter().map(|why| format!("{}: {why}", row.label)));
            }
            Err(why) => notes.push(format!("{}: {why}", row.label)),
        }
    }
    notes.dedup();
    notes.iter().for_each(|note| println!("\n- {note}"));
    Ok(())
}

/// A row of the table, and why tasks of it failed.
fn line(table: &Table, row: &Row, heads: &[&str], tasks: &[Task]) -> Result<(String, Option<String>), String> {
    let method = methods::find(row.method).ok_or_else(|| format!("skipped, {} is not there yet", row.method))?;
    let params: Value = serde_json::from_str(row.params).map_err(|e| format!("{}: {e}", row.params))?;
    method.check(&params).map_err(|e| format!("skipped, its settings do not fit: {e}"))?;
    let cost = Cost::begin();
    // Tasks side by side keep all threads busy, the largest first lest one is left to a single thread in the end; each
    // is seeded by itself, so that their order changes nothing.
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|&i| Reverse(tasks[i].n_rows()));
    let score = |i: usize| (i, score(table, row, &tasks[i]).map_err(|e| format!("{} failed: {e}", tasks[i].head)));
    let mut scores: Vec<(usize, Result<f64, String>)> = order.into_iter().par_bridge().map(score).collect();
    scores.sort_by_key(|(i, _)| *i);
    let scores: Vec<Result<f64, String>> = scores.into_iter().map(|(_, score)| score).collect();
    let mut means = Vec::new();
    for head in heads {
        let mine: Vec<f64> = tasks
            .iter()
            .zip(&scores)
            .filter(|(t, _)| t.head == *head)
            .map(|(_, s)| *s.as_ref().unwrap_or(&f64::NAN))
            .collect();
        means.push(100.0 * mine.iter().sum::<f64>() / mine.len() as f64);
    }
    // A mean over the tasks that did not fail would not be comparable with the others.
    let failed: Vec<String> = scores.into_iter().filter_map(Result::err).collect();
    let failed = failed.first().map(|first| match failed.len() {
        1 => first.clone(),
        n => format!("{n} tasks failed, first {first}"),
    });
    let [cpu, mib] = cost.cells();
    let learner = if method.brings_predictor() { "its own" } else { row.learner.name };
    let cell = |m: f64, digits: usize| if m.is_nan() { "failed".to_owned() } else { format!("{m:.digits$}") };
    let cells: Vec<String> = means.iter().map(|m| cell(*m, 1)).collect();
    let mean = cell(means.iter().sum::<f64>() / means.len() as f64, 2).replace("failed", "–");
    let settings = if row.params == "{}" { "defaults".to_owned() } else { format!("`{}`", row.params) };
    let settings = row.scaling.map_or(settings.clone(), |s| format!("{settings}, {s}"));
    let published = if row.published.is_empty() { "–" } else { row.published };
    let line = format!(
        "| {} | {learner} | {settings} | {} | {mean} | {published} | {cpu} | {mib} |",
        row.label,
        cells.join(" | ")
    );
    Ok((line, failed))
}

fn score(table: &Table, row: &Row, task: &Task) -> Result<f64, String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| format!("{text}: {e}"));
    let oracle = methods::find(row.method).is_some_and(|m| m.card().needs == Needs::TargetLabels);
    let scaling = match table.protocol {
        Protocol::SampledSource { .. } => "none",
        _ => row.scaling.unwrap_or(table.scaling),
    };
    let evaluation = match (&task.unseen, oracle) {
        (Some(_), _) => Evaluation::None {},
        (None, true) => Evaluation::KFold { n_folds: 5 },
        (None, false) => Evaluation::TargetLabels {},
    };
    let spec = Spec {
        method: Choice { id: row.method.into(), params: json(row.params)? },
        learner: Choice { id: row.learner.id.into(), params: json(row.learner.params)? },
        features: FeatureParams { scaling: scaling_of(scaling)?, ..FeatureParams::default() },
        evaluation,
        seed: task.draw,
    };
    let input = Input { task: TaskKind::Classification, sources: &task.sources, target: &task.target, base: None };
    let outcome = engine::run(&spec, &input, &mut Ctx::new(task.draw, &Silent)).map_err(|e: FitError| e.to_string())?;
    match &task.unseen {
        Some(unseen) => share_right(&outcome.model, unseen),
        None => {
            let scores = outcome.metrics.adapted.unwrap_or_default();
            let value = scores.get(table.metric).copied().flatten();
            Ok(value.ok_or_else(|| format!("{} is not defined", table.metric))?.value)
        }
    }
}

/// The accuracy on rows that no fit saw.
fn share_right(model: &engine::FittedModel, unseen: &DomainTable) -> Result<f64, String> {
    let predicted = model.predict(&unseen.table).map_err(|p| format!("{p:?}"))?;
    let (Prediction::Classes { codes, .. }, Some(label)) = (predicted, unseen.label()) else {
        return Err("there are no classes to compare".into());
    };
    let classes = &model.manifest().classes;
    let right = codes.iter().enumerate().filter(|(i, c)| label.values.word(*i).as_ref() == classes.get(**c)).count();
    Ok(right as f64 / codes.len().max(1) as f64)
}

fn scaling_of(word: &str) -> Result<Scaling, String> {
    serde_json::from_value(Value::from(word)).map_err(|e| e.to_string())
}

fn tasks(table: &Table, folder: &Path) -> anyhow::Result<Vec<Task>> {
    let read = |file: &str| -> anyhow::Result<DomainTable> {
        let domain = data::domain(&folder.join(file), table.ignore)?;
        match table.protocol {
            Protocol::SampledSource { .. } => {
                data::scaled(&domain, scaling_of(table.scaling).map_err(anyhow::Error::msg)?)
            }
            _ => Ok(domain),
        }
    };
    let domains = table.domains.iter().map(|d| read(d.file).map(Arc::new)).collect::<anyhow::Result<Vec<_>>>()?;
    let tests = table
        .domains
        .iter()
        .map(|d| d.test.map(|file| read(file).map(Arc::new)).transpose())
        .collect::<anyhow::Result<Vec<Option<Arc<DomainTable>>>>>()?;
    let place = |short: &str| {
        table
            .domains
            .iter()
            .position(|d| d.short == short)
            .with_context(|| format!("no domain {short} in {}", table.id))
    };
    let all: Vec<(Vec<usize>, usize)> = match table.pairs {
        Pairs::All => {
            let n = domains.len();
            (0..n).flat_map(|s| (0..n).filter(move |t| *t != s).map(move |t| (vec![s], t))).collect()
        }
        Pairs::Listed(listed) => listed
            .iter()
            .map(|(sources, target)| {
                Ok((sources.iter().map(|s| place(s)).collect::<anyhow::Result<Vec<_>>>()?, place(target)?))
            })
            .collect::<anyhow::Result<Vec<_>>>()?,
    };
    let mut tasks = Vec::new();
    for (sources, target) in all {
        let shorts: Vec<&str> = sources.iter().map(|s| table.domains[*s].short).collect();
        let head = format!("{}→{}", shorts.join("+"), table.domains[target].short);
        let (seen, unseen) = match (table.protocol, &tests[target]) {
            (Protocol::Inductive, test) => (domains[target].clone(), test.clone()),
            (_, Some(test)) => (test.clone(), None),
            (_, None) => (domains[target].clone(), None),
        };
        let n_draws = if let Protocol::SampledSource { n_draws } = table.protocol { n_draws } else { 1 };
        for draw in 0..n_draws {
            let sources = sources.iter().map(|s| match table.protocol {
                Protocol::SampledSource { .. } => data::draw(&domains[*s], table.domains[*s].per_class, draw),
                _ => domains[*s].as_ref().clone(),
            });
            tasks.push(Task {
                head: head.clone(),
                draw,
                sources: sources.collect(),
                target: seen.clone(),
                unseen: unseen.clone(),
            });
        }
    }
    Ok(tasks)
}
