//! Our verdicts against an independent implementation of JSON Schema, on random schemas and random events.

use std::collections::{HashMap, HashSet};

use hw_event::RejectCode;
use hw_schema::Schema;
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Map, Value, json};

use crate::{Random, decoder, json as record, schema};

/// Each with `EVENTS` events; `HW_ORACLE_SCHEMAS` sets another number.
const SCHEMAS: u64 = 500;
const EVENTS: usize = 80;

#[test]
fn verdicts_first_faults_and_their_places_agree_with_the_oracle() {
    let schemas = std::env::var("HW_ORACLE_SCHEMAS").map_or(SCHEMAS, |n| n.parse().expect("a number"));
    let (mut accepted, mut refused, mut codes) = (0u64, 0u64, HashSet::new());
    let mut wrong: Vec<String> = Vec::new();
    for seed in 1..=schemas {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut document = object_schema(&mut random, 0);
        document["$defs"] = definitions();
        let text = document.to_string();
        let oracle = jsonschema::options().should_validate_formats(true).build(&document).unwrap();
        let schema = schema(&text);
        let mut decoder = decoder(&schema);
        for number in 0..EVENTS {
            let event = value_for(&document, &mut random);
            if !event.is_object() {
                continue;
            }
            // Numbers may be written in ways that serde_json would not choose.
            let event = respell(&event.to_string(), &mut random);
            let ours = decoder.apply(&[record(event.as_bytes())]).rejects.into_iter().next();
            let value: Value = serde_json::from_str(&event).unwrap();
            let told = || format!("seed {seed}, event {number}: {ours:?}\n{text}\n{event}");
            match &ours {
                None => {
                    if !oracle.is_valid(&value) {
                        wrong.push(told());
                    }
                    accepted += 1;
                }
                // A law of ours: no column holds it, whatever the schema allows.
                Some(found) if found.code == RejectCode::OutOfRange => {
                    assert!(event.contains("9223372036854775808"), "{}", told());
                    refused += 1;
                }
                Some(found) => {
                    let theirs = first_faults(&oracle, &document, &value);
                    let code = found.code.as_str();
                    if !theirs.iter().any(|(path, fault)| *path == found.path && *fault == code) {
                        wrong.push(format!("{}\nthe oracle: {theirs:?}", told()));
                    }
                    refused += 1;
                    codes.insert(found.code);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(9)].join("\n\n"));
    println!("{accepted} accepted, {refused} refused, {} codes", codes.len());
    assert!(accepted > 5000 && refused > 5000, "{accepted} accepted, {refused} refused");
    for code in RejectCode::ALL {
        let text = code.as_str();
        let outside = text.starts_with("json_")
            || matches!(text, "not_object" | "too_large" | "no_schema" | "record" | "out_of_range");
        assert!(outside || codes.contains(code), "no event was refused with {text}");
    }
}

/// Where a fault stands: by what it follows in the document, then within one guard.
type Stand = (usize, usize);

/// The faults that the oracle finds first in document order, each with the path and the code that we give it. What
/// several rules say of one value stands at one place.
fn first_faults(oracle: &Validator, document: &Value, event: &Value) -> Vec<(String, &'static str)> {
    let mut places = HashMap::new();
    number(event, String::new(), &mut 0, &mut places);
    let mut names = HashSet::new();
    names_of(document, &mut names);
    let told = |error| told(&error, document, event, &places, &names);
    let found: Vec<(Stand, String, &'static str)> = oracle.iter_errors(event).map(told).collect();
    let first = found.iter().map(|(stand, ..)| *stand).min();
    found
        .into_iter()
        .filter(|(stand, ..)| Some(*stand) == first)
        .map(|(_, path, code)| (path, code))
        .collect()
}

fn told(
    error: &ValidationError<'_>,
    document: &Value,
    event: &Value,
    places: &HashMap<String, (usize, usize)>,
    names: &HashSet<String>,
) -> (Stand, String, &'static str) {
    let at = error.instance_path().as_str();
    let parts: Vec<&str> = at.split('/').skip(1).collect();
    // From the root along what becomes columns, as far as the rule's own place in the schema leads.
    let (mut schema, mut depth, mut shown) = (document, 0, String::new());
    let evaluated = error.evaluation_path().as_str().to_owned();
    let mut rules = evaluated.split('/').skip(1).peekable();
    let mut guarded = is_json(schema);
    while let (false, Some(rule)) = (guarded, rules.next()) {
        let leads_on = rules.peek().is_some();
        match rule {
            "properties" => {
                let name = rules.next().unwrap().replace("~1", "/").replace("~0", "~");
                schema = &schema["properties"][name];
                shown = format!("{shown}/{}", parts[depth]);
                depth += 1;
            }
            "items" if leads_on => {
                schema = &schema["items"];
                shown = format!("{shown}/{}", parts[depth]);
                depth += 1;
            }
            "additionalProperties" if leads_on && schema.get("properties").is_none() => {
                schema = &schema["additionalProperties"];
                shown += "/*";
                depth += 1;
            }
            // The compiled rules come from what it leads to; those beside it are the guard's.
            "$ref" if schema["$ref"] == "#/$defs/name" => schema = &document["$defs"]["name"],
            _ if schema.get("$ref").is_some() => guarded = true,
            _ => {
                guarded = leads_on || rule == "dependentRequired" || code_of(error.kind(), schema).is_none();
                break;
            }
        }
        guarded |= is_json(schema);
    }
    let here: String = parts[..depth].iter().map(|part| format!("/{part}")).collect();
    let (start, end) = places[&here];
    let (start, end) = (start * 1000, end * 1000);
    if guarded {
        let mut value = event.pointer(&here);
        for part in &parts[depth..] {
            let name = part.replace("~1", "/").replace("~0", "~");
            let known = matches!(value, Some(Value::Array(_))) || names.contains(&name);
            shown = format!("{shown}/{}", if known { part } else { "*" });
            value = match value {
                Some(Value::Array(items)) => items.get(name.parse::<usize>().unwrap()),
                Some(value) => value.get(&name),
                None => None,
            };
        }
        match error.kind() {
            Kind::Required { property } if names.contains(property.as_str().unwrap()) => {
                shown = format!("{shown}/{}", part(property.as_str().unwrap()));
            }
            Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
            | Kind::PropertyNames { .. } => {
                shown += "/*";
            }
            Kind::FalseSchema if evaluated.ends_with("/additionalProperties") => shown += "/*",
            _ => {}
        }
        return ((end + 950, places[at].0), shown, "keyword");
    }
    let (stand, path, code) = match error.kind() {
        Kind::Required { property } => {
            // Missing fields come in the schema's order.
            let name = property.as_str().unwrap();
            let order = schema["properties"].as_object().unwrap().keys().position(|key| key == name).unwrap();
            (end + 1 + order, format!("{shown}/{}", part(name)), "required")
        }
        Kind::AdditionalProperties { .. } => {
            let named = schema["properties"].as_object().unwrap();
            let members = event.pointer(at).unwrap().as_object().unwrap();
            let first = members.keys().find(|key| !named.contains_key(*key)).unwrap();
            (places[&format!("{at}/{}", part(first))].0 * 1000, format!("{shown}/*"), "unknown_field")
        }
        Kind::UniqueItems => {
            let items = event.pointer(at).unwrap().as_array().unwrap();
            let twin =
                (0..items.len()).find(|&n| items[..n].iter().any(|item| equal(item, &items[n]))).unwrap();
            (places[&format!("{at}/{twin}")].1 * 1000 + 960, format!("{shown}/{twin}"), "items")
        }
        Kind::MinItems { .. }
        | Kind::MaxItems { .. }
        | Kind::MinProperties { .. }
        | Kind::MaxProperties { .. } => (end + 900, shown, "items"),
        // Where the type allows null and the list does not, we say that null is of no type here.
        Kind::Enum { .. } | Kind::Constant { .. } if error.instance().is_null() => (start, shown, "type"),
        kind => (start, shown, code_of(kind, schema).unwrap()),
    };
    ((stand, 0), path, code)
}

/// The code of a rule that the compiled decoder knows.
fn code_of(kind: &Kind, schema: &Value) -> Option<&'static str> {
    Some(match kind {
        Kind::Type { .. } => "type",
        Kind::Minimum { .. } | Kind::ExclusiveMinimum { .. } => "minimum",
        Kind::Maximum { .. } | Kind::ExclusiveMaximum { .. } => "maximum",
        Kind::MultipleOf { .. } => "multiple_of",
        Kind::MinLength { .. } | Kind::MaxLength { .. } => "length",
        Kind::Pattern { .. } => "pattern",
        Kind::Enum { .. } | Kind::Constant { .. } => "enum",
        Kind::Format { .. } => "format",
        Kind::MinItems { .. }
        | Kind::MaxItems { .. }
        | Kind::MinProperties { .. }
        | Kind::MaxProperties { .. } => "items",
        Kind::UniqueItems => "items",
        Kind::Required { property } => {
            schema["properties"].get(property.as_str()?)?;
            "required"
        }
        Kind::AdditionalProperties { .. } if schema.get("patternProperties").is_none() => {
            schema.get("properties")?;
            "unknown_field"
        }
        _ => return None,
    })
}

/// Does a value of this schema become JSON text?
fn is_json(schema: &Value) -> bool {
    if schema["$ref"] == "#/$defs/name" {
        return false;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => return true,
    };
    match types.as_slice() {
        ["object"] => {
            let map = schema["additionalProperties"].as_object().is_some_and(|values| !values.is_empty());
            schema.get("properties").is_none() && (!map || schema.get("patternProperties").is_some())
        }
        ["array"] => {
            schema["items"].as_object().is_none_or(Map::is_empty) || schema.get("prefixItems").is_some()
        }
        [_] => false,
        _ => true,
    }
}

/// The ordinal of each value's start and end, by pointer.
fn number(value: &Value, at: String, next: &mut usize, places: &mut HashMap<String, (usize, usize)>) {
    *next += 1;
    let start = *next;
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                number(item, format!("{at}/{index}"), next, places);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                number(member, format!("{at}/{}", part(name)), next, places);
            }
        }
        _ => {}
    }
    *next += 1;
    places.insert(at, (start, *next));
}

fn part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Every name under a `properties`.
fn names_of(schema: &Value, names: &mut HashSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| names_of(item, names)),
        Value::Object(members) => {
            names.extend(
                members.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned(),
            );
            members.values().for_each(|member| names_of(member, names));
        }
        _ => {}
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn definitions() -> Value {
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

fn object_schema(random: &mut Random, level: usize) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in ["a", "b", "c", "d", "e", "é/~"] {
        if random.chance(if level == 0 { 80 } else { 45 }) {
            properties.insert(name.to_owned(), field_schema(random, level + 1));
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
    if random.chance(6) {
        let (keyword, rule) = rule_beside(random, "object");
        schema[keyword] = rule;
    }
    schema
}

fn field_schema(random: &mut Random, level: usize) -> Value {
    if random.chance(7) {
        return mixed_schema(random);
    }
    if random.chance(4) {
        let mut schema = json!({"$ref": "#/$defs/name"});
        if random.chance(50) {
            schema["minLength"] = json!(2);
        }
        return schema;
    }
    let kinds: &[&str] = &["string", "string", "integer", "number", "boolean", "array", "map", "object"];
    let kind = *random.pick(if level < 4 { kinds } else { &kinds[..5] });
    let mut schema = match kind {
        "object" => object_schema(random, level),
        "map" => json!({"type": "object", "additionalProperties": field_schema(random, level + 1)}),
        "array" => json!({"type": "array", "items": field_schema(random, level + 1)}),
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
    if random.chance(5) && kind != "map" {
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

fn value_for(schema: &Value, random: &mut Random) -> Value {
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

/// The same document with other white space, escapes and spellings of numbers.
fn respell(text: &str, random: &mut Random) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut in_string = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            let plain = !escaped && c != '\\' && c != '"' && (c as u32) < 0x10000;
            escaped = !escaped && c == '\\';
            if plain && random.chance(5) {
                out.push_str(&format!("\\u{:04x}", c as u32));
            } else {
                out.push(c);
            }
            continue;
        }
        in_string = c == '"';
        if matches!(c, '{' | '}' | '[' | ']' | ',' | ':') && random.chance(5) {
            out.push_str(random.pick::<&str>(&[" ", "\n", "\t \r"]));
        }
        // A number ends here: nothing is changed by an exponent of zero.
        if matches!(c, ',' | '}' | ']') && ends_with_plain_number(&out) && random.chance(10) {
            out.push_str(random.pick::<&str>(&["e0", "E+00", "e-0"]));
        }
        out.push(c);
    }
    out
}

/// A number that has no exponent yet, and is no integer that the oracle would then round.
fn ends_with_plain_number(text: &str) -> bool {
    let number = text.rsplit(|c: char| !matches!(c, '0'..='9' | '.' | 'e' | '+' | '-')).next();
    number.is_some_and(|number| {
        number.ends_with(|c: char| c.is_ascii_digit()) && !number.contains('e') && number.len() < 16
    })
}
