//! Predictions as JSON, without a tree of values in between.

use adaptation::learners::Prediction;
use ndarray::ArrayView1;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::{Answer, Form, WriteError, ids, scores_name};
use crate::records::FileFormat;

/// Bytes of a number with its comma, about.
const BYTES_PER_NUMBER: usize = 24;

/// What a row says of itself.
const FIELDS: [&str; 6] = ["label", "probabilities", "scores", "value", "source_only", "features"];

pub(super) fn document(answer: &Answer) -> Result<Vec<u8>, WriteError> {
    let mut bytes = Vec::with_capacity(128 + BYTES_PER_NUMBER * answer.n_numbers());
    serde_json::to_writer(&mut bytes, &Document(answer)).map_err(|e| WriteError::new(Form::Json, e))?;
    Ok(bytes)
}

/// One object a line.
pub(super) fn lines(answer: &Answer, into: &mut Vec<u8>) -> Result<(), WriteError> {
    into.reserve(BYTES_PER_NUMBER * answer.n_numbers());
    for i in 0..answer.prediction.len() {
        serde_json::to_writer(&mut *into, &Row(answer, i)).map_err(|e| WriteError::of(FileFormat::Ndjson, e))?;
        into.push(b'\n');
    }
    Ok(())
}

struct Document<'a>(&'a Answer);
struct Rows<'a>(&'a Answer);
struct Row<'a>(&'a Answer, usize);
/// One row of one model's predictions.
struct One<'a>(&'a [String], &'a Prediction, usize);
struct ByClass<'a>(&'a [String], ArrayView1<'a, f64>);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("model", &self.0.model)?;
        map.serialize_entry("predictions", &Rows(self.0))?;
        map.end()
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let n = self.0.prediction.len();
        let mut rows = serializer.serialize_seq(Some(n))?;
        for i in 0..n {
            rows.serialize_element(&Row(self.0, i))?;
        }
        rows.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Row(answer, i) = *self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = &answer.id {
            map.serialize_entry(&ids::name(id, |name| FIELDS.contains(&name)), &ids::cell(&id.values, i))?;
        }
        One(&answer.classes, &answer.prediction, i).entries(&mut map)?;
        if let Some(beside) = &answer.source_only {
            map.serialize_entry("source_only", &One(&answer.classes, beside, i))?;
        }
        if let Some(features) = &answer.features {
            map.serialize_entry("features", &Numbers(features.row(i)))?;
        }
        map.end()
    }
}

impl One<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let One(classes, prediction, i) = *self;
        match prediction {
            Prediction::Classes { codes, scores, kind } => {
                map.serialize_entry("label", &classes[codes[i]])?;
                map.serialize_entry(scores_name(*kind), &ByClass(classes, scores.row(i)))
            }
            Prediction::Values(values) => map.serialize_entry("value", &values[i]),
        }
    }
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(&self.1))
    }
}

struct Numbers<'a>(ArrayView1<'a, f64>);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}
