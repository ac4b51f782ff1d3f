//! Every keyword that we know, and what we do with it.

/// What a keyword is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Says something to people or to the tools around the document.
    Annotation,
    /// Says something about values of these types (of any type where empty).
    Rule(&'static [&'static str]),
    /// Says something about the whole stream; stands at the root.
    Root,
    /// To come.
    NotBuilt,
}

const ANY: &[&str] = &[];
const NUMBERS: &[&str] = &["integer", "number"];
const STRING: &[&str] = &["string"];
const ARRAY: &[&str] = &["array"];
const OBJECT: &[&str] = &["object"];

/// `None`: a keyword that nobody told us of.
pub(super) fn word(name: &str) -> Option<Word> {
    Some(match name {
        "title" | "description" | "default" | "examples" | "$schema" | "$id" | "$comment" | "deprecated"
        | "readOnly" | "writeOnly" | "contentMediaType" | "$defs" | "definitions" => Word::Annotation,
        "type" | "enum" | "const" | "$ref" | "x-privacy" => Word::Rule(ANY),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "x-time" => {
            Word::Rule(NUMBERS)
        }
        "format" | "x-precision" | "x-scale" => Word::Rule(&["string", "integer", "number"]),
        "minLength" | "maxLength" | "pattern" | "contentEncoding" => Word::Rule(STRING),
        "items" | "minItems" | "maxItems" | "uniqueItems" => Word::Rule(ARRAY),
        "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => {
            Word::Rule(OBJECT)
        }
        "x-key" | "x-partitions" | "x-event-time" | "x-mode" | "x-extra" => Word::Root,
        "oneOf"
        | "anyOf"
        | "allOf"
        | "not"
        | "if"
        | "then"
        | "else"
        | "patternProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "dependencies"
        | "prefixItems"
        | "additionalItems"
        | "contains"
        | "minContains"
        | "maxContains"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema"
        | "$anchor"
        | "$dynamicRef"
        | "$dynamicAnchor"
        | "$recursiveRef"
        | "$recursiveAnchor"
        | "$vocabulary"
        | "x-cluster"
        | "x-retention"
        | "x-compatibility" => Word::NotBuilt,
        _ => return None,
    })
}
