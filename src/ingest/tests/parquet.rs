//! Parquet files.

use super::*;

#[test]
fn parquet_types_are_mapped() {
    use ::arrow::array::*;
    use std::sync::Arc;
    let words: DictionaryArray<::arrow::datatypes::Int32Type> = vec![Some("b"), None, Some("a")].into_iter().collect();
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
    use ::arrow::array::*;
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
    let list = ListArray::from_iter_primitive::<::arrow::datatypes::Int32Type, _, _>([Some([Some(1)])]);
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
