//! Predictions as one NPY array, version 1.0: little-endian float64, C order.

use adaptation::learners::Prediction;

/// The data begins at a multiple of this, as NumPy writes it.
const ALIGNMENT: usize = 64;

/// `(n, C)` probabilities or scores in the order of the classes, `(n, 1)` values of a regression.
pub(super) fn scores(prediction: &Prediction) -> Vec<u8> {
    match prediction {
        Prediction::Classes { scores, .. } => array(scores.dim(), scores.iter()),
        Prediction::Values(values) => array((values.len(), 1), values.iter()),
    }
}

fn array<'a>((n, d): (usize, usize), numbers: impl Iterator<Item = &'a f64>) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    // Magic, version and length take ten bytes, the end of the line one.
    let padding = (10 + header.len() + 1).next_multiple_of(ALIGNMENT) - (10 + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = Vec::with_capacity(10 + header.len() + 8 * n * d);
    bytes.extend(b"\x93NUMPY\x01\x00");
    // Two numbers of at most twenty digits: the header is far from 65,535 bytes.
    bytes.extend(u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(header.as_bytes());
    numbers.for_each(|x| bytes.extend(x.to_le_bytes()));
    bytes
}
