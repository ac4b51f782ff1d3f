//! JSON-Schema-Test-Suite: wherever we accept a schema, our verdict is the suite's; and we accept nearly all.
//! Each of the suite's schemas describes the property `v` of an event: as it stands, and once more with each type that
//! it may be about written into it, so that the compiled decoder has its say.

use std::{fs, path::Path};

use hw_schema::Schema;
use serde_json::{Value, json};

use crate::{decoder, schema, suite, verdict};

/// Where we differ on purpose, by file and case.
const OURS: [(&str, &str); 4] = [
    // What an `xn--` label encodes is not looked at: to RFC 1123 it is a label like any other.
    ("hostname", "validation of A-label (punycode) host names"),
    // To the suite an encoding is a remark; ours asserts, since the bytes become a binary column.
    ("content", "validation of binary string-encoding"),
    ("content", "validation of binary-encoded media type documents"),
    ("content", "validation of binary-encoded media type documents with schema"),
];

#[derive(Default)]
struct Tally {
    groups: usize,
    /// With a reference or a dialect that lies elsewhere.
    remote: usize,
    taken: usize,
    refused: Vec<String>,
    verdicts: usize,
    wrong: Vec<String>,
}

#[test]
fn draft_2020_12() {
    run("draft2020-12", "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn draft_7() {
    run("draft7", "http://json-schema.org/draft-07/schema#");
}

fn run(draft: &str, dialect: &str) {
    let Some(folder) = suite("json-schema/tests") else { return };
    let required = run_folder(&folder.join(draft), dialect);
    let formats = run_folder(&folder.join(draft).join("optional/format"), dialect);
    for (name, tally) in [("required", &required), ("formats", &formats)] {
        println!(
            "{draft}, {name}: {} groups, {} remote, {} taken, {} refused, {} verdicts",
            tally.groups,
            tally.remote,
            tally.taken,
            tally.refused.len(),
            tally.verdicts
        );
        for refused in &tally.refused {
            println!("  refused: {refused}");
        }
        assert!(tally.wrong.is_empty(), "{} wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
    }
    let local = required.groups - required.remote;
    assert!(required.taken * 100 >= local * 95, "{} of {local} taken", required.taken);
}

fn run_folder(folder: &Path, dialect: &str) -> Tally {
    let mut tally = Tally::default();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        run_file(path, dialect, &mut tally);
    }
    tally
}

fn run_file(path: &Path, dialect: &str, tally: &mut Tally) {
    const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    // The suite takes a format for a mere remark in these files; ours assert.
    if file == "format" {
        return;
    }
    let cases: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        tally.groups += 1;
        let name = format!("{file} / {}", case["description"].as_str().unwrap());
        if is_remote(&case["schema"], &case["schema"]) {
            tally.remote += 1;
            continue;
        }
        let inner = moved(&case["schema"]);
        let mut types = vec![""];
        if inner.is_object() && inner.get("type").is_none() && !inner.to_string().contains("$ref\"") {
            types.extend(TYPES);
        }
        for type_name in types {
            let mut typed = inner.clone();
            if !type_name.is_empty() {
                typed["type"] = json!(type_name);
            }
            let document = json!({
                "$schema": dialect, "type": "object", "properties": {"v": typed}, "required": ["v"],
            })
            .to_string();
            match Schema::parse(&document) {
                Ok(_) if type_name.is_empty() => tally.taken += 1,
                Ok(_) => {}
                Err(faults) if type_name.is_empty() => {
                    tally.refused.push(format!("{name}: {}", faults[0]));
                    break;
                }
                // With this type its rules would contradict one another, or there is no such column.
                Err(_) => continue,
            }
            judge(case, &file, &name, &document, type_name, tally);
        }
    }
}

fn judge(case: &Value, file: &str, name: &str, document: &str, type_name: &str, tally: &mut Tally) {
    if OURS.contains(&(file, case["description"].as_str().unwrap())) {
        return;
    }
    let mut decoder = decoder(&schema(document));
    for test in case["tests"].as_array().unwrap() {
        if !is_about(&test["data"], type_name) {
            continue;
        }
        let event = json!({"v": test["data"]}).to_string();
        let code = verdict(&mut decoder, event.as_bytes());
        tally.verdicts += 1;
        if code.is_none() != test["valid"].as_bool().unwrap() {
            tally.wrong.push(format!("{name} / {} {code:?} {event} {document}", test["description"]));
        }
    }
}

/// Does a reference or a dialect lie outside of the schema?
fn is_remote(part: &Value, whole: &Value) -> bool {
    match part {
        Value::Array(items) => items.iter().any(|item| is_remote(item, whole)),
        Value::Object(members) => members.iter().any(|(name, value)| match (name.as_str(), value) {
            ("$ref" | "$dynamicRef" | "$schema", Value::String(text)) => {
                let uri = text.split('#').next().unwrap();
                let last = uri.rsplit(['/', ':']).next().unwrap();
                !uri.is_empty()
                    && !uri.starts_with("https://json-schema.org/draft/2020-12/schema")
                    && !uri.starts_with("http://json-schema.org/draft-07/schema")
                    && !names_itself(whole, last)
            }
            (_, value) => is_remote(value, whole),
        }),
        _ => false,
    }
}

/// Is there a part whose `$id` ends so?
fn names_itself(part: &Value, last: &str) -> bool {
    match part {
        Value::Array(items) => items.iter().any(|item| names_itself(item, last)),
        Value::Object(members) => members.iter().any(|(name, value)| match (name.as_str(), value) {
            ("$id", Value::String(id)) => {
                id.split('#').next().unwrap().rsplit(['/', ':']).next() == Some(last)
            }
            (_, value) => names_itself(value, last),
        }),
        _ => false,
    }
}

/// The schema as it reads when it is no longer the whole document: what began at its root begins at `v`.
fn moved(schema: &Value) -> Value {
    fn references(part: &mut Value) {
        match part {
            Value::Array(items) => items.iter_mut().for_each(references),
            // A part with a name of its own is where its references begin.
            Value::Object(members) if members.contains_key("$id") => {}
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("enum" | "const", _) => {}
                        ("$ref" | "$dynamicRef", Value::String(text))
                            if text == "#" || text.starts_with("#/") =>
                        {
                            text.insert_str(1, "/properties/v");
                        }
                        (_, value) => references(value),
                    }
                }
            }
            _ => {}
        }
    }
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        if !members.contains_key("$id") {
            references(&mut schema);
        }
    }
    schema
}

/// Only values of the type we have added say anything about the schema without it.
fn is_about(data: &Value, type_name: &str) -> bool {
    match type_name {
        "" => true,
        "string" => data.is_string(),
        "boolean" => data.is_boolean(),
        "number" => data.is_number(),
        "integer" => data.as_f64().is_some_and(|value| value.fract() == 0.0),
        "array" => data.is_array(),
        _ => data.is_object(),
    }
}
