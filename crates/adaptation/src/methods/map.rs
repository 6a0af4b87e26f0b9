//! The maps that adapters fit: from a domain's features into the adapted space. A closed set of
//! forms, so that every fitted method predicts rows it has never seen and is saved the same way.

use ndarray::{Array1, Array2, Axis};

use crate::linalg::Matrix;
use crate::linalg::kernels::{Kernel, landmark_product};
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
    /// `k(x, landmarks) · matrix + offset`; landmarks `(m, d)`, matrix `(m, k)`, offset `(k,)`.
    Kernel {
        kernel: Kernel,
        landmarks: Array2<f64>,
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
            Map::Kernel { kernel, landmarks, matrix, offset } => {
                Matrix::Dense(landmark_product(*kernel, x, landmarks.view(), matrix.view()) + offset)
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
            Map::Kernel { kernel, landmarks, matrix, offset } => parts
                .put("form", "kernel")
                .put("kernel", kernel)
                .put_array("landmarks", landmarks)
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
            "kernel" => {
                let kernel: Kernel = parts.get("kernel")?;
                if kernel.bandwidth().is_some_and(|b| !b.is_finite() || b <= 0.0) {
                    return Err(LoadError("the bandwidth of a kernel must be above 0".into()));
                }
                let landmarks = parts.matrix("landmarks", None, Some(d))?;
                let matrix = parts.matrix("matrix", Some(landmarks.nrows()), None)?;
                let k = matrix.ncols();
                Ok((Map::Kernel { kernel, landmarks, matrix, offset: parts.vector("offset", k)? }, k))
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn forms() -> Vec<Map> {
        let affine = Map::Affine { shift: array![1.0, 2.0], matrix: array![[1.0, 0.5], [0.0, 2.0]], offset: array![3.0, 4.0] };
        let kernel = |kernel| Map::Kernel {
            kernel,
            landmarks: array![[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]],
            matrix: array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
            offset: array![0.5, -0.5],
        };
        vec![
            Map::Identity,
            Map::UnitRows,
            Map::Scale { shift: array![1.0, 2.0], scale: array![0.5, 0.25], offset: array![0.0, 1.0] },
            affine.clone(),
            kernel(Kernel::Linear),
            kernel(Kernel::Rbf { bandwidth: 1.5 }),
            kernel(Kernel::Laplacian { bandwidth: 2.5 }),
            Map::Chain(vec![affine, Map::UnitRows]),
        ]
    }

    #[test]
    fn every_form_is_the_same_after_saving_and_loading() {
        for map in forms() {
            assert_eq!(Map::load(&map.save(), 2).map(|(m, _)| m), Ok(map));
        }
    }

    #[test]
    fn every_form_maps_one_row_as_it_maps_many() {
        let x = Matrix::from(Array2::from_shape_fn((600, 2), |(i, j)| 0.01 * i as f64 - j as f64));
        for map in forms() {
            let all = map.apply(&x);
            for row in [0, 255, 256, 599] {
                let one = map.apply(&x.select_rows(&[row]));
                let difference = &one.dense().row(0) - &all.dense().row(row);
                assert!(difference.iter().all(|v| v.abs() < 1e-12), "{map:?}");
            }
        }
    }

    #[test]
    fn a_kernel_map_is_the_kernel_times_its_matrix() {
        let map = &forms()[5];
        let got = map.apply(&Matrix::from(array![[2.0, 3.0]]));
        let k = |squared: f64| (-squared / 4.5).exp();
        let want = array![[k(8.0) + k(13.0) + 0.5, 1.0 + k(13.0) - 0.5]];
        assert!((&*got.dense() - &want).iter().all(|v| v.abs() < 1e-14));
    }

    #[test]
    fn parts_that_lie_are_refused() {
        let saved = forms()[5].save();
        assert!(Map::load(&saved, 3).is_err(), "another number of columns");
        let mut lie = saved.clone();
        lie.put("kernel", Kernel::Rbf { bandwidth: -1.0 });
        assert!(Map::load(&lie, 2).is_err(), "a negative bandwidth");
        let mut lie = saved;
        lie.put_array("offset", &array![1.0]);
        assert!(Map::load(&lie, 2).is_err(), "an offset of another length");
    }
}
