//! JSON rows.

use super::*;

#[test]
fn json_in_its_three_shapes_is_one_table() {
    let expected = table(r#"[{"a":1,"b":"x"},{"b":"y","a":2.5,"c":true},{"a":null}]"#);
    let column = |name: &str| expected.table.column(name).unwrap().values.clone();
    assert_eq!(column("a"), Values::Number(vec![Some(1.0), Some(2.5), None]));
    assert_eq!(column("b"), Values::categories([Some("x"), Some("y"), None]));
    assert_eq!(column("c"), Values::Boolean(vec![None, Some(true), None]));
    for source in [
        r#"{"rows":[{"a":1,"b":"x"},{"b":"y","a":2.5,"c":true},{}]}"#,
        r#"{"columns":["a","b","c"],"data":[[1,"x",null],[2.5,"y",true],[null,null,null]]}"#,
        r#"{"data":[[1,"x",null],[2.5,"y",true],[null,null,null]],"columns":["a","b","c"]}"#,
    ] {
        assert_eq!(table(source).table, expected.table, "{source}");
    }
}

#[test]
fn bad_json_is_refused_with_its_pointer() {
    let pointer = |source, says| check_refused(source, "data_invalid", says).pointer.unwrap();
    assert_eq!(pointer(r#"[{"a":1},{"a":"n/a"}]"#, "expected a number as in the rows before, got \"n/a\""), "/1/a");
    assert_eq!(pointer(r#"{"rows":[{"a/b":[1]}]}"#, "nested"), "/rows/0/a~1b");
    assert_eq!(pointer(r#"[{"a":1,"a":2}]"#, "given twice"), "/0/a");
    assert_eq!(pointer(r#"{"columns":["a"],"data":[[1],[1,2]]}"#, "has 2 values, expected 1"), "/data/1");
    assert_eq!(pointer(r#"{"columns":["a"],"data":[[1],[]]}"#, "has 0 values, expected 1"), "/data/1");
    assert_eq!(pointer(r#"{"data":[[1,2]],"columns":["a"]}"#, "names 1 columns"), "/columns");
    assert_eq!(pointer(r#"{"row":[]}"#, "unknown field"), "/row");
    assert_eq!(pointer(r#"{"rows":[],"data":[]}"#, "one too many"), "/data");
    check_refused(r#"{"columns":["a","a"],"data":[[1,2]]}"#, "data_invalid", "both called");
    check_refused("[1]", "data_invalid", "an object of column names");
    check_refused("[{\"a\":NaN}]", "malformed_json", "line 1 column");
    check_refused("[{\"a\":1}", "malformed_json", "EOF");
    check_refused("[{\"a\":1e999}]", "malformed_json", "out of range");
    check_refused("[]", "data_empty", "no rows");
    check_refused("{}", "data_invalid", "needs rows, or columns and data");
    check_refused("[{}]", "data_empty", "no values");
    check_refused(&"[".repeat(100), "data_invalid", "to be an object");
    check_refused(&format!("[{{\"a\":{}", "[".repeat(100)), "data_invalid", "nested");
    check_refused(&"[".repeat(100_000), "json_too_deep", "127 levels");
    check_refused(&format!("[{{\"a\":{}", "[".repeat(100_000)), "json_too_deep", "127 levels");
    check_refused(&format!("[{{\"a\":{}", "{\"b\":".repeat(100_000)), "json_too_deep", "127 levels");
    check_refused(&format!("[{{\"a\":\"{}\",}}]", "[".repeat(1000)), "malformed_json", "line 1");
}

#[test]
fn lines_of_json_are_the_same_table() {
    let expected = table(r#"[{"a":1,"b":"x"},{"b":"y","a":2.5,"c":true},{"a":null}]"#);
    let found = table("{\"a\":1,\"b\":\"x\"}\r\n\n{\"b\":\"y\",\"a\":2.5,\"c\":true}\n  \n{\"a\":null}");
    assert_eq!((found.format, found.table), (Format::Ndjson, expected.table));
}

#[test]
fn bad_lines_of_json_are_refused_with_their_line() {
    let lines = with(|o| o.format = Some(Format::Ndjson));
    let check = |source: &str, code: &str, says: &str| {
        let (found, place, message) = refused(source.as_bytes().to_vec(), &lines);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
        (place.row, place.line)
    };
    let start = "{\"a\":1}\n\n";
    let second = (Some(2), Some(3));
    assert_eq!(check(&format!("{start}{{\"a\":\"x\"}}"), "data_invalid", "line 3: /a: expected a number"), second);
    assert_eq!(check(&format!("{start}{{\"a\":[1]}}"), "data_invalid", "line 3: /a is nested"), second);
    assert_eq!(check(&format!("{start}{{\"a\":1,\"a\":1}}"), "data_invalid", "line 3: /a is given twice"), second);
    assert_eq!(
        check(&format!("{start}[1]"), "data_invalid", "line 3: invalid type: sequence, expected an object"),
        second
    );
    assert_eq!(check(&format!("{start}{{\"a\":NaN}}"), "malformed_json", "line 3 is not JSON"), second);
    assert_eq!(check(&format!("{start}{{\"a\":1}} {{}}"), "malformed_json", "line 3 is not JSON"), second);
    assert_eq!(check(&format!("{start}{{\"a\":"), "malformed_json", "line 3 is not JSON"), second);
    check(&format!("{start}{{\"a\":{}", "[".repeat(100_000)), "json_too_deep", "127 levels");
    check("\n \n", "data_empty", "no rows");
    check("{}\n{}\n", "data_empty", "no values");
    let (code, ..) =
        refused("{\"a\":1,\"b\":2}\n", &with(|o| (o.format, o.limits.columns) = (Some(Format::Ndjson), 1)));
    assert_eq!(code, "too_many_columns");
}

#[test]
fn lines_that_each_name_another_column_are_refused_early() {
    let lines: String = (0..5000).map(|i| format!("{{\"c{i}\":1}}\n")).collect();
    let options = with(|o| o.format = Some(Format::Ndjson));
    let error = super::super::read(&lines.into(), &options).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "body_too_large", "{error}");
}
