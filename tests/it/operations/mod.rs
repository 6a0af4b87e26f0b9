//! What operators do with a data folder: copy it, make one of a copy, look whether it is well, open one of long ago.

mod backup;
mod doctor;
mod first_schema;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// The real binary, run to its end.
pub(crate) fn adaptd<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adaptd")).args(arguments).output().expect("the binary runs")
}

/// What the doctor says of a folder: its exit code, and the checks that found something.
pub(crate) fn examined(data: &Path, options: &[&str]) -> (i32, Vec<String>) {
    let arguments = ["doctor", "--json", "--data", data.to_str().unwrap()];
    let output = adaptd(arguments.into_iter().chain(options.iter().copied()));
    let code = output.status.code().unwrap();
    if code == 2 {
        return (code, vec![]);
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(report["clean"], json!(code == 0), "{report}");
    let checks = report["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap().to_owned());
    (code, checks.collect())
}

/// A quick job that leaves a model.
pub(crate) fn quick(model: &str) -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": model, "method": {"id": "coral"}})
}

/// A job of a hundred fits: seconds of computing.
pub(crate) fn long(model: &str) -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": model,
           "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}})
}
