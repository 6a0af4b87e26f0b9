//! What holds for every endpoint.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::TestApp;

#[test]
fn a_service_that_listens_is_ready() {
    let app = TestApp::start();
    assert_eq!(app.get("/readyz").json()["status"], "ready");
    assert_eq!(app.get("/livez").json()["status"], "live");
}

#[test]
fn what_is_not_there_is_a_problem_with_an_id() {
    let app = TestApp::start();
    app.get("/v1/nothing").problem(404, "route_not_found");
    let wrong = app.send("DELETE", "/v1/domains", &[], b"");
    wrong.problem(405, "method_not_allowed");
    assert!(wrong.header("allow").contains("POST"), "{:?}", wrong.headers);
    app.get("/v1/domains/none").problem(404, "domain_not_found");
    app.get("/v1/domains/none/versions/x").problem(422, "invalid_parameter");
    app.get("/v1/jobs/job_none").problem(404, "job_not_found");
    app.get("/v1/jobs/job_0197f1c2-7a30-7cc0-8000-0123456789ab/metrics").problem(404, "job_not_found");
    app.get("/v1/models/none@2").problem(404, "model_not_found");
    app.get("/v1/methods/none").problem(404, "method_not_found");
    app.get("/v1/learners/none").problem(404, "learner_not_found");
}

#[test]
fn a_client_may_ask_before_it_sends() {
    let app = TestApp::start();
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = "PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
                Content-Length: 6\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"x\n1\n2\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[test]
fn other_methods_are_answered_as_http_says() {
    let app = TestApp::start();
    app.put("/v1/domains/a", b"x\n1\n2\n");
    for path in ["/livez", "/v1/domains/a", "/v1/methods", "/openapi.yaml"] {
        let head = app.raw(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        for method in ["OPTIONS", "BREW"] {
            let refused = app.send(method, path, &[], b"");
            refused.problem(405, "method_not_allowed");
            assert!(refused.header("allow").contains("GET"), "{path}: {:?}", refused.headers);
        }
    }
}

#[test]
fn a_request_keeps_its_own_id_if_that_is_fit_for_a_log() {
    let app = TestApp::start();
    assert_eq!(app.get_with("/livez", "x-request-id", "mine-1.2_3").header("x-request-id"), "mine-1.2_3");
    let made = app.get_with("/livez", "x-request-id", "a b\"c");
    assert!(made.header("x-request-id").starts_with("req_"), "{:?}", made.headers);
}

#[test]
fn queries_are_read_strictly() {
    let app = TestApp::start();
    let problem = app.get("/v1/domains?limmit=3").problem(422, "unknown_field");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("limmit")), "{problem}");
    for bad in ["limit=0", "limit=201", "limit=x", "limit=-1"] {
        app.get(&format!("/v1/jobs?{bad}")).problem(422, "invalid_parameter");
    }
    app.get("/v1/jobs?state=lost").problem(422, "invalid_parameter");
    for bad in ["zz", "00", "6a6f62733a6e6f6e65"] {
        app.get(&format!("/v1/jobs?cursor={bad}")).problem(400, "invalid_cursor");
    }
}

#[test]
fn lists_go_on_from_page_to_page() {
    let app = TestApp::start();
    for name in ["c", "a", "b"] {
        assert_eq!(app.put(&format!("/v1/domains/{name}"), b"x\n1\n2\n").status, 201);
    }
    let first = app.get("/v1/domains?limit=2");
    let names = |v: &serde_json::Value| v["data"].as_array().map(|a| a.iter().map(|d| d["name"].clone()).collect());
    assert_eq!(names(&first.json()), Some(vec![json!("a"), json!("b")]));
    let cursor = first.json()["next_cursor"].as_str().expect("another page").to_owned();
    assert_eq!(first.header("link"), format!("</v1/domains?limit=2&cursor={cursor}>; rel=\"next\""));
    let second = app.get(&format!("/v1/domains?limit=2&cursor={cursor}"));
    assert_eq!((names(&second.json()), second.json()["next_cursor"].clone()), (Some(vec![json!("c")]), json!(null)));
    assert_eq!(second.header("link"), "");
    app.get(&format!("/v1/models?cursor={cursor}")).problem(400, "invalid_cursor");
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let app = TestApp::start();
    app.put("/v1/domains/a", b"x\n1\n2\n");
    let etag = app.get("/v1/domains/a").header("etag").to_owned();
    assert_eq!(etag, "\"1\"");
    let again = app.get_with("/v1/domains/a", "if-none-match", &etag);
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    app.put("/v1/domains/a", b"x\n1\n3\n");
    assert_eq!(app.get_with("/v1/domains/a", "if-none-match", &etag).status, 200);
}

#[test]
fn every_single_resource_has_a_tag_that_lasts_as_long_as_it() {
    let app = super::models::with_model();
    let jobs = app.get("/v1/jobs").json();
    let job = jobs["data"][0]["id"].as_str().unwrap();
    let alias = app.send("PUT", "/v1/models/birds/aliases/live", &[], b"{\"version\":1}");
    assert_eq!(alias.status, 201);
    // Keys come last: from the first on they are needed.
    let paths = [
        "/v1/domains/adelie",
        "/v1/domains/adelie@1",
        "/v1/domains/adelie/versions/1",
        "/v1/domains/adelie/columns",
        "/v1/domains/adelie/columns/bill_length_mm",
        &format!("/v1/jobs/{job}"),
        &format!("/v1/jobs/{job}/metrics"),
        "/v1/models/birds",
        "/v1/models/birds@live",
        "/v1/models/birds/aliases/live",
        "/v1/methods",
        "/v1/methods/coral",
        "/v1/learners",
        "/v1/learners/logistic",
    ];
    for path in paths {
        let first = app.get(path);
        let tag = first.header("etag");
        assert!(first.status == 200 && tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}"), "*"] {
            let again = app.get_with(path, "if-none-match", known);
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag), "{path}: {known}");
        }
        for other in ["\"other\"", "", "\""] {
            assert_eq!(app.get_with(path, "if-none-match", other).status, 200, "{path}: {other}");
        }
        assert_eq!(app.get(path).json(), first.json(), "{path}");
    }
    // The same name, but another domain.
    let version = app.get("/v1/domains/adelie/versions/1").header("etag").to_owned();
    assert_eq!(app.send("DELETE", "/v1/domains/adelie?force=true", &[], b"").status, 204);
    assert_eq!(app.put("/v1/domains/adelie", b"x\n1\n2\n").json()["version"], 1);
    assert_eq!(app.get_with("/v1/domains/adelie/versions/1", "if-none-match", &version).status, 200);

    let root = app.post("/v1/keys", &json!({"name": "root", "scopes": ["admin"]})).json();
    let (bearer, path) = (format!("Bearer {}", root["token"].as_str().unwrap()), root["key"]["id"].as_str().unwrap());
    let ask = |tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
        app.send("GET", &format!("/v1/keys/{path}"), &headers, b"")
    };
    let tag = ask("").header("etag").to_owned();
    assert_eq!((ask(&tag).status, ask("\"x\"").status), (304, 200));
}

#[test]
fn every_post_that_makes_something_makes_it_once_a_key() {
    let app = TestApp::start();
    let post = |path: &str, key: &str, body: &serde_json::Value| {
        app.send("POST", path, &[("Idempotency-Key", key)], body.to_string().as_bytes())
    };
    let domain = json!({"name": "d", "rows": [{"x": 1.5}, {"x": 2.0}]});
    let first = post("/v1/domains", "\"a\"", &domain);
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{}", first.text);
    assert_eq!(app.put("/v1/domains/d", b"x\n1\n2\n").json()["version"], 2);
    let again = post("/v1/domains", "a", &domain);
    assert_eq!((again.status, again.header("idempotency-replayed"), again.json()), (201, "true", first.json()));
    assert_eq!((again.header("location"), again.header("etag")), (first.header("location"), first.header("etag")));
    post("/v1/domains", "b", &domain).problem(409, "domain_name_taken");
    let other = json!({"name": "e", "rows": [{"x": 1.5}]});
    post("/v1/domains", "a", &other).problem(422, "idempotency_key_reused");
    app.get("/v1/domains/e").problem(404, "domain_not_found");
    post("/v1/domains", "\"", &other).problem(400, "idempotency_key_invalid");
    // What failed was not made: the key is free.
    let bad = json!({"name": "e", "rows": []});
    assert_eq!(post("/v1/domains", "c", &bad).status, 422);
    assert_eq!(post("/v1/domains", "c", &other).status, 201);
    // The same data again is answered as it was the first time.
    assert_eq!([post("/v1/domains", "f", &other).status, post("/v1/domains", "f", &other).status], [200, 200]);
    // One key is for one request, whatever it is for.
    post("/v1/keys", "a", &json!({"name": "x", "scopes": ["admin"]})).problem(422, "idempotency_key_reused");
    assert_eq!(app.send("DELETE", "/v1/domains/d", &[], b"").status, 204);
    post("/v1/domains", "a", &domain).problem(404, "domain_not_found");
    // Restarting forgets nothing.
    let app = app.restart();
    let again = app.send("POST", "/v1/domains", &[("Idempotency-Key", "c")], other.to_string().as_bytes());
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
}

#[test]
fn of_a_key_that_is_asked_for_again_the_secret_is_not_shown_again() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let bearer = format!("Bearer {root}");
    let body = json!({"name": "ci", "scopes": ["jobs:read"]}).to_string();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k")];
    let make = || app.send("POST", "/v1/keys", &headers, body.as_bytes());
    let (first, again) = (make(), make());
    assert!(first.json()["token"].is_string() && first.header("idempotency-replayed").is_empty());
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{}", again.text);
    assert_eq!((&again.json()["token"], &again.json()["key"]), (&json!(null), &first.json()["key"]));
    assert_eq!((again.header("location"), again.header("cache-control")), (first.header("location"), "no-store"));
    assert_eq!(app.ask(&root, "GET", "/v1/keys", &json!(null)).json()["data"].as_array().map(Vec::len), Some(2));
    // Who lost the answer gives the key another secret.
    let path = format!("{}/rotate", first.header("location"));
    let rotated = app.ask(&root, "POST", &path, &json!({})).json();
    let token = rotated["token"].as_str().unwrap();
    assert_eq!(app.ask(token, "GET", "/v1/jobs", &json!(null)).status, 200);
}

#[test]
fn the_committed_document_is_the_served_one() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).expect("a file");
    let current = adaptd::api::document_yaml().expect("a document");
    assert!(committed == current, "openapi.yaml is stale: cargo run --release -- openapi > openapi.yaml");
    let app = TestApp::start();
    assert_eq!(app.get("/openapi.yaml").text, current);
    let document = app.get("/openapi.json").json();
    assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    assert!(document["info"]["license"]["name"].is_string());
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").json();
    let text = document.to_string();
    let mut n = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = &part[..part.find('"').expect("an end")];
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        n += 1;
    }
    assert!(n > 30, "{n} references");
    let ids = adaptation::methods::METHODS.iter().map(|m| m.card().id);
    for id in ids.chain(adaptation::learners::LEARNERS.iter().map(|l| l.card().id)) {
        assert!(text.contains(&format!("\"const\":\"{id}\"")), "{id}");
    }
}

#[test]
fn the_pages_work_without_a_network() {
    let app = TestApp::start();
    assert!(app.get("/").text.contains("/docs/"));
    let page = app.get("/docs/").text;
    assert!(page.contains("swagger"), "{page}");
    for line in page.lines().filter(|l| l.contains("src=") || l.contains("href=")) {
        assert!(!line.contains("http"), "{line}");
    }
    let errors = app.get("/docs/errors").text;
    assert!(errors.contains("id=unknown_field") && errors.contains("id=job.worker_lost"));
}

#[test]
fn catalogs_say_what_forms_need() {
    let app = TestApp::start();
    let methods = app.get("/v1/methods").json();
    let methods = methods["data"].as_array().expect("methods");
    assert_eq!(methods.len(), adaptation::methods::METHODS.len());
    for method in methods {
        assert!(method["schema"]["type"] == "object" && method["summary"].is_string(), "{method}");
    }
    let tca = app.get("/v1/methods/transfer_component_analysis").json();
    assert!(tca["schema"]["properties"]["n_components"].is_object(), "{tca}");
    assert!(tca["defaults"]["kernel"] == "rbf", "{tca}");
    assert_eq!(app.get("/v1/learners/logistic").json()["id"], "logistic");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let app = TestApp::with(|o| o.body_idle_s = 1);
    let answer =
        app.raw("PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\nx\n1\n");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    assert_eq!(app.get("/v1/domains/a").status, 404);
    let left = std::fs::read_dir(app.folder().join("incoming")).expect("a folder").count();
    assert_eq!(left, 0, "bodies that broke off are removed");
}

#[test]
fn two_processes_never_share_a_folder() {
    let app = TestApp::start();
    let options = adaptd::config::Options { data: app.folder().to_owned(), ..Default::default() };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let refused = runtime.block_on(adaptd::cli::serve::start(&options)).err().expect("refused");
    assert!(refused.to_string().contains("another adaptd"), "{refused}");
}
