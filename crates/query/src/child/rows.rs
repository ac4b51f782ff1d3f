//! Batches as the bytes of frames, and back: one Arrow IPC stream, cut between its messages.
//! Always: each frame gives all of its batches at once. Bytes that lie are an error.

use arrow::{
    array::{Array, RecordBatch},
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
};

/// Rows are sent in pieces of about this size: what the server holds of an answer is a few of them.
const PIECE_BYTES: usize = 1024 * 1024;
/// What every message begins with.
const MARKER: [u8; 4] = [0xff; 4];

pub(super) struct Sender(StreamWriter<Vec<u8>>);

impl Sender {
    /// And the frame of the columns.
    pub(super) fn new(columns: &Schema) -> Result<(Sender, Vec<u8>), ArrowError> {
        let mut sender = Sender(StreamWriter::try_new(Vec::new(), columns)?);
        let frame = sender.frame();
        Ok((sender, frame))
    }

    /// One frame a piece. Lazy: a piece is made when it is asked for.
    pub(super) fn frames<'a>(
        &'a mut self,
        batch: &'a RecordBatch,
    ) -> impl Iterator<Item = Result<Vec<u8>, ArrowError>> + 'a {
        let rows = piece_rows(batch);
        (0..batch.num_rows()).step_by(rows).map(move |start| {
            self.0.write(&batch.slice(start, rows.min(batch.num_rows() - start)))?;
            Ok(self.frame())
        })
    }

    fn frame(&mut self) -> Vec<u8> {
        std::mem::take(self.0.get_mut())
    }
}

fn piece_rows(batch: &RecordBatch) -> usize {
    let bytes = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    let bytes: usize = bytes.sum();
    (PIECE_BYTES.saturating_mul(batch.num_rows()) / bytes.max(1)).max(1)
}

#[derive(Default)]
pub(super) struct Receiver {
    decoder: StreamDecoder,
    begun: bool,
}

impl Receiver {
    /// Of the first frame.
    pub(super) fn columns(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    pub(super) fn batches(&mut self, mut frame: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
        if !frame.starts_with(&MARKER) {
            return Err(ArrowError::IpcError("a frame begins within a message".to_owned()));
        }
        // The decoder does not end a message without a body before it sees more: so it always sees the next message's
        // marker, which is taken from that message.
        frame.extend_from_slice(&MARKER);
        let mut bytes = Buffer::from_vec(frame);
        if std::mem::replace(&mut self.begun, true) {
            bytes.advance(MARKER.len());
        }
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            batches.extend(self.decoder.decode(&mut bytes)?);
        }
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int64Array, NullArray, StringArray},
        compute::concat_batches,
        datatypes::Int32Type,
    };

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn batches_come_back_in_pieces_each_with_its_frame() {
        let dictionary: arrow::array::DictionaryArray<Int32Type> =
            (0..3_000).map(|n| ["a", "b"][n % 2]).collect();
        let texts = StringArray::from_iter_values((0..3_000).map(|n| format!("{n:01000}")));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3_000));
        for sent in [
            batch(vec![("n", numbers.clone()), ("text", Arc::new(texts)), ("d", Arc::new(dictionary))]),
            // No buffers at all.
            batch(vec![("nothing", Arc::new(NullArray::new(10)))]),
            batch(vec![("n", numbers.slice(17, 1))]),
        ] {
            let (mut sender, columns) = Sender::new(&sent.schema()).unwrap();
            let mut receiver = Receiver::default();
            assert!(receiver.batches(columns).unwrap().is_empty());
            assert_eq!(receiver.columns().unwrap(), sent.schema());
            let mut received = Vec::new();
            for frame in sender.frames(&sent) {
                let frame = frame.unwrap();
                assert!(frame.len() < 2 * PIECE_BYTES, "{}", frame.len());
                let batches = receiver.batches(frame).unwrap();
                assert_eq!(batches.len(), 1);
                received.extend(batches);
            }
            assert_eq!(received.len() > 1, sent.num_columns() > 1);
            assert_eq!(concat_batches(&sent.schema(), &received).unwrap(), sent);
        }
    }

    #[test]
    fn bytes_that_lie_are_errors() {
        let sent = batch(vec![("n", Arc::new(Int64Array::from_iter_values(0..100)) as ArrayRef)]);
        let (mut sender, columns) = Sender::new(&sent.schema()).unwrap();
        let frame = sender.frames(&sent).next().unwrap().unwrap();
        Receiver::default().batches(frame.clone()).unwrap_err();
        Receiver::default().batches(Vec::new()).unwrap_err();
        let mut receiver = Receiver::default();
        receiver.batches(columns.clone()).unwrap();
        receiver.batches(columns).unwrap_err();
    }
}
