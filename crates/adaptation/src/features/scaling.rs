//! The scalings of encoded rows, as the maps that they are saved as.

use ndarray::{Array1, Axis};

use super::encoder::{Encoder, Filled};
use super::map::{DomainMaps, Map};
use super::params::{FeatureParams, Scaling};
use super::text::TextScaling;
use crate::context::FitError;
use crate::linalg::Matrix;

/// What a scaling of all columns fills.
pub(super) fn filled_by(scaling: Scaling) -> Filled {
    match scaling {
        Scaling::JointZScore | Scaling::DomainZScore | Scaling::RowSumDomainZScore => Filled::Zeros,
        Scaling::None | Scaling::L2Rows | Scaling::TfIdf => Filled::Nothing,
    }
}

/// The columns that scaling is about, ascending; `None` are all.
pub(super) fn scaled_columns(encoder: &Encoder, params: &FeatureParams) -> Option<Vec<usize>> {
    let apart = params.text.unwrap_or_default().scaling == TextScaling::UnitLength;
    (apart && encoder.has_text()).then(|| encoder.outputs_beside_text())
}

/// The maps of one scaling that leave other columns as they are.
pub(super) fn scaling_within(sources: &[Matrix], target: &Matrix, of: Scaling, columns: Vec<usize>) -> DomainMaps {
    if columns.is_empty() || of == Scaling::None {
        return DomainMaps::identity(sources.len());
    }
    let chosen = Map::Select { columns: columns.clone() };
    let sources: Vec<Matrix> = sources.iter().map(|x| chosen.apply(x)).collect();
    let maps = scaling(&sources, &chosen.apply(target), of);
    let within = |map: Map| Map::Within { columns: columns.clone(), map: Box::new(map) };
    DomainMaps { sources: maps.sources.into_iter().map(within).collect(), target: within(maps.target) }
}

/// The maps of one scaling.
pub(super) fn scaling(sources: &[Matrix], target: &Matrix, scaling: Scaling) -> DomainMaps {
    let shared = |map| DomainMaps::shared(sources.len(), map);
    match scaling {
        Scaling::None => shared(Map::Identity),
        Scaling::L2Rows => shared(Map::UnitRows),
        Scaling::JointZScore => {
            let all: Vec<&Matrix> = sources.iter().chain([target]).collect();
            shared(z_score(&all))
        }
        Scaling::DomainZScore => {
            DomainMaps { sources: sources.iter().map(|x| z_score(&[x])).collect(), target: z_score(&[target]) }
        }
        Scaling::RowSumDomainZScore => {
            let map = |x: &Matrix| Map::Chain(vec![Map::RowShares, z_score(&[&Map::RowShares.apply(x)])]);
            DomainMaps { sources: sources.iter().map(map).collect(), target: map(target) }
        }
        Scaling::TfIdf => {
            let all: Vec<&Matrix> = sources.iter().chain([target]).collect();
            shared(Map::Chain(vec![Map::TermWeights { idf: inverse_document_frequencies(&all) }, Map::UnitRows]))
        }
    }
}

/// Counts are not negative.
pub(super) fn check_counts(
    encoder: &Encoder,
    x: &Matrix,
    among: Option<&[usize]>,
    domain: &str,
) -> Result<(), FitError> {
    encoder.first_among(x, among, |v| v < 0.0).map_or(Ok(()), |(row, column)| {
        Err(FitError::Invalid {
            pointer: "/features/scaling".into(),
            detail: format!(
                "column {column:?} of {domain}, row {}: tf_idf takes counts, which are not below 0; \
                 choose another scaling, or give the column the role ignore",
                row + 1
            ),
        })
    })
}

/// `ln((1 + n) / (1 + rows that have the term)) + 1` of all rows of the parts, `(d,)`: as if one more row had every
/// term, so that a term of no row has a finite weight, and one of all rows still has the weight 1.
fn inverse_document_frequencies(parts: &[&Matrix]) -> Array1<f64> {
    let d = parts.first().map_or(0, |x| x.n_columns());
    let n: usize = parts.iter().map(|x| x.n_rows()).sum();
    let mut rows_with = Array1::<f64>::zeros(d);
    for x in parts {
        match x {
            Matrix::Dense(x) => {
                x.indexed_iter().filter(|(_, v)| **v != 0.0).for_each(|((_, j), _)| rows_with[j] += 1.0)
            }
            Matrix::Sparse(x) => (0..x.n_rows()).for_each(|i| x.row(i).for_each(|(j, _)| rows_with[j] += 1.0)),
        }
    }
    rows_with.mapv(|with| ((1.0 + n as f64) / (1.0 + with)).ln() + 1.0)
}

/// Minus the mean, divided by the deviation (n − 1) of all rows of the parts. A constant column is
/// only centred.
fn z_score(parts: &[&Matrix]) -> Map {
    let d = parts.first().map_or(0, |x| x.n_columns());
    let n: usize = parts.iter().map(|x| x.n_rows()).sum();
    let mut mean = Array1::zeros(d);
    for x in parts {
        mean += &x.dense().sum_axis(Axis(0));
    }
    mean /= n.max(1) as f64;
    let mut variance = Array1::<f64>::zeros(d);
    for x in parts {
        for row in x.dense().rows() {
            variance.zip_mut_with(&(&row - &mean), |v, c| *v += c * c);
        }
    }
    variance /= n.saturating_sub(1).max(1) as f64;
    let scale = variance.iter().zip(&mean).map(|(v, m): (&f64, &f64)| {
        // A deviation of rounding noise is none: dividing by it would blow the noise up.
        let deviation = v.sqrt();
        if deviation > 1e-12 * (1.0 + m.abs()) { 1.0 / deviation } else { 1.0 }
    });
    Map::Scale { shift: mean.clone(), scale: scale.collect(), offset: Array1::zeros(d) }
}
