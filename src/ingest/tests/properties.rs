//! What holds for any bytes and any table; the identity of options; the shipped examples.

use super::*;

use super::arrow::{Dictionary, arrow_file, arrow_stream};
use proptest::prelude::*;

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

const ALL: [Format; 8] = [
    Format::Csv,
    Format::Parquet,
    Format::Arrow,
    Format::Npz,
    Format::Npy,
    Format::JsonRows,
    Format::Ndjson,
    Format::Svmlight,
];

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
        for format in ALL {
            let options = with(|o| o.format = Some(format));
            let _ = read(&bytes.clone().into(), &options);
        }
        let _ = stored::read_parquet(bytes.into());
    }

    #[test]
    fn text_that_is_nearly_right_never_panics(text in "[a-c0-9.,;\"\n\r\\[\\]{}:tréu-]{0,200}") {
        for format in [Format::Csv, Format::JsonRows, Format::Ndjson, Format::Svmlight] {
            let _ = read(&text.clone().into(), &with(|o| o.format = Some(format)));
        }
    }

    #[test]
    fn a_file_with_one_byte_changed_never_panics(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let x = npy("<f8", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0]));
        let column: ::arrow::array::ArrayRef = std::sync::Arc::new(::arrow::array::Float64Array::from(vec![1.0, 2.0, 3.0]));
        let words: ::arrow::array::ArrayRef = std::sync::Arc::new(["u", "v", "u"].into_iter().map(Some).collect::<Dictionary>());
        let columns = vec![("a", column), ("b", words)];
        let arrow = [arrow_file(&columns), arrow_stream(&columns)];
        let others = [archive(&[("X", x.clone())]), x, parquet_file(columns)];
        for mut bytes in arrow.into_iter().chain(others) {
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
        for (i, expected) in values.iter().enumerate() {
            prop_assert_eq!(csv.table.columns()[0].values.number(i), Some(*expected));
            prop_assert_eq!(json.table.columns()[0].values.number(i), Some(*expected));
        }
    }
}
