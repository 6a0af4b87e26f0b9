//! Model files: as bytes, and with a true digest, so that what lies behind the check of the digest is met too.

use std::collections::{BTreeMap, HashMap};

use adaptation::data::{Column, Kind, Table, Values};
use adaptation::engine::{FittedModel, Manifest};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Numbers in all arrays of a file.
const MAX_NUMBERS: usize = 20_000;

/// Model files, byte by byte.
pub fn model(data: &[u8]) {
    if let Ok(model) = FittedModel::load(data) {
        let saved = model.save().expect("what was loaded is saved");
        FittedModel::load(&saved).expect("what was saved is loaded");
    }
}

/// Model files whose digest is true and whose parts may lie: what loads must predict.
pub fn model_parts(data: &[u8]) {
    let Some(file) = sealed(data) else { return };
    let Ok(model) = FittedModel::load(&file) else { return };
    FittedModel::load(&model.save().expect("what was loaded is saved")).expect("what was saved is loaded");
    let columns = model.signature().inputs.into_iter().map(|input| {
        let values = match input.kind {
            Kind::Number => Values::Number(vec![Some(1.5), None, Some(-1e300)]),
            _ => Values::categories([input.categories.first().map(String::as_str), None, Some("another")]),
        };
        Column { name: input.name, values }
    });
    let rows = Table::new(columns.collect());
    let _ = model.predict(&rows);
    let _ = model.transform(&rows);
}

/// The file of `{"version", "manifest", "values", "arrays": {path: shape}}`, a byte of zero, and the bytes of the
/// arrays one after another, which are zero where there are no more.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (document, mut numbers) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let document: Value = serde_json::from_slice(document).ok()?;
    let manifest: Manifest = serde_json::from_value(document["manifest"].clone()).ok()?;
    let values: BTreeMap<String, Map<String, Value>> = serde_json::from_value(document["values"].clone()).ok()?;
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_value(document["arrays"].clone()).ok()?;
    let mut arrays = BTreeMap::new();
    let mut room = MAX_NUMBERS;
    for (name, shape) in shapes {
        let n = shape.iter().try_fold(1usize, |n, s| n.checked_mul(*s)).filter(|n| *n <= room)?;
        room -= n;
        let (own, rest) = numbers.split_at(numbers.len().min(8 * n));
        numbers = rest;
        let mut bytes = own.to_vec();
        bytes.resize(8 * n, 0);
        arrays.insert(name, (shape, bytes));
    }
    let digest = digest(&manifest, &values, &arrays)?;
    let header = json!({"version": document["version"], "manifest": manifest, "values": values, "digest": digest});
    let views = arrays
        .iter()
        .map(|(name, (shape, bytes))| Some((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes).ok()?)));
    let views: Vec<_> = views.collect::<Option<_>>()?;
    safetensors::serialize(views, Some(HashMap::from([("adaptd".to_owned(), header.to_string())]))).ok()
}

type Arrays = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// As `adaptation` reckons it, which is part of the format of model files.
fn digest(manifest: &Manifest, values: &BTreeMap<String, Map<String, Value>>, arrays: &Arrays) -> Option<String> {
    let mut hash = Sha256::new();
    let mut feed = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    feed(&serde_json::to_vec(manifest).ok()?);
    feed(&serde_json::to_vec(values).ok()?);
    for (name, (shape, bytes)) in arrays {
        feed(name.as_bytes());
        feed(&shape.iter().flat_map(|s| (*s as u64).to_le_bytes()).collect::<Vec<_>>());
        feed(bytes);
    }
    Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
