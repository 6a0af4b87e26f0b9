//! Files that are stored in more than one chunk, and what a first chunk misleads to.

use super::*;

/// The rows of a column with `later` after so many rows of `first`: more than one look at what is buffered.
fn column_file(first: &str, later: &str) -> String {
    let rows = |cell: &str| format!("1,{cell}\n").repeat(130);
    format!("f,a\n{}{}", rows(first), rows(later))
}

#[track_caller]
fn check_kind(source: String, expected: Kind) {
    let found = read(&source.clone().into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("a").unwrap().values.kind(), expected, "{}", &source[..20]);
    assert_eq!(found.table.n_rows(), 260);
}

#[test]
fn types_of_csv_that_show_late_are_found() {
    check_kind(column_file("1", "2.5"), Kind::Number);
    check_kind(column_file("1", "99999999999999999999"), Kind::Number);
    check_kind(column_file("1.50", "x"), Kind::Category);
    check_kind(column_file("true", "maybe"), Kind::Category);
    check_kind(column_file("1", "true"), Kind::Category);
    check_kind(column_file("", "7"), Kind::Integer);
    check_kind(column_file("?", "2024-01-02"), Kind::Timestamp);
    check_kind(column_file("NA", "true"), Kind::Boolean);
    check_kind(column_file("2024-01-02", "2024-01-03T00:00:00Z"), Kind::Timestamp);
    check_kind(column_file("2024-01-02", "soon"), Kind::Category);
    check_kind(column_file("1", "soon"), Kind::Category);
    check_kind(column_file("\"a,\"\"b\"", "c"), Kind::Category);
}

#[test]
fn an_infinite_number_in_a_later_chunk_keeps_its_place() {
    let source = format!("{}1,inf\n", column_file("1.5", "2.5"));
    let (code, place, message) = refused(source, &Options::default());
    assert_eq!((code, place.row, place.line), ("data_invalid", Some(261), Some(262)), "{message}");
    let source = format!("{}1,inf\n1,x\n", column_file("1.5", "2.5"));
    let found = read(&source.into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("a").unwrap().values.kind(), Kind::Category, "a word among words");
}

#[test]
fn an_encoding_that_shows_late_is_found() {
    let source = [column_file("x", "y").as_bytes(), b"1,M\xfcnchen\n"].concat();
    let found = read(&source.into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("a").unwrap().values.word(260).as_deref(), Some("München"));
    assert!(found.notes[0].contains("line 262"), "{:?}", found.notes);
}

#[test]
fn many_distinct_words_are_text_and_those_of_a_label_are_classes() {
    let rows: String = (0..3000).map(|i| format!("{i},a review of {i} words\n")).collect();
    let found = read(&format!("f,a\n{rows}").into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("a").unwrap().values.kind(), Kind::Text);
    let found = read(&format!("f,label\n{rows}").into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("label").unwrap().values.kind(), Kind::Category);
}

#[test]
fn columns_of_json_lines_that_show_late_are_found() {
    let lines = |line: &str| format!("{line}\n").repeat(130);
    let check = |first: &str, later: &str, expected: Kind| {
        let source = format!("{}{}", lines(first), lines(later));
        let options = with(|o| o.format = Some(Format::Ndjson));
        let found = read(&source.into(), &options).unwrap();
        let values = &found.table.column("a").unwrap().values;
        assert_eq!((values.kind(), values.len()), (expected, 260), "{first} {later}");
    };
    check(r#"{"f":1}"#, r#"{"f":1,"a":2}"#, Kind::Integer);
    check(r#"{"f":1}"#, r#"{"f":1,"a":null}"#, Kind::Number);
    check(r#"{"f":1,"a":null}"#, r#"{"f":1,"a":"x"}"#, Kind::Category);
    check(r#"{"f":1,"a":1}"#, r#"{"f":1,"a":2.5}"#, Kind::Number);
    check(r#"{"f":1,"a":"2024-01-02"}"#, r#"{"f":1,"a":"soon"}"#, Kind::Category);
    check(r#"{"f":1,"a":"2024-01-02"}"#, r#"{"f":1}"#, Kind::Timestamp);
    let mixed = format!("{}{}", lines(r#"{"a":1}"#), r#"{"a":"x"}"#);
    let (_, place, message) = refused(mixed, &with(|o| o.format = Some(Format::Ndjson)));
    assert_eq!((place.row, place.line), (Some(131), Some(131)), "{message}");
}

#[test]
fn parquet_and_arrays_come_by_chunks_too() {
    let n = 3000;
    let words: ::arrow::array::ArrayRef =
        std::sync::Arc::new(::arrow::array::StringArray::from_iter_values((0..n).map(|i| format!("{} w", i % 7))));
    let texts: ::arrow::array::ArrayRef =
        std::sync::Arc::new(::arrow::array::StringArray::from_iter_values((0..n).map(|i| format!("text {i}"))));
    let numbers: ::arrow::array::ArrayRef =
        std::sync::Arc::new(::arrow::array::Float64Array::from_iter((0..n).map(|i| (i % 5 != 0).then_some(i as f64))));
    let file = parquet_file(vec![("w", words), ("t", texts), ("n", numbers)]);
    let found = read(&file.into(), &Options::default()).unwrap();
    let kind = |name: &str| found.table.column(name).unwrap().values.kind();
    assert_eq!((kind("w"), kind("t"), kind("n")), (Kind::Category, Kind::Text, Kind::Number));
    let values: Vec<f64> = (0..600).map(f64::from).collect();
    let x = npy("<f8", "(200, 3)", &floats(&values));
    let y = npy("<i8", "(200,)", &(0..200_i64).flat_map(|i| (i % 2).to_le_bytes()).collect::<Vec<_>>());
    read(&x.clone().into(), &Options::default()).unwrap();
    let found = read(&archive(&[("X", x), ("y", y)]).into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("x2").unwrap().values.number(199), Some(599.0));
    assert_eq!(found.table.column("label").unwrap().values.number(199), Some(1.0));
}

#[test]
fn statistics_of_very_many_rows_are_those_of_a_sample() {
    let n = 200_000;
    let columns = |rows: std::ops::Range<usize>| {
        let number = |i: usize| (!i.is_multiple_of(10)).then_some((i % 1000) as f64);
        vec![Column { name: "a".into(), values: Values::Number(rows.map(number).collect()) }]
    };
    let mut gatherer = gather::Gatherer::default();
    (0..n).step_by(7000).for_each(|start| gatherer.take(&columns(start..n.min(start + 7000))));
    let found = gatherer.finish(std::iter::once([].as_slice())).remove(0);
    let mut whole = gather::Gatherer::default();
    whole.take(&columns(0..n));
    assert_eq!(whole.finish(std::iter::once([].as_slice()))[0].sampled, found.sampled, "however it is cut");
    assert_eq!((found.count, found.missing), (180_000, 20_000));
    let sampled = found.sampled.unwrap();
    assert!((20_000..=65_536).contains(&sampled), "{sampled}");
    let number = found.number.unwrap();
    assert_eq!((number.min, number.max), (1.0, 999.0));
    assert!((number.mean - 500.0).abs() < 1e-9, "{}", number.mean);
    for quantile in number.quantiles {
        // Three standard errors of a median.
        assert!((quantile.value / 1000.0 - quantile.p).abs() < 0.01, "{quantile:?}");
    }
}
