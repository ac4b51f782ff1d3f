//! A record batch as a block's body: an Arrow IPC record batch message without its schema.
//!
//! Layout, little-endian: `u32` length of the message in bytes, `u32` zero, the message (a flatbuffer `Message`
//! whose header is a `RecordBatch`), zeros up to a multiple of 8, then the buffers.
//!
//! Always: `decode` looks at every length before arrow-ipc does, because arrow-ipc slices without looking. Columns
//! are written exactly as long as they are.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::{DataType, Field, SchemaRef},
    error::ArrowError,
};
use arrow_ipc::{
    CompressionType, MessageHeader, MetadataVersion, RecordBatch as Message,
    reader::RecordBatchDecoder,
    root_as_message,
    writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
};
use bytes::Bytes;

use super::plain::encode_parts;

/// How a body is written; the number stands in the block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    Plain = 1,
    /// Each buffer as an LZ4 frame.
    Lz4 = 2,
}

impl Encoding {
    pub fn from_number(number: u8) -> Result<Encoding, RowsError> {
        match number {
            1 => Ok(Encoding::Plain),
            2 => Ok(Encoding::Lz4),
            _ => Err(RowsError::Encoding(number)),
        }
    }

    fn compression(self) -> Option<CompressionType> {
        match self {
            Encoding::Plain => None,
            Encoding::Lz4 => Some(CompressionType::LZ4_FRAME),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error("unknown encoding {0} of rows")]
    Encoding(u8),
    #[error("malformed rows: {0}")]
    Malformed(&'static str),
    #[error("malformed rows: {0}")]
    Arrow(#[from] ArrowError),
    #[error("rows do not fit their block: {0}")]
    Mismatch(String),
}

pub(super) const HEAD_BYTES: usize = 8;
pub(super) const ALIGNMENT: usize = 8;
/// LZ4 cannot expand more than this; a length that claims more is a lie told to make us allocate.
const LZ4_RATIO_MAX: u64 = 255;

pub fn encode(batch: &RecordBatch, encoding: Encoding) -> Result<Vec<u8>, RowsError> {
    if encoding == Encoding::Plain {
        return encode_parts(batch.num_rows(), batch.columns().iter().map(std::slice::from_ref));
    }
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?
        .try_with_compression(encoding.compression())?;
    let mut dictionaries = DictionaryTracker::new(true);
    let (_, encoded) = IpcDataGenerator::default().encode(
        batch,
        &mut dictionaries,
        &options,
        &mut IpcWriteContext::default(),
    )?;
    let message = &encoded.ipc_message;
    let length = u32::try_from(message.len()).map_err(|_| RowsError::Malformed("the message is too long"))?;
    let mut body =
        Vec::with_capacity(HEAD_BYTES + message.len().next_multiple_of(ALIGNMENT) + encoded.arrow_data.len());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(message);
    body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
    body.extend_from_slice(&encoded.arrow_data);
    Ok(body)
}

/// Reads what `encode` wrote for a batch of these columns.
pub fn decode(schema: &SchemaRef, encoding: u8, body: Bytes) -> Result<RecordBatch, RowsError> {
    decode_some(schema, encoding, body, None)
}

/// As `decode`, of the columns at these places alone, in ascending order. The others are passed over.
pub fn decode_columns(
    schema: &SchemaRef,
    encoding: u8,
    body: Bytes,
    places: &[usize],
) -> Result<RecordBatch, RowsError> {
    decode_some(schema, encoding, body, Some(places))
}

fn decode_some(
    schema: &SchemaRef,
    encoding: u8,
    body: Bytes,
    places: Option<&[usize]>,
) -> Result<RecordBatch, RowsError> {
    let encoding = Encoding::from_number(encoding)?;
    let head = body.first_chunk::<HEAD_BYTES>().ok_or(RowsError::Malformed("the body is too short"))?;
    let [a, b, c, d, 0, 0, 0, 0] = *head else {
        return Err(RowsError::Malformed("the head is damaged"));
    };
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let message_end = HEAD_BYTES + length;
    let data_start = message_end.next_multiple_of(ALIGNMENT);
    if data_start > body.len() {
        return Err(RowsError::Malformed("the message is cut short"));
    }
    let message = root_as_message(&body[HEAD_BYTES..message_end])
        .map_err(|_| RowsError::Malformed("the message is no Arrow message"))?;
    if message.header_type() != MessageHeader::RecordBatch {
        return Err(RowsError::Malformed("the message is no record batch"));
    }
    let batch =
        message.header_as_record_batch().ok_or(RowsError::Malformed("the message is no record batch"))?;
    if message.version() != MetadataVersion::V5 {
        return Err(RowsError::Malformed("the message has another version"));
    }
    let data = Buffer::from(body.slice(data_start..));
    Inspection::new(batch, &data, encoding)?.inspect(schema)?;
    let none = HashMap::new();
    let version = message.version();
    let decoder = RecordBatchDecoder::try_new(&data, batch, Arc::clone(schema), &none, &version)?;
    Ok(decoder.with_projection(places).read_record_batch()?)
}

/// Walks the expected columns over the message's nodes and buffers, as arrow-ipc will.
struct Inspection<'a> {
    rows: i64,
    nodes: Vec<(i64, i64)>,
    buffers: Vec<(i64, i64)>,
    next_node: usize,
    next_buffer: usize,
    data: &'a [u8],
    compressed: bool,
}

impl<'a> Inspection<'a> {
    fn new(batch: Message<'_>, data: &'a [u8], encoding: Encoding) -> Result<Inspection<'a>, RowsError> {
        let compressed = match (encoding, batch.compression()) {
            (Encoding::Plain, None) => false,
            (Encoding::Lz4, Some(codec)) if codec.codec() == CompressionType::LZ4_FRAME => true,
            _ => return Err(RowsError::Malformed("the compression is not the one declared")),
        };
        if batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
            return Err(RowsError::Malformed("there are variadic buffers"));
        }
        let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
            return Err(RowsError::Malformed("the message has no columns"));
        };
        Ok(Inspection {
            rows: batch.length(),
            nodes: nodes.iter().map(|node| (node.length(), node.null_count())).collect(),
            buffers: buffers.iter().map(|buffer| (buffer.offset(), buffer.length())).collect(),
            next_node: 0,
            next_buffer: 0,
            data,
            compressed,
        })
    }

    fn inspect(mut self, schema: &SchemaRef) -> Result<(), RowsError> {
        if !(0..=i64::from(i32::MAX)).contains(&self.rows) {
            return Err(RowsError::Malformed("the number of rows is impossible"));
        }
        for field in schema.fields() {
            let length = self.column(field)?;
            if length != self.rows {
                return Err(RowsError::Malformed("columns differ in length"));
            }
        }
        if self.next_node != self.nodes.len() || self.next_buffer != self.buffers.len() {
            return Err(RowsError::Malformed("there are more columns than the schema has"));
        }
        Ok(())
    }

    /// Returns the column's length.
    fn column(&mut self, field: &Field) -> Result<i64, RowsError> {
        let &(length, nulls) =
            self.nodes.get(self.next_node).ok_or(RowsError::Malformed("a column is missing"))?;
        self.next_node += 1;
        if !(0..=i64::from(i32::MAX)).contains(&length) || !(0..=length).contains(&nulls) {
            return Err(RowsError::Malformed("a column's length is impossible"));
        }
        if nulls > 0 && !field.is_nullable() {
            return Err(RowsError::Malformed("there are nulls where none may be"));
        }
        let validity = self.buffer()?;
        if nulls > 0 && validity < (length as u64).div_ceil(8) {
            return Err(RowsError::Malformed("a validity bitmap is too short"));
        }
        match field.data_type() {
            DataType::Struct(children) => {
                for child in children {
                    if self.column(child)? != length {
                        return Err(RowsError::Malformed("a struct's columns differ in length"));
                    }
                }
            }
            DataType::List(child) | DataType::Map(child, _) => {
                self.offsets(length)?;
                self.column(child)?;
            }
            DataType::Utf8 | DataType::Binary => {
                self.offsets(length)?;
                self.buffer()?;
            }
            data_type => {
                let bytes = self.buffer()?;
                let fits = match (data_type, data_type.primitive_width()) {
                    (DataType::Boolean, _) => bytes >= (length as u64).div_ceil(8),
                    // arrow-ipc asserts that a buffer holds whole values.
                    (_, Some(width)) => {
                        bytes >= length as u64 * width as u64 && bytes.is_multiple_of(width as u64)
                    }
                    (_, None) => {
                        return Err(RowsError::Malformed("the schema has a column of a foreign type"));
                    }
                };
                if !fits {
                    return Err(RowsError::Malformed("a column's values are cut short"));
                }
            }
        }
        Ok(length)
    }

    /// An empty column may have no offsets at all.
    fn offsets(&mut self, length: i64) -> Result<(), RowsError> {
        let bytes = self.buffer()?;
        let enough = bytes >= (length as u64 + 1) * 4 || length == 0 && bytes == 0;
        if !enough || !bytes.is_multiple_of(4) {
            return Err(RowsError::Malformed("a column's offsets are cut short"));
        }
        Ok(())
    }

    /// Returns how many bytes the next buffer has once it is decompressed.
    fn buffer(&mut self) -> Result<u64, RowsError> {
        const BAD: RowsError = RowsError::Malformed("a buffer lies outside of the body");
        let &(offset, length) = self.buffers.get(self.next_buffer).ok_or(BAD)?;
        self.next_buffer += 1;
        let start = usize::try_from(offset).map_err(|_| BAD)?;
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length)).ok_or(BAD)?;
        let bytes = self.data.get(start..end).ok_or(BAD)?;
        if !self.compressed || bytes.is_empty() {
            return Ok(bytes.len() as u64);
        }
        let (prefix, packed) = bytes.split_first_chunk::<8>().ok_or(BAD)?;
        match i64::from_le_bytes(*prefix) {
            -1 => Ok(packed.len() as u64),
            claimed => match u64::try_from(claimed) {
                Ok(claimed) if claimed <= packed.len() as u64 * LZ4_RATIO_MAX => Ok(claimed),
                _ => Err(RowsError::Malformed("a buffer's length is impossible")),
            },
        }
    }
}
