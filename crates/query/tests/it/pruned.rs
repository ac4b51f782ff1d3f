//! Leaving out what cannot matter changes no answer: random tables and random predicates, with what is known of files and
//! hot parts and without.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use hw_query::{
    Cut, CutFile, HotBatches, HotError, HotPart, HotScan, HotSource, Range, Ranges, TableCut, TableKind,
};

use crate::house::{MAY, batch, code, house, rows, runner, settings, times, write};

const SECOND: i64 = 1_000_000;

struct Random(u64);

impl Random {
    fn seeded() -> Random {
        let seed = std::env::var("HW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64 | 1
        });
        println!("seed: HW_SEED={seed}");
        Random(seed | 1)
    }

    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.unsigned_abs()) as i64
    }
}

/// Hot rows that say what is known of their parts, and count which were read.
#[derive(Debug)]
struct Parted {
    batches: Vec<RecordBatch>,
    parts: Vec<HotPart>,
    read: Mutex<Vec<usize>>,
    widest: AtomicUsize,
}

impl HotSource for Parted {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(self.batches.clone().into_iter().map(Ok)))
    }

    fn parts(&self) -> Vec<HotPart> {
        self.parts.clone()
    }

    fn batches_of(&self, scan: &HotScan) -> Result<HotBatches, HotError> {
        let parts = scan.parts.clone().unwrap_or_else(|| (0..self.batches.len()).collect());
        self.read.lock().unwrap().extend_from_slice(&parts);
        self.widest.fetch_max(scan.columns.fields().len(), Ordering::Relaxed);
        let columns = Arc::clone(&scan.columns);
        let some = |batch: &RecordBatch| {
            let places: Vec<usize> =
                columns.fields().iter().map(|field| batch.schema().index_of(field.name()).unwrap()).collect();
            Ok(batch.project(&places)?)
        };
        Ok(Box::new(parts.iter().map(|part| some(&self.batches[*part])).collect::<Vec<_>>().into_iter()))
    }
}

/// Rows with offsets from `first` on, whose times go up and down.
fn events(random: &mut Random, first: i64, count: i64, seq: i64) -> RecordBatch {
    let offsets: Vec<i64> = (first..first + count).collect();
    let base = MAY + first * SECOND;
    let mut numbers = |bound| (0..count).map(|_| random.below(bound)).collect::<Vec<i64>>();
    let (jitter, values, partitions) = (numbers(90), numbers(50), numbers(3));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter(values.iter().map(|n| (n % 7 != 0).then_some(*n))))),
        ("text", Arc::new(StringArray::from_iter_values(values.iter().map(|n| format!("t{}", n % 11))))),
        ("_partition", Arc::new(Int32Array::from_iter_values(partitions.iter().map(|at| *at as i32)))),
        ("_offset", Arc::new(Int64Array::from(offsets))),
        ("_seq", Arc::new(Int64Array::from(vec![seq; count as usize]))),
        ("_time", times(jitter.iter().map(|by| base + by * SECOND / 3))),
        ("_received_at", times(jitter.iter().map(|by| base + by))),
    ];
    batch(columns)
}

fn ranges(batch: &RecordBatch) -> Ranges {
    let column = |name: &str| {
        let column = batch.column_by_name(name).unwrap();
        let values = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).unwrap();
        let values = values.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
        Some(Range { min: *values.iter().min().unwrap(), max: *values.iter().max().unwrap() })
    };
    // A time is rounded outwards, as the lake does it.
    let outwards = |range: Range| Range { min: range.min - 999, max: range.max + 999 };
    let (time, received_at) = (column("_time").map(outwards), column("_received_at").map(outwards));
    Ranges {
        partition: column("_partition"),
        offset: column("_offset"),
        seq: column("_seq"),
        time,
        received_at,
    }
}

struct Two {
    known: Cut,
    unknown: Cut,
    hot: Arc<Parted>,
    files: usize,
    _lake: tempfile::TempDir,
}

fn two(random: &mut Random) -> Two {
    let house = house();
    let root = house.lake.path();
    let (mut first, mut files, mut hot, mut parts) = (0, Vec::new(), Vec::new(), Vec::new());
    let mut columns: Option<SchemaRef> = None;
    let count = 2 + random.below(6);
    for number in 0..count + 1 + random.below(5) {
        let length = 1 + random.below(40);
        let made = events(random, first, length, number);
        first += length + random.below(20);
        columns = Some(made.schema());
        if number < count {
            let known = ranges(&made);
            let file = write(root, &format!("t/{number}.parquet"), &made);
            let Ranges { partition, offset, seq, time, received_at } = known;
            let bytes = std::fs::read(root.join(&file.path)).unwrap();
            let crc32c = Some(crc32c::crc32c(&bytes));
            files.push(CutFile { partition, offset, seq, time, received_at, crc32c, ..file });
        } else {
            parts.push(HotPart { rows: made.num_rows() as u64, ranges: ranges(&made) });
            hot.push(made);
        }
    }
    let hot = Arc::new(Parted { batches: hot, parts, read: Mutex::default(), widest: AtomicUsize::new(0) });
    let nothing = |file: &CutFile| CutFile {
        partition: None,
        offset: None,
        seq: None,
        time: None,
        received_at: None,
        crc32c: None,
        ..file.clone()
    };
    let table = |files: Vec<CutFile>, hot: Arc<dyn HotSource>| TableCut {
        name: "t".to_owned(),
        kind: TableKind::Stream,
        columns: columns.clone().unwrap(),
        lake_root: root.to_owned(),
        files: files.into(),
        hot,
        unreadable: None,
    };
    let plain: Arc<dyn HotSource> = Arc::new(crate::house::Batches(hot.batches.clone()));
    let cut = |table: TableCut| Cut { tables: vec![table], streams: house.cut.streams.clone() };
    Two {
        unknown: cut(table(files.iter().map(nothing).collect(), plain)),
        files: files.len(),
        known: cut(table(files, Arc::clone(&hot) as Arc<dyn HotSource>)),
        hot,
        _lake: house.lake,
    }
}

fn predicate(random: &mut Random, depth: i64) -> String {
    let comparison = ["=", "<>", "<", "<=", ">", ">="][random.below(6) as usize];
    let mut any = |bound| random.below(bound);
    let term = match any(10) {
        0 => format!("_offset {comparison} {}", any(300)),
        1 => format!("_partition {comparison} {}", any(4)),
        2 => format!("_seq {comparison} {}", any(12)),
        3 => format!("_time {comparison} TIMESTAMP '2024-05-01T00:0{}:{:02}Z'", any(6), any(60)),
        4 => format!("_offset BETWEEN {} AND {}", any(200), any(300)),
        5 => format!("_offset IN ({}, {}, {})", any(300), any(300), any(300)),
        6 => format!("n {comparison} {}", any(50)),
        7 => format!("text = 't{}'", any(12)),
        8 => format!("_received_at {comparison} TIMESTAMP '2024-05-01T00:0{}:{:02}Z'", any(6), any(60)),
        _ => "n IS NULL".to_owned(),
    };
    let negated = if any(6) == 0 { format!("NOT ({term})") } else { term };
    if depth == 0 || any(2) == 0 {
        return negated;
    }
    let joined = if any(2) == 0 { "AND" } else { "OR" };
    format!("({negated} {joined} {})", predicate(random, depth - 1))
}

fn statement(random: &mut Random) -> String {
    let filter = match random.below(5) {
        0 => String::new(),
        _ => format!("WHERE {}", predicate(random, 3)),
    };
    let column = ["_offset", "_time", "_seq", "_partition", "n", "text"][random.below(6) as usize];
    let order = if random.below(2) == 0 { "ASC" } else { "DESC" };
    match random.below(6) {
        0 => format!("SELECT count(*) FROM t {filter}"),
        1 => format!("SELECT min({column}), max({column}), count(*), count(n) FROM t {filter}"),
        2 => format!("SELECT {column}, _offset FROM t {filter} ORDER BY {column} {order}, _offset LIMIT 5"),
        3 => format!("SELECT * FROM t {filter} ORDER BY _offset {order} LIMIT 7"),
        4 => format!("SELECT _partition, max({column}), sum(n) FROM t {filter} GROUP BY 1 ORDER BY 1"),
        _ => format!(
            "SELECT a._offset, b.text FROM t a JOIN t b ON a._offset = b._offset {} ORDER BY 1 LIMIT 9",
            filter
                .replace("_offset", "a._offset")
                .replace("_partition", "a._partition")
                .replace("_seq", "a._seq")
                .replace("_time", "b._time")
                .replace("text", "b.text")
                .replace(" n ", " b.n ")
                .replace("(n ", "(b.n ")
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_changes_no_answer() {
    let mut random = Random::seeded();
    let runner = runner(settings());
    let mut compared = 0;
    for _ in 0..12 {
        let two = two(&mut random);
        for _ in 0..25 {
            let statement = statement(&mut random);
            let plain = code(&runner, &two.unknown, &statement).await;
            assert_eq!(code(&runner, &two.known, &statement).await, plain, "{statement}");
            if plain == "ok" {
                let with = rows(&runner, &two.known, &statement).await;
                assert_eq!(with, rows(&runner, &two.unknown, &statement).await, "{statement}");
                compared += 1;
            }
        }
        assert!(two.files > 0);
    }
    println!("{compared} answers were the same");
    assert!(compared > 200, "{compared}");
}

#[tokio::test]
async fn only_parts_and_columns_that_matter_are_read() {
    let mut random = Random::seeded();
    let two = two(&mut random);
    let runner = runner(settings());
    let last = two.hot.parts.len() - 1;
    let from = two.hot.parts[last].ranges.offset.unwrap().min;
    let found = rows(&runner, &two.known, &format!("SELECT count(n) FROM t WHERE _offset >= {from}")).await;
    assert_eq!(
        found,
        rows(&runner, &two.unknown, &format!("SELECT count(n) FROM t WHERE _offset >= {from}")).await
    );
    assert_eq!(*two.hot.read.lock().unwrap(), [last], "one part of {}", last + 1);
    assert_eq!(two.hot.widest.load(Ordering::Relaxed), 2, "n and _offset");
}

#[tokio::test]
async fn ends_of_reserved_columns_are_known_without_a_file() {
    let mut random = Random::seeded();
    let two = two(&mut random);
    let runner = runner(settings());
    let ends = "SELECT min(_offset), max(_offset), min(_seq), max(_seq), max(_partition), count(*) FROM t";
    let expected = rows(&runner, &two.unknown, ends).await;
    for file in two.known.tables[0].files.iter() {
        std::fs::remove_file(two.known.tables[0].lake_root.join(&file.path)).unwrap();
    }
    assert_eq!(rows(&runner, &two.known, ends).await, expected);
    assert!(two.hot.read.lock().unwrap().is_empty());
    // Bounds of times are rounded: they are read.
    assert_eq!(code(&runner, &two.known, "SELECT min(_time) FROM t").await, "damaged");
    // Bounds that another writer gave prove what is not there, and nothing else.
    assert_eq!(code(&runner, &two.unknown, ends).await, "damaged");
}
