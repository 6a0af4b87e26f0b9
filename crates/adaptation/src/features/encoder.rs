//! Columns of a table become columns of a matrix: numbers are imputed, words one-hot encoded, texts cut into n-grams.

use std::cell::LazyCell;
use std::collections::HashMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::columns::{by_name, centre, is_numeric, levels, n_not_zero, number_in, shared_features, shorten};
use super::params::{FeatureParams, MissingIndicator, UnseenCategory};
use super::text::{GoesOn, TextEncoding};
use crate::context::{Ctx, FitError};
use crate::data::{Column, DomainTable, Kind, Table, Values};
use crate::linalg::{Matrix, SparseRows};
use crate::parts::LoadError;

/// Columns beyond this many, of which fewer entries than [`SPARSE_DENSITY`] are not zero, are kept sparse.
const SPARSE_COLUMNS: usize = 256;
const SPARSE_DENSITY: f64 = 0.1;

/// More levels than this make a column of words useless as one-hot columns, and a matrix too wide.
const MAX_LEVELS: usize = 10_000;

/// Columns of a matrix: what is fitted on them takes memory for each, however sparse the rows are.
const MAX_WIDTH: usize = 1_000_000;

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
    /// One column for each n-gram or bucket.
    Text(TextEncoding),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EncodedColumn {
    name: String,
    encoding: Encoding,
}

/// How a matrix is held. Learnt from training rows, so that later rows are held the same way however few they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Layout {
    #[default]
    Dense,
    Sparse,
}

/// What scaling fills of sparse rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    Nothing,
    Zeros,
}

/// Encodes tables as it learnt from training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Encoder {
    columns: Vec<EncodedColumn>,
    unseen_category: UnseenCategory,
    /// Absent in files written before there was a choice.
    #[serde(default)]
    layout: Layout,
}

/// What is wrong with a value that was given for prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProblem {
    /// `missing_column`, `not_a_number`, `not_finite`, `unknown_category` or `negative_number`.
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
    /// of the first source. Answers with the number of entries of the encoded training rows that are not zero, too.
    pub(super) fn fit(domains: &[&DomainTable], params: &FeatureParams, ctx: &Ctx) -> Result<(Self, usize), FitError> {
        let mut columns = Vec::new();
        let mut n_entries = 0;
        let tables: Vec<HashMap<&str, &Column>> = domains.iter().map(|d| by_name(&d.table)).collect();
        for name in shared_features(domains)? {
            let values: Vec<&Values> = tables.iter().filter_map(|t| t.get(name.as_str())).map(|c| &c.values).collect();
            let indicator =
                params.missing_indicator == MissingIndicator::Add && values.iter().any(|v| v.n_missing() > 0);
            let encoding = if values.iter().all(|v| is_numeric(v.kind())) {
                // A column without any value says nothing; its indicator would be constant as well.
                let Some(impute) = centre(&values, params.imputation) else { continue };
                Encoding::Number { impute, indicator }
            } else if values.iter().any(|v| v.kind() == Kind::Text) {
                // A column whose texts share nothing says nothing of other rows.
                let text = params.text.unwrap_or_default();
                let Some((encoding, entries)) = TextEncoding::fit(&name, &values, &text, ctx)? else { continue };
                n_entries += entries;
                columns.push(EncodedColumn { name, encoding: Encoding::Text(encoding) });
                continue;
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
            n_entries += values.iter().map(|v| n_not_zero(v)).sum::<usize>();
            columns.push(EncodedColumn { name, encoding });
        }
        let width: usize = columns.iter().map(|c| c.encoding.width()).sum();
        if width == 0 {
            return Err(FitError::Degenerate(
                "every shared feature column is empty, or holds texts that have nothing in common".into(),
            ));
        }
        if width > MAX_WIDTH {
            let detail = format!("{width} columns, at most {MAX_WIDTH} are worked on; lower max_features or hashed");
            return Err(FitError::Invalid { pointer: "/features/text".into(), detail });
        }
        let n_rows: usize = domains.iter().map(|d| d.table.n_rows()).sum();
        let few = (n_entries as f64) < SPARSE_DENSITY * n_rows as f64 * width as f64;
        let layout = if width > SPARSE_COLUMNS && few { Layout::Sparse } else { Layout::Dense };
        Ok((Self { columns, unseen_category: params.unseen_category, layout }, n_entries))
    }

    /// Bytes of the encoded and scaled matrix of so many rows, of which so many entries are not zero, beyond one number for
    /// each column of the table: what categories and texts are spread out to.
    pub(super) fn spread_bytes(&self, n_rows: usize, n_entries: usize, filled: Filled) -> u64 {
        let beyond = self.n_outputs().saturating_sub(self.columns.len()) as u64;
        let dense = 8 * n_rows as u64 * beyond;
        // Rows are gathered as lists of pairs before they are compressed.
        let sparse = 28 * n_entries as u64;
        match (self.layout, filled) {
            (Layout::Dense, _) => dense,
            (Layout::Sparse, Filled::Zeros) => dense + sparse,
            (Layout::Sparse, Filled::Nothing) => sparse,
        }
    }

    /// The names of the columns that a table must have.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.columns.iter().map(|c| {
            let kind = match c.encoding {
                Encoding::Number { .. } => Kind::Number,
                Encoding::OneHot { .. } => Kind::Category,
                Encoding::Text(_) => Kind::Text,
            };
            (c.name.as_str(), kind)
        })
    }

    /// The levels of a column of words.
    pub(super) fn levels_of(&self, name: &str) -> Option<&[String]> {
        self.columns.iter().find(|c| c.name == name).and_then(|c| match &c.encoding {
            Encoding::Number { .. } | Encoding::Text(_) => None,
            Encoding::OneHot { levels, .. } => Some(levels.as_slice()),
        })
    }

    /// The number of columns of the matrix.
    pub(super) fn n_outputs(&self) -> usize {
        self.columns.iter().map(|c| c.encoding.width()).sum()
    }

    /// Whether any column is text.
    pub(super) fn has_text(&self) -> bool {
        self.columns.iter().any(|c| matches!(c.encoding, Encoding::Text(_)))
    }

    /// The columns of the matrix, ascending, that are not of text.
    pub(super) fn outputs_beside_text(&self) -> Vec<usize> {
        let mut end = 0;
        let outputs = self.columns.iter().flat_map(|c| {
            let start = end;
            end += c.encoding.width();
            let of_text = matches!(c.encoding, Encoding::Text(_));
            if of_text { end..end } else { start..end }
        });
        outputs.collect()
    }

    /// # Errors
    /// [`LoadError`] where a file holds what no fit makes.
    pub(super) fn check_loaded(&self) -> Result<(), LoadError> {
        let mut texts = self.columns.iter().filter_map(|c| match &c.encoding {
            Encoding::Text(text) => Some(text),
            _ => None,
        });
        texts.try_for_each(TextEncoding::check)
    }

    /// The matrix of a table, `(n, n_outputs)`.
    ///
    /// # Errors
    /// Every column that is missing and every value that does not fit, up to twenty.
    pub(super) fn transform(&self, table: &Table, goes_on: GoesOn) -> Result<Matrix, Vec<InputProblem>> {
        let mut problems = Vec::new();
        let mut inputs = Vec::new();
        // Columns usually come in the order of the model; others are looked for.
        let given = LazyCell::new(|| by_name(table));
        for (j, column) in self.columns.iter().enumerate() {
            let in_place = table.columns().get(j).filter(|c| c.name == column.name);
            match in_place.or_else(|| given.get(column.name.as_str()).copied()) {
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
        if problems.is_empty() { Ok(self.assemble(table.n_rows(), &inputs, goes_on)) } else { Err(problems) }
    }

    /// The first entry of an encoded matrix of which `is` holds, as row and input column. Zeros are not asked about.
    pub(super) fn first_where(&self, x: &Matrix, is: impl Fn(f64) -> bool) -> Option<(usize, &str)> {
        self.named(x.first_entry(|_, v| is(v))?)
    }

    /// The same among some columns of the matrix, ascending; `None` are all.
    pub(super) fn first_among(
        &self,
        x: &Matrix,
        among: Option<&[usize]>,
        is: impl Fn(f64) -> bool,
    ) -> Option<(usize, &str)> {
        let asked = |j: usize| among.is_none_or(|columns| columns.binary_search(&j).is_ok());
        self.named(x.first_entry(|j, v| is(v) && asked(j))?)
    }

    /// An entry of the matrix as row and input column.
    fn named(&self, (row, output): (usize, usize)) -> Option<(usize, &str)> {
        let mut end = 0;
        let column = self.columns.iter().find(|c| {
            end += c.encoding.width();
            output < end
        })?;
        Some((row, &column.name))
    }

    fn check(&self, column: &EncodedColumn, found: &Column, problems: &mut Vec<InputProblem>) {
        let words = !is_numeric(found.values.kind());
        if matches!(column.encoding, Encoding::Text(_)) || !words && matches!(column.encoding, Encoding::Number { .. })
        {
            return;
        }
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

    fn assemble(&self, n_rows: usize, inputs: &[(&Column, &Encoding)], goes_on: GoesOn) -> Matrix {
        let width = self.n_outputs();
        let cells = inputs.iter().map(|(column, encoding)| Cells::new(column, encoding));
        let mut at = 0;
        match self.layout {
            Layout::Sparse => {
                // Column after column, so that the entries of each row come in their order.
                let mut rows = vec![Vec::new(); n_rows];
                for cell in cells {
                    cell.entries(goes_on, |row, column, value| rows[row].push((at + column, value)));
                    at += cell.encoding.width();
                }
                let mut out = SparseRows::new(width);
                rows.into_iter().for_each(|row| out.push_row(row));
                Matrix::Sparse(out)
            }
            Layout::Dense => {
                let mut out = Array2::zeros((n_rows, width));
                for cell in cells {
                    cell.entries(goes_on, |row, column, value| out[(row, at + column)] = value);
                    at += cell.encoding.width();
                }
                Matrix::Dense(out)
            }
        }
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
            Encoding::Number { .. } | Encoding::Text(_) => HashMap::new(),
            Encoding::OneHot { levels, .. } => levels.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect(),
        };
        Self { values: &column.values, encoding, codes }
    }

    /// Every entry that may not be zero, as row, column from the first of this input, and value; rows ascend.
    fn entries(&self, goes_on: GoesOn, mut write: impl FnMut(usize, usize, f64)) {
        match (self.encoding, self.values) {
            (Encoding::Number { .. }, Values::Sparse { rows, values, .. }) => {
                rows.iter().zip(values).for_each(|(row, value)| write(*row as usize, 0, *value));
            }
            (Encoding::Number { impute, indicator: false }, Values::Number(values)) => {
                values.iter().enumerate().for_each(|(row, value)| write(row, 0, value.unwrap_or(*impute)));
            }
            (Encoding::Number { impute, indicator }, values) => {
                let numeric = is_numeric(values.kind());
                for row in 0..values.len() {
                    let number =
                        if numeric { values.number(row) } else { values.word(row).and_then(|w| number_in(&w)) };
                    write(row, 0, number.unwrap_or(*impute));
                    if *indicator && number.is_none() {
                        write(row, 1, 1.0);
                    }
                }
            }
            (Encoding::OneHot { levels, indicator }, values) => {
                for row in 0..values.len() {
                    match values.word(row) {
                        Some(word) => {
                            if let Some(&code) = self.codes.get(word.as_str()) {
                                write(row, code, 1.0);
                            }
                        }
                        None if *indicator => write(row, levels.len(), 1.0),
                        None => {}
                    }
                }
            }
            (Encoding::Text(text), values) => text.entries(values, goes_on, write),
        }
    }
}

impl Encoding {
    fn width(&self) -> usize {
        match self {
            Encoding::Number { indicator, .. } => 1 + usize::from(*indicator),
            Encoding::OneHot { levels, indicator } => levels.len() + usize::from(*indicator),
            Encoding::Text(text) => text.width(),
        }
    }
}
