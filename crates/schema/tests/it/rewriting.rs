//! Rows of an older version as rows of a newer one. The oracle is the decoder: what it makes of an event by the new schema is what
//! a rewrite makes of the row that it made by the old one.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use hw_schema::{
    Applied, DecodeLimits, Decoder, Expression, Record, RewriteAction, Schema,
    rows::{self, Change, Computed, Computing, Means, Misfits, Protection, RowsError},
};
use hw_vault::{HashKey, TokenEntry, TokenKeys, Tokens};

use crate::{Random, json, schema};

/// Twice the column `a`; of 13 there is none.
struct Doubling;

impl Computing for Doubling {
    fn compute(&mut self, _: &Expression, rows: &RecordBatch) -> Result<Computed, RowsError> {
        let numbers = rows.column_by_name("a").unwrap().as_primitive::<Int64Type>();
        let failed = numbers.iter().filter(|it| *it == Some(13)).count() as u64;
        let doubled: Int64Array =
            numbers.iter().map(|it| it.filter(|it| *it != 13).map(|it| it * 2)).collect();
        Ok(Computed { values: Arc::new(doubled), failed })
    }
}

fn decode(schema: &Arc<Schema>, events: &[String]) -> Applied {
    let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
    let decoder = Decoder::new(schema.clone(), HashKey::from_bytes(&[7; 32]), limits);
    let records: Vec<Record<'_>> = events.iter().map(|event| json(event.as_bytes())).collect();
    decoder.with_tokens(&TokenKeys::of_key(&[5; 32])).apply(&records)
}

/// The rows of `events`, which all pass `old`, with the columns of `next`.
fn rewritten(
    old: &Arc<Schema>,
    next: &Arc<Schema>,
    events: &[String],
) -> (RecordBatch, Misfits, Vec<TokenEntry>) {
    let applied = decode(old, events);
    assert_eq!(applied.rejects.len(), 0, "{:?}", applied.rejects);
    let rewrites = old.check_generation(next).unwrap();
    let domains = next.token_domains().to_vec();
    let mut protection = Protection {
        key: HashKey::from_bytes(&[7; 32]),
        tokens: Tokens::new(&TokenKeys::of_key(&[5; 32]), &domains),
        domains,
        subjects: vec![vec!["who".to_owned()]],
    };
    let mut misfits = Misfits::default();
    let mut means =
        Means { protection: Some(&mut protection), computing: &mut Doubling, misfits: &mut misfits };
    let change = Change { before: applied.batch.schema(), rewrites };
    let batch = rows::rewrite(&applied.batch, &[change], &mut means).unwrap();
    let batch = rows::adapt(batch, next.user_columns()).unwrap();
    (batch, misfits, protection.tokens.take_entries())
}

/// What a rewrite makes is what the decoder makes by `next` of `newer`, the same events as they are sent by now.
#[track_caller]
fn check(old: &str, next: &str, events: &[&str], newer: &[&str]) -> Vec<TokenEntry> {
    let (old, next) = (schema(old), schema(next));
    let owned = |events: &[&str]| events.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (batch, misfits, entries) = rewritten(&old, &next, &owned(events));
    assert_eq!(misfits, Misfits::default());
    let applied = decode(&next, &owned(newer));
    assert_eq!(applied.rejects.len(), 0, "{:?}", applied.rejects);
    let expected = rows::adapt(applied.batch, next.user_columns()).unwrap();
    assert_eq!(batch, expected);
    let key =
        |entry: &TokenEntry| (entry.domain.to_string(), entry.token.as_str().to_owned(), entry.subject.0);
    let (mut found, mut wanted): (Vec<_>, Vec<_>) =
        (entries.iter().map(key).collect(), applied.entries.iter().map(key).collect());
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    wanted.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    assert_eq!(found, wanted);
    entries
}

#[test]
fn a_renamed_field_keeps_its_values_and_may_become_protected() {
    check(
        r#"{"type":"object","required":["k"],"x-key":["k"],"x-extra":"refuse","properties":{"k":{"type":"string"},"mail":{"type":"string"},
            "o":{"type":"object","properties":{"in":{"type":"integer"},"x":{"type":"string"}}}}}"#,
        r#"{"type":"object","required":["key"],"x-key":["key"],"x-extra":"refuse","properties":{
            "address":{"type":"string","x-renamed-from":"mail","x-privacy":"hash"},
            "object":{"type":"object","x-renamed-from":"o","properties":{"x":{"type":"string"},"inner":{"type":"integer","x-renamed-from":"in"}}},
            "key":{"type":"string","x-renamed-from":"k"}}}"#,
        &[r#"{"k":"a","mail":"a@b","o":{"in":3,"x":"y"}}"#, r#"{"k":"b"}"#, r#"{"k":"c","mail":"c","o":{}}"#],
        &[
            r#"{"key":"a","address":"a@b","object":{"inner":3,"x":"y"}}"#,
            r#"{"key":"b"}"#,
            r#"{"key":"c","address":"c","object":{}}"#,
        ],
    );
}

#[test]
fn what_stands_in_json_text_is_protected_as_at_the_door() {
    let document = |name: &str, pin: &str, one: &str| {
        format!(
            r##"{{"type":"object","x-extra":"drop","properties":{{"tree":{{"$ref":"#/$defs/person"}},"one":{{"type":["string","integer"]{one}}}}},
            "$defs":{{"person":{{"type":"object","properties":{{"name":{{"type":"string"{name}}},"pin":{{"type":"integer"{pin}}},
            "friends":{{"type":"array","items":{{"$ref":"#/$defs/person"}}}}}}}}}}}}"##
        )
    };
    let (plain, hash, drop) = ("", r#","x-privacy":"hash""#, r#","x-privacy":"drop""#);
    let events = [
        r#"{"tree":{"name":"Bob","pin":1,"friends":[{"name":"Ann"},{"friends":[{"pin":2}]}]},"one":1.0}"#,
        r#"{"one":"x"}"#,
        "{}",
    ];
    let steps = [
        (document(plain, plain, plain), document(hash, drop, hash)),
        (document(plain, hash, plain), document(hash, drop, plain)),
        (document(hash, hash, hash), document(drop, hash, hash)),
        (document(hash, plain, plain), document(hash, hash, plain)),
    ];
    for (old, next) in steps {
        check(&old, &next, &events, &events);
    }
    // What nobody described goes with the first mark.
    check(
        &document(plain, plain, plain).replace(r#""x-extra":"drop","#, ""),
        &document(hash, plain, plain).replace(r#""x-extra":"drop","#, ""),
        &[r#"{"tree":{"name":"Bob","mail":"b@b"}}"#],
        &[r#"{"tree":{"name":"Bob","mail":"b@b"}}"#],
    );
}

#[test]
fn tokens_in_lists_and_maps_are_of_the_rows_subject() {
    let document = |mark: &str| {
        format!(
            r#"{{"type":"object","required":["who"],"x-extra":"refuse","properties":{{"who":{{"type":"string","x-privacy":"subject"}},
            "tags":{{"type":"array","items":{{"type":"string"{mark}}}}},
            "by":{{"type":"object","additionalProperties":{{"type":"array","items":{{"type":"object","properties":{{"n":{{"type":"integer"{mark}}}}}}}}}}}}}}}"#
        )
    };
    let mark = r#","x-privacy":"tokenize","x-token-domain":"d""#;
    let events = [
        r#"{"who":"ann","tags":["x","y"],"by":{"a":[{"n":1},{"n":2},{}]}}"#,
        r#"{"who":"bob","tags":[],"by":{"a":[],"b":[{"n":1}]}}"#,
        r#"{"who":"cyd","tags":["x"]}"#,
    ];
    let entries = check(&document(""), &document(mark), &events, &events);
    // x of ann and of cyd, y; 1 of ann and of bob, 2.
    assert_eq!(entries.len(), 6);
}

/// The decoder's verdict on a value is what a narrower rule makes of the stored one.
#[test]
fn a_stored_value_fits_where_the_decoder_would_take_it() {
    let seed = std::env::var("HW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4711_u64);
    println!("HW_SEED={seed}");
    let mut random = Random(seed.max(1));
    let types: &[(&str, &[&str])] = &[
        (
            r#""type":"integer""#,
            &[
                r#""minimum":-3"#,
                r#""exclusiveMaximum":7"#,
                r#""multipleOf":3"#,
                r#""enum":[1,2,5]"#,
                r#""not":{"const":4}"#,
            ],
        ),
        (
            r#""type":"number""#,
            &[
                r#""minimum":0.5"#,
                r#""maximum":2.25"#,
                r#""multipleOf":0.25"#,
                r#""enum":[1,0.5]"#,
                r#""not":{"minimum":3}"#,
            ],
        ),
        (
            r#""type":"string""#,
            &[
                r#""maxLength":2"#,
                r#""minLength":1"#,
                r#""pattern":"^[a-c]*$""#,
                r#""enum":["a","é",""]"#,
                r#""not":{"const":"b"}"#,
                r#""format":"email""#,
            ],
        ),
        (r#""type":"boolean""#, &[r#""const":true"#, r#""not":{"const":true}"#]),
        (r#""type":"string","format":"decimal","x-precision":9,"x-scale":2"#, &[]),
        (
            r#""type":"number","format":"decimal","x-precision":9,"x-scale":2"#,
            &[r#""minimum":1.25"#, r#""multipleOf":0.5"#],
        ),
        (r#""type":["string","integer"]"#, &[r#""minimum":2"#, r#""maxLength":1"#]),
        (r#""type":"array","items":{"type":"integer"}"#, &[r#""maxItems":1"#, r#""minItems":1"#]),
        (
            r#""type":"object","additionalProperties":{"type":"integer"}"#,
            &[r#""maxProperties":1"#, r#""minProperties":1"#],
        ),
    ];
    let mut judged = [0, 0];
    for (of, rules) in types {
        for rule in *rules {
            let document = |rule: &str| format!(r#"{{"type":"object","properties":{{"v":{{{of}{rule}}}}}}}"#);
            let (old, next) = (schema(&document("")), schema(&document(&format!(",{rule}"))));
            let value = |random: &mut Random| match *of {
                of if of.contains("array") => format!("{:?}", vec![1; random.below(4)]),
                of if of.contains("additional") => {
                    ["{}", r#"{"a":1}"#, r#"{"a":1,"b":2}"#][random.below(3)].to_owned()
                }
                of if of.contains("boolean") => random.chance(50).to_string(),
                of if of.contains("number") => format!("{}", (random.below(33) as f64 - 8.0) / 4.0),
                of if of.contains("[") && random.chance(50) => random.below(5).to_string(),
                of if of.contains("integer") && !of.contains("[") => {
                    (random.below(16) as i64 - 6).to_string()
                }
                _ => format!("{:?}", random.pick(&["", "a", "b", "abc", "é", "ab", "a@b.de", "zz"])),
            };
            let events: Vec<String> = (0..60).map(|_| format!("{{\"v\":{}}}", value(&mut random))).collect();
            let (batch, misfits, _) = rewritten(&old, &next, &events);
            let column: &ArrayRef = batch.column_by_name("v").unwrap();
            let mut misfit = 0;
            for (row, event) in events.iter().enumerate() {
                let fits = decode(&next, std::slice::from_ref(event)).rejects.is_empty();
                assert_eq!(column.is_valid(row), fits, "{of} {rule} {event}, HW_SEED={seed}");
                misfit += u64::from(!fits);
                judged[usize::from(fits)] += 1;
            }
            assert_eq!(misfits.0.get("/properties/v").map_or(0, |it| it.values), misfit, "{of} {rule}");
            assert!(misfits.0.values().all(|it| !it.needed));
        }
    }
    assert!(judged[0] > 300 && judged[1] > 300, "{judged:?}");
}

#[test]
fn a_value_that_must_be_there_is_missed() {
    let document = |required: &str| {
        format!(
            r#"{{"type":"object","properties":{{"o":{{"type":"object"{required},"properties":{{"a":{{"type":"integer"}}}}}},
            "l":{{"type":"array","items":{{"type":"object"{required},"properties":{{"a":{{"type":"integer"}}}}}}}}}}}}"#
        )
    };
    let (old, next) = (schema(&document("")), schema(&document(r#","required":["a"]"#)));
    let events = [r#"{"o":{},"l":[{"a":1},{}]}"#, "{}", r#"{"o":{"a":1},"l":[]}"#, r#"{"l":[{},{}]}"#];
    let events: Vec<String> = events.iter().map(ToString::to_string).collect();
    let (_, misfits, _) = rewritten(&old, &next, &events);
    let told: Vec<_> =
        misfits.0.iter().map(|(pointer, it)| (pointer.as_str(), it.values, it.needed)).collect();
    assert_eq!(
        told,
        [("/properties/l/items/properties/a", 3, true), ("/properties/o/properties/a", 1, true)]
    );
}

#[test]
fn a_computed_field_sees_the_row_as_it_was() {
    let old = schema(r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#);
    let next = schema(
        r#"{"type":"object","properties":{"c":{"type":"integer","x-renamed-from":"a"},"a":{"type":"integer","x-from":"a * 2","maximum":20},
            "b":{"type":"string"}}}"#,
    );
    let events: Vec<String> = [4, 13, 11].iter().map(|a| format!("{{\"a\":{a},\"b\":\"x\"}}")).collect();
    let rewrites = old.check_generation(&next).unwrap();
    assert!(rewrites.iter().any(|it| matches!(it.action, RewriteAction::Compute(_))));
    let (batch, misfits, _) = rewritten(&old, &next, &events);
    let column = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
    assert_eq!(column("a"), Int64Array::from(vec![Some(8), None, None]));
    assert_eq!(column("c"), Int64Array::from(vec![4, 13, 11]));
    // One that is not computed, one that is too large.
    assert_eq!(misfits.0["/properties/a"].values, 2);
}
