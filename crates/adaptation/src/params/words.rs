//! A parameter that is a number or one word, such as a bandwidth or `"median"`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word that stands for "find the number yourself", and which numbers may stand in its place.
pub trait Word: Copy + Default + Send + Sync + 'static {
    const WORD: &'static str;
    /// The name of the type in schemas.
    const NAME: &'static str;
    /// Whether 0 is allowed; negative numbers never are.
    const ZERO_ALLOWED: bool;
}

/// A number, or a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberOr<W> {
    Number(f64),
    Word(W),
}

/// The bandwidth σ of a kernel: a number above 0, or `"median"`.
pub type Bandwidth = NumberOr<Median>;

/// The strength of a pull towards a start: a number from 0 on, or `"cross_validated"`.
pub type Pull = NumberOr<CrossValidated>;

/// The median of the distances between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Median;

/// The value with the least loss on rows left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrossValidated;

impl Word for Median {
    const WORD: &'static str = "median";
    const NAME: &'static str = "Bandwidth";
    const ZERO_ALLOWED: bool = false;
}

impl Word for CrossValidated {
    const WORD: &'static str = "cross_validated";
    const NAME: &'static str = "Pull";
    const ZERO_ALLOWED: bool = true;
}

impl<W: Word> Default for NumberOr<W> {
    fn default() -> Self {
        NumberOr::Word(W::default())
    }
}

impl<W: Word> Serialize for NumberOr<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            NumberOr::Number(v) => serializer.serialize_f64(*v),
            NumberOr::Word(_) => serializer.serialize_str(W::WORD),
        }
    }
}

impl<'de, W: Word> Deserialize<'de> for NumberOr<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrVisitor(PhantomData))
    }
}

struct NumberOrVisitor<W>(PhantomData<W>);

impl<W: Word> Visitor<'_> for NumberOrVisitor<W> {
    type Value = NumberOr<W>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a number {} 0 or {:?}", if W::ZERO_ALLOWED { "from" } else { "above" }, W::WORD)
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        if v.is_finite() && (v > 0.0 || (v == 0.0 && W::ZERO_ALLOWED)) {
            Ok(NumberOr::Number(v))
        } else {
            Err(E::invalid_value(Unexpected::Float(v), &self))
        }
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
        self.visit_f64(v as f64)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
        self.visit_f64(v as f64)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        if v == W::WORD { Ok(NumberOr::Word(W::default())) } else { Err(E::invalid_value(Unexpected::Str(v), &self)) }
    }
}

impl<W: Word> JsonSchema for NumberOr<W> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        W::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let bound = if W::ZERO_ALLOWED { "minimum" } else { "exclusiveMinimum" };
        json_schema!({"oneOf": [{"type": "number", bound: 0}, {"type": "string", "const": W::WORD}]})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Checked, schema_of};
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Both {
        bandwidth: Bandwidth,
        pull: Pull,
    }

    #[track_caller]
    fn accepted(value: serde_json::Value) -> bool {
        let by_schema = jsonschema::is_valid(&schema_of::<Both>(), &value);
        let by_type = serde_json::from_value::<Both>(value.clone()).is_ok();
        assert_eq!(by_schema, by_type, "schema and type disagree on {value}");
        assert_eq!(Checked::<Both>::new(&value).is_ok(), by_type);
        by_type
    }

    #[test]
    fn numbers_in_range_and_the_word_are_accepted_by_schema_and_type_alike() {
        assert!(accepted(json!({"bandwidth": 1, "pull": 0})));
        assert!(accepted(json!({"bandwidth": 1e-9, "pull": 0.5})));
        assert!(accepted(json!({"bandwidth": "median", "pull": "cross_validated"})));
        for refused in [json!(0), json!(-1), json!("cross_validated"), json!(null), json!([1])] {
            assert!(!accepted(json!({"bandwidth": refused})), "{refused}");
        }
        for refused in [json!(-1e-9), json!("median"), json!(true)] {
            assert!(!accepted(json!({"pull": refused})), "{refused}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in [Both::default(), Both { bandwidth: NumberOr::Number(2.5), pull: NumberOr::Number(0.0) }] {
            let written = serde_json::to_value(&value).unwrap();
            assert_eq!(serde_json::from_value::<Both>(written).unwrap(), value);
        }
    }
}
