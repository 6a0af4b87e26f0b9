//! What would be made of a file, before it is sent.

use serde_json::json;

use crate::support::{ADELIE, TestApp};

#[test]
fn a_guess_is_what_an_upload_would_be() {
    let app = TestApp::start();
    let source = b"age;gr\xf6\xdfe;empty;label\n39;1,5;;yes\n;1,6;;no\n39;1,5;;yes\n";
    let guess = app.send("POST", "/v1/schema-guess?label=label&missing=-1", &[], source);
    assert_eq!(guess.status, 200, "{}", guess.text);
    let found = guess.json();
    for (field, expected) in [
        ("object", json!("schema_guess")),
        ("format", json!("csv")),
        ("delimiter", json!(";")),
        ("quote", json!("\"")),
        ("header", json!("present")),
        ("encoding", json!("windows-1252")),
        ("n_rows", json!(3)),
        ("n_bytes", json!(source.len())),
        ("complete", json!(true)),
        ("task", json!("classification")),
        ("label", json!("label")),
    ] {
        assert_eq!(found[field], expected, "{field}: {found}");
    }
    let age = json!({"name": "age", "kind": "integer", "role": "feature", "missing": 1, "examples": [39]});
    assert_eq!(found["columns"][0], age);
    assert_eq!(found["columns"][3]["examples"], json!(["yes", "no"]));
    let warnings = found["warnings"].to_string();
    assert!(warnings.contains("windows-1252") && warnings.contains("empty"), "{warnings}");
    assert_eq!(app.get("/v1/domains").json()["data"], json!([]), "nothing is stored");
}

#[test]
fn only_the_first_part_is_read() {
    let app = TestApp::start();
    let long = [ADELIE, &b"39,18,190,3700,male\n".repeat(300_000)].concat();
    let found = app.send("POST", "/v1/schema-guess", &[], &long).json();
    assert_eq!(found["complete"], false, "{found}");
    assert!(found["n_bytes"].as_u64().is_some_and(|n| (4_190_000..=4 << 20).contains(&n)), "{found}");
    assert!(found["warnings"].to_string().contains("the file is longer"), "{found}");
    let packed = zstd::encode_all(&long[..], 3).unwrap();
    let again = app.send("POST", "/v1/schema-guess", &[("Content-Encoding", "zstd")], &packed).json();
    assert_eq!((&again["n_rows"], &again["columns"]), (&found["n_rows"], &found["columns"]));
    let rows = format!("[{}{{\"a\":1}}]", "{\"a\":1},".repeat(600_000));
    app.send("POST", "/v1/schema-guess", &[], rows.as_bytes()).problem(413, "body_too_large");
}

#[test]
fn bad_data_is_refused_as_in_an_upload() {
    let app = TestApp::start();
    let send = |query: &str, body: &[u8]| app.send("POST", &format!("/v1/schema-guess{query}"), &[], body);
    send("", b"").problem(422, "data_empty");
    send("", b"a,b\n1\n").problem(422, "data_invalid");
    send("?label=c", b"a,b\n1,2\n").problem(422, "invalid_parameter");
    send("?lable=a", b"a,b\n1,2\n").problem(422, "unknown_field");
    app.get("/v1/schema-guess").problem(405, "method_not_allowed");
}
