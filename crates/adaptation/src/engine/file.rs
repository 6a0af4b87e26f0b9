//! The model file: safetensors, with a manifest as JSON in its header. Version 3 may hold encodings of text, version 2
//! holds source-only beside the model, version 1 does not. Loading refuses what lies: another version, sizes that do not fit together, numbers that are not
//! finite, a digest that is not the content's.

use std::collections::{BTreeMap, HashMap};

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value};
use sha2::{Digest, Sha256};

use super::model::{FittedModel, Manifest, SourceOnly};
use crate::features::{Map, Pipeline};
use crate::learners::ErasedLearner;
use crate::parts::{LoadError, Parts};
use crate::{learners, methods};

/// A reader of version n reads all versions up to n. A model is written as the oldest version that holds it, so that
/// older readers read what they can, and what was read from a file is written as it was.
const VERSION: u32 = 3;
const WITHOUT_TEXT: u32 = 2;
const WITHOUT_SOURCE_ONLY: u32 = 1;

/// The part that came with version 2.
const SOURCE_ONLY: &str = "source_only";

/// The key of the manifest among the metadata of the safetensors header.
const KEY: &str = "adaptd";

/// What stands in the header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    manifest: Manifest,
    /// The values of all parts, by path.
    values: BTreeMap<String, JsonMap<String, Value>>,
    /// SHA-256 over names, shapes and bytes of all arrays, and over manifest and values.
    digest: String,
}

impl FittedModel {
    /// The model as one file.
    ///
    /// # Errors
    /// [`LoadError`] where the arrays cannot be written, which no model of this library meets.
    pub fn save(&self) -> Result<Vec<u8>, LoadError> {
        let mut root = Parts::default();
        root.put_child("pipeline", self.pipeline.save());
        root.put_child("map", self.map.save());
        root.put_child("predictor", self.predictor.save());
        if let Some(source_only) = &self.source_only {
            root.put_child(SOURCE_ONLY, source_only.save());
        }
        let version = match &self.source_only {
            None => WITHOUT_SOURCE_ONLY,
            Some(_) if self.needs_text() => VERSION,
            Some(_) => WITHOUT_TEXT,
        };
        let (mut values, mut arrays) = (BTreeMap::new(), BTreeMap::new());
        flatten(&root, "", &mut values, &mut arrays);

        let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = arrays
            .iter()
            .map(|(name, array)| (name, (array.shape().to_vec(), array.iter().flat_map(|v| v.to_le_bytes()).collect())))
            .collect();
        let digest =
            digest(&self.manifest, &values, bytes.iter().map(|(n, (s, b))| (n.as_str(), s.as_slice(), b.as_slice())));
        let header = Header { version, manifest: self.manifest.clone(), values, digest };
        let header = serde_json::to_string(&header).map_err(|e| LoadError(e.to_string()))?;
        let views = bytes
            .iter()
            .map(|(name, (shape, data))| Ok((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), data)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| LoadError(e.to_string()))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)])))
            .map_err(|e| LoadError(e.to_string()))
    }

    /// Whether the file holds what came with text: an encoding, or a word about it in the spec.
    fn needs_text(&self) -> bool {
        self.pipeline.has_text() || self.manifest.spec.features.text.is_some()
    }

    /// The model in a file.
    ///
    /// # Errors
    /// [`LoadError`] with what does not hold.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let fail = |e: safetensors::SafeTensorError| LoadError(format!("not a model file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(fail)?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let header = header.ok_or_else(|| LoadError("not a model file: it has no manifest".into()))?;
        let version = serde_json::from_str::<Value>(header).ok().and_then(|h| h["version"].as_u64());
        if !version.is_some_and(|v| (1..=u64::from(VERSION)).contains(&v)) {
            return Err(LoadError(format!(
                "a model file of version {version:?}; this program reads versions 1 to {VERSION}"
            )));
        }
        let header: Header = serde_json::from_str(header).map_err(|e| LoadError(format!("manifest: {e}")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(fail)?;
        let mut views: Vec<(String, TensorView)> = tensors.tensors();
        views.sort_by(|a, b| a.0.cmp(&b.0));
        let found =
            digest(&header.manifest, &header.values, views.iter().map(|(n, v)| (n.as_str(), v.shape(), v.data())));
        if found != header.digest {
            return Err(LoadError("the content does not have the digest that the manifest says".into()));
        }
        let mut root = Parts::default();
        for (path, values) in header.values {
            node(&mut root, &path).values = values;
        }
        for (path, view) in &views {
            let (parent, name) =
                path.rsplit_once('/').ok_or_else(|| LoadError(format!("array {path:?} has no part")))?;
            node(&mut root, parent).arrays.insert(name.to_owned(), array(view)?);
        }
        assemble(header.manifest, &root, header.version)
    }
}

fn assemble(manifest: Manifest, root: &Parts, version: u32) -> Result<FittedModel, LoadError> {
    let pipeline = Pipeline::load(root.child("pipeline")?)?;
    let (map, n_columns) = Map::load(root.child("map")?, pipeline.n_features())?;
    let (method, learner) = (&manifest.spec.method.id, &manifest.spec.learner.id);
    let method = methods::find(method).ok_or_else(|| LoadError(format!("unknown method {method:?}")))?;
    let learner = learners::find(learner).ok_or_else(|| LoadError(format!("unknown learner {learner:?}")))?;
    let predictor = method.load(learner, root.child("predictor")?)?;
    if predictor.n_features() != n_columns {
        return Err(LoadError(format!(
            "the predictor takes {} columns, it is given {n_columns}",
            predictor.n_features()
        )));
    }
    let source_only = match version {
        WITHOUT_SOURCE_ONLY => None,
        _ => Some(SourceOnly::load(root.child(SOURCE_ONLY)?, learner, pipeline.n_features())?),
    };
    Ok(FittedModel { manifest, pipeline, map, predictor, source_only })
}

impl SourceOnly {
    /// Without parts where the model is source-only itself.
    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        match self {
            SourceOnly::Itself => parts.put("itself", true),
            SourceOnly::Beside { map, predictor } => {
                parts.put("itself", false).put_child("map", map.save()).put_child("predictor", predictor.save())
            }
        };
        parts
    }

    fn load(parts: &Parts, learner: &dyn ErasedLearner, n_features: usize) -> Result<Self, LoadError> {
        if parts.get("itself")? {
            return Ok(SourceOnly::Itself);
        }
        let (map, n_columns) = Map::load(parts.child("map")?, n_features)?;
        let predictor = learner.load(parts.child("predictor")?)?;
        if predictor.n_features() != n_columns {
            let takes = predictor.n_features();
            return Err(LoadError(format!("source-only takes {takes} columns, it is given {n_columns}")));
        }
        Ok(SourceOnly::Beside { map, predictor })
    }
}

fn flatten(
    parts: &Parts,
    path: &str,
    values: &mut BTreeMap<String, JsonMap<String, Value>>,
    arrays: &mut BTreeMap<String, ArrayD<f64>>,
) {
    if !path.is_empty() {
        values.insert(path.to_owned(), parts.values.clone());
    }
    arrays.extend(parts.arrays.iter().map(|(name, array)| (format!("{path}/{name}"), array.clone())));
    for (name, child) in &parts.children {
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        flatten(child, &path, values, arrays);
    }
}

/// The part at a path, made where it is not there.
fn node<'a>(root: &'a mut Parts, path: &str) -> &'a mut Parts {
    path.split('/').fold(root, |parts, name| parts.children.entry(name.to_owned()).or_default())
}

fn array(view: &TensorView) -> Result<ArrayD<f64>, LoadError> {
    if view.dtype() != Dtype::F64 {
        return Err(LoadError(format!("arrays are F64, not {:?}", view.dtype())));
    }
    let values = view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).map_err(|e| LoadError(e.to_string()))
}

fn digest<'a>(
    manifest: &Manifest,
    values: &BTreeMap<String, JsonMap<String, Value>>,
    arrays: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>,
) -> String {
    let mut hash = Sha256::new();
    // Lengths go before contents, so that no two files run into the same bytes.
    let mut feed = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    feed(&serde_json::to_vec(manifest).unwrap_or_default());
    feed(&serde_json::to_vec(values).unwrap_or_default());
    for (name, shape, data) in arrays {
        feed(name.as_bytes());
        feed(&shape.iter().flat_map(|s| (*s as u64).to_le_bytes()).collect::<Vec<_>>());
        feed(data);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
