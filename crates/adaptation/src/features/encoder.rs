//! Columns of a table become columns of a matrix: numbers are imputed, words one-hot encoded.

use std::collections::{BTreeSet, HashMap};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::params::{FeatureParams, Imputation, MissingIndicator, UnseenCategory};
use crate::context::FitError;
use crate::data::{Column, DomainTable, Kind, Role, Table, Values};
use crate::linalg::{Matrix, SparseRows};

/// One-hot columns beyond this many, at a density below [`SPARSE_DENSITY`], are kept sparse.
const SPARSE_COLUMNS: usize = 256;
const SPARSE_DENSITY: f64 = 0.1;

/// More levels than this make a column of words useless as one-hot columns, and a matrix too wide.
const MAX_LEVELS: usize = 10_000;

/// How one column of the table is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
enum Encoding {
    Number {
        impute: f64,
        indicator: bool,
    },
    /// One column for each level, in order; a missing value is its own column where training had one.
    OneHot {
        levels: Vec<String>,
        indicator: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EncodedColumn {
    name: String,
    encoding: Encoding,
}

/// Encodes tables as it learnt from training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Encoder {
    columns: Vec<EncodedColumn>,
    unseen_category: UnseenCategory,
}

/// What is wrong with a value that was given for prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// `missing_column`, `not_a_number`, `not_finite` or `unknown_category`.
    pub code: &'static str,
    /// Counted from 0; `None` where the whole column is meant.
    pub row: Option<usize>,
    pub column: String,
    pub detail: String,
}

/// At most so many problems are told at once.
const MAX_PROBLEMS: usize = 20;

impl Encoder {
    /// Learns from training rows. Columns that every domain has as features are used, in the order
    /// of the first source.
    pub(super) fn fit(domains: &[&DomainTable], params: &FeatureParams) -> Result<Self, FitError> {
        let mut columns = Vec::new();
        for name in shared_features(domains)? {
            let values: Vec<&Values> =
                domains.iter().filter_map(|d| d.table.column(&name)).map(|c| &c.values).collect();
            let indicator =
                params.missing_indicator == MissingIndicator::Add && values.iter().any(|v| v.n_missing() > 0);
            let encoding = if values.iter().all(|v| is_numeric(v.kind())) {
                // A column without any value says nothing; its indicator would be constant as well.
                let Some(impute) = centre(&values, params.imputation) else { continue };
                Encoding::Number { impute, indicator }
            } else {
                let levels = levels(&values);
                if levels.len() > MAX_LEVELS {
                    return Err(FitError::Degenerate(format!(
                        "column {name:?} has {} distinct words, at most {MAX_LEVELS} can be one-hot encoded; give it the role ignore",
                        levels.len()
                    )));
                }
                Encoding::OneHot { levels, indicator }
            };
            columns.push(EncodedColumn { name, encoding });
        }
        let encoder = Self { columns, unseen_category: params.unseen_category };
        if encoder.n_outputs() == 0 {
            return Err(FitError::Degenerate("every shared feature column is empty".into()));
        }
        Ok(encoder)
    }

    /// The names of the columns that a table must have.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.columns.iter().map(|c| {
            let kind = match c.encoding {
                Encoding::Number { .. } => Kind::Number,
                Encoding::OneHot { .. } => Kind::Category,
            };
            (c.name.as_str(), kind)
        })
    }

    /// The levels of a column of words.
    pub(super) fn levels_of(&self, name: &str) -> Option<&[String]> {
        self.columns.iter().find(|c| c.name == name).and_then(|c| match &c.encoding {
            Encoding::Number { .. } => None,
            Encoding::OneHot { levels, .. } => Some(levels.as_slice()),
        })
    }

    /// The number of columns of the matrix.
    pub(super) fn n_outputs(&self) -> usize {
        self.columns.iter().map(|c| c.encoding.width()).sum()
    }

    /// The matrix of a table, `(n, n_outputs)`.
    ///
    /// # Errors
    /// Every column that is missing and every value that does not fit, up to twenty.
    pub(super) fn transform(&self, table: &Table) -> Result<Matrix, Vec<InputProblem>> {
        let mut problems = Vec::new();
        let mut inputs = Vec::new();
        for column in &self.columns {
            match table.column(&column.name) {
                Some(found) => {
                    self.check(column, found, &mut problems);
                    inputs.push((found, &column.encoding));
                }
                None => problems.push(InputProblem {
                    code: "missing_column",
                    row: None,
                    column: column.name.clone(),
                    detail: "the model was fitted with this column".into(),
                }),
            }
        }
        problems.truncate(MAX_PROBLEMS);
        if problems.is_empty() { Ok(self.assemble(table.n_rows(), &inputs)) } else { Err(problems) }
    }

    /// The first entry of an encoded matrix whose magnitude is beyond `bound`, as row and input column.
    pub(super) fn first_beyond(&self, x: &Matrix, bound: f64) -> Option<(usize, &str)> {
        let (row, output) = x.first_entry(|v| v.abs() > bound)?;
        let mut end = 0;
        let column = self.columns.iter().find(|c| {
            end += c.encoding.width();
            output < end
        })?;
        Some((row, &column.name))
    }

    fn check(&self, column: &EncodedColumn, found: &Column, problems: &mut Vec<InputProblem>) {
        let words = !is_numeric(found.values.kind());
        let wrong = |row: usize| match &column.encoding {
            Encoding::Number { .. } if words => match found.values.word(row) {
                Some(word) if number_in(&word).is_none() => {
                    Some(("not_a_number", format!("expected a number, got {:?}", shorten(&word))))
                }
                _ => None,
            },
            Encoding::OneHot { levels, .. } if self.unseen_category == UnseenCategory::Error => {
                found.values.word(row).filter(|w| !levels.contains(w)).map(|word| {
                    ("unknown_category", format!("{:?} was not seen in training; policy is error", shorten(&word)))
                })
            }
            _ => None,
        };
        for row in 0..found.values.len() {
            if problems.len() >= MAX_PROBLEMS {
                return;
            }
            if let Some((code, detail)) = wrong(row) {
                problems.push(InputProblem { code, row: Some(row), column: column.name.clone(), detail });
            }
        }
    }

    fn assemble(&self, n_rows: usize, inputs: &[(&Column, &Encoding)]) -> Matrix {
        let width = self.n_outputs();
        // Each input fills about one of its columns.
        let density = inputs.len() as f64 / width as f64;
        let cells: Vec<Cells> = inputs.iter().map(|(column, encoding)| Cells::new(column, encoding)).collect();
        if width > SPARSE_COLUMNS && density < SPARSE_DENSITY {
            let mut out = SparseRows::new(width);
            for row in 0..n_rows {
                let mut entries = Vec::with_capacity(inputs.len());
                write_row(&cells, row, |column, value| entries.push((column, value)));
                out.push_row(entries);
            }
            return Matrix::Sparse(out);
        }
        let mut out = Array2::zeros((n_rows, width));
        for row in 0..n_rows {
            write_row(&cells, row, |column, value| out[(row, column)] = value);
        }
        Matrix::Dense(out)
    }
}

/// One input column with what it takes to look its values up quickly.
struct Cells<'a> {
    values: &'a Values,
    encoding: &'a Encoding,
    codes: HashMap<&'a str, usize>,
}

impl<'a> Cells<'a> {
    fn new(column: &'a Column, encoding: &'a Encoding) -> Self {
        let codes = match encoding {
            Encoding::Number { .. } => HashMap::new(),
            Encoding::OneHot { levels, .. } => levels.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect(),
        };
        Self { values: &column.values, encoding, codes }
    }
}

fn write_row(cells: &[Cells], row: usize, mut write: impl FnMut(usize, f64)) {
    let mut at = 0;
    for cell in cells {
        match cell.encoding {
            Encoding::Number { impute, indicator } => {
                let number = match cell.values.kind() {
                    kind if is_numeric(kind) => cell.values.number(row),
                    _ => cell.values.word(row).and_then(|w| number_in(&w)),
                };
                write(at, number.unwrap_or(*impute));
                if *indicator && number.is_none() {
                    write(at + 1, 1.0);
                }
            }
            Encoding::OneHot { levels, indicator } => match cell.values.word(row) {
                Some(word) => {
                    if let Some(&code) = cell.codes.get(word.as_str()) {
                        write(at + code, 1.0);
                    }
                }
                None if *indicator => write(at + levels.len(), 1.0),
                None => {}
            },
        }
        at += cell.encoding.width();
    }
}

impl Encoding {
    fn width(&self) -> usize {
        match self {
            Encoding::Number { indicator, .. } => 1 + usize::from(*indicator),
            Encoding::OneHot { levels, indicator } => levels.len() + usize::from(*indicator),
        }
    }
}

fn is_numeric(kind: Kind) -> bool {
    matches!(kind, Kind::Number | Kind::Integer | Kind::Boolean | Kind::Timestamp)
}

fn number_in(word: &str) -> Option<f64> {
    word.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

/// Enough of a value to recognise it by.
fn shorten(word: &str) -> String {
    word.chars().take(40).collect()
}

/// The feature columns that all domains have, in the order of the first.
fn shared_features(domains: &[&DomainTable]) -> Result<Vec<String>, FitError> {
    let features =
        |d: &DomainTable| -> BTreeSet<String> { d.with_role(Role::Feature).map(|c| c.name.clone()).collect() };
    let (Some((first, others)), true) = (domains.split_first(), !domains.is_empty()) else {
        return Err(FitError::NoSharedColumns("there is no domain to take columns from".into()));
    };
    let others: Vec<BTreeSet<String>> = others.iter().map(|d| features(d)).collect();
    let shared: Vec<String> = first
        .with_role(Role::Feature)
        .filter(|c| c.values.kind() != Kind::Text && others.iter().all(|o| o.contains(&c.name)))
        .map(|c| c.name.clone())
        .collect();
    if shared.is_empty() {
        return Err(FitError::NoSharedColumns(format!(
            "no feature column is shared by {}",
            domains.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(shared)
}

/// The mean or median of the values that are known; `None` where none is.
fn centre(values: &[&Values], imputation: Imputation) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().flat_map(|v| (0..v.len()).filter_map(|i| v.number(i))).collect();
    if known.is_empty() {
        return None;
    }
    // Sorted in both cases, so that the order of rows does not change a bit of the result.
    known.sort_unstable_by(f64::total_cmp);
    let n = known.len();
    Some(match imputation {
        Imputation::Mean => known.iter().sum::<f64>() / n as f64,
        Imputation::Median => known[(n - 1) / 2].midpoint(known[n / 2]),
    })
}

fn levels(values: &[&Values]) -> Vec<String> {
    let mut levels = BTreeSet::new();
    for v in values {
        match v {
            Values::Category { codes, levels: all } => {
                // Levels that no row of these has are not seen.
                let used: BTreeSet<u32> = codes.iter().flatten().copied().collect();
                levels.extend(used.into_iter().map(|c| all[c as usize].clone()));
            }
            other => levels.extend((0..other.len()).filter_map(|i| other.word(i))),
        }
    }
    levels.into_iter().collect()
}
