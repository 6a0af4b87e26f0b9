//! Jobs that apply a stored model: the file that they leave, and what may not go while they are to run.

use adaptd::records::{Expected, FileFormat, JobFile, JobKind, NewJob, Reference};
use adaptd::store::{Aliases, Completion, Deletion};
use serde_json::json;

use super::fixtures::{databases, lease, tenant, with_model, without_model};

#[test]
fn a_file_is_stored_with_its_job_and_keeps_its_blob() {
    databases(|db| async move {
        let (job, now) = (db.running().await, db.now());
        let file = JobFile { format: FileFormat::Parquet, blob: "f11e".into(), n_bytes: 9, n_rows: 2 };
        assert!(!db.store.names_blob("f11e").await.unwrap());
        let completion = Completion { file: Some(file.clone()), ..without_model() };
        db.store.complete(lease(&job), completion, now).await.unwrap();
        assert_eq!(db.store.job_file(&tenant(), job.id).await.unwrap(), Some(file));
        assert!(db.store.names_blob("f11e").await.unwrap());
        let other = adaptd::records::TenantId("other".into());
        assert_eq!(db.store.job_file(&other, job.id).await.unwrap(), None);
    });
}

#[test]
fn a_cancelled_job_leaves_no_file() {
    databases(|db| async move {
        let (job, now) = (db.running().await, db.now());
        db.store.cancel_job(&tenant(), job.id, now).await.unwrap();
        let file = JobFile { format: FileFormat::Csv, blob: "f11e".into(), n_bytes: 9, n_rows: 2 };
        db.store.complete(lease(&job), Completion { file: Some(file), ..without_model() }, now).await.unwrap();
        assert_eq!(db.store.job_file(&tenant(), job.id).await.unwrap(), None);
    });
}

#[test]
fn a_model_that_a_job_is_to_apply_does_not_go() {
    databases(|db| async move {
        let job = db.running().await;
        db.store.complete(lease(&job), with_model("m", db.now()), db.now()).await.unwrap();
        let Some(model) = db.store.model(&tenant(), &"m".parse::<Reference<_>>().unwrap()).await.unwrap() else {
            panic!("a model")
        };
        let spec = json!({"kind": "predict", "model": "m@1", "target": "d@1"});
        let waiting = db.create(NewJob { kind: JobKind::Predict, spec, ..db.new_job() }).await;
        let refused = db.store.delete_model(&tenant(), model.id, Aliases::Keep, Expected::Unsaid).await.unwrap();
        assert_eq!(refused, Deletion::NeededByJobs(vec![waiting.id.to_string()]));
        db.store.cancel_job(&tenant(), waiting.id, db.now()).await.unwrap();
        // A fit that makes a version of it has the name without a version.
        db.create(NewJob { spec: json!({"model": "m", "target": "d@1"}), ..db.new_job() }).await;
        assert_eq!(
            db.store.delete_model(&tenant(), model.id, Aliases::Keep, Expected::Unsaid).await.unwrap(),
            Deletion::Deleted
        );
    });
}

#[test]
fn every_commit_makes_another_generation() {
    databases(|db| async move {
        let before = db.store.generation();
        db.create(db.new_job()).await;
        let after = db.store.generation();
        assert_ne!(before, after);
        db.store.model(&tenant(), &"m".parse::<Reference<_>>().unwrap()).await.unwrap();
        assert_eq!(db.store.generation(), after, "reads make none");
    });
}
