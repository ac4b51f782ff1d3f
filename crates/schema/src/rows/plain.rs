//! The plain form of a body, written at once: every column from one or more parts that follow one another, each byte copied
//! once, straight to its place. What `decode` reads is the same as if the parts had been joined first.
//! Always: the room is taken once and exactly. What is not laid out flat (nulls in more than one part, nested values in more
//! than one part, slices) is put together by arrow before. Does not compress.

use arrow::{
    array::{Array, ArrayData, ArrayRef, make_array},
    buffer::Buffer,
    compute::concat,
    datatypes::DataType,
};
use arrow_ipc::{
    Buffer as Place, FieldNode, Message, MessageArgs, MessageHeader, MetadataVersion,
    RecordBatch as BatchMessage, RecordBatchArgs,
};
use flatbuffers::FlatBufferBuilder;

use super::codec::{ALIGNMENT, HEAD_BYTES, RowsError};

const OFFSET_BYTES: usize = size_of::<i32>();
/// Many small parts are joined by arrow: to describe each of them takes longer than to copy it twice.
const ROWS_A_PART_MIN: usize = 64;

/// Writes columns of `rows` rows, each given as the parts that it consists of.
pub fn encode_parts<'a>(
    rows: usize,
    columns: impl IntoIterator<Item = &'a [ArrayRef]>,
) -> Result<Vec<u8>, RowsError> {
    let mut layout = Layout::default();
    for parts in columns {
        debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), rows);
        layout.column(parts)?;
    }
    layout.write(rows as i64)
}

/// Nodes and buffers in the order in which a message lists them.
#[derive(Default)]
struct Layout {
    nodes: Vec<FieldNode>,
    buffers: Vec<Contents>,
}

/// What one buffer is written from.
enum Contents {
    /// One after the other.
    Bytes(Vec<Buffer>),
    /// Offsets of parts that each begin with 0, and by how much the values of each one move the next.
    Offsets(Vec<Buffer>),
}

impl Layout {
    fn column(&mut self, parts: &[ArrayRef]) -> Result<(), RowsError> {
        let rows: usize = parts.iter().map(|part| part.len()).sum();
        if parts.len() > 1 && rows < parts.len() * ROWS_A_PART_MIN {
            return self.array(&joined(parts)?);
        }
        let data: Vec<ArrayData> = parts.iter().map(|part| part.to_data()).collect();
        match data.as_slice() {
            [one] if is_whole(one) => self.array(one),
            [_, _, ..] if data.iter().all(is_flat) && values_fit(&data) => {
                self.flat(&data);
                Ok(())
            }
            _ => self.array(&joined(parts)?),
        }
    }

    /// A whole array, and what is nested in it.
    fn array(&mut self, data: &ArrayData) -> Result<(), RowsError> {
        let rows = data.len();
        self.nodes.push(FieldNode::new(rows as i64, data.null_count() as i64));
        let validity = data.nulls().filter(|nulls| nulls.null_count() > 0);
        self.bytes(validity.map(|nulls| nulls.buffer().slice_with_length(0, rows.div_ceil(8))));
        match data.data_type() {
            DataType::Struct(_) => {}
            DataType::List(_) | DataType::Map(..) => self.bytes(Some(offsets(data))),
            DataType::Utf8 | DataType::Binary => {
                self.bytes(Some(offsets(data)));
                self.bytes(Some(values(data)));
            }
            DataType::Boolean => self.bytes(Some(data.buffers()[0].slice_with_length(0, rows.div_ceil(8)))),
            _ => self.bytes(Some(values(data))),
        }
        for child in data.child_data() {
            if is_whole(child) {
                self.array(child)?;
            } else {
                self.array(&joined(&[make_array(child.clone())])?)?;
            }
        }
        Ok(())
    }

    /// Several parts without nulls, of fixed width or text.
    fn flat(&mut self, parts: &[ArrayData]) {
        let rows: usize = parts.iter().map(ArrayData::len).sum();
        self.nodes.push(FieldNode::new(rows as i64, 0));
        self.bytes(None);
        if matches!(parts[0].data_type(), DataType::Utf8 | DataType::Binary) {
            self.buffers.push(Contents::Offsets(parts.iter().map(offsets).collect()));
        }
        self.buffers.push(Contents::Bytes(parts.iter().map(values).collect()));
    }

    fn bytes(&mut self, buffer: Option<Buffer>) {
        self.buffers.push(Contents::Bytes(buffer.into_iter().collect()));
    }

    fn write(self, rows: i64) -> Result<Vec<u8>, RowsError> {
        let mut places = Vec::with_capacity(self.buffers.len());
        let mut at = 0;
        for contents in &self.buffers {
            let bytes = contents.len();
            places.push(Place::new(at as i64, bytes as i64));
            at += bytes.next_multiple_of(ALIGNMENT);
        }
        let message = message(rows, &self.nodes, &places, at as i64);
        let length =
            u32::try_from(message.len()).map_err(|_| RowsError::Malformed("the message is too long"))?;
        let mut body = Vec::with_capacity(HEAD_BYTES + message.len().next_multiple_of(ALIGNMENT) + at);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&message);
        align(&mut body);
        for contents in &self.buffers {
            contents.write(&mut body);
            align(&mut body);
        }
        Ok(body)
    }
}

impl Contents {
    fn len(&self) -> usize {
        match self {
            Contents::Bytes(parts) => parts.iter().map(Buffer::len).sum(),
            Contents::Offsets(parts) => {
                let values: usize = parts.iter().map(|part| part.len() - OFFSET_BYTES).sum();
                values + OFFSET_BYTES
            }
        }
    }

    fn write(&self, body: &mut Vec<u8>) {
        match self {
            Contents::Bytes(parts) => parts.iter().for_each(|part| body.extend_from_slice(part)),
            Contents::Offsets(parts) => {
                body.extend_from_slice(&[0; OFFSET_BYTES]);
                let mut moved = 0;
                for part in parts {
                    let offsets = &part.typed_data::<i32>()[1..];
                    let start = body.len();
                    body.resize(start + size_of_val(offsets), 0);
                    let (room, _) = body[start..].as_chunks_mut::<OFFSET_BYTES>();
                    room.iter_mut()
                        .zip(offsets)
                        .for_each(|(room, offset)| *room = (offset + moved).to_le_bytes());
                    moved += offsets.last().copied().unwrap_or(0);
                }
            }
        }
    }
}

fn message(rows: i64, nodes: &[FieldNode], places: &[Place], body_bytes: i64) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(nodes);
    let buffers = builder.create_vector(places);
    let batch = BatchMessage::create(
        &mut builder,
        &RecordBatchArgs {
            length: rows,
            nodes: Some(nodes),
            buffers: Some(buffers),
            compression: None,
            variadicBufferCounts: None,
        },
    );
    let message = Message::create(
        &mut builder,
        &MessageArgs {
            version: MetadataVersion::V5,
            header_type: MessageHeader::RecordBatch,
            header: Some(batch.as_union_value()),
            bodyLength: body_bytes,
            custom_metadata: None,
        },
    );
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

fn align(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
}

/// Does it begin where its buffers begin?
fn is_whole(data: &ArrayData) -> bool {
    let nulls = data.nulls().is_none_or(|nulls| nulls.offset() == 0);
    let from_zero = || match data.data_type() {
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => {
            data.is_empty() || data.buffers()[0].typed_data::<i32>().first() == Some(&0)
        }
        _ => true,
    };
    let as_long = || match data.data_type() {
        DataType::Struct(_) => data.child_data().iter().all(|child| child.len() == data.len()),
        DataType::List(_) | DataType::Map(..) => data.child_data()[0].len() == last_offset(data),
        _ => true,
    };
    data.offset() == 0 && nulls && from_zero() && as_long()
}

fn is_flat(data: &ArrayData) -> bool {
    let fixed = || data.data_type().primitive_width().is_some();
    let text = || matches!(data.data_type(), DataType::Utf8 | DataType::Binary);
    data.null_count() == 0 && is_whole(data) && (text() || fixed())
}

/// Offsets are 32 bits wide; the sum of all texts may be too large for that, which arrow says better.
fn values_fit(parts: &[ArrayData]) -> bool {
    let text = matches!(parts[0].data_type(), DataType::Utf8 | DataType::Binary);
    !text || i32::try_from(parts.iter().map(last_offset).sum::<usize>()).is_ok()
}

fn last_offset(data: &ArrayData) -> usize {
    if data.is_empty() {
        return 0;
    }
    data.buffers()[0].typed_data::<i32>().get(data.len()).map_or(0, |offset| *offset as usize)
}

/// An array without rows may have none.
fn offsets(data: &ArrayData) -> Buffer {
    if data.is_empty() {
        return Buffer::from([0; OFFSET_BYTES]);
    }
    data.buffers()[0].slice_with_length(0, (data.len() + 1) * OFFSET_BYTES)
}

/// Of a fixed width, or of text.
fn values(data: &ArrayData) -> Buffer {
    match data.data_type().primitive_width() {
        Some(width) => data.buffers()[0].slice_with_length(0, data.len() * width),
        None => data.buffers()[1].slice_with_length(0, last_offset(data)),
    }
}

/// One array that begins at its buffers' beginning; also of a single one.
fn joined(parts: &[ArrayRef]) -> Result<ArrayData, RowsError> {
    let mut arrays: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    // One array alone would be handed back as it is.
    let none = parts.first().map(|part| part.slice(0, 0));
    if parts.len() == 1 {
        arrays.extend(none.as_deref());
    }
    Ok(concat(&arrays)?.to_data())
}
