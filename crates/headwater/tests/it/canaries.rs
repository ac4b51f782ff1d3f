//! No clear text of a protected field ever touches a file: a thousand canaries, and a search of every byte.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use crate::{
    scanner::{find, needles, search},
    server::{Server, project},
};

const SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "id": {"type": "integer"},
    "email": {"type": "string", "x-privacy": "hash", "pattern": "@"},
    "card": {"type": "string", "x-privacy": "drop", "maxLength": 60},
    "person": {"type": "object", "properties": {
      "name": {"type": "string", "x-privacy": "hash"},
      "notes": {"type": "array", "items": {"type": "string", "x-privacy": "hash"}}
    }},
    "known": {"type": "string", "x-privacy": "tokenize", "maxLength": 60},
    "owner": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "known"},
    "aliases": {"type": "array", "items": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "known"}},
    "tags": {"type": "object", "additionalProperties": {"type": "string", "x-privacy": "hash"}},
    "contact": {"oneOf": [{"type": "string", "x-privacy": "hash"}, {"$ref": "#/$defs/card"}]}
  },
  "required": ["id"],
  "$defs": {"card": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "x-privacy": "hash"},
    "phone": {"type": "string", "x-privacy": "drop"},
    "of": {"type": "array", "items": {"$ref": "#/$defs/card"}}
  }}}
}"##;

const STEM: &str = "kanarienvogel";

/// Letters and digits that stand nowhere else.
fn canary(n: usize) -> String {
    format!("kanarienvogel{n:04}q{}z", (n * 7919) % 10_007)
}

/// Good and bad events; in each kind the canaries stand where they would hurt.
fn event(n: usize) -> String {
    let value = canary(n);
    match n % 16 {
        0 => format!(r#"{{"id":{n},"email":"{value}@x"}}"#),
        1 => format!(r#"{{"id":{n},"card":"{value}"}}"#),
        2 => format!(r#"{{"id":{n},"person":{{"name":"{value}","notes":["{value}"]}}}}"#),
        3 => format!(r#"{{"id":{n},"tags":{{"a":"{value}"}}}}"#),
        // Bad: the fault is in the protected field, before it, behind it, or in the JSON itself.
        4 => format!(r#"{{"id":{n},"email":"{value}"}}"#),
        5 => format!(r#"{{"id":"x","email":"{value}@x"}}"#),
        6 => format!(r#"{{"email":"{value}@x","card":7,"id":{n}}}"#),
        7 => format!(r#"{{"email":"{value}@x","id":{n}"#),
        8 => format!(r#"{{"id":{n},"unknown-{value}":"{value}"}}"#),
        9 => format!(r#"{{"id":{n},"card":"{value}{}"}}"#, "x".repeat(60)),
        // In JSON text: in either branch, deeper, under a name that nobody described; and where no branch takes it.
        10 => format!(r#"{{"id":{n},"contact":"{value}"}}"#),
        11 => format!(
            r#"{{"id":{n},"contact":{{"name":"{value}","phone":"{value}","x":"{value}","of":[{{"name":"{value}","phone":"{value}"}}]}}}}"#
        ),
        // To be revealed, and so in the vault; refused, and so nowhere.
        12 => format!(r#"{{"id":{n},"known":"{value}","owner":"{value}","aliases":["{value}","x{value}"]}}"#),
        13 => format!(r#"{{"known":"{value}{}","id":{n}}}"#, "x".repeat(60)),
        14 => format!(r#"{{"id":{n},"known":"{value}","email":"{value}"}}"#),
        _ => format!(r#"{{"id":{n},"contact":{{"{value}":["{value}"],"of":[{{"phone":"{value}"}}]}}}}"#),
    }
}

const CLOUDEVENTS: &str = "application/cloudevents-batch+json";

/// A batch whose envelopes name persons: a good one, and two that are refused.
fn in_envelopes(n: usize) -> String {
    let value = canary(n);
    let start = r#"{"specversion":"1.0","id":"e","source":"/s","type":"t""#;
    let good =
        format!(r#"{start},"subject":"{value}","owner":"{value}","data":{{"id":{n},"email":"{value}@x"}}}}"#);
    let bad_time = format!(r#"{start},"time":"{value}","data":{{"id":{n}}}}}"#);
    let bad_name = format!(r#"{start},"Name-{value}":"{value}","data":{{"id":{n}}}}}"#);
    format!("[{good},{bad_time},{bad_name}]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_canaries_are_nowhere_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[lake]\ncommit_every = \"10ms\"\n[log]\nlevel = \"debug\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/person.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    for first in (0..1000).step_by(50) {
        let body: String = (first..first + 50).map(|n| event(n) + "\n").collect();
        let (status, receipt) = server.post("person", "application/x-ndjson", body).await;
        assert_eq!(status, 200, "{receipt}");
        assert!(!receipt.to_string().contains("kanarienvogel"), "{receipt}");
    }
    for n in 0..20 {
        let (status, receipt) = server.post("person", CLOUDEVENTS, in_envelopes(n)).await;
        assert_eq!(status, 200, "{receipt}");
        assert!(!receipt.to_string().contains("kanarienvogel"), "{receipt}");
    }
    let undeclared: String = (0..10).map(|n| event(n) + "\n").collect();
    assert_eq!(server.post("nobody.knows", "application/x-ndjson", undeclared).await.0, 404);
    let (_, metrics) = server.get("/metrics").await;
    assert!(!metrics.contains("kanarienvogel"));
    assert!(server.number("SELECT count(*) FROM person").await >= 400);
    let tokens = server.sql("SELECT known FROM person WHERE known IS NOT NULL").await;
    assert!(tokens.len() >= 50, "{tokens:?}");
    let shown = server.sql("SELECT code, path, message FROM rejects").await;
    assert!(!format!("{shown:?}").contains("kanarienvogel"), "{shown:?}");

    // In full flow, after a kill, after a clean stop: each time every file.
    search(STEM, &directory.path().join("data"), &server.data.with_extension("stderr"));
    server.kill();
    let server = Server::start(&project, &data);
    search(STEM, &data, &data.with_extension("stderr"));
    assert!(server.terminate().success());
    let files = search(STEM, &data, &data.with_extension("stderr"));
    let log = std::fs::read_to_string(data.join("lake/person/_delta_log/00000000000000000000.json")).unwrap();
    assert!(log.contains("headwater.hash_key"), "which key the digests were made with: {log}");
    assert!(files.iter().any(|file| file.ends_with("vault/vault.redb")), "{files:?}");
    assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "parquet")), "{files:?}");
    planted_canaries_are_found(directory.path());
}

/// The search itself must be able to fail.
fn planted_canaries_are_found(directory: &Path) {
    let needles = needles(STEM);
    let value = canary(1);
    let utf16: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let planted = [
        format!("abc{value}def").into_bytes(),
        STANDARD_NO_PAD.encode(&value).into_bytes(),
        STANDARD_NO_PAD.encode(format!("x{value}")).into_bytes(),
        STANDARD_NO_PAD.encode(format!("xy{value}")).into_bytes(),
        hex.into_bytes(),
        utf16,
    ];
    for bytes in planted {
        std::fs::write(directory.join("planted"), &bytes).unwrap();
        assert!(find(&std::fs::read(directory.join("planted")).unwrap(), &needles).is_some(), "{bytes:?}");
    }
}
