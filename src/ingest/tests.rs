//! Every way in which an upload can be bad has its code, its place and its cure; every good one is read as it is meant.

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// An error as a client sees it: code, place and message.
#[track_caller]
fn refused(source: impl Into<Bytes>, options: &Options) -> (&'static str, Place, String) {
    let error = read(&source.into(), options).expect_err("it should be refused");
    (error.code(), error.place().unwrap_or_default(), error.to_string())
}

#[track_caller]
fn check_refused(source: &str, code: &str, says: &str) -> Place {
    let (found, place, message) = refused(source.as_bytes().to_vec(), &Options::default());
    assert_eq!(found, code, "{message}");
    assert!(message.contains(says), "{message:?} does not say {says:?}");
    place
}

#[track_caller]
fn table(source: &str) -> Ingested {
    read(&Bytes::copy_from_slice(source.as_bytes()), &Options::default()).unwrap()
}

#[track_caller]
fn check_column(source: &str, name: &str, expected: Values) {
    assert_eq!(table(source).table.column(name).unwrap().values, expected);
}

fn with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}

// ---- CSV ------------------------------------------------------------------------------------------------------------

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
    check_refused("1,2\n3,4\n", "data_invalid", "add a header line");
    let place = check_refused("a\nx\0y\n", "data_invalid", "NUL");
    assert_eq!((place.byte, place.line), (Some(3), Some(2)));
}

#[test]
fn a_wrong_encoding_is_refused_at_its_byte() {
    let (code, place, message) = refused(b"a,b\n1,M\xfcnchen\n".to_vec(), &Options::default());
    assert_eq!((code, place.byte, place.line), ("encoding_error", Some(7), Some(2)));
    assert!(message.contains("save the file as UTF-8"));
    let (code, place, _) = refused(b"\xff\xfea\0\x00\xd8".to_vec(), &Options::default());
    assert_eq!((code, place.byte), ("encoding_error", Some(4)));
    assert_eq!(refused(b"\xff\xfea\0b".to_vec(), &Options::default()).0, "encoding_error");
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
    assert_eq!(detect(b"a,b", Some("application/octet-stream")), Ok(Format::Csv));
    assert_eq!(detect(b"PAR1", Some("Text/CSV; charset=utf-8")), Ok(Format::Csv));
    let error = detect(b"a,b", Some("image/png")).unwrap_err();
    assert_eq!(error.code(), "unsupported_media_type");
    assert!(error.to_string().contains("text/csv"));
    let forced = with(|o| (o.format, o.media_type) = (Some(Format::Csv), Some("image/png".into())));
    assert_eq!(Format::detect(b"PAR1", &forced), Ok(Format::Csv));
}

// ---- roles ----------------------------------------------------------------------------------------------------------

#[test]
fn roles_are_named_or_inferred() {
    let source = "f,label,w,g,k,when,x\n1,u,1,a,7,2024-01-01,0\n2,v,0.5,b,8,2024-01-02,0\n";
    let plain = table(source);
    assert_eq!(plain.roles[..3], [Role::Feature, Role::Label, Role::Feature]);
    assert_eq!(plain.roles[5], Role::Ignore);
    assert_eq!(plain.task, Some(TaskKind::Classification));
    assert!(plain.notes[0].contains("time="));
    let options = with(|o| {
        o.roles = RoleRequest {
            label: Some("f".into()),
            weight: Some("w".into()),
            group: Some("g".into()),
            id: Some("k".into()),
            time: Some("when".into()),
            ignore: vec!["x".into()],
        };
    });
    let named = read(&Bytes::from_static(source.as_bytes()), &options).unwrap();
    use Role::{Feature, Group, Id, Ignore, Label, Time, Weight};
    assert_eq!(named.roles, [Label, Feature, Weight, Group, Id, Time, Ignore]);
}

#[test]
fn bad_roles_are_refused() {
    let source = "a,b,label\n-1,u,x\n2,v,y\n";
    let ask = |change: fn(&mut RoleRequest)| refused(source, &with(|o| change(&mut o.roles)));
    let (code, place, message) = ask(|r| r.label = Some("lable".into()));
    assert_eq!((code, place.column.as_deref()), ("column_not_found", Some("lable")));
    assert!(message.ends_with("the columns are a, b, label"), "{message}");
    assert!(ask(|r| (r.label, r.id) = (Some("a".into()), Some("a".into()))).2.contains("two roles"));
    assert!(ask(|r| r.weight = Some("b".into())).2.contains("must hold numbers"));
    let (_, place, message) = ask(|r| r.weight = Some("a".into()));
    assert!(message.contains("row 1") && place.row == Some(1), "{message}");
    assert!(ask(|r| r.time = Some("b".into())).2.contains("RFC 3339"));
    assert!(ask(|r| r.ignore = vec!["a".into(), "b".into()]).2.contains("no column is left as a feature"));
    let regression = with(|o| o.task = Some(TaskKind::Regression));
    assert_eq!(refused(source, &regression).0, "data_invalid");
}

#[test]
fn the_label_says_the_task() {
    let task = |labels: &str| table(&format!("f,label\n{labels}")).task;
    assert_eq!(task("1,0\n2,1\n"), Some(TaskKind::Classification));
    assert_eq!(task("1,true\n2,false\n"), Some(TaskKind::Classification));
    assert_eq!(task("1,0.5\n2,1\n"), Some(TaskKind::Regression));
    let many: String = (0..51).map(|i| format!("0,{i}\n")).collect();
    assert_eq!(task(&many), Some(TaskKind::Regression));
    let words: String = (0..80).map(|i| format!("0,class{i}\n")).collect();
    let words = table(&format!("f,label\n{words}"));
    assert_eq!(words.table.column("label").unwrap().values.kind(), adaptation::data::Kind::Category);
    let unlabelled = table("f,label\n1,\n2,\n");
    assert_eq!(unlabelled.task, None);
    assert!(unlabelled.notes[0].contains("unlabelled"));
    assert_eq!(table("f\n1\n").task, None);
}

#[test]
fn prose_is_text_and_set_aside() {
    let rows: String = (0..30).map(|i| format!("{i},this is comment number {i} and it is rather long\n")).collect();
    let prose = table(&format!("f,comment\n{rows}"));
    assert_eq!(prose.roles, [Role::Feature, Role::Ignore]);
    assert!(prose.notes[0].contains("free text"));
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

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
    check_refused(&"[".repeat(100_000), "data_invalid", "to be an object");
    check_refused(&format!("[{{\"a\":{}", "[".repeat(100_000)), "data_invalid", "nested");
}

// ---- NPZ ------------------------------------------------------------------------------------------------------------

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_of(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"), data)
}

fn npy_of(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), data].concat()
}

fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn floats(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn npz_is_read_in_every_layout() {
    let x = floats(&[1.0, f64::NAN, 3.0, 4.5]);
    let y: Vec<u8> = "no\0yes".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    let source = archive(&[
        ("X", npy("<f8", "(2, 2)", &x)),
        ("y", npy("<U3", "(2,)", &y)),
        ("island", npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", b"\x80pickle")),
    ]);
    let found = read(&source.into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("x0").unwrap().values, Values::Number(vec![Some(1.0), Some(3.0)]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Number(vec![None, Some(4.5)]));
    assert_eq!(found.table.column("label").unwrap().values, Values::categories([Some("no"), Some("yes")]));
    assert_eq!(found.roles, [Role::Feature, Role::Feature, Role::Label]);
    assert_eq!(found.notes, ["skipped arrays: island (only X and y are read)"]);

    let fortran = npy_of("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }", &[0, 1, 0, 2, 255, 255, 1, 0]);
    let found = read(&archive(&[("X", fortran)]).into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("x0").unwrap().values, Values::Integer(vec![Some(1), Some(2)]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Integer(vec![Some(-1), Some(256)]));

    let half = npy("<f2", "(3, 1)", &[0x00, 0x3c, 0x01, 0x00, 0x00, 0xc1]);
    let found = read(&archive(&[("X", half)]).into(), &Options::default()).unwrap();
    let expected = Values::Number(vec![Some(1.0), Some(2f64.powi(-24)), Some(-2.5)]);
    assert_eq!(found.table.column("x0").unwrap().values, expected);
}

#[test]
fn bad_npz_is_refused() {
    let good = || npy("<f8", "(2, 1)", &floats(&[1.0, 2.0]));
    let check = |arrays: &[(&str, Vec<u8>)], code: &str, says: &str| {
        let (found, _, message) = refused(archive(arrays), &Options::default());
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    let pickled = || npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1), }", b"\x80\x04cos\nsystem\n");
    check(&[], "data_empty", "empty");
    check(&[("Z", good())], "data_invalid", "no array X of shape (n, d); it has Z");
    check(&[("X", pickled())], "data_invalid", "array X: it is pickled");
    check(&[("X", good()), ("y", pickled())], "data_invalid", "array y: it is pickled");
    check(&[("X", npy("<f8", "(2,)", &floats(&[1.0, 2.0])))], "data_invalid", "expected (n, d)");
    check(&[("X", npy("<c16", "(1, 1)", &[0; 16]))], "data_invalid", "is not read");
    check(&[("X", npy("<f8", "(3, 1)", &floats(&[1.0, 2.0])))], "data_invalid", "needs 24 bytes, it holds 16");
    check(&[("X", npy("<f8", "(1, 1)", &floats(&[1.0, 2.0])))], "data_invalid", "holds more");
    check(&[("X", npy("<f8", "(2, 1)", &floats(&[1.0, f64::INFINITY])))], "data_invalid", "row 2, column \"x0\"");
    check(&[("X", good()), ("y", npy("<i8", "(3,)", &[0; 24]))], "data_invalid", "y has 3 values, X has 2 rows");
    check(&[("X", npy("<f8", "(0, 3)", &[]))], "data_empty", "no values");
    check(&[("X", npy("<f8", "(4294967296, 4294967296)", &[]))], "decompression_limit", "unpacks to more");
    check(&[("X", npy("<f8", "(99999999999999999999999, 1)", &[]))], "data_invalid", "header");
    check(&[("X", npy("<f8", "(100000000, 5)", &[]))], "body_too_large", "rows");
    check(&[("X", npy("<f8", "(1000, 30000)", &[]))], "too_many_columns", "30000");
    check(&[("X", b"not an array".to_vec())], "data_invalid", "not an NPY array");
    check(&[("X", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec())], "data_invalid", "header");
    check(&[("X", npy_of(&"(".repeat(9000), &[]))], "data_invalid", "header");
    let whole = archive(&[("X", good())]);
    for end in 5..whole.len() {
        assert!(read(&Bytes::copy_from_slice(&whole[..end]), &Options::default()).is_err(), "cut at {end}");
    }
}

// ---- Parquet --------------------------------------------------------------------------------------------------------

fn parquet_file(columns: Vec<(&str, arrow::array::ArrayRef)>) -> Vec<u8> {
    let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_types_are_mapped() {
    use arrow::array::*;
    use std::sync::Arc;
    let words: DictionaryArray<arrow::datatypes::Int32Type> = vec![Some("b"), None, Some("a")].into_iter().collect();
    let source = parquet_file(vec![
        ("f", Arc::new(Float32Array::from(vec![Some(1.5), Some(f32::NAN), None]))),
        ("i", Arc::new(UInt16Array::from(vec![1, 2, 3]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("d", Arc::new(Date32Array::from(vec![Some(1), None, Some(-1)]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_000, 2_000, 3_999]).with_timezone("UTC"))),
        ("label", Arc::new(words)),
    ]);
    let found = read(&source.into(), &Options::default()).unwrap();
    let column = |name: &str| found.table.column(name).unwrap().values.clone();
    assert_eq!(found.format, Format::Parquet);
    assert_eq!(column("f"), Values::Number(vec![Some(1.5), None, None]));
    assert_eq!(column("i"), Values::Integer(vec![Some(1), Some(2), Some(3)]));
    assert_eq!(column("b"), Values::Boolean(vec![Some(true), None, Some(false)]));
    assert_eq!(column("d"), Values::Timestamp(vec![Some(86_400_000), None, Some(-86_400_000)]));
    assert_eq!(column("t"), Values::Timestamp(vec![Some(1), Some(2), Some(3)]));
    assert_eq!(column("label"), Values::categories([Some("b"), None, Some("a")]));
}

#[test]
fn bad_parquet_is_refused() {
    use arrow::array::*;
    use std::sync::Arc;
    let check = |columns: Vec<(&str, ArrayRef)>, code: &str, says: &str| {
        let (found, place, message) = refused(parquet_file(columns), &Options::default());
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
        place
    };
    let infinite = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]));
    let place = check(vec![("a", infinite)], "data_invalid", "row 2, column \"a\": a number must be finite");
    assert_eq!((place.row, place.column.as_deref()), (Some(2), Some("a")));
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some([Some(1)])]);
    let place = check(vec![("deep", Arc::new(list))], "data_invalid", "flatten it");
    assert_eq!(place.column.as_deref(), Some("deep"));
    check(vec![("big", Arc::new(UInt64Array::from(vec![u64::MAX])))], "data_invalid", "column \"big\"");
    check(vec![("a", Arc::new(Float64Array::from(Vec::<f64>::new())))], "data_empty", "no rows");
    let whole = parquet_file(vec![("a", Arc::new(Float64Array::from(vec![1.0, 2.0])))]);
    for end in 4..whole.len() {
        let (code, _, message) = refused(whole[..end].to_vec(), &Options::default());
        assert_eq!(code, "data_invalid", "cut at {end}: {message}");
        assert!(message.contains("cut short"), "{message}");
    }
}

// ---- statistics -----------------------------------------------------------------------------------------------------

#[test]
fn statistics_count_what_is_there() {
    let rows: String = (0..101).map(|i| format!("{i},{},{}\n", if i % 4 == 0 { "" } else { "u" }, 7)).collect();
    let found = table(&format!("n,w,c\n{rows}"));
    let number = found.statistics[0].number.as_ref().unwrap();
    assert_eq!((found.statistics[0].count, number.min, number.max, number.mean), (101, 0.0, 100.0, 50.0));
    assert!((number.std - 850f64.sqrt()).abs() < 1e-9);
    assert_eq!(number.quantiles.iter().map(|q| q.value).collect::<Vec<_>>(), [5.0, 25.0, 50.0, 75.0, 95.0]);
    assert_eq!((number.histogram.edges.len(), number.histogram.counts.len()), (21, 20));
    assert_eq!((number.histogram.counts[0], number.histogram.counts[19]), (5, 6));
    assert_eq!(found.statistics[1].missing, 26);
    let words = found.statistics[1].words.as_ref().unwrap();
    assert_eq!((words.n_distinct, words.top[0].count), (1, 75));
    assert_eq!(found.statistics[2].number.as_ref().unwrap().histogram.counts, [101]);
}

// ---- identity and properties ----------------------------------------------------------------------------------------

#[test]
fn options_serialise_without_limits() {
    let options = with(|o| o.limits.rows = 3);
    assert_eq!(serde_json::to_string(&options).unwrap(), serde_json::to_string(&Options::default()).unwrap());
    assert!(serde_json::from_str::<Options>(r#"{"lable":1}"#).is_err());
}

#[test]
fn the_examples_are_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    for (file, rows) in [("penguins/adelie.csv", 146), ("penguins/gentoo.csv", 119), ("penguins/chinstrap.csv", 68)] {
        let found = read(&std::fs::read(root.join(file)).unwrap().into(), &Options::default()).unwrap();
        assert_eq!((found.table.n_rows(), found.roles.len(), found.task), (rows, 5, Some(TaskKind::Classification)));
    }
    for (file, rows) in [("cleveland", 303), ("hungarian", 294), ("switzerland", 123), ("long_beach_va", 200)] {
        let bytes = std::fs::read(root.join(format!("heart/{file}.csv"))).unwrap();
        let found = read(&bytes.into(), &Options::default()).unwrap();
        assert_eq!((found.table.n_rows(), found.roles.len(), found.task), (rows, 14, Some(TaskKind::Classification)));
    }
}

fn column_values(n: usize) -> impl Strategy<Value = Values> {
    use proptest::collection::vec;
    use proptest::option::of;
    let stamp = -62_000_000_000_000i64..62_000_000_000_000;
    prop_oneof![
        vec(of(proptest::num::f64::NORMAL | proptest::num::f64::ZERO), n).prop_map(Values::Number),
        vec(of(any::<i64>()), n).prop_map(Values::Integer),
        vec(of(any::<bool>()), n).prop_map(Values::Boolean),
        vec(of("[a-cé\"]{0,2}"), n).prop_map(Values::categories),
        vec(of(".{0,8}"), n).prop_map(Values::Text),
        vec(of(stamp), n).prop_map(Values::Timestamp),
    ]
}

fn any_table() -> impl Strategy<Value = Table> {
    (1usize..40).prop_flat_map(|n| proptest::collection::vec(column_values(n), 1..6)).prop_map(|values| {
        let named = values.into_iter().enumerate().map(|(i, values)| Column { name: format!("c{i} é"), values });
        Table::new(named.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_stored_table_is_the_table(table in any_table()) {
        let bytes = stored::write_parquet(&table).unwrap();
        prop_assert_eq!(&bytes, &stored::write_parquet(&table).unwrap());
        prop_assert_eq!(stored::read_parquet(bytes.into()).unwrap(), table);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::Csv, Format::Parquet, Format::Npz, Format::JsonRows] {
            let options = with(|o| o.format = Some(format));
            let _ = read(&bytes.clone().into(), &options);
        }
        let _ = stored::read_parquet(bytes.into());
    }

    #[test]
    fn text_that_is_nearly_right_never_panics(text in "[a-c0-9.,;\"\n\r\\[\\]{}:tréu-]{0,200}") {
        for format in [Format::Csv, Format::JsonRows] {
            let _ = read(&text.clone().into(), &with(|o| o.format = Some(format)));
        }
    }

    #[test]
    fn a_file_with_one_byte_changed_never_panics(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let x = npy("<f8", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0]));
        let column: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Float64Array::from(vec![1.0, 2.0, 3.0]));
        for mut bytes in [archive(&[("X", x)]), parquet_file(vec![("a", column)])] {
            let i = at.index(bytes.len());
            bytes[i] = byte;
            let _ = read(&bytes.into(), &Options::default());
        }
    }

    #[test]
    fn rows_in_csv_and_json_are_the_same_numbers(values in proptest::collection::vec(-1e9f64..1e9, 1..50)) {
        let csv: String = values.iter().map(|x| format!("{x}\n")).collect();
        let json = serde_json::json!({"columns": ["a"], "data": values.iter().map(|x| [x]).collect::<Vec<_>>()});
        let csv = read(&format!("a\n{csv}").into(), &Options::default()).unwrap();
        let json = read(&json.to_string().into(), &Options::default()).unwrap();
        for i in 0..values.len() {
            prop_assert_eq!(csv.table.columns()[0].values.number(i), Some(values[i]));
            prop_assert_eq!(json.table.columns()[0].values.number(i), Some(values[i]));
        }
    }
}
