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

#[test]
fn a_file_that_unpacks_to_too_much_is_refused() {
    use ::arrow::array::*;
    use std::sync::Arc;
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100_000).map(f64::from)));
    let small = with(|o| o.limits.decompressed_bytes = 100_000);
    let (code, _, message) = refused(parquet_file(vec![("a", numbers)]), &small);
    assert_eq!(code, "decompression_limit", "{message}");
    let many: ArrayRef = Arc::new(Int32Array::from(vec![0; 300_000]));
    let bomb = parquet_file(vec![("a", many)]);
    assert!(bomb.len() < 10_000, "equal values are packed");
    assert_eq!(refused(bomb, &with(|o| o.limits.rows = 200_000)).0, "body_too_large");
}

#[test]
fn one_long_word_in_many_rows_takes_its_bytes_once() {
    use ::arrow::array::*;
    use std::sync::Arc;
    let word = "w".repeat(500_000);
    let values: ArrayRef = Arc::new(LargeStringArray::from(vec![word.as_str(), "short"]));
    let keys = Int32Array::from_iter((0..20_000).map(|i| (i % 7 != 0).then_some(i % 2)));
    let source = parquet_file(vec![("a", Arc::new(DictionaryArray::new(keys, values))), ("b", ones(20_000))]);
    // Ten gigabytes, if each row had its own copy.
    assert!(source.len() < 1 << 20);
    let found = read(&source.into(), &Options::default()).unwrap();
    let column = &found.table.column("a").unwrap().values;
    let Values::Category { codes, levels } = column else { panic!("not a category: {:?}", column.kind()) };
    assert!(codes.len() == 20_000 && *levels == ["short".to_owned(), word]);
    assert_eq!(column.n_missing(), 20_000usize.div_ceil(7));
}

fn ones(n: usize) -> ::arrow::array::ArrayRef {
    std::sync::Arc::new(::arrow::array::Int32Array::from(vec![1; n]))
}

/// A stored table as the forms 1 and 2 had it: kinds in the metadata of the fields.
#[test]
fn older_forms_of_stored_tables_stay_readable() {
    use ::arrow::array::{Float64Array, LargeListArray, RecordBatch, UInt32Array};
    use ::arrow::buffer::OffsetBuffer;
    use ::arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    type Metadata = std::collections::HashMap<String, String>;
    let of_kind = |pairs: &[(&str, &str)]| -> Metadata {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let number = Field::new("n", DataType::Float64, true).with_metadata(of_kind(&[("adaptd.kind", "number")]));
    let levels = [("adaptd.kind", "category"), ("adaptd.levels", r#"["u","v"]"#)];
    let word = Field::new("w", DataType::UInt32, true).with_metadata(of_kind(&levels));
    let numbers: ::arrow::array::ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None]));
    let codes: ::arrow::array::ArrayRef = Arc::new(UInt32Array::from(vec![Some(1), Some(0)]));
    let write = |fields: Vec<Field>, metadata: &[(&str, &str)], arrays: Vec<::arrow::array::ArrayRef>| {
        let schema = Arc::new(Schema::new_with_metadata(fields, of_kind(metadata)));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let column = |name: &str, values: Values| Column { name: name.into(), values };
    let n = column("n", Values::Number(vec![Some(1.5), None]));
    let w = column("w", Values::Category { codes: vec![Some(1), Some(0)], levels: vec!["u".into(), "v".into()] });
    let first = write(
        vec![number.clone(), word.clone()],
        &[("adaptd.format", "1")],
        vec![Arc::clone(&numbers), Arc::clone(&codes)],
    );
    assert_eq!(stored::read_parquet(first.into()).unwrap(), Table::new(vec![n.clone(), w.clone()]));
    // Row 0 has 4.0 in the second sparse column, row 1 has nothing.
    let list = |kind: DataType, items: ::arrow::array::ArrayRef| -> ::arrow::array::ArrayRef {
        let offsets = OffsetBuffer::<i64>::from_lengths([1, 0]);
        Arc::new(LargeListArray::new(Arc::new(Field::new("item", kind, true)), offsets, items, None))
    };
    let indices = list(DataType::UInt32, Arc::new(UInt32Array::from(vec![1])));
    let values = list(DataType::Float64, Arc::new(Float64Array::from(vec![4.0])));
    let lists = [("adaptd.sparse.indices", &indices), ("adaptd.sparse.values", &values)];
    let lists = lists.map(|(name, list)| Field::new(name, list.data_type().clone(), true));
    let second = write(
        [vec![number, word], lists.to_vec()].concat(),
        &[("adaptd.format", "2"), ("adaptd.sparse", r#"[[0,"x0"],[2,"x1"]]"#)],
        vec![numbers, codes, indices, values],
    );
    let sparse = |rows: Vec<u32>, values: Vec<f64>| Values::Sparse { rows, values, n_rows: 2 };
    let expected = vec![column("x0", sparse(vec![], vec![])), n, column("x1", sparse(vec![0], vec![4.0])), w];
    assert_eq!(stored::read_parquet(second.into()).unwrap(), Table::new(expected));
}
