//! What products, decompositions and the minimiser promise.

use std::convert::Infallible;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, ArrayView2, Axis, array, s};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn random(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_fn((n, d), |_| rng.random_range(-1.0..1.0))
}

/// Symmetric with the given eigenvalues.
fn with_spectrum(values: &Array1<f64>, seed: u64) -> Array2<f64> {
    let n = values.len();
    let (u, _, vt) = thin_svd(random(n, n, seed).view()).unwrap();
    let q = u.dot(&vt);
    let a = (&q * values).dot(&q.t());
    (&a + &a.t()) * 0.5
}

#[track_caller]
fn close(actual: ArrayView2<f64>, expected: ArrayView2<f64>, tolerance: f64) {
    assert_eq!(actual.dim(), expected.dim());
    for (at, a) in actual.indexed_iter() {
        assert!((a - expected[at]).abs() <= tolerance, "{at:?}: {a} is not {}", expected[at]);
    }
}

fn naive(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum())
}

proptest! {
    #[test]
    fn products_equal_the_definition(n in 0usize..9, k in 0usize..9, m in 0usize..9, seed in 0u64..1000) {
        let (a, b) = (random(n, k, seed), random(k, m, seed + 1));
        let expected = naive(a.view(), b.view());
        close(matmul(a.view(), b.view()).view(), expected.view(), 1e-13);
        let (at, bt) = (a.t().as_standard_layout().into_owned(), b.t().as_standard_layout().into_owned());
        close(matmul_tn(at.view(), b.view()).view(), expected.view(), 1e-13);
        close(matmul_nt(a.view(), bt.view()).view(), expected.view(), 1e-13);
    }

    #[test]
    fn products_read_views_of_any_stride(n in 1usize..7, k in 1usize..7, seed in 0u64..1000) {
        let (wide, tall) = (random(2 * n, 3 * k, seed), random(2 * k, n, seed + 1));
        let (a, b) = (wide.slice(s![..;2, ..;3]), tall.slice(s![..;-2, ..;-1]));
        close(matmul(a, b).view(), naive(a, b).view(), 1e-13);
        let row = random(1, k, seed);
        let same = row.broadcast((n, k)).unwrap();
        let other = random(k, 2, seed);
        close(matmul(same, other.view()).view(), naive(same, other.view()).view(), 1e-13);
    }

    #[test]
    fn eigenpairs_rebuild_the_matrix(n in 1usize..12, seed in 0u64..1000) {
        let a = random(n, n, seed);
        let a = &a + &a.t();
        let (values, vectors) = symmetric_eigen(a.view()).unwrap();
        prop_assert!(values.windows(2).into_iter().all(|w| w[0] <= w[1]));
        close((&vectors * &values).dot(&vectors.t()).view(), a.view(), 1e-12);
        close(vectors.t().dot(&vectors).view(), Array2::eye(n).view(), 1e-12);
    }

    #[test]
    fn singular_values_rebuild_the_matrix(n in 1usize..12, d in 1usize..12, seed in 0u64..1000) {
        let x = random(n, d, seed);
        let (u, s, vt) = thin_svd(x.view()).unwrap();
        prop_assert_eq!((u.dim(), s.len(), vt.dim()), ((n, n.min(d)), n.min(d), (n.min(d), d)));
        prop_assert!(s.windows(2).into_iter().all(|w| w[0] >= w[1]));
        close((&u * &s).dot(&vt).view(), x.view(), 1e-12);
    }

    #[test]
    fn positive_definite_systems_are_solved(n in 1usize..10, m in 0usize..4, seed in 0u64..1000) {
        let (g, b) = (random(n, n, seed), random(n, m, seed + 1));
        let a = g.dot(&g.t()) + Array2::<f64>::eye(n);
        close(a.dot(&solve_spd(a.view(), b.view()).unwrap()).view(), b.view(), 1e-10);
        let l = cholesky(a.view()).unwrap();
        close(l.dot(&l.t()).view(), a.view(), 1e-11);
        close(l.dot(&solve_triangular(l.view(), b.view(), Triangle::Lower)).view(), b.view(), 1e-10);
        close(l.t().dot(&solve_triangular(l.view(), b.view(), Triangle::LowerTransposed)).view(), b.view(), 1e-10);
        let root = sqrt_spd(a.view()).unwrap();
        close(root.dot(&root).view(), a.view(), 1e-10);
        close(root.dot(&inverse_sqrt_spd(a.view()).unwrap()).view(), Array2::eye(n).view(), 1e-10);
    }
}

#[test]
fn what_is_not_positive_definite_is_refused() {
    let a = array![[1.0, 2.0], [2.0, 1.0]];
    assert_eq!(cholesky(a.view()), Err(DecomposeError::NotPositiveDefinite));
    assert_eq!(solve_spd(a.view(), a.view()), Err(DecomposeError::NotPositiveDefinite));
    assert_eq!(sqrt_spd(a.view()), Err(DecomposeError::NotPositiveDefinite));
    let singular = array![[1.0, 1.0], [1.0, 1.0]];
    assert_eq!(inverse_sqrt_spd(singular.view()), Err(DecomposeError::NotPositiveDefinite));
    assert!(sqrt_spd(singular.view()).is_ok());
    assert_eq!(thin_svd(array![[f64::NAN]].view()), Err(DecomposeError::NotFinite));
}

#[track_caller]
fn check_top(spectrum: Array1<f64>, k: usize) {
    let a = with_spectrum(&spectrum, 5);
    let (values, vectors) = top_symmetric_eigen(a.view(), k).unwrap();
    let mut sorted = spectrum.to_vec();
    sorted.sort_by(|x, y| y.total_cmp(x));
    for (i, v) in values.iter().enumerate() {
        assert!((v - sorted[i]).abs() < 1e-9 * sorted[0].abs(), "value {i} is {v}, not {}", sorted[i]);
    }
    close(a.dot(&vectors).view(), (&vectors * &values).view(), 1e-8 * sorted[0].abs());
    close(vectors.t().dot(&vectors).view(), Array2::eye(k).view(), 1e-9);
    assert_eq!(top_symmetric_eigen(a.view(), k).unwrap(), (values, vectors), "bits differ between runs");
}

#[test]
fn the_largest_eigenpairs_are_found() {
    let n = 480;
    check_top(Array1::from_shape_fn(40, |i| i as f64 - 20.0), 3);
    check_top(Array1::from_shape_fn(n, |i| 0.97_f64.powi(i as i32)), 10);
    // Repeated values, which one start vector sees once.
    check_top(Array1::from_shape_fn(n, |i| if i < 3 { 5.0 } else { 1.0 / (1 + i) as f64 }), 5);
    // The largest magnitudes are negative.
    check_top(Array1::from_shape_fn(n, |i| if i < 3 { -9.0 } else { 4.0 / (1 + i) as f64 }), 4);
    check_top(Array1::from_shape_fn(n, |i| if i == 0 { 3.0 } else { 0.0 }), 4);
}

#[test]
fn the_partial_search_is_used_where_it_pays() {
    let a = with_spectrum(&Array1::from_shape_fn(480, |i| 0.9_f64.powi(i as i32)), 3);
    assert!(partial::partial_eigen(a.view(), 8).is_some());
}

#[test]
fn the_partial_search_misses_no_eigenvalue_that_is_often_repeated() {
    for often in [3, 20, 60] {
        let spectrum = Array1::from_shape_fn(480, |i| if i < often { 3.0 } else { 2.0 * 0.97_f64.powi(i as i32) });
        let a = with_spectrum(&spectrum, 5);
        if let Some((values, vectors)) = partial::partial_eigen(a.view(), 30) {
            let worst = values.iter().zip(&spectrum).fold(0.0, |m: f64, (got, want)| m.max((got - want).abs()));
            assert!(worst < 1e-10, "{often} times: {worst:e}");
            let gram = matmul_tn(vectors.view(), vectors.view()) - Array2::<f64>::eye(30);
            assert!(gram.iter().all(|v| v.abs() < 1e-12));
        }
        let (values, _) = top_symmetric_eigen(a.view(), 30).unwrap();
        assert!(values.iter().zip(&spectrum).all(|(got, want)| (got - want).abs() < 1e-10), "{often} times");
    }
    // Closed after two steps: fresh vectors fill the rest.
    let flat = with_spectrum(&Array1::from_shape_fn(480, |i| if i < 5 { 3.0 } else { 1.0 }), 5);
    let (values, _) = partial::partial_eigen(flat.view(), 30).unwrap();
    assert!(values.iter().enumerate().all(|(i, v)| (v - if i < 5 { 3.0 } else { 1.0 }).abs() < 1e-12));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = random(300, 200, 1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let gram = matmul_tn(x.view(), x.view());
            let (values, vectors) = symmetric_eigen(gram.view()).unwrap();
            let spd = &gram + &Array2::<f64>::eye(200);
            (gram, values, vectors, thin_svd(x.view()).unwrap(), solve_spd(spd.view(), x.t()).unwrap())
        })
    };
    assert!(run(1) == run(4));
}

#[test]
fn the_minimiser_finds_the_valley_of_rosenbrock() {
    let rosenbrock = |x: &Array1<f64>| -> Result<_, Infallible> {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        Ok((a * a + 100.0 * b * b, array![-2.0 * a - 400.0 * x[0] * b, 200.0 * b]))
    };
    let go_on = |_: Iteration<'_>| Ok(ControlFlow::Continue(()));
    let found = minimise(rosenbrock, array![-1.2, 1.0], &Options::default(), go_on).unwrap();
    assert_eq!(found.stop, Stop::Gradient);
    assert!(found.iterations < 60, "{} iterations", found.iterations);
    assert!((found.x[0] - 1.0).abs() < 1e-7 && (found.x[1] - 1.0).abs() < 1e-7, "{}", found.x);
}

#[test]
fn the_minimiser_solves_badly_scaled_quadratics() {
    let scales = Array1::from_shape_fn(30, |i| 10f64.powf(i as f64 / 10.0));
    let quadratic = |x: &Array1<f64>| -> Result<_, Infallible> {
        let g = (x - 1.0) * &scales;
        Ok((0.5 * g.dot(&(x - 1.0)), g))
    };
    let go_on = |_: Iteration<'_>| Ok(ControlFlow::Continue(()));
    let found = minimise(quadratic, Array1::zeros(30), &Options::default(), go_on).unwrap();
    assert!(found.converged(), "{found:?}");
    assert!(found.x.iter().all(|v| (v - 1.0).abs() < 1e-6), "{}", found.x);
}

#[test]
fn the_observer_ends_the_search() {
    let bowl = |x: &Array1<f64>| -> Result<_, &'static str> { Ok((x.dot(x), x * 2.0)) };
    let start = Array1::from_elem(3, 100.0);
    let stop = minimise(bowl, start.clone(), &Options::default(), |_| Ok(ControlFlow::Break(()))).unwrap();
    assert_eq!((stop.stop, stop.iterations), (Stop::Asked, 1));
    assert_eq!(minimise(bowl, start, &Options::default(), |_| Err("cancelled")).unwrap_err(), "cancelled");
}

#[test]
fn column_means_of_no_rows_are_zero() {
    assert_eq!(column_means(Array2::zeros((0, 3)).view()), Array1::<f64>::zeros(3));
    assert_eq!(column_means(random(4, 2, 0).view()).len(), random(4, 2, 0).sum_axis(Axis(0)).len());
}

/// Kernel matrices look like this: after a few dozen values there is only rounding noise, in which a
/// search for one more direction never ends unless its work is bounded.
#[test]
fn a_spectrum_that_runs_into_noise_ends_the_search() {
    for decay in [0.3, 1.0, 3.0] {
        check_top((0..600).map(|i| (-decay * i as f64).exp()).collect(), 30);
    }
}
