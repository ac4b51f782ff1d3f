//! JSONTestSuite: what is JSON passes, what is not is named, and what implementations may decide is decided.

use std::fs;

use hw_event::RejectCode;

use crate::{decoder, schema, suite, verdict};

const ANYTHING: &str = r#"{"type":"object"}"#;

#[test]
fn every_file_gets_its_verdict() {
    let Some(folder) = suite("json-parsing/test_parsing") else { return };
    let mut decoder = decoder(&schema(ANYTHING));
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let code = verdict(&mut decoder, &bytes);
        let is_json = !code.is_some_and(|code| code.as_str().starts_with("json_"));
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match &name[..2] {
            "y_" if name.starts_with("y_object_duplicated_key") => {
                assert_eq!(code, Some(RejectCode::JsonRepeatedKey), "{name}");
            }
            "y_" if first == Some(&b'{') => assert_eq!(code, None, "{name}"),
            "y_" => assert_eq!(code, Some(RejectCode::NotObject), "{name}"),
            "n_" => assert!(!is_json, "{name}: {code:?}"),
            "i_" => {
                let expected = match name.as_str() {
                    // Deeper than our limit.
                    "i_structure_500_nested_arrays.json" => RejectCode::JsonDepth,
                    // Not UTF-8: the first byte that is none.
                    "i_string_UTF-16LE_with_BOM.json" => RejectCode::JsonUnicode,
                    // A NUL, or a byte order mark, before the document.
                    "i_string_utf16BE_no_BOM.json"
                    | "i_string_utf16LE_no_BOM.json"
                    | "i_structure_UTF-8_BOM_empty_object.json" => RejectCode::JsonSyntax,
                    // Any number is JSON, however large; these stand in arrays.
                    _ if name.starts_with("i_number_") => RejectCode::NotObject,
                    // Lone surrogates and bad UTF-8.
                    _ => RejectCode::JsonUnicode,
                };
                assert_eq!(code, Some(expected), "{name}");
            }
            other => panic!("a file of an unknown kind: {other}"),
        }
        seen += 1;
    }
    assert!(seen > 300, "only {seen} files");
}

#[test]
fn depth_is_bounded_and_counts_every_container() {
    let mut decoder = decoder(&schema(ANYTHING));
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"a\":{}{}}}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    assert_eq!(verdict(&mut decoder, &nested("[", "]", 127)), None);
    assert_eq!(verdict(&mut decoder, &nested("[", "]", 128)), Some(RejectCode::JsonDepth));
    let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    assert_eq!(verdict(&mut decoder, objects.as_bytes()), None);
    let objects = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
    assert_eq!(verdict(&mut decoder, objects.as_bytes()), Some(RejectCode::JsonDepth));
    for open in ["[", "{\"a\":", "[[{\"b\":"] {
        let document = open.repeat(100_000);
        assert_eq!(verdict(&mut decoder, document.as_bytes()), Some(RejectCode::JsonDepth), "{open}");
        let document = format!("{{\"a\":{document}");
        assert_eq!(verdict(&mut decoder, document.as_bytes()), Some(RejectCode::JsonDepth), "{open}");
    }
}

/// The reader recurses: no configuration may let a document reach the end of the stack.
#[test]
fn depth_has_a_bound_of_its_own() {
    let limits = hw_schema::DecodeLimits { depth: usize::MAX, event_bytes: 1 << 20 };
    let key = hw_vault::HashKey::from_bytes(&[7; 32]);
    let mut decoder = hw_schema::Decoder::new(schema(ANYTHING), key, limits);
    let objects = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes();
    assert_eq!(verdict(&mut decoder, &objects(512)), None);
    assert_eq!(verdict(&mut decoder, &objects(513)), Some(RejectCode::JsonDepth));
}
