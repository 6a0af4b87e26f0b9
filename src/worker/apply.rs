//! What a job of the kinds `predict` and `evaluate` does: loads a model and a domain, runs the one on the other in parts
//! that a cancel can come between, and leaves a file or metrics.

use adaptation::context::{Ctx, FitError, Observer, Report};
use adaptation::data::{DomainTable, Role};
use adaptation::engine::{self, FittedModel};
use adaptation::features::InputProblem;
use bytes::Bytes;
use serde_json::{Value, json};

use super::AttemptHandle;
use super::errors::{DATA_DEGENERATE, job_error, job_error_at};
use super::execute::{Executor, Phased, of_fit, of_job, table};
use crate::predictions::{Answer, FileWriter};
use crate::records::{AppliedSpec, FileFormat, Include, JobError, JobFile, JobKind, JobRecord};
use crate::store::Completion;

/// How the progress bar is shared out, as for fits.
pub(super) const PHASES: [(&str, f64); 4] = [("load", 0.1), ("predict", 0.8), ("score", 0.95), ("save", 1.0)];

/// Rows predicted between two looks at whether the job is still wanted; bounds what a part takes beside the file.
const ROWS_PER_STEP: usize = 1000;

/// Bytes of a number in a file of text, about.
const BYTES_PER_NUMBER: u64 = 24;

/// Everything that is run, loaded.
struct Loaded {
    spec: AppliedSpec,
    model: FittedModel,
    target: DomainTable,
}

/// A file as it is left.
struct Written {
    bytes: Vec<u8>,
    n_rows: usize,
    predict_ms: f64,
}

impl Executor {
    /// One attempt of a job that applies a model.
    pub(super) async fn apply(&self, job: JobRecord, handle: AttemptHandle) -> Result<Completion, JobError> {
        let spec: AppliedSpec = serde_json::from_value(job.spec.clone())
            .map_err(|e| job_error(DATA_DEGENERATE, format!("the stored spec is of another release: {e}")))?;
        let observer = Phased(handle.clone(), &PHASES);
        let began = observer.elapsed();
        observer.report(Report::Phase("load"));
        let target = self.domain(&job.tenant, &spec.target, "/target").await?;
        let (record, file) = self.model(&job.tenant, &spec.model, "/model").await?;
        let lineage = record.lineage;
        // Decoding is computation: it belongs on the attempt's threads.
        let assemble = move || -> Result<Loaded, JobError> {
            let model = FittedModel::load(&file).map_err(|e| {
                job_error_at(DATA_DEGENERATE, "/model", format!("model {} is corrupt: {e}", spec.model))
            })?;
            Ok(Loaded { model, target: table(target, "/target")?, spec })
        };
        let loaded = handle.compute(assemble).await??;
        let load = observer.elapsed().saturating_sub(began);
        let memory_bytes = self.memory_bytes;
        if job.kind == JobKind::Evaluate {
            let seen = seen_by(&lineage, &loaded.spec.target);
            let mut metrics = handle.compute(move || score(&loaded, &observer, memory_bytes)).await?.map_err(of_fit)?;
            metrics.notes.extend(seen);
            let metrics = of_job(metrics, &job, load, handle.peak_bytes());
            return Ok(Completion { model: None, file: None, metrics, result: json!({}) });
        }
        let (format, task) = (loaded.spec.format.unwrap_or_default(), loaded.model.manifest().task);
        let written = handle.compute(move || write(&loaded, &observer, memory_bytes)).await??;
        Phased(handle.clone(), &PHASES).report(Report::Phase("save"));
        let timings = json!({"load": load.as_secs_f64() * 1e3, "predict": written.predict_ms});
        let metrics = json!({"job": job.id, "task": task, "n_rows": written.n_rows, "timings_ms": timings});
        let file = self.leave(written, format).await?;
        let shown = json!({"format": file.format, "media_type": file.format.media_type(), "n_rows": file.n_rows,
                           "n_bytes": file.n_bytes, "sha256": file.blob});
        Ok(Completion { model: None, file: Some(file), metrics, result: json!({ "file": shown }) })
    }

    /// Stores the bytes of a file under their hash.
    async fn leave(&self, written: Written, format: FileFormat) -> Result<JobFile, JobError> {
        let n_bytes = i64::try_from(written.bytes.len()).unwrap_or(i64::MAX);
        let n_rows = i64::try_from(written.n_rows).unwrap_or(i64::MAX);
        let blob = self.blobs.put(Bytes::from(written.bytes)).await?;
        Ok(JobFile { format, blob: blob.as_str().to_owned(), n_bytes, n_rows })
    }
}

fn score(loaded: &Loaded, observer: &dyn Observer, memory_bytes: u64) -> Result<engine::Metrics, FitError> {
    let mut ctx = Ctx::new(loaded.spec.seed, observer).with_memory(memory_bytes);
    engine::evaluate(&loaded.model, &loaded.target, &mut ctx)
}

/// Predicts the whole domain into one file.
fn write(loaded: &Loaded, observer: &dyn Observer, memory_bytes: u64) -> Result<Written, JobError> {
    let Loaded { spec, model, target } = loaded;
    let mut ctx = Ctx::new(spec.seed, observer).with_memory(memory_bytes);
    let n_rows = target.table.n_rows();
    let copies = 1 + u64::from(spec.include.contains(&Include::SourceOnly));
    // One more for what the row is called.
    let numbers = n_rows as u64 * (1 + copies * (1 + model.manifest().classes.len() as u64));
    ctx.admit("the file", numbers.saturating_mul(BYTES_PER_NUMBER)).map_err(of_fit)?;
    ctx.phase("predict").map_err(of_fit)?;
    let began = ctx.elapsed();
    let id_column = target.roles.iter().position(|role| *role == Role::Id);
    let mut file = FileWriter::new(spec.format.unwrap_or_default());
    let rows: Vec<usize> = (0..n_rows).collect();
    let n_steps = n_rows.div_ceil(ROWS_PER_STEP) as u64;
    for (i, part) in rows.chunks(ROWS_PER_STEP).enumerate() {
        ctx.step(i as u64, Some(n_steps)).map_err(of_fit)?;
        let table = target.table.select_rows(part);
        let answer = Answer::of((spec.model.clone(), model), &table, &spec.include);
        let answer = answer.map_err(|problems| unfit(&target.name, i * ROWS_PER_STEP, &problems))?;
        metrics::counter!("predict_rows_total").increment(part.len() as u64);
        let id = id_column.and_then(|at| table.columns().get(at).cloned());
        file.add(&Answer { id, ..answer }).map_err(|e| job_error(DATA_DEGENERATE, e.to_string()))?;
    }
    let bytes = file.finish().map_err(|e| job_error(DATA_DEGENERATE, e.to_string()))?;
    Ok(Written { bytes, n_rows, predict_ms: ctx.elapsed().saturating_sub(began).as_secs_f64() * 1e3 })
}

/// Rows that the model cannot take; `before` rows of the domain come before theirs.
fn unfit(name: &str, before: usize, problems: &[InputProblem]) -> JobError {
    let one = |p: &InputProblem| match p.row {
        Some(row) => format!("row {}, column {:?}: {}", before + row + 1, p.column, p.detail),
        None => format!("column {:?}: {}", p.column, p.detail),
    };
    let all: Vec<String> = problems.iter().map(one).collect();
    job_error_at(DATA_DEGENERATE, "/target", format!("target {name} does not fit the model: {}", all.join("; ")))
}

/// A word where the model was made with the rows that score it.
fn seen_by(lineage: &Value, target: &str) -> Option<String> {
    let sources = lineage["sources"].as_array().into_iter().flatten();
    let as_source = sources.into_iter().any(|s| s["domain"] == target);
    let as_target = lineage["target"]["domain"] == target;
    (as_source || as_target).then(|| {
        let role = if as_source { "a source" } else { "the target" };
        format!("{target} was {role} when the model was made: these numbers are not of rows that are new to it")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use adaptation::data::{Column, Table, Values};

    use super::*;

    const FILE: &[u8] = include_bytes!("../../crates/adaptation/tests/reference/model_version_1.safetensors");

    /// A model, and a domain of three parts and one row.
    fn loaded(n_rows: usize) -> Loaded {
        let model = FittedModel::load(FILE).expect("a model");
        let column = |name: &str| Column { name: name.into(), values: Values::Number(vec![Some(50.0); n_rows]) };
        let columns: Vec<Column> = model.signature().inputs.iter().map(|i| column(&i.name)).collect();
        let roles = vec![Role::Feature; columns.len()];
        let spec = json!({"kind": "predict", "model": "m@1", "target": "d@1", "format": "csv", "seed": 0});
        Loaded {
            spec: serde_json::from_value(spec).expect("a spec"),
            model,
            target: DomainTable { name: "d@1".into(), table: Table::new(columns), roles },
        }
    }

    /// Wants the work until it was asked so often.
    struct Patience(AtomicUsize);

    impl Observer for Patience {
        fn report(&self, _: Report<'_>) {}

        fn check(&self) -> Result<(), FitError> {
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            left.map(drop).map_err(|_| FitError::Cancelled)
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn parts_make_one_file_and_a_cancel_comes_between_them() {
        let loaded = loaded(3 * ROWS_PER_STEP + 1);
        let run = |patience: usize, memory: u64| write(&loaded, &Patience(AtomicUsize::new(patience)), memory);
        let written = run(100, 1 << 30).expect("a file");
        assert_eq!(written.n_rows, 3 * ROWS_PER_STEP + 1);
        assert_eq!(written.bytes.iter().filter(|b| **b == b'\n').count(), written.n_rows + 1);
        assert_eq!(run(3, 1 << 30).err().map(|e| e.code).as_deref(), Some("job.cancelled"));
        assert_eq!(run(100, 1000).err().map(|e| e.code).as_deref(), Some("job.out_of_memory_budget"));
    }

    #[test]
    fn rows_that_a_model_was_made_with_are_told() {
        let lineage = json!({"sources": [{"domain": "a@1"}], "target": {"domain": "b@2"}});
        assert!(seen_by(&lineage, "a@1").is_some_and(|n| n.contains("a source")));
        assert!(seen_by(&lineage, "b@2").is_some_and(|n| n.contains("the target")));
        assert_eq!(seen_by(&lineage, "b@1"), None);
        assert_eq!(seen_by(&Value::Null, "b@1"), None);
    }

    #[test]
    fn the_row_of_a_later_part_is_counted_from_the_first() {
        let problem =
            InputProblem { code: "not_a_number", row: Some(4), column: "x".into(), detail: "expected a number".into() };
        let error = unfit("b@2", ROWS_PER_STEP, &[problem]);
        assert!(error.message.contains("row 1005, column \"x\""), "{}", error.message);
    }
}
