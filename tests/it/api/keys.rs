//! Keys, scopes and tenants, over every operation that the document tells of.

use std::net::SocketAddr;

use adaptd::cli::serve;
use adaptd::config::Options;
use serde_json::{Value, json};

use crate::support::{ADELIE, TestApp};

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    /// The scopes it needs; `None` where it is for everybody.
    scopes: Option<Vec<String>>,
}

fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.get("/openapi.json").json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(_, o)| o["responses"].is_object()) {
            let names = operation["security"].as_array().unwrap().iter().find_map(|s| s["key"].as_array());
            let scopes = names.map(|names| names.iter().map(|n| n.as_str().unwrap().to_owned()).collect());
            all.push(Operation { method: method.to_uppercase(), path: path.clone(), scopes });
        }
    }
    assert!(all.len() > 20, "{}", all.len());
    all
}

/// The path with something in its places.
fn filled(path: &str) -> String {
    path.replace("{name}", "thing").replace("{n}", "1").replace("{column}", "x").replace("{alias}", "live").replace(
        "{id}",
        if path.contains("/keys/") {
            "key_0197f1c2-7a30-7cc0-8000-0123456789ab"
        } else {
            "job_0197f1c2-7a30-7cc0-8000-0123456789ab"
        },
    )
}

#[test]
fn without_keys_everybody_may_do_everything_and_from_the_first_on_nobody_without() {
    let app = TestApp::start();
    assert_eq!(app.get("/v1/domains").status, 200);
    let useless = json!({"name": "reader", "scopes": ["domains:read"]});
    assert_eq!(app.post("/v1/keys", &useless).problem(422, "invalid_parameter")["errors"][0]["pointer"], "/scopes");
    let made = app.post("/v1/keys", &json!({"name": "root", "scopes": ["keys:write", "admin"]}));
    assert_eq!((made.status, made.header("cache-control")), (201, "no-store"), "{}", made.text);
    let token = made.json()["token"].as_str().unwrap().to_owned();

    let refused = app.get("/v1/domains");
    refused.problem(401, "missing_credentials");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert_eq!(app.ask(&token, "GET", "/v1/domains", &Value::Null).status, 200);
    // A secret of another, a secret cut short, and no key at all are one and the same.
    for bad in [&token[..token.len() - 1], "ak_x_y", "", &token.replace("ak_", "bk_")] {
        app.ask(bad, "GET", "/v1/domains", &Value::Null).problem(401, "invalid_credentials");
    }
    app.get_with("/v1/domains", "authorization", "Basic YTpi").problem(401, "invalid_credentials");
    // Restarting forgets nothing.
    let app = app.restart();
    app.get("/v1/domains").problem(401, "missing_credentials");
    assert_eq!(app.ask(&token, "GET", "/v1/domains", &Value::Null).status, 200);
}

#[test]
fn every_operation_needs_its_scope_and_no_other() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let all = operations(&app);
    let words = ["domains:read", "domains:write", "data:read", "jobs:read", "jobs:write", "models:read"];
    let words = [&words[..], &["models:write", "models:predict", "keys:read", "keys:write", "metrics:read"]].concat();
    let mut checked = 0;
    for word in words {
        let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": word, "scopes": [word]}));
        let token = made.json()["token"].as_str().unwrap().to_owned();
        for operation in &all {
            let Some(needed) = &operation.scopes else { continue };
            let answer = app.ask(&token, &operation.method, &filled(&operation.path), &Value::Null);
            let allowed = needed.iter().all(|n| n == word);
            let refused = answer.status == 403 && answer.json()["code"] == "insufficient_scope";
            assert_eq!(refused, !allowed, "{word}: {} {}: {}", operation.method, operation.path, answer.text);
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
    for operation in all {
        let answer = app.send(&operation.method, &filled(&operation.path), &[], b"");
        match operation.scopes {
            Some(_) => drop(answer.problem(401, "missing_credentials")),
            None => assert_eq!(answer.status, 200, "{}", operation.path),
        }
    }
}

#[test]
fn what_is_anothers_is_not_there() {
    let (app, [ours, theirs]) = TestApp::with_keys(["default", "rival"]);
    let bearer = format!("Bearer {ours}");
    let put = app.send("PUT", "/v1/domains/adelie?label=label", &[("authorization", &bearer)], ADELIE);
    assert_eq!(put.status, 201, "{}", put.text);
    let domain = put.json()["domain"].as_str().unwrap().to_owned();
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "adelie", "method": {"id": "source_only"},
                      "model": "penguins"});
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=60")];
    let job = app.send("POST", "/v1/jobs", &headers, spec.to_string().as_bytes());
    assert_eq!(job.status, 200, "{}", job.text);
    let job = job.json()["id"].as_str().unwrap().to_owned();
    let model = app.ask(&ours, "GET", "/v1/models/penguins", &Value::Null).json();
    let model = model["id"].as_str().unwrap().to_owned();
    let alias = app.ask(&ours, "PUT", "/v1/models/penguins/aliases/live", &json!({"version": 1}));
    assert_eq!(alias.status, 201, "{}", alias.text);
    let key = app.ask(&ours, "GET", "/v1/keys", &Value::Null).json()["data"][0]["id"].as_str().unwrap().to_owned();

    let mut checked = 0;
    for operation in operations(&app).iter().filter(|o| o.scopes.is_some() && o.path.contains('{')) {
        let named: &[&str] = match operation.path.split('/').nth(2) {
            Some("domains") => &[&domain, "adelie", "adelie@1"],
            Some("jobs") => &[&job],
            Some("models") => &[&model, "penguins", "penguins@1", "penguins@live"],
            Some("keys") => &[&key],
            _ => continue,
        };
        // A name is everybody's to use: putting it makes a domain of one's own.
        let theirs_to_use = operation.method == "PUT" && operation.path == "/v1/domains/{name}";
        for name in named.iter().filter(|_| !theirs_to_use) {
            let path = operation.path.replace("{name}", name).replace("{id}", name);
            let path = path.replace("{n}", "1").replace("{column}", "label").replace("{alias}", "live");
            let body = match operation.method.as_str() {
                "POST" if operation.path.ends_with("/predict") => json!({"rows": [{}]}),
                "PUT" => json!({"version": 1}),
                "POST" | "PATCH" => json!({}),
                _ => Value::Null,
            };
            let answer = app.ask(&theirs, &operation.method, &path, &body);
            assert_eq!(answer.status, 404, "{} {path}: {}", operation.method, answer.text);
            let own = app.ask(&ours, "GET", &format!("/v1/jobs/{job}"), &Value::Null);
            assert_eq!(own.json()["state"], "succeeded");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
    for list in ["/v1/domains", "/v1/jobs", "/v1/models"] {
        assert_eq!(app.ask(&theirs, "GET", list, &Value::Null).json()["data"], json!([]), "{list}");
    }
    let keys = app.ask(&theirs, "GET", "/v1/keys", &Value::Null).json();
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(1));
    for (source, base) in [(domain.as_str(), "x"), ("adelie@1", &model)] {
        let spec = json!({"kind": "adapt", "sources": [source], "target": "adelie", "method": {"id": "coral"}});
        assert_eq!(app.ask(&theirs, "POST", "/v1/jobs", &spec).status, 404);
        let spec = json!({"kind": "fine_tune", "target": "adelie", "base": base});
        assert_eq!(app.ask(&theirs, "POST", "/v1/jobs", &spec).status, 404);
    }
}

#[test]
fn a_key_gives_no_more_than_it_has() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let make = |token: &str, scopes: Value| app.ask(token, "POST", "/v1/keys", &json!({"name": "k", "scopes": scopes}));
    let keeper = make(&root, json!(["keys:write", "jobs:read"])).json()["token"].as_str().unwrap().to_owned();
    assert_eq!(make(&keeper, json!(["jobs:read"])).status, 201);
    make(&keeper, json!(["jobs:read", "jobs:write"])).problem(403, "scope_escalation");
    make(&keeper, json!(["admin"])).problem(403, "scope_escalation");
    // Nor by a new secret for a stronger one.
    let strongest =
        app.ask(&root, "GET", "/v1/keys", &Value::Null).json()["data"][2]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/keys/{strongest}/rotate");
    app.ask(&keeper, "POST", &path, &json!({})).problem(403, "scope_escalation");
    // Nor does it lock a stronger one out.
    app.ask(&keeper, "DELETE", &format!("/v1/keys/{strongest}"), &Value::Null).problem(403, "scope_escalation");
    let weaker = make(&keeper, json!(["jobs:read"])).json()["key"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.ask(&keeper, "DELETE", &format!("/v1/keys/{weaker}"), &Value::Null).status, 204);
    for bad in [json!([]), json!(["all"]), json!("admin"), json!(null)] {
        make(&root, bad).problem(422, "invalid_parameter");
    }
    for bad in ["", "  ", "a\nb", &"n".repeat(101)] {
        let answer = app.ask(&root, "POST", "/v1/keys", &json!({"name": bad, "scopes": ["admin"]}));
        assert_eq!(answer.problem(422, "invalid_parameter")["errors"][0]["pointer"], "/name");
    }
}

#[test]
fn keys_are_rotated_expire_and_are_revoked() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let whoami = |token: &str| app.ask(token, "GET", "/v1/methods", &Value::Null);
    let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": "ci", "scopes": ["jobs:read"]})).json();
    let (first, id) = (made["token"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    let rotate = |body: Value| app.ask(&root, "POST", &format!("/v1/keys/{id}/rotate"), &body);

    let second = rotate(json!({"grace": "PT1H"})).json()["token"].as_str().unwrap().to_owned();
    assert_eq!((whoami(first).status, whoami(&second).status), (200, 200));
    let third = rotate(json!({})).json()["token"].as_str().unwrap().to_owned();
    whoami(first).problem(401, "invalid_credentials");
    whoami(&second).problem(401, "invalid_credentials");
    assert_eq!(whoami(&third).status, 200);
    rotate(json!({"grace": "P30D"})).problem(422, "invalid_parameter");
    rotate(json!({"grace": "soon"})).problem(422, "invalid_parameter");

    assert_eq!(app.ask(&root, "DELETE", &format!("/v1/keys/{id}"), &Value::Null).status, 204);
    whoami(&third).problem(401, "invalid_credentials");
    rotate(json!({})).problem(404, "key_not_found");
    let shown = app.ask(&root, "GET", &format!("/v1/keys/{id}"), &Value::Null).json();
    assert!(shown["revoked_at"].is_string() && shown.get("token").is_none());
    assert_eq!(app.ask(&root, "DELETE", &format!("/v1/keys/{id}"), &Value::Null).status, 204, "once more");

    let brief = json!({"name": "brief", "scopes": ["jobs:read"], "expires_in": "PT0.001S"});
    let brief = app.ask(&root, "POST", "/v1/keys", &brief).json()["token"].as_str().unwrap().to_owned();
    let last = (0..10_000).map(|_| whoami(&brief)).find(|answer| answer.status != 200);
    last.expect("a millisecond passes").problem(401, "key_expired");
}

#[test]
fn no_secret_is_kept() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": "ci", "scopes": ["jobs:read"]})).json();
    let secrets = [root.as_str(), made["token"].as_str().unwrap()].map(|t| t.rsplit('_').next().unwrap().to_owned());
    let listed = app.ask(&root, "GET", "/v1/keys", &Value::Null).text;
    let mut files = 0;
    for entry in std::fs::read_dir(app.folder()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()) {
        let bytes = std::fs::read(&entry).unwrap();
        files += 1;
        for secret in &secrets {
            assert!(!listed.contains(secret));
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", entry.display());
        }
    }
    assert!(files >= 2, "the database and its log");
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_key() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { listen: SocketAddr::from(([0, 0, 0, 0], 0)), data: folder.path().to_owned(), ..Options::default() };
    let refused = runtime.block_on(serve::start(&options)).err().expect("refused").to_string();
    assert!(refused.contains("adaptd keys create"), "{refused}");
    let server = runtime.block_on(serve::start(&Options { allow_anonymous: true, ..options })).unwrap();
    runtime.block_on(server.shutdown());
}

#[test]
fn pages_and_probes_need_no_key_and_name_what_browsers_are_to_keep() {
    let (app, [_]) = TestApp::with_keys(["default"]);
    for path in ["/", "/livez", "/readyz", "/docs/", "/docs/errors", "/openapi.json", "/openapi.yaml"] {
        let answer = app.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").contains("default-src 'self'"));
    }
    app.get("/v1/nothing").problem(404, "route_not_found");
}

#[test]
fn a_job_gives_no_predictions_to_whom_a_request_would_not() {
    let app = TestApp::start();
    let root = json!({"name": "root", "scopes": ["keys:write", "admin"]});
    let root = app.post("/v1/keys", &root).json()["token"].as_str().unwrap().to_owned();
    let key = |scopes: Value| {
        let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": "k", "scopes": scopes}));
        made.json()["token"].as_str().unwrap().to_owned()
    };
    let spec = json!({"kind": "predict", "model": "m", "target": "d"});
    let without = app.ask(&key(json!(["jobs:write"])), "POST", "/v1/jobs", &spec);
    without.problem(403, "insufficient_scope");
    let with = app.ask(&key(json!(["jobs:write", "models:predict"])), "POST", "/v1/jobs", &spec);
    with.problem(404, "model_not_found");
}
