//! Predictions as a file of rows, written part by part: CSV, NDJSON or Parquet.

use std::sync::Arc;

use adaptation::data::Values;
use adaptation::learners::{Prediction, Scores};
use arrow::array::{Array as _, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Axis;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Answer, WriteError, ids, json};
use crate::records::FileFormat;

/// A file that grows in memory.
pub struct FileWriter {
    format: FileFormat,
    csv: csv::Writer<Vec<u8>>,
    lines: Vec<u8>,
    parquet: Option<ArrowWriter<Vec<u8>>>,
    /// Whether the header, or the schema, is written.
    begun: bool,
}

/// One column of the file; label columns are words, all others but the first numbers.
enum Cells<'a> {
    /// What the rows are called.
    Id(&'a Values),
    Words(Vec<&'a str>),
    Numbers(Vec<f64>),
}

impl FileWriter {
    pub fn new(format: FileFormat) -> Self {
        Self { format, csv: csv::Writer::from_writer(Vec::new()), lines: Vec::new(), parquet: None, begun: false }
    }

    /// Appends predictions, all of one model and with the same things beside.
    ///
    /// # Errors
    /// Only of a defect.
    pub fn add(&mut self, answer: &Answer) -> Result<(), WriteError> {
        match self.format {
            FileFormat::Csv => self.add_csv(answer),
            FileFormat::Parquet => self.add_parquet(answer),
            FileFormat::Ndjson => json::lines(answer, &mut self.lines),
        }
    }

    /// # Errors
    /// Only of a defect.
    pub fn finish(self) -> Result<Vec<u8>, WriteError> {
        match self.format {
            FileFormat::Csv => self.csv.into_inner().map_err(|e| WriteError::of(FileFormat::Csv, e)),
            FileFormat::Parquet => match self.parquet {
                Some(writer) => writer.into_inner().map_err(|e| WriteError::of(FileFormat::Parquet, e)),
                None => Ok(Vec::new()),
            },
            FileFormat::Ndjson => Ok(self.lines),
        }
    }

    fn add_csv(&mut self, answer: &Answer) -> Result<(), WriteError> {
        let fail = |e: csv::Error| WriteError::of(FileFormat::Csv, e);
        let columns = columns(answer);
        if !std::mem::replace(&mut self.begun, true) {
            self.csv.write_record(columns.iter().map(|(name, _)| name)).map_err(fail)?;
        }
        for i in 0..answer.prediction.len() {
            for (_, cells) in &columns {
                match cells {
                    Cells::Id(values) => self.csv.write_field(ids::word(values, i)).map_err(fail)?,
                    Cells::Words(words) => self.csv.write_field(words[i]).map_err(fail)?,
                    Cells::Numbers(numbers) => self.csv.write_field(number(numbers[i])).map_err(fail)?,
                }
            }
            self.csv.write_record(None::<&[u8]>).map_err(fail)?;
        }
        Ok(())
    }

    fn add_parquet(&mut self, answer: &Answer) -> Result<(), WriteError> {
        let fail = |e: &dyn std::fmt::Display| WriteError::of(FileFormat::Parquet, e);
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns(answer)
            .into_iter()
            .map(|(name, cells)| -> (Field, ArrayRef) {
                match cells {
                    Cells::Id(values) => {
                        let array = ids::array(values);
                        (Field::new(name, array.data_type().clone(), true), array)
                    }
                    Cells::Words(words) => {
                        (Field::new(name, DataType::Utf8, false), Arc::new(StringArray::from_iter_values(words)))
                    }
                    Cells::Numbers(numbers) => {
                        (Field::new(name, DataType::Float64, false), Arc::new(Float64Array::from(numbers)))
                    }
                }
            })
            .unzip();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|e| fail(&e))?;
        if self.parquet.is_none() {
            // Zstd's own default, as tables at rest have it.
            let level = ZstdLevel::try_new(3).map_err(|e| fail(&e))?;
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
            let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(|e| fail(&e))?;
            self.parquet = Some(writer);
        }
        self.parquet.as_mut().map_or(Ok(()), |writer| writer.write(&batch)).map_err(|e| fail(&e))
    }
}

/// What the rows are called, if that is known; `label` and a column for each class, or `value`; the same once more where
/// source-only stands beside.
fn columns(answer: &Answer) -> Vec<(String, Cells<'_>)> {
    let mut columns = of_one("", &answer.classes, &answer.prediction);
    if let Some(beside) = &answer.source_only {
        columns.extend(of_one("source_only_", &answer.classes, beside));
    }
    if let Some(id) = &answer.id {
        let name = ids::name(id, |name| columns.iter().any(|(other, _)| other == name));
        columns.insert(0, (name, Cells::Id(&id.values)));
    }
    columns
}

fn of_one<'a>(prefix: &str, classes: &'a [String], prediction: &Prediction) -> Vec<(String, Cells<'a>)> {
    match prediction {
        Prediction::Classes { codes, scores, kind } => {
            let what = if *kind == Scores::Probability { "probability" } else { "score" };
            let words = codes.iter().map(|code| classes[*code].as_str()).collect();
            let by_class = classes.iter().zip(scores.axis_iter(Axis(1)));
            let numbers = by_class.map(|(c, s)| (format!("{prefix}{what}_{c}"), Cells::Numbers(s.to_vec())));
            std::iter::once((format!("{prefix}label"), Cells::Words(words))).chain(numbers).collect()
        }
        Prediction::Values(values) => vec![(format!("{prefix}value"), Cells::Numbers(values.to_vec()))],
    }
}

/// The shortest digits that are this number again; with an exponent where there would be many zeros.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) { format!("{value:e}") } else { value.to_string() }
}
