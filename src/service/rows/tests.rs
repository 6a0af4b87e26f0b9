//! What is read of documents of rows, by both readers.

use super::*;

fn rows(json: &str) -> Result<InlineRows, String> {
    let document: PredictDocument = serde_json::from_str(json).map_err(|e| e.to_string())?;
    document.into_rows().map_err(|e| e.to_string())
}

#[test]
fn both_forms_make_the_same_table() {
    let records = rows(r#"{"rows":[{"a":1,"b":"x"},{"b":null,"a":2.5,"c":true}]}"#).expect("records");
    let arrays = rows(r#"{"columns":["a","b","c"],"data":[[1,"x",null],[2.5,null,true]]}"#).expect("arrays");
    let table = records.table;
    assert_eq!(table, arrays.table);
    assert_eq!(table.column("a").map(|c| c.values.clone()), Some(Values::Number(vec![Some(1.0), Some(2.5)])));
    assert_eq!(table.column("c").map(|c| c.values.clone()), Some(Values::Boolean(vec![None, Some(true)])));
}

/// What both readers make of a document; the scan may only give up where the other does not.
#[track_caller]
fn alike(json: &str) -> bool {
    let slow: Result<PredictDocument, _> = serde_json::from_str(json);
    let slow = slow.map_err(|e| e.to_string()).and_then(|d| {
        let include = d.include.clone();
        d.into_rows().map(|rows| (rows, include)).map_err(|e| e.to_string())
    });
    let Some(fast) = PredictDocument::scan(json.as_bytes()) else { return false };
    let include = fast.include.clone();
    let fast = fast.into_rows().map_err(|e| e.to_string()).map(|rows| (rows, include));
    assert_eq!(fast, slow, "{json}");
    // Zeros with and without a sign are equal, but not alike.
    assert_eq!(format!("{fast:?}"), format!("{slow:?}"), "{json}");
    true
}

#[test]
fn the_scan_reads_the_usual_as_the_other_reader_does() {
    for usual in [
        r#"{"rows":[]}"#,
        r#"{"rows":[{}]}"#,
        r#" { "rows" : [ { "a" : 1 , "b" : "ü x" } , { "b" : null , "a" : 2.5 , "c" : true } ] } "#,
        r#"{"columns":["a","b"],"data":[[1,"x"],[2.5,null]],"include":["features"]}"#,
        r#"{"data":[[-0,-0.0,0,1e3,1E-3,1.25e+2]],"columns":["a","b","c","d","e","f"]}"#,
        r#"{"columns":["a"],"data":[[9223372036854775807],[-9223372036854775808]]}"#,
        r#"{"columns":["a"],"data":[[9223372036854775808],[18446744073709551615],[-9223372036854775809]]}"#,
        r#"{"columns":["a"],"data":[[18446744073709551616],[123456789012345678901234567890]]}"#,
        r#"{"columns":["a"],"data":[[0.1],[2.2250738585072014e-308],[1.7976931348623157e308],[4.9e-324]]}"#,
        r#"{"columns":["a"],"data":[[9007199254740993.0],[1e22],[1e23],[123456789.123456789e-30]]}"#,
        r#"{"columns":["a"],"data":[[true],[null]]}"#,
        r#"{"columns":["a","b"],"data":[[null,null],[null,"x"],[null,null]]}"#,
        r#"{"columns":["a"],"data":[[1],[null],[2.5],[9007199254740993]]}"#,
        r#"{"rows":[{"a":1,"bb":2},{"bb":3,"a":4},{"b":1},{"a":null}]}"#,
    ] {
        assert!(alike(usual), "it is usual: {usual}");
    }
}

#[test]
fn the_scan_leaves_what_is_odd_to_the_other_reader() {
    for odd in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"rows":[{"a":1,"a":2}]}"#,
        r#"{"rows":[{"a":1},{"b":2,"b":1}]}"#,
        r#"{"rows":[{"a\n":1}]}"#,
        r#"{"rows":[{"a":"\u0041"}]}"#,
        "{\"rows\":[{\"a\":\"\n\"}]}",
        r#"{"rows":[{"a":01}]}"#,
        r#"{"rows":[{"a":+1}]}"#,
        r#"{"rows":[{"a":1.}]}"#,
        r#"{"rows":[{"a":.5}]}"#,
        r#"{"rows":[{"a":1e}]}"#,
        r#"{"rows":[{"a":-}]}"#,
        r#"{"rows":[{"a":1e999}]}"#,
        r#"{"rows":[{"a":NaN}]}"#,
        r#"{"rows":[{"a":nul}]}"#,
        r#"{"rows":[{"a":nulll}]}"#,
        r#"{"rows":[{"a":[1]}]}"#,
        r#"{"rows":[{"a":1},]}"#,
        r#"{"rows":[{"a":1,}]}"#,
        r#"{"rows":[{"a":1}]} x"#,
        r#"{"rows":[{"a":1}],"rows":[]}"#,
        r#"{"rows":[{"a":1}],"data":[[1]]}"#,
        r#"{"row":[]}"#,
        r#"{"columns":["a","a"],"data":[[1,2]]}"#,
        r#"{"columns":["a"],"data":[[1,2]]}"#,
        r#"{"columns":["a"],"data":[[true],[1],["x"]]}"#,
        r#"{"columns":["a"],"data":[["x"],[1]]}"#,
        r#"{"columns":["a"],"data":[[1],[1,2]]}"#,
        r#"{"columns":["a","b"],"data":[[1,2],[1]]}"#,
    ] {
        assert!(!alike(odd), "it is odd: {odd}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_left_to_the_other_reader() {
    let usual = br#"{"rows":[{"a":1.5,"b":"x"},{"a":2.5,"b":"x"}],"include":["features"]}"#;
    for at in 0..usual.len() {
        let mut bytes = usual.to_vec();
        bytes[at] = 0xff;
        assert!(PredictDocument::scan(&bytes).is_none(), "{at}");
        bytes.splice(at..=at, [usual[at], 0xe4]);
        assert!(PredictDocument::scan(&bytes).is_none(), "{at}");
    }
}

/// Numbers as JSON allows them, and some that it does not.
const SPELLING: &str = "-?(0|[1-9][0-9]{0,20}|0[0-9]{1,3})([.][0-9]{0,22})?([eE][-+]?[0-9]{0,3})?";

proptest::proptest! {
    #[test]
    fn numbers_are_scanned_to_the_last_bit(x in proptest::num::f64::NORMAL, i: i64, m in 0u64..1 << 60, e in -40i32..40) {
        assert!(alike(&format!(r#"{{"rows":[{{"a":{x:e}}}]}}"#)));
        assert!(alike(&format!(r#"{{"rows":[{{"a":{i}}},{{"a":{m}e{e}}}]}}"#)));
        assert!(alike(&format!(r#"{{"columns":["a"],"data":[[{m}.{}],[{}.{m}E{e}]]}}"#, m % 1000, m % 77)));
    }

    #[test]
    fn any_spelling_of_a_number_is_read_alike(
        first in SPELLING, second in SPELLING, places in 0_usize..20, x in -1e9..1e9,
    ) {
        alike(&format!(r#"{{"rows":[{{"a":{first}}},{{"a":{second}}},{{"a":{x:.places$}}}]}}"#));
        alike(&format!(r#"{{"columns":["a","b"],"data":[[{first} ,{second}],[ {second},{first}],[{x},0.5]]}}"#));
    }

    #[test]
    fn numbers_halfway_between_two_doubles_are_read_alike(odd in 1_u64 << 52..1 << 53, places in 1_usize..4, more in -1_i64..2) {
        // An odd number of 54 bits over a power of two: n/2ˢ = n·5ˢ/10ˢ.
        let digits = (2 * odd + 1) * 5_u64.pow(places as u32);
        let digits = digits.wrapping_add_signed(more).to_string();
        let (whole, decimals) = digits.split_at(digits.len() - places);
        assert!(alike(&format!(r#"{{"columns":["a"],"data":[[0.5],[{whole}.{decimals}],[-{digits}e-{places}]]}}"#)));
    }

    #[test]
    fn what_was_cut_or_changed_is_read_alike(at in 0usize..68, with in 0u8..128) {
        let text = r#"{"rows":[{"a":1.5,"b":"x"},{"a":null,"b":true}],"include":["features"]}"#;
        alike(&text[..at]);
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = with;
        alike(std::str::from_utf8(&bytes).expect("ASCII"));
    }
}

#[track_caller]
fn refused(json: &str, word: &str) {
    let error = rows(json).expect_err("refused");
    assert!(error.contains(word), "{error}");
}

#[test]
fn what_is_no_table_is_refused() {
    refused(r#"{"rows":[{"a":1,"a":2}]}"#, "twice");
    refused(r#"{"rows":[{"a":[1]}]}"#, "expected a number");
    refused(r#"{"rows":[1]}"#, "an object");
    refused(r#"{"columns":["a","a"],"data":[]}"#, "twice");
    refused(r#"{"columns":["a"],"data":[[1,2]]}"#, "2 values for 1");
    refused(r#"{"columns":["a"]}"#, "either");
    refused(r#"{"row":[]}"#, "unknown field");
}

#[test]
fn rows_that_each_name_other_columns_are_refused_early() {
    let rows: Vec<String> = (0..5000).map(|i| format!("{{\"a\":1,\"c{i}\":2}}")).collect();
    let body = format!("{{\"rows\":[{}]}}", rows.join(","));
    assert!(PredictDocument::scan(body.as_bytes()).is_none());
    let error = serde_json::from_str::<PredictDocument>(&body).unwrap_err().to_string();
    assert!(error.contains("distinct columns"), "{error}");
    // A thousand columns of which each row names a fifth are usual enough.
    let rows: Vec<String> = (0..1000)
        .map(|i| {
            let cells: Vec<String> = (0..200).map(|j| format!("\"c{}\":{j}", (i + 5 * j) % 1000)).collect();
            format!("{{{}}}", cells.join(","))
        })
        .collect();
    let body = format!("{{\"rows\":[{}]}}", rows.join(","));
    assert!(serde_json::from_str::<PredictDocument>(&body).is_ok());
}
