//! What a reader sees: the lake's snapshots and, behind each, the hot tail, as rows.
//! Taken as the server takes it: the snapshots first, so that a commit in between only makes the tail start too early
//! for the journal, which says so. Files are read through Parquet alone, and their checksums compared.

use std::{collections::HashMap, path::PathBuf};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type},
};
use bytes::Bytes;
use hw_event::Seq;
use hw_journal::ReadError;
use hw_lake::{Table, TableSnapshot};
use hw_pipeline::hot::{Hot, HotTail};
use hw_schema::rows;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::world::{Boot, STREAMS, World};

#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub id: i64,
    pub partition: i32,
    pub offset: i64,
    pub seq: u64,
}

#[derive(Debug)]
pub struct Reject {
    pub stream: usize,
    pub request: String,
    pub index: i32,
    pub partition: i32,
    pub offset: i64,
    pub seq: u64,
    pub payload: Vec<u8>,
}

/// Of one stream, summed over the ledger.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub received: i64,
    pub stored: i64,
    pub rejected: i64,
    pub duplicates: i64,
}

#[derive(Debug, Default)]
pub struct Cut {
    pub rows: [Vec<Row>; STREAMS.len()],
    pub rejects: Vec<Reject>,
    pub ledger: [Counts; STREAMS.len()],
    /// Version and position of each table that has a commit.
    pub tables: Vec<(Table, String, i64, Seq)>,
    pub durable: Seq,
}

/// Files that were read; a power cut may change them.
#[derive(Default)]
pub struct Files(HashMap<PathBuf, Vec<RecordBatch>>);

impl Files {
    pub fn forget(&mut self) {
        self.0.clear();
    }

    fn read(&mut self, world: &World, snapshot: &TableSnapshot) -> Vec<RecordBatch> {
        let mut all = Vec::new();
        for file in &snapshot.files {
            let batches = self.0.entry(file.path.clone()).or_insert_with(|| {
                let path = world.root.join(&file.path);
                let bytes =
                    std::fs::read(&path).unwrap_or_else(|error| panic!("a file of the lake: {error}"));
                assert_eq!(Some(crc32c::crc32c(&bytes)), file.crc32c, "a file of the lake has other bytes");
                let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).expect("Parquet");
                reader.build().expect("Parquet").map(|batch| batch.expect("Parquet")).collect()
            });
            all.extend(batches.iter().cloned());
        }
        let rows: usize = all.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows as u64, snapshot.rows, "a snapshot counts other rows than its files have");
        all
    }
}

pub fn take(world: &World, boot: &Boot, files: &mut Files) -> Cut {
    for _ in 0..4 {
        match try_take(world, boot, files) {
            Ok(cut) => return cut,
            Err(ReadError::Gone { .. }) => {}
            Err(error) => panic!("the hot tail cannot be read: {error}"),
        }
    }
    panic!("the journal no longer has what no table holds");
}

fn try_take(world: &World, boot: &Boot, files: &mut Files) -> Result<Cut, ReadError> {
    let in_lake = Seq(boot.log.first_kept().0.saturating_sub(1));
    let streams: Vec<_> =
        STREAMS.iter().map(|(name, _)| boot.registry.by_name(name).expect("declared")).collect();
    let mut tables: Vec<_> = streams
        .iter()
        .map(|stream| (Table::Stream(stream.id), Hot::Rows(stream.id), stream.name.to_string()))
        .collect();
    tables.push((Table::Rejects, Hot::Rejects, "rejects".to_owned()));
    tables.push((Table::Ledger, Hot::Ledger, "ledger".to_owned()));
    let snapshots: Vec<_> = tables.iter().map(|(table, ..)| boot.lake.table(*table)).collect();
    let durable = *boot.log.durable().borrow();
    let mut cut = Cut { durable, ..Cut::default() };
    for (at, ((table, hot, name), snapshot)) in tables.into_iter().zip(snapshots).enumerate() {
        let columns = match table {
            Table::Stream(_) => streams[at].current().expect("declared").1.table_columns().clone(),
            Table::Rejects => rows::rejects_table_schema(),
            Table::Ledger => rows::ledger_table_schema(),
        };
        let mut batches = Vec::new();
        if let Some(snapshot) = &snapshot {
            assert!(snapshot.seq <= durable, "the table {name} is ahead of the journal");
            batches = files.read(world, snapshot);
            if let Some(beyond) = seqs(table, &batches).find(|&seq| seq > snapshot.seq.0) {
                panic!("the table {name} holds append {beyond}, beyond its position {}", snapshot.seq);
            }
            cut.tables.push((table, name, snapshot.version, snapshot.seq));
        }
        let after = snapshot.map_or(Seq::ZERO, |snapshot| snapshot.seq).max(in_lake);
        if after < durable {
            let tail = HotTail::take(&boot.log, &boot.registry, hot, after, durable)?;
            batches.extend(tail.batches(&columns).expect("the hot tail decodes"));
        }
        match table {
            Table::Stream(_) => batches.iter().for_each(|batch| add_rows(&mut cut.rows[at], batch)),
            Table::Rejects => batches.iter().for_each(|batch| add_rejects(&mut cut.rejects, batch)),
            Table::Ledger => batches.iter().for_each(|batch| add_counts(&mut cut.ledger, batch)),
        }
    }
    Ok(cut)
}

fn seqs(table: Table, batches: &[RecordBatch]) -> impl Iterator<Item = u64> {
    let column = if table == Table::Rejects { "seq" } else { "_seq" };
    let values = |batch: &RecordBatch| match batch.column_by_name(column) {
        Some(array) => array.as_primitive::<Int64Type>().values().iter().map(|seq| *seq as u64).collect(),
        None => Vec::new(),
    };
    batches.iter().flat_map(values)
}

fn long(batch: &RecordBatch, column: &str, row: usize) -> i64 {
    batch.column_by_name(column).expect(column).as_primitive::<Int64Type>().value(row)
}

fn int(batch: &RecordBatch, column: &str, row: usize) -> i32 {
    batch.column_by_name(column).expect(column).as_primitive::<Int32Type>().value(row)
}

fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> &'a str {
    batch.column_by_name(column).expect(column).as_string::<i32>().value(row)
}

fn stream_of(name: &str) -> usize {
    STREAMS.iter().position(|(known, _)| *known == name).expect("a stream of ours")
}

fn add_rows(rows: &mut Vec<Row>, batch: &RecordBatch) {
    for row in 0..batch.num_rows() {
        rows.push(Row {
            id: long(batch, "id", row),
            partition: int(batch, "_partition", row),
            offset: long(batch, "_offset", row),
            seq: long(batch, "_seq", row) as u64,
        });
    }
}

fn add_rejects(rejects: &mut Vec<Reject>, batch: &RecordBatch) {
    let payloads = batch.column_by_name("payload").expect("payload").as_binary::<i32>();
    for row in 0..batch.num_rows() {
        rejects.push(Reject {
            stream: stream_of(text(batch, "stream", row)),
            request: text(batch, "request_id", row).to_owned(),
            index: int(batch, "index", row),
            partition: int(batch, "partition", row),
            offset: long(batch, "offset", row),
            seq: long(batch, "seq", row) as u64,
            payload: payloads.value(row).to_vec(),
        });
    }
}

fn add_counts(ledger: &mut [Counts; STREAMS.len()], batch: &RecordBatch) {
    for row in 0..batch.num_rows() {
        let counts = &mut ledger[stream_of(text(batch, "stream", row))];
        counts.received += long(batch, "received", row);
        counts.stored += long(batch, "stored", row);
        counts.rejected += long(batch, "rejected", row);
        counts.duplicates += long(batch, "duplicates", row);
    }
}

/// Every commit that adds files carries its position, and the newest one says what the snapshot says.
pub fn check_positions(world: &World, cut: &Cut) {
    for (_, name, version, seq) in &cut.tables {
        let log = world.root.join(name).join("_delta_log");
        for at in (0..=*version).rev().take(4) {
            let Ok(text) = std::fs::read_to_string(log.join(format!("{at:020}.json"))) else { continue };
            let actions: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("an action")).collect();
            let position = actions.iter().find_map(|action| action["txn"]["version"].as_u64());
            let adds = actions.iter().any(|action| action.get("add").is_some());
            assert!(!adds || position.is_some(), "{name}: commit {at} adds files without a position");
            if at == *version {
                assert_eq!(position, Some(seq.0), "{name}: the newest commit has another position");
            }
        }
    }
}
