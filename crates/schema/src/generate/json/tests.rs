//! Schemas from practice: each must get good events of every sort that it allows, and bad ones.

use std::{collections::BTreeSet, sync::Arc};

use hw_event::RejectCode;
use serde_json::{Value, json};

use crate::{DecodeLimits, Extra, Generator, Schema};

const LIMITS: DecodeLimits = DecodeLimits { depth: 128, event_bytes: 1 << 16 };
const EVENTS: u64 = 150;

#[track_caller]
fn generator(document: &Value) -> Generator {
    let checked = Schema::parse(&document.to_string()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let generator = Generator::new(Arc::new(checked.schema), LIMITS, 1);
    let unmade: Vec<_> = generator.unmade().iter().filter(|not_made| not_made.code.is_none()).collect();
    assert!(unmade.is_empty(), "{unmade:?}");
    generator
}

/// The good events of a schema, each of which was made; bad ones are made as well.
#[track_caller]
fn events(document: &Value) -> Vec<Value> {
    let mut generator = generator(document);
    assert!(generator.codes().any(|code| code == RejectCode::Keyword), "{:?}", generator.unmade());
    for number in 0..EVENTS {
        if let Err(error) = generator.event(number, Some(RejectCode::Keyword)) {
            panic!("event {number}: {error}");
        }
    }
    let event = |number| match generator.event(number, None) {
        Ok(event) => serde_json::from_slice(&event).unwrap(),
        Err(error) => panic!("event {number}: {error}"),
    };
    (0..EVENTS).map(event).collect()
}

/// A schema of one required field.
fn of_field(field: Value, definitions: Value) -> Value {
    json!({"type": "object", "properties": {"v": field}, "required": ["v"], "$defs": definitions})
}

/// How many events hold, of each condition.
fn held<const N: usize>(events: &[Value], conditions: [fn(&Value) -> bool; N]) -> [usize; N] {
    conditions.map(|condition| events.iter().filter(|event| condition(event)).count())
}

#[test]
fn a_tagged_union_gets_events_of_each_branch() {
    let shape = |kind: &str, member: &str| {
        json!({"type": "object", "properties": {"kind": {"const": kind}, member: {"type": "number", "minimum": 0}},
               "required": ["kind", member], "additionalProperties": false})
    };
    let union =
        json!({"oneOf": [shape("circle", "radius"), shape("square", "side"), shape("line", "length")]});
    let made = events(&of_field(union, json!({})));
    let kinds: BTreeSet<&str> = made.iter().filter_map(|event| event["v"]["kind"].as_str()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["circle", "line", "square"]);
}

#[test]
fn nullable_references_are_made_both_ways() {
    let document = json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "owner": {"anyOf": [{"$ref": "#/$defs/User"}, {"type": "null"}]},
            "tag": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}, {"type": "null"}]},
            "address": {"allOf": [{"$ref": "#/$defs/Address"}], "default": null},
        },
        "required": ["id", "owner", "tag", "address"],
        "$defs": {
            "User": {"type": "object", "properties": {"name": {"type": "string"}, "home": {"$ref": "#/$defs/Address"}},
                     "required": ["name", "home"]},
            "Address": {"type": "object", "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}},
                        "required": ["city"], "dependentRequired": {"street": ["number"]}},
        },
    });
    let made = events(&document);
    let held = held(
        &made,
        [
            |event| event["owner"].is_null(),
            |event| event["owner"]["home"]["city"].is_string(),
            |event| event["tag"].is_string(),
            |event| event["tag"].is_number(),
            |event| event["address"]["city"].is_string(),
        ],
    );
    assert!(held.iter().all(|count| *count > 5), "{held:?}");
}

#[test]
fn what_leads_back_to_itself_ends() {
    let definitions = json!({
        "tree": {"type": "object", "required": ["value", "children"], "additionalProperties": false, "properties": {
            "value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
        "list": {"type": "object", "required": ["head"], "properties": {
            "head": {"type": "string"}, "tail": {"$ref": "#/$defs/list"}}},
        "either": {"anyOf": [{"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/either"}}, {"type": "integer"}]},
    });
    let made = events(&of_field(json!({"$ref": "#/$defs/tree"}), definitions.clone()));
    let grown = held(&made, [|event| event["v"]["children"][0]["children"].is_array()]);
    assert!(grown[0] > 10, "{grown:?}");
    let made = events(&of_field(json!({"$ref": "#/$defs/list"}), definitions.clone()));
    let grown = held(&made, [|event| event["v"]["tail"]["tail"].is_object()]);
    assert!(grown[0] > 10, "{grown:?}");
    let made = events(&of_field(json!({"$ref": "#/$defs/either"}), definitions));
    assert!(held(&made, [|event| event["v"][0].is_array()])[0] > 5);
}

#[test]
fn what_has_no_end_is_said() {
    let endless = json!({"endless": {"type": "object", "properties": {"next": {"$ref": "#/$defs/endless"}},
                                     "required": ["next"]}});
    let document = of_field(json!({"$ref": "#/$defs/endless"}), endless);
    let checked = Schema::parse(&document.to_string()).unwrap();
    let generator = Generator::new(Arc::new(checked.schema), LIMITS, 1);
    assert!(generator.unmade().iter().any(|not_made| not_made.code.is_none()));
}

#[test]
fn a_condition_on_a_kind_is_met_on_both_sides() {
    let document = json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["card", "transfer", "cash"], "type": "string"},
            "iban": {"type": "string", "pattern": "^DE[0-9]{20}$"},
            "card": {"type": "string"},
            "price": {"type": "string", "format": "decimal", "x-precision": 10, "x-scale": 2},
            "at": {"type": "integer", "x-time": "ms"},
        },
        "required": ["kind", "at"],
        "if": {"properties": {"kind": {"const": "transfer"}}},
        "then": {"required": ["iban"]},
        "else": {"not": {"required": ["iban"]}, "required": ["card"]},
    });
    let made = events(&document);
    let held = held(
        &made,
        [
            |event| event["kind"] == "transfer" && event["iban"].is_string(),
            |event| event["kind"] == "card",
            |event| event["kind"] == "cash",
            |event| event["price"].is_string(),
        ],
    );
    assert!(held.iter().all(|count| *count > 5), "{held:?}");
}

#[test]
fn members_are_named_by_their_patterns() {
    let labels = json!({"type": "object", "patternProperties": {"^[a-z]+/[a-z]{2,4}$": {"type": "string", "minLength": 1}},
                        "additionalProperties": false, "minProperties": 1});
    let made = events(&of_field(labels, json!({})));
    assert!(held(&made, [|event| event["v"].as_object().unwrap().len() > 1])[0] > 10);
    let named = json!({"type": "object", "propertyNames": {"enum": ["red", "green"]},
                       "additionalProperties": {"type": ["integer", "string"]}});
    let made = events(&of_field(named, json!({})));
    assert!(held(&made, [|event| event["v"]["red"].is_i64()])[0] > 5);
}

#[test]
fn tuples_and_what_arrays_contain_are_made() {
    let tuple = json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer", "minimum": 5}, {"enum": ["N", "S"]}],
                       "items": false, "minItems": 2});
    let made = events(&of_field(tuple, json!({})));
    assert!(held(&made, [|event| event["v"][2].is_string()])[0] > 20);
    let contains = json!({"type": "array", "contains": {"const": "x"}, "minContains": 2, "maxContains": 2, "maxItems": 6,
                          "items": {"type": "string", "maxLength": 2}});
    let made = events(&of_field(contains, json!({})));
    assert!(held(&made, [|event| event["v"].as_array().unwrap().len() > 2])[0] > 5);
    events(&of_field(
        json!({"type": "array", "uniqueItems": true, "minItems": 2,
                            "prefixItems": [{"enum": [1, 2]}, {"enum": [1, 2]}]}),
        json!({}),
    ));
}

#[test]
fn closed_objects_of_several_parts_are_made() {
    let document = json!({
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"extra": {"type": "boolean"}}, "required": ["extra"]}],
        "unevaluatedProperties": false,
        "$defs": {"base": {"properties": {"made": {"type": "string", "format": "date"}}, "required": ["made"]}},
    });
    let made = events(&document);
    assert!(made.iter().all(|event| event["made"].is_string() && event["extra"].is_boolean()));
    events(&of_field(
        json!({"allOf": [{"$ref": "#/$defs/base"}], "properties": {"more": {"type": "number"}},
                            "required": ["more"], "unevaluatedProperties": false}),
        json!({"base": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}),
    ));
}

#[test]
fn draft_7_is_understood() {
    let document = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "billing": {"type": "string"}, "card": {"type": "integer"}, "cvc": {"type": "integer"},
            "pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": false},
            "node": {"$ref": "#/definitions/node"},
        },
        "required": ["pair", "node"],
        "dependencies": {"card": ["billing", "cvc"], "cvc": {"required": ["card"]}},
        "definitions": {"node": {"$id": "#node", "type": ["object", "null"], "required": ["next"],
                                 "properties": {"next": {"$ref": "#node"}, "n": {"type": "integer", "const": 3}}}},
    });
    let made = events(&document);
    let held = held(
        &made,
        [
            |event| event["card"].is_i64() && event["billing"].is_string(),
            |event| event["card"].is_null() && event["billing"].is_string(),
            |event| event["pair"][1].is_i64(),
            |event| event["node"]["next"].is_object(),
            |event| event["node"].is_null(),
        ],
    );
    assert!(held.iter().all(|count| *count > 5), "{held:?}");
}

#[test]
fn a_dynamic_reference_leads_to_its_anchor() {
    let tree = json!({"tree": {"$dynamicAnchor": "node", "type": "object", "properties": {
        "data": {"type": "string"}, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}},
        "required": ["data"], "unevaluatedProperties": false}});
    let made = events(&of_field(json!({"$ref": "#/$defs/tree"}), tree));
    assert!(held(&made, [|event| event["v"]["children"][0]["data"].is_string()])[0] > 10);
}

#[test]
fn what_only_the_library_asserts_is_made_well_and_badly() {
    for format in ["iri", "iri-reference", "uri-template", "relative-json-pointer", "regex"] {
        let document = json!({"type": "object", "properties": {
            "v": {"type": "string", "format": format}, "w": {"format": format, "minLength": 3}}, "required": ["v", "w"]});
        let mut generator = generator(&document);
        for number in 0..20 {
            generator.event(number, None).unwrap();
            generator
                .event(number, Some(RejectCode::Format))
                .unwrap_or_else(|error| panic!("{format}: {error}"));
        }
    }
}

#[test]
fn rules_that_hardly_any_value_breaks_are_broken() {
    events(&of_field(json!({"type": "integer", "not": {"const": 4711}}), json!({})));
    events(&of_field(json!({"type": "string", "not": {"enum": ["forbidden", "banned"]}}), json!({})));
    events(&of_field(json!({"oneOf": [{"required": ["first"]}, {"required": ["second"]}]}), json!({})));
    events(&of_field(
        json!({"type": "object", "properties": {"a": {"type": "integer"}},
                            "patternProperties": {"^x_": {"type": "integer"}}}),
        json!({}),
    ));
    events(&of_field(
        json!({"type": "string", "format": "uuid", "allOf": [{"pattern": "^[0-4]"}]}),
        json!({}),
    ));
}

#[test]
fn numbers_beyond_a_double_are_made_for_json_text() {
    let mut generator = generator(&of_field(json!({"type": ["string", "number"]}), json!({})));
    generator.event(0, Some(RejectCode::OutOfRange)).unwrap();
    assert!(generator.codes().all(|code| code != RejectCode::Type));
}

#[test]
fn nothing_is_added_where_unnamed_fields_are_refused() {
    let mut document = json!({"type": "object", "x-extra": "refuse",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {}},
        "patternProperties": {"^n_": {"type": "integer"}}, "dependentRequired": {"a": ["b"]}});
    let made = events(&document);
    assert!(
        made.iter()
            .flat_map(|event| event.as_object().unwrap().keys())
            .all(|name| name.len() == 1 || name.starts_with("n_"))
    );
    assert!(
        held(&made, [|event| event.as_object().unwrap().keys().any(|name| name.starts_with("n_"))])[0] > 10
    );
    document["x-extra"] = json!("keep");
    assert_eq!(Schema::parse(&document.to_string()).unwrap().schema.extra(), Extra::Keep);
    events(&document);
}
