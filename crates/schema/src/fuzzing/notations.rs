//! Schemas in other notations. Whatever is accepted is accepted again from what is kept of it, and reads payloads.

use crate::{Notation, PayloadForm, Schema};

pub fn schema_notation(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut fetch = |name: &str| Err(format!("there is no {name}"));
    // A schema of Avro is JSON; one of Protobuf says early what it is.
    let begins_with = |words: &[&str]| words.iter().any(|word| text.trim_start().starts_with(word));
    let (notation, form) = if begins_with(&["{", "[", "\""]) {
        (Notation::Avro, PayloadForm::AvroDatum)
    } else if begins_with(&["syntax", "message", "package", "import", "option", "//"]) {
        (Notation::Protobuf, PayloadForm::Protobuf { delimited: false })
    } else {
        (Notation::Capnp, PayloadForm::Capnp { packed: false })
    };
    let translated = Schema::translate(notation, "a", "a", &text, &mut fetch);
    let schema = match translated {
        Ok(translated) => translated.schema,
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a fault");
            return;
        }
    };
    let kept = match Schema::parse(schema.document()) {
        Ok(checked) => checked.schema,
        Err(faults) => panic!("what is kept is refused: {faults:?}"),
    };
    assert_eq!(kept.fingerprint(), schema.fingerprint());
    assert!(kept.payload_reader(form).is_some(), "payloads cannot be read again");
}
