//! More than five hundred hostile texts in every place where a client may put text. None is answered by 5xx, none names
//! a file, none comes back as a header, and no answer tells of the machine, the program or another tenant.

mod attacked;
mod texts;

use serde_json::{Value, json};

use attacked::Attacked;
use texts::{percent, texts};

#[test]
fn in_paths() {
    let app = Attacked::start();
    for text in texts() {
        let encoded = percent(&text);
        for path in
            ["domains", "models", "jobs", "keys", "methods", "learners", "domains/a/versions", "domains/a/columns"]
        {
            app.send(&text, "GET", &format!("/v1/{path}/{encoded}"), "accept: */*", b"");
        }
        for (method, path) in [
            ("GET", format!("/v1/domains/{encoded}/rows")),
            ("GET", format!("/v1/jobs/{encoded}/events")),
            ("GET", format!("/v1/jobs/{encoded}/result")),
            ("POST", format!("/v1/jobs/{encoded}/cancel")),
            ("POST", format!("/v1/keys/{encoded}/rotate")),
            ("DELETE", format!("/v1/keys/{encoded}")),
            ("GET", format!("/v1/{encoded}")),
            ("GET", format!("/docs/{encoded}")),
        ] {
            app.send(&text, method, &path, "accept: */*", b"");
        }
        // What is a name by chance is put, and taken away again.
        let is_name = text.parse::<adaptd::records::Name>().is_ok();
        app.send(&text, "PUT", &format!("/v1/domains/{encoded}"), "content-type: text/csv", b"x\n1\n");
        app.send(&text, "DELETE", &format!("/v1/domains/{encoded}?force={is_name}"), "if-match: \"1\"", b"");
        app.send(&text, "DELETE", &format!("/v1/models/{encoded}"), "if-match: \"1\"", b"");
        app.json(&text, "POST", &format!("/v1/models/{encoded}/predict"), &json!({"rows": [{}]}));
    }
}

#[test]
fn as_they_are_on_the_wire() {
    let app = Attacked::start();
    for text in texts() {
        for head in [
            format!("GET /v1/domains/{text} HTTP/1.1\r\nHost: x"),
            format!("GET /v1/domains HTTP/1.1\r\nHost: {text}"),
            format!("GET /v1/domains HTTP/1.1\r\nHost: x\r\nAccept: {text}"),
            format!("{text} / HTTP/1.1\r\nHost: x"),
        ] {
            let told = app.app.raw(&format!("{head}\r\nConnection: close\r\n\r\n"));
            // A request within the request is answered too, or the connection ends.
            assert!(told.is_empty() || told.starts_with("HTTP/1.1 "), "{head:?}: {told}");
            assert!(!told.contains("HTTP/1.1 5"), "{head:?}: {told}");
            assert!(!told.to_lowercase().contains("\nx-injected"), "{head:?}: {told}");
            app.check_told(&text, &head, &told);
        }
    }
}

#[test]
fn in_queries() {
    let app = Attacked::start();
    for text in texts() {
        let encoded = percent(&text);
        for name in
            ["label", "ignore", "weight", "group", "id", "time", "task", "format", "delimiter", "quote", "header"]
        {
            app.send(
                &text,
                "POST",
                &format!("/v1/schema-guess?{name}={encoded}"),
                "content-type: text/csv",
                b"a,b\n1,2\n",
            );
        }
        for name in ["encoding", "missing"] {
            app.send(
                &text,
                "POST",
                &format!("/v1/schema-guess?{name}={encoded}"),
                "content-type: text/csv",
                b"a,b\n1,2\n",
            );
        }
        for path in [
            format!("/v1/domains?cursor={encoded}"),
            format!("/v1/domains?{encoded}=1"),
            format!("/v1/domains?{encoded}"),
            format!("/v1/domains/a/rows?cursor={encoded}"),
            format!("/v1/domains/a/rows?limit=1&columns={encoded}"),
            format!("/v1/jobs?state={encoded}"),
            format!("/v1/jobs?kind={encoded}"),
            format!("/v1/jobs?limit={encoded}"),
            format!("/v1/keys?cursor={encoded}"),
        ] {
            app.send(&text, "GET", &path, "accept: */*", b"");
        }
        app.json(&text, "POST", &format!("/v1/models/a/predict?include={encoded}"), &json!({"rows": [{}]}));
    }
}

#[test]
fn in_headers() {
    let app = Attacked::start();
    let job = json!({"kind": "adapt"}).to_string();
    // What HTTP has no form for cannot be sent in a header; the wire's test sends it all the same.
    let fits = |text: &&String| text.chars().all(|c| c == '\t' || !c.is_control()) && text.trim() == *text;
    for text in texts().iter().filter(fits) {
        // The client itself refuses other characters there.
        if text.is_ascii() {
            app.send(text, "GET", "/v1/domains/a", &format!("authorization: {text}"), b"");
            app.send(text, "GET", "/v1/domains", &format!("authorization: Bearer {text}"), b"");
        }
        for name in ["accept", "if-none-match", "x-request-id", "traceparent", "cookie", "range"] {
            app.send(text, "GET", "/v1/domains/a", &format!("{name}: {text}"), b"");
        }
        for name in ["content-type", "content-encoding", "content-disposition"] {
            app.send(text, "POST", "/v1/schema-guess", &format!("{name}: {text}"), b"a,b\n1,2\n");
            app.send(text, "POST", "/v1/models/a/predict", &format!("{name}: {text}"), b"{\"rows\":[{}]}");
        }
        for name in ["idempotency-key", "prefer", "traceparent"] {
            app.send(text, "POST", "/v1/jobs", &format!("{name}: {text}"), job.as_bytes());
        }
        app.send(text, "PATCH", "/v1/domains/a", &format!("if-match: {text}"), b"{}");
        app.send(text, "GET", "/v1/models/a/predict", &format!("accept: {text}"), b"");
    }
}

#[test]
fn in_documents() {
    let app = Attacked::start();
    let adapt = json!({"kind": "adapt", "sources": ["a"], "target": "a", "method": {"id": "coral"}, "seed": 1});
    for text in texts() {
        let at = |pointer: &str, value: Value| {
            let mut spec = adapt.clone();
            spec[pointer] = value;
            spec
        };
        for spec in [
            at("kind", json!(text)),
            at("sources", json!([text])),
            at("target", json!(text)),
            at("method", json!({"id": text})),
            at("method", json!({"id": "coral", "params": {text.as_str(): 1}})),
            at("learner", json!({"id": text})),
            at("learner", json!({"id": "logistic", "params": {"l2": text}})),
            at("features", json!({"scaling": text})),
            at("evaluation", json!({"kind": text})),
            at("evaluation", json!({"kind": "none", text.as_str(): 1})),
            at("model", json!(text)),
            at("base", json!(text)),
            at("deadline", json!(text)),
            at("labels", json!({text.as_str(): text})),
            at("risk", json!(text)),
            at(&text, json!(text)),
            json!(text),
            json!({"kind": "predict", "model": text, "target": "a", "format": text, "include": [text]}),
        ] {
            app.json(&text, "POST", "/v1/jobs?dry_run=true", &spec);
        }
        app.json(&text, "POST", "/v1/models/a/predict", &json!({"rows": [{text.as_str(): text}]}));
        app.json(
            &text,
            "POST",
            "/v1/models/a/predict",
            &json!({"columns": [text], "data": [[text]], "include": [text]}),
        );
        app.json(&text, "POST", "/v1/keys", &json!({"name": "a", "scopes": [text], "expires_in": text}));
        app.json(&text, "POST", "/v1/domains", &json!({"name": text, "rows": []}));
        let roles = json!({"roles": {"label": text, "ignore": [text]}}).to_string();
        app.send(&text, "PATCH", "/v1/domains/a", "if-match: \"99\"", roles.as_bytes());
    }
}

#[test]
fn in_data() {
    let app = Attacked::start();
    for (i, text) in texts().iter().enumerate() {
        let quoted = text.replace('"', "\"\"");
        let object = json!({text.as_str(): text, "y": 1}).to_string();
        let bodies = [
            ("text/csv", format!("\"{quoted}\",y\n\"{quoted}\",1\n")),
            ("text/csv", format!("{text},y\n{text},1\n")),
            ("application/json", format!("[{object}]")),
            ("application/x-ndjson", format!("{object}\n{object}\n")),
        ];
        for (media_type, body) in &bodies {
            app.send(text, "POST", "/v1/schema-guess", &format!("content-type: {media_type}"), body.as_bytes());
        }
        // What is stored takes a while: some of it is, and is shown again.
        if i % 40 == 0 {
            for (media_type, body) in &bodies {
                app.send(text, "PUT", "/v1/domains/odd", &format!("content-type: {media_type}"), body.as_bytes());
            }
            for path in ["odd", "odd/columns", "odd/rows"] {
                app.send(text, "GET", &format!("/v1/domains/{path}"), "accept: */*", b"");
            }
            let column = percent(text);
            app.send(text, "GET", &format!("/v1/domains/odd/columns/{column}"), "accept: */*", b"");
            app.json(text, "POST", "/v1/keys", &json!({"name": text, "scopes": ["jobs:read"]}));
            app.json(text, "POST", "/v1/domains", &json!({"name": "rows", "rows": [{text.as_str(): text}]}));
        }
    }
}
