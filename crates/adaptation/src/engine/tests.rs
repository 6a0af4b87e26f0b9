//! The engine on real birds: what is claimed of it, leakage above all.

use serde_json::{Value, json};

use super::*;
use crate::context::{Ctx, FitError, Silent};
use crate::data::{Column, DomainTable, Role, Table, TaskKind, Values};
use crate::learners::Prediction;
use crate::methods::Family;

const ADELIE: &str = include_str!("../../../../examples/data/penguins/adelie.csv");
const GENTOO: &str = include_str!("../../../../examples/data/penguins/gentoo.csv");

/// Reads the plain CSV that ships: numbers, and the label last.
fn penguins(name: &str, csv: &str) -> DomainTable {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    let mut columns: Vec<Column> = (0..4)
        .map(|j| Column {
            name: names[j].into(),
            values: Values::Number(rows.iter().map(|r| r[j].parse().ok()).collect()),
        })
        .collect();
    columns.push(Column { name: "label".into(), values: Values::categories(rows.iter().map(|r| Some(r[4]))) });
    let mut roles = vec![Role::Feature; 4];
    roles.push(Role::Label);
    DomainTable { name: name.into(), table: Table::new(columns), roles }
}

fn with_labels(domain: &DomainTable, label: impl Fn(usize, Option<String>) -> Option<String>) -> DomainTable {
    let columns = domain.table.columns().iter().map(|c| match c.name.as_str() {
        "label" => Column {
            name: c.name.clone(),
            values: Values::categories((0..c.values.len()).map(|i| label(i, c.values.word(i)))),
        },
        _ => c.clone(),
    });
    DomainTable { table: Table::new(columns.collect()), ..domain.clone() }
}

fn spec(method: &str, evaluation: Value) -> Spec {
    // Jointly scaled, the species do not overlap: weights of rows cannot make them, and a walk from row to row or from
    // first labels of one class takes all of the target for one class.
    let apart = ["kernel_mean_matching", "domain_adaptation_svm", "class_matching_manifold_smoothing"];
    let alike = apart.contains(&method);
    let scaling = if alike { "domain_z_score" } else { "joint_z_score" };
    serde_json::from_value(json!({
        "method": {"id": method}, "learner": {"id": "logistic"}, "features": {"scaling": scaling},
        "evaluation": evaluation, "seed": 7
    }))
    .expect("a spec")
}

fn run_on(spec: &Spec, target: &DomainTable) -> Result<Outcome, FitError> {
    let sources = [penguins("adelie@1", ADELIE)];
    let input = Input { task: TaskKind::Classification, sources: &sources, target, base: None };
    run(spec, &input, &mut Ctx::new(spec.seed, &Silent))
}

fn outcome(method: &str, evaluation: Value) -> Outcome {
    run_on(&spec(method, evaluation), &penguins("gentoo@1", GENTOO)).expect("a run")
}

fn accuracy(scores: &Option<Scores>) -> f64 {
    scores.as_ref().and_then(|s| s["accuracy"]).expect("accuracy is defined").value
}

#[test]
fn penguins_are_at_chance_unadapted_and_above_93_percent_adapted() {
    for method in ["moment_matching", "coral"] {
        let metrics = outcome(method, json!({"kind": "target_labels"})).metrics;
        assert!((0.50..0.56).contains(&accuracy(&metrics.source_only)), "{method}");
        assert!(accuracy(&metrics.adapted) > 0.93, "{method}");
        assert_eq!(metrics.n_scored, 119);
        assert!(metrics.distances.mmd2.after < metrics.distances.mmd2.before);
        assert!(!metrics.oracle);
    }
}

#[test]
fn source_only_is_scored_like_itself() {
    let metrics = outcome("source_only", json!({"kind": "target_labels"})).metrics;
    assert_eq!(metrics.adapted, metrics.source_only);
    assert_eq!(metrics.distances.mmd2.after, None);
}

#[test]
fn labels_kept_aside_do_not_reach_a_byte_of_any_model() {
    let gentoo = penguins("gentoo@1", GENTOO);
    let n = gentoo.table.n_rows();
    let column = gentoo.label().expect("labels").clone();
    let rotated = with_labels(&gentoo, |i, _| column.values.word((i + 40) % n));
    for method in crate::methods::METHODS.iter().map(|m| m.card()) {
        if method.needs == crate::methods::Needs::TargetLabels || method.id == "pooled" {
            continue;
        }
        let spec = spec(method.id, json!({"kind": "target_labels"}));
        let a = run_on(&spec, &gentoo).expect(method.id);
        let b = run_on(&spec, &rotated).expect(method.id);
        assert_ne!(a.metrics.adapted, b.metrics.adapted, "{}: the labels score", method.id);
        assert_eq!(a.model.save(), b.model.save(), "{}: and do nothing else", method.id);
    }
}

#[test]
fn an_interval_does_not_shrink_with_the_number_of_draws() {
    let width = |n_draws: usize| {
        let metrics = outcome("coral", json!({"kind": "bootstrap", "n_draws": n_draws})).metrics;
        assert!(metrics.n_scored <= 119, "{} rows of 119", metrics.n_scored);
        let accuracy = metrics.adapted.as_ref().and_then(|s| s["accuracy"]).expect("accuracy is defined");
        accuracy.high - accuracy.low
    };
    let (few, many) = (width(10), width(80));
    assert!(many > 0.5 * few && many > 0.03, "{few} and {many}");
}

#[test]
fn rows_of_one_group_are_never_on_both_sides() {
    // Birds in fives that are told apart by their mass alone, with a label of the five's own.
    let gentoo = penguins("gentoo@1", GENTOO);
    let n = gentoo.table.n_rows();
    let grouped = |role: Role| {
        let copies = gentoo.table.columns().iter().map(|c| match &c.values {
            Values::Number(v) => {
                let value = |i: usize| v[i / 5 * 5].map(|x| x * (1.0 + 1e-6 * i as f64));
                Column { name: c.name.clone(), values: Values::Number((0..n).map(value).collect()) }
            }
            _ => {
                let label = |i: usize| Some(if (i / 5 * 7) % 5 < 2 { "male" } else { "female" });
                Column { name: c.name.clone(), values: Values::categories((0..n).map(label)) }
            }
        });
        let mut columns: Vec<Column> = copies.collect();
        let group = (0..n).map(|i| Some(i as i64 / 5)).collect();
        columns.push(Column { name: "bird".into(), values: Values::Integer(group) });
        let mut roles = gentoo.roles.clone();
        roles.push(role);
        DomainTable { name: "gentoo@1".into(), table: Table::new(columns), roles }
    };
    let mut spec = spec("target_only", json!({"kind": "k_fold", "n_folds": 5}));
    spec.learner.id = "nearest_neighbors".into();
    let right = |role| accuracy(&run_on(&spec, &grouped(role)).expect("a run").metrics.adapted);
    let (together, apart) = (right(Role::Group), right(Role::Ignore));
    assert!(apart > 0.95, "copies give the label away: {apart}");
    assert!(together < 0.8, "a group is predicted from others alone: {together}");
}

#[test]
fn labels_that_no_source_has_are_refused_and_unused_columns_named() {
    let gentoo = penguins("gentoo@1", GENTOO);
    let coded = with_labels(&gentoo, |_, word| word.map(|w| u8::from(w == "male").to_string()));
    match run_on(&spec("coral", json!({"kind": "target_labels"})), &coded).map(drop) {
        Err(FitError::Invalid { pointer, detail }) => {
            assert_eq!(pointer, "/target");
            assert!(detail.contains("\"0\", \"1\"") && detail.contains("\"male\""), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    let columns = gentoo.table.columns().iter().map(|c| match c.name.as_str() {
        "body_mass_g" => Column { name: "weight".into(), values: c.values.clone() },
        _ => c.clone(),
    });
    let renamed = DomainTable { table: Table::new(columns.collect()), ..gentoo.clone() };
    let notes = run_on(&spec("coral", json!({"kind": "target_labels"})), &renamed).expect("a run").metrics.notes;
    assert!(notes.iter().any(|n| n.contains("\"body_mass_g\", \"weight\"")), "{notes:?}");
}

#[test]
fn rows_of_a_hold_out_reach_no_fit() {
    let gentoo = penguins("gentoo@1", GENTOO);
    let spec = spec("coral", json!({"kind": "hold_out", "fraction": 0.25}));
    let a = run_on(&spec, &gentoo).expect("a run");
    // The held-out rows are found as those whose change leaves the model as it is.
    let changed = |row: usize| {
        let columns = gentoo.table.columns().iter().map(|c| match &c.values {
            Values::Number(v) if c.name == "body_mass_g" => {
                let mut v = v.clone();
                v[row] = Some(1e6);
                Column { name: c.name.clone(), values: Values::Number(v) }
            }
            _ => c.clone(),
        });
        DomainTable { table: Table::new(columns.collect()), ..gentoo.clone() }
    };
    let untouched = (0..gentoo.table.n_rows())
        .filter(|&row| run_on(&spec, &changed(row)).expect("a run").model.save() == a.model.save())
        .count();
    assert_eq!(untouched, a.metrics.n_scored);
    assert_eq!(untouched, 30);
}

#[test]
fn the_same_spec_gives_the_same_bits_and_another_seed_other_folds() {
    let spec = spec("kernel_mean_matching", json!({"kind": "k_fold", "n_folds": 3}));
    let gentoo = penguins("gentoo@1", GENTOO);
    let (a, b) = (run_on(&spec, &gentoo).expect("a run"), run_on(&spec, &gentoo).expect("a run"));
    assert_eq!(a.model.save(), b.model.save());
    assert_eq!(a.metrics.adapted, b.metrics.adapted);
    assert_eq!(a.metrics.n_scored, 119);
    let other = run_on(&Spec { seed: 8, ..spec }, &gentoo).expect("a run");
    assert_ne!(a.metrics.adapted, other.metrics.adapted);
}

#[test]
fn every_evaluation_scores_and_none_does_not() {
    for evaluation in [json!({"kind": "leave_one_out"}), json!({"kind": "bootstrap", "n_draws": 3})] {
        assert!(accuracy(&outcome("moment_matching", evaluation).metrics.adapted) > 0.85);
    }
    let none = outcome("moment_matching", json!({"kind": "none"})).metrics;
    assert_eq!((none.n_scored, none.adapted, none.source_only), (0, None, None));
}

#[test]
fn a_target_without_labels_adapts_and_cannot_be_scored() {
    let bare = with_labels(&penguins("gentoo@1", GENTOO), |_, _| None);
    assert!(run_on(&spec("coral", json!({"kind": "none"})), &bare).is_ok());
    for kind in ["target_labels", "hold_out", "k_fold"] {
        let error = run_on(&spec("coral", json!({"kind": kind})), &bare).err().expect("no labels");
        assert_eq!(error.code(), "job.label_missing", "{kind}");
    }
}

#[test]
fn a_method_that_trains_on_target_labels_is_not_scored_by_them() {
    let gentoo = penguins("gentoo@1", GENTOO);
    for method in ["target_only", "fine_tuning"] {
        let error = run_on(&spec(method, json!({"kind": "target_labels"})), &gentoo).err().expect("refused");
        assert!(matches!(error, FitError::Invalid { ref pointer, .. } if pointer == "/evaluation"), "{error:?}");
        let metrics = run_on(&spec(method, json!({"kind": "k_fold", "n_folds": 5})), &gentoo).expect("a run").metrics;
        assert!(accuracy(&metrics.adapted) > 0.88, "{method}: {}", accuracy(&metrics.adapted));
        assert_eq!(metrics.oracle, method == "target_only");
    }
}

#[test]
fn a_source_of_one_class_is_refused_by_its_name() {
    let sources = [with_labels(&penguins("adelie@1", ADELIE), |_, _| Some("female".into()))];
    let target = penguins("gentoo@1", GENTOO);
    let input = Input { task: TaskKind::Classification, sources: &sources, target: &target, base: None };
    let spec = spec("coral", json!({"kind": "target_labels"}));
    let error = run(&spec, &input, &mut Ctx::new(0, &Silent)).err().expect("one class");
    assert_eq!(error.code(), "job.data_degenerate");
    assert!(error.to_string().contains("only \"female\""), "{error}");
}

#[test]
fn a_class_that_only_the_target_has_counts_as_wrong() {
    let gentoo = with_labels(&penguins("gentoo@1", GENTOO), |i, word| if i < 19 { Some("chick".into()) } else { word });
    let metrics = run_on(&spec("coral", json!({"kind": "target_labels"})), &gentoo).expect("a run").metrics;
    let confusion = metrics.confusion.expect("a classification");
    assert!(metrics.notes.iter().any(|n| n.contains("chick")), "{:?}", metrics.notes);
    assert_eq!(confusion.classes, ["female", "male", "chick"]);
    assert_eq!(confusion.adapted[2].iter().sum::<u64>(), 19);
    assert!(accuracy(&metrics.adapted) < 0.85);
}

#[test]
fn a_saved_model_predicts_the_same_and_a_lying_one_is_refused() {
    let gentoo = penguins("gentoo@1", GENTOO);
    for method in crate::methods::METHODS.iter().map(|m| m.card().id) {
        let model = outcome(method, json!({"kind": "hold_out"})).model;
        let bytes = model.save().expect("a file");
        let loaded = FittedModel::load(&bytes).expect("what was saved loads");
        assert_eq!(loaded.predict(&gentoo.table), model.predict(&gentoo.table), "{method}");
        let x = model.transform(&gentoo.table).expect("features");
        let beside = loaded.predict_source_only(&x);
        assert!(beside.is_some() && beside == model.predict_source_only(&x), "{method}: source-only is kept");
        assert_eq!(loaded.manifest(), model.manifest());
    }
    let bytes = outcome("coral", json!({"kind": "hold_out"})).model.save().expect("a file");
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut lying = bytes.clone();
        lying[at] ^= 0x01;
        assert!(FittedModel::load(&lying).is_err(), "byte {at} of {}", bytes.len());
        assert!(FittedModel::load(&bytes[..at]).is_err(), "cut at {at}");
    }
}

/// Written by the last release of version 1, with CORAL from the Adelie to the Gentoo.
const OF_VERSION_1: &[u8] = include_bytes!("../../tests/reference/model_version_1.safetensors");

#[test]
fn a_file_of_version_1_loads_and_is_written_as_it_was() {
    let model = FittedModel::load(OF_VERSION_1).expect("an older file loads");
    let gentoo = penguins("gentoo@1", GENTOO);
    let Ok(Prediction::Classes { codes, .. }) = model.predict(&gentoo.table) else { panic!("classes") };
    assert_eq!(codes.len(), 119);
    let x = model.transform(&gentoo.table).expect("features");
    assert!(!model.keeps_source_only() && model.predict_source_only(&x).is_none());
    assert_eq!(model.save().expect("a file"), OF_VERSION_1);
    let metrics = evaluate(&model, &gentoo, &mut Ctx::new(0, &Silent)).expect("metrics");
    assert_eq!((metrics.source_only, metrics.confusion.and_then(|c| c.source_only)), (None, None));
    assert!(accuracy(&metrics.adapted) > 0.93 && metrics.notes.iter().any(|n| n.contains("source-only")));
}

#[test]
fn an_evaluation_gives_the_numbers_of_the_run() {
    let gentoo = penguins("gentoo@1", GENTOO);
    for method in ["coral", "source_only", "joint_distribution_adaptation", "easy_transfer_learning"] {
        let run = outcome(method, json!({"kind": "target_labels"}));
        let again = evaluate(&run.model, &gentoo, &mut Ctx::new(7, &Silent)).expect("metrics");
        assert_eq!((again.adapted, again.source_only), (run.metrics.adapted, run.metrics.source_only), "{method}");
        assert_eq!((again.confusion, again.n_scored), (run.metrics.confusion, 119));
    }
}

#[test]
fn an_evaluation_says_what_it_cannot_score() {
    let model = outcome("coral", json!({"kind": "none"})).model;
    let code = |target: &DomainTable| evaluate(&model, target, &mut Ctx::new(0, &Silent)).err().map(|e| e.code());
    let gentoo = penguins("gentoo@1", GENTOO);
    assert_eq!(code(&with_labels(&gentoo, |_, _| None)), Some("job.label_missing"));
    let narrow = DomainTable {
        table: Table::new(gentoo.table.columns()[3..].to_vec()),
        roles: gentoo.roles[3..].to_vec(),
        ..gentoo.clone()
    };
    assert_eq!(code(&narrow), Some("job.no_shared_columns"));
    let strange = with_labels(&gentoo, |i, word| if i < 19 { Some("chick".into()) } else { word });
    let metrics = evaluate(&model, &strange, &mut Ctx::new(0, &Silent)).expect("metrics");
    assert_eq!(metrics.confusion.expect("a classification").classes, ["female", "male", "chick"]);
}

#[test]
fn a_stored_model_is_continued_on_labelled_rows() {
    let base = outcome("moment_matching", json!({"kind": "none"})).model;
    let spec = spec("fine_tuning", json!({"kind": "hold_out", "fraction": 0.5}));
    let target = penguins("gentoo@1", GENTOO);
    let input = Input { task: TaskKind::Classification, sources: &[], target: &target, base: Some(&base) };
    let tuned = run(&spec, &input, &mut Ctx::new(0, &Silent)).expect("a run");
    assert!(accuracy(&tuned.metrics.adapted) > 0.9);
    // What stands beside it is the base as it was.
    assert!(accuracy(&tuned.metrics.source_only) > 0.9);
    let Ok(Prediction::Classes { codes, .. }) = tuned.model.predict(&target.table) else { panic!("classes") };
    assert_eq!(codes.len(), 119);
    let stranger = with_labels(&target, |i, word| if i == 3 { Some("chick".into()) } else { word });
    let input = Input { target: &stranger, ..input };
    let error = run(&spec, &input, &mut Ctx::new(0, &Silent)).err().expect("a class that the base lacks");
    assert!(error.to_string().contains("chick"), "{error}");
}

#[test]
fn a_target_without_variance_is_an_error_for_every_method_that_adapts_to_it() {
    let gentoo = penguins("gentoo@1", GENTOO);
    let same = gentoo.select_rows(&[3; 40]).into_owned();
    for method in crate::methods::METHODS.iter().map(|m| m.card()) {
        if matches!(method.family, Family::Baselines | Family::Parameters) {
            continue;
        }
        let result = run_on(&spec(method.id, json!({"kind": "none"})), &same);
        assert!(result.is_err(), "{}", method.id);
    }
    assert!(run_on(&spec("source_only", json!({"kind": "target_labels"})), &same).is_ok());
}

/// Keeps every state that is offered, and stops after some of them.
struct Interrupted {
    from: Option<Vec<u8>>,
    stop_after: usize,
    offered: std::sync::Mutex<Vec<Vec<u8>>>,
}

impl Interrupted {
    fn new(from: Option<Vec<u8>>, stop_after: usize) -> Self {
        Self { from, stop_after, offered: std::sync::Mutex::default() }
    }
}

impl crate::context::Observer for Interrupted {
    fn report(&self, _: crate::context::Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        let n = self.offered.lock().expect("a lock").len();
        if n >= self.stop_after { Err(FitError::Cancelled) } else { Ok(()) }
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn resume(&self) -> Option<Vec<u8>> {
        self.from.clone()
    }

    fn checkpoint(&self, state: &dyn Fn() -> Vec<u8>) {
        self.offered.lock().expect("a lock").push(state());
    }
}

#[test]
fn work_that_goes_on_from_a_checkpoint_ends_in_the_same_bits() {
    let target = penguins("gentoo@1", GENTOO);
    let sources = [penguins("adelie@1", ADELIE)];
    let spec = spec("coral", json!({"kind": "k_fold", "n_folds": 5}));
    let run_with = |observer: &Interrupted, spec: &Spec| {
        let input = Input { task: TaskKind::Classification, sources: &sources, target: &target, base: None };
        run(spec, &input, &mut Ctx::new(spec.seed, observer))
    };
    let whole = Interrupted::new(None, usize::MAX);
    let expected = run_with(&whole, &spec).expect("a run");
    assert_eq!(whole.offered.lock().expect("a lock").len(), 5, "one state a split");

    let first = Interrupted::new(None, 2);
    assert_eq!(run_with(&first, &spec).err(), Some(FitError::Cancelled));
    let state = first.offered.lock().expect("a lock").last().cloned();
    let second = Interrupted::new(state.clone(), usize::MAX);
    let resumed = run_with(&second, &spec).expect("a run");
    assert_eq!(second.offered.lock().expect("a lock").len(), 3, "what was done is not done again");
    assert_eq!(resumed.model.save(), expected.model.save());
    let numbers = |o: &Outcome| (o.metrics.adapted.clone(), o.metrics.source_only.clone(), o.metrics.roc.clone());
    assert_eq!(numbers(&resumed), numbers(&expected));

    // What is damaged, or was left by another spec, is not gone on from.
    let damaged = state.clone().map(|s| s[..s.len() - 8].to_vec());
    let mut other = spec.clone();
    other.seed = 8;
    for (from, spec) in [(damaged, &spec), (Some(Vec::new()), &spec), (state, &other)] {
        let anew = Interrupted::new(from, usize::MAX);
        run_with(&anew, spec).expect("a run");
        assert_eq!(anew.offered.lock().expect("a lock").len(), 5);
    }
}
