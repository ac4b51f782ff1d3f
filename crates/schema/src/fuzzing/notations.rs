//! Schemas in other notations. Whatever is accepted is accepted again from what is kept of it, and reads payloads.

use crate::{Notation, PayloadForm, Schema};

pub fn schema_notation(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut fetch = |name: &str| Err(format!("there is no {name}"));
    let translated = Schema::translate(Notation::Capnp, "a", "a.capnp", &text, &mut fetch);
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
    assert!(
        kept.payload_reader(PayloadForm::Capnp { packed: false }).is_some(),
        "payloads cannot be read again"
    );
}
