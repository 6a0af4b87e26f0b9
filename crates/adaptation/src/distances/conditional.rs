//! Differences of means, marginal and of each class, as vectors of row weights: the low-rank factors of the MMD
//! matrices of joint methods (Long, Wang, Ding, Sun and Yu, "Transfer feature learning with joint distribution
//! adaptation", ICCV 2013, equations 4 and 8). `M = Σ_c e_c e_cᵀ` has rank C + 1 at most, so that neither M
//! nor any other n × n matrix is formed: with Φ (n, r) features of all rows, `Φᵀ M Φ = A Aᵀ`, `A = Φᵀ E`.

use ndarray::Array2;

use crate::linalg::gram;

/// Where labels come from: known codes of source rows, pseudo-labels of target rows.
#[derive(Debug, Clone, Copy)]
pub struct RowClasses<'a> {
    /// `(n_source,)`, each below `n_classes`.
    pub source: &'a [usize],
    /// `(n_target,)`, each below `n_classes`.
    pub target: &'a [usize],
    pub n_classes: usize,
}

/// e₀ `(n_source + n_target, 1)`: 1/n_s on source rows, −1/n_t on target rows. `eᵀ Φ` is the difference of means.
pub fn marginal_contrast(n_source: usize, n_target: usize) -> Array2<f64> {
    let (s, t) = ((n_source as f64).recip(), (n_target as f64).recip());
    Array2::from_shape_fn((n_source + n_target, 1), |(i, _)| if i < n_source { s } else { -t })
}

/// e_c as columns `(n_source + n_target, C)`: 1/n_s^c on source rows of class c, −1/n_t^c on target rows that
/// are taken for class c. A class that one domain lacks gives a zero column: there is no difference to close.
pub fn class_contrasts(classes: RowClasses) -> Array2<f64> {
    let count = |codes: &[usize]| {
        let mut counts = vec![0_usize; classes.n_classes];
        codes.iter().for_each(|&c| counts[c] += 1);
        counts
    };
    let (in_source, in_target) = (count(classes.source), count(classes.target));
    let n_source = classes.source.len();
    let mut e = Array2::zeros((n_source + classes.target.len(), classes.n_classes));
    let both = |c: usize| in_source[c] > 0 && in_target[c] > 0;
    for (i, &c) in classes.source.iter().enumerate().filter(|(_, c)| both(**c)) {
        e[[i, c]] = (in_source[c] as f64).recip();
    }
    for (i, &c) in classes.target.iter().enumerate().filter(|(_, c)| both(**c)) {
        e[[n_source + i, c]] = -(in_target[c] as f64).recip();
    }
    e
}

/// [`class_contrasts`] with the mean of each class weighted by the root of the class's share in its domain: the factors
/// of W-BDA (Wang, Chen, Hao, Feng and Shen, ICDM 2017). Columns do not sum to zero.
pub fn share_weighted_contrasts(classes: RowClasses) -> Array2<f64> {
    let mut e = class_contrasts(classes);
    let (n_source, n_target) = (classes.source.len() as f64, classes.target.len() as f64);
    // An entry is one over the number of rows of its class: with the root of the share it is 1/√(rows · all rows).
    for (i, mut row) in e.outer_iter_mut().enumerate() {
        let all = if i < classes.source.len() { n_source } else { n_target };
        row.mapv_inplace(|v| v.signum() * (v.abs() / all).sqrt());
    }
    e
}

/// One-hot labels over the rows of their domain, `(n_source + n_target, 2C)`: column c is 1/n_s on source rows of class
/// c, column C + c is 1/n_t on target rows that are taken for class c (Zhang and Wu, IJCNN 2020).
pub fn joint_probabilities(classes: RowClasses) -> Array2<f64> {
    let (n_source, n_target) = (classes.source.len(), classes.target.len());
    let mut e = Array2::zeros((n_source + n_target, 2 * classes.n_classes));
    for (i, &c) in classes.source.iter().enumerate() {
        e[[i, c]] = (n_source as f64).recip();
    }
    for (i, &c) in classes.target.iter().enumerate() {
        e[[n_source + i, classes.n_classes + c]] = (n_target as f64).recip();
    }
    e
}

/// ‖E Eᵀ‖_F without forming it: `‖EᵀE‖_F` of the small side.
pub fn frobenius_of_outer(e: &Array2<f64>) -> f64 {
    let squares = gram(e.view());
    squares.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array, concatenate};

    use super::*;

    #[test]
    fn factors_give_the_matrices_of_the_paper() {
        let classes = RowClasses { source: &[0, 1, 1], target: &[1, 0, 1, 2], n_classes: 4 };
        let e = concatenate![Axis(1), marginal_contrast(3, 4), class_contrasts(classes)];
        assert_eq!(e.dim(), (7, 5));
        // Equation 4: 1/n_s², −1/(n_s n_t), 1/n_t².
        let m0 = marginal_contrast(3, 4).dot(&marginal_contrast(3, 4).t());
        assert!((m0[[0, 2]] - 1.0 / 9.0).abs() < 1e-15 && (m0[[0, 3]] + 1.0 / 12.0).abs() < 1e-15);
        // Class 1 has source rows 1, 2 and target rows 0, 2; class 2 is in the target only, class 3 nowhere.
        assert_eq!(e.column(2), array![0.0, 0.5, 0.5, -0.5, 0.0, -0.5, 0.0]);
        assert!(e.column(3).iter().chain(e.column(4)).all(|v| *v == 0.0));
        let weighted = share_weighted_contrasts(classes);
        let half = 0.5 * (2.0_f64 / 3.0).sqrt();
        assert!((weighted[[1, 1]] - half).abs() < 1e-15 && (weighted[[3, 1]] + 0.5 * 0.5_f64.sqrt()).abs() < 1e-15);
        assert_eq!(weighted.column(2).sum(), 0.0);
        let outer = e.dot(&e.t());
        let want = outer.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((frobenius_of_outer(&e) - want).abs() < 1e-14);
    }
}
