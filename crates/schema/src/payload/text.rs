//! The JSON text that a payload becomes, while it is written.
//! Always: no longer than its bound; no deeper than its depth; if asked for a byte of it, it knows from which byte of the
//! payload the value there came.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::PayloadFault;
use crate::json::write_string;

#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    bytes_max: usize,
    depth: usize,
    depth_max: usize,
    /// The byte of the text that is asked for, and the byte of the payload of the last value before it.
    sought: Option<(usize, usize)>,
}

/// Room that is kept for the next event.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl Text {
    pub fn begin(&mut self, bytes_max: usize, depth_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        (self.bytes_max, self.depth, self.depth_max) = (bytes_max, 0, depth_max);
    }

    /// To learn where the value at a byte of the text comes from: the text is to be written once more.
    pub fn seeking(at: usize) -> Text {
        Text { sought: Some((at, 0)), ..Text::default() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The byte of the payload that was sought.
    pub fn source(&self) -> usize {
        self.sought.map_or(0, |(_, source)| source)
    }

    /// The next value comes from this byte of the payload.
    pub fn mark(&mut self, source: usize) {
        if let Some((at, found)) = &mut self.sought
            && self.bytes.len() <= *at
        {
            *found = source;
        }
    }

    fn room(&self, bytes: usize, source: usize) -> Result<(), PayloadFault> {
        if self.bytes.len() + bytes <= self.bytes_max {
            return Ok(());
        }
        Err(PayloadFault::too_large(
            source,
            "the event would be larger than limits.event allows when written out",
        ))
    }

    pub fn open(&mut self, bracket: u8, source: usize) -> Result<(), PayloadFault> {
        self.room(1, source)?;
        self.depth += 1;
        if self.depth > self.depth_max {
            return Err(PayloadFault::too_large(source, "the event is nested deeper than limits.depth"));
        }
        self.mark(source);
        self.bytes.push(bracket);
        Ok(())
    }

    /// Takes back a comma that nothing follows.
    pub fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        if self.bytes.last() == Some(&b',') {
            self.bytes.pop();
        }
        self.bytes.push(bracket);
    }

    /// `quoted` is a name with its quotes, as `quoted_name` makes it.
    pub fn name(&mut self, quoted: &[u8], source: usize) -> Result<(), PayloadFault> {
        self.room(quoted.len() + 1, source)?;
        self.bytes.extend_from_slice(quoted);
        self.bytes.push(b':');
        self.mark(source);
        Ok(())
    }

    pub fn comma(&mut self) {
        self.bytes.push(b',');
    }

    pub fn word(&mut self, word: &str, source: usize) -> Result<(), PayloadFault> {
        self.room(word.len() + 1, source)?;
        self.bytes.extend_from_slice(word.as_bytes());
        Ok(())
    }

    /// JSON that was written before.
    pub fn json(&mut self, json: &[u8], source: usize) -> Result<(), PayloadFault> {
        self.room(json.len() + 1, source)?;
        self.bytes.extend_from_slice(json);
        Ok(())
    }

    pub fn integer(&mut self, value: i128, source: usize) -> Result<(), PayloadFault> {
        self.room(40, source)?;
        _ = write!(self.bytes, "{value}");
        Ok(())
    }

    /// Exactly. What is no number becomes one that no column takes: `out_of_range`.
    pub fn float(&mut self, value: f64, source: usize) -> Result<(), PayloadFault> {
        self.room(40, source)?;
        if value.is_finite() {
            _ = write!(self.bytes, "{value:?}");
        } else {
            self.bytes.extend_from_slice(if value < 0.0 { b"-1e999" } else { b"1e999" });
        }
        Ok(())
    }

    pub fn string(&mut self, value: &[u8], source: usize) -> Result<(), PayloadFault> {
        // An escape is at most six bytes.
        self.room(value.len() + 3, source)?;
        if let Err(error) = std::str::from_utf8(value) {
            return Err(PayloadFault::record(source + error.valid_up_to(), "the text is not valid UTF-8"));
        }
        write_string(value, &mut self.bytes);
        self.room(1, source)
    }

    pub fn base64(&mut self, value: &[u8], source: usize) -> Result<(), PayloadFault> {
        self.room(value.len().saturating_mul(2).saturating_add(4), source)?;
        self.bytes.push(b'"');
        let start = self.bytes.len();
        let bytes = base64::encoded_len(value.len(), true).unwrap_or(0);
        self.bytes.resize(start + bytes, b'=');
        // The room is exact, so this cannot fail.
        let written = BASE64_STANDARD.encode_slice(value, &mut self.bytes[start..]).unwrap_or(0);
        self.bytes.truncate(start + written);
        self.bytes.push(b'"');
        Ok(())
    }
}

/// A name as it stands in the text.
pub(crate) fn quoted_name(name: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    write_string(name.as_bytes(), &mut quoted);
    quoted
}
