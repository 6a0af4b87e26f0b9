//! Every way in which an upload can be bad has its code, its place and its cure; every good one is read as it is meant.

mod arrow;
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

use std::io::Write;

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
