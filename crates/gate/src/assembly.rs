//! Judged requests become one append: dedupe, partition, offsets, blocks, records.
//! Always: the blocks are cut once a group, not once a request; a stream's events get their offsets in the order
//! of the requests, and within one in the order of its events; received = stored + rejected + duplicates.
//! Plain state and values: no IO, no clock.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        UInt32Array,
    },
    compute::{concat_batches, take_record_batch},
    error::ArrowError,
};
use bytes::Bytes;
use hw_event::{Partition, Principal, SchemaNumber, StreamId, Tally, Timestamp};
use hw_journal::{Append, Block, BlockHeader, BlockKind, Extension, Record, RecordKind, Run};
use hw_schema::{
    Applied, Schema, Stream,
    rows::{self, Encoding, Optional, RowsError},
};

use crate::{
    EventError, OffsetRange, Refusal,
    producers::{Producers, Progress},
    submission::RECEIPT_ERRORS_MAX,
    window::{self, Answered, BodyDigest, KeyDigest, Window},
};

/// Bytes of events for streams that have no schema; more are refused.
const UNDECLARED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const UNDECLARED_OWNER: &[u8] = b"undeclared";

/// A request whose events were judged, one by one, and whose rejects were sealed.
pub(crate) struct Judged {
    pub stream: Arc<Stream>,
    pub schema: Option<(SchemaNumber, Arc<Schema>)>,
    pub door: Arc<str>,
    pub principal: Principal,
    pub request_id: Option<Arc<str>>,
    /// Events and bytes as the door framed them.
    pub received: u32,
    pub bytes: u64,
    /// `None` where the stream has no schema.
    pub rows: Option<Applied>,
    /// In the order of the request.
    pub rejects: Vec<SealedReject>,
    pub identity: JudgedIdentity,
    /// One bad event refuses its good neighbours.
    pub refuses: bool,
}

pub(crate) struct SealedReject {
    pub error: EventError,
    pub byte_offset: u64,
    pub payload: Vec<u8>,
}

pub(crate) enum JudgedIdentity {
    None,
    Key { key: KeyDigest, body: BodyDigest },
    Producer(crate::ProducerSequence),
}

/// What became of one request, if the append comes to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub offsets: Vec<OffsetRange>,
    pub errors: Vec<EventError>,
    pub errors_left_out: u64,
}

/// A group's append, the answer to each of its requests, and how to take it all back.
pub(crate) struct Assembled {
    pub append: Append,
    pub verdicts: Vec<Result<Verdict, Refusal>>,
    pub tallies: Vec<Tally>,
    undo: Undo,
}

#[derive(Default)]
struct Undo {
    keys: Vec<(StreamId, KeyDigest)>,
    producers: Vec<(StreamId, String, Option<Progress>)>,
    undeclared_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    #[error("rows could not be put together: {0}")]
    Arrow(#[from] ArrowError),
    #[error("rows could not be encoded: {0}")]
    Rows(#[from] RowsError),
}

/// What the gate knows between two appends. All of it is in the journal too.
pub(crate) struct Assembler {
    next_offsets: HashMap<(StreamId, i32), i64>,
    window: Window,
    producers: Producers,
    /// Whose turn it is among the partitions of a stream without a key.
    turns: HashMap<StreamId, u32>,
    undeclared_bytes: u64,
    last_received_at: Timestamp,
    last_expiry: Timestamp,
}

/// Rows of one stream and schema, gathered over a group.
#[derive(Default)]
struct RowsPart {
    batches: Vec<RecordBatch>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    times: Vec<i64>,
}

struct RejectRow {
    partition: i32,
    offset: i64,
    request: usize,
    reject: usize,
}

type BlockKey = (StreamId, i32);

impl Assembler {
    pub(crate) fn new(
        next_offsets: HashMap<(StreamId, i32), i64>,
        window: Window,
        positions: &HashMap<Bytes, Bytes>,
    ) -> Assembler {
        let undeclared_bytes = positions
            .get(UNDECLARED_OWNER)
            .and_then(|value| value.as_ref().try_into().ok())
            .map_or(0, u64::from_le_bytes);
        Assembler {
            next_offsets,
            window,
            producers: Producers::restore(positions),
            turns: HashMap::new(),
            undeclared_bytes,
            last_received_at: Timestamp(i64::MIN),
            last_expiry: Timestamp(i64::MIN),
        }
    }

    /// Steps: 1. each request against the dedupe state; 2. partitions and offsets; 3. one block of rows and one
    /// of rejects for each stream and schema; 4. records: keys, producers, tallies.
    pub(crate) fn assemble(
        &mut self,
        requests: &[Judged],
        now: Timestamp,
    ) -> Result<Assembled, AssembleError> {
        // Time does not step back from append to append, whatever the machine's clock does.
        let now = now.max(self.last_received_at);
        self.last_received_at = now;
        let mut undo = Undo::default();
        let mut records = Vec::new();
        let mut tallies: Vec<Tally> = Vec::new();
        let mut rows_parts: HashMap<BlockKey, RowsPart> = HashMap::new();
        let mut reject_rows: HashMap<BlockKey, Vec<RejectRow>> = HashMap::new();
        let mut order: Vec<BlockKey> = Vec::new();
        let mut verdicts = Vec::with_capacity(requests.len());

        for (request_index, request) in requests.iter().enumerate() {
            let verdict = self.judge_repeat(request, now);
            let skipped = match verdict {
                Err(refusal) => {
                    verdicts.push(Err(refusal));
                    continue;
                }
                Ok(Repeat::Whole { offsets }) => {
                    let duplicates = u64::from(request.received);
                    let mut tally = Tally::new(request.stream.id, &request.door, now);
                    tally.received = duplicates;
                    tally.duplicates = duplicates;
                    tally.bytes = request.bytes;
                    add_tally(&mut tallies, tally);
                    verdicts.push(Ok(Verdict {
                        accepted: 0,
                        rejected: 0,
                        duplicates,
                        offsets,
                        errors: Vec::new(),
                        errors_left_out: 0,
                    }));
                    continue;
                }
                Ok(Repeat::First { events }) => events,
            };
            if !request.stream.declared {
                if self.undeclared_bytes + request.bytes > UNDECLARED_BYTES_MAX {
                    verdicts.push(Err(Refusal::UndeclaredFull));
                    continue;
                }
                self.undeclared_bytes += request.bytes;
                undo.undeclared_bytes += request.bytes;
            }

            let block_key = (request.stream.id, request.schema.as_ref().map_or(0, |(number, _)| number.0));
            if !order.contains(&block_key) {
                order.push(block_key);
            }
            let placed = self.place(request, skipped, now);
            let accepted = placed.rows.len() as u64;
            let rejected = placed.rejects.len() as u64;
            if accepted > 0 {
                let part = rows_parts.entry(block_key).or_default();
                part.take(request, &placed);
            }
            reject_rows.entry(block_key).or_default().extend(placed.rejects.iter().map(
                |&(reject, partition, offset)| RejectRow {
                    partition,
                    offset,
                    request: request_index,
                    reject,
                },
            ));

            let first_reject = request.rejects.len() - placed.rejects.len();
            let kept_rejects = &request.rejects[first_reject..];
            let verdict = Verdict {
                accepted,
                rejected,
                duplicates: skipped as u64,
                offsets: placed.ranges,
                errors: kept_rejects
                    .iter()
                    .take(RECEIPT_ERRORS_MAX)
                    .map(|reject| reject.error.clone())
                    .collect(),
                errors_left_out: kept_rejects.len().saturating_sub(RECEIPT_ERRORS_MAX) as u64,
            };

            let mut tally = Tally::new(request.stream.id, &request.door, now);
            tally.refused = placed.refused;
            tally.received = u64::from(request.received) - placed.refused;
            tally.stored = accepted;
            tally.rejected = rejected;
            tally.duplicates = skipped as u64;
            tally.bytes = request.bytes;
            add_tally(&mut tallies, tally);

            match &request.identity {
                JudgedIdentity::None => {}
                JudgedIdentity::Key { key, body } => {
                    let answered = Answered {
                        seq: hw_event::Seq::ZERO,
                        body: *body,
                        at: now,
                        offsets: verdict.offsets.clone(),
                    };
                    records.push(window::encode(request.stream.id, key, &answered));
                    self.window.insert(request.stream.id, *key, answered);
                    undo.keys.push((request.stream.id, *key));
                }
                JudgedIdentity::Producer(producer) => {
                    let count = request.received as usize;
                    let (record, before) = self.producers.advance(request.stream.id, producer, count, now);
                    records.push(record);
                    undo.producers.push((request.stream.id, producer.id.clone(), before));
                }
            }
            verdicts.push(Ok(verdict));
        }

        let mut blocks = Vec::new();
        for block_key in order {
            if let Some(part) = rows_parts.remove(&block_key) {
                // The key came from one of these requests, and only governed streams have rows.
                let schema = requests.iter().find_map(|request| match &request.schema {
                    Some((number, schema)) if (request.stream.id, number.0) == block_key => Some(schema),
                    _ => None,
                });
                if let Some(schema) = schema {
                    blocks.push(rows_block(block_key, schema, part)?);
                }
            }
            if let Some(rejects) = reject_rows.remove(&block_key).filter(|rejects| !rejects.is_empty()) {
                let fingerprint = requests.iter().find_map(|request| match &request.schema {
                    Some((number, schema)) if (request.stream.id, number.0) == block_key => {
                        Some(fingerprint(schema))
                    }
                    _ => None,
                });
                blocks.push(rejects_block(block_key, fingerprint.unwrap_or(0), rejects, requests, now)?);
            }
        }
        if undo.undeclared_bytes > 0 {
            records.push(Record {
                kind: RecordKind::Position,
                owner: Bytes::from_static(UNDECLARED_OWNER),
                value: self.undeclared_bytes.to_le_bytes().to_vec().into(),
            });
        }
        for tally in &tallies {
            debug_assert!(tally.balances(), "{tally:?}");
            records.push(Record {
                kind: RecordKind::Tally,
                owner: tally.stream.0.to_le_bytes().to_vec().into(),
                value: tally.to_bytes().into(),
            });
        }
        Ok(Assembled { append: Append { received_at: now, blocks, records }, verdicts, tallies, undo })
    }

    /// The append did not come to be durable: nothing of it counts. Its offsets stay a gap.
    pub(crate) fn undo(&mut self, assembled: Assembled) {
        let undo = assembled.undo;
        for (stream, key) in undo.keys {
            self.window.remove(stream, &key);
        }
        for (stream, id, before) in undo.producers.into_iter().rev() {
            self.producers.undo(stream, &id, before);
        }
        self.undeclared_bytes -= undo.undeclared_bytes;
    }

    /// The append is durable as `seq`: the keys it holds learn their place.
    pub(crate) fn settle(&mut self, assembled: &Assembled, seq: hw_event::Seq) {
        for (stream, key) in &assembled.undo.keys {
            self.window.settle(*stream, key, seq);
        }
    }

    /// Once a minute: forgets old keys and producers. Returns the records that end them in the journal, and
    /// through which append it may forget keys.
    pub(crate) fn expire(&mut self, now: Timestamp) -> (Vec<Record>, Option<hw_event::Seq>) {
        if now.0.saturating_sub(self.last_expiry.0) < 60 * Timestamp::MICROS_PER_SECOND {
            return (Vec::new(), None);
        }
        self.last_expiry = now;
        (self.producers.expire(now), self.window.expire(now))
    }

    fn judge_repeat(&self, request: &Judged, now: Timestamp) -> Result<Repeat, Refusal> {
        match &request.identity {
            JudgedIdentity::None => Ok(Repeat::First { events: 0 }),
            JudgedIdentity::Key { key, body } => match self.window.get(request.stream.id, key, now) {
                None => Ok(Repeat::First { events: 0 }),
                Some(answered) if answered.body == *body => {
                    Ok(Repeat::Whole { offsets: answered.offsets.clone() })
                }
                Some(_) => Err(Refusal::KeyReused),
            },
            JudgedIdentity::Producer(producer) => {
                let count = request.received as usize;
                match self.producers.judge(request.stream.id, producer, count)? {
                    repeated if repeated == count => Ok(Repeat::Whole { offsets: Vec::new() }),
                    repeated => Ok(Repeat::First { events: repeated }),
                }
            }
        }
    }

    /// Gives each event its partition and offset, in the order of the request. The first `skipped` events are
    /// duplicates. Rejects, and rows without a key, go to the partition whose turn it is.
    fn place(&mut self, request: &Judged, skipped: usize, now: Timestamp) -> Placed {
        let stream = request.stream.id;
        let partitions = request.schema.as_ref().map_or(1, |(_, schema)| schema.partitions().max(1));
        let turn = self.turns.entry(stream).or_default();
        let turn_partition = (*turn % partitions.unsigned_abs()).cast_signed();
        *turn = turn.wrapping_add(1);

        let mut placed = Placed::default();
        let mut ranges: Vec<OffsetRange> = Vec::new();
        let next_offsets = &mut self.next_offsets;
        let mut give = |partition: i32| -> i64 {
            let next = next_offsets.entry((stream, partition)).or_insert(0);
            let offset = *next;
            *next += 1;
            // Requests touch few partitions; the last one is the likeliest.
            match ranges.iter_mut().rev().find(|range| range.partition == partition) {
                Some(range) => range.count += 1,
                None => ranges.push(OffsetRange { partition, base: offset, count: 1 }),
            }
            offset
        };

        let all_rows = request.rows.as_ref().map_or(&[][..], |applied| &applied.rows);
        let rows: Vec<_> =
            all_rows.iter().enumerate().filter(|(_, row)| row.index as usize >= skipped).collect();
        let rejects: Vec<_> = request
            .rejects
            .iter()
            .enumerate()
            .filter(|(_, reject)| reject.error.index as usize >= skipped)
            .collect();
        let refuses = request.refuses && !rejects.is_empty();
        let mut rows = if refuses {
            placed.refused = rows.len() as u64;
            Vec::new()
        } else {
            rows
        }
        .into_iter()
        .peekable();
        let mut rejects = rejects.into_iter().peekable();
        loop {
            let row_first = match (rows.peek(), rejects.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((_, row)), Some((_, reject))) => row.index < reject.error.index,
            };
            if row_first {
                if let Some((row_number, row)) = rows.next() {
                    let partition = row.partition.unwrap_or(Partition(turn_partition)).0;
                    let time = row.event_time.unwrap_or(now);
                    placed.rows.push(PlacedRow { row: row_number, partition, offset: give(partition), time });
                }
            } else if let Some((number, _)) = rejects.next() {
                placed.rejects.push((number, turn_partition, give(turn_partition)));
            }
        }
        ranges.sort_unstable_by_key(|range| range.partition);
        placed.ranges = ranges;
        placed
    }
}

enum Repeat {
    /// All of it came before.
    Whole { offsets: Vec<OffsetRange> },
    /// The first `events` came before, the rest is new.
    First { events: usize },
}

#[derive(Default)]
struct Placed {
    rows: Vec<PlacedRow>,
    /// (number among the request's rejects, partition, offset)
    rejects: Vec<(usize, i32, i64)>,
    ranges: Vec<OffsetRange>,
    refused: u64,
}

struct PlacedRow {
    /// Number among the request's rows.
    row: usize,
    partition: i32,
    offset: i64,
    time: Timestamp,
}

impl RowsPart {
    fn take(&mut self, request: &Judged, placed: &Placed) {
        let Some(applied) = &request.rows else { return };
        // Skipped duplicates are the first of the request, so what is kept is one slice. It is copied below.
        let first = placed.rows.first().map_or(0, |row| row.row);
        self.batches.push(applied.batch.slice(first, placed.rows.len()));
        for row in &placed.rows {
            self.partitions.push(row.partition);
            self.offsets.push(row.offset);
            self.times.push(row.time.0);
        }
    }
}

fn add_tally(tallies: &mut Vec<Tally>, tally: Tally) {
    match tallies.iter_mut().find(|known| known.stream == tally.stream && known.door == tally.door) {
        Some(known) => known.add(&tally),
        None => tallies.push(tally),
    }
}

fn fingerprint(schema: &Schema) -> u64 {
    let digest = schema.fingerprint();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(head)
}

/// Stable by partition: rows of one partition stand together and keep their order.
fn partition_order(partitions: &[i32]) -> Option<Vec<u32>> {
    if partitions.is_sorted() {
        return None;
    }
    let mut order: Vec<u32> = (0..u32::try_from(partitions.len()).unwrap_or(u32::MAX)).collect();
    order.sort_by_key(|&row| partitions[row as usize]);
    Some(order)
}

/// Runs of rows that stand in the order of their partitions; `places` are (partition, offset).
fn runs(places: impl IntoIterator<Item = (i32, i64)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (partition, offset) in places {
        match runs.last_mut() {
            Some(run) if run.partition == partition => {
                run.span = u32::try_from(offset - run.base + 1).unwrap_or(u32::MAX);
                run.rows += 1;
                run.received += 1;
            }
            _ => runs.push(Run::new(partition, offset, 1, 1)),
        }
    }
    runs
}

fn rows_block(key: BlockKey, schema: &Schema, part: RowsPart) -> Result<Block, AssembleError> {
    let columns = part.batches[0].schema();
    // Concatenation copies, so that no slice, and with it nobody else's bytes, reaches the encoder.
    let whole = part.batches.len() == 1 && part.batches[0].num_rows() == part.partitions.len();
    let mut batch = if whole { part.batches[0].clone() } else { concat_batches(&columns, &part.batches)? };
    let RowsPart { mut partitions, mut offsets, mut times, .. } = part;
    if let Some(order) = partition_order(&partitions) {
        let pick = |values: &[i64]| order.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
        offsets = pick(&offsets);
        times = pick(&times);
        partitions = order.iter().map(|&row| partitions[row as usize]).collect();
        batch = take_record_batch(&batch, &UInt32Array::from(order))?;
    }
    let runs = runs(partitions.iter().copied().zip(offsets.iter().copied()));
    let min_time = Timestamp(times.iter().copied().min().unwrap_or(0));
    let max_time = Timestamp(times.iter().copied().max().unwrap_or(0));

    let user_columns = schema.user_columns().fields().len();
    let mut arrays: Vec<ArrayRef> = batch.columns()[..user_columns].to_vec();
    let extra = batch.column(user_columns);
    let mut optional = Optional::NONE;
    if extra.null_count() < extra.len() {
        optional = optional.with(Optional::EXTRA);
        arrays.push(extra.clone());
    }
    arrays.push(Arc::new(Int64Array::from(offsets)));
    arrays.push(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")));
    let body = RecordBatch::try_new(rows::body_schema(schema, optional), arrays)?;
    Ok(Block {
        header: BlockHeader {
            kind: BlockKind::Rows,
            stream: key.0,
            schema: key.1,
            fingerprint: fingerprint(schema),
            encoding: Encoding::Plain as u8,
            min_time,
            max_time,
            extensions: vec![Extension {
                tag: Extension::OPTIONAL_COLUMNS,
                value: optional.bits().to_le_bytes().to_vec().into(),
            }],
            runs,
        },
        body: rows::encode(&body, Encoding::Plain)?.into(),
    })
}

fn rejects_block(
    key: BlockKey,
    fingerprint: u64,
    mut rejects: Vec<RejectRow>,
    requests: &[Judged],
    now: Timestamp,
) -> Result<Block, AssembleError> {
    rejects.sort_by_key(|row| row.partition);
    let of = |row: &RejectRow| (&requests[row.request], &requests[row.request].rejects[row.reject]);
    let text = |pick: &dyn Fn(&Judged, &SealedReject) -> String| -> ArrayRef {
        let values = rejects.iter().map(|row| {
            let (request, reject) = of(row);
            pick(request, reject)
        });
        Arc::new(StringArray::from_iter_values(values))
    };
    let mut payload = BinaryBuilder::new();
    for row in &rejects {
        payload.append_value(&of(row).1.payload);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|row| row.offset))),
        text(&|request, _| request.door.to_string()),
        text(&|request, _| request.principal.name().to_owned()),
        Arc::new(StringArray::from_iter(rejects.iter().map(|row| of(row).0.request_id.as_deref()))),
        Arc::new(Int32Array::from_iter_values(rejects.iter().map(|row| of(row).1.error.index.cast_signed()))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|row| of(row).1.byte_offset.cast_signed()))),
        text(&|_, reject| reject.error.code.as_str().to_owned()),
        text(&|_, reject| reject.error.path.clone()),
        text(&|_, reject| reject.error.message.clone()),
        Arc::new(payload.finish()),
        Arc::new(StringArray::new_null(rejects.len())),
    ];
    let body = RecordBatch::try_new(rows::rejects_body_schema(), arrays)?;
    Ok(Block {
        header: BlockHeader {
            kind: BlockKind::Rejects,
            stream: key.0,
            schema: key.1,
            fingerprint,
            encoding: Encoding::Plain as u8,
            min_time: now,
            max_time: now,
            extensions: Vec::new(),
            runs: runs(rejects.iter().map(|row| (row.partition, row.offset))),
        },
        body: rows::encode(&body, Encoding::Plain)?.into(),
    })
}
