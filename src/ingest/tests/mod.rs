//! Every way in which an upload can be bad has its code, its place and its cure; every good one is read as it is meant.

mod arrow;
mod chunks;
mod csv;
mod dialect;
mod json;
mod npy;
mod npz;
mod packed;
mod parquet;
mod properties;
mod roles;
mod svmlight;

use std::io::{Read, Seek, Write};

use bytes::Bytes;

use super::*;

/// Reads into memory, and checks that storing row by row, in chunks of a few rows and as a whole comes to the same.
#[track_caller]
fn read(source: &Source, options: &Options) -> Result<Ingested, IngestError> {
    let found = super::read(source, options);
    for n_bytes in [1, 150, usize::MAX] {
        let mut file = tempfile::tempfile().unwrap();
        let out = Output::file(file.try_clone().unwrap()).with_chunks(n_bytes);
        match (&found, store_through(source, options, out)) {
            (Ok(found), Ok(stored)) => {
                let mut bytes = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut bytes).unwrap();
                assert_eq!(stored.written.n_bytes, bytes.len() as u64);
                check_same(found, &stored, &stored::read_parquet(bytes.into()).unwrap());
                let notes = if n_bytes == usize::MAX { &found.notes } else { &stored.notes };
                assert_eq!(&stored.notes, notes);
            }
            (Err(found), Err(stored)) => assert_eq!(*found, stored),
            (found, stored) => {
                panic!("in memory {:?}, stored in chunks of {n_bytes} {:?}", found.as_ref().err(), stored.err())
            }
        }
    }
    found
}

/// The same rows, roles and statistics. Whether words are a category or text may be seen otherwise from a first chunk.
#[track_caller]
fn check_same(found: &Ingested, stored: &Stored, table: &Table) {
    assert_eq!((found.format, found.task, found.table.n_rows()), (stored.format, stored.task, stored.n_rows));
    assert_eq!((table.columns().len(), table.n_rows()), (found.table.columns().len(), stored.n_rows));
    for (i, summary) in stored.columns.iter().enumerate() {
        let (one, other) = (&found.table.columns()[i], &table.columns()[i]);
        assert_eq!((&one.name, &one.name), (&other.name, &summary.name));
        assert_eq!(other.values.kind(), summary.kind);
        let is_words = |v: &Values| matches!(v.kind(), Kind::Category | Kind::Text);
        if one.values.kind() == other.values.kind() {
            assert_eq!(one.values, other.values, "{}", one.name);
            assert_eq!(found.roles[i], stored.roles[i], "{}", one.name);
        } else {
            assert!(is_words(&one.values) && is_words(&other.values), "{:?} and {:?}", one, other);
            (0..stored.n_rows).for_each(|row| assert_eq!(one.values.word(row), other.values.word(row)));
        }
        let (one, other) = (&found.statistics[i], &summary.statistics);
        assert_eq!((one.count, one.missing, &one.words), (other.count, other.missing, &other.words));
        if let (Some(one), Some(other)) = (&one.number, &other.number) {
            let near =
                |a: f64, b: f64| (a - b).abs() <= 1e-12 * (one.max - one.min).max(1.0) || a.to_bits() == b.to_bits();
            assert!(near(one.mean, other.mean) && near(one.std, other.std), "{one:?} and {other:?}");
            assert_eq!(
                (one.min, one.max, &one.quantiles, &one.histogram),
                (other.min, other.max, &other.quantiles, &other.histogram)
            );
        }
    }
}

/// An error as a client sees it: code, place and message.
#[track_caller]
fn refused(source: impl Into<Bytes>, options: &Options) -> (&'static str, Place, String) {
    let error = read(&source.into().into(), options).expect_err("it should be refused");
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
    read(&source.to_owned().into(), &Options::default()).unwrap()
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

fn parquet_file(columns: Vec<(&str, ::arrow::array::ArrayRef)>) -> Vec<u8> {
    let batch = ::arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
