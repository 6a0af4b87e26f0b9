//! The examples of the document: there is one for everything, each fits its schema, and a service answers as they say.

use serde_json::{Map, Value, json};

use crate::support::{ADELIE, Answer, GENTOO, TestApp};

/// One operation as the document has it.
struct Operation {
    /// `METHOD /path`
    name: String,
    value: Value,
}

fn document() -> Value {
    TestApp::start().get("/openapi.json").json()
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").iter().filter(|(_, o)| o["responses"].is_object());
        operations.map(move |(method, value)| Operation {
            name: format!("{} {path}", method.to_uppercase()),
            value: value.clone(),
        })
    });
    all.collect()
}

/// What has content: the request, if there is one, and every answer of success.
fn contents(operation: &Operation) -> Vec<(String, &Map<String, Value>)> {
    let request = operation.value["requestBody"]["content"].as_object().map(|c| ("request".to_owned(), c));
    let answers = operation.value["responses"].as_object().into_iter().flatten().filter(|(s, _)| s.starts_with('2'));
    let answers = answers.filter_map(|(status, answer)| Some((status.clone(), answer["content"].as_object()?)));
    request.into_iter().chain(answers).collect()
}

/// The examples of one media type.
fn examples(media: &Value) -> Vec<&Value> {
    media.get("example").into_iter().collect()
}

#[test]
fn every_operation_has_an_example_of_what_it_takes_and_of_what_it_answers() {
    let document = document();
    let mut n = 0;
    for operation in operations(&document) {
        let contents = contents(&operation);
        let body_is_wanted = ["PUT", "PATCH"].iter().any(|m| operation.name.starts_with(m));
        assert!(!body_is_wanted || operation.value["requestBody"].is_object(), "{}: no body", operation.name);
        for (what, content) in contents {
            let found: usize = content.values().map(|media| examples(media).len()).sum();
            assert!(found > 0, "{}: no example of {what}; add it to src/api/examples.json", operation.name);
            n += found;
        }
    }
    assert!(n > 50, "{n} examples");
}

#[test]
fn every_example_fits_the_schema_that_stands_beside_it() {
    let document = document();
    let mut faults = Vec::new();
    for operation in operations(&document) {
        for (what, content) in contents(&operation) {
            for (media, of_media) in content {
                let schema = json!({"allOf": [of_media["schema"]], "components": document["components"]});
                let validator = jsonschema::draft202012::new(&schema).expect("a schema");
                for example in examples(of_media) {
                    let errors = validator.iter_errors(example).map(|e| format!("{} at {}", e, e.instance_path()));
                    faults.extend(errors.map(|e| format!("{} {what} {media}: {e}", operation.name)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where two documents are not of one shape: names of fields and kinds of values, of lists those of the first items. What
/// is null in one may be anything in the other.
fn differences(found: &Value, told: &Value, at: &str) -> Vec<String> {
    match (found, told) {
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (Value::Object(found), Value::Object(told)) => {
            let names = found.keys().chain(told.keys().filter(|name| !found.contains_key(*name)));
            let of = |name: &String| match (found.get(name), told.get(name)) {
                (Some(found), Some(told)) => differences(found, told, &format!("{at}/{name}")),
                (None, _) => vec![format!("{at}/{name} is not answered")],
                (_, None) => vec![format!("{at}/{name} is not in the example")],
            };
            names.flat_map(of).collect()
        }
        (Value::Array(found), Value::Array(told)) => match (found.first(), told.first()) {
            (Some(found), Some(told)) => differences(found, told, &format!("{at}/0")),
            _ => Vec::new(),
        },
        _ if std::mem::discriminant(found) == std::mem::discriminant(told) => Vec::new(),
        _ => vec![format!("{at} is {found}, in the example {told}")],
    }
}

#[test]
fn an_example_that_is_not_so_is_found() {
    let found = json!({"a": [{"b": 1}], "c": null});
    assert!(differences(&found, &json!({"a": [{"b": 2}, {"x": 1}], "c": "text"}), "").is_empty());
    for wrong in [json!({"a": [{"b": "1"}], "c": 1}), json!({"a": [{}], "c": 1}), json!({"a": []}), json!([])] {
        assert_eq!(differences(&found, &wrong, "").len(), 1, "{wrong}");
    }
}

/// The service that the examples are asked of, and the document that has them.
struct Asked {
    app: TestApp,
    document: Value,
    token: Option<String>,
    seen: Vec<String>,
}

impl Asked {
    fn operation(&self, name: &str) -> Value {
        let (method, path) = name.split_once(' ').expect("METHOD /path");
        self.document["paths"][path][method.to_lowercase()].clone()
    }

    /// Asks as the example does, and compares the answer with its.
    #[track_caller]
    fn ask(&mut self, name: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let operation = self.operation(name);
        let request = operation["requestBody"]["content"].as_object().into_iter().flatten();
        let request = request.filter_map(|(media, of)| Some((media.as_str(), of.get("example")?))).next();
        let (media, body) = match request {
            Some((media, Value::String(text))) => (media, text.clone()),
            Some((media, other)) => (media, other.to_string()),
            None => ("", String::new()),
        };
        self.send(name, path, &[&[("content-type", media)], headers].concat(), body.as_bytes())
    }

    #[track_caller]
    fn send(&mut self, name: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers: Vec<(&str, &str)> = headers.iter().copied().filter(|(_, v)| !v.is_empty()).collect();
        headers.extend(bearer.as_ref().map(|b| ("authorization", b.as_str())));
        let answer = self.app.send(name.split(' ').next().expect("a method"), path, &headers, body);
        let status = answer.status.to_string();
        assert!(answer.status < 300, "{name}: {}", answer.text);
        let content = &self.operation(name)["responses"][&status]["content"];
        let media = answer.header("content-type").split(';').next().expect("a type").to_owned();
        let example = &content[&media]["example"];
        // Of lines, the example is the first.
        let first = answer.text.lines().next().unwrap_or_default();
        match media.as_str() {
            "application/json" | "application/x-ndjson" => {
                let found = if media == "application/json" { &answer.text } else { first };
                let found: Value = serde_json::from_str(found).expect("JSON");
                let differences = differences(&found, example, "");
                assert!(differences.is_empty(), "{name} {status}: {differences:?}: {}", answer.text);
            }
            "text/csv" => assert_eq!(Some(first), example.as_str().and_then(|e| e.lines().next()), "{name}"),
            _ => assert!(answer.status == 204 || example.is_string(), "{name}: {media}"),
        }
        self.seen.push(name.to_owned());
        answer
    }
}

#[test]
fn a_service_answers_as_the_examples_say() {
    let document = document();
    let mut asked = Asked { app: TestApp::start(), document, token: None, seen: Vec::new() };
    domains(&mut asked);
    let job = jobs(&mut asked);
    models(&mut asked, &job);
    catalog_and_health(&mut asked);
    keys(&mut asked);
    let all: Vec<String> = operations(&asked.document).into_iter().map(|o| o.name).collect();
    let missing: Vec<&String> = all.iter().filter(|name| !asked.seen.contains(name)).collect();
    assert!(missing.is_empty(), "not asked: {missing:?}");
    // What a service without keys shows in lists of its jobs is asked for when they are gone: with the key.
    asked.app.stop();
}

fn domains(asked: &mut Asked) {
    for path in ["/v1/domains/adelie?label=label", "/v1/domains/adelie?label=label"] {
        asked.send("PUT /v1/domains/{name}", path, &[("content-type", "text/csv")], ADELIE);
    }
    assert_eq!(asked.app.put("/v1/domains/gentoo?label=label", GENTOO).status, 201);
    asked.ask("POST /v1/domains", "/v1/domains", &[]);
    asked.ask("POST /v1/domains", "/v1/domains", &[]);
    asked.ask("GET /v1/domains", "/v1/domains?limit=2", &[]);
    asked.ask("GET /v1/domains/{name}", "/v1/domains/adelie", &[]);
    asked.ask("GET /v1/domains/{name}/versions", "/v1/domains/adelie/versions", &[]);
    asked.ask("GET /v1/domains/{name}/versions/{n}", "/v1/domains/adelie/versions/1", &[]);
    asked.ask("GET /v1/domains/{name}/columns", "/v1/domains/tiny/columns", &[]);
    asked.ask("GET /v1/domains/{name}/columns/{column}", "/v1/domains/tiny/columns/x", &[]);
    asked.ask("GET /v1/domains/{name}/rows", "/v1/domains/adelie/rows?limit=2", &[]);
    asked.ask("POST /v1/schema-guess", "/v1/schema-guess", &[]);
}

/// The path of the job that makes a model.
fn jobs(asked: &mut Asked) -> String {
    let first = asked.ask("POST /v1/jobs", "/v1/jobs", &[]).json();
    let first = first["links"]["self"].as_str().expect("a link").to_owned();
    while asked.app.get(&format!("{first}?wait=60")).json()["terminal"] == false {}
    let job = asked.ask("POST /v1/jobs", "/v1/jobs", &[("prefer", "wait=60")]).json();
    let job = job["links"]["self"].as_str().expect("a link").to_owned();
    asked.ask("GET /v1/jobs", "/v1/jobs?limit=1", &[]);
    asked.ask("GET /v1/jobs/{id}", &job, &[]);
    asked.ask("GET /v1/jobs/{id}/metrics", &format!("{job}/metrics"), &[]);
    let events = format!("{job}/events");
    asked.ask("GET /v1/jobs/{id}/events", &events, &[]);
    asked.ask("GET /v1/jobs/{id}/events", &events, &[("accept", "text/event-stream")]);
    // The stream of all jobs has no end.
    asked.ask("GET /v1/events", "/v1/events?limit=2", &[]);
    job
}

fn models(asked: &mut Asked, job: &str) {
    let alias = "/v1/models/penguins/aliases/production";
    let first = json!({"version": 1}).to_string();
    let put = asked.send("PUT /v1/models/{name}/aliases/{alias}", alias, &[], first.as_bytes());
    asked.ask("GET /v1/models/{name}/aliases/{alias}", alias, &[]);
    asked.ask("PUT /v1/models/{name}/aliases/{alias}", alias, &[("if-match", put.header("etag"))]);
    asked.ask("PATCH /v1/models/{name}", "/v1/models/penguins", &[("if-match", "*")]);
    asked.ask("GET /v1/models", "/v1/models", &[]);
    asked.ask("GET /v1/models/{name}", "/v1/models/penguins@production", &[]);
    let path = "/v1/models/penguins@production/predict";
    let predict = asked.operation("POST /v1/models/{name}/predict");
    let rows = predict["requestBody"]["content"]["application/json"]["example"].to_string();
    asked.send("POST /v1/models/{name}/predict", path, &[("content-type", "application/json")], rows.as_bytes());
    for accept in ["text/csv", "application/x-ndjson"] {
        let headers = [("content-type", "text/csv"), ("accept", accept)];
        asked.send("POST /v1/models/{name}/predict", path, &headers, GENTOO);
    }
    let bulk = asked.app.run_job(&json!({"kind": "predict", "model": "penguins@production", "target": "gentoo"}));
    asked.ask("GET /v1/jobs/{id}/result", bulk["links"]["result"].as_str().expect("a link"), &[]);
    cancel(asked);
    asked.send("DELETE /v1/models/{name}/aliases/{alias}", alias, &[("if-match", "*")], b"");
    asked.send("DELETE /v1/models/{name}", "/v1/models/penguins", &[], b"");
    asked.ask("PATCH /v1/domains/{name}", "/v1/domains/tiny", &[]);
    asked.ask("PATCH /v1/domains/{name}", "/v1/domains/tiny", &[]);
    asked.send("DELETE /v1/domains/{name}", "/v1/domains/tiny", &[], b"");
    assert_eq!(asked.app.get(job).status, 200, "jobs stay");
}

/// One thread computes: the last of several jobs waits, and is cancelled at once.
fn cancel(asked: &mut Asked) {
    let slow = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "source_only"},
                      "evaluation": {"kind": "leave_one_out"}});
    let jobs: Vec<String> = (0..6)
        .map(|_| asked.app.post("/v1/jobs", &slow).json()["links"]["self"].as_str().expect("a link").to_owned())
        .collect();
    let last = &jobs[5];
    for what in ["pause", "resume"] {
        for _ in 0..2 {
            asked.ask(&format!("POST /v1/jobs/{{id}}/{what}"), &format!("{last}/{what}"), &[]);
        }
    }
    asked.ask("POST /v1/jobs/{id}/cancel", &format!("{last}/cancel"), &[]);
    asked.ask("POST /v1/jobs/{id}/cancel", &format!("{last}/cancel"), &[]);
    let again = asked.ask("POST /v1/jobs/{id}/retry", &format!("{last}/retry"), &[]).json();
    asked.app.post(again["links"]["cancel"].as_str().expect("a link"), &json!({}));
    asked.ask("POST /v1/jobs/cancel", "/v1/jobs/cancel", &[]);
    for job in jobs {
        asked.app.post(&format!("{job}/cancel"), &json!({}));
        while asked.app.get(&format!("{job}?wait=60")).json()["terminal"] == false {}
    }
}

fn catalog_and_health(asked: &mut Asked) {
    asked.ask("GET /v1/methods", "/v1/methods", &[]);
    asked.ask("GET /v1/methods/{id}", "/v1/methods/coral", &[]);
    asked.ask("GET /v1/learners", "/v1/learners", &[]);
    asked.ask("GET /v1/learners/{id}", "/v1/learners/ridge", &[]);
    asked.ask("GET /livez", "/livez", &[]);
    asked.ask("GET /readyz", "/readyz", &[]);
    asked.ask("GET /metrics", "/metrics", &[]);
}

fn keys(asked: &mut Asked) {
    let root = asked.app.post("/v1/keys", &json!({"name": "root", "scopes": ["admin"]})).json();
    asked.token = root["token"].as_str().map(str::to_owned);
    let made = asked.ask("POST /v1/keys", "/v1/keys", &[]).json();
    let key = format!("/v1/keys/{}", made["key"]["id"].as_str().expect("an id"));
    asked.ask("GET /v1/keys", "/v1/keys?limit=1", &[]);
    asked.ask("GET /v1/keys/{id}", &key, &[]);
    asked.ask("POST /v1/keys/{id}/rotate", &format!("{key}/rotate"), &[]);
    asked.send("DELETE /v1/keys/{id}", &key, &[], b"");
}
