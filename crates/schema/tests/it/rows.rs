//! Bodies of blocks: what was encoded comes back, and bytes that lie are an error.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{Int32Type, Int64Type, SchemaRef},
};
use bytes::Bytes;
use hw_event::{SchemaNumber, Seq, StreamId, Tally, Timestamp};
use hw_schema::{
    Schema,
    rows::{self, Encoding, Optional},
};

use crate::{Random, apply, schema};

const EVENTS: [&str; 4] = [
    r#"{"a":1,"s":"text","o":{"x":true,"l":[1,2,3]},"m":{"k":"v"},"d":"2026-11-21","t":1.5,"p":"12.50","b":"AAEC","n":0.5}"#,
    r#"{"a":2}"#,
    r#"{"a":3,"s":"","o":{"x":false,"l":[]},"m":{},"more":{"deep":[1]},"o2":1}"#,
    r#"{"a":4,"o":{"l":[9],"e":{"f":1}},"m":{"k":"1","l":"2"},"n":-1e300}"#,
];

fn everything() -> Arc<Schema> {
    schema(
        r#"{
        "type": "object", "required": ["a"],
        "properties": {
            "a": {"type": "integer"}, "s": {"type": "string"},
            "o": {"type": "object", "properties": {
                "x": {"type": "boolean"}, "l": {"type": "array", "items": {"type": "integer"}}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "d": {"type": "string", "format": "date"}, "t": {"type": "number", "x-time": "s"},
            "p": {"type": "string", "format": "decimal", "x-precision": 20, "x-scale": 2},
            "b": {"type": "string", "contentEncoding": "base64"}, "n": {"type": "number"}
        }
    }"#,
    )
}

fn body(schema: &Schema, decoded: &RecordBatch) -> RecordBatch {
    let rows = decoded.num_rows() as i64;
    let mut columns = decoded.columns().to_vec();
    columns.push(Arc::new(Int64Array::from_iter_values(100..100 + rows)) as ArrayRef);
    columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows).with_timezone("UTC")));
    RecordBatch::try_new(rows::body_schema(schema, Optional::EXTRA), columns).unwrap()
}

#[test]
fn bodies_come_back() {
    let schema = everything();
    for events in [&EVENTS[..], &EVENTS[..1], &[]] {
        let body = body(&schema, &apply(&schema, events).batch);
        for encoding in [Encoding::Plain, Encoding::Lz4] {
            let bytes = rows::encode(&body, encoding).unwrap();
            // A body lies anywhere in its frame.
            for shift in 0..9 {
                let frame = Bytes::from([&[0xaa; 16][..shift], &bytes].concat());
                let back = rows::decode(&body.schema(), encoding as u8, frame.slice(shift..)).unwrap();
                assert_eq!(back, body);
            }
        }
    }
    assert!(rows::decode(&body(&schema, &apply(&schema, &EVENTS).batch).schema(), 3, Bytes::new()).is_err());
}

/// As if they had been joined first: many parts and few, long and short, slices of others, empty ones.
#[test]
fn parts_are_written_as_one() {
    let schema = everything();
    let flat = crate::schema(
        r#"{"type":"object","properties":{"a":{"type":"integer"},"s":{"type":"string"}},"required":["a","s"]}"#,
    );
    let texts: Vec<String> =
        (0..3000).map(|at| format!(r#"{{"a":{at},"s":"{}"}}"#, "y".repeat(at % 7))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let nested: Vec<&str> = EVENTS.iter().copied().cycle().take(1000).collect();
    for (schema, events) in [(&flat, &texts), (&schema, &nested)] {
        let whole = body(schema, &apply(schema, events).batch);
        for seed in 1..=60u64 {
            let mut random = Random(seed * 0x9e37_79b9);
            let longest = [3, 90, 700, 5000][random.below(4)];
            let mut parts = Vec::new();
            let mut at = 0;
            while at < whole.num_rows() {
                let rows = random.below(longest).min(whole.num_rows() - at);
                parts.push(whole.slice(at, rows));
                at += rows;
            }
            let columns: Vec<Vec<ArrayRef>> = (0..whole.num_columns())
                .map(|column| parts.iter().map(|part| part.column(column).clone()).collect())
                .collect();
            let bytes = rows::encode_parts(whole.num_rows(), columns.iter().map(Vec::as_slice)).unwrap();
            let back = rows::decode(&whole.schema(), Encoding::Plain as u8, Bytes::from(bytes)).unwrap();
            assert_eq!(back, whole, "seed {seed}");
        }
    }
}

/// A compressed column of one byte repeated is large enough to be packed at all.
#[test]
fn damaged_bodies_are_errors_or_batches() {
    let schema = everything();
    let long = format!(r#"{{"a":5,"s":"{}"}}"#, "x".repeat(5000));
    let events: Vec<&str> = EVENTS.iter().copied().chain([long.as_str()]).collect();
    let body = body(&schema, &apply(&schema, &events).batch);
    let columns = body.schema();
    let (mut errors, mut batches) = (0, 0);
    for encoding in [Encoding::Plain, Encoding::Lz4] {
        let bytes = rows::encode(&body, encoding).unwrap();
        let mut judge = |bytes: Vec<u8>, context: &str| {
            match rows::decode(&columns, encoding as u8, Bytes::from(bytes)) {
                Ok(batch) => {
                    // What is let through can be used: every value can be looked at.
                    let events = rows::to_json(&schema, &batch);
                    assert_eq!(events.len(), batch.num_rows(), "{context}");
                    batches += 1;
                }
                Err(_) => errors += 1,
            }
        };
        for end in 0..bytes.len().min(2500) {
            judge(bytes[..end].to_vec(), "cut");
        }
        for at in 0..bytes.len().min(2500) {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(8)] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                judge(damaged, &format!("byte {at} = {value}"));
            }
        }
        for seed in 1..=5000u64 {
            let mut random = Random(seed * 0x9e37_79b9);
            let mut damaged = bytes.clone();
            for _ in 0..1 + random.below(6) {
                let at = random.below(damaged.len().min(2500));
                damaged[at] = random.below(256) as u8;
            }
            judge(damaged, &format!("seed {seed}"));
        }
    }
    assert!(errors > 1000 && batches > 1000, "{errors} errors, {batches} batches");
}

#[test]
fn a_body_read_with_another_schema_is_an_error_or_a_batch() {
    let schema = everything();
    let other =
        crate::schema(r#"{"type":"object","properties":{"a":{"type":"string"},"s":{"type":"integer"}}}"#);
    let body = body(&schema, &apply(&schema, &EVENTS).batch);
    let bytes = Bytes::from(rows::encode(&body, Encoding::Plain).unwrap());
    assert!(rows::decode(&rows::body_schema(&other, Optional::EXTRA), 1, bytes.clone()).is_err());
    assert!(rows::decode(&rows::body_schema(&schema, Optional::NONE), 1, bytes).is_err());
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).unwrap()
}

#[test]
fn a_table_has_the_reserved_columns() {
    let schema = everything();
    let body = body(&schema, &apply(&schema, &EVENTS).batch);
    let make = |runs: &[(i32, u32)]| {
        let (number, seq) = (SchemaNumber(3), Seq(42));
        rows::table_batch(&schema, number, runs, Optional::EXTRA, seq, Timestamp(7), body.clone())
    };
    let table = make(&[(5, 1), (2, 3)]).unwrap();
    assert_eq!(&table.schema(), schema.table_columns());
    assert_eq!(column(&table, "_partition").as_primitive::<Int32Type>().values(), &[5, 2, 2, 2]);
    assert_eq!(column(&table, "_offset").as_primitive::<Int64Type>().values(), &[100, 101, 102, 103]);
    assert_eq!(column(&table, "_seq").as_primitive::<Int64Type>().values(), &[42; 4]);
    assert_eq!(column(&table, "_schema").as_primitive::<Int32Type>().values(), &[3; 4]);
    assert_eq!(column(&table, "_headers").null_count(), 4);
    assert_eq!(column(&table, "_extra").as_string::<i32>().value(2), r#"{"/more":{"deep":[1]},"/o2":1}"#);
    assert!(make(&[(5, 1)]).is_err());
    let names: Vec<_> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(
        names[9..],
        [
            "_extra",
            "_partition",
            "_offset",
            "_seq",
            "_time",
            "_received_at",
            "_schema",
            "_id",
            "_op",
            "_headers",
            "_origin"
        ]
    );
}

#[test]
fn older_rows_fit_newer_columns() {
    let old = schema(
        r#"{"type":"object","properties":{
        "a":{"type":"integer"},
        "o":{"type":"object","properties":{"x":{"type":"integer"}}},
        "l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer"}}}},
        "m":{"type":"object","additionalProperties":{"type":"object","properties":{"x":{"type":"integer"}}}}}}"#,
    );
    let new = schema(
        r#"{"type":"object","properties":{
        "b":{"type":"string"},
        "a":{"type":"integer"},
        "o":{"type":"object","properties":{"y":{"type":"array","items":{"type":"string"}},"x":{"type":"integer"}}},
        "l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"string"}}}},
        "m":{"type":"object","additionalProperties":{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"string"}}}}}}"#,
    );
    assert!(old.check_change(&new).is_ok());
    let event = r#"{"a":1,"o":{"x":2},"l":[{"x":3},{}],"m":{"k":{"x":4}}}"#;
    let body = body(&old, &apply(&old, &[event, "{}"]).batch);
    let table =
        rows::table_batch(&old, SchemaNumber(1), &[(0, 2)], Optional::EXTRA, Seq(1), Timestamp(0), body)
            .unwrap();
    let adapted = rows::adapt(table.clone(), new.table_columns()).unwrap();
    assert_eq!(&adapted.schema(), new.table_columns());
    assert_eq!(rows::to_json(&new, &adapted), [event, "{}"]);
    assert_eq!(rows::adapt(table.clone(), old.table_columns()).unwrap(), table);
    let other = schema(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#);
    assert!(rows::adapt(table, other.table_columns()).is_err());
}

#[test]
fn rows_become_events_again() {
    let schema = everything();
    let applied = apply(&schema, &EVENTS);
    assert_eq!(applied.rejects, []);
    assert_eq!(
        rows::to_json(&schema, &applied.batch),
        [
            r#"{"a":1,"s":"text","o":{"x":true,"l":[1,2,3]},"m":{"k":"v"},"d":"2026-11-21","t":1.5,"p":"12.50","b":"AAEC","n":0.5}"#,
            r#"{"a":2}"#,
            r#"{"a":3,"s":"","o":{"x":false,"l":[]},"m":{},"more":{"deep":[1]},"o2":1}"#,
            r#"{"a":4,"o":{"l":[9],"e":{"f":1}},"m":{"k":"1","l":"2"},"n":-1e+300}"#,
        ]
    );
    // The canonical form is itself an event of the stream, and stays what it is.
    let again = apply(&schema, &rows::to_json(&schema, &applied.batch));
    assert_eq!(again.rejects, []);
    assert_eq!(again.batch, applied.batch);
}

#[test]
fn rejects_and_ledger_have_their_tables() {
    let columns: SchemaRef = rows::rejects_body_schema();
    let empty = RecordBatch::new_empty(Arc::clone(&columns));
    let bytes = Bytes::from(rows::encode(&empty, Encoding::Plain).unwrap());
    let body = rows::decode(&columns, 1, bytes).unwrap();
    let name = "a.b".parse().unwrap();
    let table = rows::rejects_table_batch(&name, 0, &[], Seq(1), Timestamp(0), body).unwrap();
    assert_eq!(table.schema(), rows::rejects_table_schema());
    let mut tally = Tally::new(StreamId(9), "http", Timestamp(61_000_000));
    tally.received = 3;
    let ledger = rows::ledger_table_batch(&[(name, Seq(4), tally)]);
    assert_eq!(ledger.schema(), rows::ledger_table_schema());
    assert_eq!(column(&ledger, "received").as_primitive::<Int64Type>().values(), &[3]);
    let minute = column(&ledger, "minute").as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(minute.values(), &[60_000_000]);
}
