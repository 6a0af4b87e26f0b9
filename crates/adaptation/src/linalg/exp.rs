//! `exp` over a slice, four values at a time where the processor can. It is the part of a kernel
//! tile that is not a matrix product, so its speed decides how near MMD comes to the product's rate.

use std::f64::consts::LOG2_E;

use ndarray::{Array2, ArrayViewMut1};

/// ln 2 in two parts: the first has trailing zeros, so that `k · LN2_HIGH` is exact for |k| < 2¹¹.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Below this the result would be subnormal; zero is returned.
const LEAST: f64 = -708.0;
/// 1/n! from 13 down to 2. |r| ≤ ln2/2, so the first term left out is below 4e-18.
const TAYLOR: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// Whether the vector forms below may be called on this processor.
pub(super) fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Clears the upper halves of the vector registers, which faer's products leave in use. As long as they are, every step
/// from scalar code to the vector code of the C library or back, such as a call of `exp`, takes some 70 cycles more.
pub(super) fn leave_vectors() {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the feature was detected in this call.
        unsafe { std::arch::x86_64::_mm256_zeroupper() };
    }
}

/// exp(x) for x ≤ 0: relative error below 4e-16 for x ≥ −708, and 0 below. Arguments above 0 count
/// as 0: they are squared distances that rounding made negative.
///
/// Inlined into functions that enable FMA; elsewhere `mul_add` would be a slow library call.
#[inline(always)]
pub(super) fn exp_of_not_positive(x: f64) -> f64 {
    let x = x.min(0.0);
    let shifted = x.max(LEAST).mul_add(LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(-LN2_LOW, k.mul_add(-LN2_HIGH, x.max(LEAST)));
    let mut p = TAYLOR[0];
    for c in &TAYLOR[1..] {
        p = p.mul_add(r, *c);
    }
    p = (p * r).mul_add(r, r) + 1.0;
    // k sits in the low bits of `shifted`; moved to the exponent it is a factor of 2ᵏ.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < LEAST { 0.0 } else { p * power }
}

/// `values[j] ← exp(min(0, values[j] + row + columns[j]))`: a row of a Gaussian tile, where
/// `values` holds x·y/σ², and `row` and `columns` hold −‖·‖²/2σ².
pub(super) fn gaussian_row(values: &mut [f64], row: f64, columns: &[f64]) {
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: the features were detected in this call.
        unsafe { gaussian_row_avx2(values, row, columns) };
        return;
    }
    values.iter_mut().zip(columns).for_each(|(v, c)| *v = (*v + row + c).min(0.0).exp());
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn gaussian_row_avx2(values: &mut [f64], row: f64, columns: &[f64]) {
    values.iter_mut().zip(columns).for_each(|(v, c)| *v = exp_of_not_positive(*v + row + c));
}

/// Log odds `(n, k)` become probabilities: the exponentials of a row over their sum. NaN where a row is not finite.
pub fn softmax(rows: &mut Array2<f64>) {
    // Keeps what is NaN, as `f64::max` does not.
    let larger = |most: f64, &z: &f64| if z > most || z.is_nan() { z } else { most };
    let shift = |mut row: ArrayViewMut1<f64>| {
        let most = row.iter().fold(f64::NEG_INFINITY, larger);
        row.iter_mut().for_each(|z| *z -= most);
        most
    };
    let largest: Vec<f64> = rows.rows_mut().into_iter().map(shift).collect();
    // All rows at once, for each is shorter than a vector.
    match rows.as_slice_memory_order_mut() {
        Some(values) => scaled_exp(values, 1.0),
        None => rows.mapv_inplace(f64::exp),
    }
    for (mut row, largest) in rows.rows_mut().into_iter().zip(largest) {
        let sum = if largest.is_finite() { row.iter().sum() } else { f64::NAN };
        row.iter_mut().for_each(|p| *p /= sum);
    }
}

/// `values[j] ← exp(min(0, factor · values[j]))`.
pub(super) fn scaled_exp(values: &mut [f64], factor: f64) {
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: the features were detected in this call.
        unsafe { scaled_exp_avx2(values, factor) };
        return;
    }
    values.iter_mut().for_each(|v| *v = (*v * factor).min(0.0).exp());
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn scaled_exp_avx2(values: &mut [f64], factor: f64) {
    values.iter_mut().for_each(|v| *v = exp_of_not_positive(*v * factor));
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn agrees_with_the_standard_library_to_four_ulps_over_the_whole_range() {
        let mut worst = 0.0_f64;
        for i in 0..400_000 {
            let x = -f64::from(i) * 1.77e-3;
            if x < LEAST {
                break;
            }
            let (ours, theirs) = (exp_of_not_positive(x), x.exp());
            worst = worst.max((ours - theirs).abs() / theirs);
        }
        assert!(worst < 4e-16, "relative error {worst:e}");
    }

    #[test]
    fn the_ends_of_the_range_are_zero_and_one() {
        assert_eq!(exp_of_not_positive(0.0), 1.0);
        assert_eq!(exp_of_not_positive(1e-9), 1.0);
        assert_eq!(exp_of_not_positive(-1e300), 0.0);
        assert_eq!(exp_of_not_positive(f64::NEG_INFINITY), 0.0);
    }

    #[test]
    fn softmax_is_what_it_says_and_keeps_what_is_not_finite() {
        let outputs = array![[0.0, 1.0, -2.5], [1e3, 0.0, 1e3], [-1e9, 3.0, 3.0], [-800.0, -800.0, -801.0]];
        let mut got = outputs.clone();
        softmax(&mut got);
        for (got, z) in got.rows().into_iter().zip(outputs.rows()) {
            let largest = z.fold(f64::NEG_INFINITY, |m, v| m.max(*v));
            let sum: f64 = z.iter().map(|v| (v - largest).exp()).sum();
            assert!(got.iter().zip(z).all(|(p, v)| (p - (v - largest).exp() / sum).abs() < 1e-15), "{got}");
        }
        let mut odd = array![[1.0, f64::NAN], [f64::NAN, 1.0], [f64::INFINITY, 0.0]];
        softmax(&mut odd);
        assert!(odd.iter().all(|p| p.is_nan()), "{odd}");
    }

    #[test]
    fn rows_of_any_length_are_the_same_with_and_without_vectors() {
        for n in [0, 1, 3, 4, 7, 33] {
            let start: Vec<f64> = (0..n).map(|j| -0.37 * j as f64).collect();
            let columns: Vec<f64> = (0..n).map(|j| -0.01 * (j * j) as f64).collect();
            let mut ours = start.clone();
            gaussian_row(&mut ours, -0.25, &columns);
            let mut scaled = start.clone();
            scaled_exp(&mut scaled, 0.5);
            for j in 0..n {
                let want = (start[j] - 0.25 + columns[j]).exp();
                assert!((ours[j] - want).abs() <= 4e-16 * want, "{j} of {n}");
                let want = (0.5 * start[j]).exp();
                assert!((scaled[j] - want).abs() <= 4e-16 * want, "{j} of {n}");
            }
        }
    }
}
