//! Cuts an input into batches that one request carries.
//! Always: a batch is bounded, and where it is cut depends on the bytes alone, not on time (but for
//! `take_complete`), so that a repeated run makes the same batches. Does not judge events: that is the gate's.

use std::{collections::VecDeque, ops::Range};

/// A batch is sent once it has this many bytes …
pub const BATCH_BYTES: usize = 4 << 20;
/// … or this many events.
pub const BATCH_EVENTS: usize = 10_000;
/// No server takes a larger event, as its body is limited.
pub const EVENT_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub numbering: Numbering,
}

/// How an event of a batch is named to the user.
#[derive(Debug, PartialEq, Eq)]
pub enum Numbering {
    /// The line of each event.
    Lines(Vec<u64>),
    /// The number of the first event, from 1.
    Events(u64),
}

impl Batch {
    pub fn place(&self, index: u64) -> String {
        match &self.numbering {
            Numbering::Lines(lines) => match usize::try_from(index).ok().and_then(|index| lines.get(index)) {
                Some(line) => format!("line {line}"),
                None => format!("event {index} of a batch"),
            },
            Numbering::Events(first) => format!("event {}", first.saturating_add(index)),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    #[error("the event at {place} is over {} MiB", EVENT_BYTES_MAX >> 20)]
    TooLarge { place: String },
    #[error("the JSON is broken at byte {byte}: expected {expected}")]
    Broken { byte: u64, expected: &'static str },
}

/// Cuts NDJSON. Blank lines are left out.
#[derive(Default)]
pub struct NdjsonBatches {
    body: Vec<u8>,
    /// Where the line being read begins in `body`.
    line_start: usize,
    /// Lines read.
    line: u64,
    lines: Vec<u64>,
    ready: VecDeque<Batch>,
}

impl NdjsonBatches {
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), CutError> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.body.extend_from_slice(piece);
            if self.body.len() - self.line_start > EVENT_BYTES_MAX {
                return Err(CutError::TooLarge { place: format!("line {}", self.line + 1) });
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.line += 1;
        if self.body[self.line_start..].trim_ascii().is_empty() {
            self.body.truncate(self.line_start);
            return;
        }
        if self.body.len() > BATCH_BYTES && self.line_start > 0 {
            let line = self.body.split_off(self.line_start);
            self.emit();
            self.body = line;
        }
        self.lines.push(self.line);
        self.line_start = self.body.len();
        if self.lines.len() == BATCH_EVENTS || self.body.len() >= BATCH_BYTES {
            self.emit();
        }
    }

    /// Makes a batch of the complete lines; a line being read must have been split off.
    fn emit(&mut self) {
        self.line_start = 0;
        if !self.lines.is_empty() {
            self.ready.push_back(Batch {
                body: std::mem::take(&mut self.body),
                content_type: "application/x-ndjson",
                numbering: Numbering::Lines(std::mem::take(&mut self.lines)),
            });
        }
    }

    pub fn next(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    /// For an input that has paused: what is complete need not wait for more.
    pub fn take_complete(&mut self) -> Option<Batch> {
        let rest = self.body.split_off(self.line_start);
        self.emit();
        self.body = rest;
        self.next()
    }

    /// The input has ended.
    pub fn finish(&mut self) {
        if self.line_start < self.body.len() {
            self.end_line();
        }
        self.emit();
    }
}

/// Cuts JSON: an array, or values one after another. An input of one batch's size is passed on as it is,
/// so that the server alone says what is wrong with it.
#[derive(Default)]
pub struct JsonBatches {
    buffer: Vec<u8>,
    /// Bytes before `buffer` that have been cut off.
    cut: u64,
    /// The scan has come this far in `buffer`.
    at: usize,
    state: State,
    in_array: bool,
    elements: Vec<Range<usize>>,
    events: u64,
    cutting: bool,
    ready: VecDeque<Batch>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// In an array, before a value; `first`: `]` may come.
    BeforeElement {
        first: bool,
    },
    /// Between values, or in an array after one.
    AfterElement,
    Nested {
        start: usize,
        depth: u32,
        string: bool,
        escape: bool,
    },
    /// A number, a word or a string.
    Scalar {
        start: usize,
        string: bool,
        escape: bool,
    },
    /// After the array's end.
    End,
}

impl JsonBatches {
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), CutError> {
        self.buffer.extend_from_slice(chunk);
        if self.cutting || self.buffer.len() > BATCH_BYTES {
            self.cutting = true;
            self.scan()?;
        }
        Ok(())
    }

    pub fn next(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    pub fn finish(&mut self) -> Result<(), CutError> {
        if !self.cutting {
            let body = std::mem::take(&mut self.buffer);
            if !body.trim_ascii().is_empty() {
                self.ready.push_back(Batch {
                    body,
                    content_type: "application/json",
                    numbering: Numbering::Events(1),
                });
            }
            return Ok(());
        }
        if let State::Scalar { start, string: false, .. } = self.state
            && !self.in_array
        {
            self.element(start, self.at);
            self.state = State::AfterElement;
        }
        self.emit();
        match self.state {
            State::End => Ok(()),
            State::AfterElement if !self.in_array => Ok(()),
            _ => Err(self.broken("the rest of the value or array")),
        }
    }

    fn broken(&self, expected: &'static str) -> CutError {
        CutError::Broken { byte: self.cut + self.at as u64, expected }
    }

    fn scan(&mut self) -> Result<(), CutError> {
        while self.at < self.buffer.len() {
            let byte = self.buffer[self.at];
            self.step(byte)?;
            self.at += 1;
        }
        let (State::Nested { start, .. } | State::Scalar { start, .. }) = self.state else { return Ok(()) };
        if self.at - start > EVENT_BYTES_MAX {
            return Err(CutError::TooLarge { place: format!("event {}", self.events + 1) });
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), CutError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match self.state {
            State::Start if blank => State::Start,
            State::Start if byte == b'[' => {
                self.in_array = true;
                State::BeforeElement { first: true }
            }
            State::Start => self.begin(byte)?,
            State::BeforeElement { .. } if blank => self.state,
            State::BeforeElement { first: true } if byte == b']' => State::End,
            State::BeforeElement { .. } => self.begin(byte)?,
            State::AfterElement if blank => State::AfterElement,
            State::AfterElement if self.in_array => match byte {
                b',' => State::BeforeElement { first: false },
                b']' => State::End,
                _ => return Err(self.broken("a comma or ]")),
            },
            State::AfterElement => self.begin(byte)?,
            State::Nested { start, depth, string: true, escape } => State::Nested {
                start,
                depth,
                string: escape || byte != b'"',
                escape: !escape && byte == b'\\',
            },
            State::Nested { start, depth, .. } => match byte {
                b'"' => State::Nested { start, depth, string: true, escape: false },
                b'{' | b'[' => State::Nested { start, depth: depth + 1, string: false, escape: false },
                b'}' | b']' if depth == 1 => {
                    self.element(start, self.at + 1);
                    State::AfterElement
                }
                b'}' | b']' => State::Nested { start, depth: depth - 1, string: false, escape: false },
                _ => self.state,
            },
            State::Scalar { start, string: true, escape } => {
                if byte == b'"' && !escape {
                    self.element(start, self.at + 1);
                    State::AfterElement
                } else {
                    State::Scalar { start, string: true, escape: !escape && byte == b'\\' }
                }
            }
            State::Scalar { start, .. } if blank || (self.in_array && matches!(byte, b',' | b']')) => {
                self.element(start, self.at);
                match byte {
                    b',' => State::BeforeElement { first: false },
                    b']' => State::End,
                    _ => State::AfterElement,
                }
            }
            State::Scalar { .. } => self.state,
            State::End if blank => State::End,
            State::End => return Err(self.broken("nothing after the array")),
        };
        Ok(())
    }

    fn begin(&self, byte: u8) -> Result<State, CutError> {
        let start = self.at;
        match byte {
            b'{' | b'[' => Ok(State::Nested { start, depth: 1, string: false, escape: false }),
            b'"' => Ok(State::Scalar { start, string: true, escape: false }),
            b',' | b']' | b'}' => Err(self.broken("a value")),
            _ => Ok(State::Scalar { start, string: false, escape: false }),
        }
    }

    fn element(&mut self, start: usize, end: usize) {
        self.elements.push(start..end);
        let bytes = end - self.elements.first().map_or(start, |first| first.start);
        if self.elements.len() == BATCH_EVENTS || bytes >= BATCH_BYTES {
            self.emit();
        }
    }

    /// Makes an array of the elements found, and drops the bytes they stand in.
    fn emit(&mut self) {
        let Some(last) = self.elements.last().map(|range| range.end) else { return };
        let mut body = Vec::with_capacity(last + self.elements.len() + 2);
        for element in &self.elements {
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(&self.buffer[element.clone()]);
        }
        body.push(b']');
        let first = self.events + 1;
        self.events += self.elements.len() as u64;
        self.elements.clear();
        self.ready.push_back(Batch {
            body,
            content_type: "application/json",
            numbering: Numbering::Events(first),
        });
        // The state holds no start here: an element has just ended. `at` may stand on its last byte.
        let drop = last.min(self.at);
        self.buffer.drain(..drop);
        self.cut += drop as u64;
        self.at -= drop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ndjson(chunks: &[&[u8]]) -> Vec<Batch> {
        let mut cutter = NdjsonBatches::default();
        for chunk in chunks {
            cutter.push(chunk).unwrap();
        }
        cutter.finish();
        std::iter::from_fn(|| cutter.next()).collect()
    }

    #[test]
    fn ndjson_is_cut_at_lines_wherever_the_chunks_end() {
        let batches = ndjson(&[b"{\"a\"", b":1}\n\n  \r\n{}", b"\n{\"b\":2}"]);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].body, b"{\"a\":1}\n{}\n{\"b\":2}");
        assert_eq!(batches[0].place(0), "line 1");
        assert_eq!(batches[0].place(1), "line 4");
        assert_eq!(batches[0].place(2), "line 5");
        assert!(ndjson(&[b"\n \n"]).is_empty());
    }

    #[test]
    fn a_batch_is_bounded_in_events_and_in_bytes() {
        let many = b"{}\n".repeat(BATCH_EVENTS * 2 + 1);
        let batches = ndjson(&[&many]);
        assert_eq!(
            batches.iter().map(|batch| batch.body.len() / 3).collect::<Vec<_>>(),
            [BATCH_EVENTS, BATCH_EVENTS, 1]
        );
        assert_eq!(batches[2].place(0), format!("line {}", BATCH_EVENTS * 2 + 1));
        let mut long = vec![b'x'; BATCH_BYTES - 10];
        long.push(b'\n');
        let batches = ndjson(&[&long, &long, b"{}\n"]);
        assert_eq!(batches.len(), 2);
        assert_eq!(batches[0].body, long);
        assert_eq!(batches[1].body, [&long[..], b"{}\n"].concat());
    }

    #[test]
    fn a_pause_sends_what_is_complete() {
        let mut cutter = NdjsonBatches::default();
        cutter.push(b"{\"a\":1}\n{\"b\"").unwrap();
        assert_eq!(cutter.take_complete().unwrap().body, b"{\"a\":1}\n");
        assert_eq!(cutter.take_complete(), None);
        cutter.push(b":2}\n").unwrap();
        cutter.finish();
        let batch = cutter.next().unwrap();
        assert_eq!(batch.body, b"{\"b\":2}\n");
        assert_eq!(batch.place(0), "line 2");
    }

    fn json(text: &[u8], chunk: usize) -> (Vec<Batch>, Result<(), CutError>) {
        // Cutting begins at once, so that small inputs test it.
        let mut cutter = JsonBatches { cutting: true, ..JsonBatches::default() };
        let pushed = text.chunks(chunk).try_for_each(|chunk| cutter.push(chunk));
        let result = pushed.and_then(|()| cutter.finish());
        (std::iter::from_fn(|| cutter.next()).collect(), result)
    }

    #[test]
    fn json_is_cut_at_elements_wherever_the_chunks_end() {
        for (text, body) in [
            (r#" [ {"a":[1,"]\"}"]} , 2 ,"x\\",null] "#, r#"[{"a":[1,"]\"}"]},2,"x\\",null]"#),
            (r#"{"a":1}{"b":"}"} 3 "y" 4"#, r#"[{"a":1},{"b":"}"},3,"y",4]"#),
            ("[1]", "[1]"),
        ] {
            for chunk in 1..=text.len() {
                let (batches, result) = json(text.as_bytes(), chunk);
                assert_eq!(result, Ok(()), "{text}");
                let bodies: Vec<_> =
                    batches.iter().map(|batch| String::from_utf8_lossy(&batch.body)).collect();
                assert_eq!(bodies, [body], "{text} in chunks of {chunk}");
            }
        }
        assert_eq!(json(b" [ ] ", 1), (vec![], Ok(())));
    }

    #[test]
    fn broken_json_says_where_and_keeps_what_came_before() {
        for (text, byte) in [("[1,2", 4), ("[1 2]", 3), ("[1]x", 3), ("[,]", 1), ("{\"a\"", 4), ("[1,]", 3)] {
            let (_, result) = json(text.as_bytes(), 1);
            assert!(
                matches!(result, Err(CutError::Broken { byte: at, .. }) if at == byte),
                "{text}: {result:?}"
            );
        }
        let (batches, result) = json(b"[{},{},oops", 3);
        assert!(result.is_err());
        assert_eq!(batches[0].body, b"[{},{}]");
    }

    #[test]
    fn a_large_array_is_cut_and_numbered() {
        let text = format!("[{}]", vec!["{\"n\":1}"; BATCH_EVENTS * 2 + 3].join(", "));
        let (batches, result) = json(text.as_bytes(), 7_001);
        assert_eq!(result, Ok(()));
        assert_eq!(batches.len(), 3);
        assert_eq!(batches[2].body, b"[{\"n\":1},{\"n\":1},{\"n\":1}]");
        assert_eq!(batches[2].place(0), format!("event {}", BATCH_EVENTS * 2 + 1));
    }
}
