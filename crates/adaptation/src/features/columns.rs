//! Columns of training rows, before anything is learnt from them: which are shared, what they hold.

use std::collections::{BTreeSet, HashMap};

use super::params::Imputation;
use crate::context::FitError;
use crate::data::{Column, DomainTable, Kind, Role, Table, Values};

pub(super) fn is_numeric(kind: Kind) -> bool {
    matches!(kind, Kind::Number | Kind::Integer | Kind::Boolean | Kind::Timestamp)
}

pub(super) fn number_in(word: &str) -> Option<f64> {
    word.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

/// Enough of a value to recognise it by.
pub(super) fn shorten(word: &str) -> String {
    word.chars().take(40).collect()
}

/// The feature columns that all domains have, in the order of the first.
pub(super) fn shared_features(domains: &[&DomainTable]) -> Result<Vec<String>, FitError> {
    let features =
        |d: &DomainTable| -> BTreeSet<String> { d.with_role(Role::Feature).map(|c| c.name.clone()).collect() };
    let (Some((first, others)), true) = (domains.split_first(), !domains.is_empty()) else {
        return Err(FitError::NoSharedColumns("there is no domain to take columns from".into()));
    };
    let others: Vec<BTreeSet<String>> = others.iter().map(|d| features(d)).collect();
    let shared: Vec<String> = first
        .with_role(Role::Feature)
        .filter(|c| others.iter().all(|o| o.contains(&c.name)))
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
pub(super) fn centre(values: &[&Values], imputation: Imputation) -> Option<f64> {
    let mut others: Vec<f64> = Vec::new();
    let mut zeros = 0;
    for v in values {
        match v {
            Values::Sparse { values, n_rows, .. } => {
                others.extend(values);
                zeros += n_rows - values.len();
            }
            Values::Number(v) => others.extend(v.iter().flatten()),
            v => others.extend((0..v.len()).filter_map(|i| v.number(i))),
        }
    }
    let n = others.len() + zeros;
    if n == 0 {
        return None;
    }
    Some(match imputation {
        Imputation::Mean => {
            // Sorted, so that the order of rows does not change a bit of the sum.
            others.sort_unstable_by(f64::total_cmp);
            others.iter().sum::<f64>() / n as f64
        }
        Imputation::Median => {
            // Zeros that are not listed stand between what is below and what is not.
            let below = others.iter().filter(|v| **v < 0.0).count();
            let mut nth = |i: usize| {
                let listed = match i {
                    i if i < below => i,
                    i if i < below + zeros => return 0.0,
                    i => i - zeros,
                };
                *others.select_nth_unstable_by(listed, f64::total_cmp).1
            };
            nth((n - 1) / 2).midpoint(nth(n / 2))
        }
    })
}

/// How many entries a column brings that are not zero; a missing value counts as one.
pub(super) fn n_not_zero(values: &Values) -> usize {
    match values {
        Values::Sparse { values, .. } => values.len(),
        Values::Number(v) => v.iter().filter(|x| **x != Some(0.0)).count(),
        Values::Integer(v) | Values::Timestamp(v) => v.iter().filter(|x| **x != Some(0)).count(),
        Values::Boolean(v) => v.iter().filter(|x| **x != Some(false)).count(),
        Values::Category { .. } | Values::Text(_) => values.len(),
    }
}

pub(super) fn by_name(table: &Table) -> HashMap<&str, &Column> {
    table.columns().iter().map(|c| (c.name.as_str(), c)).collect()
}

pub(super) fn levels(values: &[&Values]) -> Vec<String> {
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
