//! Sparse columns at rest: for each row, the numbers of the sparse columns that are not zero there, and their values.

use std::sync::Arc;

use adaptation::data::{Column, Values};
use arrow::array::{ArrayRef, AsArray, Float64Array, LargeListArray, RecordBatch, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, UInt32Type};

use super::StoredError;

const INDICES: &str = "adaptd.sparse.indices";
const VALUES: &str = "adaptd.sparse.values";

/// The two lists of a table of `n_rows`; columns are numbered in their order among the sparse ones.
pub(super) fn lists(n_rows: usize, columns: &[(usize, &Column)]) -> [(&'static str, ArrayRef); 2] {
    let mut lengths = vec![0_usize; n_rows];
    let entries = || {
        columns.iter().enumerate().flat_map(|(j, (_, column))| {
            let (rows, values): (&[u32], &[f64]) = match &column.values {
                Values::Sparse { rows, values, .. } => (rows, values),
                _ => (&[], &[]),
            };
            rows.iter().zip(values).map(move |(row, value)| (*row as usize, j as u32, *value))
        })
    };
    entries().for_each(|(row, ..)| lengths[row] += 1);
    let offsets = OffsetBuffer::<i64>::from_lengths(lengths);
    let mut next: Vec<usize> = offsets.iter().map(|o| *o as usize).collect();
    let total = next.last().copied().unwrap_or_default();
    let (mut indices, mut numbers) = (vec![0_u32; total], vec![0.0; total]);
    for (row, j, value) in entries() {
        let at = next[row];
        next[row] += 1;
        (indices[at], numbers[at]) = (j, value);
    }
    let list = |kind: DataType, items: ArrayRef| -> ArrayRef {
        Arc::new(LargeListArray::new(Arc::new(Field::new("item", kind, true)), offsets.clone(), items, None))
    };
    [
        (INDICES, list(DataType::UInt32, Arc::new(UInt32Array::from(indices)))),
        (VALUES, list(DataType::Float64, Arc::new(Float64Array::from(numbers)))),
    ]
}

/// The values of the sparse columns; the lists are columns `first` and the next of every batch.
pub(super) fn columns(batches: &[RecordBatch], first: usize, n_columns: usize) -> Result<Vec<Values>, StoredError> {
    let corrupt = || StoredError::Corrupt("its sparse columns are not two lists that fit together".into());
    let mut entries: Vec<(Vec<u32>, Vec<f64>)> = vec![Default::default(); n_columns];
    let mut row = 0_usize;
    for batch in batches {
        let list = |j: usize| batch.columns().get(j).and_then(|c| c.as_list_opt::<i64>()).ok_or_else(corrupt);
        let (indices, values) = (list(first)?, list(first + 1)?);
        for i in 0..batch.num_rows() {
            let (indices, values) = (indices.value(i), values.value(i));
            let indices = indices.as_primitive_opt::<UInt32Type>().ok_or_else(corrupt)?.values();
            let values = values.as_primitive_opt::<Float64Type>().ok_or_else(corrupt)?.values();
            if indices.len() != values.len() {
                return Err(corrupt());
            }
            for (j, value) in indices.iter().zip(values) {
                let column = entries.get_mut(*j as usize).ok_or_else(corrupt)?;
                column.0.push(row as u32);
                column.1.push(*value);
            }
            row += 1;
        }
    }
    Ok(entries.into_iter().map(|(rows, values)| Values::Sparse { rows, values, n_rows: row }).collect())
}
