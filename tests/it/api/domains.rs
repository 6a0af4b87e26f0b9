//! Data comes in, and bad data does not.

use serde_json::{Value, json};

use crate::support::{ADELIE, TestApp};

#[test]
fn the_same_bytes_are_the_same_version() {
    let app = TestApp::start();
    let first = app.put("/v1/domains/adelie?label=label", ADELIE);
    assert_eq!((first.status, first.header("location")), (201, "/v1/domains/adelie/versions/1"));
    let version = first.json();
    assert_eq!((&version["ref"], &version["task"]), (&json!("adelie@1"), &json!("classification")));
    assert_eq!((&version["label"], &version["n_rows"]), (&json!("label"), &json!(146)));

    let again = app.put("/v1/domains/adelie?label=label", ADELIE);
    assert_eq!((again.status, again.json()["version"].clone()), (200, json!(1)));
    let other_roles = app.put("/v1/domains/adelie?label=label&ignore=body_mass_g", ADELIE);
    assert_eq!((other_roles.status, other_roles.json()["version"].clone()), (201, json!(2)));
    let other_bytes = app.put("/v1/domains/adelie?label=label", &[ADELIE, b"39,18,190,3700,male\n"].concat());
    assert_eq!(other_bytes.status, 201, "{}", other_bytes.text);

    let versions = app.get("/v1/domains/adelie/versions").json();
    let numbers: Vec<&Value> = versions["data"].as_array().into_iter().flatten().map(|v| &v["version"]).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(app.get("/v1/domains/adelie/versions/2").json()["ref"], "adelie@2");
    app.get("/v1/domains/adelie/versions/9").problem(404, "domain_version_not_found");
    let domain = app.get("/v1/domains/adelie").json();
    assert_eq!(domain["latest_version"], 3);
    let id = domain["id"].as_str().expect("an id");
    assert_eq!(app.get(&format!("/v1/domains/{id}")).json()["name"], "adelie");
}

#[test]
fn columns_have_types_roles_and_statistics() {
    let app = TestApp::start();
    app.put("/v1/domains/adelie?label=label&ignore=flipper_length_mm", ADELIE);
    let columns = app.get("/v1/domains/adelie@1/columns").json();
    let column = |name: &str| {
        let all = columns["data"].as_array().into_iter().flatten();
        all.into_iter().find(|c| c["name"] == name).cloned().expect("a column")
    };
    assert_eq!((column("label")["role"].clone(), column("label")["kind"].clone()), (json!("label"), json!("category")));
    assert_eq!(column("flipper_length_mm")["role"], "ignore");
    assert!(
        column("bill_length_mm")["statistics"]["number"]["mean"].as_f64().is_some_and(|m| (38.0..40.0).contains(&m))
    );
}

#[test]
fn rows_may_come_inline() {
    let app = TestApp::start();
    let rows = json!({"name": "tiny", "label": "y", "rows": [{"x": 1.5, "y": "a"}, {"x": 2.0, "y": "b"}]});
    let made = app.post("/v1/domains", &rows);
    assert_eq!((made.status, made.json()["n_rows"].clone()), (201, json!(2)), "{}", made.text);
    assert_eq!(app.post("/v1/domains", &rows).status, 200, "a repeated request makes nothing twice");
    let other = json!({"name": "tiny", "columns": ["x"], "data": [[1], [2]]});
    app.post("/v1/domains", &other).problem(409, "domain_name_taken");
    let problem = app.post("/v1/domains", &json!({"name": "../x", "rows": []})).problem(422, "invalid_parameter");
    assert_eq!(problem["errors"][0]["pointer"], "/name");
    let problem = app.post("/v1/domains", &json!({"name": "t", "row": []})).problem(422, "unknown_field");
    assert_eq!(problem["errors"][0]["pointer"], "/row");
    app.post("/v1/domains", &json!({"name": "t", "rows": []})).problem(422, "data_empty");
    app.post("/v1/domains", &json!({"name": "t"})).problem(422, "invalid_parameter");
    let nan = app.send("POST", "/v1/domains", &[], b"{\"name\":\"t\",\n\"rows\":[{\"x\":NaN}]}");
    let problem = nan.problem(400, "malformed_json");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("line 2 column")), "{problem}");
}

#[track_caller]
fn refused(app: &TestApp, query: &str, body: &[u8], status: u16, code: &str) -> Value {
    app.put(&format!("/v1/domains/bad{query}"), body).problem(status, code)
}

#[test]
fn bad_data_is_refused_with_its_place() {
    let app = TestApp::start();
    refused(&app, "", b"", 422, "data_empty");
    refused(&app, "", b"a,b\n", 422, "data_empty");
    let ragged = refused(&app, "", b"a,b\n1,2\n3\n", 422, "data_invalid");
    assert!(ragged["errors"][0]["row"] == 2 || ragged["errors"][0]["line"] == 3, "{ragged}");
    refused(&app, "?encoding=utf-8", b"a,b\n1,\xff\xfe\n", 422, "encoding_error");
    let twice = refused(&app, "", b"a,a\n1,2\n", 422, "data_invalid");
    assert!(twice["detail"].as_str().is_some_and(|d| d.contains("\"a\"")), "{twice}");
    let missing = refused(&app, "?label=lable", b"a,label\n1,x\n", 422, "invalid_parameter");
    assert_eq!(missing["errors"][0]["parameter"], "label", "{missing}");
    refused(&app, "?labl=a", b"a\n1\n", 422, "unknown_field");
    refused(&app, "?format=xlsx", b"a\n1\n", 422, "invalid_parameter");
    refused(&app, "?format=parquet", b"PAR1 but not really", 422, "data_invalid");
    refused(&app, "?format=npz", b"PK\x03\x04nonsense", 422, "data_invalid");
    let media = app.send("PUT", "/v1/domains/bad", &[("content-type", "image/png")], b"a\n1\n");
    let problem = media.problem(415, "unsupported_media_type");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("text/csv")), "{problem}");
    assert_eq!(app.get("/v1/domains").json()["data"], json!([]), "nothing of it is stored");
}

#[test]
fn names_never_reach_a_path() {
    let app = TestApp::start();
    let long = "a".repeat(10_000);
    for name in ["%2e%2e%2fx", "..%2F..%2Fetc", "A", "a%00", "a%20b", "%C3%A9", ".hidden", "-x", &long] {
        app.put(&format!("/v1/domains/{name}"), b"x\n1\n").problem(422, "invalid_parameter");
        app.get(&format!("/v1/domains/{name}")).problem(404, "domain_not_found");
    }
    let raw = app.raw("PUT /v1/domains/../../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(raw.starts_with("HTTP/1.1 404") && raw.contains("route_not_found"), "{raw}");
}

#[test]
fn a_body_over_the_limit_is_cut_off_while_it_arrives() {
    let app = TestApp::with(|o| o.max_upload_bytes = 1000);
    app.put("/v1/domains/a", "x\n".repeat(501).as_bytes()).problem(413, "body_too_large");
    assert_eq!(app.put("/v1/domains/a", format!("x\n{}", "1\n".repeat(400)).as_bytes()).status, 201);
    // The length that is announced does not matter, the bytes do.
    let chunk = "1\n".repeat(250);
    let chunks = format!("{:x}\r\n{chunk}\r\n", chunk.len()).repeat(3);
    let head = "PUT /v1/domains/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = app.raw(&format!("{head}{chunks}0\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
