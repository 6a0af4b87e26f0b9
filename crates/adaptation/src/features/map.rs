//! Maps of rows: the scaling of features, and what adapters fit. A closed set of forms, so that every
//! fitted method predicts rows it has never seen and is saved the same way.

use std::borrow::Cow;

use ndarray::{Array1, Array2, Axis, Zip, s};

use crate::linalg::kernels::{Kernel, landmark_product};
use crate::linalg::{Matrix, SparseRows};
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
    /// The same columns `(q,)` after those of every row: what is known of a domain as a whole.
    Append {
        columns: Array1<f64>,
    },
    /// The columns of these indices, ascending, and no others. Sparse rows stay sparse.
    Select {
        columns: Vec<usize>,
    },
    /// Rows divided by their sum (bags of words to shares); a row that sums to zero stays as it is.
    RowShares,
    /// Each count replaced by its dampened frequency times the column's weight, `(d,)`: `(1 + ln x)·idf` for a count
    /// of 1 and more, `x·idf` below, which continues it smoothly to zero. Sparse rows stay sparse.
    TermWeights {
        idf: Array1<f64>,
    },
    /// A map that keeps their number on the columns of these indices, ascending; the others stay as they are. Sparse
    /// rows stay sparse.
    Within {
        columns: Vec<usize>,
        map: Box<Map>,
    },
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
        self.apply_to(Cow::Borrowed(x))
    }

    /// The same, in the memory of rows that are given away where that will do.
    pub fn apply_to(&self, x: Cow<Matrix>) -> Matrix {
        match self {
            Map::Identity => x.into_owned(),
            Map::Scale { shift, scale, offset } => {
                let mut out = x.into_owned().into_dense();
                out.axis_iter_mut(Axis(0)).for_each(|mut row| {
                    let each = Zip::from(&mut row).and(shift).and(scale).and(offset);
                    each.for_each(|v, shift, scale, offset| *v = (*v - shift) * scale + offset);
                });
                Matrix::Dense(out)
            }
            Map::Affine { shift, matrix, offset } => {
                // (x − shift)·M + offset = x·M + (offset − shift·M): x stays sparse where it is.
                let constant = offset - &shift.dot(matrix);
                Matrix::Dense(x.dot(matrix.view()) + &constant)
            }
            Map::Kernel { kernel, landmarks, matrix, offset } => {
                Matrix::Dense(landmark_product(*kernel, &x, landmarks.view(), matrix.view()) + offset)
            }
            Map::Append { columns } => append(&x, columns),
            Map::Select { columns } => select(&x, columns),
            Map::Within { columns, map } => within(x, columns, map),
            Map::UnitRows => divide_rows(x, |row| row.map(|(_, v)| v * v).sum::<f64>().sqrt()),
            Map::RowShares => divide_rows(x, |row| row.map(|(_, v)| v).sum()),
            Map::TermWeights { idf } => weigh_terms(&x, idf),
            Map::Chain(maps) => maps.iter().fold(x, |x, map| Cow::Owned(map.apply_to(x))).into_owned(),
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
            Map::Append { columns } => {
                parts.put("form", "append").put("length", columns.len()).put_array("columns", columns)
            }
            Map::Select { columns } => parts.put("form", "select").put("columns", columns),
            Map::Within { columns, map } => {
                parts.put("form", "within").put("columns", columns).put_child("map", map.save())
            }
            Map::UnitRows => parts.put("form", "unit_rows"),
            Map::RowShares => parts.put("form", "row_shares"),
            Map::TermWeights { idf } => parts.put("form", "term_weights").put_array("idf", idf),
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
                if !kernel.is_sound() {
                    return Err(LoadError(format!("a kernel with numbers out of range: {kernel:?}")));
                }
                let landmarks = parts.matrix("landmarks", None, Some(d))?;
                let matrix = parts.matrix("matrix", Some(landmarks.nrows()), None)?;
                let k = matrix.ncols();
                Ok((Map::Kernel { kernel, landmarks, matrix, offset: parts.vector("offset", k)? }, k))
            }
            "append" => {
                let columns = parts.vector("columns", parts.get("length")?)?;
                let k = d + columns.len();
                Ok((Map::Append { columns }, k))
            }
            "select" => {
                let columns = ascending(parts, d)?;
                let k = columns.len();
                Ok((Map::Select { columns }, k))
            }
            "within" => {
                let columns = ascending(parts, d)?;
                let (map, k) = Map::load(parts.child("map")?, columns.len())?;
                if k != columns.len() {
                    return Err(LoadError(format!("a map within {} columns makes {k} of them", columns.len())));
                }
                Ok((Map::Within { columns, map: Box::new(map) }, d))
            }
            "unit_rows" => Ok((Map::UnitRows, d)),
            "row_shares" => Ok((Map::RowShares, d)),
            "term_weights" => Ok((Map::TermWeights { idf: parts.vector("idf", d)? }, d)),
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

/// Sparse rows stay sparse.
fn append(x: &Matrix, columns: &Array1<f64>) -> Matrix {
    let d = x.n_columns();
    match x {
        Matrix::Dense(x) => {
            let mut out = Array2::zeros((x.nrows(), d + columns.len()));
            out.slice_mut(s![.., ..d]).assign(x);
            out.slice_mut(s![.., d..]).assign(columns);
            Matrix::Dense(out)
        }
        Matrix::Sparse(x) => {
            let mut out = SparseRows::new(d + columns.len());
            for i in 0..x.n_rows() {
                out.push_row(x.row(i).chain(columns.iter().enumerate().map(|(j, v)| (d + j, *v))));
            }
            Matrix::Sparse(out)
        }
    }
}

fn select(x: &Matrix, columns: &[usize]) -> Matrix {
    match x {
        Matrix::Dense(x) => Matrix::Dense(x.select(Axis(1), columns)),
        Matrix::Sparse(x) => {
            let mut out = SparseRows::new(columns.len());
            for i in 0..x.n_rows() {
                out.push_row(x.row(i).filter_map(|(j, v)| Some((columns.binary_search(&j).ok()?, v))));
            }
            Matrix::Sparse(out)
        }
    }
}

/// The indices of columns, of `d` there are.
fn ascending(parts: &Parts, d: usize) -> Result<Vec<usize>, LoadError> {
    let columns: Vec<usize> = parts.get("columns")?;
    if columns.last().is_some_and(|last| *last >= d) || !columns.is_sorted_by(|a, b| a < b) {
        return Err(LoadError(format!("columns to select are not ascending ones of {d}")));
    }
    Ok(columns)
}

fn within(x: Cow<Matrix>, columns: &[usize], map: &Map) -> Matrix {
    let part = map.apply_to(Cow::Owned(select(&x, columns)));
    match x.into_owned() {
        Matrix::Dense(mut out) => {
            let part = part.dense();
            columns.iter().zip(part.columns()).for_each(|(j, mapped)| out.column_mut(*j).assign(&mapped));
            Matrix::Dense(out)
        }
        Matrix::Sparse(x) => {
            let mut out = SparseRows::new(x.n_columns());
            for i in 0..x.n_rows() {
                let mapped: Vec<(usize, f64)> = match &part {
                    Matrix::Dense(p) => columns.iter().copied().zip(p.row(i).iter().copied()).collect(),
                    Matrix::Sparse(p) => p.row(i).map(|(k, v)| (columns[k], v)).collect(),
                };
                let others = x.row(i).filter(|(j, _)| columns.binary_search(j).is_err());
                let mut row: Vec<(usize, f64)> = others.chain(mapped).collect();
                row.sort_unstable_by_key(|(j, _)| *j);
                out.push_row(row);
            }
            Matrix::Sparse(out)
        }
    }
}

/// Rows divided by a number computed from each; rows for which it is zero stay as they are. Sparse
/// rows stay sparse.
fn divide_rows(x: Cow<Matrix>, divisor: impl Fn(&mut dyn Iterator<Item = (usize, f64)>) -> f64) -> Matrix {
    match x.into_owned() {
        Matrix::Dense(mut out) => {
            for mut row in out.axis_iter_mut(Axis(0)) {
                let by = divisor(&mut row.iter().copied().enumerate());
                if by != 0.0 {
                    row /= by;
                }
            }
            Matrix::Dense(out)
        }
        Matrix::Sparse(x) => {
            let mut out = SparseRows::new(x.n_columns());
            for i in 0..x.n_rows() {
                let by = divisor(&mut x.row(i));
                out.push_row(x.row(i).map(|(j, v)| (j, if by == 0.0 { v } else { v / by })));
            }
            Matrix::Sparse(out)
        }
    }
}

/// See [`Map::TermWeights`].
fn weigh_terms(x: &Matrix, idf: &Array1<f64>) -> Matrix {
    let weigh = |j: usize, count: f64| idf[j] * if count >= 1.0 { 1.0 + count.ln() } else { count };
    match x {
        Matrix::Dense(x) => {
            let mut out = x.clone();
            out.indexed_iter_mut().for_each(|((_, j), v)| *v = weigh(j, *v));
            Matrix::Dense(out)
        }
        Matrix::Sparse(x) => {
            let mut out = SparseRows::new(x.n_columns());
            (0..x.n_rows()).for_each(|i| out.push_row(x.row(i).map(|(j, v)| (j, weigh(j, v)))));
            Matrix::Sparse(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn forms() -> Vec<Map> {
        let scale = Map::Scale { shift: array![1.0, 2.0], scale: array![2.0, 0.5], offset: array![0.0, 1.0] };
        let affine = Map::Affine {
            shift: array![1.0, -1.0],
            matrix: array![[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]],
            offset: array![1.0, 0.0, 0.0],
        };
        let chain = Map::Chain(vec![scale.clone(), affine.clone(), Map::UnitRows]);
        let append = Map::Append { columns: array![0.0, -2.5, 1.0] };
        let select = Map::Select { columns: vec![1] };
        let terms = Map::TermWeights { idf: array![1.0, 2.5] };
        let mut forms = vec![Map::Identity, append, select, terms, scale, affine, Map::UnitRows, Map::RowShares, chain];
        forms.push(Map::Chain(vec![]));
        let kernels = [
            Kernel::Linear,
            Kernel::Rbf { bandwidth: 1.5 },
            Kernel::Laplacian { bandwidth: 2.5 },
            Kernel::Polynomial { bandwidth: 1.5, degree: 3, offset: 1.0 },
            Kernel::Cosine,
        ];
        forms.extend(kernels.map(kernel_map));
        forms
    }

    fn kernel_map(kernel: Kernel) -> Map {
        Map::Kernel {
            kernel,
            landmarks: array![[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]],
            matrix: array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
            offset: array![0.5, -0.5],
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
        let got = kernel_map(Kernel::Rbf { bandwidth: 1.5 }).apply(&array![[2.0, 3.0]].into());
        let k = |squared: f64| (-squared / 4.5).exp();
        let want = array![[k(8.0) + k(13.0) + 0.5, 1.0 + k(13.0) - 0.5]];
        assert!((got.dense().as_ref() - &want).iter().all(|v| v.abs() < 1e-14));
    }

    #[test]
    fn a_kernel_map_that_lies_is_refused() {
        let saved = kernel_map(Kernel::Rbf { bandwidth: 1.5 }).save();
        assert!(Map::load(&saved, 3).is_err(), "another number of columns");
        for kernel in [
            Kernel::Rbf { bandwidth: -1.0 },
            Kernel::Polynomial { bandwidth: 0.0, degree: 2, offset: 1.0 },
            Kernel::Polynomial { bandwidth: 1.0, degree: 0, offset: 1.0 },
            Kernel::Polynomial { bandwidth: 1.0, degree: 11, offset: 1.0 },
            Kernel::Polynomial { bandwidth: 1.0, degree: 2, offset: -1.0 },
        ] {
            let mut lie = saved.clone();
            lie.put("kernel", kernel);
            assert!(Map::load(&lie, 2).is_err(), "{kernel:?}");
        }
        let mut lie = saved;
        lie.put_array("offset", &array![1.0]);
        assert!(Map::load(&lie, 2).is_err(), "an offset of another length");
    }

    #[test]
    fn columns_to_select_that_are_not_there_or_out_of_order_are_refused() {
        for columns in [vec![2], vec![1, 0], vec![1, 1]] {
            assert!(Map::load(&Map::Select { columns: columns.clone() }.save(), 2).is_err(), "{columns:?}");
        }
        let (map, k) = Map::load(&Map::Select { columns: vec![0, 2] }.save(), 3).unwrap();
        assert_eq!((map.apply(&array![[1.0, 2.0, 3.0]].into()), k), (array![[1.0, 3.0]].into(), 2));
    }

    #[test]
    fn every_form_saves_and_loads_and_maps_sparse_rows_like_dense_ones() {
        let dense = array![[0.0, 3.0], [2.0, 0.0], [0.0, 0.0]];
        let mut sparse = SparseRows::new(2);
        sparse.push_row([(1, 3.0)]);
        sparse.push_row([(0, 2.0)]);
        sparse.push_row([]);
        for map in forms() {
            let (loaded, k) = Map::load(&map.save(), 2).expect("what was saved loads");
            assert_eq!(loaded, map);
            let out = map.apply(&dense.clone().into());
            assert_eq!(out.n_columns(), k, "{map:?}");
            let difference = out.dense().as_ref() - map.apply(&Matrix::Sparse(sparse.clone())).dense().as_ref();
            assert!(difference.iter().all(|v| v.abs() < 1e-12), "{map:?}");
        }
    }

    #[test]
    fn an_affine_map_does_what_its_formula_says() {
        let map = Map::Affine { shift: array![1.0], matrix: array![[2.0, -1.0]], offset: array![0.5, 0.0] };
        assert_eq!(map.apply(&array![[3.0]].into()).dense().as_ref(), array![[4.5, -2.0]]);
    }

    #[test]
    fn a_map_that_does_not_fit_is_refused() {
        let map = Map::UnitRows.save();
        assert!(Map::load(&map, 3).is_ok());
        for map in forms().iter().filter(|m| matches!(m, Map::Scale { .. } | Map::Affine { .. })) {
            assert!(Map::load(&map.save(), 3).is_err(), "{map:?}");
        }
    }
}
