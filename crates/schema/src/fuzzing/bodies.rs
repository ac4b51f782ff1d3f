//! Bodies of blocks. An input is a byte that chooses the columns, one that chooses the encoding, and a body; or a `=`
//! and patches (where u16 · new byte) to a body of our own, since no fuzzer comes upon a whole Arrow message.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, new_null_array,
};
use bytes::Bytes;

use super::{
    chosen, decoder, record,
    samples::{SAMPLES, Sample},
};
use crate::{
    columns,
    rows::{self, Encoding, Optional},
};

const OPTIONAL: Optional = Optional::EXTRA.with(Optional::HEADERS);

/// Rows that fit some sample each.
const EVENTS: [&str; 5] = [
    r#"{"a":3,"s":"text","flag":true,"n":0.5,"when":"2026-11-21T20:00:00Z","p":"12.50","b":"AAEC","more":[1]}"#,
    r#"{"o":{"x":true,"l":[[1,2],[]]},"l":[{"k":"a"}],"m":{"x":1,"y":null},"mm":{"a":{"b":"c"}}}"#,
    r#"{"v":"a","any":[1],"tree":{"w":1},"t":[6,"x"]}"#,
    r#"{"id":1,"person":"p1","email":"a@b.c","tags":["x"],"map":{"k":"v"}}"#,
    r#"{"k":"a","j":1.0,"at":5,"c":{"d":1}}"#,
];

/// A body of our own for each sample, in both encodings.
static BODIES: LazyLock<Vec<[Vec<u8>; 2]>> = LazyLock::new(|| SAMPLES.iter().map(bodies).collect());

fn bodies(sample: &Sample) -> [Vec<u8>; 2] {
    let records = EVENTS.map(|event| record(event.as_bytes()));
    let decoded = decoder(&sample.schema).apply(&records).batch;
    let (body, rows) = (rows::body_schema(&sample.schema, OPTIONAL), decoded.num_rows());
    let arrays = body.fields().iter().map(|field| -> ArrayRef {
        match decoded.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None if field.is_nullable() => new_null_array(field.data_type(), rows),
            None if field.name() == columns::TIME => {
                Arc::new(TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC"))
            }
            None => Arc::new(Int64Array::from(vec![0; rows])),
        }
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&body), arrays.collect(), &options);
    let Ok(batch) = batch else { panic!("rows do not fit their body: {batch:?}") };
    [Encoding::Plain, Encoding::Lz4].map(|encoding| match rows::encode(&batch, encoding) {
        Ok(body) => body,
        Err(error) => panic!("a body cannot be written: {error}"),
    })
}

fn patched(index: usize, encoding: usize, patches: &[u8]) -> Vec<u8> {
    let Some(bodies) = BODIES.get(index) else { return Vec::new() };
    let mut body = bodies[usize::from(encoding == Encoding::Lz4 as usize)].clone();
    let length = body.len();
    for patch in patches.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % length;
        body[at] = patch[2];
    }
    body
}

pub fn rows_body(data: &[u8]) {
    let Some((index, rest)) = chosen(data, SAMPLES.len() + 1) else { return };
    let schema = match SAMPLES.get(index) {
        Some(sample) => rows::body_schema(&sample.schema, OPTIONAL),
        None => rows::rejects_body_schema(),
    };
    let Some((encoding, body)) = chosen(rest, 4) else { return };
    let body = match body.split_first() {
        Some((b'=', patches)) => patched(index, encoding, patches),
        _ => body.to_vec(),
    };
    let Ok(batch) = rows::decode(&schema, encoding as u8, Bytes::from(body)) else { return };
    for column in batch.columns() {
        let valid = column.to_data().validate_full();
        assert!(valid.is_ok(), "a column is no valid array: {valid:?}");
    }
    if let Some(sample) = SAMPLES.get(index) {
        assert_eq!(rows::to_json(&sample.schema, &batch).len(), batch.num_rows());
    }
    for encoding in [Encoding::Plain, Encoding::Lz4] {
        let written = rows::encode(&batch, encoding);
        let Ok(written) = written else { panic!("a batch that was read cannot be written: {written:?}") };
        let back = rows::decode(&schema, encoding as u8, Bytes::from(written));
        let Ok(back) = back else { panic!("a body of our own cannot be read: {back:?}") };
        assert!(back == batch, "a body comes back changed: {batch:?} {back:?}");
    }
}
