//! The state of a resampled evaluation: what the models of the splits that are done say about their test rows. It is read
//! by the library that wrote it and for the spec it was written for; anything else is as if there were none, and the work
//! begins anew.

use std::collections::HashMap;

use ndarray::{Array1, Array2};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scoring::Pair;
use super::spec::Spec;
use crate::learners::{Prediction, Scores};

/// The key among the metadata of the safetensors header, and the one tensor: all numbers, one behind the other.
const KEY: &str = "adaptd-checkpoint";
const NUMBERS: &str = "numbers";

/// What stands in the header.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    library: String,
    spec: Spec,
    splits: Vec<Entry>,
}

/// One split that is done.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    rows: Vec<usize>,
    adapted: Shape,
    source_only: Option<Shape>,
}

/// A prediction without its numbers.
#[derive(Debug, Serialize, Deserialize)]
enum Shape {
    /// `codes (n,)` and how many scores each row has.
    Classes {
        codes: Vec<usize>,
        n_scores: usize,
        kind: Scores,
    },
    Values {
        n: usize,
    },
}

/// The state after these splits.
pub(super) fn write(spec: &Spec, done: &[Pair]) -> Vec<u8> {
    let mut numbers: Vec<u8> = Vec::new();
    let splits = done
        .iter()
        .map(|pair| Entry {
            rows: pair.rows.clone(),
            adapted: Shape::of(&pair.adapted, &mut numbers),
            source_only: pair.source_only.as_ref().map(|p| Shape::of(p, &mut numbers)),
        })
        .collect();
    let header = Header { library: env!("CARGO_PKG_VERSION").to_owned(), spec: spec.clone(), splits };
    let view = TensorView::new(Dtype::F64, vec![numbers.len() / 8], &numbers);
    // Neither can fail for what is made here; an empty state is one that nobody can read.
    let (Ok(header), Ok(view)) = (serde_json::to_string(&header), view) else { return Vec::new() };
    safetensors::serialize([(NUMBERS, view)], Some(HashMap::from([(KEY.to_owned(), header)]))).unwrap_or_default()
}

/// The splits that are done, of those whose test rows are `tests`, in their order; none where the state is not of this
/// work.
pub(super) fn read(bytes: &[u8], spec: &Spec, tests: &[&[usize]]) -> Vec<Pair> {
    let done = parse(bytes, spec).unwrap_or_default();
    let same = done.len() <= tests.len() && done.iter().zip(tests).all(|(pair, test)| pair.rows == *test);
    if same { done } else { Vec::new() }
}

fn parse(bytes: &[u8], spec: &Spec) -> Option<Vec<Pair>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let header: Value = serde_json::from_str(metadata.metadata().as_ref()?.get(KEY)?).ok()?;
    let header: Header = serde_json::from_value(header).ok()?;
    if header.library != env!("CARGO_PKG_VERSION") || header.spec != *spec {
        return None;
    }
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let view = tensors.tensor(NUMBERS).ok().filter(|view| view.dtype() == Dtype::F64)?;
    let mut numbers = view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
    let mut pairs = Vec::with_capacity(header.splits.len());
    for Entry { rows, adapted, source_only } in header.splits {
        let n = rows.len();
        let adapted = adapted.fill(n, &mut numbers)?;
        let source_only = match source_only {
            Some(shape) => Some(shape.fill(n, &mut numbers)?),
            None => None,
        };
        pairs.push(Pair { rows, adapted, source_only });
    }
    numbers.next().is_none().then_some(pairs)
}

impl Shape {
    /// Moves the numbers of a prediction to the end of `numbers`.
    fn of(prediction: &Prediction, numbers: &mut Vec<u8>) -> Self {
        match prediction {
            Prediction::Classes { codes, scores, kind } => {
                numbers.extend(scores.iter().flat_map(|v| v.to_le_bytes()));
                Shape::Classes { codes: codes.clone(), n_scores: scores.ncols(), kind: *kind }
            }
            Prediction::Values(values) => {
                numbers.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                Shape::Values { n: values.len() }
            }
        }
    }

    /// The prediction of `n_rows` with the next of the numbers.
    fn fill(self, n_rows: usize, numbers: &mut impl ExactSizeIterator<Item = f64>) -> Option<Prediction> {
        match self {
            Shape::Classes { codes, n_scores, kind } if codes.len() == n_rows => {
                let scores = take(n_rows.checked_mul(n_scores)?, numbers)?;
                let in_range = codes.iter().all(|code| *code < n_scores);
                let scores = Array2::from_shape_vec((n_rows, n_scores), scores).ok()?;
                in_range.then_some(Prediction::Classes { codes, scores, kind })
            }
            Shape::Values { n } if n == n_rows => Some(Prediction::Values(Array1::from(take(n, numbers)?))),
            _ => None,
        }
    }
}

/// The next `n` numbers, if there are so many: the header is not believed before it is seen.
fn take(n: usize, numbers: &mut impl ExactSizeIterator<Item = f64>) -> Option<Vec<f64>> {
    if numbers.len() < n {
        return None;
    }
    Some(numbers.take(n).collect())
}
