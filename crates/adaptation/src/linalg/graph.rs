//! Graphs of rows and their neighbours, as sparse symmetric weights, and products with their Laplacians. Neither a
//! weight matrix nor a Laplacian of n × n is formed.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::SparseRows;

/// How the two directions of an edge become one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The larger one: rows are joined where either is among the other's nearest.
    Larger,
    /// Their mean, an absent direction counting as zero.
    Mean,
}

/// Symmetric weights, none of them negative.
#[derive(Debug, Clone)]
pub struct Graph {
    weights: SparseRows,
    /// Sums of each row's weights, `(n,)`.
    degrees: Array1<f64>,
}

impl Graph {
    /// The graph of directed edges: for every row those that it points to, with weights.
    pub fn joined(directed: &[Vec<(usize, f64)>], join: Join) -> Self {
        let n = directed.len();
        let mut rows: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); n];
        for (i, edges) in directed.iter().enumerate() {
            for &(j, weight) in edges {
                for (from, to) in [(i, j), (j, i)] {
                    let entry = rows[from].entry(to).or_insert(0.0);
                    match join {
                        Join::Larger => *entry = entry.max(weight),
                        Join::Mean => *entry += 0.5 * weight,
                    }
                }
            }
        }
        let mut weights = SparseRows::new(n);
        rows.iter().for_each(|row| weights.push_row(row.iter().map(|(j, w)| (*j, *w))));
        let degrees = (0..n).map(|i| weights.row(i).map(|(_, w)| w).sum()).collect();
        Self { weights, degrees }
    }

    /// `(D − W) f` for `f (n, k)`.
    pub fn laplacian_dot(&self, f: ArrayView2<f64>) -> Array2<f64> {
        self.product(f, |_| 1.0, |i| self.degrees[i])
    }

    /// `(I − D^{-1/2} W D^{-1/2}) f` for `f (n, k)`; zero for rows that are joined to none.
    pub fn normalized_laplacian_dot(&self, f: ArrayView2<f64>) -> Array2<f64> {
        let scale = |i: usize| if self.degrees[i] > 0.0 { self.degrees[i].sqrt().recip() } else { 0.0 };
        self.product(f, scale, |i| if self.degrees[i] > 0.0 { 1.0 } else { 0.0 })
    }

    /// ‖D − W‖_F
    pub fn laplacian_norm(&self) -> f64 {
        let entry = |i: usize, j: usize, w: f64| if i == j { self.degrees[i] - w } else { w };
        let row = |i: usize| {
            let own = self.weights.row(i).any(|(j, _)| j == i);
            let stored: f64 = self.weights.row(i).map(|(j, w)| entry(i, j, w).powi(2)).sum();
            if own { stored } else { stored + self.degrees[i].powi(2) }
        };
        (0..self.degrees.len()).map(row).sum::<f64>().sqrt()
    }

    fn product(
        &self,
        f: ArrayView2<f64>,
        scale: impl Fn(usize) -> f64,
        diagonal: impl Fn(usize) -> f64,
    ) -> Array2<f64> {
        let mut out = Array2::zeros(f.dim());
        for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
            row.scaled_add(diagonal(i), &f.row(i));
            self.weights.row(i).for_each(|(j, w)| row.scaled_add(-w * scale(i) * scale(j), &f.row(j)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn directed() -> Vec<Vec<(usize, f64)>> {
        vec![vec![(1, 0.5), (2, 0.2)], vec![(0, 0.8)], vec![(1, 0.4)], vec![]]
    }

    #[test]
    fn laplacians_are_those_of_the_joined_weights() {
        let larger = array![[0.0, 0.8, 0.2, 0.0], [0.8, 0.0, 0.4, 0.0], [0.2, 0.4, 0.0, 0.0], [0.0; 4]];
        let mean = array![[0.0, 0.65, 0.1, 0.0], [0.65, 0.0, 0.2, 0.0], [0.1, 0.2, 0.0, 0.0], [0.0; 4]];
        let cases: [(Join, Array2<f64>); 2] = [(Join::Larger, larger), (Join::Mean, mean)];
        for (join, w) in cases {
            let graph = Graph::joined(&directed(), join);
            let degrees: Array1<f64> = w.sum_axis(Axis(1));
            let plain = Array2::from_diag(&degrees) - &w;
            let got = graph.laplacian_dot(Array2::eye(4).view());
            assert!((&got - &plain).iter().all(|v| v.abs() < 1e-15), "{got}");
            assert!((graph.laplacian_norm() - plain.iter().map(|v| v * v).sum::<f64>().sqrt()).abs() < 1e-15);
            let got = graph.normalized_laplacian_dot(Array2::eye(4).view());
            let want = Array2::from_shape_fn((4, 4), |(i, j)| match (i, j) {
                (3, _) | (_, 3) => 0.0,
                _ if i == j => 1.0,
                _ => -w[[i, j]] / (degrees[i] * degrees[j]).sqrt(),
            });
            assert!((&got - &want).iter().all(|v| v.abs() < 1e-15), "{got}");
        }
    }
}
