//! Columns of text against scikit-learn's vectorizers, `reference/text.py`.

use adaptation::data::{Column, DomainTable, Role, Table, Values};
use adaptation::features::{FeatureParams, Pipeline, Scaling};
use adaptation::linalg::Matrix;
use adaptation::params::Checked;
use ndarray::Array2;
use serde_json::{Value, json};

use crate::support::near;

fn domain(name: &str, texts: &Value) -> DomainTable {
    let texts: Vec<Option<String>> = serde_json::from_value(texts.clone()).expect("texts");
    let column = Column { name: "text".into(), values: Values::Text(texts) };
    DomainTable { name: name.into(), table: Table::new(vec![column]), roles: vec![Role::Feature] }
}

fn matrix(value: &Value) -> Array2<f64> {
    let shape: (usize, usize) = serde_json::from_value(value["shape"].clone()).expect("a shape");
    let entries: Vec<(usize, usize, f64)> = serde_json::from_value(value["entries"].clone()).expect("entries");
    let mut out = Array2::zeros(shape);
    entries.into_iter().for_each(|(i, j, v)| out[(i, j)] = v);
    out
}

#[test]
fn text() {
    let reference: Value = serde_json::from_str(include_str!("../reference/text.json")).expect("JSON");
    let (source, target) = (domain("source@1", &reference["source"]), domain("target@1", &reference["target"]));
    for run in reference["runs"].as_array().expect("runs") {
        let params = Checked::<FeatureParams>::new(&json!({"text": run["params"]})).expect("parameters");
        for scaling in [Scaling::None, Scaling::JointZScore] {
            let params = FeatureParams { scaling, ..*params };
            let fitted = Pipeline::fit(std::slice::from_ref(&source), &target, params).expect("texts");
            let all = Matrix::stack(&[&fitted.sources[0], &fitted.target]).into_dense();
            println!("{}: {:?}", run["params"], all.dim());
            near(&all, &matrix(&run["x"]), 1e-14);
        }
    }
}
