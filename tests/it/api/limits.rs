//! Limits of keys, of uploads, and of patience.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestApp;

#[test]
fn a_key_with_a_limit_is_told_where_it_stands_and_when_to_come_again() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let new = json!({"name": "slow", "scopes": ["jobs:read"], "rate_limit": {"requests": 3, "window": "PT1H"}});
    let made = app.ask(&root, "POST", "/v1/keys", &new);
    assert_eq!(made.json()["key"]["rate_limit"], json!({"requests": 3, "window": "PT3600S"}), "{}", made.text);
    assert_eq!(made.header("ratelimit"), "", "the key that asks has no limit");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let first = app.ask(&token, "GET", "/v1/jobs", &Value::Null);
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=3;w=3600");
    assert_eq!((first.status, first.header("ratelimit")), (200, "\"default\";r=2;t=1200"));
    // What is refused for another reason counts too.
    let second = app.ask(&token, "GET", "/v1/domains", &Value::Null);
    second.problem(403, "insufficient_scope");
    assert!(second.header("ratelimit").starts_with("\"default\";r=1;t="), "{:?}", second.headers);
    assert_eq!(app.ask(&token, "GET", "/v1/jobs", &Value::Null).status, 200);
    let refused = app.ask(&token, "GET", "/v1/jobs", &Value::Null);
    assert_eq!(refused.problem(429, "rate_limited")["retryable"], true);
    assert!(refused.header("ratelimit").starts_with("\"default\";r=0;t="), "{:?}", refused.headers);
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=1200).contains(&seconds), "{seconds}");

    // A new secret is no new limit; others are not held up.
    let path = format!("/v1/keys/{}/rotate", made.json()["key"]["id"].as_str().unwrap());
    let rotated = app.ask(&root, "POST", &path, &json!({})).json();
    assert_eq!(rotated["key"]["rate_limit"]["requests"], 3);
    app.ask(rotated["token"].as_str().unwrap(), "GET", "/v1/jobs", &Value::Null).problem(429, "rate_limited");
    assert_eq!(app.ask(&root, "GET", "/v1/jobs", &Value::Null).status, 200);
    // The limit is stored with the key.
    let app = app.restart();
    let again = app.ask(rotated["token"].as_str().unwrap(), "GET", "/v1/jobs", &Value::Null);
    assert_eq!((again.status, again.header("ratelimit-policy")), (200, "\"default\";q=3;w=3600"));
}

#[test]
fn limits_that_cannot_be_are_refused_and_none_is_a_way_around_another() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let make = |token: &str, limit: Value| {
        let new = json!({"name": "k", "scopes": ["keys:write"], "rate_limit": limit});
        app.ask(token, "POST", "/v1/keys", &new)
    };
    for (bad, place) in [
        (json!({"requests": 0, "window": "PT1S"}), "/rate_limit/requests"),
        (json!({"requests": 1_000_001, "window": "PT1S"}), "/rate_limit/requests"),
        (json!({"requests": -1, "window": "PT1S"}), "/rate_limit/requests"),
        (json!({"requests": 1, "window": "PT0.5S"}), "/rate_limit/window"),
        (json!({"requests": 1, "window": "P2D"}), "/rate_limit/window"),
        (json!({"requests": 1, "window": "soon"}), "/rate_limit/window"),
        (json!({"requests": 1}), "/rate_limit"),
    ] {
        assert_eq!(make(&root, bad).problem(422, "invalid_parameter")["errors"][0]["pointer"], place);
    }
    assert_eq!(make(&root, Value::Null).json()["key"]["rate_limit"], Value::Null);
    let limited = make(&root, json!({"requests": 100, "window": "PT1H"})).json()["token"].as_str().unwrap().to_owned();
    assert_eq!(make(&limited, json!({"requests": 100, "window": "PT1H"})).status, 201);
    let more = make(&limited, json!({"requests": 100, "window": "PT1M"})).problem(403, "scope_escalation");
    assert_eq!(more["errors"][0]["pointer"], "/rate_limit");
    make(&limited, Value::Null).problem(403, "scope_escalation");
}

#[test]
fn one_upload_too_many_is_asked_to_come_again() {
    let app = TestApp::with(|o| o.max_uploads = 1);
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = "PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
                Content-Length: 6\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    // It is asked for its body: it has its place.
    let refused = app.put("/v1/domains/b", b"x\n1\n2\n");
    refused.problem(503, "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(app.get("/v1/domains").status, 200, "only uploads wait");
    stream.write_all(b"x\n1\n2\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(app.put("/v1/domains/b", b"x\n1\n2\n").status, 201);
}

#[test]
fn a_client_that_does_not_finish_its_head_is_let_go() {
    let app = TestApp::with(|o| o.header_timeout_s = 1);
    let answer = app.raw("GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(app.get("/livez").status, 200);
}
