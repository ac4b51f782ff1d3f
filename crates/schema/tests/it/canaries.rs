//! Values of `hash` and `drop` fields come out of the decoder nowhere: not in the bytes that go to the journal, not
//! in a reject's path or message.

use hw_schema::{Applied, Rejected, rows};

use crate::{Random, apply, schema};

const SCHEMA: &str = r#"{
    "type": "object", "required": ["id", "person"],
    "properties": {
        "id": {"type": "integer"},
        "person": {"type": "string", "x-privacy": "subject", "pattern": "^p[0-9]+$"},
        "email": {"type": "string", "x-privacy": "hash", "format": "email", "maxLength": 40},
        "account": {"type": "integer", "x-privacy": "hash", "maximum": 99999999999},
        "note": {"type": "string", "x-privacy": "drop", "minLength": 3, "enum": ["CANARYok", "CANARYfine"]},
        "in": {"type": "object", "properties": {"token": {"type": "string", "x-privacy": "hash", "pattern": "^[C]ANARY"}}},
        "tags": {"type": "array", "items": {"type": "string", "x-privacy": "hash", "maxLength": 20}, "uniqueItems": true},
        "map": {"type": "object", "additionalProperties": {"type": "string", "x-privacy": "hash"}},
        "when": {"type": "string", "format": "date-time", "x-privacy": "hash"}
    }
}"#;

/// Where a protected value shows.
fn leak(applied: &Applied) -> Option<String> {
    let body = rows::encode(&applied.batch, rows::Encoding::Plain).unwrap();
    for canary in [&b"CANARY"[..], b"7777777", b"2026-07-07"] {
        let found = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary);
        if found(&body) {
            return Some("in the body".to_owned());
        }
        let told = |reject: &&Rejected| found(reject.path.as_bytes()) || found(reject.message.as_bytes());
        if let Some(reject) = applied.rejects.iter().find(told) {
            return Some(format!("{reject:?}"));
        }
    }
    None
}

#[test]
fn protected_values_stay_inside() {
    let schema = schema(SCHEMA);
    let values = [
        r#""person":"p1""#,
        r#""person":"CANARY is no person""#,
        r#""email":"CANARY@example.com""#,
        r#""email":"CANARY""#,
        r#""email":["CANARY"]"#,
        r#""account":7777777"#,
        r#""account":77777770000000"#,
        r#""account":7777777.5"#,
        r#""account":"CANARY""#,
        r#""note":"CANARYok""#,
        r#""note":"CANARY""#,
        r#""note":7777777"#,
        r#""in":{"token":"CANARY1"}"#,
        r#""in":{"token":"not CANARY"}"#,
        r#""in":{"CANARY":1,"token":5}"#,
        r#""tags":["CANARY1","CANARY2"]"#,
        r#""tags":["CANARY1","CANARY1"]"#,
        r#""tags":["CANARY that is much too long"]"#,
        r#""map":{"a":"CANARY"}"#,
        r#""map":{"a":7777777}"#,
        r#""when":"2026-07-07T00:00:00Z""#,
        r#""when":"2026-07-07T00:00:00""#,
        r#""CANARY":"CANARY""#,
        r#""x":"CANARY","#,
        r#""x":"CANARY"#,
    ];
    let seed = 0x5eed;
    let mut random = Random(seed);
    let mut events = Vec::new();
    for id in 0..1000 {
        let mut event = format!("{{\"id\":{id}");
        if random.chance(90) {
            event.push_str(",\"person\":\"p7\"");
        }
        for _ in 0..random.below(4) {
            event.push(',');
            let member: &str = random.pick::<&str>(&values);
            event.push_str(member);
        }
        event.push('}');
        events.push(event);
    }
    let applied = apply(&schema, &events);
    assert!(applied.rows.len() > 50 && applied.rejects.len() > 50, "seed {seed}: {}", applied.rows.len());
    assert!(applied.extra_dropped > 0);
    assert_eq!(leak(&applied), None, "seed {seed}");
    for event in &events {
        assert_eq!(leak(&apply(&schema, &[event])), None, "{event}");
    }
}

#[test]
fn what_is_not_protected_would_be_found() {
    let open = schema(r#"{"type":"object","properties":{"note":{"type":"string"}}}"#);
    for event in [r#"{"note":"CANARY"}"#, r#"{"note":"ok","other":"CANARY"}"#] {
        assert!(leak(&apply(&open, &[event])).is_some(), "{event}");
    }
}
