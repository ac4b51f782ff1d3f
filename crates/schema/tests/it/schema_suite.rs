//! JSON-Schema-Test-Suite: wherever we accept a schema, our verdict is the suite's. What is not built yet is counted.

use std::{fs, path::Path};

use hw_schema::Schema;
use serde_json::Value;

use crate::{decoder, schema, suite, verdict};

/// Where we differ on purpose, by file and case.
const OURS: [(&str, &str); 3] = [
    // What an `xn--` label encodes is not looked at: to RFC 1123 it is a label like any other.
    ("hostname", "validation of A-label (punycode) host names"),
    // To the suite an encoding is a remark; ours asserts, since the bytes become a binary column.
    ("content", "validation of binary string-encoding"),
    ("content", "validation of binary-encoded media type documents"),
];

#[test]
fn draft_2020_12() {
    run("draft2020-12", 60);
}

#[test]
fn draft_7() {
    run("draft7", 60);
}

fn run(draft: &str, judged_min: usize) {
    let Some(folder) = suite("json-schema/tests") else { return };
    let (mut judged, mut not_built, mut wrong) = (0, 0, Vec::new());
    for files in [folder.join(draft), folder.join(draft).join("optional/format")] {
        for entry in fs::read_dir(files).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                run_file(&path, &mut judged, &mut not_built, &mut wrong);
            }
        }
    }
    println!("{draft}: {judged} cases judged, {not_built} not built yet");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged >= judged_min, "only {judged} cases were judged");
}

/// A case's schema is that of one field; a schema without a type is given each type it may be about.
fn run_file(path: &Path, judged: &mut usize, not_built: &mut usize, wrong: &mut Vec<String>) {
    const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    // The suite takes a format for a mere remark in these files; ours assert.
    if file == "format" {
        return;
    }
    let cases: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let mut inner = case["schema"].clone();
        if let Some(inner) = inner.as_object_mut() {
            inner.remove("$schema");
        }
        let types: &[&str] = if inner.get("type").is_some() { &[""] } else { &TYPES };
        let mut accepted = false;
        for type_name in types {
            let mut typed = inner.clone();
            if let (Some(typed), false) = (typed.as_object_mut(), type_name.is_empty()) {
                typed.insert("type".to_owned(), Value::String((*type_name).to_owned()));
                if *type_name == "array" && !typed.contains_key("items") {
                    typed.insert("items".to_owned(), serde_json::json!({"type": "number"}));
                }
            }
            let document = serde_json::json!({
                "type": "object", "properties": {"v": typed}, "required": ["v"],
            });
            if Schema::parse(&document.to_string()).is_err() {
                continue;
            }
            let mut decoder = decoder(&schema(&document.to_string()));
            for test in case["tests"].as_array().unwrap() {
                if !is_about(&test["data"], type_name) {
                    continue;
                }
                accepted = true;
                let case_name = case["description"].as_str().unwrap();
                if OURS.contains(&(&file, case_name)) {
                    continue;
                }
                let event = serde_json::json!({"v": test["data"]}).to_string();
                let code = verdict(&mut decoder, event.as_bytes());
                if code.is_none() != test["valid"].as_bool().unwrap() {
                    let field = &document["properties"]["v"];
                    wrong.push(format!(
                        "{file} / {case_name} / {} {code:?} {event} {field}",
                        test["description"]
                    ));
                }
            }
        }
        if accepted { *judged += 1 } else { *not_built += 1 }
    }
}

/// Only values of the type we have added say anything about the schema without it.
fn is_about(data: &Value, type_name: &str) -> bool {
    match type_name {
        "" => true,
        "string" => data.is_string(),
        "boolean" => data.is_boolean(),
        "number" => data.is_number(),
        "integer" => data.as_f64().is_some_and(|value| value.fract() == 0.0),
        "array" => data.as_array().is_some_and(|items| items.iter().all(Value::is_number)),
        _ => data.is_object(),
    }
}
