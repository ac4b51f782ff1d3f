//! Where one sensor record ends and the next begins, in a byte stream that is cut anywhere.
//! Always: every byte but a terminator belongs to exactly one record; what is held is at most one record, and a
//! record never grows beyond `record_bytes_max`. Does not read values: that is the decoder's.
//!
//! A key=value record ends at `\n` or `\0`; before the next `id=` that starts inside a value; or after the last
//! digit of a `ts` of declared width. Fifty milliseconds of silence, or the end of the connection, end it too; silence
//! makes it a reject, unless its last value is a `ts` with all the digits that the schema's unit gives it.

use bytes::{Bytes, BytesMut};
use hw_event::RejectCode;

use crate::Framed;

const TS_KEY: &[u8] = b"ts";
const ID_KEY: &[u8] = b"id=";

/// How a listener's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFormat {
    /// `id=…&tp=…`.
    Kv { ts: TsWidth },
    /// One JSON object a line.
    Ndjson,
}

/// What is known of a record's `ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsWidth {
    Unknown,
    /// The listener says that `ts` stands last and has so many digits: it ends the record.
    Declared(u8),
    /// The schema's unit gives it so many digits: a record that ends with them is whole.
    Known(u8),
}

impl TsWidth {
    fn declared(self) -> Option<u8> {
        match self {
            TsWidth::Declared(digits) => Some(digits),
            _ => None,
        }
    }
}

/// Whole records, cut out of one buffer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub bytes: Bytes,
    pub events: Vec<Framed>,
}

pub struct Framer {
    format: TcpFormat,
    record_bytes_max: usize,
    buffer: BytesMut,
    /// How far the buffer was looked through; everything before it lies in the record that is being read.
    seen: usize,
    state: State,
}

/// Where in a key=value record the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a key that began at this position.
    Key { start: usize },
    /// In a value; of `ts`, how many digits it has so far.
    Value { ts: Option<u8> },
}

const START: State = State::Key { start: 0 };

impl Framer {
    pub fn new(format: TcpFormat, record_bytes_max: usize) -> Framer {
        Framer { format, record_bytes_max, buffer: BytesMut::new(), seen: 0, state: START }
    }

    /// Is there a record that has begun and not ended?
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Bytes of the record that has begun.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes as they came; returns the records that are whole now.
    pub fn feed(&mut self, bytes: &[u8]) -> Records {
        self.buffer.extend_from_slice(bytes);
        // Cuts are (end of the record, start of the next, fault).
        let mut cuts: Vec<(usize, usize, Option<RejectCode>)> = Vec::new();
        let mut start = 0;
        let mut at = self.seen;
        while at < self.buffer.len() {
            let byte = self.buffer[at];
            if byte == b'\n' || (byte == b'\0' && self.format != TcpFormat::Ndjson) {
                cuts.push((at, at + 1, None));
                at += 1;
                start = at;
                self.state = State::Key { start };
                continue;
            }
            if at - start >= self.record_bytes_max {
                // A piece of an endless record: it is kept as a reject, and reading goes on behind it.
                cuts.push((at, at, Some(RejectCode::TooLarge)));
                start = at;
                self.state = State::Key { start };
            }
            if let TcpFormat::Kv { ts } = self.format {
                match self.state {
                    State::Key { start: key_start } => match byte {
                        b'=' => {
                            let is_ts = &self.buffer[key_start..at] == TS_KEY;
                            self.state = State::Value { ts: is_ts.then_some(0) };
                        }
                        b'&' => self.state = State::Key { start: at + 1 },
                        _ => {}
                    },
                    State::Value { .. } if byte == b'&' => self.state = State::Key { start: at + 1 },
                    State::Value { .. } if byte == b'i' && at > start => {
                        let rest = &self.buffer[at..];
                        if rest.len() < ID_KEY.len() && ID_KEY.starts_with(rest) {
                            // Perhaps the next record's `id=`: the bytes to come will tell.
                            break;
                        }
                        if rest.starts_with(ID_KEY) {
                            cuts.push((at, at, None));
                            start = at;
                            self.state = State::Key { start };
                        } else {
                            self.state = State::Value { ts: None };
                        }
                    }
                    State::Value { ts: Some(digits) } => {
                        let digits = if byte.is_ascii_digit() { digits.checked_add(1) } else { None };
                        self.state = State::Value { ts: digits };
                        if digits.is_some() && digits == ts.declared() {
                            cuts.push((at + 1, at + 1, None));
                            start = at + 1;
                            self.state = State::Key { start };
                        }
                    }
                    State::Value { ts: None } => {}
                }
            }
            at += 1;
        }
        self.take(start, at, &cuts)
    }

    /// Nothing came for a while: a record that has begun is given up. It may lack its last digits, and a value
    /// that lost a digit looks like a value, so it is a reject whatever it says.
    pub fn silence(&mut self) -> Records {
        match self.format {
            TcpFormat::Kv { ts: TsWidth::Known(digits) }
                if self.state == (State::Value { ts: Some(digits) }) =>
            {
                self.end(None)
            }
            TcpFormat::Kv { .. } => self.end(Some(RejectCode::Record)),
            // A line without its end may still get it.
            TcpFormat::Ndjson => Records::default(),
        }
    }

    /// The connection was closed by the sensor: what it sent last is a record.
    pub fn close(&mut self) -> Records {
        self.end(None)
    }

    /// The connection is closed from this side: what has begun is kept, as a reject.
    pub fn abandon(&mut self) -> Records {
        let code = match self.format {
            TcpFormat::Kv { .. } => RejectCode::Record,
            TcpFormat::Ndjson => RejectCode::JsonSyntax,
        };
        self.end(Some(code))
    }

    fn end(&mut self, fault: Option<RejectCode>) -> Records {
        let end = self.buffer.len();
        self.take(end, end, &[(end, end, fault)])
    }

    /// Hands out the records before `start` and keeps the rest, looked through up to `seen`.
    fn take(&mut self, start: usize, seen: usize, cuts: &[(usize, usize, Option<RejectCode>)]) -> Records {
        let bytes = self.buffer.split_to(start).freeze();
        self.seen = seen - start;
        self.state = match self.state {
            State::Key { start: key } => State::Key { start: key.saturating_sub(start) },
            state => state,
        };
        if self.buffer.is_empty() {
            self.state = START;
        }
        let mut events = Vec::new();
        let mut from = 0;
        for &(end, next, fault) in cuts {
            let trimmed = match bytes[from..end] {
                [.., b'\r'] => end - 1,
                _ => end,
            };
            if bytes[from..trimmed].iter().any(|byte| !byte.is_ascii_whitespace()) {
                let event = Framed::new(from, trimmed);
                events.push(match fault {
                    Some(code) => event.with_fault(code),
                    None => event,
                });
            }
            from = next;
        }
        Records { bytes, events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV10: TcpFormat = TcpFormat::Kv { ts: TsWidth::Declared(10) };
    const KNOWN10: TcpFormat = TcpFormat::Kv { ts: TsWidth::Known(10) };
    const KV: TcpFormat = TcpFormat::Kv { ts: TsWidth::Unknown };

    fn texts(records: &Records) -> Vec<String> {
        let text = |event: &Framed| {
            let mark = event.fault.map_or(String::new(), |code| format!("!{code}:"));
            format!("{mark}{}", String::from_utf8_lossy(&records.bytes[event.start..event.end]))
        };
        records.events.iter().map(text).collect()
    }

    /// Feeds the input whole, then cut at every place, then byte by byte: the records are the same.
    fn check(format: TcpFormat, input: &str, expected: &[&str]) {
        let input = input.as_bytes();
        let run = |pieces: &[&[u8]]| {
            let mut framer = Framer::new(format, 1000);
            let mut all: Vec<String> = pieces.iter().flat_map(|piece| texts(&framer.feed(piece))).collect();
            all.extend(texts(&framer.close()));
            all
        };
        assert_eq!(run(&[input]), expected);
        for cut in 0..input.len() {
            assert_eq!(run(&[&input[..cut], &input[cut..]]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&bytes), expected, "byte by byte");
    }

    #[test]
    fn a_declared_width_ends_a_record() {
        check(
            KV10,
            "id=1&tp=temperature&un=C&vl=23.4&ts=1586896417id=2&tp=pressure&un=bar&vl=1&ts=1586896418",
            &["id=1&tp=temperature&un=C&vl=23.4&ts=1586896417", "id=2&tp=pressure&un=bar&vl=1&ts=1586896418"],
        );
        check(
            KV10,
            "id=1&ts=1586896417\nid=2&ts=1586896418\r\n",
            &["id=1&ts=1586896417", "id=2&ts=1586896418"],
        );
        check(KV10, "id=1&ts=1586896417.5\nid=2", &["id=1&ts=1586896417", ".5", "id=2"]);
        check(KV10, "id=1&ts=15868\nid=2&ts=1586896418", &["id=1&ts=15868", "id=2&ts=1586896418"]);
        check(KV10, "id=1&ts=15x8689641\n", &["id=1&ts=15x8689641"]);
    }

    #[test]
    fn terminators_and_the_next_id_end_a_record() {
        check(KV, "id=1&vl=2\0id=2&vl=3\n\n\0id=3", &["id=1&vl=2", "id=2&vl=3", "id=3"]);
        check(KV, "id=1&vl=2id=2&vl=3id=3", &["id=1&vl=2", "id=2&vl=3", "id=3"]);
        check(KV, "id=1&vl=2iid=2", &["id=1&vl=2i", "id=2"]);
        check(KV, "id=1&tp=it is&vl=2", &["id=1&tp=it is&vl=2"]);
    }

    #[test]
    fn id_in_a_key_ends_nothing() {
        check(KV, "id=1&valid=true&grid=7&x=1", &["id=1&valid=true&grid=7&x=1"]);
        check(KV, "tp=x&id=5&vl=1", &["tp=x&id=5&vl=1"]);
    }

    #[test]
    fn lines_of_json_end_at_newlines_only() {
        check(
            TcpFormat::Ndjson,
            "{\"id\":1}\n\n{\"a\":\"id=\"}\r\n{\"b\"",
            &["{\"id\":1}", "{\"a\":\"id=\"}", "{\"b\""],
        );
    }

    #[test]
    fn silence_makes_a_partial_record_a_reject() {
        let mut framer = Framer::new(KV10, 1000);
        assert_eq!(texts(&framer.feed(b"id=1&ts=1586896417id=2&vl=23.")), ["id=1&ts=1586896417"]);
        assert!(framer.is_partial());
        assert_eq!(texts(&framer.silence()), ["!record:id=2&vl=23."]);
        assert!(!framer.is_partial());
        assert_eq!(texts(&framer.feed(b"id=3&ts=1586896419")), ["id=3&ts=1586896419"]);
        assert_eq!(texts(&framer.silence()), [""; 0]);
    }

    #[test]
    fn silence_ends_a_record_whose_last_value_is_whole() {
        let mut framer = Framer::new(KNOWN10, 1000);
        assert_eq!(texts(&framer.feed(b"id=1&vl=2&ts=1586896417")), [""; 0], "more may come");
        assert_eq!(texts(&framer.silence()), ["id=1&vl=2&ts=1586896417"]);
        for (sent, kept) in [
            ("id=2&ts=158689641", "!record:id=2&ts=158689641"),
            ("id=2&ts=15868964170", "!record:id=2&ts=15868964170"),
            ("id=2&ts=1586896417&vl=2", "!record:id=2&ts=1586896417&vl=2"),
            ("id=2&ts=1586896417.5", "!record:id=2&ts=1586896417.5"),
        ] {
            framer.feed(sent.as_bytes());
            assert_eq!(texts(&framer.silence()), [kept]);
        }
        check(
            KNOWN10,
            "id=1&ts=1586896417&vl=2\nid=2&ts=1586896418id=3&vl=1",
            &["id=1&ts=1586896417&vl=2", "id=2&ts=1586896418", "id=3&vl=1"],
        );
    }

    #[test]
    fn an_endless_record_is_cut_into_rejects() {
        let mut framer = Framer::new(KV, 8);
        let records = framer.feed(b"id=1&vl=aaaaaaaaaaaaaaa\nid=2");
        assert_eq!(texts(&records), ["!too_large:id=1&vl=", "!too_large:aaaaaaaa", "aaaaaaa"]);
        assert_eq!(texts(&framer.close()), ["id=2"]);
    }
}
