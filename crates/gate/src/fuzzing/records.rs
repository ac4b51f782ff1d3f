//! What sensors send: the records are the same however the bytes are cut, no byte is lost, and each is judged.
//! An input is a byte that chooses the format, one that says how to cut, and the bytes of a connection.

use std::sync::{Arc, LazyLock};

use hw_event::RejectCode;
use hw_schema::{DecodeLimits, Decoder, Format, KvFields, Record, Schema};
use hw_vault::HashKey;

use crate::doors::tcp::{Framer, Records, TcpFormat, TsWidth};

const SCHEMA: &str = r#"{"type": "object", "required": ["id"], "x-key": ["id"], "x-event-time": "ts",
    "properties": {"id": {"type": "string"}, "tp": {"type": "number", "minimum": -300},
    "n": {"type": "integer"}, "on": {"type": "boolean"}, "ts": {"type": "integer", "x-time": "ms"},
    "who": {"type": "string", "x-privacy": "hash"}, "v": {"type": ["integer", "string"]},
    "p": {"type": "string", "format": "decimal", "x-precision": 9, "x-scale": 2}}}"#;

static SENSORS: LazyLock<Arc<Schema>> = LazyLock::new(|| match Schema::parse(SCHEMA) {
    Ok(checked) => Arc::new(checked.schema),
    Err(faults) => panic!("{faults:#?}"),
});

type Found = Vec<(Vec<u8>, Option<RejectCode>)>;

pub fn kv_record(data: &[u8]) {
    let [choice, cut, bytes @ ..] = data else { return };
    let format = match choice % 4 {
        0 => TcpFormat::Kv { ts: TsWidth::Unknown },
        1 => TcpFormat::Kv { ts: TsWidth::Declared(4) },
        2 => TcpFormat::Kv { ts: TsWidth::Known(4) },
        _ => TcpFormat::Ndjson,
    };
    let record_bytes_max = if choice & 4 == 0 { 1 << 20 } else { 16 };
    let whole = framed(format, record_bytes_max, bytes, 0);
    assert_eq!(framed(format, record_bytes_max, bytes, *cut), whole, "pieces give other records");
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != 0).count();
    let kept: usize = whole.iter().map(|(record, _)| count(record)).sum();
    assert_eq!(kept, count(bytes), "bytes are in no record, or in two");
    assert!(whole.iter().all(|(record, _)| record.len() <= record_bytes_max), "a record is too large");
    judged(format, &whole);
}

fn framed(format: TcpFormat, record_bytes_max: usize, bytes: &[u8], cut: u8) -> Found {
    let mut framer = Framer::new(format, record_bytes_max);
    let mut found = Found::new();
    for piece in super::pieces(bytes, cut) {
        take(framer.feed(piece), &mut found);
    }
    take(framer.close(), &mut found);
    assert!(!framer.is_partial(), "a connection that was closed holds bytes");
    found
}

fn take(records: Records, found: &mut Found) {
    for event in records.events {
        found.push((records.bytes[event.start..event.end].to_vec(), event.fault));
    }
}

fn judged(format: TcpFormat, found: &Found) {
    let fields = KvFields::new([("tp".to_owned(), "tp".to_owned()), ("x".to_owned(), "n".to_owned())]);
    let format = match format {
        TcpFormat::Kv { .. } => Format::Kv(&fields),
        TcpFormat::Ndjson => Format::Json,
    };
    let records: Vec<Record<'_>> = found
        .iter()
        .map(|(bytes, fault)| Record { bytes, format, fault: *fault, event_time: None })
        .collect();
    let limits = DecodeLimits { depth: 100, event_bytes: 1 << 20 };
    let mut decoder = Decoder::new(Arc::clone(&SENSORS), HashKey::from_bytes(&[7; 32]), limits);
    let applied = decoder.apply(&records);
    assert_eq!(applied.rows.len() + applied.rejects.len(), records.len(), "neither row nor reject");
    assert_eq!(applied.batch.num_rows(), applied.rows.len());
    for reject in &applied.rejects {
        let bytes = records[reject.index as usize].bytes.len() as u64;
        assert!(reject.byte_offset <= bytes, "a fault stands outside of its record: {reject:?}");
    }
}
