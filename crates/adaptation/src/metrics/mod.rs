//! Scores of predictions against known labels: point values, curves, and bootstrap intervals.
//! A metric that is not defined on some rows is `None`, never a made-up number and never NaN.

mod classification;
mod curves;
mod intervals;
mod regression;
#[cfg(test)]
mod tests;

pub use classification::{ClassReport, ClassificationReport, score_classification};
pub use curves::{RocCurve, RocPoint};
pub use intervals::{BootstrapDraws, Interval};
pub use regression::{RegressionReport, score_regression};

/// What the columns of a prediction's scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ScoreKind {
    /// Rows sum to one.
    Probability,
    /// Larger means more likely; no scale.
    Decision,
}
