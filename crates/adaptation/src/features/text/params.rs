//! What a spec says about columns of free text.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// How columns of free text become features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextParams {
    /// What texts are cut into.
    pub analyzer: Analyzer,
    /// The fewest and the most words in a row that make one feature: [1, 2] takes single words and pairs.
    #[schemars(inner(range(min = 1, max = 5)))]
    #[serde(deserialize_with = "ascending")]
    pub word_ngrams: [u8; 2],
    /// The fewest and the most characters in a row that make one feature, where the analyzer takes characters.
    #[schemars(inner(range(min = 1, max = 10)))]
    #[serde(deserialize_with = "ascending")]
    pub char_ngrams: [u8; 2],
    /// Whether "Free" and "free" are one word.
    pub case: Case,
    /// How much more often than once counts for.
    pub term_frequency: TermFrequency,
    /// The most n-grams that are kept of one column: those that the most rows have. Of words and of characters each,
    /// where both are taken. Many methods take longer by the square or the cube of all columns.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_features: u32,
    /// N-grams of fewer training rows are dropped: what occurs once says nothing about other rows.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_document_frequency: u32,
    /// Instead of a list of the commonest n-grams, every n-gram is added to one of so many columns, which its hash
    /// chooses. Takes texts of any size and keeps no words in the model; max_features and min_document_frequency then
    /// say nothing. null keeps a list.
    #[schemars(range(min = 16, max = 131_072))]
    pub hashed: Option<u32>,
    /// Whether the features of texts are scaled as other columns are.
    pub scaling: TextScaling,
}

impl Default for TextParams {
    fn default() -> Self {
        Self {
            analyzer: Analyzer::Word,
            word_ngrams: [1, 2],
            char_ngrams: [3, 5],
            case: Case::Lower,
            term_frequency: TermFrequency::Sublinear,
            max_features: 2000,
            min_document_frequency: 2,
            hashed: None,
            scaling: TextScaling::UnitLength,
        }
    }
}

/// What texts are cut into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Words: letters, digits and underscores in a row, from 2 to 64 of them.
    #[default]
    Word,
    /// Characters in a row within what spaces part, its edges marked by a space. For misspelt words, and for languages
    /// that are written without spaces.
    Char,
    /// Both.
    WordChar,
}

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// All letters are made lower case.
    #[default]
    Lower,
    /// Letters are left as they are.
    Keep,
}

/// What an n-gram counts that one text has `n` times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TermFrequency {
    /// 1 + ln n: every further time counts for less.
    #[default]
    Sublinear,
    /// n
    Count,
    /// 1, however often.
    Presence,
}

/// How the features of texts are scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextScaling {
    /// Each text has length 1 over the features of its column, whatever scaling says of other columns. Zeros stay
    /// zeros, so that wide tables stay sparse.
    #[default]
    UnitLength,
    /// The same, and then as scaling says of all columns. A z-score makes rare words weigh as much as common ones and
    /// fills every zero: memory for rows times features.
    AsOtherColumns,
}

/// The fewest and the most, in this order.
fn ascending<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 2], D::Error> {
    let [fewest, most] = <[u8; 2]>::deserialize(deserializer)?;
    if fewest > most {
        return Err(D::Error::custom(format!("[{fewest}, {most}]: the fewest of an n-gram come before the most")));
    }
    Ok([fewest, most])
}
