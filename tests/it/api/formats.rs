//! Data in every format, packed or not, as it is said or guessed; and data that means harm.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::support::{ADELIE, Answer, TestApp};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(shape: &str, values: &[f64]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), &data].concat()
}

#[track_caller]
fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn first(version: &Value) -> (&str, &str, i64) {
    let column = &version["columns"][0];
    (
        version["format"].as_str().unwrap_or_default(),
        column["name"].as_str().unwrap_or_default(),
        version["n_rows"].as_i64().unwrap_or_default(),
    )
}

#[test]
fn each_media_type_is_read_as_its_format() {
    let app = TestApp::start();
    let put = |name: &str, media: &str, body: &[u8]| {
        made(&app.send("PUT", &format!("/v1/domains/{name}"), &[("content-type", media)], body))
    };
    assert_eq!(first(&put("a", "application/x-ndjson", b"{\"a\":1}\n{\"a\":2}\n")), ("ndjson", "a", 2));
    assert_eq!(first(&put("b", "application/x-npy", &npy("(2, 2)", &[1.0, 2.0, 3.0, 4.0]))), ("npy", "x0", 2));
    assert_eq!(first(&put("c", "text/tab-separated-values", b"a, b, c\td\n1\t2\n")), ("csv", "a, b, c", 1));
    assert_eq!(first(&made(&app.put("/v1/domains/d", &npy("(3,)", &[1.0, 2.0, 3.0])))), ("npy", "x0", 3));
    assert_eq!(first(&made(&app.put("/v1/domains/e", b"{\"a\":1}\n{\"a\":2}\n"))), ("ndjson", "a", 2));
    let svmlight = made(&app.put("/v1/domains/f?format=svmlight", b"1 1:0.5 3:2\n2 2:1\n"));
    assert_eq!(first(&svmlight), ("svmlight", "x1", 2));
    let problem = app.put("/v1/domains/g?format=ndjson", b"{\"a\":1}\n{\"a\":[1]}\n").problem(422, "data_invalid");
    assert_eq!((&problem["errors"][0]["line"], &problem["errors"][0]["column"]), (&json!(2), &Value::Null));
    app.put("/v1/domains/g?format=arrow", b"ARROW1\0\0 but not really").problem(422, "data_invalid");
    let media = app.send("PUT", "/v1/domains/g", &[("content-type", "text/html")], b"a\n1\n");
    let problem = media.problem(415, "unsupported_media_type");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("application/x-ndjson")), "{problem}");
}

#[test]
fn data_is_the_same_however_it_is_packed() {
    let app = TestApp::start();
    let path = "/v1/domains/adelie?label=label";
    let version = made(&app.put(path, ADELIE));
    let again = |answer: Answer| {
        assert_eq!((answer.status, &answer.json()["identity"]), (200, &version["identity"]), "{}", answer.text);
    };
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(ADELIE).unwrap();
    let zstd = zstd::encode_all(ADELIE, 3).unwrap();
    for (coding, body) in [("gzip", gzip(ADELIE)), ("zstd", zstd.clone()), ("Deflate", zlib.finish().unwrap())] {
        again(app.send("PUT", path, &[("Content-Encoding", coding)], &body));
    }
    again(app.send("PUT", path, &[("Content-Encoding", "identity")], ADELIE));
    again(app.put(path, &gzip(ADELIE)));
    again(app.send("PUT", path, &[("Content-Type", "application/zstd")], &zstd));
    let noted = made(&app.put("/v1/domains/packed?label=label", &gzip(ADELIE)));
    assert_eq!(noted["notes"], json!(["the file is packed with gzip and was unpacked"]));
    assert_eq!(noted["n_bytes"], json!(ADELIE.len()));
    let inline = json!({"name": "tiny", "rows": [{"x": 1.5}]}).to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    made(&app.send("POST", "/v1/domains", &headers, &gzip(inline.as_bytes())));

    for coding in ["br", "gzip, zstd", "compress"] {
        let refused = app.send("PUT", path, &[("Content-Encoding", coding)], ADELIE);
        let problem = refused.problem(415, "unsupported_media_type");
        assert_eq!(refused.header("accept-encoding"), "gzip, zstd, deflate");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains("packed") || d.contains("gzip")), "{problem}");
    }
    app.send("PUT", path, &[("Content-Encoding", "gzip")], ADELIE).problem(422, "data_invalid");
    let cut = &gzip(ADELIE)[..500];
    app.put(path, cut).problem(422, "data_invalid");
}

#[test]
fn what_is_said_of_csv_is_part_of_the_version() {
    let app = TestApp::start();
    let put = |query: &str, body: &[u8]| app.put(&format!("/v1/domains/a{query}"), body);
    let source = b"a;b\n1;-9\n2;3\n";
    let plain = made(&put("", source));
    let marked = made(&put("?missing=-9&delimiter=%3B", source));
    assert_ne!(marked["identity"], plain["identity"]);
    assert_eq!(put("?missing=-9,-9&delimiter=%3B", source).status, 200);
    let columns = app.get("/v1/domains/a/columns").json();
    assert_eq!(columns["data"][1]["statistics"]["missing"], 1);
    let bare = made(&put("", b"1,2\n3,4\n"));
    assert_eq!(first(&bare), ("csv", "x0", 2));
    assert!(bare["notes"][0].as_str().is_some_and(|n| n.contains("header=present")), "{bare}");
    assert_eq!(first(&made(&put("?header=present", b"1,2\n3,4\n"))), ("csv", "1", 1));
    let latin = made(&put("?label=gr%C3%B6%C3%9Fe", b"gr\xf6\xdfe,x\n1,2\n2,3\n"));
    assert!(latin["notes"][0].as_str().is_some_and(|n| n.contains("windows-1252")), "{latin}");
    let parameter =
        |query: &str| put(query, source).problem(422, "invalid_parameter")["errors"][0]["parameter"].clone();
    assert_eq!(parameter("?delimiter=ab"), "delimiter");
    assert_eq!(parameter("?quote=%22%22"), "quote");
    assert_eq!(parameter("?header=maybe"), "header");
    assert_eq!(parameter("?encoding=klingon"), "encoding");
    assert_eq!(parameter("?delimiter=%7C&quote=%7C"), "quote");
    assert_eq!(parameter("?format=json&delimiter=tab"), "delimiter");
}

#[test]
fn bombs_are_given_up_at_once() {
    let app = TestApp::start();
    let zeros = vec![0; 10 << 20];
    // Members and frames may follow one another: 10 GB and more in less than 10 MB.
    let gzipped = gzip(&zeros).repeat(980);
    let framed = zstd::encode_all(&zeros[..], 3).unwrap().repeat(1024);
    for (coding, bomb) in [("gzip", &gzipped), ("zstd", &framed)] {
        assert!(bomb.len() < 11 << 20, "{}", bomb.len());
        app.send("PUT", "/v1/domains/a", &[("Content-Encoding", coding)], bomb).problem(413, "decompression_limit");
        app.put("/v1/domains/a", bomb).problem(413, "decompression_limit");
    }
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    app.send("POST", "/v1/jobs", &headers, &gzipped).problem(413, "decompression_limit");
    app.send("POST", "/v1/schema-guess", &[], &gzipped).problem(422, "data_invalid");
}

#[test]
fn no_document_is_followed_as_deep_as_it_likes() {
    let app = TestApp::start();
    let deep = "[".repeat(1_000_000);
    app.put("/v1/domains/a", deep.as_bytes()).problem(400, "json_too_deep");
    app.put("/v1/domains/a", format!("[{{\"a\":{deep}").as_bytes()).problem(400, "json_too_deep");
    app.put("/v1/domains/a?format=ndjson", format!("{{\"a\":{deep}").as_bytes()).problem(400, "json_too_deep");
    let inline = format!("{{\"name\":\"a\",\"rows\":[{{\"x\":{deep}");
    app.send("POST", "/v1/domains", &[], inline.as_bytes()).problem(400, "json_too_deep");
}

#[test]
fn wide_rows_and_hostile_names_are_refused() {
    let app = TestApp::start();
    let wide = "a,".repeat(1_000_000);
    app.put("/v1/domains/a", format!("{wide}a\n").as_bytes()).problem(422, "too_many_columns");
    app.put("/v1/domains/a?format=svmlight", b"1 4000000000:1\n").problem(422, "too_many_columns");
    app.put("/v1/domains/a?format=npy", &npy("(1, 99999999)", &[])).problem(422, "too_many_columns");
    let object: Vec<String> = (0..20_001).map(|i| format!("\"c{i}\":1")).collect();
    app.put("/v1/domains/a", format!("[{{{}}}]", object.join(",")).as_bytes()).problem(422, "too_many_columns");
    for name in ["\"a\u{1b}[31m\"", "\"\"", "\" \"", "\"a\r\nSet-Cookie: x\"", &"n".repeat(201)] {
        app.put("/v1/domains/a", format!("x,{name}\n1,2\n").as_bytes()).problem(422, "data_invalid");
    }
    // What is only odd is a name like another.
    for name in ["../../etc/passwd", "<script>alert(1)</script>", "' OR 1=1 --", "{{7*7}}", "\u{202e}txt", "%00"] {
        let version = made(&app.put("/v1/domains/odd?format=csv", format!("{name}\ty\n1\t2\n").as_bytes()));
        assert_eq!(version["columns"][0]["name"], *name);
        assert_eq!(app.get("/v1/domains/odd/columns").json()["data"][0]["name"], *name);
    }
}
