//! What holds of every encoding of text: the order of rows, round trips, hostile cells.

use ndarray::Array2;

use super::*;
use crate::context::{Observer, Report, Silent};
use crate::data::{Column, DomainTable, Role, Table};
use crate::features::{FeatureParams, Pipeline, Scaling};
use crate::linalg::Matrix;

fn texts_of(texts: &[&str]) -> Values {
    Values::Text(texts.iter().map(|t| Some((*t).to_owned())).collect())
}

fn domain(columns: Vec<(&str, Values)>) -> DomainTable {
    let roles = vec![Role::Feature; columns.len()];
    let columns = columns.into_iter().map(|(name, values)| Column { name: name.into(), values });
    DomainTable { name: "d@1".into(), table: Table::new(columns.collect()), roles }
}

/// Two rows of three have each word.
fn mixed() -> DomainTable {
    let numbers = Values::Number(vec![Some(1.0), Some(3.0), Some(8.0)]);
    domain(vec![("n", numbers), ("t", texts_of(&["red green", "green blue", "blue red"]))])
}

fn features(scaling: Scaling, text: TextParams) -> FeatureParams {
    FeatureParams { scaling, text: Some(text), ..FeatureParams::default() }
}

fn every_analyzer() -> Vec<TextParams> {
    let of = |analyzer| TextParams { analyzer, min_document_frequency: 1, ..TextParams::default() };
    let mut all: Vec<TextParams> = [Analyzer::Word, Analyzer::Char, Analyzer::WordChar].map(of).into();
    all.extend(all.clone().into_iter().map(|p| TextParams { hashed: Some(64), ..p }));
    all
}

#[test]
fn the_hash_is_murmur_3() {
    // As scikit-learn's `murmurhash3_32` has them.
    for (text, expected) in [
        ("", 0),
        ("a", 0x3c25_69b2),
        ("aa", 0x3710_91a9),
        ("abc", 0xb3dd_93fa),
        ("test", 0xba6b_d213),
        ("Hello, world!", 0xc036_3e43),
        ("été", 0x3393_660f),
        ("日本語 x", 0x3a70_ff77),
        ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
    ] {
        assert_eq!(hash(text), expected, "{text:?}");
    }
    assert_eq!(bucket(0x8000_0000, 100), (48, -1.0), "2^31 has no positive of its kind");
}

#[test]
fn other_columns_are_scaled_and_texts_keep_their_length() {
    let table = mixed();
    let fit = |scaling, text| {
        let fitted = Pipeline::fit(std::slice::from_ref(&table), &table, features(scaling, text)).expect("columns");
        fitted.target.into_dense()
    };
    let own = TextParams { word_ngrams: [1, 1], ..TextParams::default() };
    let half = 0.5_f64.sqrt();
    for scaling in [Scaling::JointZScore, Scaling::DomainZScore] {
        let x = fit(scaling, own);
        assert!(x.column(0).sum().abs() < 1e-12 && x[(0, 0)] < 0.0, "{scaling:?}");
        // In alphabetical order: blue, green, red.
        let expected = ndarray::array![[0.0, half, half], [half, half, 0.0], [half, 0.0, half]];
        assert!((&x.slice(ndarray::s![.., 1..]) - &expected).iter().all(|v: &f64| v.abs() < 1e-15), "{scaling:?}");
    }
    let as_others = fit(Scaling::JointZScore, TextParams { scaling: TextScaling::AsOtherColumns, ..own });
    assert!(as_others.mean_axis(ndarray::Axis(0)).expect("rows").iter().all(|m| m.abs() < 1e-12));
    let unit = fit(Scaling::L2Rows, own);
    assert!(unit.column(0).to_vec() == [1.0; 3] && (unit[(0, 2)] - half).abs() < 1e-15, "{unit}");
}

#[test]
fn counts_beside_text_are_weighed_and_hashed_texts_are_no_negative_counts() {
    let table = mixed();
    let fit = |text| Pipeline::fit(std::slice::from_ref(&table), &table, features(Scaling::TfIdf, text));
    let hashed = TextParams { hashed: Some(64), ..TextParams::default() };
    let fitted = fit(hashed).expect("counts");
    assert_eq!(fitted.pipeline.transform(&table.table), Ok(fitted.target));
    let error = fit(TextParams { scaling: TextScaling::AsOtherColumns, ..hashed }).expect_err("signs").to_string();
    assert!(error.contains("\"t\""), "{error}");
    let negative = domain(vec![("n", Values::Number(vec![Some(-1.0)])), ("t", texts_of(&["red"]))]);
    assert_eq!(fitted.pipeline.transform(&negative.table).expect_err("a count")[0].column, "n");
}

#[test]
fn a_missing_text_is_an_empty_one_and_unseen_words_are_nothing() {
    let table = mixed();
    let pipeline =
        Pipeline::fit(std::slice::from_ref(&table), &table, FeatureParams::default()).expect("columns").pipeline;
    let number = || Values::Number(vec![Some(4.0); 3]);
    let texts = Values::Text(vec![None, Some(String::new()), Some("violet 🎉".into())]);
    let x = pipeline.transform(&domain(vec![("n", number()), ("t", texts)]).table).expect("rows").into_dense();
    assert!(x.slice(ndarray::s![.., 1..]).iter().all(|v| *v == 0.0), "{x}");
    // Whatever a reader takes the cells of rows for: numbers, categories, booleans.
    let as_text = texts_of(&["7", "7", "red"]);
    for other in [Values::categories([Some("7"), Some("7"), Some("red")]), as_text] {
        assert!(pipeline.transform(&domain(vec![("n", number()), ("t", other)]).table).is_ok());
    }
    let gone = pipeline.transform(&domain(vec![("n", number())]).table).expect_err("no text");
    assert_eq!((gone[0].code, gone[0].column.as_str()), ("missing_column", "t"));
}

#[test]
fn a_column_is_text_where_any_domain_has_text() {
    let source = domain(vec![("t", texts_of(&["red green", "green blue", "blue red"]))]);
    let target = domain(vec![("t", Values::categories([Some("red"), Some("red green"), None]))]);
    for (a, b) in [(&source, &target), (&target, &source)] {
        let fitted = Pipeline::fit(std::slice::from_ref(a), b, FeatureParams::default()).expect("texts");
        assert_eq!(fitted.pipeline.inputs(), [("t", crate::data::Kind::Text)]);
    }
}

#[test]
fn texts_without_anything_in_common_are_left_out_and_named() {
    let column = |texts: &[&str]| {
        let numbers = Values::Number((0..texts.len()).map(|i| Some(i as f64)).collect());
        domain(vec![("n", numbers), ("t", texts_of(texts))])
    };
    let fit = |a: &DomainTable, b: &DomainTable| Pipeline::fit(std::slice::from_ref(a), b, FeatureParams::default());
    let (source, target) = (column(&["aa", "bb"]), column(&["cc"]));
    assert_eq!(fit(&source, &target).expect("n").pipeline.inputs().len(), 1);
    let alone = |d: &DomainTable| domain(vec![("t", d.table.columns()[1].values.clone())]);
    let error = fit(&alone(&source), &alone(&target)).expect_err("nothing").to_string();
    assert!(error.contains("nothing in common"), "{error}");
}

#[test]
fn hostile_texts_are_encoded_in_linear_time() {
    let huge = "x".repeat(1 << 20);
    let spaced = "a ".repeat(1 << 19);
    let hostile = ["", " ", "🎉🎉🎉 👩‍👩‍👧", "\u{202e}שלום\u{202c}", "!!!", "\u{0}\u{1}", &huge, &spaced, "ﬃ ẞ İ"];
    let table = domain(vec![("t", texts_of(&hostile)), ("n", Values::Number(vec![Some(1.0); hostile.len()]))]);
    for text in every_analyzer() {
        let fitted = Pipeline::fit(std::slice::from_ref(&table), &table, features(Scaling::None, text)).expect("texts");
        assert!(fitted.target.dense().iter().all(|v| v.is_finite()), "{text:?}");
    }
}

/// Wants no more from the first look on.
struct Stopped;

impl Observer for Stopped {
    fn report(&self, _: Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        Err(FitError::Cancelled)
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

#[test]
fn counting_and_encoding_stop_when_they_are_told_to() {
    let column = Values::Text(vec![Some("red green blue ".repeat(10_000)); 3]);
    for text in every_analyzer() {
        let fit = |ctx: &Ctx| TextEncoding::fit("t", &[&column], &text, ctx);
        assert_eq!(fit(&Ctx::new(0, &Stopped)).expect_err("no more").code(), "job.cancelled");
        let (encoding, _) = fit(&Ctx::new(0, &Silent)).expect("texts").expect("terms");
        encoding.entries(&column, &|| false, |row, _, _| panic!("row {row} is encoded"));
    }
}

#[test]
fn a_file_that_lies_about_terms_is_refused() {
    let column = texts_of(&["red green", "green red"]);
    let (sound, _) = TextEncoding::fit("t", &[&column], &TextParams::default(), &Ctx::new(0, &Silent))
        .expect("texts")
        .expect("terms");
    assert_eq!(sound.check(), Ok(()));
    let short = TextEncoding { idf: vec![1.0], ..sound.clone() };
    let odd = TextEncoding { idf: vec![f64::NAN; sound.width()], ..sound.clone() };
    let turned = match sound.terms.clone() {
        Terms::Vocabulary { terms } => Terms::Vocabulary { terms: terms.into_iter().rev().collect() },
        Terms::Hashed { .. } => panic!("a vocabulary"),
    };
    for lying in [short, odd, TextEncoding { terms: turned, ..sound }] {
        assert!(lying.check().is_err(), "{lying:?}");
    }
}

fn dense(x: &Matrix) -> Array2<f64> {
    x.dense().into_owned()
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn the_order_of_rows_and_a_file_change_no_bit(
        rows in proptest::collection::vec("[ab c🎉É]{0,12}", 2..12),
        turn in 0usize..12,
        which in 0usize..6,
    ) {
        let params = features(Scaling::JointZScore, every_analyzer()[which]);
        let numbers = || Values::Number((0..rows.len()).map(|i| Some(i as f64)).collect());
        let whole = domain(vec![("t", Values::Text(rows.iter().cloned().map(Some).collect())), ("n", numbers())]);
        let order: Vec<usize> = (0..rows.len()).map(|i| (i + turn) % rows.len()).collect();
        let turned = whole.select_rows(&order).into_owned();
        let fit = |d: &DomainTable| Pipeline::fit(std::slice::from_ref(d), d, FeatureParams { scaling: Scaling::None, ..params }).expect("rows");
        let (a, b) = (fit(&whole), fit(&turned));
        proptest::prop_assert_eq!(dense(&a.target.select_rows(&order)), dense(&b.target));
        let scaled = Pipeline::fit(std::slice::from_ref(&whole), &turned, params).expect("rows");
        let loaded = Pipeline::load(&scaled.pipeline.save()).expect("what was saved loads");
        proptest::prop_assert_eq!(&loaded, &scaled.pipeline);
        proptest::prop_assert_eq!(loaded.transform(&turned.table).expect("rows"), scaled.target);
        // A row is encoded as it is, whatever rows come with it.
        let one = loaded.transform(&turned.select_rows(&[0]).table).expect("a row");
        proptest::prop_assert_eq!(dense(&one).row(0).to_vec(), dense(&loaded.transform(&turned.table).expect("rows")).row(0).to_vec());
    }
}
