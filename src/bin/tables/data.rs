//! Domains of the benchmark data, read as an upload is read, and the draws of the sampled protocol.

use std::collections::BTreeMap;
use std::path::Path;

use adaptation::data::{Column, DomainTable, Role, Table as Data, Values};
use adaptation::features::{FeatureParams, Pipeline, Scaling};
use adaptd::ingest::{Format, Options, RoleRequest, read};
use anyhow::Context;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Reads `file`; the label is the column `label`, columns in `ignore` are left out.
pub fn domain(path: &Path, ignore: &[&str]) -> anyhow::Result<DomainTable> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let format = path.extension().is_some_and(|e| e == "svmlight").then_some(Format::Svmlight);
    let ignore = ignore.iter().map(|c| (*c).to_owned()).collect();
    let options = Options { format, roles: RoleRequest { ignore, ..RoleRequest::default() }, ..Options::default() };
    let found = read(&bytes.into(), &options).with_context(|| path.display().to_string())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(DomainTable { name, table: found.table, roles: found.roles })
}

/// The domain scaled by itself with all its rows, for protocols that scale before they draw.
pub fn scaled(domain: &DomainTable, scaling: Scaling) -> anyhow::Result<DomainTable> {
    let params = FeatureParams { scaling, ..FeatureParams::default() };
    let fitted = Pipeline::fit(std::slice::from_ref(domain), domain, params)?;
    let x = fitted.target.dense().into_owned();
    let mut columns: Vec<Column> = (0..x.ncols())
        .map(|j| {
            let values = x.column(j).iter().copied().map(Some).collect();
            Column { name: format!("x{j}"), values: Values::Number(values) }
        })
        .collect();
    let mut roles = vec![Role::Feature; columns.len()];
    if let Some(label) = domain.label() {
        columns.push(Column { name: "label".into(), values: label.values.clone() });
        roles.push(Role::Label);
    }
    Ok(DomainTable { name: domain.name.clone(), table: Data::new(columns), roles })
}

/// So many rows of every class, without replacement; the same for one seed.
pub fn draw(domain: &DomainTable, per_class: usize, seed: u64) -> DomainTable {
    let mut classes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    if let Some(label) = domain.label() {
        for row in 0..domain.table.n_rows() {
            if let Some(class) = label.values.word(row) {
                classes.entry(class).or_default().push(row);
            }
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows: Vec<usize> = classes
        .into_values()
        .flat_map(|mut rows| {
            rows.shuffle(&mut rng);
            rows.truncate(per_class);
            rows
        })
        .collect();
    rows.sort_unstable();
    domain.select_rows(&rows).into_owned()
}
