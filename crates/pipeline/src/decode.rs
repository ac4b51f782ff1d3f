//! From stored appends to deliveries: blocks become table batches, damage becomes a count.
//! Always: a block that does not decode costs only itself; positions are honoured before any body is opened.
//! Does not retry and does not report: it returns what it found.

use std::{fmt, sync::Arc};

use arrow::array::RecordBatch;
use bytes::Bytes;
use hw_event::{Seq, StreamId, StreamName, Tally, Timestamp};
use hw_journal::{BlockHeader, BlockKind, Extension, Log, ReadError, RecordKind, StoredAppend};
use hw_schema::{
    Registry, Schema, Stream,
    rows::{self, Optional, RowsError},
};

use crate::sink::{Delivery, Positions, RejectsDelivery, RowsDelivery};

/// How many appends in a row are looked at, in one step, to find the end of a damaged range.
const PROBES_MAX: u64 = 4096;

/// Why a block could not be turned into rows. The rest of its append is not affected.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("stream {0} is not in the registry")]
    UnknownStream(StreamId),
    #[error("stream {stream} has no schema number {number}")]
    UnknownSchema { stream: StreamId, number: i32 },
    #[error("schema {number} of stream {stream} is not the one the block was written with")]
    Fingerprint { stream: StreamId, number: i32 },
    #[error("the block's map of optional columns is {0:02x?}")]
    Optional(Bytes),
    #[error("a tally record is malformed")]
    Tally,
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// Something that was passed over.
#[derive(Debug)]
pub(crate) enum Damage {
    /// Bytes of the log, and the last append that could not be read because of them.
    Log {
        error: ReadError,
        through: Seq,
    },
    /// The log says it is further, but has nothing to give.
    Missing {
        after: Seq,
        through: Seq,
    },
    Block {
        seq: Seq,
        error: DecodeError,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Log { error, through } => write!(f, "{error} (appends through {through} are lost)"),
            Damage::Missing { after, through } => {
                write!(f, "appends after {after} through {through} are missing")
            }
            Damage::Block { seq, error } => write!(f, "a block of append {seq}: {error}"),
        }
    }
}

pub(crate) struct Step {
    pub delivery: Delivery,
    pub damages: Vec<Damage>,
}

/// Reads and decodes about `bytes_max` after `after`. Blocking. The delivery's `through` stays at `after` if
/// the log gave nothing, although it is durable to beyond it.
pub(crate) fn read_step(
    log: &dyn Log,
    registry: &Registry,
    positions: &Positions,
    after: Seq,
    durable: Seq,
    bytes_max: usize,
) -> Result<Step, ReadError> {
    let mut damages = Vec::new();
    let mut after = after;
    let mut probes = 0;
    let appends = loop {
        match log.read(after, bytes_max) {
            Ok(appends) => break appends,
            // The reader steps over the damage append by append: the next healthy one may be anywhere.
            Err(error @ ReadError::Damaged { .. }) => {
                after = after.next();
                probes += 1;
                report(&mut damages, error, after);
                if after >= durable || probes >= PROBES_MAX {
                    break Vec::new();
                }
            }
            Err(error) => return Err(error),
        }
    };
    let mut delivery =
        Delivery { through: after, rows: Vec::new(), rejects: Vec::new(), tallies: Vec::new(), bytes: 0 };
    for append in appends {
        if append.seq > delivery.through.next() {
            let through = Seq(append.seq.0.saturating_sub(1));
            damages.push(Damage::Missing { after: delivery.through, through });
        }
        delivery.through = append.seq;
        deliver_append(registry, positions, append, &mut delivery, &mut damages);
    }
    Ok(Step { delivery, damages })
}

/// One report for one damaged range, however many appends it covers.
fn report(damages: &mut Vec<Damage>, error: ReadError, seq: Seq) {
    if let Some(Damage::Log { error: last, through }) = damages.last_mut()
        && last.to_string() == error.to_string()
    {
        *through = seq;
        return;
    }
    damages.push(Damage::Log { error, through: seq });
}

fn deliver_append(
    registry: &Registry,
    positions: &Positions,
    stored: StoredAppend,
    delivery: &mut Delivery,
    damages: &mut Vec<Damage>,
) {
    let StoredAppend { seq, append } = stored;
    let received_at = append.received_at;
    let mut damaged = |error| damages.push(Damage::Block { seq, error });
    for block in append.blocks {
        let header = &block.header;
        let body_bytes = block.body.len();
        match header.kind {
            BlockKind::Rows if seq > positions.of_rows(header.stream) => {
                match decode_rows(registry, header, seq, received_at, block.body) {
                    Ok((stream, batch)) => delivery.rows.push(RowsDelivery {
                        stream,
                        seq,
                        number: hw_event::SchemaNumber(header.schema),
                        batch,
                    }),
                    Err(error) => damaged(error),
                }
                delivery.bytes += body_bytes;
            }
            BlockKind::Rejects if seq > positions.rejects => {
                match decode_rejects(registry, header, seq, received_at, block.body) {
                    Ok(batch) => delivery.rejects.push(RejectsDelivery { seq, batch }),
                    Err(error) => damaged(error),
                }
                delivery.bytes += body_bytes;
            }
            BlockKind::Rows | BlockKind::Rejects | BlockKind::Opaque | BlockKind::Control => {}
        }
    }
    if seq > positions.ledger {
        for record in append.records.iter().filter(|record| record.kind == RecordKind::Tally) {
            match decode_tally(registry, &record.value) {
                Ok((stream, tally)) => delivery.tallies.push((stream.name.clone(), seq, tally)),
                Err(error) => damaged(error),
            }
        }
    }
}

/// A Rows block as rows of its stream's table, with the columns of its own schema version.
pub fn decode_rows(
    registry: &Registry,
    header: &BlockHeader,
    seq: Seq,
    received_at: Timestamp,
    body: Bytes,
) -> Result<(Arc<Stream>, RecordBatch), DecodeError> {
    let stream = registry.by_id(header.stream).ok_or(DecodeError::UnknownStream(header.stream))?;
    let number = hw_event::SchemaNumber(header.schema);
    let schema = stream
        .version(number)
        .ok_or(DecodeError::UnknownSchema { stream: header.stream, number: header.schema })?
        .clone();
    let batch = decode_rows_by(&schema, header, seq, received_at, body)?;
    Ok((stream, batch))
}

/// By a schema that the caller has found: that it is the block's is checked.
fn decode_rows_by(
    schema: &Schema,
    header: &BlockHeader,
    seq: Seq,
    received_at: Timestamp,
    body: Bytes,
) -> Result<RecordBatch, DecodeError> {
    let number = hw_event::SchemaNumber(header.schema);
    let optional = optional_of(schema, header)?;
    let body = rows::decode(&rows::body_schema(schema, optional), header.encoding, body)?;
    Ok(rows::table_batch(schema, number, &runs(header), optional, seq, received_at, body)?)
}

/// Which columns a Rows block has beside its schema's; that it is the schema's is checked.
pub(crate) fn optional_of(schema: &Schema, header: &BlockHeader) -> Result<Optional, DecodeError> {
    let [a, b, c, d, e, f, g, h, ..] = schema.fingerprint();
    if header.fingerprint != u64::from_le_bytes([a, b, c, d, e, f, g, h]) {
        return Err(DecodeError::Fingerprint { stream: header.stream, number: header.schema });
    }
    let extension = header.extensions.iter().find(|extension| extension.tag == Extension::OPTIONAL_COLUMNS);
    let Some(extension) = extension else { return Ok(Optional::default()) };
    let bits = <[u8; 4]>::try_from(&extension.value[..]).ok();
    bits.and_then(|bits| Optional::from_bits(u32::from_le_bytes(bits)))
        .ok_or_else(|| DecodeError::Optional(extension.value.slice(..extension.value.len().min(8))))
}

/// A Rejects block as rows of the table `rejects`.
pub fn decode_rejects(
    registry: &Registry,
    header: &BlockHeader,
    seq: Seq,
    received_at: Timestamp,
    body: Bytes,
) -> Result<RecordBatch, DecodeError> {
    let stream = registry.by_id(header.stream).ok_or(DecodeError::UnknownStream(header.stream))?;
    decode_rejects_of(&stream.name, header, seq, received_at, body)
}

/// As `decode_rejects`, of a stream that the caller has found.
pub(crate) fn decode_rejects_of(
    stream: &StreamName,
    header: &BlockHeader,
    seq: Seq,
    received_at: Timestamp,
    body: Bytes,
) -> Result<RecordBatch, DecodeError> {
    let body = rows::decode(&rows::rejects_body_schema(), header.encoding, body)?;
    Ok(rows::rejects_table_batch(stream, header.schema, &runs(header), seq, received_at, body)?)
}

/// A Tally record, and the stream it counts.
pub(crate) fn decode_tally(registry: &Registry, value: &[u8]) -> Result<(Arc<Stream>, Tally), DecodeError> {
    let tally = Tally::from_bytes(value).map_err(|_| DecodeError::Tally)?;
    let stream = registry.by_id(tally.stream).ok_or(DecodeError::UnknownStream(tally.stream))?;
    Ok((stream, tally))
}

pub(crate) fn runs(header: &BlockHeader) -> Vec<(i32, u32)> {
    header.runs.iter().map(|run| (run.partition, run.rows)).collect()
}
