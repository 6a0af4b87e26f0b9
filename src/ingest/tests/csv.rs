//! CSV, encodings, limits and the choice of a format.

use super::*;

#[test]
fn csv_columns_find_their_types() {
    let source =
        "i,n,b,w,t,d,e\n1,1.5,true,u,2024-01-01T00:00:00Z,2024-01-02,\n2,NA,False,?,1970-01-01T00:00:01+01:00,,\n";
    check_column(source, "i", Values::Integer(vec![Some(1), Some(2)]));
    check_column(source, "n", Values::Number(vec![Some(1.5), None]));
    check_column(source, "b", Values::Boolean(vec![Some(true), Some(false)]));
    check_column(source, "w", Values::categories([Some("u"), None]));
    check_column(source, "t", Values::Timestamp(vec![Some(1_704_067_200_000), Some(-3_599_000)]));
    check_column(source, "d", Values::Timestamp(vec![Some(1_704_153_600_000), None]));
    check_column(source, "e", Values::Number(vec![None, None]));
}

#[test]
fn csv_columns_widen_without_losing_how_words_were_spelt() {
    check_column("a\n1\n\"\"\n2.5\n1e3\n", "a", Values::Number(vec![Some(1.0), None, Some(2.5), Some(1000.0)]));
    check_column("a\n1.50\n007\nx\n", "a", Values::categories([Some("1.50"), Some("007"), Some("x")]));
    check_column("a\nTrue\nmaybe\n", "a", Values::categories([Some("True"), Some("maybe")]));
    check_column("a\n1\ntrue\n", "a", Values::categories([Some("1"), Some("true")]));
    check_column("a\n99999999999999999999\n", "a", Values::Number(vec![Some(1e20)]));
    // Infinity is a word among words.
    check_column("a\n1\ninf\nx\n", "a", Values::categories([Some("1"), Some("inf"), Some("x")]));
}

#[test]
fn csv_in_other_dialects_is_the_same_table() {
    let expected = table("a,b\n1,x\n2,y z\n");
    for source in
        ["a;b\n1;x\n2;y z\n", "a\tb\r\n1\tx\r\n2\ty z\r\n", "a|b\n1|x\n2|y z", "\u{feff}a,b\n 1 ,\"x\"\n\n2,y z\n"]
    {
        assert_eq!(table(source).table, expected.table, "{source:?}");
    }
    for unit in [u16::to_le_bytes, u16::to_be_bytes] {
        let utf16: Vec<u8> = "\u{feff}a,b\n1,x\n2,y z\n".encode_utf16().flat_map(unit).collect();
        assert_eq!(read(&utf16.into(), &Options::default()).unwrap().table, expected.table);
    }
}

#[test]
fn bad_csv_is_refused_with_place_and_cure() {
    check_refused("", "data_empty", "no bytes");
    check_refused("\n\n", "data_empty", "blank");
    check_refused("a,b\n", "data_empty", "no rows");
    let place = check_refused("a,b\n1,2\n\n1,2,3\n", "data_invalid", "row 2 (line 4) has 3 fields, the header has 2");
    assert_eq!((place.row, place.line), (Some(2), Some(4)));
    check_refused("a,b\n1\n", "data_invalid", "row 1 (line 2) has 1 field, the header has 2");
    let place =
        check_refused("a,b\n1,2\n1,-inf\n", "data_invalid", "row 2 (line 3), column \"b\": a number must be finite");
    assert_eq!((place.row, place.line, place.column.as_deref()), (Some(2), Some(3), Some("b")));
    check_refused("a\n1e999\n", "data_invalid", "finite");
    check_refused("a,b,a\n1,2,3\n", "data_invalid", "columns 1 and 3 are both called \"a\"");
    check_refused("a,,c\n1,2,3\n", "data_invalid", "column 2 has no name");
    check_refused("a,\"x\u{7}\"\n1,2\n", "data_invalid", "control character");
    check_refused(&format!("a,{}\n1,2\n", "x".repeat(201)), "data_invalid", "longer than 200");
    check_refused("0,1\n3,4\n", "data_invalid", "say header=present or header=none");
    check_refused(",1\n3,4\n", "data_invalid", "column 1 has no name");
    let place = check_refused("a\nx\0y\n", "data_invalid", "NUL");
    assert_eq!((place.byte, place.line), (Some(3), Some(2)));
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let small = |change: fn(&mut Limits)| with(|o| change(&mut o.limits));
    let source = "a,b\n1,2\n3,4\n";
    assert_eq!(refused(source, &small(|l| l.columns = 1)).0, "too_many_columns");
    assert_eq!(refused(source, &small(|l| l.rows = 1)).0, "body_too_large");
    assert_eq!(refused(source, &small(|l| l.cells = 3)).0, "body_too_large");
    assert_eq!(refused(source, &small(|l| l.bytes = 3)).0, "body_too_large");
    let npz = archive(&[("X", npy("<f8", "(4, 2)", &[0; 64]))]);
    assert_eq!(refused(npz, &small(|l| l.decompressed_bytes = 63)).0, "decompression_limit");
    let json = r#"[{"a":1,"b":2},{"a":1}]"#;
    assert_eq!(refused(json, &small(|l| l.columns = 1)).0, "too_many_columns");
    assert_eq!(refused(json, &small(|l| l.rows = 1)).0, "body_too_large");
    assert_eq!(refused(r#"{"columns":["a","b"],"data":[[1,2]]}"#, &small(|l| l.columns = 1)).0, "too_many_columns");
}

#[test]
fn the_format_is_named_or_typed_or_seen() {
    let detect =
        |bytes: &[u8], media: Option<&str>| Format::detect(bytes, &with(|o| o.media_type = media.map(str::to_owned)));
    assert_eq!(detect(b"PAR1", None), Ok(Format::Parquet));
    assert_eq!(detect(b"PK\x03\x04", None), Ok(Format::Npz));
    assert_eq!(detect(b" \n[{", None), Ok(Format::JsonRows));
    assert_eq!(detect(b"\x93NUMPY\x01", None), Ok(Format::Npy));
    assert_eq!(detect(b"ARROW1\0\0", None), Ok(Format::Arrow));
    assert_eq!(detect(b"\xff\xff\xff\xff\x40", None), Ok(Format::Arrow));
    assert_eq!(detect(b"{\"a\":1}\n{\"a\":2}\n", None), Ok(Format::Ndjson));
    assert_eq!(detect(b"{\"rows\":\n[{\"a\":2}]}\n", None), Ok(Format::JsonRows));
    assert_eq!(detect(b"a,b", Some("application/octet-stream")), Ok(Format::Csv));
    for (media, format) in [
        ("application/x-ndjson", Format::Ndjson),
        ("application/x-npy", Format::Npy),
        ("application/vnd.apache.arrow.stream", Format::Arrow),
        ("application/vnd.apache.arrow.file", Format::Arrow),
        ("text/tab-separated-values", Format::Csv),
    ] {
        assert_eq!(detect(b"a,b", Some(media)), Ok(format));
    }
    assert_eq!(detect(b"PAR1", Some("Text/CSV; charset=utf-8")), Ok(Format::Csv));
    let error = detect(b"a,b", Some("image/png")).unwrap_err();
    assert_eq!(error.code(), "unsupported_media_type");
    assert!(error.to_string().contains("text/csv"));
    let forced = with(|o| (o.format, o.media_type) = (Some(Format::Csv), Some("image/png".into())));
    assert_eq!(Format::detect(b"PAR1", &forced), Ok(Format::Csv));
}
