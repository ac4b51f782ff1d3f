//! A gate with everything it needs, on a disk that can be made to fail.

use std::{collections::HashMap, sync::Arc};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use hw_event::{Ack, Clock, Principal, Seq, Timestamp};
use hw_gate::{
    Catalog, Framed, Framing, Gate, GateParts, GateSettings, Identity, ProducerSequence, Running, Submission,
};
use hw_journal::{BlockKind, Extension, Journal, Log, RecordKind, Run, Settings, StoredAppend};
use hw_schema::{
    Schema,
    rows::{self, Optional},
};
use hw_testkit::{ManualClock, SeededEntropy, SimDisk};
use hw_vault::{HashKey, MemoryKeyStore, SealKeys, Vault};

pub const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "who": {"type": "string"}},
  "required": ["id", "who"],
  "x-key": ["who"],
  "x-partitions": 4
}"#;
pub const REFUSING: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"x-mode":"reject"}"#;

const TIMED: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},
  "at":{"type":["string","null"],"format":"date-time"}},"x-event-time":"at"}"#;
const PRIVATE: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},
  "who":{"type":"string","x-privacy":"hash"}}}"#;
const OPEN: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},
  "who":{"type":"string","x-privacy":"hash"}},"x-extra":"keep"}"#;

const TOKENS: &str = r#"{"type":"object","properties":{"name":{"type":"string","x-privacy":"tokenize","maxLength":20},
  "who":{"type":"string","x-privacy":"subject"}},"required":["who"],"x-mode":"reject"}"#;

/// What outlives a restart.
pub struct World {
    pub journal_disk: SimDisk,
    pub catalog_disk: SimDisk,
    pub keys: Arc<MemoryKeyStore>,
    pub clock: Arc<ManualClock>,
    pub budget_bytes: u64,
    pub vault: Option<Vault>,
}

pub struct House {
    pub gate: Gate,
    pub running: Running,
    pub journal: Journal,
    pub seal_keys: Arc<SealKeys>,
    /// What the journal knew when it was opened.
    pub positions: HashMap<Bytes, Bytes>,
}

impl World {
    pub fn new() -> World {
        World {
            journal_disk: SimDisk::new(1),
            catalog_disk: SimDisk::new(2),
            keys: Arc::default(),
            clock: Arc::new(ManualClock::new(Timestamp(1_790_000_000_000_000))),
            budget_bytes: 8 << 20,
            vault: None,
        }
    }

    pub fn open(&self) -> House {
        self.open_with(GateSettings { event_bytes: 1000, depth: 16, inflight_bytes: 1 << 20 })
    }

    pub fn open_with(&self, settings: GateSettings) -> House {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let entropy = SeededEntropy::new(3);
        let catalog = Arc::new(Catalog::open(Arc::new(self.catalog_disk.clone())).unwrap());
        for (name, schema) in [
            ("reading", SCHEMA),
            ("strict", REFUSING),
            ("timed", TIMED),
            ("private", PRIVATE),
            ("open", OPEN),
            ("tokens", TOKENS),
        ] {
            let schema = Schema::parse(schema).unwrap().schema;
            catalog.declare(&name.parse().unwrap(), Arc::new(schema)).unwrap();
        }
        let journal_settings = Settings {
            segment_bytes: 256 * 1024,
            budget_bytes: self.budget_bytes,
            reserve_bytes: 1 << 20,
            ..Settings::default()
        };
        let disk = Arc::new(self.journal_disk.clone());
        let (journal, recovered) = Journal::open(disk, clock.clone(), &entropy, journal_settings).unwrap();
        let seal_keys = Arc::new(SealKeys::new(self.keys.clone(), Arc::new(SeededEntropy::new(4))));
        let parts = GateParts {
            journal: journal.clone(),
            catalog,
            hash_key: HashKey::from_bytes(&[7; 32]),
            vault: self.vault.clone(),
            seal_keys: seal_keys.clone(),
            clock,
            entropy: Arc::new(SeededEntropy::new(5)),
            heavy: tokio::runtime::Handle::current(),
            settings,
        };
        let positions = recovered.positions.clone();
        let (gate, running) = Gate::start(parts, recovered);
        House { gate, running, journal, seal_keys, positions }
    }
}

impl House {
    pub async fn close(self) {
        self.gate.close();
        self.running.finished().await;
        self.journal.close().await;
    }

    /// Everything the log holds.
    pub fn appends(&self) -> Vec<StoredAppend> {
        let mut all: Vec<StoredAppend> = Vec::new();
        loop {
            let after = all.last().map_or(Seq::ZERO, |append| append.seq);
            let more = self.journal.read(after, 1 << 20).unwrap();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// The `id`s stored in a stream as (partition, offset, id), in the order of the log.
    pub fn stored(&self, stream: &str) -> Vec<(i32, i64, i64)> {
        let mut all = Vec::new();
        for (runs, body) in self.bodies(stream) {
            let partitions = runs.iter().flat_map(|run| vec![run.partition; run.rows as usize]);
            let (ids, offsets) = (numbers(&body, "id"), numbers(&body, "_offset"));
            all.extend(partitions.zip(offsets).zip(ids).map(|((p, o), id)| (p, o, id)));
        }
        all
    }

    /// The bodies of a stream's blocks, in the order of the log.
    pub fn rows(&self, stream: &str) -> Vec<RecordBatch> {
        self.bodies(stream).into_iter().map(|(_, body)| body).collect()
    }

    fn bodies(&self, stream: &str) -> Vec<(Vec<Run>, RecordBatch)> {
        let stream = self.gate.registry().by_name(stream).unwrap();
        let mut all = Vec::new();
        for append in self.appends() {
            for block in append.append.blocks {
                if block.header.kind != BlockKind::Rows || block.header.stream != stream.id {
                    continue;
                }
                let (_, schema) = stream.current().unwrap();
                let columns = rows::body_schema(schema, optional(&block.header.extensions));
                let body = rows::decode(&columns, block.header.encoding, block.body).unwrap();
                all.push((block.header.runs, body));
            }
        }
        all
    }

    /// Where in its bytes each reject has its fault, in the order of the log.
    pub fn reject_offsets(&self) -> Vec<i64> {
        self.reject_bodies().iter().flat_map(|body| numbers(body, "byte_offset")).collect()
    }

    /// Index, request and code of all rejects, in the order of the log.
    pub fn reject_places(&self) -> Vec<(i32, String, String)> {
        let mut all = Vec::new();
        for body in self.reject_bodies() {
            let text = |column: &str, row: usize| {
                body.column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned()
            };
            let index = body.column_by_name("index").unwrap().as_primitive::<Int32Type>();
            let rows = 0..body.num_rows();
            all.extend(rows.map(|row| (index.value(row), text("request_id", row), text("code", row))));
        }
        all
    }

    fn reject_bodies(&self) -> Vec<RecordBatch> {
        let mut all = Vec::new();
        for append in self.appends() {
            for block in append.append.blocks.iter().filter(|block| block.header.kind == BlockKind::Rejects) {
                let columns = rows::rejects_body_schema();
                all.push(rows::decode(&columns, block.header.encoding, block.body.clone()).unwrap());
            }
        }
        all
    }

    /// The clear bytes of all rejects, in the order of the log.
    pub fn rejected(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for body in self.reject_bodies() {
            let payloads = body.column_by_name("payload").unwrap().as_binary::<i32>();
            all.extend(payloads.iter().map(|sealed| self.seal_keys.open(sealed.unwrap()).unwrap()));
        }
        all
    }

    /// received, stored, rejected, duplicates, refused: the sum of all tallies, each of which balances.
    pub fn ledger(&self) -> [u64; 5] {
        let mut sums = [0; 5];
        for append in self.appends() {
            for record in append.append.records.iter().filter(|record| record.kind == RecordKind::Tally) {
                let tally = hw_event::Tally::from_bytes(&record.value).unwrap();
                assert!(tally.balances(), "{tally:?}");
                let counts = [tally.received, tally.stored, tally.rejected, tally.duplicates, tally.refused];
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        sums
    }
}

fn optional(extensions: &[Extension]) -> Optional {
    let found = extensions.iter().find(|extension| extension.tag == Extension::OPTIONAL_COLUMNS).unwrap();
    Optional::from_bits(u32::from_le_bytes(found.value.as_ref().try_into().unwrap())).unwrap()
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<i64> {
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// A request of these events, as the HTTP door would make it.
pub fn request(stream: &str, events: &[&str]) -> Submission {
    let mut body = Vec::new();
    let mut framed = Vec::new();
    for event in events {
        let start = body.len();
        body.extend_from_slice(event.as_bytes());
        framed.push(Framed::new(start, body.len()));
    }
    Submission {
        stream: stream.to_owned(),
        door: "http".into(),
        principal: Principal::local(),
        request_id: None,
        body: Bytes::from(body),
        framing: Framing::Json,
        events: framed,
        identity: Identity::None,
        ack: Ack::Disk,
        may_refuse: true,
        permit: None,
    }
}

pub fn with_key(stream: &str, key: &str, events: &[&str]) -> Submission {
    Submission { identity: Identity::Key(key.to_owned()), ..request(stream, events) }
}

pub fn numbered(stream: &str, producer: ProducerSequence, events: &[&str]) -> Submission {
    Submission { identity: Identity::Producer(producer), ..request(stream, events) }
}
