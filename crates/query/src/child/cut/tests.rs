//! What travels of a cut, and that it comes back as it was.

use std::time::Instant;

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, SchemaRef},
};

use super::*;
use crate::{Pieces, Range, streams_schema};

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
        damage: None,
    }
}

fn names(names: &[&str]) -> HashSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// To the process and back, as bytes.
fn sent(
    cut: &Cut,
    words: &[&str],
    here: &mut Lists<()>,
    there: &mut Lists<Files>,
) -> (usize, Result<Cut, QueryError>) {
    let bytes = wire::encode(&to_tables(cut, &names(words), here).unwrap()).unwrap();
    let streams = wire::batch_bytes(&cut.streams).unwrap();
    (bytes.len(), to_cut(wire::decode(&bytes).unwrap(), &streams, there, &Counts))
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
    // The others have their names, the views the columns that they are made of; their rows are an error, not none.
    for (table, has_columns) in back.tables[1..].iter().zip([false, true, true]) {
        assert_eq!(!table.columns.fields().is_empty(), has_columns, "{}", table.name);
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

#[test]
fn a_list_of_files_travels_once() {
    let (mut here, mut there) = (Lists::default(), Lists::default());
    let cuts: Vec<Cut> = (0..=LISTS_MAX)
        .map(|_| Cut {
            tables: vec![table("a", TableKind::Stream, 5_000, 0)],
            streams: RecordBatch::new_empty(streams_schema()),
        })
        .collect();
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
