//! Figures: what an event takes at rest, and what a commit and an open cost as a table grows. Ignored, since they judge
//! nothing: `cargo test -p hw-lake --test it growth -- --ignored --nocapture`; `HW_EVENTS` and `HW_COMMITS` set the sizes,
//! `HW_DIRECTORY` where (a file system in memory shows the work without the disk's waiting).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use hw_event::{Clock, Seq, StreamId, SystemClock, Timestamp};
use hw_lake::{Lake, LakeSettings, Table, Turn};
use hw_pipeline::{RowsDelivery, Sink};
use hw_schema::{
    DecodeLimits, Decoder, Format, Record, Registry, Stream,
    rows::{self, Optional},
};
use hw_testkit::ManualClock;
use hw_vault::HashKey;
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};

use crate::fixture::{JOURNAL, MINUTE, empty, schema, stream};

const BIDS: StreamId = StreamId(7);
const SCHEMA: &str = r#"{"type":"object","properties":{
    "auction":{"type":"integer"},"bidder":{"type":"integer"},"price":{"type":"integer"},
    "channel":{"type":"string"},"url":{"type":"string"},"date_time":{"type":"string","format":"date-time"},
    "temp":{"type":"number"},"extra":{"type":"string"}},"required":["auction"]PARTITIONS}"#;
const EVENTS_A_BATCH: usize = 30_000;

/// Auction bids, 243 bytes each on the mean, always the same ones.
struct Bids {
    state: u64,
    row: u64,
}

impl Bids {
    fn new() -> Bids {
        Bids { state: 0x9E37_79B9_7F4A_7C15, row: 0 }
    }

    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn next(&mut self) -> String {
        const CHANNELS: [&str; 6] = ["Google", "Facebook", "Baidu", "Apple", "channel-4711", "channel-118"];
        const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let channel = CHANNELS[(self.draw() % 6) as usize];
        let (length, from) = ((self.draw() % 40 + 20) as usize, (self.draw() % 20) as usize);
        let extra = &LETTERS[from..(from + length).min(62)];
        let (auction, bidder) = (1000 + self.draw() % 20_000, 1000 + self.draw() % 50_000);
        let price = self.draw() % 10_000_000;
        let (page, id) = (self.draw() & 0xff_ffff, self.draw() % 10_000);
        let millis = self.row / 10;
        let (minute, second, milli) = (millis / 60_000 % 60, millis / 1000 % 60, millis % 1000);
        let temp = (self.draw() % 100_000) as f64 / 100.0 - 200.0;
        self.row += 1;
        format!(
            "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"{channel}\",\
             \"url\":\"https://www.nexmark.com/{page:x}/item.htm?query=1&channel_id={id}\",\
             \"date_time\":\"2026-11-21T20:{minute:02}:{second:02}.{milli:03}Z\",\"temp\":{temp:.2},\"extra\":\"{extra}\"}}"
        )
    }
}

/// The next events, decoded.
fn decoded(stream: &Stream, bids: &mut Bids, count: u32) -> RecordBatch {
    let events: Vec<String> = (0..count).map(|_| bids.next()).collect();
    let records: Vec<_> = events
        .iter()
        .map(|event| Record { bytes: event.as_bytes(), format: Format::Json, fault: None, event_time: None })
        .collect();
    let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
    let (_, schema) = stream.current().unwrap();
    let applied = Decoder::new(schema.clone(), HashKey::from_bytes(&[7; 32]), limits).apply(&records);
    assert!(applied.rejects.is_empty(), "{:?}", applied.rejects.first());
    applied.batch
}

/// Events as a delivery of one append, `first` being the first one's offset.
fn delivery(
    stream: &Arc<Stream>,
    events: &RecordBatch,
    seq: Seq,
    first: i64,
    runs: &[(i32, u32)],
) -> RowsDelivery {
    let count = events.num_rows() as i64;
    let (number, schema) = stream.current().unwrap();
    let body_schema = rows::body_schema(schema, Optional::NONE);
    let columns: Vec<ArrayRef> = body_schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "_offset" => Arc::new(Int64Array::from_iter_values(first..first + count)) as ArrayRef,
            "_time" => {
                let times = (0..count).map(|at| MINUTE.0 + (first + at) / 10 * 1000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            name => events.column_by_name(name).unwrap().clone(),
        })
        .collect();
    let body = RecordBatch::try_new(body_schema, columns).unwrap();
    let received = Timestamp(MINUTE.0 + first * 100);
    let batch = rows::table_batch(schema, number, runs, Optional::NONE, seq, received, body).unwrap();
    RowsDelivery { stream: stream.clone(), seq, number, batch }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn directory() -> tempfile::TempDir {
    match std::env::var("HW_DIRECTORY") {
        Ok(path) => tempfile::tempdir_in(path).unwrap(),
        Err(_) => tempfile::tempdir().unwrap(),
    }
}

struct Figures {
    root: PathBuf,
    registry: Arc<Registry>,
    stream: Arc<Stream>,
    clock: Arc<ManualClock>,
    settings: LakeSettings,
    _directory: tempfile::TempDir,
}

impl Figures {
    fn new(partitions: u32) -> Figures {
        let key = if partitions > 1 {
            format!(",\"x-key\":[\"auction\"],\"x-partitions\":{partitions}")
        } else {
            String::new()
        };
        let registry = Arc::new(Registry::new());
        registry.put(stream(BIDS, "bids", vec![schema(&SCHEMA.replace("PARTITIONS", &key))]));
        let clock = Arc::new(ManualClock::new(MINUTE));
        let settings = LakeSettings { clock: clock.clone(), ..LakeSettings::default() };
        let directory = directory();
        let (root, stream) = (directory.path().join("lake"), registry.by_id(BIDS).unwrap());
        Figures { root, registry, stream, clock, settings, _directory: directory }
    }

    async fn open(&self) -> Lake {
        Lake::open(&self.root, JOURNAL, self.registry.clone(), self.settings.clone()).await.unwrap()
    }
}

/// What this process's threads have run.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("schedstat"));
    let nanos =
        tasks.filter_map(|path| fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

fn bytes_in(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn describe(path: &Path) {
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let mut columns: Vec<(String, i64, String)> = Vec::new();
    let mut rows = 0;
    for group in file.metadata().row_groups() {
        rows += group.num_rows();
        for (at, column) in group.columns().iter().enumerate() {
            let name = column.column_path().string();
            let encodings: Vec<_> = column.encodings().map(|encoding| format!("{encoding:?}")).collect();
            if columns.len() <= at {
                columns.push((name, 0, encodings.join(" ")));
            }
            columns[at].1 += column.compressed_size();
        }
    }
    for (name, bytes, encodings) in columns {
        println!("    {name:>14} {:7.3} bytes a row  {encodings}", bytes as f64 / rows as f64);
    }
}

/// HW_EVENTS events (2,000,000), in one partition and in three: bytes and time of an event, hot and compacted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn growth_bytes_an_event() {
    let mut first = Bids::new();
    assert!(
        first
            .next()
            .starts_with("{\"auction\":3260,\"bidder\":31268,\"price\":1705465,\"channel\":\"Apple\"")
    );
    let events = number("HW_EVENTS", 2_000_000);
    for partitions in [1, 3] {
        let figures = Figures::new(partitions);
        let lake = figures.open().await;
        let (mut sink, mut bids) = (lake.sink(), Bids::new());
        let (mut writing, mut seq) = (Duration::ZERO, Seq(0));
        let (mut plain, mut by_default) = (Vec::new(), ByDefault::default());
        while bids.row < events {
            seq = seq.next();
            let each = EVENTS_A_BATCH as u32 / partitions;
            let runs: Vec<_> = (0..partitions as i32).map(|partition| (partition, each)).collect();
            let mut rows = empty(seq);
            let first = bids.row as i64;
            let events = decoded(&figures.stream, &mut bids, each * partitions);
            rows.rows.push(delivery(&figures.stream, &events, seq, first, &runs));
            plain.push(rows.rows[0].batch.clone());
            let began = cpu();
            sink.apply(rows).await.unwrap();
            if sink.pending_bytes() >= 64 << 20 {
                sink.commit().await.unwrap();
                writing += cpu().saturating_sub(began);
                by_default.add(&std::mem::take(&mut plain));
            } else {
                writing += cpu().saturating_sub(began);
            }
        }
        sink.commit().await.unwrap();
        by_default.add(&std::mem::take(&mut plain));
        let hot = lake.table(Table::Stream(BIDS)).unwrap();
        let each = |bytes: u64| bytes as f64 / bids.row as f64;
        let nanos = |time: Duration| time.as_nanos() as f64 / bids.row as f64;
        println!("{} events, {partitions} partitions", bids.row);
        println!(
            "  hot: {} files, {:.2} bytes, {:.0} ns an event",
            hot.files.len(),
            each(hot.bytes),
            nanos(writing)
        );
        println!(
            "  the same rows with the writer's own choice: {:.2} bytes, {:.0} ns an event",
            each(by_default.bytes),
            nanos(by_default.time)
        );
        describe(&figures.root.join(&hot.files[0].path));
        drop(hot);
        let mut compactor = lake.compactor();
        let (began, mut pieces) = (cpu(), 0);
        for quiet in [false, true] {
            if quiet {
                figures.clock.advance(Duration::from_secs(60));
            }
            // The first turn after the clock was turned only sees that nothing came.
            while let Turn::Offered(_) = compactor.turn(false, &mut |_| true) {
                sink.commit().await.unwrap();
                pieces += 1;
            }
        }
        let took = cpu().saturating_sub(began);
        let table = lake.table(Table::Stream(BIDS)).unwrap();
        let log = bytes_in(&figures.root.join("bids/_delta_log"));
        println!(
            "  compacted: {} files in {pieces} pieces, {:.2} bytes (with the log {:.2}), {:.0} ns an event",
            table.files.len(),
            each(table.bytes),
            each(table.bytes + log),
            nanos(took)
        );
        let largest = table.files.iter().max_by_key(|file| file.bytes).unwrap();
        describe(&figures.root.join(&largest.path));
        assert_eq!(table.rows, bids.row);
    }
}

/// Dictionaries for all, given up at their limit.
#[derive(Default)]
struct ByDefault {
    bytes: u64,
    time: Duration,
}

impl ByDefault {
    fn add(&mut self, batches: &[RecordBatch]) {
        let Some(first) = batches.first() else { return };
        let began = cpu();
        let properties = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties)).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        self.bytes += writer.into_inner().unwrap().len() as u64;
        self.time += cpu().saturating_sub(began);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// HW_COMMITS commits (10,000) of 50 events, two seconds apart, with compaction between them. Times are what this process's
/// threads have run, in means: what a commit costs, checkpoints and all, and what an open does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn growth_of_commits_and_opens() {
    const EVENTS: u32 = 50;
    const LOOK: u64 = 200;
    let commits = number("HW_COMMITS", 10_000);
    let figures = Figures::new(1);
    // The last commits are made now: what is old enough for a checkpoint to leave out is judged by the machine's clock.
    figures.clock.set(Timestamp(SystemClock.now().0 - (commits * 2_000_000).cast_signed()));
    let directory = figures.root.join("bids");
    let events = decoded(&figures.stream, &mut Bids::new(), EVENTS);
    let mut lake = figures.open().await;
    let (mut sink, mut compactor) = (lake.sink(), lake.compactor());
    let (mut all, mut bare, mut compacting, mut offers) = (Vec::new(), Vec::new(), Vec::new(), 0);
    println!(
        "version  commit  without checkpoint  compaction a commit  open   wall  files  log files  manifest"
    );
    for commit in 1..=commits {
        let mut rows = empty(Seq(commit));
        let first = (commit * u64::from(EVENTS)) as i64;
        rows.rows.push(delivery(&figures.stream, &events, Seq(commit), first, &[(0, EVENTS)]));
        sink.apply(rows).await.unwrap();
        let manifest = directory.join("_headwater/manifest");
        let before = fs::metadata(&manifest).map_or(0, |manifest| manifest.len());
        let began = cpu();
        sink.commit().await.unwrap();
        let took = cpu().saturating_sub(began);
        all.push(took);
        if fs::metadata(&manifest).unwrap().len() > before {
            bare.push(took);
        }
        figures.clock.advance(Duration::from_secs(2));
        let began = cpu();
        offers += u64::from(compactor.turn(false, &mut |_| true) != Turn::Nothing);
        compacting.push(cpu().saturating_sub(began));
        let at = [300, 1000, 3000, 10_000, commits].into_iter().find(|at| commit <= *at).unwrap_or(commits);
        if commit + LOOK == at {
            (all, bare, compacting) = Default::default();
        }
        if commit == at {
            drop((sink, compactor));
            let (mut opens, mut walls) = (Vec::new(), Vec::new());
            for _ in 0..9 {
                let (began, wall) = (cpu(), Instant::now());
                lake = figures.open().await;
                opens.push(cpu().saturating_sub(began));
                walls.push(wall.elapsed());
            }
            (sink, compactor) = (lake.sink(), lake.compactor());
            let table = lake.table(Table::Stream(BIDS)).unwrap();
            println!(
                "{:>7} {:>7.2?} {:>12.2?} {:>15.2?} {:>12.2?} {:>8.2?} {:>6} {:>8} {:>8}",
                table.version,
                mean(&all),
                mean(&bare),
                mean(&compacting),
                median(opens),
                median(walls),
                table.files.len(),
                fs::read_dir(directory.join("_delta_log")).unwrap().count(),
                fs::metadata(&manifest).unwrap().len(),
            );
        }
    }
    println!("{offers} offers");
    let rows = lake.table(Table::Stream(BIDS)).unwrap().rows;
    assert_eq!(rows, commits * u64::from(EVENTS));
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / times.len().max(1) as u32
}
