//! A registry with one stream, appends for it, a log that can be damaged, and a sink that writes down what
//! it is told.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use bytes::Bytes;
use hw_event::{Seq, StreamId, Tally, Timestamp};
use hw_journal::{
    Append, Block, BlockHeader, BlockKind, BlockRef, Log, ReadError, Record, RecordKind, Run, StoredAppend,
};
use hw_pipeline::{Delivery, Positions, Sink, SinkError};
use hw_schema::{
    Registry, Schema, Stream,
    rows::{self, Encoding, Optional},
};
use hw_testkit::MemoryLog;
use tokio::{sync::watch, time::Instant};

pub const STREAM: StreamId = StreamId(7);

pub fn schema() -> Arc<Schema> {
    let document = r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#;
    Arc::new(Schema::parse(document).unwrap().schema)
}

pub fn registry() -> Arc<Registry> {
    let registry = Registry::new();
    let name = "sensor.reading".parse().unwrap();
    registry.put(Stream { id: STREAM, name, versions: vec![schema()], declared: true });
    Arc::new(registry)
}

fn header(kind: BlockKind, runs: Vec<Run>) -> BlockHeader {
    let digest = schema().fingerprint();
    BlockHeader {
        kind,
        stream: STREAM,
        schema: 1,
        fingerprint: u64::from_le_bytes(digest[..8].try_into().unwrap()),
        encoding: Encoding::Plain as u8,
        min_time: Timestamp(5_000_000),
        max_time: Timestamp(5_000_000),
        extensions: Vec::new(),
        runs,
    }
}

/// A block of rows with these values and offsets from `base`.
pub fn rows_block(base: i64, values: &[i64]) -> Block {
    let count = values.len();
    let times = TimestampMicrosecondArray::from(vec![5_000_000; count]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(values.to_vec())),
        Arc::new(Int64Array::from_iter_values(base..base + count as i64)),
        Arc::new(times),
    ];
    let batch = RecordBatch::try_new(rows::body_schema(&schema(), Optional::NONE), columns).unwrap();
    let run = Run::new(0, base, count as u32, count as u32);
    let body = rows::encode(&batch, Encoding::Plain).unwrap();
    Block { header: header(BlockKind::Rows, vec![run]), body: body.into() }
}

pub fn rejects_block(offset: i64) -> Block {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
    let schema = rows::rejects_body_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "offset" => number(offset),
        "byte_offset" => number(3),
        "index" => Arc::new(Int32Array::from(vec![0])) as ArrayRef,
        "payload" => Arc::new(BinaryArray::from(vec![&b"sealed"[..]])) as ArrayRef,
        "request_id" | "origin" => new_null_array(field.data_type(), 1),
        name => text(name),
    });
    let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let body = rows::encode(&batch, Encoding::Plain).unwrap();
    Block { header: header(BlockKind::Rejects, vec![Run::new(0, offset, 1, 1)]), body: body.into() }
}

pub fn tally(stored: u64) -> Record {
    let mut tally = Tally::new(STREAM, "http", Timestamp(61_000_000));
    tally.received = stored;
    tally.stored = stored;
    Record { kind: RecordKind::Tally, owner: Bytes::new(), value: tally.to_bytes().into() }
}

pub fn append(blocks: Vec<Block>, records: Vec<Record>) -> Append {
    Append { received_at: Timestamp(9_000_000), blocks, records }
}

/// An append of one row, whose value is its offset.
pub fn row(offset: i64) -> Append {
    append(vec![rows_block(offset, &[offset])], vec![tally(1)])
}

/// A `MemoryLog` in which some appends cannot be read.
pub struct DamagedLog {
    pub log: MemoryLog,
    /// Reading them is an error.
    pub damaged: HashSet<Seq>,
    /// They are passed over as if they had never been.
    pub lost: RangeInclusive<u64>,
}

impl DamagedLog {
    pub fn new(log: MemoryLog, damaged: HashSet<Seq>) -> DamagedLog {
        DamagedLog { log, damaged, lost: 0..=0 }
    }
}

impl Log for DamagedLog {
    fn durable(&self) -> watch::Receiver<Seq> {
        self.log.durable()
    }

    fn first_kept(&self) -> Seq {
        self.log.first_kept()
    }

    fn released(&self) -> Seq {
        self.log.released()
    }

    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError> {
        let after = if self.lost.contains(&after.next().0) { Seq(*self.lost.end()) } else { after };
        let mut appends = self.log.read(after, bytes_max)?;
        if let Some(index) = appends.iter().position(|append| self.damaged.contains(&append.seq)) {
            if index == 0 {
                let (file, reason) = ("segment-1".to_owned(), "a checksum differs".to_owned());
                return Err(ReadError::Damaged { file, start: 10, end: 20, reason });
            }
            appends.truncate(index);
        }
        Ok(appends)
    }

    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError> {
        self.log.blocks(stream, kind, after, through)
    }

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError> {
        self.log.read_block(block)
    }

    fn release(&self, seq: Seq) {
        self.log.release(seq);
    }
}

/// What a [`Recorder`] was told, and how it is to behave.
#[derive(Default)]
pub struct Notes {
    pub values: Vec<i64>,
    pub rejects: usize,
    pub tallies: usize,
    pub deliveries: Vec<Seq>,
    pub pending_bytes: usize,
    pub applied: Seq,
    /// When each commit came, since the start, and what it covered.
    pub commits: Vec<(Duration, Seq)>,
    pub attempts: Vec<Duration>,
    pub positions: Positions,
    /// Errors to be returned by the next calls.
    pub refuse_apply: usize,
    pub refuse_commit: usize,
    pub rewind: Option<Seq>,
    /// Added to the size of each delivery.
    pub weight: usize,
}

#[derive(Clone)]
pub struct Recorder {
    pub notes: Arc<Mutex<Notes>>,
    pub start: Instant,
}

impl Recorder {
    pub fn new(notes: Notes) -> Recorder {
        Recorder { notes: Arc::new(Mutex::new(notes)), start: Instant::now() }
    }

    pub fn read<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().unwrap())
    }
}

#[async_trait]
impl Sink for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn positions(&self) -> Positions {
        self.read(|notes| notes.positions.clone())
    }

    async fn apply(&mut self, delivery: Delivery) -> Result<(), SinkError> {
        let mut notes = self.notes.lock().unwrap();
        notes.attempts.push(self.start.elapsed());
        if notes.refuse_apply > 0 {
            notes.refuse_apply -= 1;
            return Err(SinkError::new("no room"));
        }
        notes.deliveries.push(delivery.through);
        notes.applied = delivery.through;
        for rows in &delivery.rows {
            assert_eq!(rows.batch.schema(), *schema().table_columns());
            notes.values.extend(rows.batch.column(0).as_primitive::<Int64Type>().values());
        }
        notes.rejects += delivery.rejects.iter().map(|rejects| rejects.batch.num_rows()).sum::<usize>();
        notes.tallies += delivery.tallies.len();
        notes.pending_bytes += delivery.bytes + notes.weight;
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.read(|notes| notes.pending_bytes)
    }

    async fn commit(&mut self) -> Result<Seq, SinkError> {
        let mut notes = self.notes.lock().unwrap();
        notes.attempts.push(self.start.elapsed());
        if notes.refuse_commit > 0 {
            notes.refuse_commit -= 1;
            return Err(SinkError::new("the disk is full"));
        }
        notes.pending_bytes = 0;
        let applied = notes.applied;
        notes.commits.push((self.start.elapsed(), applied));
        Ok(applied)
    }

    fn rewind(&mut self) -> Option<Seq> {
        self.notes.lock().unwrap().rewind.take()
    }
}

pub fn positions(rows: Seq, rejects: Seq, ledger: Seq) -> Positions {
    Positions { rows: HashMap::from([(STREAM, rows)]), rejects, ledger }
}
