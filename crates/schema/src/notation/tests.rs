//! What translations come to, and what is refused where.

use super::*;

fn files(of: &[(&str, &str)]) -> Result<Translated, Vec<FileFault>> {
    let (main, text) = of[0];
    let notation = Notation::of_extension(main.rsplit('.').next().unwrap()).unwrap();
    let mut fetch = |name: &str| {
        of.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| format!("there is no {name}"))
    };
    Schema::translate(notation, "user.identity.created", main, text, &mut fetch)
}

/// The document without its notation, or the first fault as `file:line:column: message`.
fn check(of: &[(&str, &str)], expected: &str) {
    let got = match files(of) {
        Ok(translated) => {
            let mut document: serde_json::Value = serde_json::from_str(translated.schema.document()).unwrap();
            document.as_object_mut().unwrap().remove("x-notation");
            document.to_string()
        }
        Err(faults) => {
            let FileFault { file, fault } = &faults[0];
            format!("{file}:{}:{}: {}", fault.line, fault.column, fault.message)
        }
    };
    assert_eq!(got, expected, "{of:?}");
}

fn capnp(text: &str, expected: &str) {
    check(&[("a.capnp", text)], expected);
}

#[test]
fn capnp_types_become_columns() {
    capnp(
        "@0x1; struct A { a @0 :Int8; b @1 :UInt32 = 7; c @2 :Float32; d @3 :Data; e @4 :List(Text); f @5 :E; \
         g :group { h @6 :Bool; } i :union { j @7 :Void; k @8 :Text; } enum E { x @0; y @1; } }",
        r#"{"type":"object","properties":{"a":{"type":["integer","null"],"minimum":-128,"maximum":127},"b":{"type":["integer","null"],"minimum":0,"maximum":4294967295},"c":{"type":["number","null"]},"d":{"type":["string","null"],"contentEncoding":"base64"},"e":{"type":["array","null"],"items":{"type":"string"}},"f":{"type":["string","null"],"enum":["x","y",null]},"g":{"type":["object","null"],"properties":{"h":{"type":["boolean","null"]}}},"i":{"type":["object","null"],"properties":{"j":{"type":"boolean","enum":[true]},"k":{"type":["string","null"]}},"minProperties":1,"maxProperties":1}}}"#,
    );
}

#[test]
fn capnp_annotations_become_keywords() {
    let document = r#"{"x-partitions":4,"x-key":["userId"],"x-event-time":"at","type":"object","properties":{"userId":{"type":"string","x-privacy":"subject"},"email":{"type":["string","null"],"maxLength":9,"x-privacy":"hash"},"pin":{"type":["integer","null"],"minimum":0,"maximum":65535,"x-privacy":"drop"},"at":{"type":["integer","null"],"x-time":"ms"}},"required":["userId"]}"#;
    let body = "struct A $M.partitions(4) { userId @0 :Text $M.id $M.key; email @1 :Text $M.hash.sha256 $M.maxLength(9); \
                pin @2 :UInt16 $M.drop; at @3 :Int64 $M.time(\"ms\") $M.eventTime; }";
    let import = format!("@0x1; using M = import \"/headwater/metadata.capnp\"; {body}");
    capnp(&import, document);
    let beside = format!("@0x1; using M = import \"metadata.capnp\"; {body}");
    check(&[("a.capnp", &beside), ("metadata.capnp", capnp::METADATA)], document);
    let by_name = format!("@0x1; {}", body.replace("$M.", "$Metadata.").replace(".hash.", ".Hash."));
    capnp(&by_name, document);
}

#[test]
fn capnp_names_are_found_where_they_are_declared() {
    let parts = "@0x2; struct B { a @0 :Bool; struct C { b @0 :Inner; using Inner = .B; } }";
    let inner = r#"{"type":["object","null"],"properties":{"a":{"type":["boolean","null"]}}}"#;
    let outer = format!(r#"{{"type":["object","null"],"properties":{{"b":{inner}}}}}"#);
    check(
        &[
            (
                "a.capnp",
                "@0x1; using P = import \"x/p.capnp\"; struct A { c @0 :P.B.C; d @1 :import \"x/p.capnp\".B; }",
            ),
            ("x/p.capnp", parts),
        ],
        &format!(r#"{{"type":"object","properties":{{"c":{outer},"d":{inner}}}}}"#),
    );
    // A struct that leads back to itself is JSON text.
    capnp(
        "@0x1; struct Event { t @0 :Tree; } struct Tree { v @0 :Bool; of @1 :List(Tree); }",
        r##"{"type":"object","properties":{"t":{"anyOf":[{"$ref":"#/$defs/Tree-1"},{"type":"null"}]}},"$defs":{"Tree-1":{"type":"object","properties":{"v":{"type":["boolean","null"]},"of":{"type":["array","null"],"items":{"$ref":"#/$defs/Tree-1"}}}}}}"##,
    );
}

#[test]
fn capnp_faults_have_their_place() {
    for (text, expected) in [
        ("@0x1;\nstruct A {\n  a @0 :Txt;\n}", "a.capnp:3:9: nothing is named \"Txt\""),
        ("struct A { a @0 :Text }", "a.capnp:1:23: a ';' is expected where '}' stands"),
        ("struct A { a @1 :Text; }", "a.capnp:1:12: the numbers of the fields have a gap or a repeat at @1"),
        ("struct A { a @0 :AnyPointer; }", "a.capnp:1:18: AnyPointer cannot become a column"),
        ("struct A(T) { a @0 :T; }", "a.capnp:1:8: generic structs are not built yet"),
        ("struct A { a @0 :Int8 = 128; }", "a.capnp:1:25: this default does not fit the field's type"),
        ("struct A { a @0 :A; }", "a.capnp:1:8: the event's struct leads back to itself"),
        ("const a :Int8 = 1;", "a.capnp:1:1: the file declares no struct"),
        (
            "struct A { b @0 :Bool; } struct C { d @0 :Bool; }",
            "a.capnp:1:1: which of the structs is the event cannot be told",
        ),
        ("struct A { a @0 :Text $Metadata.hsh; }", "a.capnp:1:24: hsh says nothing about a field"),
        (
            "struct A { a @0 :List(A2); } struct A2 { b @0 :Text $Metadata.id; }",
            "a.capnp:1:1: which of the structs is the event cannot be told",
        ),
        (
            "using X = import \"../b.capnp\"; struct A { a @0 :Bool; }",
            "a.capnp:1:18: \"../b.capnp\" leads out of the directory of the schemas",
        ),
        (
            "using X = import \"/etc/passwd\"; struct A { a @0 :Bool; }",
            "a.capnp:1:18: \"/etc/passwd\" is an absolute path",
        ),
        ("using X = import \"b.capnp\"; struct A { a @0 :Bool; }", "a.capnp:1:18: there is no b.capnp"),
        ("struct A { a @0 :Text; A @1 :Bool; }", "a.capnp:1:24: \"a\" and \"A\" differ only in case"),
    ] {
        capnp(text, expected);
    }
}

fn avro(fields: &str, expected: &str) {
    let text = format!("{{\"type\":\"record\",\"name\":\"A\",\"fields\":[\n{fields}]}}");
    check(&[("a.avsc", &text)], expected);
}

#[test]
fn avro_types_become_columns() {
    avro(
        r#"{"name":"a","type":"int"},{"name":"b","type":["null","bytes"],"default":null},{"name":"c","type":"string","default":""},
        {"name":"d","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"e","type":{"type":"map","values":["null","long"]}},
        {"name":"f","type":["null","int","string"]},{"name":"g","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
        {"name":"h","type":"string","x-privacy":"hash","maxLength":9}"#,
        r#"{"type":"object","properties":{"a":{"type":"integer","minimum":-2147483648,"maximum":2147483647},"b":{"type":["string","null"],"contentEncoding":"base64"},"c":{"type":["string","null"]},"d":{"type":"integer","x-time":"ms"},"e":{"type":"object","additionalProperties":{"type":["integer","null"]}},"f":{"type":["object","null"],"properties":{"int":{"type":["integer","null"],"minimum":-2147483648,"maximum":2147483647},"string":{"type":["string","null"]}},"minProperties":1,"maxProperties":1},"g":{"type":"string","format":"decimal","x-precision":4,"x-scale":2},"h":{"type":"string","maxLength":9,"x-privacy":"hash"}},"required":["a","d","e","g","h"]}"#,
    );
}

#[test]
fn avro_faults_have_their_place() {
    for (fields, expected) in [
        (r#"{"name":"a","type":"txt"}"#, "a.avsc:2:20: there is no type \"txt\""),
        (r#"{"name":"a"}"#, "a.avsc:2:1: the field \"a\" has no type"),
        (r#"{"name":"a","type":"int","x-privacy":"hide"}"#, "a.avsc:2:38: there is no such protection"),
        (r#"{"name":"a","type":"int","x-privat":1}"#, "a.avsc:2:26: there is no x-privat here"),
        (
            r#"{"name":"a","type":["null","string"],"x-privacy":"subject"}, {"name":"a","type":"int"}"#,
            "a.avsc:2:62: a second field is named \"a\"",
        ),
        (r#"{"name":"a","type":{"type":"array","items":"string"},"x-privacy":"drop"}"#, "a.avsc:2:1: "),
        (r#"{"name":"a","type":"A"}"#, "a.avsc:1:1: the event's record leads back to itself"),
        (r#"{"name":"a","type":"string","pattern":"("}"#, "a.avsc:2:1: "),
        (r#"{"name":"a","type":["int",["string"]]}"#, "a.avsc:2:27: a union stands in a union"),
    ] {
        let text = format!("{{\"type\":\"record\",\"name\":\"A\",\"fields\":[\n{fields}]}}");
        let faults = files(&[("a.avsc", &text)]).expect_err(fields);
        let FileFault { file, fault } = &faults[0];
        let got = format!("{file}:{}:{}: {}", fault.line, fault.column, fault.message);
        assert!(got.starts_with(expected), "{got}");
    }
}

#[test]
fn a_changed_notation_is_a_change_like_any_other() {
    let schema = |text: &str| files(&[("a.capnp", text)]).expect("a good schema").schema;
    let old = schema("struct A { a @0 :Int32; u :union { b @1 :Text; c @2 :Int8; } }");
    let wider = schema(
        "struct A { a @0 :Int64; u :union { b @1 :Text; c @2 :Int8; d @4 :Bool; } e @3 :List(Text); }",
    );
    let narrower = schema("struct A { a @0 :Int16; u :union { b @1 :Text; c @2 :Int8; } }");
    assert_eq!(old.check_change(&wider), Ok(()));
    assert!(old.check_change(&narrower).is_err() && wider.check_change(&old).is_err());
    // From JSON to a notation that says the same.
    let json = Schema::parse(
        r#"{"type":"object","properties":{"a":{"type":["integer","null"],"minimum":-9,"maximum":9}}}"#,
    );
    assert_eq!(json.unwrap().schema.check_change(&schema("struct A { a @0 :Int8; }")), Ok(()));
}
