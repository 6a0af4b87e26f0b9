//! Stored domains looked at again, given other roles, removed; and what is left of them in the folder.

use serde_json::{Value, json};

use crate::support::{ADELIE, TestApp};

/// Files of blobs in the folder of a service.
fn blobs(app: &TestApp) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&app.folder().join("blobs"))
}

#[test]
fn rows_come_by_page_in_every_format() {
    let app = TestApp::start();
    let data = "id,x,word,when,label\n1,0.5,\"a,b\",2026-01-02T03:04:05Z,yes\n2,,c,,no\n3,1.5,c,,\n";
    assert_eq!(app.put("/v1/domains/small?id=id", data.as_bytes()).status, 201);
    let first = app.get("/v1/domains/small/rows?limit=2");
    let page = first.json();
    assert_eq!(
        page["data"][0],
        json!({"id": 1, "x": 0.5, "word": "a,b", "when": "2026-01-02T03:04:05.000Z", "label": "yes"})
    );
    assert_eq!(page["data"][1]["x"], Value::Null);
    assert!(first.text.starts_with("{\"data\":[{\"id\":1,\"x\":0.5,\"word\":"), "the order of the table");
    let next = format!("/v1/domains/small/rows?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    assert!(first.header("link").contains("rel=\"next\""));
    let last = app.get(&next).json();
    assert_eq!((last["data"].as_array().map(Vec::len), &last["next_cursor"]), (Some(1), &Value::Null));

    let csv = app.get_with("/v1/domains/small@1/rows?columns=word,id", "accept", "text/csv");
    assert_eq!(csv.text, "word,id\n\"a,b\",1\nc,2\nc,3\n");
    let lines = app.get_with("/v1/domains/small/rows?columns=id", "accept", "application/x-ndjson");
    assert_eq!(lines.text, "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n");

    app.get("/v1/domains/small/rows?columns=none").problem(404, "column_not_found");
    app.get("/v1/domains/small/rows?cursor=00").problem(400, "invalid_cursor");
    app.get("/v1/domains/small/rows?limit=0").problem(422, "invalid_parameter");
    app.get("/v1/domains/small/rows?version=9").problem(404, "domain_version_not_found");
    app.get_with("/v1/domains/small/rows", "accept", "image/png").problem(406, "not_acceptable");
    assert_eq!(app.get("/v1/domains/small/columns/word").json()["kind"], "category");
    app.get("/v1/domains/small/columns/none").problem(404, "column_not_found");
}

#[test]
fn a_walk_over_rows_stays_in_its_version() {
    let app = TestApp::start();
    assert_eq!(app.put("/v1/domains/d", b"a,b\n1,2\n3,4\n5,6\n").status, 201);
    let next = app.get("/v1/domains/d/rows?limit=2").json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(app.put("/v1/domains/d", b"q,r\n1,2\n3,4\n7,8\n").status, 201);
    let last = app.get(&format!("/v1/domains/d/rows?limit=2&cursor={next}")).json();
    assert_eq!(last["data"], json!([{"a": 5, "b": 6}]));
    app.get(&format!("/v1/domains/d@2/rows?limit=2&cursor={next}")).problem(400, "invalid_cursor");
}

#[test]
fn pages_in_columnar_formats_are_read_as_the_same_rows() {
    let app = TestApp::start();
    let data = "id,x,yes,word,when,text\n1,0.5,true,\"a,b\",2026-01-02T03:04:05Z,u\n2,,false,c,,\n3,1.5,,c,,v\n";
    assert_eq!(app.put("/v1/domains/small?id=id", data.as_bytes()).status, 201);
    let rows = app.get("/v1/domains/small/rows").json();
    for media in ["application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"] {
        let (head, bytes) = app.download_as("/v1/domains/small/rows", media);
        assert_eq!((head.status, head.header("content-type")), (200, media));
        assert_eq!(app.put("/v1/domains/again?id=id", &bytes).status, 201);
        assert_eq!(app.get("/v1/domains/again/rows").json()["data"], rows["data"], "{media}");
    }
    let (head, bytes) = app.download_as("/v1/domains/small/rows?columns=x,id&limit=2", "application/x-npy");
    assert_eq!(head.status, 200);
    assert!(head.header("link").contains("rel=\"next\""));
    assert_eq!(app.put("/v1/domains/array", &bytes).status, 201);
    let expected = json!([{"x0": 0.5, "x1": 1.0}, {"x0": null, "x1": 2.0}]);
    assert_eq!(app.get("/v1/domains/array/rows").json()["data"], expected);
    app.get_with("/v1/domains/small/rows", "accept", "application/x-npy").problem(422, "invalid_parameter");
}

#[test]
fn pages_of_rows_hold_all_rows_once() {
    let app = TestApp::start();
    let n = 457;
    let rows: String = (0..n).map(|i| format!("{i},{}\n", i % 7)).collect();
    assert_eq!(app.put("/v1/domains/long", format!("i,x\n{rows}").as_bytes()).status, 201);
    let (mut seen, mut path) = (Vec::new(), "/v1/domains/long/rows?limit=100".to_owned());
    loop {
        let page = app.get(&path).json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["i"].as_i64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/domains/long/rows?limit=100&cursor={next}");
    }
    assert_eq!(seen, (0..n).collect::<Vec<i64>>());
}

#[test]
fn other_roles_make_a_version_with_the_same_rows() {
    let app = TestApp::start();
    let data = "a,b,c,label\n1,2,x,yes\n3,4,y,no\n5,6,x,yes\n";
    assert_eq!(app.put("/v1/domains/d?ignore=b", data.as_bytes()).status, 201);
    let before = blobs(&app);
    let patch = |body: Value| app.send("PATCH", "/v1/domains/d", &[], body.to_string().as_bytes());
    let role = |version: &Value, name: &str| {
        let columns = version["columns"].as_array().unwrap().clone();
        columns.into_iter().find(|c| c["name"] == name).unwrap()["role"].clone()
    };
    assert_eq!(patch(json!({})).status, 200, "nothing changes");
    let second = patch(json!({"label": "c", "ignore": ["label"]}));
    assert_eq!(second.status, 201, "{}", second.text);
    let second = second.json();
    assert_eq!((&second["version"], &second["label"]), (&json!(2), &json!("c")));
    assert_eq!([role(&second, "b"), role(&second, "label")], [json!("feature"), json!("ignore")]);
    let third = patch(json!({"label": "a", "task": "regression"})).json();
    assert_eq!([&third["task"], &third["label"]], [&json!("regression"), &json!("a")]);
    assert_eq!(role(&third, "label"), "ignore", "what is not named stays");
    assert_eq!(role(&app.get("/v1/domains/d/versions/1").json(), "label"), "label", "versions do not change");
    assert_eq!(blobs(&app), before, "the rows are stored once");

    let with = |tag: &str| app.send("PATCH", "/v1/domains/d", &[("If-Match", tag)], b"{\"label\":\"label\"}");
    for tag in ["\"2\"", "\"x\"", "3"] {
        with(tag).problem(412, "precondition_failed");
    }
    assert_eq!(with(app.get("/v1/domains/d").header("etag")).json()["version"], 4);

    patch(json!({"label": "none"})).problem(422, "invalid_parameter");
    patch(json!({"label": 3})).problem(422, "invalid_parameter");
    patch(json!({"lable": "a"})).problem(422, "unknown_field");
    patch(json!({"weight": "c"})).problem(422, "data_invalid");
    app.send("PATCH", "/v1/domains/none", &[], b"{}").problem(404, "domain_not_found");
}

#[test]
fn what_is_needed_is_not_removed_and_what_is_removed_leaves_nothing() {
    let app = TestApp::start();
    let delete = |app: &TestApp, path: &str| app.send("DELETE", path, &[], b"");
    assert_eq!(app.put("/v1/domains/adelie?label=label", ADELIE).status, 201);
    assert_eq!(app.put("/v1/domains/other", b"x\n1\n2\n").status, 201);
    app.run_job(&json!({"kind": "adapt", "sources": ["adelie"], "target": "adelie", "model": "birds",
                        "method": {"id": "source_only"}}));
    let refused = delete(&app, "/v1/domains/adelie").problem(409, "domain_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("birds@1"), "{refused}");
    assert_eq!(delete(&app, "/v1/domains/other").status, 204);
    app.get("/v1/domains/other").problem(404, "domain_not_found");
    delete(&app, "/v1/domains/other").problem(404, "domain_not_found");
    delete(&app, "/v1/domains/adelie?force=perhaps").problem(422, "invalid_parameter");

    assert_eq!(blobs(&app), 3, "two domains and a model: files go when they are collected");
    let app = app.restart();
    assert_eq!(blobs(&app), 2, "what is named stays");
    assert_eq!(app.get("/v1/domains/adelie/rows").status, 200);
    assert_eq!(delete(&app, "/v1/domains/adelie?force=true").status, 204);
    assert_eq!(app.get("/v1/models/birds").status, 200, "the model serves on");
    assert_eq!(delete(&app, "/v1/models/birds").status, 204);
    delete(&app, "/v1/models/birds").problem(404, "model_not_found");
    let app = app.restart();
    assert_eq!(blobs(&app), 0);
    // The name is free, and begins anew.
    assert_eq!(app.put("/v1/domains/adelie", b"x\n1\n").json()["version"], 1);
}

#[test]
fn a_domain_that_a_waiting_job_reads_stays_even_if_forced() {
    let app = TestApp::start();
    assert_eq!(app.put("/v1/domains/adelie?label=label", ADELIE).status, 201);
    assert_eq!(app.put("/v1/domains/quick?label=label", ADELIE).status, 201);
    // One thread: the second waits for the first, which takes long enough to be asked about.
    let slow = json!({"kind": "adapt", "sources": ["quick"], "target": "quick", "method": {"id": "source_only"},
                      "evaluation": {"kind": "leave_one_out"}});
    let waiting = json!({"kind": "adapt", "sources": ["adelie"], "target": "adelie", "method": {"id": "source_only"}});
    let ids = [slow, waiting].map(|spec| app.post("/v1/jobs", &spec).json()["id"].as_str().unwrap().to_owned());
    let refused = app.send("DELETE", "/v1/domains/adelie?force=true", &[], b"");
    let job = app.get(&format!("/v1/jobs/{}", ids[1])).json();
    if job["terminal"] == false {
        refused.problem(409, "domain_in_use");
    }
    for id in ids {
        app.post(&format!("/v1/jobs/{id}/cancel"), &json!({}));
        assert_eq!(app.get(&format!("/v1/jobs/{id}?wait=60")).status, 200);
        while app.get(&format!("/v1/jobs/{id}?wait=5")).json()["terminal"] == false {}
    }
}

#[test]
fn what_was_changed_since_it_was_read_is_neither_removed_nor_written_over() {
    let app = super::models::with_model();
    let put = |path: &str, head: (&str, &str), body: &[u8]| app.send("PUT", path, &[head], body);
    let first = app.put("/v1/domains/d", b"x\n1\n");
    let read = first.header("etag");
    assert_eq!(app.get("/v1/domains/d").header("etag"), read);
    let second = put("/v1/domains/d", ("If-Match", read), b"x\n2\n");
    assert_eq!((second.status, &second.json()["version"]), (201, &json!(2)), "{}", second.text);
    for stale in [("If-Match", read), ("If-Match", "\"x\""), ("If-None-Match", "*")] {
        put("/v1/domains/d", stale, b"x\n3\n").problem(412, "precondition_failed");
        put("/v1/domains/d", stale, b"x\n2\n").problem(412, "precondition_failed");
        app.send("DELETE", "/v1/domains/d", &[stale], b"").problem(412, "precondition_failed");
    }
    assert_eq!(app.get("/v1/domains/d").json()["latest_version"], 2);
    assert_eq!(app.get("/v1/domains/d/rows").json()["data"], json!([{"x": 2}]));
    put("/v1/domains/e", ("If-Match", "*"), b"x\n1\n").problem(412, "precondition_failed");
    app.get("/v1/domains/e").problem(404, "domain_not_found");
    assert_eq!(put("/v1/domains/e", ("If-None-Match", "*"), b"x\n1\n").status, 201);
    assert_eq!(put("/v1/domains/e", ("If-Match", "*"), b"x\n2\n").status, 201);
    assert_eq!(app.send("DELETE", "/v1/domains/d", &[("If-Match", second.header("etag"))], b"").status, 204);

    let delete = |tag: &str| app.send("DELETE", "/v1/models/birds?force=true", &[("If-Match", tag)], b"");
    let read = app.get("/v1/models/birds").header("etag").to_owned();
    let alias = app.send("PUT", "/v1/models/birds/aliases/live", &[], b"{\"version\":1}");
    assert_eq!(alias.status, 201, "{}", alias.text);
    delete(&read).problem(412, "precondition_failed");
    assert_eq!(delete(app.get("/v1/models/birds").header("etag")).status, 204);
    app.get("/v1/models/birds").problem(404, "model_not_found");
}

#[test]
fn uploads_that_meet_do_not_write_over_each_other() {
    let app = TestApp::start();
    assert_eq!(app.put("/v1/domains/d", b"x\n0\n").status, 201);
    let put = |head: (&str, &str), i: usize| {
        let path = if head.0 == "If-Match" { "/v1/domains/d" } else { "/v1/domains/new" };
        app.send("PUT", path, &[head], format!("x\n{i}\n{i}\n").as_bytes()).status
    };
    for head in [("If-Match", "\"1\""), ("If-None-Match", "*")] {
        let all: Vec<u16> = std::thread::scope(|scope| {
            let put = &put;
            let running: Vec<_> = (1..=8).map(|i| scope.spawn(move || put(head, i))).collect();
            running.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        assert_eq!(all.iter().filter(|status| **status == 201).count(), 1, "{all:?}");
        assert_eq!(all.iter().filter(|status| **status == 412).count(), 7, "{all:?}");
    }
    assert_eq!(app.get("/v1/domains/d").json()["latest_version"], 2);
    assert_eq!(app.get("/v1/domains/new").json()["latest_version"], 1);
}

#[test]
fn columns_show_no_cells_of_texts_and_ids() {
    let app = TestApp::start();
    let line = |i: usize| format!("who{i},\"a secret of number{i}, told once\",c{},{}\n", i % 2, i % 2);
    let rows: String = (0..60).map(line).collect();
    assert_eq!(app.put("/v1/domains/d?id=who", format!("who,text,c,label\n{rows}").as_bytes()).status, 201);
    let listed = app.get("/v1/domains/d/columns");
    assert!(!listed.text.contains("secret") && !listed.text.contains("who1"), "{}", listed.text);
    for (name, kept) in [("who", false), ("text", false), ("c", true)] {
        let one = app.get(&format!("/v1/domains/d/columns/{name}")).json();
        let words = &one["statistics"]["words"];
        assert_eq!((words["n_distinct"].is_u64(), words["top"].is_array()), (true, kept), "{one}");
        assert!(listed.json()["data"].as_array().expect("columns").contains(&one), "{one}");
    }
}
