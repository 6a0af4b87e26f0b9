//! What rows are called, beside what is predicted of them.

use std::sync::Arc;

use adaptation::data::{Column, Values};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use serde_json::Value;

use crate::records::Timestamp;

/// A value as JSON has it; times are RFC 3339.
pub fn cell(values: &Values, row: usize) -> Value {
    match values {
        Values::Number(_) | Values::Sparse { .. } => values.number(row).map_or(Value::Null, Value::from),
        Values::Integer(v) => v[row].map_or(Value::Null, Value::from),
        Values::Boolean(v) => v[row].map_or(Value::Null, Value::from),
        Values::Timestamp(v) => v[row].map_or(Value::Null, |ms| Value::from(Timestamp::from_millis(ms).to_string())),
        Values::Category { .. } | Values::Text(_) => values.word(row).map_or(Value::Null, Value::from),
    }
}

/// A value as a cell of CSV; a missing one is empty.
pub(super) fn word(values: &Values, row: usize) -> String {
    match cell(values, row) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The values as Parquet keeps them.
pub(super) fn array(values: &Values) -> ArrayRef {
    match values {
        Values::Number(_) | Values::Sparse { .. } => {
            Arc::new(Float64Array::from_iter((0..values.len()).map(|row| values.number(row))))
        }
        Values::Integer(v) => Arc::new(Int64Array::from(v.clone())),
        Values::Boolean(v) => Arc::new(BooleanArray::from(v.clone())),
        Values::Timestamp(v) => Arc::new(TimestampMillisecondArray::from(v.clone()).with_timezone("UTC")),
        Values::Category { .. } | Values::Text(_) => {
            Arc::new(StringArray::from_iter((0..values.len()).map(|row| values.word(row))))
        }
    }
}

/// The name of a column among others: where one of them has it, it is told apart.
pub(super) fn name(id: &Column, taken: impl Fn(&str) -> bool) -> String {
    let mut name = id.name.clone();
    while taken(&name) {
        name.insert_str(0, "id_");
    }
    name
}
