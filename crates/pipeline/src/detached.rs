//! A hot tail as bytes, and the tail that another process on this machine makes of them.
//! Always: the bytes carry what it takes to decode (where each body stands, with its checksum, and the schemas' documents),
//! never a body. They are good while the tail that they were made from lives: its leases are what keeps the segments.
//! Not persisted and not between versions: both processes are of one binary.

mod kept;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use hw_event::{Seq, StreamId, StreamName, Timestamp};
use hw_journal::{BlockHeader, BlockKind, BlockPlace, BlockRef, PlaceError, SegmentReader};
use hw_schema::{
    Schema,
    rows::{self, RowsError},
};
use serde::{Deserialize, Serialize};

use crate::{
    DecodeError,
    decode::{decode_rejects_of, optional_of, runs},
    hot::{Content, HotTail, header_rows},
};
pub use kept::Kept;

/// Compiled schemas that are kept; beyond it all are made anew.
const SCHEMAS_MAX: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum DetachedError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("append {seq}: {source}")]
    Decode { seq: Seq, source: DecodeError },
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A fault of ours: both ends are of one binary.
    #[error("the tail's bytes make no sense: {0}")]
    Malformed(String),
}

impl DetachedError {
    /// The journal has needed the room: another, newer tail can be read.
    pub fn is_gone(&self) -> bool {
        matches!(self, DetachedError::Place(PlaceError::Gone { .. }))
    }
}

#[derive(Serialize, Deserialize)]
enum Sent {
    Rows {
        /// By number, the documents that the blocks' rows were judged by.
        schemas: Vec<(i32, String)>,
        blocks: Blocks,
    },
    Rejects {
        streams: Vec<(u64, String)>,
        blocks: Blocks,
    },
    /// As an Arrow IPC stream.
    Ledger(#[serde(with = "raw")] Vec<u8>),
}

#[derive(Default, Serialize, Deserialize)]
struct Blocks {
    files: Vec<String>,
    places: Vec<Place>,
    /// One after another, as long as `Place::header_bytes` says.
    #[serde(with = "raw")]
    headers: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    seq: u64,
    received_at: i64,
    /// In `Blocks::files`.
    file: u32,
    position: u64,
    bytes: u32,
    crc: u32,
    header_bytes: u32,
}

/// Bytes as one piece, not one by one.
mod raw {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec)
    }
}

impl HotTail {
    /// `None`: a part of it can be read by this process only.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let sent = match &self.content {
            Content::Rows(blocks) => {
                Sent::Rows { schemas: self.documents(blocks), blocks: self.sent(blocks)? }
            }
            Content::Rejects(blocks) => {
                let mut streams = BTreeMap::new();
                for block in blocks {
                    if let Some(stream) = self.registry.by_id(block.header.stream) {
                        streams.entry(stream.id.0).or_insert_with(|| stream.name.to_string());
                    }
                }
                Sent::Rejects { streams: streams.into_iter().collect(), blocks: self.sent(blocks)? }
            }
            Content::Ledger(tallies) => Sent::Ledger(stream_bytes(&rows::ledger_table_batch(tallies)).ok()?),
        };
        postcard::to_stdvec(&sent).ok()
    }

    fn documents(&self, blocks: &[BlockRef]) -> Vec<(i32, String)> {
        let mut documents = BTreeMap::new();
        for header in blocks.iter().map(|block| &block.header) {
            if documents.contains_key(&header.schema) {
                continue;
            }
            let stream = self.registry.by_id(header.stream);
            let number = hw_event::SchemaNumber(header.schema);
            if let Some(schema) = stream.as_ref().and_then(|stream| stream.version(number)) {
                documents.insert(header.schema, schema.document().to_owned());
            }
        }
        documents.into_iter().collect()
    }

    fn sent(&self, blocks: &[BlockRef]) -> Option<Blocks> {
        let mut sent = Blocks::default();
        for block in blocks {
            let BlockPlace { file, position, bytes, crc } = self.log.place(block)?;
            let header = block.header.to_bytes()?;
            // Blocks come in the order of the log: a file's stand together.
            if sent.files.last() != Some(&file) {
                sent.files.push(file);
            }
            sent.places.push(Place {
                seq: block.seq.0,
                received_at: block.received_at.0,
                file: u32::try_from(sent.files.len() - 1).ok()?,
                position,
                bytes,
                crc,
                header_bytes: u32::try_from(header.len()).ok()?,
            });
            sent.headers.extend_from_slice(&header);
        }
        Some(sent)
    }
}

fn stream_bytes(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// Schemas by their documents, compiled once a process.
#[derive(Debug, Default)]
pub struct Schemas {
    // A std mutex: held for a look-up or for one compilation; there is one statement at a time.
    compiled: Mutex<HashMap<String, Arc<Schema>>>,
}

impl Schemas {
    fn of(&self, document: String) -> Result<Arc<Schema>, DetachedError> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = compiled.get(&document) {
            return Ok(Arc::clone(schema));
        }
        let parsed = Schema::parse(&document)
            .map_err(|_| DetachedError::Malformed("a schema that was accepted once is refused".to_owned()))?;
        let schema = Arc::new(parsed.schema);
        if compiled.len() >= SCHEMAS_MAX {
            compiled.clear();
        }
        compiled.insert(document, Arc::clone(&schema));
        Ok(schema)
    }
}

/// The hot tail of a table, read from the segment files.
#[derive(Debug)]
pub struct DetachedTail {
    content: Detached,
    rows: usize,
}

#[derive(Debug)]
enum Detached {
    Blocks { segments: SegmentReader, decoders: Decoders, blocks: Vec<Block> },
    Batches(Vec<RecordBatch>),
}

#[derive(Debug)]
enum Decoders {
    Rows(HashMap<i32, Arc<Schema>>),
    Rejects(HashMap<StreamId, StreamName>),
}

#[derive(Debug)]
struct Block {
    seq: Seq,
    received_at: Timestamp,
    header: BlockHeader,
    place: BlockPlace,
}

impl DetachedTail {
    /// Opens every file that it will read: from here on a name that goes is no loss. `journal` is the directory of the
    /// segments.
    pub fn open(bytes: &[u8], journal: &Path, schemas: &Schemas) -> Result<DetachedTail, DetachedError> {
        let malformed = |fault: postcard::Error| DetachedError::Malformed(fault.to_string());
        let (decoders, blocks) = match postcard::from_bytes(bytes).map_err(malformed)? {
            Sent::Rows { schemas: documents, blocks } => {
                let mut compiled = HashMap::new();
                for (number, document) in documents {
                    compiled.insert(number, schemas.of(document)?);
                }
                (Decoders::Rows(compiled), blocks)
            }
            Sent::Rejects { streams, blocks } => {
                let mut names = HashMap::new();
                for (id, name) in streams {
                    let name =
                        name.parse().map_err(|_| DetachedError::Malformed("a stream's name".to_owned()))?;
                    names.insert(StreamId(id), name);
                }
                (Decoders::Rejects(names), blocks)
            }
            Sent::Ledger(stream) => {
                let batches: Vec<_> = StreamReader::try_new(&stream[..], None)?.collect::<Result<_, _>>()?;
                let rows = batches.iter().map(RecordBatch::num_rows).sum();
                return Ok(DetachedTail { content: Detached::Batches(batches), rows });
            }
        };
        let mut segments = SegmentReader::new(journal);
        for file in &blocks.files {
            segments.hold(file)?;
        }
        let blocks = taken_apart(blocks)?;
        let rows = blocks.iter().map(|block| header_rows(&block.header)).sum();
        Ok(DetachedTail { content: Detached::Blocks { segments, decoders, blocks }, rows })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What is known of each part before it is read: a part is a block. Empty: nothing is known.
    pub fn parts(&self) -> Vec<PartRanges> {
        match &self.content {
            Detached::Blocks { blocks, .. } => blocks.iter().map(PartRanges::of).collect(),
            Detached::Batches(_) => Vec::new(),
        }
    }

    /// Read, decoded and brought to the columns `to`, one part at a time. Blocking. `to` may be some of the table's columns:
    /// then no others are decoded, and a block that they need nothing of is not read. `only`: these parts, in this order.
    /// Columns are kept in `kept`, or taken from it, if all that is asked for has room there.
    pub fn batches(
        self: Arc<DetachedTail>,
        to: SchemaRef,
        only: Option<Vec<usize>>,
        kept: Option<Arc<Kept>>,
    ) -> impl Iterator<Item = Result<RecordBatch, DetachedError>> + Send {
        let count = match &self.content {
            Detached::Blocks { blocks, .. } => blocks.len(),
            Detached::Batches(batches) => batches.len(),
        };
        let parts = only.unwrap_or_else(|| (0..count).collect());
        let kept = kept.filter(|kept| self.fits(&parts, &to, kept));
        parts.into_iter().filter(move |part| *part < count).map(move |at| match &self.content {
            Detached::Blocks { segments, decoders, blocks } => {
                decoders.decode(&blocks[at], segments, &to, kept.as_deref())
            }
            Detached::Batches(batches) => Ok(rows::adapt(batches[at].clone(), &to)?),
        })
    }

    /// About, and as if all columns were as wide as one another.
    fn fits(&self, parts: &[usize], to: &SchemaRef, kept: &Kept) -> bool {
        let Detached::Blocks { decoders: Decoders::Rows(schemas), blocks, .. } = &self.content else {
            return false;
        };
        let bodies = parts.iter().filter_map(|part| blocks.get(*part));
        let bytes: u64 = bodies
            .map(|block| {
                let all = schemas
                    .get(&block.header.schema)
                    .map_or(1, |schema| schema.table_columns().fields().len());
                u64::from(block.place.bytes) * to.fields().len().min(all) as u64 / all.max(1) as u64
            })
            .sum();
        kept.fits(bytes)
    }
}

/// What a block's header says of the values in it. Both ends are inside; every value of the block lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRanges {
    pub rows: u64,
    pub partition: (i32, i32),
    /// `None`: not known.
    pub offset: Option<(i64, i64)>,
    pub seq: u64,
    /// Of events, microseconds. For rejects, when they came.
    pub time: (i64, i64),
    pub received_at: i64,
}

impl PartRanges {
    fn of(block: &Block) -> PartRanges {
        let runs = &block.header.runs;
        let ends = |run: &hw_journal::Run| {
            // As large as can be said is not known to be all.
            (run.span < u32::MAX).then(|| (run.base, run.base.saturating_add(i64::from(run.span.max(1)) - 1)))
        };
        let both = |one: Option<(i64, i64)>, other: Option<(i64, i64)>| {
            let (one, other) = (one?, other?);
            Some((one.0.min(other.0), one.1.max(other.1)))
        };
        PartRanges {
            rows: header_rows(&block.header) as u64,
            partition: (
                runs.iter().map(|run| run.partition).min().unwrap_or(i32::MIN),
                runs.iter().map(|run| run.partition).max().unwrap_or(i32::MAX),
            ),
            offset: runs.iter().map(ends).reduce(both).flatten(),
            seq: block.seq.0,
            time: match block.header.kind {
                BlockKind::Rejects => (block.received_at.0, block.received_at.0),
                _ => (block.header.min_time.0, block.header.max_time.0),
            },
            received_at: block.received_at.0,
        }
    }
}

impl Decoders {
    fn decode(
        &self,
        block: &Block,
        segments: &SegmentReader,
        to: &SchemaRef,
        kept: Option<&Kept>,
    ) -> Result<RecordBatch, DetachedError> {
        let Block { seq, received_at, header, place } = block;
        let stream = header.stream;
        let told = |source| DetachedError::Decode { seq: *seq, source };
        match self {
            Decoders::Rows(schemas) => match schemas.get(&header.schema) {
                Some(schema) => rows_of(schema, block, segments, to, kept),
                None => Err(told(DecodeError::UnknownSchema { stream, number: header.schema })),
            },
            Decoders::Rejects(names) => match names.get(&stream) {
                Some(name) => {
                    let body = segments.read(place)?;
                    let batch = decode_rejects_of(name, header, *seq, *received_at, body).map_err(told)?;
                    Ok(rows::adapt(batch, to)?)
                }
                None => Err(told(DecodeError::UnknownStream(stream))),
            },
        }
    }
}

/// 1. Which columns the body has, and which of them are wanted.
/// 2. Those that were kept.
/// 3. If any is missing, the body: read, checked, and only the missing ones decoded.
fn rows_of(
    schema: &Schema,
    block: &Block,
    segments: &SegmentReader,
    to: &SchemaRef,
    kept: Option<&Kept>,
) -> Result<RecordBatch, DetachedError> {
    let Block { seq, received_at, header, place } = block;
    let told = |source: DecodeError| DetachedError::Decode { seq: *seq, source };
    let body_columns = rows::body_schema(schema, optional_of(schema, header).map_err(told)?);
    let wanted = body_columns.fields().iter().enumerate();
    let wanted = wanted.filter(|(_, field)| to.column_with_name(field.name()).is_some());

    let key = kept::key(*seq, place);
    let mut found: Vec<(&str, ArrayRef)> = Vec::new();
    let mut missing = Vec::new();
    for (index, field) in wanted {
        match kept.and_then(|kept| kept.get(key, field.name())) {
            Some(array) => found.push((field.name(), array)),
            None => missing.push(index),
        }
    }
    let runs = runs(header);
    if !missing.is_empty() {
        let body = segments.read(place)?;
        let decoded = rows::decode_columns(&body_columns, header.encoding, body, &missing);
        let decoded = decoded.map_err(|fault| told(fault.into()))?;
        let counted: u64 = runs.iter().map(|&(_, rows)| u64::from(rows)).sum();
        if counted != decoded.num_rows() as u64 {
            let fault = format!("its runs count {counted} rows, it has {}", decoded.num_rows());
            return Err(told(RowsError::Mismatch(fault).into()));
        }
        for (index, array) in missing.iter().zip(decoded.columns()) {
            let name = body_columns.field(*index).name();
            if let Some(kept) = kept {
                kept.put(key, name, array);
            }
            found.push((name, ArrayRef::clone(array)));
        }
    }
    let number = hw_event::SchemaNumber(header.schema);
    let find = |name: &str| found.iter().find(|(of, _)| *of == name).map(|(_, array)| ArrayRef::clone(array));
    Ok(rows::table_columns_of(to, number, &runs, *seq, *received_at, find)?)
}

fn taken_apart(sent: Blocks) -> Result<Vec<Block>, DetachedError> {
    let malformed = |what: &str| DetachedError::Malformed(what.to_owned());
    let mut headers = &sent.headers[..];
    let mut blocks = Vec::with_capacity(sent.places.len());
    for Place { seq, received_at, file, position, bytes, crc, header_bytes } in sent.places {
        let file = sent.files.get(file as usize).ok_or_else(|| malformed("a file without a name"))?;
        let (header, rest) =
            headers.split_at_checked(header_bytes as usize).ok_or_else(|| malformed("a header cut short"))?;
        headers = rest;
        blocks.push(Block {
            seq: Seq(seq),
            received_at: Timestamp(received_at),
            header: BlockHeader::from_bytes(header).map_err(|fault| malformed(&fault.to_string()))?,
            place: BlockPlace { file: file.clone(), position, bytes, crc },
        });
    }
    Ok(blocks)
}
