//! Events out of a file, each with its place.
//! Always: cut as the HTTP door cuts a body of that content type. A line is bounded, and so is a file of JSON, which is
//! read as a whole.

use std::io::{BufRead, BufReader, Read};

use hw_event::RejectCode;
use hw_gate::frame_json;

use crate::{
    cli::Input,
    client::{batch::EVENT_BYTES_MAX, error::ClientError, input::Opened},
};

const JSON_BYTES_MAX: u64 = 512 << 20;
/// Of the text around a fault, in characters; a snippet shows less.
const AROUND: usize = 400;

pub struct Events {
    opened: Opened,
    written: Input,
}

pub struct Event<'a> {
    pub bytes: &'a [u8],
    pub fault: Option<RejectCode>,
    /// The byte of the file at which it starts.
    pub start: u64,
    /// What the first byte's line is, from 1, and what stands before it there.
    line: u64,
    before: &'a [u8],
}

/// Where in a file a byte of an event stands.
pub struct Place {
    pub line: u64,
    /// In characters from 1.
    pub column: u64,
    /// The line, or the part of it around the place.
    pub text: String,
    pub column_of_text: usize,
}

impl Event<'_> {
    pub fn place(&self, at: usize) -> Place {
        let (head, rest) = self.bytes.split_at(at.min(self.bytes.len()));
        let newlines = head.iter().filter(|byte| **byte == b'\n').count() as u64;
        let line_start = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line_end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let before = if newlines == 0 { self.before } else { b"" };
        let before = [before, &head[line_start..]].concat();
        let before = String::from_utf8_lossy(&before);
        let column = before.chars().count();
        let skipped = column.saturating_sub(AROUND);
        let mut text: String = before.chars().skip(skipped).collect();
        text.extend(String::from_utf8_lossy(&rest[..line_end]).chars().take(AROUND));
        Place {
            line: self.line + newlines,
            column: column as u64 + 1,
            text,
            column_of_text: column - skipped + 1,
        }
    }
}

impl Events {
    pub fn new(opened: Opened, written: Input) -> Events {
        Events { opened, written }
    }

    /// Shows each event to `see`, in order.
    pub fn each(self, see: impl FnMut(Event<'_>)) -> Result<(), ClientError> {
        let Opened { reader, name, .. } = self.opened;
        match self.written {
            Input::Ndjson => lines(reader, &name, see),
            Input::Json => values(reader, &name, see),
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> ClientError {
    ClientError::usage(format!("cannot read {name}: {error}"), "")
}

fn lines(reader: impl Read, name: &str, mut see: impl FnMut(Event<'_>)) -> Result<(), ClientError> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let (mut number, mut start) = (0, 0);
    loop {
        line.clear();
        let limit = EVENT_BYTES_MAX as u64 + 1;
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line);
        match read.map_err(|error| unreadable(name, &error))? {
            0 => return Ok(()),
            read if read > EVENT_BYTES_MAX => {
                let message = format!("{name}: line {} is over {} MiB", number + 1, EVENT_BYTES_MAX >> 20);
                return Err(ClientError::usage(message, "is it NDJSON? --input json reads JSON"));
            }
            _ => {}
        }
        number += 1;
        let trimmed = line.trim_ascii_start();
        let first = line.len() - trimmed.len();
        let bytes = trimmed.trim_ascii_end();
        if !bytes.is_empty() {
            see(Event {
                bytes,
                fault: None,
                start: start + first as u64,
                line: number,
                before: &line[..first],
            });
        }
        start += line.len() as u64;
    }
}

fn values(reader: impl Read, name: &str, mut see: impl FnMut(Event<'_>)) -> Result<(), ClientError> {
    let mut body = Vec::new();
    reader.take(JSON_BYTES_MAX + 1).read_to_end(&mut body).map_err(|error| unreadable(name, &error))?;
    if body.len() as u64 > JSON_BYTES_MAX {
        let message = format!("{name} is over {} MiB of JSON", JSON_BYTES_MAX >> 20);
        return Err(ClientError::usage(message, "write it as NDJSON, one event a line"));
    }
    let (mut line, mut seen) = (1, 0);
    for framed in frame_json(&body, usize::MAX).unwrap_or_default() {
        line += body[seen..framed.start].iter().filter(|byte| **byte == b'\n').count() as u64;
        seen = framed.start;
        let line_start = body[..framed.start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // An array on one line would have every event carry all those before it.
        let line_start = line_start.max(framed.start.saturating_sub(4 * AROUND));
        see(Event {
            bytes: &body[framed.start..framed.end],
            fault: framed.fault,
            start: framed.start as u64,
            line,
            before: &body[line_start..framed.start],
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, written: Input, at: usize) -> Vec<(u64, u64, u64, String)> {
        let opened = Opened {
            reader: Box::new(std::io::Cursor::new(text.to_owned().into_bytes())),
            bytes: None,
            is_stdin: true,
            name: "x".to_owned(),
        };
        let mut seen = Vec::new();
        let see = |event: Event<'_>| {
            let place = event.place(at);
            seen.push((place.line, place.column, event.start, place.text));
        };
        Events::new(opened, written).each(see).unwrap_or_else(|error| panic!("{error}"));
        seen
    }

    #[test]
    fn an_event_knows_its_line_column_and_byte() {
        let text = "{\"ö\":1}\n\n  {\"b\":2}\r\n{\"c\":3}";
        assert_eq!(
            places(text, Input::Ndjson, 4),
            [
                (1, 4, 0, "{\"ö\":1}".to_owned()),
                (3, 7, 12, "  {\"b\":2}".to_owned()),
                (4, 5, 21, "{\"c\":3}".to_owned())
            ]
        );
        let text = "[\n  {\"a\":1}, {\"b\":\n 2}\n]";
        let found = places(text, Input::Json, 6);
        assert_eq!(found[0], (2, 9, 4, "  {\"a\":1}".to_owned()));
        assert_eq!((found[1].0, found[1].1, found[1].2), (3, 1, 13));
    }
}
