//! The maps that adapters fit: from a domain's features into the adapted space. A closed set of
//! forms, so that every fitted method predicts rows it has never seen and is saved the same way.

use ndarray::{Array1, Array2, Axis};

use crate::linalg::Matrix;
use crate::parts::{LoadError, Parts};

/// A map of rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Map {
    Identity,
    /// `(x − shift) ⊙ scale + offset`, each `(d,)`.
    Scale {
        shift: Array1<f64>,
        scale: Array1<f64>,
        offset: Array1<f64>,
    },
    /// `(x − shift) · matrix + offset`; shift `(d,)`, matrix `(d, k)`, offset `(k,)`.
    Affine {
        shift: Array1<f64>,
        matrix: Array2<f64>,
        offset: Array1<f64>,
    },
    /// Rows scaled to unit Euclidean length; a zero row stays zero.
    UnitRows,
    /// One after the other.
    Chain(Vec<Map>),
}

/// One map for each source, and one for the target and for rows to come.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainMaps {
    pub sources: Vec<Map>,
    pub target: Map,
}

impl DomainMaps {
    /// The same map for all domains.
    pub fn shared(n_sources: usize, map: Map) -> Self {
        Self { sources: vec![map.clone(); n_sources], target: map }
    }

    pub fn identity(n_sources: usize) -> Self {
        Self::shared(n_sources, Map::Identity)
    }

    pub fn is_identity(&self) -> bool {
        self.target == Map::Identity && self.sources.iter().all(|m| *m == Map::Identity)
    }
}

impl Map {
    /// The rows `x (n, d)` in the adapted space, `(n, k)`.
    pub fn apply(&self, x: &Matrix) -> Matrix {
        match self {
            Map::Identity => x.clone(),
            Map::Scale { shift, scale, offset } => {
                let mut out = x.dense().into_owned();
                out.axis_iter_mut(Axis(0)).for_each(|mut row| {
                    row -= shift;
                    row *= scale;
                    row += offset;
                });
                Matrix::Dense(out)
            }
            Map::Affine { shift, matrix, offset } => {
                // (x − shift)·M + offset = x·M + (offset − shift·M): x stays sparse where it is.
                let constant = offset - &shift.dot(matrix);
                Matrix::Dense(x.dot(matrix.view()) + &constant)
            }
            Map::UnitRows => {
                let mut out = x.dense().into_owned();
                for mut row in out.axis_iter_mut(Axis(0)) {
                    let norm = row.dot(&row).sqrt();
                    if norm > 0.0 {
                        row /= norm;
                    }
                }
                Matrix::Dense(out)
            }
            Map::Chain(maps) => {
                let mut maps = maps.iter();
                let Some(first) = maps.next() else { return x.clone() };
                maps.fold(first.apply(x), |x, map| map.apply(&x))
            }
        }
    }

    pub fn save(&self) -> Parts {
        let mut parts = Parts::default();
        match self {
            Map::Identity => parts.put("form", "identity"),
            Map::Scale { shift, scale, offset } => parts
                .put("form", "scale")
                .put_array("shift", shift)
                .put_array("scale", scale)
                .put_array("offset", offset),
            Map::Affine { shift, matrix, offset } => parts
                .put("form", "affine")
                .put_array("shift", shift)
                .put_array("matrix", matrix)
                .put_array("offset", offset),
            Map::UnitRows => parts.put("form", "unit_rows"),
            Map::Chain(maps) => {
                for (i, map) in maps.iter().enumerate() {
                    parts.put_child(&i.to_string(), map.save());
                }
                parts.put("form", "chain").put("length", maps.len())
            }
        };
        parts
    }

    /// A map of rows with `d` columns, and the number of columns that it makes.
    ///
    /// # Errors
    /// [`LoadError`] where sizes do not fit together.
    pub fn load(parts: &Parts, d: usize) -> Result<(Map, usize), LoadError> {
        match parts.get::<String>("form")?.as_str() {
            "identity" => Ok((Map::Identity, d)),
            "scale" => {
                let (shift, scale) = (parts.vector("shift", d)?, parts.vector("scale", d)?);
                Ok((Map::Scale { shift, scale, offset: parts.vector("offset", d)? }, d))
            }
            "affine" => {
                let matrix = parts.matrix("matrix", Some(d), None)?;
                let k = matrix.ncols();
                Ok((Map::Affine { shift: parts.vector("shift", d)?, matrix, offset: parts.vector("offset", k)? }, k))
            }
            "unit_rows" => Ok((Map::UnitRows, d)),
            "chain" => {
                let mut maps = Vec::new();
                let mut columns = d;
                for i in 0..parts.get::<usize>("length")?.min(parts.children.len()) {
                    let (map, k) = Map::load(parts.child(&i.to_string())?, columns)?;
                    columns = k;
                    maps.push(map);
                }
                if maps.len() != parts.children.len() {
                    return Err(LoadError("a chain of maps has another length than it says".into()));
                }
                Ok((Map::Chain(maps), columns))
            }
            other => Err(LoadError(format!("map of unknown form {other:?}"))),
        }
    }
}
