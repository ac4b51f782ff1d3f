//! Compaction by key: of each key the newest row stays, whatever is read, rewritten, or killed in between.
//! `HW_SEED` repeats a run of the property, `HW_ROUNDS` makes it longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use hw_event::{Seq, StreamId, Timestamp};
use hw_lake::{ByKey, ByKeyTurn, Table, Turn};
use hw_pipeline::RowsDelivery;
use hw_schema::{
    DecodeLimits, Decoder, Format, Record,
    rows::{self, Optional},
};
use hw_testkit::Random;
use hw_vault::HashKey;

use crate::fixture::{MINUTE, World, data_files, empty, integers, one_batch, read_delta, schema, stream};

const SHIP: StreamId = StreamId(3);
const TABLE: Table = Table::Stream(SHIP);
const AGE: Duration = Duration::from_secs(3600);
const HOUR: i64 = 3_600_000_000;
/// A key of two fields, of which one is stored as a digest.
const STATE: &str = r#"{"type":"object","required":["ship","owner"],"x-key":["ship","owner"],"x-partitions":3,
    "x-retention":{"compact":"1h","deleted":"gone"},"properties":{"ship":{"type":"integer"},
    "owner":{"type":"string","x-privacy":"hash"},"value":{"type":"integer"},"gone":{"type":"boolean"}}}"#;

#[derive(Debug, Clone, Copy)]
struct Event {
    partition: i32,
    offset: i64,
    key: u64,
    /// No two have the same.
    value: i64,
    gone: bool,
    received_at: i64,
}

/// Everything that was ever sent.
#[derive(Default)]
struct Model {
    events: Vec<Event>,
    next: BTreeMap<i32, i64>,
}

impl Model {
    fn event(&mut self, key: u64, gone: bool, received_at: i64) -> Event {
        let partition = (key % 3) as i32;
        let next = self.next.entry(partition).or_default();
        let (offset, value) = (*next, self.events.len() as i64);
        // Offsets have gaps.
        *next += 1 + value % 2;
        let event = Event { partition, offset, key, value, gone, received_at };
        self.events.push(event);
        event
    }

    /// What is left of these when everything that was received before a moment and may go has gone.
    fn kept(&self, events: &[Event], before: i64) -> BTreeSet<i64> {
        let mut left = events.to_vec();
        loop {
            let newer =
                |one: &Event| left.iter().any(|other| other.key == one.key && other.offset > one.offset);
            let alone = |one: &Event| left.iter().filter(|other| other.key == one.key).count() == 1;
            let stays = |one: &Event| one.received_at >= before || !(newer(one) || (one.gone && alone(one)));
            let next: Vec<Event> = left.iter().copied().filter(stays).collect();
            if next.len() == left.len() {
                return left.iter().map(|event| event.value).collect();
            }
            left = next;
        }
    }
}

async fn world() -> World {
    let world = World::new().await;
    world.registry.put(stream(SHIP, "ship.state", vec![schema(STATE)]));
    world
}

/// One append of events that were received at one moment.
async fn append(world: &mut World, events: &[Event]) {
    let stream = world.registry.by_id(SHIP).unwrap();
    let (number, schema) = stream.current().unwrap();
    let seq = Seq(world.next);
    world.next += 1;
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.partition);
    let texts: Vec<String> = events
        .iter()
        .map(|Event { key, value, gone, .. }| {
            let gone = if *gone { ",\"gone\":true" } else { "" };
            format!(r#"{{"ship":{},"owner":"canary-{}","value":{value}{gone}}}"#, key / 4, key % 4)
        })
        .collect();
    let record = |text| Record { bytes: text, format: Format::Json, fault: None, event_time: None };
    let records: Vec<_> = texts.iter().map(|text| record(text.as_bytes())).collect();
    let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
    let applied = Decoder::new(schema.clone(), HashKey::from_bytes(&[7; 32]), limits).apply(&records);
    assert!(applied.rejects.is_empty(), "{:?}", applied.rejects);
    let body_schema = rows::body_schema(schema, Optional::EXTRA);
    let column = |name: &str| -> ArrayRef {
        match name {
            "_offset" => Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.offset))),
            "_time" => {
                let times = vec![MINUTE.0; events.len()];
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
            }
            name => applied.batch.column_by_name(name).unwrap().clone(),
        }
    };
    let columns = body_schema.fields().iter().map(|field| column(field.name())).collect();
    let body = RecordBatch::try_new(body_schema.clone(), columns).unwrap();
    let runs: Vec<(i32, u32)> = events
        .chunk_by(|a, b| a.partition == b.partition)
        .map(|run| (run[0].partition, run.len() as u32))
        .collect();
    let received_at = Timestamp(events[0].received_at);
    let batch = rows::table_batch(schema, number, &runs, Optional::EXTRA, seq, received_at, body).unwrap();
    let mut delivery = empty(seq);
    delivery.rows.push(RowsDelivery { stream: stream.clone(), seq, number, batch });
    world.apply(delivery).await;
}

fn rule(now: i64) -> ByKey {
    let key = vec!["ship".to_owned(), "owner".to_owned()];
    ByKey { key, deleted: Some("gone".to_owned()), age: AGE, now }
}

/// Goes through the table until nothing is left to do now; returns how many rows went, and when it is due again.
async fn compact(world: &mut World, now: i64, keys_max: usize, rows_max: u64) -> (u64, Option<i64>) {
    let mut gone = 0;
    loop {
        let mut compactor = world.lake.by_key(TABLE, rule(now)).with_limits(keys_max, rows_max);
        let mut went = 0;
        let due = loop {
            match compactor.turn(&mut |_| true).unwrap() {
                ByKeyTurn::Offered { rows } => {
                    went += rows;
                    world.commit().await;
                }
                ByKeyTurn::Clean { due } => break due,
                other => panic!("{other:?}"),
            }
        };
        gone += went;
        // Deletion marks go in the round after what they deleted.
        if went == 0 {
            return (gone, due);
        }
    }
}

async fn values(world: &World) -> BTreeSet<i64> {
    let values = integers(&read_delta(&world.root().join("ship.state")).await, "value");
    let count = values.len();
    let values: BTreeSet<i64> = values.into_iter().collect();
    assert_eq!(values.len(), count, "no row is there twice");
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_each_key_the_newest_stays_and_nothing_young_goes() {
    let (mut world, mut model) = (world().await, Model::default());
    let start = MINUTE.0;
    // Ten states of each of 20 keys, in as many commits, one every six minutes.
    for turn in 0..10 {
        let events: Vec<_> = (0..20).map(|key| model.event(key, false, start + turn * HOUR / 10)).collect();
        append(&mut world, &events).await;
        world.commit().await;
    }
    let all = values(&world).await;
    assert_eq!(all.len(), 200);
    // Nothing is old enough yet, and it is known from when on something is.
    let (gone, due) = compact(&mut world, start + HOUR, 1000, 1000).await;
    assert_eq!((gone, due), (0, Some(start + HOUR + 1)));
    // The first five states are old enough by now; each was replaced.
    let now = start + HOUR + HOUR / 2 - 1;
    assert_eq!(compact(&mut world, now, 1000, 1000).await, (100, Some(start + HOUR + HOUR / 2 + 1)));
    assert_eq!(values(&world).await, (100..200).collect());
    let (gone, due) = compact(&mut world, start + 100 * HOUR, 7, 30).await;
    assert_eq!((gone, due), (80, None), "what is not there any more is never due");
    assert_eq!(values(&world).await, (180..200).collect());
    let table = world.table(TABLE);
    assert_eq!((table.rows, table.let_go.superseded, table.let_go.expired), (20, 180, 0));
    assert!(table.erased.is_empty() && table.first_kept.is_empty(), "{table:?}");

    // Offsets stay what they were, also in a new life.
    world.reopen().await;
    assert_eq!(world.table(TABLE).let_go.superseded, 180);
    let batch = one_batch(&read_delta(&world.root().join("ship.state")).await);
    for at in 0..batch.num_rows() {
        let at_row = [batch.slice(at, 1)];
        let value = integers(&at_row, "value")[0];
        let event = model.events[value as usize];
        assert_eq!(integers(&at_row, "_offset"), [event.offset]);
        assert_eq!(integers(&at_row, "_partition"), [i64::from(event.partition)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_rows_wait_until_they_are_twice_as_old() {
    let (mut world, mut model) = (world().await, Model::default());
    let start = MINUTE.0;
    let events: Vec<_> = (0..100).map(|key| model.event(key, false, start)).collect();
    append(&mut world, &events).await;
    world.commit().await;
    let again: Vec<_> = (0..5).map(|key| model.event(key, false, start)).collect();
    append(&mut world, &again).await;
    world.commit().await;
    // Five of a hundred are not worth a new file.
    let due = start + 2 * HOUR + 1;
    assert_eq!(compact(&mut world, start + HOUR + 1, 1000, 1000).await, (0, Some(due)));
    assert_eq!(compact(&mut world, due, 1000, 1000).await, (5, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_mark_goes_last() {
    let (mut world, mut model) = (world().await, Model::default());
    let start = MINUTE.0;
    let first = model.event(1, false, start);
    // Received later, but deleted by a mark of an earlier clock: as long as it stays, so does the mark.
    let late = model.event(1, false, start + 5 * HOUR);
    let mark = model.event(1, true, start);
    let other = model.event(2, true, start);
    let back = model.event(2, false, start);
    append(&mut world, &[first, mark, other, back]).await;
    append(&mut world, &[late]).await;
    world.commit().await;
    let (gone, _) = compact(&mut world, start + 3 * HOUR, 1000, 1000).await;
    assert_eq!(gone, 2);
    assert_eq!(values(&world).await, [late.value, mark.value, back.value].into());
    let (gone, due) = compact(&mut world, start + 20 * HOUR, 1000, 1000).await;
    assert_eq!((gone, due), (2, None));
    assert_eq!(values(&world).await, [back.value].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_offer_and_commit_costs_only_the_work() {
    let (mut world, mut model) = (world().await, Model::default());
    for _ in 0..2 {
        let events: Vec<_> = (0..10).map(|key| model.event(key, false, MINUTE.0)).collect();
        append(&mut world, &events).await;
        world.commit().await;
    }
    let directory = world.root().join("ship.state");
    let now = MINUTE.0 + 3 * HOUR;
    let mut compactor = world.lake.by_key(TABLE, rule(now));
    assert_eq!(compactor.turn(&mut |_| false).unwrap(), ByKeyTurn::Stopped);
    let mut compactor = world.lake.by_key(TABLE, rule(now));
    assert_eq!(compactor.turn(&mut |_| true).unwrap(), ByKeyTurn::Offered { rows: 10 });
    assert_eq!(compactor.turn(&mut |_| true).unwrap(), ByKeyTurn::Waiting);
    world.reopen().await;
    assert_eq!((world.table(TABLE).rows, world.table(TABLE).let_go.superseded), (20, 0));
    assert_eq!(compact(&mut world, now, 1000, 1000).await, (10, None));
    assert_eq!(values(&world).await, (10..20).collect());
    // The old file stays for those who read an older version.
    assert_eq!((world.table(TABLE).files.len(), data_files(&directory).len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_anew_is_joined_like_any_other() {
    let (mut world, mut model) = (world().await, Model::default());
    for commit in 0..30 {
        // Of several partitions in turn, so that the file is in no order; half of its keys come twice.
        for keys in [30, 15] {
            let keys = commit * 30..commit * 30 + keys;
            let events: Vec<_> = keys.map(|key| model.event(key, false, MINUTE.0)).collect();
            append(&mut world, &events).await;
        }
        world.commit().await;
    }
    let now = MINUTE.0 + 3 * HOUR;
    assert_eq!(compact(&mut world, now, 1000, 10_000).await, (30 * 15, None));
    let kept = values(&world).await;
    assert_eq!((kept.len(), world.table(TABLE).files.len()), (30 * 30, 30));
    let mut compactor = world.lake.compactor();
    // One turn for each file that turns out not to be in order.
    for _ in 0..50 {
        if let Turn::Offered(_) = compactor.turn(false, &mut |_| true) {
            world.commit().await;
        }
    }
    let files = world.table(TABLE).files.len();
    assert!(files < 20, "{files} files");
    assert_eq!(values(&world).await, kept);
}

/// Random streams against the naive model: appends, commits, compaction, moments, memory and kills in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_streams_keep_what_the_model_keeps() {
    let seed = std::env::var("HW_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    println!("seed: HW_SEED={seed}");
    let rounds = std::env::var("HW_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6);
    let mut random = Random::new(seed);
    let (mut sent, mut superseded) = (0, 0);
    for _ in 0..rounds {
        let (mut world, mut model) = (world().await, Model::default());
        // What the table has had, and what of that the process had not committed when it was killed.
        let (mut committed, mut now) = (0, MINUTE.0);
        // What went when the clock stood there does not come back when it is set back.
        let mut latest = now;
        let mut compactor = world.lake.compactor();
        let keys = 1 + random.below(60);
        for _ in 0..40 {
            match random.below(10) {
                0..=4 => {
                    let count = 1 + random.below(40);
                    let events: Vec<_> = (0..count)
                        .map(|_| model.event(random.below(keys), random.below(8) == 0, now))
                        .collect();
                    append(&mut world, &events).await;
                    if random.below(3) > 0 {
                        world.commit().await;
                        committed = model.events.len();
                    }
                }
                5 => now += (random.below(90) as i64 - 10) * HOUR / 60,
                6 => {
                    if compactor.turn(false, &mut |_| true) != Turn::Nothing {
                        world.commit().await;
                        committed = model.events.len();
                    }
                }
                7 => {
                    // Offered, and then killed; what was not committed comes again from the journal.
                    latest = latest.max(now);
                    if world.lake.table(TABLE).is_some() {
                        let mut one = world.lake.by_key(TABLE, rule(now)).with_limits(9, 50);
                        one.turn(&mut |_| random.below(9) > 0).unwrap();
                    }
                    let lost = model.events[committed..].to_vec();
                    world.reopen().await;
                    compactor = world.lake.compactor();
                    world.next = world.lake.table(TABLE).map_or(1, |table| table.seq.0 + 1);
                    for moment in lost.chunk_by(|a, b| a.received_at == b.received_at) {
                        append(&mut world, moment).await;
                    }
                    world.commit().await;
                    committed = model.events.len();
                }
                _ => {
                    world.commit().await;
                    committed = model.events.len();
                    if world.lake.table(TABLE).is_none() {
                        continue;
                    }
                    let (keys_max, rows_max) = (1 + random.below(70) as usize, 1 + random.below(300));
                    latest = latest.max(now);
                    compact(&mut world, now, keys_max, rows_max).await;
                    let there = values(&world).await;
                    let least = model.kept(&model.events, latest - HOUR);
                    let gone: Vec<_> = least.difference(&there).collect();
                    assert!(gone.is_empty(), "gone, but to be kept: {gone:?}");
                    let newest = |one: &&Event| {
                        !model.events.iter().any(|other| other.key == one.key && other.offset > one.offset)
                    };
                    for event in model.events.iter().filter(newest).filter(|event| !event.gone) {
                        assert!(there.contains(&event.value), "the newest of a key went: {event:?}");
                    }
                }
            }
        }
        world.commit().await;
        if model.events.is_empty() {
            continue;
        }
        // In the end nothing is left that is not the newest of its key.
        now += 100 * HOUR;
        let (_, due) = compact(&mut world, now, 1 + random.below(70) as usize, 1 + random.below(300)).await;
        let (there, table) = (values(&world).await, world.table(TABLE));
        assert_eq!(there, model.kept(&model.events, now - HOUR));
        assert_eq!(table.rows + table.let_go.superseded, model.events.len() as u64, "rows are counted");
        assert_eq!((there.len() as u64, due), (table.rows, None));
        sent += model.events.len();
        superseded += table.let_go.superseded;
    }
    println!("{sent} events, {superseded} superseded");
    assert!(superseded * 3 > sent as u64, "the streams were no state: {superseded} of {sent}");
}
