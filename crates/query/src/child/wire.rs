//! What goes between the server and a process that runs statements: frames of kind (u8), length (u32 LE) and so many bytes.
//! Always: a length is believed only up to a bound, and memory is taken as bytes come. Not persisted and not between
//! versions: both processes are of one binary.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{CutFile, QueryError, SqlSettings, TableKind};

pub(super) const HEAD_BYTES: usize = 5;

/// Kinds of frames to a process.
pub(super) mod to_child {
    /// `Setup`, once, first.
    pub const SETUP: u8 = 1;
    /// `Ask`. The next one comes only after IDLE.
    pub const ASK: u8 = 2;
    /// Empty: nobody waits for the answer any more.
    pub const CANCEL: u8 = 3;
    /// Empty: a statement will come, but not yet. No answer.
    pub const WARM: u8 = 4;
}

/// Kinds of frames from a process, in the order in which a statement sends them.
pub(super) mod to_server {
    /// The beginning of an Arrow IPC stream: the schema.
    pub const COLUMNS: u8 = 1;
    /// Its next messages.
    pub const ROWS: u8 = 2;
    /// `End`. Not all that were sent before need to have been taken.
    pub const END: u8 = 3;
    /// One byte: 1 if the process can take another statement. No thread of the last one is left.
    pub const IDLE: u8 = 4;
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub settings: SqlSettings,
    /// For whoever prepares the process.
    #[serde(with = "raw")]
    pub house: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub text: String,
    pub principal: String,
    pub time_left: Duration,
    pub tables: Vec<Table>,
    /// An IPC stream, if the statement can read the table `streams`.
    pub streams: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bytes(#[serde(with = "raw")] pub Vec<u8>);

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    pub name: String,
    pub kind: TableKind,
    pub content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Content {
    /// Nothing in the text can mean this table.
    Name,
    /// Only what `DESCRIBE` and its like may show.
    Columns(#[serde(with = "raw")] Vec<u8>),
    Whole {
        #[serde(with = "raw")]
        columns: Vec<u8>,
        lake_root: PathBuf,
        files: FilesSent,
        hot: Option<Hot>,
        unreadable: Option<QueryError>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FilesSent {
    None,
    /// The process has the list.
    Known(u64),
    New {
        id: u64,
        /// The list that `Piece::Had` speaks of.
        base: u64,
        /// `Vec<Piece>`, in order.
        #[serde(with = "raw")]
        pieces: Vec<u8>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Piece {
    Had { from: u64, count: u64 },
    New(CutFile),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hot {
    pub rows: u64,
    #[serde(with = "raw")]
    pub source: Vec<u8>,
}

pub(super) type End = Result<(), QueryError>;

/// Bytes as one piece, not one by one.
pub(super) mod raw {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec)
    }
}

pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}

/// Head and body in one piece.
pub(super) fn frame(kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut frame = Vec::with_capacity(HEAD_BYTES + body.len());
    frame.push(kind);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(body);
    Ok(frame)
}

pub(super) fn write_frame(mut to: impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    to.write_all(&frame(kind, body)?)
}

pub(super) fn read_frame(mut from: impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head)?;
    let (kind, length) = taken_apart(head);
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body)?;
    whole(body, length).map(|body| (kind, body))
}

/// As `read_frame`, from somebody who is not trusted: a body longer than `bytes_max` is an error.
pub(super) async fn receive_frame(
    from: &mut (impl AsyncRead + Unpin),
    bytes_max: u64,
) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head).await?;
    let (kind, length) = taken_apart(head);
    if u64::from(length) > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is larger than any can be"));
    }
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body).await?;
    whole(body, length).map(|body| (kind, body))
}

fn taken_apart([kind, length @ ..]: [u8; HEAD_BYTES]) -> (u8, u32) {
    (kind, u32::from_le_bytes(length))
}

fn whole(body: Vec<u8>, length: u32) -> io::Result<Vec<u8>> {
    if body.len() as u64 == u64::from(length) { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

pub(super) fn schema_bytes(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    StreamWriter::try_new(Vec::new(), schema)?.into_inner()
}

pub(super) fn schema_of(bytes: &[u8]) -> Result<SchemaRef, ArrowError> {
    Ok(StreamReader::try_new(bytes, None)?.schema())
}

pub(super) fn batch_bytes(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

pub(super) fn batch_of(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(bytes, None)?;
    match reader.next() {
        Some(batch) => batch,
        None => Ok(RecordBatch::new_empty(reader.schema())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_and_lengths_are_not_believed() {
        let bytes = frame(7, b"body").unwrap();
        assert_eq!(read_frame(&bytes[..]).unwrap(), (7, b"body".to_vec()));
        assert_eq!(receive_frame(&mut &bytes[..], 4).await.unwrap(), (7, b"body".to_vec()));
        let error = receive_frame(&mut &bytes[..], 3).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // 4 GiB are announced and nothing comes: nothing is taken for them.
        let liar = [7, 255, 255, 255, 255, 1];
        let error = receive_frame(&mut &liar[..], u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        for end in 0..bytes.len() {
            read_frame(&bytes[..end]).unwrap_err();
        }
    }

    #[test]
    fn every_error_comes_back_as_itself() {
        let text = || "text".to_owned();
        for error in [
            QueryError::Text(text()),
            QueryError::Plan(text()),
            QueryError::Execution(text()),
            QueryError::Size(text()),
            QueryError::Depth { depth_max: 7 },
            QueryError::Kind(text()),
            QueryError::Memory(text()),
            QueryError::Rows { rows_max: 9 },
            QueryError::Time(Duration::from_millis(1500)),
            QueryError::Damaged(text()),
            QueryError::SnapshotGone,
            QueryError::Crashed(text()),
            QueryError::Internal(text()),
        ] {
            let end: End = Err(error);
            assert_eq!(decode::<End>(&encode(&end).unwrap()).unwrap(), end);
        }
        decode::<End>(&[1, 99]).unwrap_err();
    }
}
