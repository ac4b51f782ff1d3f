//! What a journal should hold, computed the plain way, and appends to fill one with.

use std::collections::HashMap;

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};
use hw_journal::{
    Append, Block, BlockHeader, BlockKind, Extension, Record, RecordKind, Recovered, Run, Settings,
};
use hw_testkit::Random;

pub const KIB: usize = 1024;

/// The smallest journal there is: it rotates and recycles all the time.
pub fn small() -> Settings {
    Settings {
        segment_bytes: 64 * KIB as u64,
        budget_bytes: 1 << 30,
        reserve_bytes: 1 << 20,
        group_bytes_max: 64 * KIB,
        queue_bytes_max: 256 * KIB,
        ..Settings::default()
    }
}

pub fn block(stream: u64, partition: i32, base: i64, rows: u32, body: impl Into<Bytes>) -> Block {
    let header = BlockHeader {
        kind: BlockKind::Rows,
        stream: StreamId(stream),
        schema: 1,
        fingerprint: 0x0123_4567_89ab_cdef,
        encoding: 1,
        min_time: Timestamp(1),
        max_time: Timestamp(2),
        extensions: vec![],
        runs: vec![Run::new(partition, base, rows, rows)],
    };
    Block { header, body: body.into() }
}

pub fn one_block(stream: u64, base: i64, body: impl Into<Bytes>) -> Append {
    Append { received_at: Timestamp(base), blocks: vec![block(stream, 0, base, 1, body)], records: vec![] }
}

pub fn record(kind: RecordKind, owner: impl Into<Bytes>, value: impl Into<Bytes>) -> Record {
    Record { kind, owner: owner.into(), value: value.into() }
}

/// Makes random appends; offsets go on as a gate would give them.
pub struct Generator {
    pub random: Random,
    next_offsets: HashMap<(StreamId, i32), i64>,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator { random: Random::new(seed), next_offsets: HashMap::new() }
    }

    /// Goes on where a recovered journal says.
    pub fn resume(&mut self, recovered: &Recovered) {
        self.next_offsets = recovered.next_offsets.clone();
    }

    pub fn append(&mut self, now: Timestamp) -> Append {
        let blocks = (0..self.random.below(4)).map(|_| self.block()).collect();
        let mut records = Vec::new();
        for _ in 0..self.random.below(3) {
            let number = self.random.below(1000);
            let value = self.random.below(30) as usize;
            records.push(match self.random.below(5) {
                0 => record(RecordKind::Tally, vec![], self.random.bytes(value)),
                1 => record(RecordKind::Position, format!("owner-{}", number % 7), vec![]),
                2 => record(
                    RecordKind::Position,
                    format!("owner-{}", number % 7),
                    self.random.bytes(1 + value),
                ),
                _ => record(RecordKind::Key, format!("key-{number}"), self.random.bytes(value)),
            });
        }
        Append { received_at: now, blocks, records }
    }

    fn block(&mut self) -> Block {
        let random = &mut self.random;
        let kind = [BlockKind::Rows, BlockKind::Rejects, BlockKind::Opaque, BlockKind::Control]
            [random.below(4) as usize];
        let stream = StreamId(1 + random.below(3));
        let bytes = match random.below(100) {
            0 => 70 * KIB,
            1..10 => random.below(20 * KIB as u64) as usize,
            _ => random.below(600) as usize,
        };
        let mut runs = Vec::new();
        for _ in 0..random.below(3) {
            let partition = random.below(4) as i32;
            let next = self.next_offsets.entry((stream, partition)).or_insert(0);
            let rows = random.below(50) as u32;
            let mut run = Run::new(partition, *next, rows + random.below(3) as u32, rows);
            *next += i64::from(run.span);
            run.producer_id = random.below(10) as i64 - 1;
            run.flags = random.below(4) as u16;
            runs.push(run);
        }
        let extensions = (0..random.below(2))
            .map(|_| Extension { tag: random.below(100) as u16, value: random.bytes(5).into() })
            .collect();
        let header = BlockHeader {
            kind,
            stream,
            schema: random.below(5) as i32,
            fingerprint: random.next_u64(),
            encoding: random.below(3) as u8,
            min_time: Timestamp(random.next_u64() as i64),
            max_time: Timestamp(random.next_u64() as i64),
            extensions,
            runs,
        };
        Block { header, body: random.bytes(bytes).into() }
    }
}

/// Everything that was ever made durable: the append with number `n` at `n - 1`.
#[derive(Default)]
pub struct Model {
    pub appends: Vec<Append>,
}

impl Model {
    pub fn last(&self) -> Seq {
        Seq(self.appends.len() as u64)
    }

    pub fn get(&self, seq: Seq) -> &Append {
        &self.appends[seq.0 as usize - 1]
    }

    pub fn next_offsets(&self) -> HashMap<(StreamId, i32), i64> {
        let mut next = HashMap::new();
        for block in self.appends.iter().flat_map(|append| &append.blocks) {
            for run in &block.header.runs {
                let entry = next.entry((block.header.stream, run.partition)).or_insert(0);
                *entry = (*entry).max(run.base + i64::from(run.span));
            }
        }
        next
    }

    pub fn positions(&self) -> HashMap<Bytes, Bytes> {
        let mut positions = HashMap::new();
        for record in self.appends.iter().flat_map(|append| &append.records) {
            if record.kind == RecordKind::Position {
                if record.value.is_empty() {
                    positions.remove(&record.owner);
                } else {
                    positions.insert(record.owner.clone(), record.value.clone());
                }
            }
        }
        positions
    }

    pub fn keys(&self, after: Seq) -> Vec<(Seq, Record)> {
        let mut keys = Vec::new();
        for (at, append) in self.appends.iter().enumerate() {
            let seq = Seq(at as u64 + 1);
            let of_append = append.records.iter().filter(|record| record.kind == RecordKind::Key);
            keys.extend(of_append.filter(|_| seq > after).map(|record| (seq, record.clone())));
        }
        keys
    }
}
