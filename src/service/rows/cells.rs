//! A column that grows cell by cell and holds its values as a table does.

use adaptation::data::Values;

use super::Cell;

/// The cells of one column, of one kind from its first value on.
pub(super) enum Cells {
    /// So many values are missing, and no other has come.
    Missing(usize),
    Booleans(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Words(Vec<Option<String>>),
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Cells::Missing(n) => *n,
            Cells::Booleans(v) => v.len(),
            Cells::Integers(v) => v.len(),
            Cells::Numbers(v) => v.len(),
            Cells::Words(v) => v.len(),
        }
    }

    /// `None` where the column becomes one of another kind, other than from integers to numbers.
    pub(super) fn push(&mut self, cell: Cell) -> Option<()> {
        match (&mut *self, cell) {
            (Cells::Numbers(v), Cell::Number(x)) => v.push(Some(x)),
            (Cells::Numbers(v), Cell::Integer(i)) => v.push(Some(i as f64)),
            (Cells::Integers(v), Cell::Integer(i)) => v.push(Some(i)),
            (Cells::Words(v), Cell::Text(word)) => v.push(Some(word)),
            (Cells::Booleans(v), Cell::Boolean(b)) => v.push(Some(b)),
            (_, Cell::Missing) => self.fill(self.len() + 1),
            (Cells::Missing(n), cell) => *self = Cells::after(*n, cell),
            (Cells::Integers(v), Cell::Number(x)) => {
                let mut numbers: Vec<Option<f64>> = Vec::with_capacity(v.capacity());
                numbers.extend(v.iter().map(|i| i.map(|i| i as f64)));
                numbers.push(Some(x));
                *self = Cells::Numbers(numbers);
            }
            _ => return None,
        }
        Some(())
    }

    /// A column whose first known value comes after so many that are missing.
    pub(super) fn after(n: usize, cell: Cell) -> Self {
        fn filled<T: Clone>(n: usize, value: T) -> Vec<Option<T>> {
            let mut values = vec![None; n];
            values.push(Some(value));
            values
        }
        match cell {
            Cell::Missing => Cells::Missing(n + 1),
            Cell::Boolean(b) => Cells::Booleans(filled(n, b)),
            Cell::Integer(i) => Cells::Integers(filled(n, i)),
            Cell::Number(x) => Cells::Numbers(filled(n, x)),
            Cell::Text(word) => Cells::Words(filled(n, word)),
        }
    }

    /// Up to so many values, those that are not there are missing.
    pub(super) fn fill(&mut self, n: usize) {
        match self {
            Cells::Missing(m) => *m = n,
            Cells::Booleans(v) => v.resize(n, None),
            Cells::Integers(v) => v.resize(n, None),
            Cells::Numbers(v) => v.resize(n, None),
            Cells::Words(v) => v.resize(n, None),
        }
    }

    /// Makes room for numbers, which are what there are many of.
    pub(super) fn reserve(&mut self, n: usize) {
        match self {
            Cells::Integers(v) => v.reserve(n),
            Cells::Numbers(v) => v.reserve(n),
            Cells::Missing(_) | Cells::Booleans(_) | Cells::Words(_) => {}
        }
    }

    pub(super) fn values(self) -> Values {
        match self {
            // As a column without any value is read elsewhere.
            Cells::Missing(n) => Values::Integer(vec![None; n]),
            Cells::Booleans(v) => Values::Boolean(v),
            Cells::Integers(v) => Values::Integer(v),
            Cells::Numbers(v) => Values::Number(v),
            Cells::Words(v) => Values::Text(v),
        }
    }
}
