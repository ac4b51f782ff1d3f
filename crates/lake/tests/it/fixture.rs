//! A lake in a temporary directory, deliveries for it, and a reader that knows only Delta and Parquet.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array,
    },
    compute::concat_batches,
    datatypes::{Int32Type, Int64Type},
};
use deltalake::DeltaTable;
use hw_event::{SchemaNumber, Seq, StreamId, StreamName, Tally, Timestamp};
use hw_lake::{Lake, LakeSettings, LakeSink, Table, TableSnapshot};
use hw_pipeline::{Delivery, RejectsDelivery, RowsDelivery, Sink};
use hw_schema::{
    DecodeLimits, Decoder, Format, Record, Registry, Schema, Stream,
    rows::{self, Optional},
};
use hw_testkit::ManualClock;
use hw_vault::HashKey;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

pub const JOURNAL: u128 = 0xfeed;
pub const READING: StreamId = StreamId(1);
pub const ENGINE: StreamId = StreamId(2);
pub const MINUTE: Timestamp = Timestamp(1_700_000_040_000_000);

/// Every kind of column, and protected ones at the top and inside a struct.
pub const FIRST: &str = r#"{"type":"object","required":["who"],"properties":{
    "a":{"type":"integer"},
    "who":{"type":"string","x-privacy":"subject"},
    "email":{"type":"string","x-privacy":"hash"},
    "day":{"type":"string","format":"date"},
    "at":{"type":"string","format":"date-time"},
    "ratio":{"type":"number"},
    "raw":{"type":"string","contentEncoding":"base64"},
    "price":{"type":"number","format":"decimal","x-precision":10,"x-scale":2},
    "ok":{"type":"boolean"},
    "tags":{"type":"array","items":{"type":"string"}},
    "limits":{"type":"object","additionalProperties":{"type":"number"}},
    "place":{"type":"object","properties":{"room":{"type":"string"},"badge":{"type":"string","x-privacy":"hash"}}}
}}"#;

pub fn schema(document: &str) -> Arc<Schema> {
    match Schema::parse(document) {
        Ok(checked) => Arc::new(checked.schema),
        Err(faults) => panic!("{faults:#?}"),
    }
}

/// The first schema with one more column.
pub fn second() -> Arc<Schema> {
    schema(&FIRST.replacen("\"a\":", "\"b\":{\"type\":\"integer\"},\"a\":", 1))
}

pub fn stream(id: StreamId, name: &str, versions: Vec<Arc<Schema>>) -> Stream {
    Stream { id, name: name.parse().unwrap(), versions, declared: true }
}

pub struct World {
    pub directory: tempfile::TempDir,
    pub registry: Arc<Registry>,
    pub settings: LakeSettings,
    pub lake: Lake,
    pub sink: LakeSink,
    /// The next append's number, which is also the offset and the value of its first row.
    pub next: u64,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut LakeSettings)) -> World {
        let registry = Arc::new(Registry::new());
        registry.put(stream(READING, "sensor.reading", vec![schema(FIRST)]));
        registry.put(stream(ENGINE, "launch.engine-2", vec![schema(FIRST)]));
        let clock = Arc::new(ManualClock::new(MINUTE));
        let mut settings = LakeSettings { clock, ..LakeSettings::default() };
        adjust(&mut settings);
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("lake");
        let lake = Lake::open(&root, JOURNAL, registry.clone(), settings.clone()).await.unwrap();
        let sink = lake.sink();
        World { directory, registry, settings, lake, sink, next: 1 }
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("lake")
    }

    /// What is left after the process died: the files.
    pub async fn reopen(&mut self) {
        self.try_reopen().await.unwrap();
    }

    pub async fn try_reopen(&mut self) -> Result<(), hw_lake::LakeError> {
        let (registry, settings) = (self.registry.clone(), self.settings.clone());
        self.lake = Lake::open(&self.root(), JOURNAL, registry, settings).await?;
        self.sink = self.lake.sink();
        Ok(())
    }

    pub fn table(&self, table: Table) -> Arc<TableSnapshot> {
        self.lake.table(table).expect("the table has a commit")
    }

    /// One append with `count` rows of each stream.
    pub fn rows(&mut self, streams: &[StreamId], count: u64) -> Delivery {
        let seq = Seq(self.next);
        self.next += 1;
        let mut delivery = empty(seq);
        for &id in streams {
            let stream = self.registry.by_id(id).unwrap();
            let (number, _) = stream.current().unwrap();
            delivery.rows.push(rows_delivery(&stream, number, seq, count));
        }
        delivery
    }

    pub async fn apply(&mut self, delivery: Delivery) {
        self.sink.apply(delivery).await.unwrap();
    }

    pub async fn commit(&mut self) -> Seq {
        self.sink.commit().await.unwrap()
    }
}

pub fn empty(through: Seq) -> Delivery {
    Delivery { through, rows: Vec::new(), rejects: Vec::new(), tallies: Vec::new(), bytes: 0 }
}

/// Rows whose `_offset` and `a` are `seq * 1000 + index`.
pub fn rows_delivery(stream: &Arc<Stream>, number: SchemaNumber, seq: Seq, count: u64) -> RowsDelivery {
    rows_in_runs(stream, number, seq, &[(0, count as u32)])
}

/// The same, in runs of a partition and so many rows, one after the other.
pub fn rows_in_runs(
    stream: &Arc<Stream>,
    number: SchemaNumber,
    seq: Seq,
    runs: &[(i32, u32)],
) -> RowsDelivery {
    let count: u64 = runs.iter().map(|(_, rows)| u64::from(*rows)).sum();
    let schema = stream.version(number).unwrap().clone();
    let first = seq.0 * 1000;
    let events: Vec<String> = (first..first + count)
        .map(|value| {
            format!(
                r#"{{"a":{value},"who":"canary-subject-{value}","email":"canary-{value}@example.org","day":"2024-02-29",
                "at":"2024-02-29T12:00:00.123456Z","ratio":0.5,"raw":"AAEC","price":12.34,"ok":true,
                "tags":["x","y"],"limits":{{"low":1}},"place":{{"room":"r","badge":"canary-badge-{value}"}}}}"#
            )
        })
        .collect();
    let records: Vec<_> = events
        .iter()
        .map(|event| Record { bytes: event.as_bytes(), format: Format::Json, fault: None, event_time: None })
        .collect();
    let key = HashKey::from_bytes(&[7; 32]);
    let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
    let applied = Decoder::new(schema.clone(), key, limits).apply(&records);
    assert!(applied.rejects.is_empty(), "{:?}", applied.rejects);

    let decoded = applied.batch;
    let body_schema = rows::body_schema(&schema, Optional::EXTRA);
    let columns: Vec<ArrayRef> = body_schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "_offset" => {
                Arc::new(Int64Array::from_iter_values((first..first + count).map(|v| v as i64))) as ArrayRef
            }
            "_time" => {
                let times = vec![MINUTE.0 + seq.0 as i64; count as usize];
                Arc::new(arrow::array::TimestampMicrosecondArray::from(times).with_timezone("UTC"))
            }
            name => decoded.column_by_name(name).unwrap().clone(),
        })
        .collect();
    let body = RecordBatch::try_new(body_schema, columns).unwrap();
    let batch = rows::table_batch(&schema, number, runs, Optional::EXTRA, seq, MINUTE, body).unwrap();
    RowsDelivery { stream: stream.clone(), seq, number, batch }
}

pub fn rejects_delivery(name: &StreamName, seq: Seq) -> RejectsDelivery {
    let schema = rows::rejects_body_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "offset" | "byte_offset" => Arc::new(Int64Array::from(vec![seq.0 as i64])) as ArrayRef,
        "index" => Arc::new(Int32Array::from(vec![0])),
        "payload" => Arc::new(BinaryArray::from(vec![&b"sealed-canary"[..]])),
        "request_id" | "origin" => new_null_array(field.data_type(), 1),
        other => Arc::new(StringArray::from(vec![other])),
    });
    let body = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let batch = rows::rejects_table_batch(name, 1, &[(0, 1)], seq, MINUTE, body).unwrap();
    RejectsDelivery { seq, batch }
}

pub fn tally(stored: u64, door: &str, at: Timestamp) -> Tally {
    let mut tally = Tally::new(READING, door, at);
    tally.received = stored;
    tally.stored = stored;
    tally
}

/// The table as delta-rs reads its log and Parquet its files; our own snapshots have no part in it.
pub async fn delta_table(directory: &Path) -> DeltaTable {
    let url = Url::from_directory_path(directory.canonicalize().unwrap()).unwrap();
    let mut table = deltalake::DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    table.load().await.unwrap();
    table
}

pub async fn read_delta(directory: &Path) -> Vec<RecordBatch> {
    let table = delta_table(directory).await;
    let mut batches = Vec::new();
    for file in table.get_file_uris().unwrap() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    batches
}

/// The values of an integer column, sorted.
pub fn integers(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    let mut values = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).unwrap();
        match array.as_primitive_opt::<Int32Type>() {
            Some(array) => values.extend(array.iter().flatten().map(i64::from)),
            None => values.extend(array.as_primitive::<Int64Type>().iter().flatten()),
        }
    }
    values.sort_unstable();
    values
}

pub fn one_batch(batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(batches[0].schema_ref(), batches).unwrap()
}

/// What rows `(seq, count)` look like in `_offset`.
pub fn offsets(appends: &[(u64, u64)]) -> Vec<i64> {
    appends
        .iter()
        .flat_map(|&(seq, count)| (0..count).map(move |index| (seq * 1000 + index) as i64))
        .collect()
}

pub fn data_files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".parquet"))
        .collect();
    names.sort();
    names
}
