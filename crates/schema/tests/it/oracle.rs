//! Our verdicts against an independent implementation of JSON Schema, on random schemas and random events.

use std::collections::HashSet;

use hw_event::RejectCode;
use hw_schema::Schema;
use serde_json::{Map, Value, json};

use crate::{Random, decoder, schema, verdict};

const SCHEMAS: u64 = 600;
const EVENTS: usize = 80;

#[test]
fn verdicts_agree_with_the_oracle() {
    let (mut accepted, mut refused, mut codes) = (0, 0, HashSet::new());
    for seed in 1..=SCHEMAS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let document = object_schema(&mut random, 0);
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
            let ours = verdict(&mut decoder, event.as_bytes());
            let theirs = oracle.is_valid(&serde_json::from_str(&event).unwrap());
            assert_eq!(ours.is_none(), theirs, "seed {seed}, event {number}: {ours:?}\n{text}\n{event}");
            match ours {
                None => accepted += 1,
                Some(code) => {
                    refused += 1;
                    codes.insert(code);
                }
            }
        }
    }
    println!("{accepted} accepted, {refused} refused, {} codes", codes.len());
    assert!(accepted > 5000 && refused > 5000, "{accepted} accepted, {refused} refused");
    for code in RejectCode::ALL {
        let text = code.as_str();
        let outside = text.starts_with("json_")
            || matches!(
                text,
                "not_object" | "too_large" | "keyword" | "no_schema" | "record" | "out_of_range"
            );
        assert!(outside || codes.contains(code), "no event was refused with {text}");
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
    schema
}

fn field_schema(random: &mut Random, level: usize) -> Value {
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
    let document = json!({"type": "object", "properties": {"v": schema}}).to_string();
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
        ];
        random.pick(&values).clone()
    };
    if random.chance(4) {
        return anything(random);
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
            .pick(&[json!(0), json!(1), json!(2), json!(-3), json!(4), json!(10), json!(6.0), json!(1.5)])
            .clone(),
        Some("number") => random
            .pick(&[json!(0), json!(0.5), json!(1.5), json!(2), json!(-3.25), json!(9.99), json!(1e3)])
            .clone(),
        Some("boolean") => json!(random.chance(60)),
        Some("array") => (0..random.below(4)).map(|_| value_for(&schema["items"], random)).collect(),
        Some("object") => match schema["properties"].as_object() {
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
        if matches!(c, ',' | '}' | ']')
            && out.ends_with(|last: char| last.is_ascii_digit())
            && random.chance(10)
        {
            out.push_str(random.pick::<&str>(&["e0", "E+00", "e-0"]));
        }
        out.push(c);
    }
    out
}
