//! Arrow IPC files and streams.

use std::sync::Arc;

use super::*;
use ::arrow::array::*;
use ::arrow::datatypes::Int32Type;
use ::arrow::ipc::CompressionType;
use ::arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

pub(super) type Dictionary = DictionaryArray<Int32Type>;

pub(super) fn arrow_file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch.slice(0, batch.num_rows().min(1))).unwrap();
    writer.into_inner().unwrap()
}

pub(super) fn arrow_stream(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch.slice(0, batch.num_rows().min(1))).unwrap();
    writer.into_inner().unwrap()
}

/// A file and a stream whose buffers are compressed.
fn compressed(columns: &[(&str, ArrayRef)], by: CompressionType) -> [Vec<u8>; 2] {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(by)).unwrap();
    let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options.clone()).unwrap();
    file.write(&batch).unwrap();
    let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    stream.write(&batch).unwrap();
    [file.into_inner().unwrap(), stream.into_inner().unwrap()]
}

#[test]
fn compressed_buffers_are_read_and_counted_before() {
    let words: Dictionary = (0..2000).map(|i| Some(["u", "v"][i % 2])).collect();
    let numbers = Float64Array::from_iter((0..2000).map(|i| (i % 9 != 0).then_some(f64::from(i % 50))));
    let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("w", Arc::new(words))];
    let expected = read(&arrow_stream(&columns).into(), &Options::default()).unwrap().table;
    let rows: Vec<usize> = (0..2000).collect();
    for by in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        for bytes in compressed(&columns, by) {
            let found = read(&bytes.into(), &Options::default()).unwrap();
            assert_eq!(found.table, *expected.select_rows(&rows));
        }
        // Eighty megabytes of zeros.
        let zeros: [(&str, ArrayRef); 1] = [("a", Arc::new(Float64Array::from(vec![0.0; 10_000_000])))];
        for bytes in compressed(&zeros, by) {
            let small = with(|o| o.limits.decompressed_bytes = 70 << 20);
            assert_eq!(refused(bytes, &small).0, "decompression_limit");
        }
    }
    // What a buffer claims is not taken for granted.
    let [mut file, mut stream] = compressed(&columns[..1], CompressionType::ZSTD);
    for bytes in [&mut file, &mut stream] {
        let said = 16_000_i64.to_le_bytes();
        let at = bytes.windows(8).position(|w| w == said).unwrap();
        bytes[at..at + 8].copy_from_slice(&(1_i64 << 40).to_le_bytes());
        assert_eq!(refused(bytes.clone(), &Options::default()).0, "decompression_limit");
        bytes[at..at + 8].copy_from_slice(&15_999_i64.to_le_bytes());
        assert_eq!(refused(bytes.clone(), &Options::default()).0, "data_invalid");
    }
}

#[test]
fn files_and_streams_are_one_table() {
    let words: Dictionary = [Some("b"), None, Some("a")].into_iter().collect();
    let large = DictionaryArray::<::arrow::datatypes::UInt8Type>::new(
        UInt8Array::from(vec![Some(1), Some(0), None]),
        Arc::new(StringViewArray::from(vec![Some("p"), None])),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("f", Arc::new(Float32Array::from(vec![Some(1.5), Some(f32::NAN), None]))),
        ("i", Arc::new(UInt16Array::from(vec![1, 2, 3]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_000, 2_000, 3_999]).with_timezone("UTC"))),
        ("s", Arc::new(StringArray::from(vec![Some("x"), None, Some("y")]))),
        ("v", Arc::new(StringViewArray::from(vec!["a long word that is not inlined", "u", "u"]))),
        ("d", Arc::new(large)),
        ("n", Arc::new(NullArray::new(3))),
        ("label", Arc::new(words)),
    ];
    for source in [arrow_file(&columns), arrow_stream(&columns)] {
        let found = read(&source.into(), &Options::default()).unwrap();
        let column = |name: &str| found.table.column(name).unwrap().values.clone();
        assert_eq!(found.format, Format::Arrow);
        assert_eq!(column("f"), Values::Number(vec![Some(1.5), None, None, Some(1.5)]));
        assert_eq!(column("i"), Values::Integer(vec![Some(1), Some(2), Some(3), Some(1)]));
        assert_eq!(column("b"), Values::Boolean(vec![Some(true), None, Some(false), Some(true)]));
        assert_eq!(column("t"), Values::Timestamp(vec![Some(1), Some(2), Some(3), Some(1)]));
        assert_eq!(column("s"), Values::categories([Some("x"), None, Some("y"), Some("x")]));
        let long = "a long word that is not inlined";
        assert_eq!(column("v"), Values::categories([Some(long), Some("u"), Some("u"), Some(long)]));
        assert_eq!(column("d"), Values::categories([None, Some("p"), None, None]));
        assert_eq!(column("n"), Values::Number(vec![None; 4]));
        assert_eq!(column("label"), Values::categories([Some("b"), None, Some("a"), Some("b")]));
    }
}

#[test]
fn bad_arrow_is_refused() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let nested: Vec<(&str, ArrayRef)> = vec![("deep", Arc::new(list))];
    for source in [arrow_file(&nested), arrow_stream(&nested)] {
        let (code, place, message) = refused(source, &Options::default());
        assert_eq!((code, place.column.as_deref()), ("data_invalid", Some("deep")), "{message}");
    }
    let infinite: Vec<(&str, ArrayRef)> = vec![("a", Arc::new(Float64Array::from(vec![1.0, f64::INFINITY])))];
    let (_, place, message) = refused(arrow_file(&infinite), &Options::default());
    assert_eq!((place.row, place.column.as_deref()), (Some(2), Some("a")), "{message}");
    let empty: Vec<(&str, ArrayRef)> = vec![("a", Arc::new(Float64Array::from(Vec::<f64>::new())))];
    assert_eq!(refused(arrow_stream(&empty), &Options::default()).0, "data_empty");
    let good: Vec<(&str, ArrayRef)> = vec![("a", Arc::new(Float64Array::from(vec![1.0, 2.0])))];
    let as_arrow = with(|o| o.format = Some(Format::Arrow));
    let file = arrow_file(&good);
    for end in 1..file.len() {
        let (code, _, message) = refused(file[..end].to_vec(), &as_arrow);
        assert_eq!(code, "data_invalid", "cut at {end}: {message}");
    }
    // A stream that is cut between two messages is a shorter stream; anywhere else it is refused, and never panics.
    let stream = arrow_stream(&good);
    for end in 1..stream.len() {
        let _ = read(&stream[..end].to_vec().into(), &as_arrow);
    }
}

#[test]
fn one_long_word_in_many_rows_takes_its_bytes_once() {
    let word = "w".repeat(1 << 20);
    let keys = Int32Array::from(vec![0; 100_000]);
    let words = DictionaryArray::new(keys, Arc::new(StringArray::from(vec![word.as_str()])) as ArrayRef);
    let ones = Arc::new(Int32Array::from(vec![1; 100_000]));
    let columns: [(&str, ArrayRef); 2] = [("a", Arc::new(words)), ("b", ones)];
    let found = read(&arrow_stream(&columns).into(), &Options::default()).unwrap();
    let Values::Category { codes, levels } = &found.table.column("a").unwrap().values else { panic!("not a category") };
    assert_eq!((codes.len(), levels.len()), (100_001, 1));
    let mut views = StringViewBuilder::new().with_deduplicate_strings();
    (0..300).for_each(|_| views.append_value(&word));
    let small = with(|o| o.limits.decompressed_bytes = 100 << 20);
    let shared: [(&str, ArrayRef); 1] = [("a", Arc::new(views.finish()))];
    assert_eq!(read(&arrow_stream(&shared).into(), &small).map(|found| found.table.n_rows()), Ok(301));
    // Words that overlap are each a word of its own: a megabyte would be three hundred.
    let mut views = StringViewBuilder::new();
    let block = views.append_block(word.into_bytes().into());
    (0..300).for_each(|i| views.try_append_view(block, i, (1 << 20) - 300).unwrap());
    let overlapping: [(&str, ArrayRef); 1] = [("a", Arc::new(views.finish()))];
    let error = read(&arrow_stream(&overlapping).into(), &small).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "decompression_limit");
}

#[test]
fn many_long_words_in_more_rows_stay_a_category() {
    let words: Vec<String> = (0..60).map(|i| format!("{i}{}", "w".repeat(2_000_000))).collect();
    let keys = Int32Array::from_iter_values((0..900).map(|i| i % 60));
    let words = DictionaryArray::new(keys, Arc::new(StringArray::from(words)) as ArrayRef);
    let found = super::super::read(&arrow_stream(&[("a", Arc::new(words) as ArrayRef)]).into(), &Options::default());
    let found = found.unwrap();
    // As text it would take almost two gigabytes.
    assert_eq!(found.table.columns()[0].values.kind(), adaptation::data::Kind::Category);
}

#[test]
fn dictionaries_of_numbers_are_numbers() {
    let keys = Int32Array::from(vec![Some(1), None, Some(0)]);
    let numbers = DictionaryArray::new(keys, Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef);
    let found = read(&arrow_stream(&[("a", Arc::new(numbers) as ArrayRef)]).into(), &Options::default()).unwrap();
    let expected = Values::Integer(vec![Some(8), None, Some(7), Some(8)]);
    assert_eq!(found.table.column("a").unwrap().values, expected);
}
