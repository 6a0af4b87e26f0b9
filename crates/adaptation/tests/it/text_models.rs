//! Models of text: what they learn, what reaches them, and the files that they are written to.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Column, DomainTable, Kind, Role, Table, TaskKind, Values};
use adaptation::engine::{FittedModel, Input, Outcome, Spec, estimate, run};
use adaptation::learners::Prediction;
use serde_json::{Value, json};

/// So many messages, half of them offers; each domain has words of its own.
fn messages(name: &str, own: &str, n: usize) -> DomainTable {
    let text = |i: usize| match i % 2 {
        0 => format!("{own} free gift number{i} click here {own}"),
        _ => format!("see you at {own} lunch{} tomorrow", i % 5),
    };
    let label = |i: usize| Some(if i.is_multiple_of(2) { "offer" } else { "letter" });
    let texts = (0..n).map(|i| (i != 4).then(|| text(i))).collect();
    let columns = vec![
        Column { name: "message".into(), values: Values::Text(texts) },
        Column { name: "label".into(), values: Values::categories((0..n).map(label)) },
        Column { name: "hour".into(), values: Values::Integer((0..n).map(|i| Some(i as i64 % 24)).collect()) },
    ];
    let roles = vec![Role::Feature, Role::Label, Role::Feature];
    DomainTable { name: name.into(), table: Table::new(columns), roles }
}

fn spec(method: &str, features: Value) -> Spec {
    let spec = json!({
        "method": {"id": method}, "learner": {"id": "logistic"}, "features": features,
        "evaluation": {"kind": "target_labels"}, "seed": 7,
    });
    serde_json::from_value(spec).expect("a spec")
}

fn outcome(spec: &Spec) -> Outcome {
    let (sources, target) = ([messages("mail@1", "office", 60)], messages("chat@1", "home", 41));
    let input = Input { task: TaskKind::Classification, sources: &sources, target: &target, base: None };
    let asks = estimate(spec, &input, &Ctx::new(spec.seed, &Silent)).expect("it can run");
    let bound = Ctx::new(spec.seed, &Silent).with_memory(1000);
    let refused = estimate(spec, &input, &bound).expect_err("a thousand bytes");
    assert!(asks > 1000 && refused.code() == "job.out_of_memory_budget", "{asks} {refused}");
    run(spec, &input, &mut Ctx::new(spec.seed, &Silent)).expect("a run")
}

fn version(file: &[u8]) -> u64 {
    let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    let manifest: Value = serde_json::from_str(header["__metadata__"]["adaptd"].as_str().expect("text")).expect("JSON");
    manifest["version"].as_u64().expect("a version")
}

#[test]
fn every_kind_of_method_learns_from_text_and_is_read_back() {
    let target = messages("chat@1", "home", 41);
    for features in [json!({}), json!({"text": {"analyzer": "word_char", "hashed": 300}}), json!({"scaling": "none"})] {
        for method in ["source_only", "coral", "moment_matching", "transfer_component_analysis", "self_training"] {
            let Outcome { model, metrics } = outcome(&spec(method, features.clone()));
            let accuracy = metrics.adapted.as_ref().and_then(|s| s["accuracy"]).expect("defined").value;
            assert!(accuracy > 0.9, "{method} {features}: {accuracy}");
            let file = model.save().expect("a file");
            assert_eq!(version(&file), 3);
            let loaded = FittedModel::load(&file).expect("what was saved loads");
            assert_eq!(loaded.predict(&target.table), model.predict(&target.table), "{method}");
            assert_eq!(loaded.save().expect("a file"), file);
            let inputs: Vec<(String, Kind)> = loaded.signature().inputs.into_iter().map(|i| (i.name, i.kind)).collect();
            assert_eq!(inputs, [("message".into(), Kind::Text), ("hour".into(), Kind::Number)]);
        }
    }
}

#[test]
fn rows_that_are_held_out_put_no_word_into_the_model() {
    let mut target = messages("chat@1", "home", 41);
    let spec = Spec {
        evaluation: serde_json::from_value(json!({"kind": "hold_out", "fraction": 0.5})).expect("an evaluation"),
        ..spec("source_only", json!({"text": {"min_document_frequency": 1}}))
    };
    let sources = [messages("mail@1", "office", 60)];
    let model = |target: &DomainTable| {
        let input = Input { task: TaskKind::Classification, sources: &sources, target, base: None };
        run(&spec, &input, &mut Ctx::new(spec.seed, &Silent)).expect("a run").model.save().expect("a file")
    };
    let before = model(&target);
    let changed: Vec<bool> = (0..41)
        .map(|row| {
            let mut columns = std::mem::replace(&mut target.table, Table::new(Vec::new())).into_columns();
            let Values::Text(texts) = &mut columns[0].values else { panic!("text") };
            let old = texts[row].replace("zebra".into());
            target.table = Table::new(columns.clone());
            let changed = model(&target) != before;
            let Values::Text(texts) = &mut columns[0].values else { panic!("text") };
            texts[row] = old;
            target.table = Table::new(columns);
            changed
        })
        .collect();
    let n_changed = changed.iter().filter(|c| **c).count();
    assert!((15..=25).contains(&n_changed), "half of the rows are seen: {n_changed}");
}

/// Written by the last release of version 2, with CORAL from the Adelie to the Gentoo.
const OF_VERSION_2: &[u8] = include_bytes!("../reference/model_version_2.safetensors");

#[test]
fn a_file_of_version_2_loads_and_is_written_as_it_was() {
    let model = FittedModel::load(OF_VERSION_2).expect("an older file loads");
    let number = |name: &str, x: f64| Column { name: name.into(), values: Values::Number(vec![Some(x)]) };
    let row = Table::new(vec![
        number("bill_length_mm", 50.0),
        number("bill_depth_mm", 16.3),
        number("flipper_length_mm", 230.0),
        number("body_mass_g", 5700.0),
    ]);
    let Ok(Prediction::Classes { codes, .. }) = model.predict(&row) else { panic!("classes") };
    assert_eq!((codes, model.keeps_source_only()), (vec![1], true));
    assert_eq!(model.save().expect("a file"), OF_VERSION_2);
}
