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

fn proto(text: &str, expected: &str) {
    check(&[("a.proto", text)], expected);
}

#[test]
fn protobuf_types_become_columns() {
    proto(
        "syntax = \"proto3\"; message A { int32 a = 1; fixed64 b = 2; float c = 3; bytes d = 4; repeated string e = 5; \
         E f = 6; G g = 7; oneof i { bool j = 8; string k = 9; } map<int32, G> m = 10; message G { optional bool h = 1; } \
         enum E { X = 0; Y = 1; } message Nothing {} Nothing n = 11; }",
        r#"{"type":"object","properties":{"a":{"type":["integer","null"],"minimum":-2147483648,"maximum":2147483647},"b":{"type":["integer","null"],"minimum":0},"c":{"type":["number","null"]},"d":{"type":["string","null"],"contentEncoding":"base64"},"e":{"type":["array","null"],"items":{"type":"string"}},"f":{"type":["string","null"],"enum":["X","Y",null]},"g":{"type":["object","null"],"properties":{"h":{"type":["boolean","null"]}}},"j":{"type":["boolean","null"]},"k":{"type":["string","null"]},"m":{"type":["object","null"],"additionalProperties":{"type":"object","properties":{"h":{"type":["boolean","null"]}}}},"n":{"type":["object","null"]}}}"#,
    );
    proto(
        "syntax = \"proto2\"; message A { required string a = 1; optional int64 b = 2 [default = 7]; }",
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":["integer","null"]}},"required":["a"]}"#,
    );
    // Google's own messages are what they are in JSON.
    proto(
        "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/duration.proto\"; \
         import \"google/protobuf/struct.proto\"; import \"google/protobuf/wrappers.proto\"; message A { \
         google.protobuf.Timestamp a = 1; google.protobuf.Duration b = 2; google.protobuf.UInt32Value c = 3; \
         google.protobuf.Struct d = 4; google.protobuf.Value e = 5; google.protobuf.ListValue f = 6; }",
        r#"{"type":"object","properties":{"a":{"type":["string","null"],"format":"date-time"},"b":{"type":["string","null"],"pattern":"^-?[0-9]{1,12}(\\.[0-9]{1,9})?s$"},"c":{"type":["integer","null"],"minimum":0,"maximum":4294967295},"d":{"type":["object","null"]},"e":{},"f":{"type":["array","null"]}}}"#,
    );
    // A message that leads back to itself is JSON text.
    proto(
        "syntax = \"proto3\"; message Event { Tree t = 1; } message Tree { bool v = 1; repeated Tree of = 2; }",
        r##"{"type":"object","properties":{"t":{"anyOf":[{"$ref":"#/$defs/Tree-1"},{"type":"null"}]}},"$defs":{"Tree-1":{"type":"object","properties":{"v":{"type":["boolean","null"]},"of":{"type":["array","null"],"items":{"$ref":"#/$defs/Tree-1"}}}}}}"##,
    );
}

#[test]
fn protobuf_annotations_become_keywords() {
    let head = "syntax = \"proto3\"; import \"headwater/annotations.proto\"; import \"google/protobuf/timestamp.proto\"; ";
    let body = "message A { option (headwater.partitions) = 4; option (headwater.retention) = \"30d\"; \
                option (headwater.mode) = \"reject\"; option (headwater.name) = \"a.b\"; option (headwater.extra) = \"drop\"; \
                string userId = 1 [(headwater.id) = true, (headwater.key) = true]; \
                string email = 2 [(headwater.hash) = true, (headwater.max_length) = 9]; \
                uint32 pin = 3 [(headwater.drop) = true]; int64 at = 4 [(headwater.time) = \"ms\", (headwater.event_time) = true]; \
                repeated string names = 5 [(headwater.tokenize) = true, (headwater.token_domain) = \"people\"]; \
                double d = 6 [(headwater.minimum) = -1.5, (headwater.maximum) = 9]; \
                string price = 7 [(headwater.format) = \"decimal\", (headwater.precision) = 9, (headwater.scale) = 2]; \
                optional bool seen = 8 [(headwater.required) = true, (headwater.drop) = false]; }";
    proto(
        &format!("{head}{body}"),
        r#"{"x-partitions":4,"x-retention":"30d","x-mode":"reject","title":"a.b","x-extra":"drop","x-key":["userId"],"x-event-time":"at","type":"object","properties":{"userId":{"type":"string","x-privacy":"subject"},"email":{"type":["string","null"],"maxLength":9,"x-privacy":"hash"},"pin":{"type":["integer","null"],"minimum":0,"maximum":4294967295,"x-privacy":"drop"},"at":{"type":["integer","null"],"x-time":"ms"},"names":{"type":["array","null"],"items":{"type":"string","x-token-domain":"people","x-privacy":"tokenize"}},"d":{"type":["number","null"],"minimum":-1.5,"maximum":9},"price":{"type":["string","null"],"format":"decimal","x-precision":9,"x-scale":2},"seen":{"type":"boolean"}},"required":["userId","seen"]}"#,
    );
}

#[test]
fn where_older_values_come_from_is_said_alike_and_of_a_list_as_a_whole() {
    let document = r#"{"type":"object","properties":{"address":{"type":["string","null"],"x-renamed-from":"mail"},"cents":{"type":["integer","null"],"x-from":"CAST(price * 100 AS BIGINT)"},"names":{"type":["array","null"],"items":{"type":"string"},"x-renamed-from":"aliases"}}}"#;
    capnp(
        "@0x1; struct A { address @0 :Text $Metadata.renamedFrom(\"mail\"); \
         cents @1 :Int64 $Metadata.from(\"CAST(price * 100 AS BIGINT)\"); \
         names @2 :List(Text) $Metadata.renamedFrom(\"aliases\"); }",
        document,
    );
    proto(
        "syntax = \"proto3\"; import \"headwater/annotations.proto\"; message A { \
         string address = 1 [(headwater.renamed_from) = \"mail\"]; \
         int64 cents = 2 [(headwater.from) = \"CAST(price * 100 AS BIGINT)\"]; \
         repeated string names = 3 [(headwater.renamed_from) = \"aliases\"]; }",
        document,
    );
    avro(
        r#"{"name":"address","type":["null","string"],"x-renamed-from":"mail"},
        {"name":"cents","type":["null","long"],"x-from":"CAST(price * 100 AS BIGINT)"},
        {"name":"names","type":["null",{"type":"array","items":"string"}],"x-renamed-from":"aliases"}"#,
        document,
    );
}

#[test]
fn more_than_an_age_is_kept_as_the_object_of_json_schema() {
    let document = r#"{"x-retention":{"compact":"1h"},"x-key":["id"],"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;
    let retention = r#"{\"compact\":\"1h\"}"#;
    proto(
        &format!(
            "syntax = \"proto3\"; import \"headwater/annotations.proto\"; message A {{ \
             option (headwater.retention) = \"{retention}\"; string id = 1 [(headwater.key) = true]; }}"
        ),
        document,
    );
    capnp(
        &format!(
            "@0x1; using M = import \"/headwater/metadata.capnp\"; \
             struct A $M.retention(\"{retention}\") {{ id @0 :Text $M.key; }}"
        ),
        document,
    );
}

#[test]
fn protobuf_names_are_found_where_they_are_declared() {
    let inner = r#"{"type":["object","null"],"properties":{"a":{"type":["boolean","null"]}}}"#;
    let main = "syntax = \"proto3\"; import \"x/p.proto\"; message UserIdentityCreated { p.B b = 1; p.B.C c = 2; } message Z {}";
    let p = "syntax = \"proto3\"; package p; import public \"x/y/q.proto\"; message B { bool a = 1; message C { B b = 1; } }";
    let q = "syntax = \"proto2\"; package q;";
    check(
        &[("a.proto", main), ("x/p.proto", p), ("x/y/q.proto", q)],
        &format!(
            r#"{{"type":"object","properties":{{"b":{inner},"c":{{"type":["object","null"],"properties":{{"b":{inner}}}}}}}}}"#
        ),
    );
}

#[test]
fn protobuf_faults_have_their_place() {
    let ours = |rest: &str| format!("syntax = \"proto3\"; import \"headwater/annotations.proto\";\n{rest}");
    let plain = |rest: &str| format!("syntax = \"proto3\";\n{rest}");
    let mut others = Vec::new();
    for (text, expected) in [
        (plain("message A {\n  strin a = 1;\n}"), "a.proto:3:3: name 'strin' is not defined"),
        (plain("message A { string a = 1 }"), "a.proto:2:26: expected ';' or '[', but found '}'"),
        (plain("message A { string a = 1; bool b = 1; }"), "a.proto:2:36: field number '1' is already used"),
        (plain("enum E { A = 0; }"), "a.proto:1:1: the file declares no message"),
        (
            plain("message B {} message C {}"),
            "a.proto:1:1: which of the messages is the event cannot be told",
        ),
        (plain("message A { A a = 1; }"), "a.proto:2:9: the event's message leads back to itself"),
        (plain("message A { string a = 1; string A = 2; }"), "a.proto:2:34: "),
        (plain("import \"b.proto\";\nmessage A {}"), "a.proto:2:1: there is no b.proto"),
        (
            plain("import \"../b.proto\";\nmessage A {}"),
            "a.proto:2:8: this is no name of a file that can be imported",
        ),
        (
            plain("import \"/etc/passwd\";\nmessage A {}"),
            "a.proto:2:8: this is no name of a file that can be imported",
        ),
        (ours("message A { string a = 1 [(headwater.hsh) = true]; }"), "a.proto:2:27: "),
        (ours("message A { string a = 1 [(headwater.hash) = 7]; }"), "a.proto:2:27: "),
        (
            ours("message A { string a = 1 [(headwater.hash) = true, (headwater.drop) = true]; }"),
            "a.proto:2:52: a field has one protection, here are two",
        ),
        (
            ours("message A { B b = 1; message B { string c = 1 [(headwater.key) = true]; } }"),
            "a.proto:2:41: key stands on a field of the event itself, not of a part of it",
        ),
        (
            ours(
                "message A { option (headwater.event) = true; }\nmessage B { option (headwater.event) = true; }",
            ),
            "a.proto:3:9: a second message is marked as the event",
        ),
        (ours("message A { string a = 1 [(headwater.pattern) = \"(\"]; }"), "a.proto:2:20: "),
        (
            "syntax = \"proto2\"; message A { optional double d = 1 [default = inf]; }".to_owned(),
            "a.proto:1:48: ",
        ),
        (
            format!("syntax = \"proto3\"; {}", "message A {".repeat(100)),
            "a.proto:1:734: brackets are nested deeper",
        ),
        ("edition = \"2023\"; message A {}".to_owned(), "a.proto:1:1: "),
    ] {
        let faults = files(&[("a.proto", &text)]).expect_err(&text);
        let FileFault { file, fault } = &faults[0];
        let got = format!("{file}:{}:{}: {}", fault.line, fault.column, fault.message);
        if !got.starts_with(expected) || fault.hint.is_empty() {
            others.push(format!("{text}\n  {got}\n  {expected}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    // In an imported file; all that is wrong is told.
    let main = "syntax = \"proto3\"; import \"p.proto\"; message A { B b = 1; }";
    let faults =
        files(&[("a.proto", main), ("p.proto", "syntax = \"proto3\";\nmessage B { x y = 1; z w = 2; }")]);
    let told: Vec<String> = faults
        .expect_err("two names are not there")
        .iter()
        .map(|FileFault { file, fault }| format!("{file}:{}:{}", fault.line, fault.column))
        .collect();
    assert_eq!(told, ["p.proto:2:13", "p.proto:2:22"]);
    // Options that are not ours are told of, and mean nothing.
    let option = "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; \
                  extend google.protobuf.FieldOptions { string note = 50000; } message A { bool a = 1 [(note) = \"x\"]; }";
    let translated = files(&[("a.proto", option)]).expect("a good schema");
    assert_eq!(translated.warnings[0].fault.message, "the option (note) is ignored");
}

#[test]
fn the_annotations_that_come_along_cannot_be_replaced() {
    let text = "syntax = \"proto3\"; import \"headwater/annotations.proto\"; message A { string a = 1 [(headwater.hash) = true]; }";
    let false_one = "syntax = \"proto3\"; package headwater;";
    check(
        &[("a.proto", text), ("headwater/annotations.proto", false_one)],
        r#"{"type":"object","properties":{"a":{"type":["string","null"],"x-privacy":"hash"}}}"#,
    );
}

#[test]
fn a_changed_message_is_a_change_like_any_other() {
    let schema = |fields: &str| {
        let text = format!("syntax = \"proto3\"; message A {{ {fields} }}");
        files(&[("a.proto", &text)]).expect("a good schema").schema
    };
    let old = schema("int32 a = 1; oneof u { string b = 2; int32 c = 3; }");
    // A member of a oneof and a oneof of its own may be added, and a number may become wider.
    let wider =
        schema("int64 a = 1; oneof u { string b = 2; int32 c = 3; bool d = 4; } repeated string e = 5;");
    assert_eq!(old.check_change(&wider), Ok(()));
    assert!(wider.check_change(&old).is_err());
    assert!(old.check_change(&schema("int32 a = 1; string b = 2;")).is_err());
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
