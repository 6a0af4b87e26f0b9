//! A table of typed columns with nulls, and the role that each column plays.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Number,
    Integer,
    Boolean,
    Category,
    Text,
    Timestamp,
}

/// What a column is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Feature,
    Label,
    Weight,
    Group,
    Id,
    Time,
    Ignore,
}

/// The values of one column; `None` is a missing value. A `Number` is finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Number(Vec<Option<f64>>),
    /// Numbers that are nearly all zero, none missing: `values[k]` stands in row `rows[k]`, every other row holds 0.
    /// `rows` ascend and are below `n_rows`.
    Sparse {
        rows: Vec<u32>,
        values: Vec<f64>,
        n_rows: usize,
    },
    Integer(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
    /// `codes` index `levels`; levels are distinct and in order of first appearance.
    Category {
        codes: Vec<Option<u32>>,
        levels: Vec<String>,
    },
    Text(Vec<Option<String>>),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(Vec<Option<i64>>),
}

/// One named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub values: Values,
}

/// Columns of equal length with distinct names.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    n_rows: usize,
}

/// One version of a domain as the engine takes it: a table, and one role for each column.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainTable {
    /// What messages call it, such as `churn-us@3`.
    pub name: String,
    pub table: Table,
    /// As long as the table has columns.
    pub roles: Vec<Role>,
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::Number(v) => v.len(),
            Values::Sparse { n_rows, .. } => *n_rows,
            Values::Integer(v) | Values::Timestamp(v) => v.len(),
            Values::Boolean(v) => v.len(),
            Values::Category { codes, .. } => codes.len(),
            Values::Text(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn kind(&self) -> Kind {
        match self {
            Values::Number(_) | Values::Sparse { .. } => Kind::Number,
            Values::Integer(_) => Kind::Integer,
            Values::Boolean(_) => Kind::Boolean,
            Values::Category { .. } => Kind::Category,
            Values::Text(_) => Kind::Text,
            Values::Timestamp(_) => Kind::Timestamp,
        }
    }

    /// The value as a number: numbers, integers, timestamps, and booleans as 0 and 1.
    /// `None` where it is missing or is a word.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Values::Number(v) => v[row],
            Values::Sparse { rows, values, n_rows } => {
                assert!(row < *n_rows, "row {row} is outside the column");
                Some(rows.binary_search(&(row as u32)).map_or(0.0, |k| values[k]))
            }
            Values::Integer(v) | Values::Timestamp(v) => v[row].map(|i| i as f64),
            Values::Boolean(v) => v[row].map(|b| if b { 1.0 } else { 0.0 }),
            Values::Category { .. } | Values::Text(_) => None,
        }
    }

    /// The value as a word, as a class label or a category is written. `None` where it is missing.
    pub fn word(&self, row: usize) -> Option<String> {
        match self {
            Values::Number(_) | Values::Sparse { .. } => self.number(row).map(|x| x.to_string()),
            Values::Integer(v) | Values::Timestamp(v) => v[row].map(|x| x.to_string()),
            Values::Boolean(v) => v[row].map(|x| x.to_string()),
            Values::Category { codes, levels } => codes[row].map(|c| levels[c as usize].clone()),
            Values::Text(v) => v[row].clone(),
        }
    }

    /// How many values are missing.
    pub fn n_missing(&self) -> usize {
        fn count<T>(v: &[Option<T>]) -> usize {
            v.iter().filter(|x| x.is_none()).count()
        }
        match self {
            Values::Number(v) => count(v),
            Values::Sparse { .. } => 0,
            Values::Integer(v) | Values::Timestamp(v) => count(v),
            Values::Boolean(v) => count(v),
            Values::Category { codes, .. } => count(codes),
            Values::Text(v) => count(v),
        }
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Values {
        fn pick<T: Clone>(v: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&i| v[i].clone()).collect()
        }
        match self {
            Values::Number(v) => Values::Number(pick(v, rows)),
            Values::Sparse { rows: at, values, .. } => select_sparse(at, values, rows),
            Values::Integer(v) => Values::Integer(pick(v, rows)),
            Values::Boolean(v) => Values::Boolean(pick(v, rows)),
            Values::Category { codes, levels } => Values::Category { codes: pick(codes, rows), levels: levels.clone() },
            Values::Text(v) => Values::Text(pick(v, rows)),
            Values::Timestamp(v) => Values::Timestamp(pick(v, rows)),
        }
    }

    /// A category column from words, levels in order of first appearance.
    pub fn categories<S: Into<String>>(words: impl IntoIterator<Item = Option<S>>) -> Values {
        let mut levels: Vec<String> = Vec::new();
        let mut index = std::collections::HashMap::new();
        let codes = words
            .into_iter()
            .map(|word| {
                word.map(|word| {
                    let word = word.into();
                    *index.entry(word).or_insert_with_key(|word: &String| {
                        levels.push(word.clone());
                        levels.len() as u32 - 1
                    })
                })
            })
            .collect();
        Values::Category { codes, levels }
    }
}

/// The rows `chosen` of a sparse column. Ascending choices, the usual ones, cost in entries, not in rows.
fn select_sparse(at: &[u32], values: &[f64], chosen: &[usize]) -> Values {
    let (mut rows, mut picked) = (Vec::new(), Vec::new());
    let mut take = |place: usize, value: f64| {
        rows.push(place as u32);
        picked.push(value);
    };
    if chosen.windows(2).all(|w| w[0] < w[1]) {
        for (row, value) in at.iter().zip(values) {
            if let Ok(place) = chosen.binary_search(&(*row as usize)) {
                take(place, *value);
            }
        }
    } else {
        for (place, row) in chosen.iter().enumerate() {
            if let Ok(k) = at.binary_search(&(*row as u32)) {
                take(place, values[k]);
            }
        }
    }
    Values::Sparse { rows, values: picked, n_rows: chosen.len() }
}

impl Table {
    /// A table of columns.
    ///
    /// # Panics
    /// If lengths differ or a name occurs twice: ingest refuses such data before it gets here.
    pub fn new(columns: Vec<Column>) -> Self {
        let n_rows = columns.first().map_or(0, |c| c.values.len());
        assert!(columns.iter().all(|c| c.values.len() == n_rows), "columns differ in length");
        let mut names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]), "a column name occurs twice");
        Self { columns, n_rows }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The given rows, in the given order; borrowed where these are all as they stand.
    pub fn select_rows(&self, rows: &[usize]) -> Cow<'_, Table> {
        if rows.iter().copied().eq(0..self.n_rows) {
            return Cow::Borrowed(self);
        }
        let pick = |c: &Column| Column { name: c.name.clone(), values: c.values.select(rows) };
        Cow::Owned(Table { columns: self.columns.iter().map(pick).collect(), n_rows: rows.len() })
    }
}

impl DomainTable {
    /// The columns that play a role, in order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Column> {
        self.table.columns().iter().zip(&self.roles).filter(move |(_, r)| **r == role).map(|(c, _)| c)
    }

    /// The given rows, in the given order; borrowed where these are all as they stand.
    pub fn select_rows(&self, rows: &[usize]) -> Cow<'_, DomainTable> {
        match self.table.select_rows(rows) {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(table) => Cow::Owned(Self { name: self.name.clone(), table, roles: self.roles.clone() }),
        }
    }

    /// The label column, if there is one.
    pub fn label(&self) -> Option<&Column> {
        self.with_role(Role::Label).next()
    }
}
