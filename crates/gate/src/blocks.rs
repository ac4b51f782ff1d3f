//! Blocks: the rows and the rejects of a group, one block of each for every stream and schema.
//! Always: rows stand in the order of their partitions, and within one in the order of their offsets; what is encoded
//! was copied together, so that no slice brings along bytes of others.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        UInt32Array, new_null_array,
    },
    compute::{concat_batches, take, take_record_batch},
    error::ArrowError,
};
use hw_event::{StreamId, Timestamp};
use hw_journal::{Block, BlockHeader, BlockKind, Extension, Run};
use hw_schema::{
    PayloadForm, Schema,
    rows::{self, Encoding, Optional, RowsError},
};

use crate::{
    judged::{Judged, SealedReject, Standing},
    place::Placed,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum BlocksError {
    #[error("rows could not be put together: {0}")]
    Arrow(#[from] ArrowError),
    #[error("rows could not be encoded: {0}")]
    Rows(#[from] RowsError),
}

/// Stream and schema number; 0 where there is no schema.
type BlockKey = (StreamId, i32);

/// What a group's requests bring, until it is made into blocks.
#[derive(Default)]
pub(crate) struct Blocks {
    /// In the order in which they came up.
    keys: Vec<BlockKey>,
    rows: HashMap<BlockKey, RowsPart>,
    rejects: HashMap<BlockKey, Vec<RejectRow>>,
}

/// Rows of one stream and schema, gathered over a group.
#[derive(Default)]
struct RowsPart {
    requests: Vec<RequestRows>,
}

/// The rows of one request, in its order.
struct RequestRows {
    batch: RecordBatch,
    /// `_id` and `_headers`; `None` where the request had none.
    context: Option<RecordBatch>,
    /// `_origin`; `None` where they come for the first time.
    origins: Option<StringArray>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    times: Vec<i64>,
}

impl RequestRows {
    /// The partition of all of them, if it is one.
    fn partition(&self) -> Option<i32> {
        let first = *self.partitions.first()?;
        self.partitions.iter().all(|partition| *partition == first).then_some(first)
    }
}

struct RejectRow {
    partition: i32,
    offset: i64,
    /// Number of the request in its group, and of the reject in its request.
    request: usize,
    reject: usize,
}

impl Blocks {
    pub(crate) fn add(&mut self, index: usize, request: &Judged, placed: &Placed) -> Result<(), BlocksError> {
        let key = key_of(request);
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        if !placed.rows.is_empty() {
            self.rows.entry(key).or_default().take(request, placed)?;
        }
        let rejects = placed.rejects.iter();
        self.rejects.entry(key).or_default().extend(rejects.map(|&(reject, partition, offset)| RejectRow {
            partition,
            offset,
            request: index,
            reject,
        }));
        Ok(())
    }

    pub(crate) fn finish(mut self, requests: &[Judged], now: Timestamp) -> Result<Vec<Block>, BlocksError> {
        let mut blocks = Vec::new();
        for key in std::mem::take(&mut self.keys) {
            let schema = requests.iter().find(|request| key_of(request) == key).and_then(|request| {
                let (_, schema) = request.schema.as_ref()?;
                Some(schema)
            });
            if let (Some(part), Some(schema)) = (self.rows.remove(&key), schema) {
                blocks.push(rows_block(key, schema, part)?);
            }
            if let Some(rejects) = self.rejects.remove(&key).filter(|rejects| !rejects.is_empty()) {
                let fingerprint = schema.map_or(0, |schema| fingerprint(schema));
                blocks.push(rejects_block(key, fingerprint, rejects, requests, now)?);
            }
        }
        Ok(blocks)
    }
}

fn key_of(request: &Judged) -> BlockKey {
    (request.stream.id, request.schema.as_ref().map_or(0, |(number, _)| number.0))
}

impl RowsPart {
    fn take(&mut self, request: &Judged, placed: &Placed) -> Result<(), BlocksError> {
        let Some(applied) = &request.rows else { return Ok(()) };
        // Skipped duplicates are the first of the request. Taking copies, so that no slice, and with it nobody
        // else's bytes, reaches the encoder.
        let skipped = (placed.rows.len() < applied.batch.num_rows())
            .then(|| UInt32Array::from_iter_values(placed.rows.iter().map(|row| row.row as u32)));
        let kept = |batch: &RecordBatch| match &skipped {
            None => Ok(batch.clone()),
            Some(rows) => take_record_batch(batch, rows),
        };
        self.requests.push(RequestRows {
            batch: kept(&applied.batch)?,
            context: request.context.as_ref().map(kept).transpose()?,
            // None of them is skipped: rejects that come back have no duplicates.
            origins: match &request.standing {
                Standing::Replayed { origins } => Some(origins.clone()),
                Standing::Received | Standing::Resolutions => None,
            },
            partitions: placed.rows.iter().map(|row| row.partition).collect(),
            offsets: placed.rows.iter().map(|row| row.offset).collect(),
            times: placed.rows.iter().map(|row| row.time.0).collect(),
        });
        Ok(())
    }

    /// Requests that each went to one partition are put into the order of their partitions here, whole, so that no row has
    /// to be moved on its own.
    fn order_requests(&mut self) {
        if self.requests.iter().all(|request| request.partition().is_some()) {
            self.requests.sort_by_key(RequestRows::partition);
        }
    }

    fn gather<T: Copy>(&self, of: impl Fn(&RequestRows) -> &Vec<T>) -> Vec<T> {
        self.requests.iter().flat_map(|request| of(request).iter().copied()).collect()
    }

    /// Each column as its parts, a part a request.
    fn columns(&self) -> Vec<Vec<ArrayRef>> {
        let columns = 0..self.requests[0].batch.num_columns();
        let part = |request: &RequestRows, column| Arc::clone(request.batch.column(column));
        columns.map(|column| self.requests.iter().map(|request| part(request, column)).collect()).collect()
    }

    /// The same, each column in one part with its rows in this order.
    fn columns_in(&self, order: &UInt32Array) -> Result<Vec<Vec<ArrayRef>>, BlocksError> {
        let columns = self.requests[0].batch.schema();
        let batch = concat_batches(&columns, self.requests.iter().map(|request| &request.batch))?;
        Ok(take_record_batch(&batch, order)?.columns().iter().map(|column| vec![column.clone()]).collect())
    }

    /// `_id` and `_headers` of all rows, where any request of the group had them.
    fn context(&self) -> Result<Option<RecordBatch>, BlocksError> {
        let mut contexts = self.requests.iter().filter_map(|request| request.context.as_ref());
        let Some(columns) = contexts.next().map(RecordBatch::schema) else { return Ok(None) };
        let batches = self.requests.iter().map(|request| match &request.context {
            Some(context) => Ok(context.clone()),
            None => {
                let rows = request.batch.num_rows();
                let nulls = columns.fields().iter().map(|f| new_null_array(f.data_type(), rows));
                RecordBatch::try_new(columns.clone(), nulls.collect())
            }
        });
        Ok(Some(concat_batches(&columns, &batches.collect::<Result<Vec<_>, _>>()?)?))
    }
}

/// `_origin` of all rows, where any of them came back.
fn origins(part: &RowsPart) -> Option<StringArray> {
    part.requests.iter().any(|request| request.origins.is_some()).then(|| {
        part.requests
            .iter()
            .flat_map(|request| {
                let rows = 0..request.batch.num_rows();
                let origins = request.origins.as_ref();
                rows.map(move |row| origins.map(|origins| origins.value(row)))
            })
            .collect()
    })
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

fn rows_block(key: BlockKey, schema: &Schema, mut part: RowsPart) -> Result<Block, BlocksError> {
    part.order_requests();
    let mut context = part.context()?;
    let mut origins = origins(&part).map(|origins| Arc::new(origins) as ArrayRef);
    let mut partitions = part.gather(|request| &request.partitions);
    let mut offsets = part.gather(|request| &request.offsets);
    let mut times = part.gather(|request| &request.times);
    let mut columns = match partition_order(&partitions) {
        None => part.columns(),
        Some(order) => {
            let pick = |values: &[i64]| order.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
            offsets = pick(&offsets);
            times = pick(&times);
            partitions = order.iter().map(|&row| partitions[row as usize]).collect();
            let order = UInt32Array::from(order);
            context = context.map(|context| take_record_batch(&context, &order)).transpose()?;
            origins = origins.map(|origins| take(&origins, &order, None)).transpose()?;
            part.columns_in(&order)?
        }
    };
    let runs = runs(partitions.iter().copied().zip(offsets.iter().copied()));
    let min_time = Timestamp(times.iter().copied().min().unwrap_or(0));
    let max_time = Timestamp(times.iter().copied().max().unwrap_or(0));

    // The last of the decoder's columns is `_extra`.
    let extra = columns.split_off(schema.user_columns().fields().len());
    let mut optional = Optional::NONE;
    if extra.iter().flatten().any(|part| part.null_count() < part.len()) {
        optional = optional.with(Optional::EXTRA);
        columns.extend(extra);
    }
    if let Some(context) = context {
        optional = optional.with(Optional::ID).with(Optional::HEADERS);
        columns.extend(context.columns().iter().map(|column| vec![column.clone()]));
    }
    if let Some(origins) = origins {
        optional = optional.with(Optional::ORIGIN);
        columns.push(vec![origins]);
    }
    let rows = offsets.len();
    columns.push(vec![Arc::new(Int64Array::from(offsets))]);
    columns.push(vec![Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))]);
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
        body: rows::encode_parts(rows, columns.iter().map(Vec::as_slice))?.into(),
    })
}

fn rejects_block(
    key: BlockKey,
    fingerprint: u64,
    mut rejects: Vec<RejectRow>,
    requests: &[Judged],
    now: Timestamp,
) -> Result<Block, BlocksError> {
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
        Arc::new(Int32Array::from_iter_values(rejects.iter().map(|row| {
            let (request, reject) = of(row);
            request.index(reject)
        }))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|row| of(row).1.byte_offset.cast_signed()))),
        text(&|_, reject| reject.error.code.as_str().to_owned()),
        text(&|_, reject| reject.error.path.clone()),
        text(&|_, reject| reject.error.message.clone()),
        Arc::new(payload.finish()),
        Arc::new(StringArray::from_iter(
            rejects.iter().map(|row| of(row).1.form.map(PayloadForm::content_type)),
        )),
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
