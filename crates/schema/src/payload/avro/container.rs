//! Avro's object container file: a header with the writer's schema, then blocks of events, each behind a count.
//! Always: every byte behind the header belongs to one event or to one that is none; what is unpacked is bounded.

use std::{io::Read, ops::Range, sync::Arc};

use hw_event::RejectCode;

use super::cursor::Cursor;
use crate::{
    notation::avro::{Types, read},
    payload::{Frame, PayloadFault, PayloadRefused},
};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC: usize = 16;

/// A file taken apart.
pub(in crate::payload) struct Opened {
    /// Where blocks were compressed: all of them, unpacked. The events lie in it.
    pub unpacked: Option<Vec<u8>>,
    pub frames: Vec<Frame>,
    /// `None`: the header cannot be read, and the file is one reject.
    pub writer: Option<Arc<Types>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
}

struct Header {
    codec: Codec,
    writer: Types,
    sync: [u8; SYNC],
    end: usize,
}

pub(in crate::payload) fn open(
    body: &[u8],
    bytes_max: usize,
    events_max: usize,
) -> Result<Opened, PayloadRefused> {
    let header = match header(body) {
        Ok(header) => header,
        Err(_) => {
            let whole = Frame { bytes: 0..body.len(), fault: Some(RejectCode::Record) };
            let frames = if body.is_empty() { Vec::new() } else { vec![whole] };
            return Ok(Opened { unpacked: None, frames, writer: None });
        }
    };
    let mut opened = Opened {
        unpacked: (header.codec == Codec::Deflate).then(Vec::new),
        frames: Vec::new(),
        writer: None,
    };
    let mut at = header.end;
    while at < body.len() {
        let Some((count, block, end)) = block(body, at, &header.sync) else {
            // The rest cannot be told apart.
            let bytes = add(&mut opened, body, at..body.len());
            opened.frames.push(Frame { bytes, fault: Some(RejectCode::Record) });
            break;
        };
        let bytes = match opened.unpacked {
            None => block,
            Some(ref mut unpacked) => {
                let start = unpacked.len();
                let left = bytes_max.saturating_sub(start);
                let mut deflated =
                    flate2::read::DeflateDecoder::new(&body[block.clone()]).take(left as u64 + 1);
                let inflated = deflated.read_to_end(unpacked);
                if unpacked.len() > bytes_max {
                    return Err(PayloadRefused::TooLarge);
                }
                if inflated.is_err() {
                    unpacked.truncate(start);
                    let bytes = add(&mut opened, body, block);
                    opened.frames.push(Frame { bytes, fault: Some(RejectCode::Record) });
                    at = end;
                    continue;
                }
                start..unpacked.len()
            }
        };
        let events = opened.unpacked.as_deref().unwrap_or(body);
        cut(&header.writer, events, bytes, count, events_max, &mut opened.frames)?;
        at = end;
    }
    if opened.frames.len() > events_max {
        return Err(PayloadRefused::TooManyEvents);
    }
    opened.writer = Some(Arc::new(header.writer));
    Ok(opened)
}

/// Where bytes of the body lie among the events.
fn add(opened: &mut Opened, body: &[u8], bytes: Range<usize>) -> Range<usize> {
    match &mut opened.unpacked {
        None => bytes,
        Some(unpacked) => {
            let start = unpacked.len();
            unpacked.extend_from_slice(&body[bytes]);
            start..unpacked.len()
        }
    }
}

/// Cuts a block into events; where they cannot be told apart the rest is one reject.
fn cut(
    writer: &Types,
    events: &[u8],
    block: Range<usize>,
    count: u64,
    events_max: usize,
    frames: &mut Vec<Frame>,
) -> Result<(), PayloadRefused> {
    let bytes = &events[block.clone()];
    let mut cursor = Cursor::new(bytes, bytes.len().saturating_mul(8).max(1024));
    let mut start = 0;
    for _ in 0..count {
        if frames.len() >= events_max {
            return Err(PayloadRefused::TooManyEvents);
        }
        // An event of no bytes has nothing to tell: there is no end to how many of them a count can claim.
        if cursor.skip(writer, &writer.root, 0).is_err() || cursor.at() == start {
            break;
        }
        frames.push(Frame { bytes: block.start + start..block.start + cursor.at(), fault: None });
        start = cursor.at();
    }
    if start < bytes.len() {
        frames.push(Frame { bytes: block.start + start..block.end, fault: Some(RejectCode::Record) });
    }
    Ok(())
}

/// Count, bytes and end of the block at `at`. `None`: it is none.
fn block(body: &[u8], at: usize, sync: &[u8]) -> Option<(u64, Range<usize>, usize)> {
    let mut cursor = Cursor::new(&body[at..], 0);
    let count = u64::try_from(cursor.long().ok()?).ok()?;
    let length = usize::try_from(cursor.long().ok()?).ok()?;
    let start = at + cursor.at();
    cursor.take(length).ok()?;
    (cursor.take(SYNC).ok()? == sync).then(|| (count, start..start + length, at + cursor.at()))
}

fn header(body: &[u8]) -> Result<Header, PayloadFault> {
    let unreadable = |at, message| PayloadFault::record(at, message);
    let mut cursor = Cursor::new(body, 10_000);
    if cursor.take(MAGIC.len())? != MAGIC {
        return Err(unreadable(0, "the body is no Avro file"));
    }
    let (mut codec, mut writer) = (Codec::Null, None);
    loop {
        let count = cursor.block()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            cursor.step()?;
            let key = cursor.bytes()?;
            let at = cursor.at();
            let value = cursor.bytes()?;
            match (key, value) {
                (b"avro.schema", schema) => {
                    let text =
                        std::str::from_utf8(schema).map_err(|_| unreadable(at, "its schema is no text"))?;
                    writer = Some(read(text).map_err(|_| unreadable(at, "its schema cannot be read"))?);
                }
                (b"avro.codec", b"null") => codec = Codec::Null,
                (b"avro.codec", b"deflate") => codec = Codec::Deflate,
                (b"avro.codec", _) => return Err(unreadable(at, "its codec is neither null nor deflate")),
                _ => {}
            }
        }
    }
    let writer = writer.ok_or_else(|| unreadable(0, "it brings no schema"))?;
    let at = cursor.at();
    let sync = cursor.take(SYNC)?.try_into().map_err(|_| unreadable(at, "it breaks off"))?;
    Ok(Header { codec, writer, sync, end: cursor.at() })
}
