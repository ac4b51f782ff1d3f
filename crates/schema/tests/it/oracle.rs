//! Our verdicts against an independent implementation of JSON Schema, on random schemas and random events.

use std::collections::{HashMap, HashSet};

use hw_event::RejectCode;
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Map, Value};

use crate::{
    Random, decoder, json as record,
    random_schema::{Rules, definitions, object_schema, value_for},
    schema,
};

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
        let mut document = object_schema(&mut random, 0, Rules::All);
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
    assert!(accepted > 4000 && refused > 4000, "{accepted} accepted, {refused} refused");
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
