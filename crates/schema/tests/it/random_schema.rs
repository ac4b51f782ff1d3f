//! Random schemas, and random values that lean towards them.
//! Always: what is made is accepted by `Schema::parse`.

use hw_schema::Schema;
use serde_json::{Map, Value, json};

use crate::Random;

/// Which schemas are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Of columns and compiled rules alone.
    Compiled,
    All,
}

pub fn definitions() -> Value {
    json!({
        "name": {"type": "string", "maxLength": 2},
        "tree": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "left": {"$ref": "#/$defs/tree"}},
            "required": ["n"],
            "additionalProperties": false,
        },
    })
}

/// Schemas whose values have no one type.
fn mixed_schema(random: &mut Random) -> Value {
    let schemas = [
        json!({"type": ["string", "integer"]}),
        json!({"type": ["array", "null", "boolean"], "maxItems": 1}),
        json!({"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer", "minimum": 1}]}),
        json!({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]}),
        json!({"$ref": "#/$defs/tree"}),
        json!({"type": "array", "prefixItems": [{"type": "integer"}], "items": false}),
        json!({"type": "array", "contains": {"const": 1}, "maxContains": 1}),
        json!({"type": "object"}),
        json!({"type": "object", "patternProperties": {"^k": {"type": "integer"}}, "additionalProperties": {"type": "string"}}),
        json!({"enum": ["a", 1, null, [1]]}),
        json!({"not": {"type": "string"}}),
        json!({"if": {"type": "string"}, "then": {"format": "date"}, "else": {"type": "number"}}),
        json!({"properties": {"a": {"type": "integer"}}, "unevaluatedProperties": false}),
        json!({"allOf": [{"properties": {"a": true}, "required": ["a"]}, {"propertyNames": {"maxLength": 1}}]}),
        json!(true),
        json!({}),
    ];
    random.pick(&schemas).clone()
}

/// Rules beside a type that no column follows from.
fn rule_beside(random: &mut Random, kind: &str) -> (&'static str, Value) {
    match kind {
        "string" => random
            .pick(&[
                ("not", json!({"const": "a"})),
                ("allOf", json!([{"maxLength": 2}, {"minLength": 1}])),
                ("anyOf", json!([{"pattern": "^a"}, {"pattern": "b$"}])),
                ("format", json!("iri")),
            ])
            .clone(),
        "integer" | "number" => random
            .pick(&[
                ("not", json!({"const": 2})),
                ("oneOf", json!([{"multipleOf": 2}, {"minimum": 1}])),
                ("if", json!({"minimum": 100})),
            ])
            .clone(),
        "array" => random
            .pick(&[
                ("contains", json!({"type": ["integer", "string"]})),
                ("not", json!({"minItems": 2})),
                ("unevaluatedItems", json!(true)),
            ])
            .clone(),
        "object" => random
            .pick(&[
                ("dependentRequired", json!({"a": ["b"], "c": ["zz"]})),
                ("patternProperties", json!({"^unk": {"type": "integer"}})),
                ("propertyNames", json!({"maxLength": 4})),
                ("additionalProperties", json!({"type": "integer"})),
                ("unevaluatedProperties", json!(false)),
                ("allOf", json!([{"if": {"required": ["a"]}, "then": {"required": ["d"]}}])),
                ("oneOf", json!([{"required": ["a"]}, {"required": ["b"]}])),
            ])
            .clone(),
        _ => ("not", json!({"const": false})),
    }
}

pub fn object_schema(random: &mut Random, level: usize, rules: Rules) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in ["a", "b", "c", "d", "e", "é/~"] {
        if random.chance(if level == 0 { 80 } else { 45 }) {
            properties.insert(name.to_owned(), field_schema(random, level + 1, rules));
            if random.chance(25) {
                required.push(name);
            }
        }
    }
    if properties.is_empty() {
        properties.insert("z".to_owned(), json!({"type": "integer"}));
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if random.chance(60) {
        schema["required"] =
            json!(required.into_iter().filter(|name| properties.contains_key(*name)).collect::<Vec<_>>());
    }
    if random.chance(25) {
        schema["additionalProperties"] = json!(random.chance(50));
    }
    if random.chance(10) {
        schema["maxProperties"] = json!(random.below(6));
    }
    if rules == Rules::All && random.chance(6) {
        let (keyword, rule) = rule_beside(random, "object");
        schema[keyword] = rule;
    }
    schema
}

fn field_schema(random: &mut Random, level: usize, rules: Rules) -> Value {
    if rules == Rules::All && random.chance(7) {
        return mixed_schema(random);
    }
    if rules == Rules::All && random.chance(4) {
        let mut schema = json!({"$ref": "#/$defs/name"});
        if random.chance(50) {
            schema["minLength"] = json!(2);
        }
        return schema;
    }
    let kinds: &[&str] = &["string", "string", "integer", "number", "boolean", "array", "map", "object"];
    let kind = *random.pick(if level < 4 { kinds } else { &kinds[..5] });
    let mut schema = match kind {
        "object" => object_schema(random, level, rules),
        "map" => json!({"type": "object", "additionalProperties": field_schema(random, level + 1, rules)}),
        "array" => json!({"type": "array", "items": field_schema(random, level + 1, rules)}),
        kind => json!({"type": kind}),
    };
    let numbers = [-3.0, 0.0, 0.5, 1.0, 2.0, 10.0];
    let mut maybe = |random: &mut Random, keyword: &str, percent: usize, value: Value| {
        if random.chance(percent) {
            schema[keyword] = value;
        }
    };
    match kind {
        "string" => {
            let format = *random.pick(&[
                "date-time",
                "date",
                "time",
                "email",
                "ipv4",
                "ipv6",
                "uuid",
                "uri",
                "hostname",
            ]);
            maybe(random, "format", 25, json!(format));
            let pattern = *random.pick(&["^a", "b$", "\\d+", "^[a-z]*$", "é|x", "^.{2}$"]);
            maybe(random, "pattern", 20, json!(pattern));
            let length = random.below(3);
            maybe(random, "minLength", 15, json!(length));
            maybe(random, "maxLength", 15, json!(length + 3));
            maybe(random, "enum", 10, json!(["a", "abc", "é", ""]));
        }
        "integer" | "number" => {
            let low = *random.pick(&numbers);
            maybe(random, "minimum", 20, json!(low));
            maybe(random, "exclusiveMaximum", 15, json!(low + 7.0));
            let divisor = *random.pick(&[1.0, 2.0, 0.5, 3.0]);
            maybe(random, "multipleOf", 15, json!(divisor));
            maybe(random, "enum", 8, json!([0, 1, 2.0, 10]));
        }
        "boolean" => maybe(random, "const", 15, json!(true)),
        "array" => {
            maybe(random, "minItems", 15, json!(1));
            maybe(random, "maxItems", 20, json!(2));
            maybe(random, "uniqueItems", 30, json!(true));
        }
        _ => maybe(random, "minProperties", 10, json!(1)),
    }
    if rules == Rules::All && random.chance(5) && kind != "map" {
        let (keyword, rule) = rule_beside(random, kind);
        schema[keyword] = rule;
    }
    if random.chance(20) {
        schema["type"] = json!([schema["type"], "null"]);
        // An enum without null forbids it, whatever the type says.
        if let Some(list) = schema.get_mut("enum").and_then(Value::as_array_mut)
            && random.chance(50)
        {
            list.push(Value::Null);
        }
    }
    // A pair of bounds that nothing can pass is refused by us, and rightly; then there are none.
    let document = json!({"type": "object", "properties": {"v": schema}, "$defs": definitions()}).to_string();
    if Schema::parse(&document).is_err() { json!({"type": "integer"}) } else { schema }
}

pub fn value_for(schema: &Value, random: &mut Random) -> Value {
    let anything = |random: &mut Random| {
        let values = [
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(-7),
            json!(2.5),
            json!(1e3),
            json!(""),
            json!("abc"),
            json!([]),
            json!([1]),
            json!({}),
            json!({"a": 1}),
            json!({"k": "x", "a": 1}),
            json!([1, "ab", 1]),
            json!("2026-11-21"),
            json!({"n": 1, "left": {"n": 2, "left": {"n": "3"}}}),
            json!({"n": 1, "left": {"n": 2, "right": 1}}),
            json!({"k1": 1, "l": "x", "491511": 2}),
            json!(9007199254740993i64),
        ];
        random.pick(&values).clone()
    };
    if random.chance(4) {
        return anything(random);
    }
    if schema["$ref"] == "#/$defs/name" {
        return json!(*random.pick(&["", "a", "ab", "abc", "é😀"]));
    }
    let type_name = match &schema["type"] {
        Value::Array(types) if random.chance(15) => {
            return if types.len() > 1 { json!(null) } else { json!(0) };
        }
        Value::Array(types) => types[0].as_str(),
        name => name.as_str(),
    };
    if let Some(list) = schema["enum"].as_array()
        && random.chance(60)
    {
        return random.pick(list).clone();
    }
    match type_name {
        Some("string") => {
            let texts = [
                "",
                "a",
                "ab",
                "abc",
                "xb",
                "é",
                "12",
                "a b",
                "x😀",
                "2026-11-21T20:00:00Z",
                "2026-11-21T20:00:00.5+01:00",
                "2026-11-21",
                "2026-02-30",
                "20:00:00Z",
                "a@b.example",
                "a@",
                "1.2.3.4",
                "1.2.3.256",
                "::1",
                "1::2::3",
                "123e4567-e89b-12d3-a456-426614174000",
                "123e4567",
                "http://a.example/b?c#d",
                "http://[",
                "b.example",
                "-b",
            ];
            json!(*random.pick(&texts))
        }
        Some("integer") => random
            .pick(&[
                json!(0),
                json!(1),
                json!(2),
                json!(-3),
                json!(4),
                json!(10),
                json!(6.0),
                json!(1.5),
                json!(i64::MAX),
                json!(i64::MIN),
                json!(9223372036854775808u64),
            ])
            .clone(),
        Some("number") => random
            .pick(&[
                json!(0),
                json!(0.5),
                json!(1.5),
                json!(2),
                json!(-3.25),
                json!(9.99),
                json!(1e3),
                json!(1.7e308),
                json!(5e-324),
            ])
            .clone(),
        Some("boolean") => json!(random.chance(60)),
        Some("array") if schema["items"].is_object() => {
            (0..random.below(4)).map(|_| value_for(&schema["items"], random)).collect()
        }
        Some("object") => match schema["properties"].as_object() {
            None if !schema["additionalProperties"].is_object() => anything(random),
            None => {
                let keys = ["k", "l", "é/~", "\"q\""];
                let count = random.below(3);
                let members = keys
                    .iter()
                    .take(count)
                    .map(|key| ((*key).to_owned(), value_for(&schema["additionalProperties"], random)));
                Value::Object(members.collect())
            }
            Some(properties) => {
                let mut object = Map::new();
                for (name, field) in properties {
                    if random.chance(85) {
                        object.insert(name.clone(), value_for(field, random));
                    }
                }
                if random.chance(12) {
                    object.insert("unknown".to_owned(), anything(random));
                }
                Value::Object(object)
            }
        },
        _ => anything(random),
    }
}
