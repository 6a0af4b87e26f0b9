//! Predictions: every form of rows in, every form of answers out.

use serde_json::{Value, json};

use super::models::{model_of, with_model};
use crate::support::{Answer, TestApp};

const HEADER: &str = "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g";

fn row() -> Value {
    json!({"bill_length_mm": 50.0, "bill_depth_mm": 16.3, "flipper_length_mm": 230, "body_mass_g": 5700})
}

#[test]
fn rows_are_predicted_in_every_form() {
    let app = with_model();
    let records = app.post("/v1/models/birds/predict", &json!({"rows": [row(), row()]}));
    assert_eq!(records.status, 200, "{}", records.text);
    let answer = records.json();
    assert_eq!((&answer["model"], answer["predictions"].as_array().map(Vec::len)), (&json!("birds@1"), Some(2)));
    let first = &answer["predictions"][0];
    assert_eq!(first["label"], "male", "{answer}");
    let sum: f64 = ["female", "male"].iter().filter_map(|c| first["probabilities"][c].as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{first}");

    // As many rows: a product of other sizes may round otherwise.
    let row = [50.0, 16.3, 230.0, 5700.0];
    let arrays = json!({"columns": HEADER.split(',').collect::<Vec<_>>(), "data": [row, row]});
    assert_eq!(app.post("/v1/models/birds@1/predict", &arrays).json()["predictions"][0], *first);

    let csv = format!("{HEADER}\n50.0,16.3,230,5700\n");
    let headers = [("content-type", "text/csv"), ("accept", "text/csv")];
    let table = app.send("POST", "/v1/models/birds/predict", &headers, csv.as_bytes());
    assert_eq!(table.header("content-type"), "text/csv", "{}", table.text);
    let mut lines = table.text.lines();
    assert_eq!(lines.next(), Some("label,probability_female,probability_male"));
    assert!(lines.next().is_some_and(|l| l.starts_with("male,0.")), "{}", table.text);
}

#[test]
fn rows_come_in_every_format_that_domains_do() {
    let app = with_model();
    let lines = format!("{}\n{}\n", row(), row());
    let tsv = format!("{}\n50.0\t16.3\t230\t5700\n50.0\t16.3\t-1\t5700\n", HEADER.replace(',', "\t"));
    let zstd = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    for (query, headers, body) in [
        ("", vec![("content-type", "application/x-ndjson")], lines.as_bytes()),
        ("?format=ndjson", vec![], lines.as_bytes()),
        ("?format=ndjson", vec![("content-encoding", "zstd")], &zstd),
        ("", vec![("content-type", "application/x-ndjson")], &zstd),
        ("?missing=-1", vec![("content-type", "text/tab-separated-values")], tsv.as_bytes()),
        ("?format=csv&delimiter=tab&missing=-1", vec![], tsv.as_bytes()),
    ] {
        let answer = app.send("POST", &format!("/v1/models/birds/predict{query}"), &headers, body);
        assert_eq!(answer.status, 200, "{query} {headers:?}: {}", answer.text);
        let predictions = &answer.json()["predictions"];
        assert_eq!((predictions.as_array().map(Vec::len), &predictions[0]["label"]), (Some(2), &json!("male")));
    }
    let path = "/v1/models/birds/predict?format=ndjson&header=none";
    app.send("POST", path, &[], lines.as_bytes()).problem(422, "invalid_parameter");
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let app = with_model();
    let predict = |body: &Value| app.post("/v1/models/birds/predict", body);
    let mut word = row();
    word["body_mass_g"] = json!("heavy");
    let problem = predict(&json!({"rows": [row(), word]})).problem(422, "input_schema_mismatch");
    let fault = &problem["errors"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/rows/1/body_mass_g"), &json!("not_a_number")));
    let problem = predict(&json!({"rows": [{"bill_length_mm": 1}]})).problem(422, "input_schema_mismatch");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    assert_eq!(
        (&problem["errors"][0]["column"], &problem["errors"][0]["code"]),
        (&json!("bill_depth_mm"), &json!("missing_column"))
    );
    let mut huge = row();
    huge["body_mass_g"] = json!(1e155);
    let problem = predict(&json!({"rows": [row(), huge]})).problem(422, "input_not_finite");
    assert_eq!(problem["errors"][0]["pointer"], "/rows/1/body_mass_g", "{problem}");
    let problem = predict(&json!({"rows": [{}]})).problem(422, "input_schema_mismatch");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(4), "every column is missing: {problem}");
    predict(&json!({"rows": []})).problem(422, "data_empty");
    predict(&json!({"rows": [1]})).problem(422, "invalid_parameter");
    predict(&json!({"rows": [], "data": []})).problem(422, "invalid_parameter");
    assert_eq!(predict(&json!({"lines": []})).problem(422, "unknown_field")["errors"][0]["pointer"], "/lines");
    let send = |media: &str, body: &str| {
        app.send("POST", "/v1/models/birds/predict", &[("content-type", media)], body.as_bytes())
    };
    send("application/json", "{\"rows\":[{\"a\":NaN}]}").problem(400, "malformed_json");
    send("image/png", "x").problem(415, "unsupported_media_type");
    send("text/csv", &format!("{HEADER}\n1,2\n")).problem(422, "data_invalid");
    let problem = send("text/csv", &format!("{HEADER}\n1,2,3,heavy\n")).problem(422, "input_schema_mismatch");
    assert_eq!((&problem["errors"][0]["row"], &problem["errors"][0]["column"]), (&json!(1), &json!("body_mass_g")));
    app.post("/v1/models/none/predict", &json!({"rows": [row()]})).problem(404, "model_not_found");
}

#[test]
fn a_document_too_long_for_the_thread_that_answers_is_read_and_answered_aside() {
    let app = with_model();
    let rows: Vec<Value> = (0..2000).map(|_| row()).collect();
    let answer = app.post("/v1/models/birds/predict", &json!({"rows": rows})).json();
    assert_eq!(answer["predictions"].as_array().map(Vec::len), Some(2000));
}

/// Predicts one row with this `Accept`.
fn accepted(app: &TestApp, accept: &str, query: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("accept", accept)];
    let body = json!({"rows": [row(), row()]}).to_string();
    app.send("POST", &format!("/v1/models/birds/predict{query}"), &headers, body.as_bytes())
}

#[test]
fn the_client_chooses_how_predictions_are_written() {
    let app = with_model();
    let media = |accept: &str| accepted(&app, accept, "").header("content-type").to_owned();
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/csv;q=0.4, application/x-ndjson;q=0.8, application/json;q=0.1", "application/x-ndjson"),
        ("image/png, application/json;q=0.1", "application/json"),
        ("*/*;q=0.1, application/json;q=0", "text/csv"),
    ] {
        assert_eq!(media(accept), expected, "{accept}");
    }
    for refused in ["image/png", "application/json;q=0", "text/html;q=1, image/*"] {
        let problem = accepted(&app, refused, "").problem(406, "not_acceptable");
        for form in ["application/json", "text/csv", "application/x-ndjson", "application/x-npy"] {
            assert!(problem["detail"].as_str().is_some_and(|d| d.contains(form)), "{problem}");
        }
    }
}

#[test]
fn lines_and_arrays_hold_the_predictions_of_the_document() {
    let app = with_model();
    let document = accepted(&app, "application/json", "").json();
    let lines = accepted(&app, "application/x-ndjson", "");
    let each: Vec<Value> = lines.text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(document["predictions"], json!(each));
    assert_eq!((lines.header("adaptd-model"), lines.header("adaptd-classes")), ("birds@1", r#"["female","male"]"#));
    let headers = [("content-type", "application/json"), ("accept", "application/x-npy")];
    let body = json!({"rows": [row(), row()]}).to_string();
    let (array, bytes) = app.bytes("/v1/models/birds/predict", &headers, body.as_bytes());
    assert_eq!((array.status, array.header("content-type")), (200, "application/x-npy"));
    assert_eq!((&bytes[..6], bytes.len()), (&b"\x93NUMPY"[..], 128 + 2 * 2 * 8));
    let number = |i: usize| f64::from_le_bytes(bytes[128 + 8 * i..136 + 8 * i].try_into().expect("eight bytes"));
    for (i, class) in array.header("adaptd-classes").split('"').skip(1).step_by(2).enumerate() {
        assert_eq!(document["predictions"][1]["probabilities"][class], json!(number(2 + i)));
    }
}

#[test]
fn source_only_and_features_stand_beside_on_request() {
    let app = with_model();
    let first = |answer: Answer| answer.json()["predictions"][0].clone();
    let plain = first(accepted(&app, "*/*", ""));
    assert!(plain["source_only"].is_null() && plain["features"].is_null());
    let full = first(accepted(&app, "*/*", "?include=source_only,features"));
    assert_eq!((&full["label"], &full["probabilities"]), (&plain["label"], &plain["probabilities"]));
    assert_eq!(full["features"].as_array().map(Vec::len), Some(4), "{full}");
    assert!(full["source_only"]["probabilities"]["male"].is_number(), "{full}");
    assert_ne!(full["source_only"]["probabilities"], full["probabilities"]);
    let body = json!({"rows": [row(), row()], "include": ["source_only", "features"]});
    assert_eq!(first(app.post("/v1/models/birds/predict", &body)), full);
    let csv = accepted(&app, "text/csv", "?include=source_only").text;
    let header = "label,probability_female,probability_male,\
                  source_only_label,source_only_probability_female,source_only_probability_male";
    assert_eq!(csv.lines().next(), Some(header));
}

#[test]
fn what_cannot_be_included_is_refused() {
    let app = with_model();
    let refused = |accept: &str, query: &str| {
        let problem = accepted(&app, accept, query).problem(422, "invalid_parameter");
        assert_eq!(problem["errors"][0]["parameter"], "include", "{problem}");
        problem
    };
    let unknown = refused("*/*", "?include=source_only,weights");
    assert!(unknown["detail"].as_str().is_some_and(|d| d.contains("features")), "{unknown}");
    refused("text/csv", "?include=features");
    refused("application/x-npy", "?include=source_only");
    accepted(&app, "*/*", "?includes=features").problem(422, "unknown_field");
    let body = json!({"rows": [row()], "include": ["features", "weights"]});
    let problem = app.post("/v1/models/birds/predict", &body).problem(422, "invalid_parameter");
    assert_eq!(problem["errors"][0]["pointer"], "/include/1");
    assert_eq!(accepted(&app, "*/*", "?include=").status, 200, "an empty list asks for nothing");
}

#[test]
fn more_rows_than_may_be_are_refused_however_they_come() {
    let app = model_of(TestApp::with(|options| options.max_predict_rows = 2));
    let send = |media: &str, query: &str, body: &str| {
        let path = format!("/v1/models/birds/predict{query}");
        app.send("POST", &path, &[("content-type", media)], body.as_bytes())
    };
    let (two, three) = (json!({"rows": [row(), row()]}), json!({"rows": [row(), row(), row()]}));
    assert_eq!(send("application/json", "", &two.to_string()).status, 200);
    let problem = send("application/json", "", &three.to_string()).problem(413, "too_many_rows");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("at most 2")), "{problem}");
    let line = "50.0,16.3,230,5700\n";
    let csv = |n: usize| format!("{HEADER}\n{}", line.repeat(n));
    assert_eq!(send("text/csv", "", &csv(2)).status, 200);
    send("text/csv", "", &csv(3)).problem(413, "too_many_rows");
    send("application/json", "?format=csv", &csv(3)).problem(413, "too_many_rows");
    send("text/csv", "?format=odd", &csv(2)).problem(422, "invalid_parameter");
}

#[test]
fn a_model_file_that_is_gone_or_damaged_is_told_apart_from_a_defect() {
    let app = with_model();
    let sha = app.get("/v1/models/birds").json()["version"]["sha256"].as_str().expect("a hash").to_owned();
    let file = app.folder().join("blobs").join(&sha[..2]).join(&sha[2..]);
    let bytes = std::fs::read(&file).expect("the model file");
    std::fs::write(&file, b"not a model").expect("written");
    accepted(&app, "*/*", "").problem(500, "model_corrupt");
    std::fs::remove_file(&file).expect("removed");
    accepted(&app, "*/*", "").problem(500, "model_corrupt");
    std::fs::write(&file, bytes).expect("written");
    assert_eq!(accepted(&app, "*/*", "").status, 200, "a failed load is not remembered");
}

/// Numbers of one row as an array of NumPy.
fn npy(values: &[f64]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (1, {}), }}\n", values.len());
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), &data].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("an entry");
        std::io::Write::write_all(&mut archive, bytes).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

#[test]
fn an_array_is_taken_by_position() {
    let app = with_model();
    let expected = app.post("/v1/models/birds/predict", &json!({"rows": [row()]})).json();
    let send =
        |media: &str, body: &[u8]| app.send("POST", "/v1/models/birds/predict", &[("content-type", media)], body);
    let x = [50.0, 16.3, 230.0, 5700.0];
    let array = send("application/x-npy", &npy(&x));
    assert_eq!((array.status, array.json()), (200, expected.clone()), "{}", array.text);
    let label = b"\x93NUMPY\x01\x00\x3a\x00{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n".to_vec();
    let label = [label, 1i64.to_le_bytes().to_vec()].concat();
    let archive = npz(&[("X.npy", npy(&x)), ("y.npy", label)]);
    let archive = send("application/x-npz", &archive);
    assert_eq!((archive.status, archive.json()), (200, expected), "{}", archive.text);
    for wrong in [&x[..3], &[x[0], x[1], x[2], x[3], 1.0]] {
        let problem = send("application/x-npy", &npy(wrong)).problem(422, "input_schema_mismatch");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(&format!("has {} columns", wrong.len())) && detail.contains("takes 4"), "{problem}");
    }
}

#[test]
fn the_columns_of_a_model_of_arrays_keep_their_names() {
    let app = TestApp::start();
    let rows: String = (0..40).map(|i| format!("{},{},{},{}\n", i % 7, i % 5, i, i % 2)).collect();
    for name in ["a", "b"] {
        let rows = format!("x0,x1,x2,label\n{rows}");
        assert_eq!(app.put(&format!("/v1/domains/{name}?ignore=x1"), rows.as_bytes()).status, 201);
    }
    app.run_job(
        &json!({"kind": "adapt", "sources": ["a"], "target": "b", "method": {"id": "source_only"}, "model": "m"}),
    );
    let send = |body: &[u8]| app.send("POST", "/v1/models/m/predict", &[("content-type", "application/x-npy")], body);
    let expected = app.post("/v1/models/m/predict", &json!({"rows": [{"x0": 3, "x2": 17}]})).json();
    assert_eq!(send(&npy(&[3.0, 1.0, 17.0])).json(), expected, "x1 was left out");
    assert_eq!(send(&npy(&[3.0, 17.0])).json(), expected);
    send(&npy(&[3.0])).problem(422, "input_schema_mismatch");
}
