//! Domain adaptation: methods, learners, metrics and distances.
//!
//! The library takes arrays and a [`Ctx`](context::Ctx) and gives arrays back.
//! It knows no HTTP, SQL, async runtime, clock, files or environment.
//!
//! Two domains as tables, a spec, and what came of it:
//!
//! ```
//! use adaptation::context::{Ctx, Silent};
//! use adaptation::data::{Column, DomainTable, Role, Table, TaskKind, Values};
//! use adaptation::engine::{Input, Spec, run};
//!
//! // One column; the target's is the source's, moved by 10.
//! let domain = |name: &str, offset: f64| {
//!     let x = (0..60).map(|i| Some(f64::from(i) + offset)).collect();
//!     let label = (0..60).map(|i| Some(if i < 30 { "low" } else { "high" }));
//!     let columns = vec![
//!         Column { name: "x".into(), values: Values::Number(x) },
//!         Column { name: "label".into(), values: Values::categories(label) },
//!     ];
//!     DomainTable { name: name.into(), table: Table::new(columns), roles: vec![Role::Feature, Role::Label] }
//! };
//! let (source, target) = (domain("source", 0.0), domain("target", 10.0));
//! let spec: Spec = serde_json::from_value(serde_json::json!({
//!     "method": {"id": "moment_matching"},
//!     "learner": {"id": "logistic"},
//!     "evaluation": {"kind": "target_labels"},
//! }))?;
//! let input = Input { task: TaskKind::Classification, sources: &[source], target: &target, base: None };
//! let outcome = run(&spec, &input, &mut Ctx::new(spec.seed, &Silent))?;
//!
//! let accuracy = |scores: &Option<_>| -> Option<f64> {
//!     let scores: &adaptation::engine::Scores = scores.as_ref()?;
//!     Some(scores["accuracy"]?.value)
//! };
//! assert!(accuracy(&outcome.metrics.source_only) < Some(0.9));
//! assert!(accuracy(&outcome.metrics.adapted) > Some(0.95));
//! let file = outcome.model.save()?;
//! assert!(!file.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod context;
pub mod data;
pub mod distances;
pub mod engine;
pub mod evaluation;
pub mod features;
pub mod learners;
pub mod linalg;
pub mod methods;
pub mod metrics;
pub mod params;
pub mod parts;
