//! Writes the seeds that are not text: `cargo run --example seeds`, in this folder. They are committed, so that only a
//! new one needs this.

use std::error::Error;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use adaptation::data::{Column, Table, Values};
use adaptd::ingest::stored::write_parquet;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt16Array,
};
use arrow::datatypes::Int8Type;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

type Bytes = Result<Vec<u8>, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    for (name, bytes) in [
        ("npy/numbers", npy("<f4", "(2, 2)", &[0; 16])),
        ("npy/integers", npy(">i2", "(3,)", &[0, 1, 0, 2, 255, 255])),
        ("npy/truths", npy("|b1", "(2, 1)", &[0, 1])),
        ("npz/stored", archive(zip::CompressionMethod::Stored)?),
        ("npz/deflated", archive(zip::CompressionMethod::Deflated)?),
        ("arrow/file", arrow_file()?),
        ("arrow/stream", arrow_stream()?),
        ("stored/dense", write_parquet(&dense())?),
        ("stored/sparse", write_parquet(&sparse())?),
        ("parquet/dense", write_parquet(&dense())?),
        ("packed/gzip", packed(GzEncoder::new(Vec::new(), Compression::best()))?),
        ("packed/zlib", packed(ZlibEncoder::new(Vec::new(), Compression::best()))?),
        ("packed/deflate", packed(DeflateEncoder::new(Vec::new(), Compression::best()))?),
        ("packed/zstd", zstd::encode_all(&b"a,b\n1,2\n"[..], 3)?),
        ("model/version_1", MODEL.to_vec()),
        ("model_parts/logistic", parts(MODEL)?),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        std::fs::create_dir_all(path.parent().ok_or("a folder")?)?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

const MODEL: &[u8] = include_bytes!("../../crates/adaptation/tests/reference/model_version_1.safetensors");

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn archive(method: zip::CompressionMethod) -> Bytes {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, array) in [("X.npy", npy("<f8", "(2, 1)", &[0; 16])), ("y.npy", npy("<U1", "(2,)", b"a\0\0\0b\0\0\0"))] {
        zip.start_file(name, options)?;
        zip.write_all(&array)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn batch() -> Result<RecordBatch, Box<dyn Error>> {
    let words: DictionaryArray<Int8Type> = [Some("b"), None, Some("a")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("f", Arc::new(Float32Array::from(vec![Some(1.5), None, Some(2.0)]))),
        ("i", Arc::new(UInt16Array::from(vec![1, 2, 3]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_000, 2_000, 3_999]).with_timezone("UTC"))),
        ("d", Arc::new(Date32Array::from(vec![1, 2, 3]))),
        ("n", Arc::new(Decimal128Array::from(vec![100, 250, 399]))),
        ("v", Arc::new(StringViewArray::from(vec!["a long word that is not inlined", "u", "u"]))),
        ("label", Arc::new(words)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn arrow_file() -> Bytes {
    let batch = batch()?;
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

fn arrow_stream() -> Bytes {
    let batch = batch()?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

fn column(name: &str, values: Values) -> Column {
    Column { name: name.into(), values }
}

fn dense() -> Table {
    Table::new(vec![
        column("n", Values::Number(vec![Some(1.5), None, Some(-0.0)])),
        column("i", Values::Integer(vec![Some(1), None, Some(-3)])),
        column("b", Values::Boolean(vec![Some(true), None, Some(false)])),
        column("c", Values::categories([Some("x"), None, Some("y")])),
        column("t", Values::Text(vec![Some("some".into()), None, Some("words".into())])),
        column("at", Values::Timestamp(vec![Some(1), None, Some(2)])),
    ])
}

fn sparse() -> Table {
    let values = |rows, values| Values::Sparse { rows, values, n_rows: 3 };
    Table::new(vec![
        column("x0", values(vec![0, 2], vec![1.0, 2.0])),
        column("label", Values::Integer(vec![Some(1), Some(0), None])),
        column("x1", values(vec![1], vec![-4.5])),
    ])
}

fn packed(mut encoder: impl Pack) -> Bytes {
    encoder.write_all(b"a,b\n1,2\n")?;
    encoder.done()
}

trait Pack: Write {
    fn done(self) -> Bytes;
}

macro_rules! pack {
    ($($name:ident)*) => {
        $(impl Pack for $name<Vec<u8>> {
            fn done(self) -> Bytes {
                Ok(self.finish()?)
            }
        })*
    };
}

pack!(GzEncoder ZlibEncoder DeflateEncoder);

/// A model file in the form that the target `model_parts` takes.
fn parts(file: &[u8]) -> Bytes {
    let n = u64::from_le_bytes(*file.first_chunk::<8>().ok_or("a length")?) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + n])?;
    let inner: Value = serde_json::from_str(header["__metadata__"]["adaptd"].as_str().ok_or("a manifest")?)?;
    let arrays = header.as_object().ok_or("an object")?.iter().filter(|(name, _)| *name != "__metadata__");
    let shapes: serde_json::Map<String, Value> = arrays.map(|(name, a)| (name.clone(), a["shape"].clone())).collect();
    let document = json!({"version": inner["version"], "manifest": inner["manifest"], "values": inner["values"], "arrays": shapes});
    Ok([document.to_string().as_bytes(), &[0], &file[8 + n..]].concat())
}
