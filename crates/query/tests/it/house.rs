//! The tables that all tests here read.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
        Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef},
};
use datafusion::parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use futures::TryStreamExt;
use hw_event::Principal;
use hw_query::{
    Answer, Cut, CutFile, HotBatches, HotError, HotSource, NoHot, PayloadOpener, QueryError, Range, Runner,
    SqlSettings, TableCut, TableKind,
    render::{Format, pieces},
    streams_schema,
};
use hw_schema::rows::{ledger_table_schema, rejects_table_schema};
use tempfile::TempDir;

/// 2024-05-01T00:00:00Z
pub const MAY: i64 = 1_714_521_600_000_000;
const MINUTE: i64 = 60_000_000;

pub struct House {
    pub lake: TempDir,
    pub cut: Cut,
}

/// Seals by turning every byte around.
pub struct Turned;

impl PayloadOpener for Turned {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        (sealed.first() != Some(&0)).then(|| sealed.iter().map(|byte| !byte).collect())
    }
}

#[derive(Debug)]
pub struct Batches(pub Vec<RecordBatch>);

impl HotSource for Batches {
    fn rows(&self) -> usize {
        self.0.iter().map(RecordBatch::num_rows).sum()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(self.0.clone().into_iter().map(Ok)))
    }
}

pub fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|column| column.1).collect())
        .unwrap()
}

/// Rows `offsets` of `sensor_reading`. Version 1 has no `note`, and its `place` has no `floor`.
pub fn readings(offsets: std::ops::Range<i64>, version: i32, seq: i64) -> RecordBatch {
    let all: Vec<i64> = offsets.collect();
    let count = all.len();
    let rooms: ArrayRef =
        Arc::new(StringArray::from_iter_values(all.iter().map(|n| format!("room {}", n % 3))));
    let mut place = vec![(Field::new("room", DataType::Utf8, true), rooms)];
    if version > 1 {
        let floors: ArrayRef = Arc::new(Int64Array::from_iter_values(all.iter().map(|n| n % 2)));
        place.push((Field::new("floor", DataType::Int64, true), floors));
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = place.into_iter().unzip();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("sensor", Arc::new(StringArray::from_iter_values(all.iter().map(|n| format!("s{}", n % 4))))),
        ("value", Arc::new(Float64Array::from_iter_values(all.iter().map(|n| *n as f64 / 2.0)))),
        ("Upper", Arc::new(BooleanArray::from_iter(all.iter().map(|n| (n % 5 != 0).then_some(n % 2 == 0))))),
        ("day", Arc::new(Date32Array::from_iter_values(all.iter().map(|n| 19_844 + (*n as i32))))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(all.iter().map(|n| i128::from(*n) * 101))
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        (
            "tags",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                all.iter().map(|n| Some(vec![Some(*n), None])),
            )),
        ),
        ("place", Arc::new(StructArray::new(Fields::from(fields), arrays, None))),
    ];
    if version > 1 {
        columns
            .push(("note", Arc::new(StringArray::from_iter(all.iter().map(|n| Some(format!("note {n}")))))));
    }
    columns.extend([
        ("_extra", new_null_array(&DataType::Utf8, count)),
        ("_partition", Arc::new(Int32Array::from(vec![0; count])) as ArrayRef),
        ("_offset", Arc::new(Int64Array::from(all.clone()))),
        ("_seq", Arc::new(Int64Array::from(vec![seq; count]))),
        ("_time", times(all.iter().map(|n| MAY + n * MINUTE))),
        ("_received_at", times(all.iter().map(|n| MAY + n * MINUTE + 1))),
        ("_schema", Arc::new(Int32Array::from(vec![version; count]))),
    ]);
    batch(columns)
}

pub fn write(lake: &Path, name: &str, batch: &RecordBatch) -> CutFile {
    let path = lake.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(8)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let offsets = batch
        .column_by_name("_offset")
        .map(|column| column.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
    let offset = offsets.map(|offsets| Range { min: offsets[0], max: offsets[offsets.len() - 1] });
    CutFile {
        path: name.into(),
        bytes: std::fs::metadata(&path).unwrap().len(),
        rows: batch.num_rows() as u64,
        partition: offset.map(|_| Range { min: 0, max: 0 }),
        time: offset.map(|range| Range { min: MAY + range.min * MINUTE, max: MAY + range.max * MINUTE }),
        offset,
        received_at: None,
        seq: None,
        crc32c: None,
        pieces: None,
    }
}

pub fn table(
    lake: &Path,
    name: &str,
    columns: SchemaRef,
    files: Vec<CutFile>,
    hot: Vec<RecordBatch>,
) -> TableCut {
    let hot: Arc<dyn HotSource> = if hot.is_empty() { Arc::new(NoHot) } else { Arc::new(Batches(hot)) };
    let kind = match name {
        "rejects" => TableKind::Rejects,
        "ledger" => TableKind::Ledger,
        _ => TableKind::Stream,
    };
    TableCut {
        name: name.to_owned(),
        kind,
        columns,
        lake_root: lake.to_owned(),
        files: files.into(),
        hot,
        unreadable: None,
    }
}

/// `sensor_reading`: offsets 0..20 in an old file, 20..30 in a new one, 30..34 hot and old, 34..40 hot and new.
pub fn house() -> House {
    let lake = TempDir::new().unwrap();
    let root = lake.path();
    let new = readings(20..30, 2, 3);
    let readings_table = table(
        root,
        "sensor_reading",
        new.schema(),
        vec![
            write(root, "sensor.reading/old.parquet", &readings(0..20, 1, 1)),
            write(root, "sensor.reading/new.parquet", &new),
        ],
        vec![readings(30..34, 1, 4), readings(34..40, 2, 5)],
    );
    let empty = table(root, "empty", new.schema(), Vec::new(), Vec::new());
    let rejects = table(
        root,
        "rejects",
        rejects_table_schema(),
        vec![write(root, "rejects/r.parquet", &rejects(0..2))],
        vec![rejects(2..4)],
    );
    let ledger = table(
        root,
        "ledger",
        ledger_table_schema(),
        vec![write(
            root,
            "ledger/l.parquet",
            &tallies(&[("sensor.reading", 0, "http", 20, 2), ("sensor.reading", 0, "tcp.a", 10, 0)]),
        )],
        vec![tallies(&[("sensor.reading", 0, "http", 6, 1), ("sensor.reading", 1, "http", 4, 1)])],
    );
    let streams = RecordBatch::try_new(
        streams_schema(),
        vec![
            Arc::new(StringArray::from(vec!["sensor.reading", "empty"])),
            Arc::new(StringArray::from(vec!["sensor_reading", "empty"])),
            Arc::new(Int32Array::from(vec![2, 1])),
            Arc::new(Int32Array::from(vec![1, 4])),
            Arc::new(StringArray::from(vec![Some("sensor"), None])),
            Arc::new(StringArray::from(vec!["dlq", "reject"])),
            Arc::new(Int64Array::from(vec![100, 0])),
            Arc::new(Int64Array::from(vec![5_000, 0])),
            Arc::new(Int64Array::from(vec![Some(7), None])),
            Arc::new(Int64Array::from(vec![10, 0])),
            Arc::new(StringArray::from(vec![Some("lake/sensor.reading"), None])),
        ],
    )
    .unwrap();
    let cut = Cut { tables: vec![readings_table, empty, rejects, ledger], streams };
    House { lake, cut }
}

pub fn rejects(range: std::ops::Range<i64>) -> RecordBatch {
    let all: Vec<i64> = range.collect();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; all.len()])) as ArrayRef;
    let sealed: Vec<Vec<u8>> = all
        .iter()
        // The key of the fourth is gone.
        .map(|n| if *n == 3 { vec![0] } else { format!("bad {n}").bytes().map(|byte| !byte).collect() })
        .collect();
    let columns = rejects_table_schema();
    let arrays: Vec<ArrayRef> = columns
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match field.name().as_str() {
                "stream" => text("sensor.reading"),
                "partition" => Arc::new(Int32Array::from(vec![0; all.len()])),
                "offset" => Arc::new(Int64Array::from_iter_values(all.iter().map(|n| n + 100))),
                "seq" => Arc::new(Int64Array::from(vec![1; all.len()])),
                "received_at" => times(all.iter().map(|n| MAY + n)),
                "index" => Arc::new(Int32Array::from_iter_values(all.iter().map(|n| *n as i32))),
                "byte_offset" => Arc::new(Int64Array::from(vec![7; all.len()])),
                "code" => text("type"),
                "path" => text("/value"),
                "schema" => Arc::new(Int32Array::from(vec![1; all.len()])),
                "payload" => Arc::new(BinaryArray::from_iter_values(&sealed)),
                "status" => text("open"),
                _ => new_null_array(field.data_type(), all.len()),
            }
        })
        .collect();
    RecordBatch::try_new(columns, arrays).unwrap()
}

/// (stream, minute, door, stored, rejected)
type Row<'a> = (&'a str, i64, &'a str, i64, i64);

pub fn tallies(rows: &[Row<'_>]) -> RecordBatch {
    let numbers =
        |of: fn(&Row<'_>) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(of))) };
    let columns = ledger_table_schema();
    let arrays: Vec<ArrayRef> = columns
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match field.name().as_str() {
                "stream" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
                "door" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
                "minute" => times(rows.iter().map(|row| MAY + row.1 * MINUTE)),
                "first_at" => times(rows.iter().map(|row| MAY + row.1 * MINUTE + row.3)),
                "last_at" => times(rows.iter().map(|row| MAY + row.1 * MINUTE + 1_000 + row.3)),
                "received" => numbers(|row| row.3 + row.4),
                "stored" => numbers(|row| row.3),
                "rejected" => numbers(|row| row.4),
                "bytes" => numbers(|row| row.3 * 10),
                _ => numbers(|_| 0),
            }
        })
        .collect();
    RecordBatch::try_new(columns, arrays).unwrap()
}

pub fn settings() -> SqlSettings {
    SqlSettings { memory: 128 * 1024 * 1024, time: Duration::from_secs(600), ..SqlSettings::default() }
}

pub fn runner(settings: SqlSettings) -> Runner {
    Runner::new(settings, Arc::new(Turned)).unwrap()
}

pub async fn ask(runner: &Runner, cut: &Cut, statement: &str) -> Result<String, QueryError> {
    ask_as(runner, cut, statement, Format::Json).await
}

pub async fn ask_as(
    runner: &Runner,
    cut: &Cut,
    statement: &str,
    format: Format,
) -> Result<String, QueryError> {
    let bytes = text(runner.run(statement, &Principal::local(), cut.clone()).await?, format).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

pub async fn text(answer: Answer, format: Format) -> Result<Vec<u8>, QueryError> {
    let parts: Vec<_> = pieces(answer, format).try_collect().await?;
    Ok(parts.concat())
}

/// The rows alone, one a line, without brackets.
pub async fn rows(runner: &Runner, cut: &Cut, statement: &str) -> Vec<String> {
    let json = ask(runner, cut, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    json["rows"].as_array().unwrap().iter().map(|row| row.to_string()).collect()
}

pub async fn code(runner: &Runner, cut: &Cut, statement: &str) -> &'static str {
    match ask(runner, cut, statement).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}
