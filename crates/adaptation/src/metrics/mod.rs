//! Scores against known labels, each with a bootstrap interval. What the data does not define is `None`.

mod classification;
mod curves;
mod intervals;
mod probability;
mod regression;
mod report;
#[cfg(test)]
mod tests;

pub use classification::{Averages, Confusion};
pub use curves::{Areas, Ranking, RocCurve};
pub use intervals::{BootstrapDraws, DRAWS, Interval, intervals};
pub use probability::{ProbabilityMetrics, ProbabilityTerms};
pub use regression::{RegressionReport, score_regression};
pub use report::{ClassMetrics, ClassificationReport, Scores, score_classification};
