//! The cheapest assignment of rows to columns in which every column is taken at least once: the linear
//! programme
//!
//! ```text
//! min Σ_ij D_ij M_ij   with   M ≥ 0,   Σ_j M_ij = 1 for each row,   Σ_i M_ij ≥ 1 for each column
//! ```
//!
//! whose solution is integral, since it is one of transport. Every row begins at its cheapest column; each
//! column left empty is then filled along a shortest path of moves (a row of one column to another costs what
//! their entries differ by), found by Dijkstra's algorithm on costs reduced by the columns' prices. Only a
//! column that would stay empty costs anything beyond a look at every entry: O(n p + p²) each.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// The solution and its dual.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column of each row, `(n,)`.
    pub columns: Vec<usize>,
    /// What the demand for each column is worth, `(p,)`: `argmin_j D_ij − v_j` is the column of row i, and so answers
    /// for rows outside the programme. Zero where every column is the cheapest of some row. Prices are not unique:
    /// a column that can do without has none, the others lie between what is enough and what is too much.
    pub prices: Array1<f64>,
}

/// Solves the programme for `costs (n, p)`, finite; `None` where n < p, which leaves a column empty.
pub fn assign_rows(costs: ArrayView2<f64>) -> Option<Assignment> {
    let (n, p) = costs.dim();
    if n < p || p == 0 {
        return None;
    }
    let columns: Vec<usize> = costs.axis_iter(Axis(0)).map(cheapest).collect();
    let mut counts = vec![0; p];
    columns.iter().for_each(|&c| counts[c] += 1);
    let mut state = State { costs, columns, counts, prices: Array1::zeros(p) };
    let empty: Vec<usize> = (0..p).filter(|&c| state.counts[c] == 0).collect();
    for &column in &empty {
        state.fill(column);
    }
    if !empty.is_empty() {
        state.center_prices();
    }
    Some(Assignment { columns: state.columns, prices: state.prices })
}

/// The first of the least entries.
fn cheapest(row: ArrayView1<f64>) -> usize {
    (1..row.len()).fold(0, |best, j| if row[j] < row[best] { j } else { best })
}

struct State<'a> {
    costs: ArrayView2<'a, f64>,
    columns: Vec<usize>,
    counts: Vec<usize>,
    prices: Array1<f64>,
}

/// The cheapest moves from column to column: what they cost beyond the difference of prices, `(p, p)`, infinite
/// from an empty column, and the rows that make them.
struct Moves {
    reduced: Array2<f64>,
    rows: Array2<usize>,
}

/// How far every column is, and by which column it is reached.
struct Paths {
    distance: Vec<f64>,
    before: Vec<Option<usize>>,
}

impl State<'_> {
    fn moves(&self) -> Moves {
        let p = self.counts.len();
        let mut moves = Moves { reduced: Array2::from_elem((p, p), f64::INFINITY), rows: Array2::zeros((p, p)) };
        for (i, (row, &from)) in self.costs.axis_iter(Axis(0)).zip(&self.columns).enumerate() {
            for to in 0..p {
                // Not below zero but by rounding.
                let reduced = (row[to] - row[from] + self.prices[from] - self.prices[to]).max(0.0);
                if reduced < moves.reduced[[from, to]] {
                    moves.reduced[[from, to]] = reduced;
                    moves.rows[[from, to]] = i;
                }
            }
        }
        moves
    }

    /// Gives an empty column its row.
    fn fill(&mut self, column: usize) {
        let moves = self.moves();
        let paths = paths(&moves.reduced, |c| if self.counts[c] > 1 { 0.0 } else { f64::INFINITY });
        let far = paths.distance[column];
        paths.distance.iter().zip(&mut self.prices).for_each(|(d, price)| *price += d.min(far));
        let mut to = column;
        while let Some(from) = paths.before[to] {
            self.columns[moves.rows[[from, to]]] = to;
            self.counts[from] -= 1;
            self.counts[to] += 1;
            to = from;
        }
    }

    /// Makes prices the least possible, then moves them inside of what is possible, so that no row is left between two
    /// columns: to the mean of the points in which one price is the highest at which columns without a price keep
    /// their rows, and the others are the least that go with it.
    fn center_prices(&mut self) {
        // A column is worth what it costs at least to send its row on to another, whose price is zero at least.
        let least = paths(&self.moves().reduced.t().to_owned(), |c| self.prices[c]);
        self.prices.zip_mut_with(&Array1::from(least.distance), |price, d| *price -= d);
        let reduced = self.moves().reduced;
        let most = paths(&reduced, |c| if self.prices[c] == 0.0 { 0.0 } else { f64::INFINITY });
        let back = reduced.t().to_owned();
        let priced: Vec<usize> = (0..self.prices.len()).filter(|&c| self.prices[c] > 0.0).collect();
        let share = ((priced.len() + 1) as f64).recip();
        for &column in &priced {
            let to = paths(&back, |c| if c == column { 0.0 } else { f64::INFINITY });
            let raise = to.distance.iter().map(|d| (most.distance[column] - d).max(0.0)).collect::<Array1<f64>>();
            self.prices.scaled_add(share, &raise);
        }
    }
}

/// Dijkstra's algorithm on a matrix of lengths `(p, p)`, none of them negative; `start` is how far each column is to
/// begin with.
fn paths(lengths: &Array2<f64>, start: impl Fn(usize) -> f64) -> Paths {
    let p = lengths.nrows();
    let mut distance: Vec<f64> = (0..p).map(start).collect();
    let mut before = vec![None; p];
    let mut open = vec![true; p];
    let nearest = |open: &[bool], distance: &[f64]| {
        (0..p).filter(|&c| open[c]).reduce(|best, c| if distance[c] < distance[best] { c } else { best })
    };
    while let Some(at) = nearest(&open, &distance) {
        open[at] = false;
        for to in 0..p {
            let through = distance[at] + lengths[[at, to]];
            if open[to] && through < distance[to] {
                distance[to] = through;
                before[to] = Some(at);
            }
        }
    }
    Paths { distance, before }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn total(costs: &Array2<f64>, columns: &[usize]) -> f64 {
        columns.iter().enumerate().map(|(i, &c)| costs[[i, c]]).sum()
    }

    /// The least cost of all assignments that take every column.
    fn least_of_all(costs: &Array2<f64>) -> f64 {
        let (n, p) = costs.dim();
        let assignments = (0..p.pow(n as u32)).map(|code| (0..n).map(|i| code / p.pow(i as u32) % p).collect());
        let full = |columns: &Vec<usize>| (0..p).all(|c| columns.contains(&c));
        assignments.filter(full).map(|columns| total(costs, &columns)).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn it_costs_no_more_than_any_other_and_prices_tell_every_row_its_column() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..60 {
            let (n, p) = [(6, 3), (5, 5), (7, 3), (6, 4)][round % 4];
            // Columns of very different level, so that several would stay empty.
            let level: Vec<f64> = (0..p).map(|_| rng.random_range(0.0..3.0)).collect();
            let costs = Array2::from_shape_fn((n, p), |(_, j)| level[j] + rng.random_range(0.0..1.0));
            let got = assign_rows(costs.view()).unwrap();
            assert!((0..p).all(|c| got.columns.contains(&c)));
            assert!((total(&costs, &got.columns) - least_of_all(&costs)).abs() < 1e-12);
            let priced = &costs - &got.prices;
            let by_price: Vec<usize> = priced.axis_iter(Axis(0)).map(cheapest).collect();
            assert_eq!(by_price, got.columns, "round {round}");
            assert!(got.prices.iter().all(|v| *v >= 0.0));
        }
    }

    #[test]
    fn rows_that_take_every_column_by_themselves_are_left_alone() {
        let got = assign_rows(array![[0.0, 1.0], [1.0, 0.5], [0.2, 0.3]].view()).unwrap();
        assert_eq!(got, Assignment { columns: vec![0, 1, 0], prices: array![0.0, 0.0] });
        assert_eq!(assign_rows(array![[0.0, 1.0]].view()), None);
    }

    #[test]
    fn equal_costs_come_to_an_end() {
        let got = assign_rows(Array2::from_elem((9, 4), 1.0).view()).unwrap();
        assert!((0..4).all(|c| got.columns.contains(&c)));
    }
}
