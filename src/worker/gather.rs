//! What a job of the kind `batch` does once all its jobs have ended: it puts what they say side by side.

use serde_json::{Value, json};

use super::AttemptHandle;
use super::errors::{CHILDREN_FAILED, job_error};
use super::execute::Executor;
use crate::records::{Cursor, JobError, JobFilter, JobRecord, JobState, PageRequest};
use crate::store::Completion;

/// Children read at a time.
const PAGE: u32 = 100;

/// What of a child's metrics stands beside those of the others.
const COMPARED: [&str; 6] = ["evaluation", "oracle", "n_scored", "adapted", "source_only", "timings_ms"];

impl Executor {
    /// One attempt of a batch. It reads some records; there is nothing to compute.
    pub(super) async fn gather(&self, job: &JobRecord, _: &AttemptHandle) -> Result<Completion, JobError> {
        let filter = JobFilter { parent: Some(job.id), ..JobFilter::default() };
        let mut page = PageRequest { after: None, limit: PAGE };
        let mut jobs = Vec::new();
        let mut counts = [(JobState::Succeeded, 0), (JobState::Failed, 0), (JobState::Cancelled, 0)];
        loop {
            let children = self.store.jobs(&job.tenant, &filter, &page).await?;
            let Some(last) = children.last() else { break };
            page.after = Some(Cursor(last.id.to_string()));
            for child in children {
                for (_, n) in counts.iter_mut().filter(|(state, _)| *state == child.state) {
                    *n += 1;
                }
                let metrics = self.store.metrics(&job.tenant, child.id).await?;
                jobs.push(row(&child, metrics.as_ref()));
            }
        }
        // As they were given: lists are newest first.
        jobs.reverse();
        let result = json!({"jobs": {"total": jobs.len(), "succeeded": counts[0].1, "failed": counts[1].1,
                                     "cancelled": counts[2].1}});
        if counts[0].1 == 0 {
            return Err(job_error(CHILDREN_FAILED, "none of the jobs of the batch succeeded"));
        }
        let metrics = json!({"job": job.id, "jobs": jobs});
        Ok(Completion { model: None, file: None, metrics, result })
    }
}

fn row(child: &JobRecord, metrics: Option<&Value>) -> Value {
    let mut row = json!({
        "job": child.id, "kind": child.kind.as_str(), "state": child.state.as_str(),
        "method": child.spec["method"]["id"], "learner": child.spec["learner"]["id"],
        "result": child.result, "error": child.error,
    });
    for name in COMPARED {
        if let Some(value) = metrics.and_then(|m| m.get(name)) {
            row[name] = value.clone();
        }
    }
    row
}
