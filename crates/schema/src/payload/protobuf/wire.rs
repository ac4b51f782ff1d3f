//! The wire format's basic values.
//! Always: no read goes behind the end; a number has at most ten bytes; groups end where they say and are not followed
//! deeper than their bound.

use std::ops::Range;

use crate::payload::PayloadFault;

const CUT: &str = "the message ends within a value";
const LENGTH: &str = "a length leads out of the message";
/// Groups within one another.
const GROUPS_MAX: usize = 100;
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// How a value's bytes are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Fixed64,
    Length,
    Group,
    Fixed32,
}

/// One value of a field: its number, how it is written, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub number: u32,
    pub wire: Wire,
    pub start: usize,
    pub end: usize,
}

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Places count from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Reads a part; places count from the start of the whole.
    pub fn within(bytes: &'a [u8], part: Range<usize>) -> Cursor<'a> {
        let end = part.end.min(bytes.len());
        Cursor { bytes: &bytes[..end], at: part.start.min(end) }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub fn varint(&mut self) -> Result<u64, PayloadFault> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or_else(|| PayloadFault::record(self.bytes.len(), CUT))?;
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PayloadFault::record(start, "a number is longer than 64 bits"))
    }

    fn skip(&mut self, bytes: usize) -> Result<(), PayloadFault> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len());
        self.at = end.ok_or_else(|| PayloadFault::record(self.at, CUT))?;
        Ok(())
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], PayloadFault> {
        let start = self.at;
        self.skip(N)?;
        let bytes = self.bytes.get(start..self.at).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| PayloadFault::record(start, CUT))
    }

    /// The bytes behind a length.
    pub fn delimited(&mut self) -> Result<Range<usize>, PayloadFault> {
        let start = self.at;
        let length = self.varint()?;
        let left = self.bytes.len() - self.at;
        let length = usize::try_from(length).ok().filter(|length| *length <= left);
        let length = length.ok_or_else(|| PayloadFault::record(start, LENGTH))?;
        let from = self.at;
        self.at += length;
        Ok(from..self.at)
    }

    /// The next value of a message, passed over.
    pub fn value(&mut self) -> Result<Value, PayloadFault> {
        let at = self.at;
        let (number, wire) = self.tag()?;
        let mut start = self.at;
        let mut end = None;
        match wire {
            Tag::Value(Wire::Varint) => _ = self.varint()?,
            Tag::Value(Wire::Fixed64) => self.skip(8)?,
            Tag::Value(Wire::Fixed32) => self.skip(4)?,
            Tag::Value(Wire::Length) => start = self.delimited()?.start,
            Tag::Value(Wire::Group) => end = Some(self.group(number)?),
            Tag::GroupEnd => return Err(PayloadFault::record(at, "a group ends that did not begin")),
        }
        let Tag::Value(wire) = wire else { return Err(PayloadFault::record(at, CUT)) };
        Ok(Value { number, wire, start, end: end.unwrap_or(self.at) })
    }

    fn tag(&mut self) -> Result<(u32, Tag), PayloadFault> {
        let at = self.at;
        let tag = self.varint()?;
        let number =
            u32::try_from(tag >> 3).ok().filter(|number| (1..=NUMBER_MAX).contains(&u64::from(*number)));
        let number =
            number.ok_or_else(|| PayloadFault::record(at, "a field has a number that no field can have"))?;
        let wire = match tag & 7 {
            0 => Tag::Value(Wire::Varint),
            1 => Tag::Value(Wire::Fixed64),
            2 => Tag::Value(Wire::Length),
            3 => Tag::Value(Wire::Group),
            4 => Tag::GroupEnd,
            5 => Tag::Value(Wire::Fixed32),
            _ => return Err(PayloadFault::record(at, "a value is written in a way that there is not")),
        };
        Ok((number, wire))
    }

    /// Passes over a group whose first tag was read. Returns where its content ends.
    fn group(&mut self, number: u32) -> Result<usize, PayloadFault> {
        let mut open = vec![number];
        loop {
            let at = self.at;
            match self.tag()? {
                (inner, Tag::Value(Wire::Group)) => {
                    open.push(inner);
                    if open.len() > GROUPS_MAX {
                        return Err(PayloadFault::too_large(
                            at,
                            "the event is nested deeper than limits.depth",
                        ));
                    }
                }
                (ended, Tag::GroupEnd) => {
                    if open.pop() != Some(ended) {
                        return Err(PayloadFault::record(at, "a group ends that did not begin"));
                    }
                    if open.is_empty() {
                        return Ok(at);
                    }
                }
                (_, Tag::Value(Wire::Varint)) => _ = self.varint()?,
                (_, Tag::Value(Wire::Fixed64)) => self.skip(8)?,
                (_, Tag::Value(Wire::Fixed32)) => self.skip(4)?,
                (_, Tag::Value(Wire::Length)) => _ = self.delimited()?,
            }
        }
    }
}

enum Tag {
    Value(Wire),
    GroupEnd,
}
