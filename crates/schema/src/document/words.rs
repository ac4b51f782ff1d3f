//! Every keyword that we know, and what we do with it.

/// What a keyword is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Says something to people or to the tools around the document.
    Annotation,
    /// Says something about values of these types (of any type where empty); the compiled decoder knows it.
    Rule(&'static [&'static str]),
    /// The same, but checked on the slower path: no column follows from it.
    Residual(&'static [&'static str]),
    /// Says something about the whole stream; stands at the root.
    Root,
    /// To come.
    NotBuilt,
}

/// Where the schemas stand that a keyword applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Nothing,
    Schema,
    /// A list of schemas.
    List,
    /// An object whose every value is a schema.
    Named,
}

const ANY: &[&str] = &[];
const NUMBERS: &[&str] = &["integer", "number"];
const STRING: &[&str] = &["string"];
const ARRAY: &[&str] = &["array"];
const OBJECT: &[&str] = &["object"];

/// The names that `word` knows.
pub(super) const WORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "x-cluster",
    "x-compatibility",
    "x-event-time",
    "x-extra",
    "x-from",
    "x-key",
    "x-mode",
    "x-notation",
    "x-partitions",
    "x-precision",
    "x-privacy",
    "x-renamed-from",
    "x-retention",
    "x-scale",
    "x-time",
    "x-token-domain",
    "x-token-format",
];

/// `None`: a keyword that nobody told us of.
pub(super) fn word(name: &str) -> Option<Word> {
    Some(match name {
        "title" | "description" | "default" | "examples" | "$schema" | "$id" | "$comment" | "deprecated"
        | "readOnly" | "writeOnly" | "contentMediaType" | "contentSchema" | "$defs" | "definitions"
        | "$anchor" | "$dynamicAnchor" | "$vocabulary" | "x-from" | "x-renamed-from" => Word::Annotation,
        "type" | "enum" | "const" | "$ref" | "x-privacy" | "x-token-domain" | "x-token-format" => {
            Word::Rule(ANY)
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "x-time" => {
            Word::Rule(NUMBERS)
        }
        "format" | "x-precision" | "x-scale" => Word::Rule(&["string", "integer", "number"]),
        "minLength" | "maxLength" | "pattern" | "contentEncoding" => Word::Rule(STRING),
        "items" | "minItems" | "maxItems" | "uniqueItems" => Word::Rule(ARRAY),
        "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => {
            Word::Rule(OBJECT)
        }
        "x-key" | "x-partitions" | "x-event-time" | "x-mode" | "x-extra" | "x-notation" | "x-retention" => {
            Word::Root
        }
        "oneOf" | "anyOf" | "allOf" | "not" | "if" | "then" | "else" | "$dynamicRef" => Word::Residual(ANY),
        "patternProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "dependencies"
        | "unevaluatedProperties" => Word::Residual(OBJECT),
        "prefixItems" | "additionalItems" | "contains" | "minContains" | "maxContains"
        | "unevaluatedItems" => Word::Residual(ARRAY),
        "x-cluster" | "x-compatibility" => Word::NotBuilt,
        _ => return None,
    })
}

/// Which schemas stand under a keyword. Definitions apply to nothing by themselves.
pub(super) fn holds(name: &str) -> Holds {
    match name {
        "properties" | "patternProperties" | "dependentSchemas" | "dependencies" => Holds::Named,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::List,
        "items"
        | "additionalItems"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contains"
        | "propertyNames"
        | "not"
        | "if"
        | "then"
        | "else" => Holds::Schema,
        _ => Holds::Nothing,
    }
}

/// Says nothing about values, so that a change of it changes no verdict.
pub(super) fn is_remark(name: &str) -> bool {
    matches!(
        name,
        "title"
            | "description"
            | "default"
            | "examples"
            | "$comment"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
            | "contentMediaType"
            | "contentSchema"
            | "x-from"
            | "x-renamed-from"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_word_is_known() {
        for name in WORDS {
            assert!(word(name).is_some(), "{name}");
        }
    }
}
