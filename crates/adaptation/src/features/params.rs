//! What a spec says about features: how columns become numbers and how they are scaled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::TextParams;

/// How tables become matrices. Applied before every method, whatever the method does inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureParams {
    /// How columns are scaled before the method sees them.
    pub scaling: Scaling,
    /// What stands for a missing number.
    pub imputation: Imputation,
    /// Whether a column of zeros and ones says where a value was missing.
    pub missing_indicator: MissingIndicator,
    /// What happens at prediction to a category that training never saw.
    pub unseen_category: UnseenCategory,
    /// How columns of free text become features: each row's text is cut into n-grams, and each n-gram that is kept is one
    /// column, which is larger the more often the text has it and the fewer other texts do (tf-idf). A missing text counts
    /// as an empty one; what training never saw counts for nothing.
    // `None` is not written: files of before there was a choice have a digest of what they say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TextParams")]
    pub text: Option<TextParams>,
}

/// How columns are scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Values as they are.
    None,
    /// Minus the mean, divided by the deviation, both of source and target training rows together.
    #[default]
    JointZScore,
    /// The same with each domain's own mean and deviation; predictions use the target's.
    DomainZScore,
    /// Every row divided by its Euclidean length; for pixels.
    L2Rows,
    /// Every row divided by its sum, then each domain's z-score; for bags of words.
    RowSumDomainZScore,
    /// Counts of words, none below zero: rare words weigh more, repeated words count less each time, rows of unit
    /// length. Zeros stay zeros, so that wide sparse tables stay sparse.
    TfIdf,
}

/// What stands for a missing number: a statistic of source and target training rows together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Imputation {
    Mean,
    #[default]
    Median,
}

/// Whether missing values are marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingIndicator {
    /// One column of zeros and ones for each column that misses values in training.
    #[default]
    Add,
    /// None.
    Omit,
}

/// What happens to a category that training never saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnseenCategory {
    /// It counts as none of the known ones.
    #[default]
    Ignore,
    /// The row is refused.
    Error,
}
