//! What travels of a cut, and that it comes back as it was.

use std::time::Instant;

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, SchemaRef},
};

use super::*;
use crate::{HotBatches, HotError, Pieces, Range, TableKind, streams_schema};

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// Rows that say of themselves how many they are.
#[derive(Debug)]
struct Counted(usize);

impl HotSource for Counted {
    fn rows(&self) -> usize {
        self.0
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        let numbers = Int64Array::from_iter_values(0..self.0 as i64);
        Ok(Box::new(std::iter::once(Ok(RecordBatch::try_new(columns(), vec![Arc::new(numbers)])?))))
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        Some(vec![self.0 as u8])
    }
}

struct Counts;

impl HotOpener for Counts {
    fn open(&self, _: &SchemaRef, source: &[u8]) -> Result<Arc<dyn HotSource>, HotError> {
        match source {
            [0xff] => Err(Box::new(QueryError::SnapshotGone)),
            [rows] => Ok(Arc::new(Counted(usize::from(*rows)))),
            _ => Err("no source".into()),
        }
    }
}

fn file(number: usize) -> CutFile {
    let range = Some(Range { min: number as i64 * 1_000_000_007, max: i64::MAX - number as i64 });
    CutFile {
        path: format!("sensor.reading/part-{number:020}-0123456789abcdef.parquet").into(),
        bytes: 1 << 20,
        rows: 1_000_000,
        partition: range,
        offset: range,
        seq: range,
        time: None,
        received_at: None,
        crc32c: Some(number as u32),
        pieces: Some(Pieces { bytes: 256 << 10, crc32c: [number as u32; 4].into() }),
    }
}

fn table(name: &str, kind: TableKind, files: usize, hot: usize) -> TableCut {
    let files: Vec<CutFile> = (0..files).map(file).collect();
    let hot: Arc<dyn HotSource> = Arc::new(Counted(hot));
    TableCut {
        name: name.to_owned(),
        kind,
        columns: columns(),
        lake_root: "/lake".into(),
        files: files.into(),
        hot,
        unreadable: None,
    }
}

fn names(names: &[&str]) -> Names {
    Names::new(names.iter().map(|name| (*name).to_owned()), Vec::new())
}

/// To the process and back, as bytes.
fn sent(cut: &Cut, words: &[&str], here: &mut Lists, there: &mut Lists) -> (usize, Result<Cut, QueryError>) {
    let bytes = wire::encode(&to_tables(cut, &names(words), here).unwrap()).unwrap();
    let streams = wire::batch_bytes(&cut.streams).unwrap();
    let mut tables: Vec<Table> = wire::decode(&bytes).unwrap();
    let files = take_lists(&mut tables, there).unwrap();
    (bytes.len(), to_cut(tables, files, Some(&streams), &Counts))
}

#[test]
fn what_is_named_comes_back_and_the_rest_is_never_empty() {
    let cut = Cut {
        tables: vec![
            table("a", TableKind::Stream, 3, 7),
            table("b", TableKind::Stream, 1, 0),
            table("rejects", TableKind::Rejects, 1, 1),
            table("ledger", TableKind::Ledger, 1, 1),
        ],
        streams: RecordBatch::new_empty(streams_schema()),
    };
    let (mut here, mut there) = (Lists::default(), Lists::default());
    let back = sent(&cut, &["select", "a"], &mut here, &mut there).1.unwrap();
    assert_eq!(back.streams, cut.streams);
    let a = &back.tables[0];
    assert_eq!((a.name.as_str(), a.kind, &a.columns, a.files.len()), ("a", TableKind::Stream, &columns(), 3));
    assert_eq!((&a.lake_root, &a.files[2].path), (&cut.tables[0].lake_root, &cut.tables[0].files[2].path));
    assert_eq!((a.files[2].offset, a.files[2].time), (cut.tables[0].files[2].offset, None));
    assert_eq!(a.hot.batches().unwrap().next().unwrap().unwrap().num_rows(), 7);
    // The others have their names; their rows are an error, not none.
    for table in &back.tables[1..] {
        assert!(table.columns.fields().is_empty(), "{}", table.name);
        assert!(table.hot.rows() > 0 && table.hot.batches().is_err(), "{}", table.name);
    }
    // `streams` reads the ledger, and whoever lists columns sees those of all.
    let back = sent(&cut, &["streams"], &mut here, &mut there).1.unwrap();
    assert_eq!(back.tables[3].hot.batches().unwrap().count(), 1);
    let back = sent(&cut, &["information_schema"], &mut here, &mut there).1.unwrap();
    assert!(back.tables.iter().all(|table| table.columns == columns()));

    let mut rest = cut.clone();
    let_go(&mut rest, &names(&["b"]));
    assert_eq!(rest.tables[0].hot.rows(), 0, "nothing is held for a table that is not named");
    assert_eq!(rest.tables[1].files.len(), 1);
}

#[test]
fn a_fault_of_the_hot_rows_is_the_statements() {
    let cut = Cut {
        tables: vec![table("a", TableKind::Stream, 0, 255)],
        streams: RecordBatch::new_empty(streams_schema()),
    };
    let end = sent(&cut, &["a"], &mut Lists::default(), &mut Lists::default()).1;
    assert_eq!(end.unwrap_err(), QueryError::SnapshotGone);
}

/// The server goes by what it has sent, whatever became of the statement.
#[test]
fn a_list_arrives_also_with_a_statement_that_fails() {
    let (mut here, mut there) = (Lists::default(), Lists::default());
    let failing = table("a", TableKind::Stream, 3, 255);
    let good = TableCut { hot: Arc::new(NoHot), ..failing.clone() };
    let cut = |table| Cut { tables: vec![table], streams: RecordBatch::new_empty(streams_schema()) };
    sent(&cut(failing), &["a"], &mut here, &mut there).1.unwrap_err();
    assert_eq!(sent(&cut(good), &["a"], &mut here, &mut there).1.unwrap().tables[0].files.len(), 3);
}

/// Files come, go, and come back in any order: what arrives is the list that was sent, and only new files are in the bytes.
#[test]
fn a_list_that_follows_another_travels_as_what_differs() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let (mut here, mut there) = (Lists::default(), Lists::default());
    let mut number = 0;
    let mut fresh = |count: usize| -> Vec<Arc<Listed>> {
        (0..count)
            .map(|_| {
                number += 1;
                Arc::new(Listed::from(file(number)))
            })
            .collect()
    };
    let mut files = fresh(2_000);
    for round in 0..60 {
        // As a commit does, and as a compaction does; once all of it.
        files.extend(fresh(below(3)));
        if round % 3 == 0 {
            let (at, many) = (below(files.len()), below(40));
            let end = files.len().min(at + many);
            files.splice(at..end, fresh(1));
        }
        if round == 30 {
            files.reverse();
        }
        let empty = table("a", TableKind::Stream, 0, 0);
        let cut = Cut {
            tables: vec![TableCut { files: Files::from(files.clone()), ..empty }],
            streams: RecordBatch::new_empty(streams_schema()),
        };
        let (bytes, back) = sent(&cut, &["a"], &mut here, &mut there);
        let back = back.unwrap();
        let paths = |cut: &Cut| cut.tables[0].files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&back), paths(&cut), "round {round}");
        if round > 0 && round != 30 {
            assert!(bytes < 2_000, "round {round}: {bytes} bytes");
        }
    }
}

#[test]
fn a_list_of_files_travels_once() {
    let (mut here, mut there) = (Lists::default(), Lists::default());
    let cuts: Vec<Cut> = (0..=LISTS_MAX)
        .map(|_| Cut {
            tables: vec![table("a", TableKind::Stream, 5_000, 0)],
            streams: RecordBatch::new_empty(streams_schema()),
        })
        .collect();
    // Other lists, of other files, each of which both sides have.
    for (round, cut) in cuts.iter().chain(&cuts[1..]).enumerate() {
        let began = Instant::now();
        let (bytes, back) = sent(cut, &["a"], &mut here, &mut there);
        assert_eq!(back.unwrap().tables[0].files.len(), 5_000);
        let first = round < cuts.len();
        println!("{bytes} bytes in {:?}", began.elapsed());
        assert_eq!(bytes > 10_000, first, "round {round}: {bytes} bytes");
    }
    // The oldest list was forgotten on both sides.
    assert!(sent(&cuts[0], &["a"], &mut here, &mut there).0 > 10_000);
}
