//! The pieces of a fitted model on their way to and from a file: a tree of small JSON values and
//! arrays. Everything that is fitted writes itself into [`Parts`] and is read back from them.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

/// One node: values, arrays and named children.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    pub values: Map<String, Value>,
    pub arrays: BTreeMap<String, ArrayD<f64>>,
    pub children: BTreeMap<String, Parts>,
}

/// Why parts cannot be a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LoadError(pub String);

impl Parts {
    pub fn put(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        // Plain structs with string keys always serialise; a map with other keys is a defect.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.values.insert(name.to_owned(), value);
        self
    }

    pub fn put_array<D: ndarray::Dimension>(&mut self, name: &str, array: &ndarray::Array<f64, D>) -> &mut Self {
        self.arrays.insert(name.to_owned(), array.clone().into_dyn());
        self
    }

    pub fn put_child(&mut self, name: &str, child: Parts) -> &mut Self {
        self.children.insert(name.to_owned(), child);
        self
    }

    /// # Errors
    /// If the value is absent or of another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, LoadError> {
        let value = self.values.get(name).ok_or_else(|| LoadError(format!("value {name:?} is missing")))?;
        serde_json::from_value(value.clone()).map_err(|e| LoadError(format!("value {name:?}: {e}")))
    }

    /// # Errors
    /// If the array is absent, not `(len,)` or holds a value that is not finite.
    pub fn vector(&self, name: &str, len: usize) -> Result<Array1<f64>, LoadError> {
        let array = self
            .array(name)?
            .clone()
            .into_dimensionality::<Ix1>()
            .map_err(|e| LoadError(format!("array {name:?}: {e}")))?;
        if array.len() != len {
            return Err(LoadError(format!("array {name:?} has {} values, {len} expected", array.len())));
        }
        Ok(array)
    }

    /// # Errors
    /// If the array is absent, not `(rows, columns)` or holds a value that is not finite.
    /// A size that is `None` is free.
    pub fn matrix(&self, name: &str, rows: Option<usize>, columns: Option<usize>) -> Result<Array2<f64>, LoadError> {
        let array = self
            .array(name)?
            .clone()
            .into_dimensionality::<Ix2>()
            .map_err(|e| LoadError(format!("array {name:?}: {e}")))?;
        if rows.is_some_and(|n| n != array.nrows()) || columns.is_some_and(|n| n != array.ncols()) {
            return Err(LoadError(format!("array {name:?} is {:?}, expected ({rows:?}, {columns:?})", array.dim())));
        }
        Ok(array)
    }

    /// # Errors
    /// If there is no such child.
    pub fn child(&self, name: &str) -> Result<&Parts, LoadError> {
        self.children.get(name).ok_or_else(|| LoadError(format!("part {name:?} is missing")))
    }

    fn array(&self, name: &str) -> Result<&ArrayD<f64>, LoadError> {
        let array = self.arrays.get(name).ok_or_else(|| LoadError(format!("array {name:?} is missing")))?;
        if array.iter().any(|v| !v.is_finite()) {
            return Err(LoadError(format!("array {name:?} holds a value that is not finite")));
        }
        Ok(array)
    }
}
