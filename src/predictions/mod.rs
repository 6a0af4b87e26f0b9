//! What models say about rows, and the same as bytes in every form that it is asked for. It knows no HTTP, no SQL and
//! no runtime; answers over HTTP and files of jobs are written by the same lines.

mod file;
mod ids;
mod json;
mod npy;

use std::fmt;

use adaptation::data::{Column, Table};
use adaptation::engine::FittedModel;
use adaptation::features::InputProblem;
use adaptation::learners::{Prediction, Scores};
use ndarray::Array2;

pub use file::FileWriter;
pub use ids::cell;

use crate::records::{FileFormat, Include};

/// How predictions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Npy,
    File(FileFormat),
}

/// Predictions of one model, row by row in the order of the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `name@version`
    pub model: String,
    /// What codes and columns of scores stand for; empty for a regression.
    pub classes: Vec<String>,
    pub prediction: Prediction,
    /// Of the same rows, where it was asked for.
    pub source_only: Option<Prediction>,
    /// `(n, k)`, where it was asked for.
    pub features: Option<Array2<f64>>,
    /// What the rows are called, where a file is to say it; written before everything else.
    pub id: Option<Column>,
}

/// Why predictions cannot be written; a defect, or no memory.
#[derive(Debug, thiserror::Error)]
#[error("predictions cannot be written as {form}: {cause}")]
pub struct WriteError {
    form: Form,
    cause: String,
}

impl Answer {
    /// Predicts rows. What `include` names and the model does not keep is left out.
    ///
    /// # Errors
    /// As [`FittedModel::predict`].
    pub fn of(
        (name, model): (String, &FittedModel),
        rows: &Table,
        include: &[Include],
    ) -> Result<Self, Vec<InputProblem>> {
        let x = model.transform(rows)?;
        let z = model.adapt(&x);
        let wants = |what| include.contains(&what);
        Ok(Self {
            model: name,
            classes: model.manifest().classes.clone(),
            prediction: model.predict_adapted(&z),
            source_only: if wants(Include::SourceOnly) { model.predict_source_only(&x) } else { None },
            features: wants(Include::Features).then(|| z.into_owned().into_dense()),
            id: None,
        })
    }

    /// The answer as one document or file.
    ///
    /// # Errors
    /// Only of a defect.
    pub fn write(&self, form: Form) -> Result<Vec<u8>, WriteError> {
        match form {
            Form::Json => json::document(self),
            Form::Npy => Ok(npy::scores(&self.prediction)),
            Form::File(format) => {
                let mut file = FileWriter::new(format);
                file.add(self)?;
                file.finish()
            }
        }
    }

    /// Numbers in the answer, about: what writing costs.
    pub fn n_numbers(&self) -> usize {
        let columns = 1 + self.classes.len();
        let beside = if self.source_only.is_some() { columns } else { 0 };
        self.prediction.len() * (columns + beside + self.features.as_ref().map_or(0, |f| f.ncols()))
    }
}

impl Form {
    pub const fn as_str(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Npy => "npy",
            Form::File(format) => format.as_str(),
        }
    }

    pub const fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Npy => "application/x-npy",
            Form::File(format) => format.media_type(),
        }
    }

    /// Whether this form has a place for what is included.
    pub const fn holds(self, include: Include) -> bool {
        match (self, include) {
            (Form::Json | Form::File(FileFormat::Ndjson), _) => true,
            (Form::File(_), Include::SourceOnly) => true,
            (Form::File(_), Include::Features) | (Form::Npy, _) => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl WriteError {
    fn new(form: Form, cause: impl fmt::Display) -> Self {
        Self { form, cause: cause.to_string() }
    }

    fn of(format: FileFormat, cause: impl fmt::Display) -> Self {
        Self::new(Form::File(format), cause)
    }
}

/// What the numbers by class are called.
const fn scores_name(kind: Scores) -> &'static str {
    match kind {
        Scores::Probability => "probabilities",
        Scores::Decision => "scores",
    }
}

#[cfg(test)]
mod tests;
