//! Avro's basic values, read from bytes.
//! Always: no read goes behind the end; elements that take no bytes are counted against a bound of steps.

use crate::{
    notation::avro::{Kind, Type, Types},
    payload::PayloadFault,
};

const CUT: &str = "the event ends within a value";
/// Values within one another that are passed over.
const LEVELS_MAX: usize = 200;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    steps_left: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], steps_max: usize) -> Cursor<'a> {
        Cursor { bytes, at: 0, steps_left: steps_max }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn step(&mut self) -> Result<(), PayloadFault> {
        let left = self.steps_left.checked_sub(1);
        self.steps_left = left.ok_or_else(|| {
            PayloadFault::too_large(self.at, "the event has more values than limits.event allows")
        })?;
        Ok(())
    }

    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8], PayloadFault> {
        let end = self.at.checked_add(bytes);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| PayloadFault::record(self.at, CUT))?;
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PayloadFault> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PayloadFault::record(at, CUT))
    }

    /// A zigzag number of up to ten bytes.
    pub fn long(&mut self) -> Result<i64, PayloadFault> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(PayloadFault::record(start, "a number is longer than 64 bits"))
    }

    pub fn int(&mut self) -> Result<i64, PayloadFault> {
        let start = self.at;
        let value = self.long()?;
        if i32::try_from(value).is_ok() {
            return Ok(value);
        }
        Err(PayloadFault::record(start, "an int is longer than 32 bits"))
    }

    pub fn boolean(&mut self) -> Result<bool, PayloadFault> {
        let start = self.at;
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(PayloadFault::record(start, "a boolean is neither 0 nor 1")),
        }
    }

    pub fn float(&mut self) -> Result<f64, PayloadFault> {
        Ok(f64::from(f32::from_le_bytes(self.array()?)))
    }

    pub fn double(&mut self) -> Result<f64, PayloadFault> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Result<&'a [u8], PayloadFault> {
        let start = self.at;
        let length = self.long()?;
        let length =
            usize::try_from(length).map_err(|_| PayloadFault::record(start, "a length is negative"))?;
        self.take(length)
    }

    pub fn index(&mut self, count: usize, message: &'static str) -> Result<usize, PayloadFault> {
        let start = self.at;
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| PayloadFault::record(start, message))
    }

    /// The elements of the next block of an array or map; 0 at its end.
    pub fn block(&mut self) -> Result<u64, PayloadFault> {
        let start = self.at;
        let count = self.long()?;
        if count < 0 {
            // Its bytes follow, for those who want to skip it.
            let bytes = self.long()?;
            if bytes < 0 {
                return Err(PayloadFault::record(start, "the size of a block is negative"));
            }
        }
        Ok(count.unsigned_abs())
    }

    /// Passes over a value.
    pub fn skip(&mut self, types: &Types, ty: &Type, level: usize) -> Result<(), PayloadFault> {
        self.step()?;
        if level > LEVELS_MAX {
            return Err(PayloadFault::too_large(self.at, "the event is nested deeper than limits.depth"));
        }
        match ty {
            Type::Null => {}
            Type::Boolean => _ = self.boolean()?,
            Type::Int | Type::Date | Type::Long | Type::TimestampMillis | Type::TimestampMicros => {
                _ = self.long()?
            }
            Type::Float => _ = self.take(4)?,
            Type::Double => _ = self.take(8)?,
            Type::Bytes | Type::String | Type::Uuid | Type::Decimal { .. } => _ = self.bytes()?,
            Type::Array(item) => loop {
                let count = self.block()?;
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    self.skip(types, item, level + 1)?;
                }
            },
            Type::Map(item) => loop {
                let count = self.block()?;
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    self.bytes()?;
                    self.skip(types, item, level + 1)?;
                }
            },
            Type::Union(branches) => {
                let index = self.index(branches.len(), UNION)?;
                self.skip(types, &branches[index], level + 1)?;
            }
            Type::Named(index) => match types.named(*index).map(|named| &named.kind) {
                Some(Kind::Record { fields, .. }) => {
                    for field in fields {
                        self.skip(types, &field.ty, level + 1)?;
                    }
                }
                Some(Kind::Enum { .. }) => _ = self.long()?,
                Some(Kind::Fixed { bytes, .. }) => _ = self.take(*bytes)?,
                Some(Kind::Open) | None => {}
            },
        }
        Ok(())
    }
}

pub(super) const UNION: &str = "a union holds a branch that its schema does not have";
