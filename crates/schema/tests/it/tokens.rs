//! `x-privacy: tokenize`: which text stands in a column, which entries come with the rows, and whose they are.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::AsArray;
use hw_schema::{Applied, Decoder, Format, KvFields, Record, Schema, rows};
use hw_vault::{TokenFormat, TokenKeys, Tokens};

use crate::{Random, decoder, json, schema};

const PERSON: &str = r#"{
    "type": "object", "required": ["who"], "x-mode": "dlq",
    "properties": {
        "name": {"type": "string", "x-privacy": "tokenize", "maxLength": 30},
        "card": {"type": ["string", "null"], "x-privacy": "tokenize", "x-token-format": "digits", "pattern": "^[0-9]{6,19}$"},
        "age": {"type": "integer", "x-privacy": "tokenize"},
        "weight": {"type": "number", "x-privacy": "tokenize"},
        "born": {"type": "string", "format": "date", "x-privacy": "tokenize"},
        "in": {"type": "object", "properties": {"alias": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "name"}}},
        "tags": {"type": "array", "items": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "tag"}},
        "who": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "x-privacy": "subject"}}}
    }
}"#;

fn keys() -> TokenKeys {
    TokenKeys::of_key(&[5; 32])
}

fn tokenizing(schema: &Arc<Schema>) -> Decoder {
    decoder(schema).with_tokens(&keys())
}

fn apply(schema: &Arc<Schema>, events: &[&str]) -> Applied {
    let records: Vec<Record<'_>> = events.iter().map(|event| json(event.as_bytes())).collect();
    tokenizing(schema).apply(&records)
}

fn token(domain: &str, format: TokenFormat, value: &str) -> String {
    let mut tokens = Tokens::new(&keys(), &[domain.into()]);
    tokens.token(0, format, value.as_bytes()).unwrap().as_str().to_owned()
}

/// (domain, token) → value of each subject's entries, the subjects numbered as they come.
fn entries(applied: &Applied) -> Vec<(usize, String, String, String)> {
    let mut subjects = Vec::new();
    let entries = applied.entries.iter().map(|entry| {
        let at = subjects.iter().position(|known| *known == entry.subject).unwrap_or_else(|| {
            subjects.push(entry.subject);
            subjects.len() - 1
        });
        let value = String::from_utf8(entry.value.to_vec()).unwrap();
        (at, entry.domain.to_string(), entry.token.as_str().to_owned(), value)
    });
    entries.collect()
}

#[test]
fn a_token_stands_for_the_text_of_its_value_in_its_domain() {
    let schema = schema(PERSON);
    let applied = apply(
        &schema,
        &[
            r#"{"name":"Ad\u00e9","card":"4111111111111111","age":1.0,"weight":10e-1,"born":"1815-12-10",
                "in":{"alias":"Adé"},"tags":["a","b","a"],"who":{"id":7}}"#,
            r#"{"who":{"id":8},"name":null,"card":null}"#,
        ],
    );
    assert_eq!(applied.rejects.len(), 1, "null is no string: {:?}", applied.rejects);
    let text = |domain, value| token(domain, TokenFormat::Text, value);
    let expected = [
        ("name", text("name", "Adé")),
        ("card", token("card", TokenFormat::Digits, "4111111111111111")),
        ("age", text("age", "1")),
        ("weight", text("weight", "1")),
        ("born", text("born", "1815-12-10")),
    ];
    for (name, token) in &expected {
        let column = applied.batch.column_by_name(name).unwrap();
        assert_eq!(column.as_string::<i32>().value(0), token, "{name}");
        let schema = applied.batch.schema();
        assert_eq!(schema.field_with_name(name).unwrap().metadata()["headwater.privacy"], "tokenize");
    }
    let alias = applied.batch.column_by_name("in").unwrap().as_struct().column(0).clone();
    assert_eq!(alias.as_string::<i32>().value(0), expected[0].1, "one domain, one token");
    let mut kept = entries(&applied);
    kept.sort();
    let mut wanted: Vec<_> = [
        ("name", text("name", "Adé"), "Adé"),
        ("card", expected[1].1.clone(), "4111111111111111"),
        ("age", text("age", "1"), "1"),
        ("weight", text("weight", "1"), "1"),
        ("born", text("born", "1815-12-10"), "1815-12-10"),
        ("tag", text("tag", "a"), "a"),
        ("tag", text("tag", "b"), "b"),
    ]
    .map(|(domain, token, value)| (0, domain.to_owned(), token, value.to_owned()))
    .to_vec();
    wanted.sort();
    assert_eq!(kept, wanted);
    assert_eq!(schema.protected_columns(), ["name", "card", "age", "weight", "born", "in", "tags", "who"]);
    assert_eq!(rows::to_json(&schema, &applied.batch)[0].matches("tok_").count(), 8);
}

#[test]
fn a_subject_behind_the_value_is_its_subject_all_the_same() {
    let schema = schema(PERSON);
    let applied = apply(
        &schema,
        &[
            r#"{"name":"x","who":{"id":1}}"#,
            r#"{"who":{"id":2},"name":"x"}"#,
            r#"{"name":"x","who":{"id":1.0}}"#,
            r#"{"name":"y","who":{"id":1}}"#,
        ],
    );
    let found: Vec<_> = entries(&applied).into_iter().map(|(who, _, _, value)| (who, value)).collect();
    assert_eq!(found, [(0, "x".to_owned()), (1, "x".to_owned()), (0, "y".to_owned())]);
}

#[test]
fn without_a_subject_entries_belong_to_the_domain() {
    let alone = schema(
        r#"{"type":"object","properties":{"a":{"type":"string","x-privacy":"tokenize"},
        "b":{"type":"string","x-privacy":"tokenize"}}}"#,
    );
    let applied = apply(&alone, &[r#"{"a":"x","b":"x"}"#, r#"{"a":"y"}"#]);
    let found: Vec<_> = entries(&applied).into_iter().map(|(who, domain, ..)| (who, domain)).collect();
    assert_eq!(found, [(0, "a".to_owned()), (1, "b".to_owned()), (0, "a".to_owned())]);
    assert_ne!(applied.entries[0].token, applied.entries[1].token);
}

#[test]
fn a_rejected_event_leaves_no_entry_and_shows_no_value() {
    let schema = schema(PERSON);
    let applied = apply(
        &schema,
        &[
            r#"{"name":"CANARY1","card":"123456","who":{}}"#,
            r#"{"name":"CANARY1","tags":["CANARY2"],"age":"x","who":{"id":1}}"#,
            r#"{"name":"CANARY that is longer than thirty characters","who":{"id":1}}"#,
            r#"{"card":"CANARY","who":{"id":1}}"#,
            r#"{"card":"12345","who":{"id":1}}"#,
            r#"{"name":"CANARY1","who":{"id":1}"#,
        ],
    );
    assert_eq!((applied.rows.len(), applied.rejects.len()), (0, 6));
    assert!(applied.entries.is_empty(), "{:?}", applied.entries);
    let told = format!("{applied:?}");
    assert!(!told.contains("CANARY1") && !told.contains("CANARY that") && !told.contains("12345"), "{told}");
}

#[test]
fn records_of_sensors_have_tokens_too() {
    let schema = schema(
        r#"{"type":"object","required":["id"],"properties":{"id":{"type":"string","x-privacy":"subject"},
        "vl":{"type":"number","x-privacy":"tokenize"}}}"#,
    );
    let fields = KvFields::default();
    let record = |bytes: &'static [u8]| Record { format: Format::Kv(&fields), ..json(bytes) };
    let applied = tokenizing(&schema).apply(&[record(b"vl=1.50&id=a"), record(b"vl=x&id=a")]);
    assert_eq!((applied.rows.len(), applied.rejects.len()), (1, 1));
    assert_eq!(entries(&applied)[0].3, "1.5");
}

#[test]
fn the_subject_of_tokens_is_a_text_or_an_integer() {
    let faults = Schema::parse(
        r#"{"type":"object","required":["id"],"properties":{"id":{"type":"number","x-privacy":"subject"},
            "a":{"type":"string","x-privacy":"tokenize"}}}"#,
    )
    .unwrap_err();
    assert_eq!(faults[0].pointer, "/properties/id");
    assert!(faults[0].message.contains("string or an integer"), "{}", faults[0]);
}

/// Whatever comes in whatever order: each token of a row has an entry of the row's subject with the value it stands for.
#[test]
fn every_token_of_a_row_has_its_entry() {
    let schema = schema(PERSON);
    let seed = 0x70ce_u64;
    let mut random = Random(seed);
    let mut decoder = tokenizing(&schema);
    let subjects: Vec<_> = (0..5)
        .map(|id| apply(&schema, &[&format!(r#"{{"name":"x","who":{{"id":{id}}}}}"#)]).entries[0].subject)
        .collect();
    for round in 0..200 {
        let mut events = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..random.below(20) {
            let id = random.below(5);
            let (name, card) = (format!("n{}", random.below(9)), format!("{:06}", random.below(50)));
            let bad = random.chance(20);
            let mut members = [
                format!("\"name\":\"{name}\""),
                format!("\"card\":\"{card}\""),
                format!("\"who\":{{\"id\":{id}}}"),
            ];
            let turn = random.below(3);
            members.rotate_left(turn);
            let tail = if bad { ",\"age\":true" } else { "" };
            events.push(format!("{{{}{tail}}}", members.join(", ")));
            if !bad {
                expected.push((id, name, card));
            }
        }
        let records: Vec<Record<'_>> = events.iter().map(|event| json(event.as_bytes())).collect();
        let applied = decoder.apply(&records);
        assert_eq!(applied.rows.len(), expected.len(), "seed {seed}, round {round}");
        let kept: BTreeMap<_, _> = applied
            .entries
            .iter()
            .map(|entry| {
                ((entry.domain.to_string(), entry.token.as_str().to_owned(), entry.subject), &entry.value)
            })
            .collect();
        assert_eq!(kept.len(), applied.entries.len(), "no entry twice");
        let column = |name: &str| applied.batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (names, cards) = (column("name"), column("card"));
        for (row, (id, name, card)) in expected.iter().enumerate() {
            for (domain, token, value) in [("name", names.value(row), name), ("card", cards.value(row), card)]
            {
                let found = applied.entries.iter().find(|entry| {
                    &*entry.domain == domain
                        && entry.token.as_str() == token
                        && entry.value.as_slice() == value.as_bytes()
                        && entry.subject == subjects[*id]
                });
                assert!(found.is_some(), "seed {seed}, round {round}, row {row}: {domain} {token}");
            }
        }
    }
}
