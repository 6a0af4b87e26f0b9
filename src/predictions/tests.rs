//! The forms against each other, and against what a reader of each expects.

use adaptation::data::{Column, Values};
use adaptation::learners::{Prediction, Scores};
use ndarray::array;
use serde_json::{Value, json};

use super::*;

const FILE_CSV: Form = Form::File(FileFormat::Csv);
const FILE_NDJSON: Form = Form::File(FileFormat::Ndjson);
const FILE_PARQUET: Form = Form::File(FileFormat::Parquet);

fn classes() -> Answer {
    let of = |scores: ndarray::Array2<f64>, codes: Vec<usize>| Prediction::Classes {
        codes,
        scores,
        kind: Scores::Probability,
    };
    Answer {
        model: "m@1".into(),
        classes: vec!["a,b".into(), "\"ü\"".into()],
        prediction: of(array![[0.25, 0.75], [1.0, 0.0], [1e-9, 1.0]], vec![1, 0, 1]),
        source_only: None,
        features: None,
        id: None,
    }
}

fn full() -> Answer {
    let answer = classes();
    Answer { source_only: Some(answer.prediction.clone()), features: Some(array![[1.0], [2.0], [3.5]]), ..answer }
}

fn values() -> Answer {
    let prediction = Prediction::Values(array![1.5, -2.0]);
    Answer { classes: Vec::new(), prediction, ..classes() }
}

fn text(answer: &Answer, form: Form) -> String {
    String::from_utf8(answer.write(form).expect("written")).expect("text")
}

#[test]
fn json_and_ndjson_say_the_same() {
    for answer in [classes(), full(), values()] {
        let document: Value = serde_json::from_str(&text(&answer, Form::Json)).expect("JSON");
        let lines: Vec<Value> =
            text(&answer, FILE_NDJSON).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(document, json!({"model": "m@1", "predictions": lines}));
    }
    let first: Value = serde_json::from_str(text(&full(), FILE_NDJSON).lines().next().expect("a line")).expect("JSON");
    let one = json!({"label": "\"ü\"", "probabilities": {"a,b": 0.25, "\"ü\"": 0.75}});
    let expected = json!({"label": one["label"], "probabilities": one["probabilities"],
                          "source_only": one, "features": [1.0]});
    assert_eq!(first, expected);
}

#[test]
fn csv_quotes_names_and_keeps_every_digit() {
    assert_eq!(
        text(&classes(), FILE_CSV),
        "label,\"probability_a,b\",\"probability_\"\"ü\"\"\"\n\"\"\"ü\"\"\",0.25,0.75\n\"a,b\",1,0\n\"\"\"ü\"\"\",1e-9,1\n"
    );
    assert_eq!(text(&values(), FILE_CSV), "value\n1.5\n-2\n");
    assert!(text(&full(), FILE_CSV).lines().next().is_some_and(|h| h.contains("source_only_label")));
}

#[test]
fn files_begin_with_what_rows_are_called() {
    let with = |name: &str, values: Values| Answer { id: Some(Column { name: name.into(), values }), ..classes() };
    let words = with("who", Values::Text(vec![Some("a,b".into()), None, Some("ü".into())]));
    let csv = text(&words, FILE_CSV);
    assert!(csv.starts_with("who,label,") && csv.contains("\n\"a,b\",") && csv.contains("\n,\"a,b\",1,0\n"), "{csv}");
    assert!(text(&words, FILE_NDJSON).starts_with("{\"who\":\"a,b\",\"label\":"), "in order");
    let times = with("when", Values::Timestamp(vec![Some(0), Some(1), None]));
    assert!(text(&times, FILE_CSV).contains("\n1970-01-01T00:00:00.001Z,"));
    // A name that is taken is told apart.
    let label = with("label", Values::Integer(vec![Some(7), Some(8), Some(9)]));
    assert!(text(&label, FILE_CSV).starts_with("id_label,label,"));
    let first: Value = serde_json::from_str(text(&label, FILE_NDJSON).lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["id_label"], first["label"].is_string()), (&json!(7), true));
    for answer in [words, times, label, with("b", Values::Boolean(vec![Some(true), None, Some(false)]))] {
        assert_eq!(parquet_rows(answer.write(FILE_PARQUET).expect("written")), 3);
    }
}

#[test]
fn npy_is_an_aligned_array() {
    for (answer, shape, numbers) in
        [(classes(), "(3, 2)", vec![0.25, 0.75, 1.0, 0.0, 1e-9, 1.0]), (values(), "(2, 1)", vec![1.5, -2.0])]
    {
        let bytes = answer.write(Form::Npy).expect("written");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((&bytes[..8], (10 + length) % 64), (&b"\x93NUMPY\x01\x00"[..], 0));
        let header = std::str::from_utf8(&bytes[10..10 + length]).expect("text");
        assert!(header.contains(shape) && header.ends_with('\n'), "{header}");
        let found: Vec<f64> = bytes[10 + length..].as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        assert_eq!(found, numbers);
    }
}

#[test]
fn parts_of_a_file_are_the_whole() {
    for format in FileFormat::ALL {
        let mut file = FileWriter::new(format);
        file.add(&classes()).expect("written");
        file.add(&classes()).expect("written");
        let bytes = file.finish().expect("a file");
        match format {
            FileFormat::Parquet => assert_eq!(parquet_rows(bytes), 6),
            FileFormat::Csv => assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 7),
            _ => assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 6),
        }
    }
}

fn parquet_rows(bytes: Vec<u8>) -> usize {
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let batches = reader.expect("parquet").build().expect("parquet");
    batches.map(|b| b.expect("a batch").num_rows()).sum()
}

#[test]
fn every_form_says_what_it_has_a_place_for() {
    for form in [Form::Json, FILE_NDJSON, FILE_CSV, FILE_PARQUET, Form::Npy] {
        assert!(!form.holds(Include::Features) || form.holds(Include::SourceOnly), "{form}");
    }
}
