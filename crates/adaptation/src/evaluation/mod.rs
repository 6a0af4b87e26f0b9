//! Seeded splits of the target's rows into what a fit may see and what is scored. Rows without a
//! label are never scored, so they always go to the fit, unless they belong to a unit that is scored. The same
//! seed gives the same splits for every method.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Row indices of one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows that the fit sees, ascending; with repetitions in a bootstrap draw.
    pub train: Vec<usize>,
    /// Rows that are scored, ascending.
    pub test: Vec<usize>,
}

/// The stratum of each row: its class, or one number for all rows of a regression; `None` where the
/// label is not known.
pub type Strata = [Option<usize>];

/// A share of every stratum is kept out: at least one row of a stratum that has two.
pub fn hold_out(strata: &Strata, fraction: f64, rng: &mut ChaCha8Rng) -> Split {
    let mut test = Vec::new();
    for mut rows in by_stratum(strata) {
        rows.shuffle(rng);
        let n_test = match rows.len() {
            1 => 0,
            n => ((n as f64 * fraction).round() as usize).clamp(1, n - 1),
        };
        test.extend_from_slice(&rows[..n_test]);
    }
    split_by(strata.len(), test)
}

/// Stratified folds: every labelled row is in the test part of exactly one. Fewer folds than asked
/// where there are fewer labelled rows.
pub fn k_fold(strata: &Strata, n_folds: usize, rng: &mut ChaCha8Rng) -> Vec<Split> {
    let n_labelled = strata.iter().flatten().count();
    let mut folds = vec![Vec::new(); n_folds.min(n_labelled)];
    // Dealt round robin, one stratum after the other, so that fold sizes differ by one at most.
    let mut next = 0;
    for mut rows in by_stratum(strata) {
        rows.shuffle(rng);
        for row in rows {
            let fold = next % folds.len();
            folds[fold].push(row);
            next += 1;
        }
    }
    folds.into_iter().map(|test| split_by(strata.len(), test)).collect()
}

/// As many folds as labelled rows.
pub fn leave_one_out(strata: &Strata) -> Vec<Split> {
    (0..strata.len()).filter(|&i| strata[i].is_some()).map(|i| split_by(strata.len(), vec![i])).collect()
}

/// Rows drawn with replacement, as many as there are; labelled rows that were not drawn are scored.
pub fn bootstrap(strata: &Strata, n_draws: usize, rng: &mut ChaCha8Rng) -> Vec<Split> {
    let n = strata.len();
    (0..n_draws)
        .map(|_| {
            let mut train: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            train.sort_unstable();
            let test = (0..n).filter(|&i| strata[i].is_some() && train.binary_search(&i).is_err()).collect();
            Split { train, test }
        })
        .filter(|split: &Split| !split.test.is_empty())
        .collect()
}

/// Splits whole units of rows: `split` is asked for a split of units, each of the stratum that most of its
/// labelled rows have, and every unit goes where its place went. `units (n,)` name the unit of each row.
pub fn of_units(strata: &Strata, units: &[usize], split: impl FnOnce(&Strata) -> Vec<Split>) -> Vec<Split> {
    let mut rows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    units.iter().enumerate().for_each(|(row, unit)| rows_of.entry(*unit).or_default().push(row));
    let rows_of: Vec<Vec<usize>> = rows_of.into_values().collect();
    let unit_strata: Vec<Option<usize>> = rows_of.iter().map(|rows| most_frequent(strata, rows)).collect();
    let rows = |places: &[usize]| -> Vec<usize> {
        let mut rows: Vec<usize> = places.iter().flat_map(|&place| rows_of[place].iter().copied()).collect();
        rows.sort_unstable();
        rows
    };
    let expand = |split: Split| Split {
        train: rows(&split.train),
        test: rows(&split.test).into_iter().filter(|&row| strata[row].is_some()).collect(),
    };
    split(&unit_strata).into_iter().map(expand).collect()
}

/// The stratum of most of these rows, of equally frequent ones the lowest; `None` where no row has one.
fn most_frequent(strata: &Strata, rows: &[usize]) -> Option<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    rows.iter().filter_map(|&row| strata[row]).for_each(|stratum| *counts.entry(stratum).or_default() += 1);
    counts.into_iter().max_by_key(|&(stratum, count)| (count, std::cmp::Reverse(stratum))).map(|(stratum, _)| stratum)
}

fn by_stratum(strata: &Strata) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, stratum) in strata.iter().enumerate() {
        if let Some(stratum) = stratum {
            groups.entry(*stratum).or_default().push(row);
        }
    }
    groups.into_values().collect()
}

fn split_by(n: usize, mut test: Vec<usize>) -> Split {
    test.sort_unstable();
    let train = (0..n).filter(|i| test.binary_search(i).is_err()).collect();
    Split { train, test }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn strata() -> Vec<Option<usize>> {
        (0..40).map(|i| (i % 8 != 7).then_some(usize::from(i % 4 == 0))).collect()
    }

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    #[test]
    fn a_hold_out_keeps_the_share_of_every_class_and_scores_no_unlabelled_row() {
        let split = hold_out(&strata(), 0.2, &mut rng());
        let count = |class| split.test.iter().filter(|&&i| strata()[i] == Some(class)).count();
        assert_eq!((count(0), count(1), split.test.len()), (5, 2, 7));
        assert_eq!(split.train.len() + split.test.len(), 40);
        assert_eq!(split, hold_out(&strata(), 0.2, &mut rng()));
    }

    #[test]
    fn folds_score_every_labelled_row_once() {
        let folds = k_fold(&strata(), 4, &mut rng());
        let mut scored: Vec<usize> = folds.iter().flat_map(|f| f.test.clone()).collect();
        scored.sort_unstable();
        assert_eq!(scored, (0..40).filter(|&i| strata()[i].is_some()).collect::<Vec<_>>());
        assert!(folds.iter().all(|f| f.train.len() + f.test.len() == 40));
        assert_eq!(leave_one_out(&strata()).len(), 35);
        assert_eq!(k_fold(&[Some(0), None, Some(1)], 5, &mut rng()).len(), 2);
    }

    #[test]
    fn a_unit_is_never_on_both_sides() {
        let units: Vec<usize> = (0..40).map(|i| i / 5 * 5).collect();
        let kinds: [fn(&Strata) -> Vec<Split>; 4] = [
            |s| vec![hold_out(s, 0.25, &mut rng())],
            |s| k_fold(s, 4, &mut rng()),
            leave_one_out,
            |s| bootstrap(s, 10, &mut rng()),
        ];
        for split in kinds {
            let splits = of_units(&strata(), &units, split);
            assert!(!splits.is_empty());
            for Split { train, test } in splits {
                assert!(!train.is_empty() && !test.is_empty());
                assert!(test.iter().all(|&i| strata()[i].is_some()));
                assert!(train.iter().all(|i| test.iter().all(|j| units[*i] != units[*j])));
            }
        }
        let alone: Vec<usize> = (0..40).collect();
        assert_eq!(of_units(&strata(), &alone, |s| k_fold(s, 4, &mut rng())), k_fold(&strata(), 4, &mut rng()));
    }

    #[test]
    fn bootstrap_scores_what_was_not_drawn() {
        for split in bootstrap(&strata(), 20, &mut rng()) {
            assert_eq!(split.train.len(), 40);
            assert!(split.test.iter().all(|i| !split.train.contains(i) && strata()[*i].is_some()));
        }
    }
}
