//! The receipt of an erasure: what was searched and removed, what is out of reach, and when that ends.
//! Always: signed (Ed25519) over the exact bytes of the text in it, so that whoever has the public key can check it without
//! us; names nobody: subjects are keyed digests, which only this house can compare.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use hw_event::Timestamp;
use hw_vault::{SigningKey, verify_signature};
use serde_json::{Value, json};

use super::record::Record;
use crate::output::rfc3339;

/// What was done, for the receipt.
#[derive(Debug, Default)]
pub struct Done {
    /// By table: its Delta version now.
    pub versions: BTreeMap<String, i64>,
    pub files: u64,
    pub bytes: u64,
    pub segments: usize,
    pub segment_bytes: u64,
    /// The last append that was looked at.
    pub through: u64,
}

pub fn make(record: &Record, done: &Done, finished_at: Timestamp, key: &SigningKey) -> Value {
    let text = json!({
        "erasure": record.id,
        "requested_at": rfc3339(record.requested_at),
        "finished_at": rfc3339(finished_at.0),
        "reason": record.reason,
        "subjects": record.hex_digests(),
        "searched": {
            "tables": done.versions.keys().collect::<Vec<_>>(),
            "files": done.files,
            "bytes": done.bytes,
            "journal_through": done.through,
        },
        "removed": {
            "rows": record.rows,
            "rejects": record.rejects,
            "vault_keys": record.keys,
            "token_entries": record.entries,
            "journal_segments": done.segments,
            "journal_bytes": done.segment_bytes,
        },
        "versions": done.versions,
        "out_of_reach": [
            "copies that others made: exports, backups, files given to a directory door; a backup that is restored here is erased again if the records of erasures are kept elsewhere",
            "rejected events that do not name the subject as a value of their own: their bytes are sealed and end with rejects.keep",
            "old copies that a disk keeps where no file system sees them",
        ],
    })
    .to_string();
    json!({
        "text": text,
        "signature": BASE64_STANDARD.encode(key.sign(text.as_bytes())),
        "public_key": BASE64_STANDARD.encode(key.public()),
        "algorithm": "Ed25519",
    })
}

/// Whether a receipt is as it was signed. `Err` says what is wrong with it.
pub fn check(receipt: &Value) -> Result<Value, String> {
    let member = |name: &str| receipt.get(name).and_then(Value::as_str).ok_or(format!("it has no {name}"));
    let decode = |name: &str| -> Result<Vec<u8>, String> {
        BASE64_STANDARD.decode(member(name)?).map_err(|_| format!("its {name} is not base64"))
    };
    let text = member("text")?;
    if !verify_signature(&decode("public_key")?, text.as_bytes(), &decode("signature")?) {
        return Err("its signature does not match its text".to_owned());
    }
    serde_json::from_str(text).map_err(|error| format!("its text is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use hw_vault::{MemoryKeyStore, SystemEntropy};

    use super::*;

    #[test]
    fn a_receipt_that_was_changed_is_noticed() {
        let key = SigningKey::load_or_create(&MemoryKeyStore::default(), &SystemEntropy).unwrap();
        let record = Record::new(Timestamp(1), vec![[1; 32]], Vec::new(), None, "local".to_owned());
        let receipt = make(&record, &Done::default(), Timestamp(2), &key);
        assert_eq!(check(&receipt).unwrap()["erasure"], record.id);
        let mut changed = receipt.clone();
        changed["text"] = receipt["text"].as_str().unwrap().replace("\"files\":0", "\"files\":9").into();
        assert!(check(&changed).unwrap_err().contains("signature"));
    }
}
