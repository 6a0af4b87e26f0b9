//! Negative tests made from a parameter schema: every bound refuses the value just outside it.

use serde_json::{Value, json};

use super::support::Outcome;

/// `accepts` is the check that the schema is said to stand for.
pub(crate) fn bounds_refuse_just_outside(schema: &Value, accepts: impl Fn(&Value) -> bool) -> Outcome {
    if accepts(&json!({"no_such_parameter": 1})) {
        return Err("an unknown parameter is accepted".into());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["description"].as_str().is_none_or(str::is_empty) && name != "l2" {
            return Err(format!("{name} has no help"));
        }
        let given = |value: &Value| accepts(&json!({ name.as_str(): value }));
        if given(&json!({"an": "object"})) {
            return Err(format!("{name} accepts an object"));
        }
        for form in property["oneOf"].as_array().unwrap_or(&vec![property.clone()]) {
            numeric_bounds(form, &given).map_err(|why| format!("{name}: {why}"))?;
            // A choice that carries numbers of its own, such as {"polynomial": {"degree": 2}}.
            for (choice, inner) in form["properties"].as_object().into_iter().flatten() {
                for (field, property) in inner["properties"].as_object().into_iter().flatten() {
                    let given = |value: &Value| given(&json!({ choice.as_str(): { field.as_str(): value } }));
                    numeric_bounds(property, &given).map_err(|why| format!("{name}/{choice}/{field}: {why}"))?;
                }
            }
        }
    }
    Ok(())
}

fn numeric_bounds(form: &Value, given: &dyn Fn(&Value) -> bool) -> Outcome {
    let is = |kind: &str| form["type"] == kind || form["type"].as_array().is_some_and(|t| t.contains(&json!(kind)));
    if !is("number") && !is("integer") {
        return Ok(());
    }
    // The neighbours of a bound: among whole numbers, or among doubles.
    let below = |v: f64| if is("integer") { json!(v as i64 - 1) } else { json!(v.next_down()) };
    let above = |v: f64| if is("integer") { json!(v as i64 + 1) } else { json!(v.next_up()) };
    let at = |v: f64| if is("integer") { json!(v as i64) } else { json!(v) };
    let bound = |name: &str| form[name].as_f64();
    if bound("minimum").is_none() && bound("exclusiveMinimum").is_none() {
        return Err("a number without a lower bound".into());
    }
    let outside = [
        bound("minimum").map(below),
        bound("maximum").map(above),
        bound("exclusiveMinimum").map(at),
        bound("exclusiveMaximum").map(at),
    ];
    if let Some(value) = outside.into_iter().flatten().find(|v| given(v)) {
        return Err(format!("{value} is outside and accepted"));
    }
    let inside = [bound("minimum").map(at), bound("maximum").map(at), bound("exclusiveMinimum").map(above)];
    match inside.into_iter().flatten().find(|v| !given(v)) {
        Some(value) => Err(format!("{value} is inside and refused")),
        None => Ok(()),
    }
}
