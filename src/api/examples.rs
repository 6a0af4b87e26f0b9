//! Examples of every operation: what was asked of a service, and what it answered. `tests/it/api/examples.rs` asks again
//! and compares.

use serde_json::{Map, Value};

/// By `METHOD /path`: `request` by media type, and `response` by status and media type.
const EXAMPLES: &str = include_str!("examples.json");

/// Puts the examples into the document.
pub(super) fn add(document: &mut Value) {
    // A file of ours: were it no JSON, every operation would lack its example, which a test finds.
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for (operation, example) in &examples {
        let Some((method, path)) = operation.split_once(' ') else { continue };
        let pointer = format!("/paths/{}/{}", escaped(path), method.to_lowercase());
        let Some(operation) = document.pointer_mut(&pointer) else { continue };
        put(operation, "/requestBody/content", &example["request"]);
        for (status, answers) in example["response"].as_object().into_iter().flatten() {
            put(operation, &format!("/responses/{status}/content"), answers);
        }
    }
}

fn put(operation: &mut Value, content: &str, by_media: &Value) {
    for (media, example) in by_media.as_object().into_iter().flatten() {
        if let Some(media) = operation.pointer_mut(&format!("{content}/{}", escaped(media))) {
            media["example"] = example.clone();
        }
    }
}

/// A name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
