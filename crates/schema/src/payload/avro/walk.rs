//! Reads a value as its writer's schema has it, and writes it as the reader's schema wants it: Avro's schema resolution.
//! Always: fields go by name or alias, branches by type, symbols by name; what the writer did not have takes its default.

use arrow::temporal_conversions::date32_to_datetime;
use serde_json::Value;

use super::cursor::{Cursor, UNION};
use crate::{
    notation::avro::{Field, Kind, Named, Type, Types, branches},
    payload::{PayloadFault, Text, text::quoted_name},
};

const MISMATCH: &str = "the schema that wrote this event does not fit the stream's";

pub(super) struct Walk<'a, 'b> {
    pub writer: &'a Types,
    pub reader: &'a Types,
    pub cursor: Cursor<'b>,
    pub text: &'a mut Text,
}

impl Walk<'_, '_> {
    fn mismatch(&self) -> PayloadFault {
        PayloadFault::record(self.cursor.at(), MISMATCH)
    }

    pub fn value(&mut self, writer: &Type, reader: &Type) -> Result<(), PayloadFault> {
        self.cursor.step()?;
        let at = self.cursor.at();
        self.text.mark(at);
        if let Type::Union(union) = writer {
            let index = self.cursor.index(union.len(), UNION)?;
            return self.value(&union[index], reader);
        }
        if let Type::Union(union) = reader {
            return self.into_union(writer, union);
        }
        match (writer, reader) {
            (Type::Null, Type::Null) => self.text.word("null", at),
            (Type::Boolean, Type::Boolean) => {
                let word = if self.cursor.boolean()? { "true" } else { "false" };
                self.text.word(word, at)
            }
            (Type::Int | Type::Date, Type::Date) => {
                let days = self.cursor.int()?;
                let date =
                    i32::try_from(days).ok().and_then(date32_to_datetime).map(|time| time.date().to_string());
                // A date that no calendar has is no date; the decoder says so.
                self.text.string(date.unwrap_or_else(|| days.to_string()).as_bytes(), at)
            }
            (
                Type::Int | Type::Date,
                Type::Int | Type::Long | Type::TimestampMillis | Type::TimestampMicros,
            ) => {
                let value = self.cursor.int()?;
                self.text.integer(i128::from(value), at)
            }
            (Type::TimestampMillis, Type::TimestampMicros) => {
                let value = self.cursor.long()?;
                self.text.integer(i128::from(value) * 1000, at)
            }
            (Type::TimestampMicros, Type::TimestampMillis) => {
                let value = self.cursor.long()?;
                self.text.integer(i128::from(value.div_euclid(1000)), at)
            }
            (
                Type::Long | Type::TimestampMillis | Type::TimestampMicros,
                Type::Long | Type::TimestampMillis | Type::TimestampMicros,
            ) => {
                let value = self.cursor.long()?;
                self.text.integer(i128::from(value), at)
            }
            (Type::Int, Type::Float | Type::Double) => {
                let value = self.cursor.int()?;
                self.text.integer(i128::from(value), at)
            }
            (Type::Long, Type::Float | Type::Double) => {
                let value = self.cursor.long()?;
                self.text.integer(i128::from(value), at)
            }
            (Type::Float, Type::Float | Type::Double) => {
                let value = self.cursor.float()?;
                self.text.float(value, at)
            }
            (Type::Double, Type::Double) => {
                let value = self.cursor.double()?;
                self.text.float(value, at)
            }
            (Type::Bytes | Type::String | Type::Uuid | Type::Decimal { .. }, reader) => {
                let bytes = self.cursor.bytes()?;
                self.bytes(bytes, writer, reader, at)
            }
            (Type::Array(writer), Type::Array(reader)) => self.array(writer, reader, at),
            (Type::Map(writer), Type::Map(reader)) => self.map(writer, reader, at),
            (Type::Named(writer), reader) => self.named(*writer, reader, at),
            _ => Err(self.mismatch()),
        }
    }

    /// Of the reader's branches the one that is the writer's type, else the first that it fits.
    fn into_union(&mut self, writer: &Type, union: &[Type]) -> Result<(), PayloadFault> {
        let same = union.iter().find(|branch| self.fits(writer, branch, true));
        let Some(branch) = same.or_else(|| union.iter().find(|branch| self.fits(writer, branch, false)))
        else {
            return Err(self.mismatch());
        };
        let (several, _) = branches(union);
        if several.len() < 2 || *branch == Type::Null {
            return self.value(writer, branch);
        }
        let at = self.cursor.at();
        self.text.open(b'{', at)?;
        self.text.name(&quoted_name(self.reader.branch_name(branch)), at)?;
        self.value(writer, branch)?;
        self.text.close(b'}');
        Ok(())
    }

    fn fits(&self, writer: &Type, reader: &Type, exactly: bool) -> bool {
        match (writer, reader) {
            (Type::Named(writer), Type::Named(reader)) => {
                match (self.writer.named(*writer), self.reader.named(*reader)) {
                    (Some(writer), Some(reader)) => {
                        std::mem::discriminant(&writer.kind) == std::mem::discriminant(&reader.kind)
                            && (is_named(writer, reader)
                                || !exactly && matches!(reader.kind, Kind::Record { .. }))
                    }
                    _ => false,
                }
            }
            (Type::Array(_), Type::Array(_)) | (Type::Map(_), Type::Map(_)) => true,
            (writer, reader) if self.writer.branch_name(writer) == self.reader.branch_name(reader) => {
                !matches!((writer, reader), (Type::Named(_), _) | (_, Type::Named(_)))
            }
            _ if exactly => false,
            (Type::Int | Type::Date, Type::Long | Type::TimestampMillis | Type::TimestampMicros) => true,
            (Type::Int | Type::Long, Type::Float | Type::Double) | (Type::Float, Type::Double) => true,
            (Type::Bytes, Type::String) | (Type::String, Type::Bytes) => true,
            _ => false,
        }
    }

    fn bytes(&mut self, bytes: &[u8], writer: &Type, reader: &Type, at: usize) -> Result<(), PayloadFault> {
        match (writer, reader) {
            (Type::Decimal { scale: from, .. }, Type::Decimal { scale, .. }) if from == scale => {
                self.decimal(bytes, *scale, at)
            }
            (Type::Bytes, Type::Decimal { scale, .. }) => self.decimal(bytes, *scale, at),
            (Type::Bytes | Type::String | Type::Uuid | Type::Decimal { .. }, Type::Bytes) => {
                self.text.base64(bytes, at)
            }
            (Type::Bytes | Type::String | Type::Uuid, Type::String | Type::Uuid) => {
                let start = self.cursor.at() - bytes.len();
                self.text.string(bytes, start)
            }
            _ => Err(self.mismatch()),
        }
    }

    /// A whole number of up to 16 bytes, the first byte first, as text with its point.
    fn decimal(&mut self, bytes: &[u8], scale: u8, at: usize) -> Result<(), PayloadFault> {
        if bytes.len() > 16 {
            return Err(PayloadFault::record(at, "a decimal is longer than 16 bytes"));
        }
        let fill = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [fill; 16];
        whole[16 - bytes.len()..].copy_from_slice(bytes);
        let value = i128::from_be_bytes(whole);
        let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
        let (units, fraction) = digits.split_at(digits.len() - usize::from(scale));
        let sign = if value < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        self.text.string(format!("{sign}{units}{point}{fraction}").as_bytes(), at)
    }

    fn array(&mut self, writer: &Type, reader: &Type, at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'[', at)?;
        loop {
            let count = self.cursor.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                self.value(writer, reader)?;
                self.text.comma();
            }
        }
        self.text.close(b']');
        Ok(())
    }

    fn map(&mut self, writer: &Type, reader: &Type, at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'{', at)?;
        loop {
            let count = self.cursor.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let at = self.cursor.at();
                let key = self.cursor.bytes()?;
                if std::str::from_utf8(key).is_err() {
                    return Err(PayloadFault::record(at, "the text is not valid UTF-8"));
                }
                let name = quoted_name(&String::from_utf8_lossy(key));
                self.text.name(&name, at)?;
                self.value(writer, reader)?;
                self.text.comma();
            }
        }
        self.text.close(b'}');
        Ok(())
    }

    fn named(&mut self, writer: usize, reader: &Type, at: usize) -> Result<(), PayloadFault> {
        let (types, own) = (self.writer, self.reader);
        let Some(named) = types.named(writer) else { return Err(self.mismatch()) };
        let target = match reader {
            Type::Named(index) => own.named(*index),
            _ => None,
        };
        match (&named.kind, target.map(|target| &target.kind)) {
            (Kind::Record { fields, .. }, Some(Kind::Record { fields: wanted, .. })) => {
                self.record(fields, wanted, at)
            }
            (Kind::Enum { symbols, .. }, Some(Kind::Enum { symbols: known, default })) => {
                let index = self
                    .cursor
                    .index(symbols.len(), "an enum holds a symbol that its schema does not have")?;
                let symbol = &symbols[index];
                // A symbol that is not known and has no default is the decoder's to refuse.
                let symbol = if known.contains(symbol) { symbol } else { default.as_ref().unwrap_or(symbol) };
                self.text.string(symbol.as_bytes(), at)
            }
            (Kind::Fixed { bytes, meaning }, target) => {
                let taken = self.cursor.take(*bytes)?;
                let meaning_of_reader = match target {
                    Some(Kind::Fixed { bytes: wanted, meaning }) if wanted == bytes => meaning,
                    _ => return Err(self.mismatch()),
                };
                match (meaning, meaning_of_reader) {
                    (_, Type::Uuid) => self.text.string(hyphenated(taken).as_bytes(), at),
                    (Type::Bytes | Type::Decimal { .. }, Type::Decimal { scale, .. }) => {
                        self.decimal(taken, *scale, at)
                    }
                    _ => self.text.base64(taken, at),
                }
            }
            _ => Err(self.mismatch()),
        }
    }

    fn record(&mut self, fields: &[Field], wanted: &[Field], at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'{', at)?;
        for (index, field) in fields.iter().enumerate() {
            // Mostly they are one, or in one order.
            let same = wanted.get(index).filter(|target| target.name == field.name);
            let target = same.or_else(|| wanted.iter().find(|target| is_field(field, target)));
            // What is null alone has no column.
            let Some(target) = target.filter(|target| target.ty != Type::Null) else {
                self.cursor.skip(self.writer, &field.ty, 0)?;
                continue;
            };
            self.text.name(&quoted_name(&target.name), self.cursor.at())?;
            self.value(&field.ty, &target.ty)?;
            self.text.comma();
        }
        for target in wanted.iter().filter(|target| !fields.iter().any(|field| is_field(field, target))) {
            let at = self.cursor.at();
            let Some(default) = &target.default else {
                return Err(PayloadFault::record(at, "a field without a default was not written"));
            };
            self.text.name(&quoted_name(&target.name), at)?;
            self.default(&target.ty, default, at)?;
            self.text.comma();
        }
        self.text.close(b'}');
        Ok(())
    }

    /// A default as the schema writes it: of a union, a value of its first branch.
    fn default(&mut self, ty: &Type, value: &Value, at: usize) -> Result<(), PayloadFault> {
        self.cursor.step()?;
        let types = self.reader;
        match (ty, value) {
            (Type::Union(union), value) => {
                let (several, _) = branches(union);
                let Some(branch) = union.first() else { return self.text.word("null", at) };
                if several.len() < 2 || value.is_null() {
                    return if value.is_null() {
                        self.text.word("null", at)
                    } else {
                        self.default(branch, value, at)
                    };
                }
                self.text.open(b'{', at)?;
                self.text.name(&quoted_name(types.branch_name(branch)), at)?;
                self.default(branch, value, at)?;
                self.text.close(b'}');
                Ok(())
            }
            // A default of bytes is a text whose characters are the bytes.
            (Type::Bytes, Value::String(text)) => self.text.base64(&latin(text), at),
            (Type::Decimal { scale, .. }, Value::String(text)) => self.decimal(&latin(text), *scale, at),
            (Type::Date, Value::Number(days)) => {
                let days = days.as_i64().and_then(|days| i32::try_from(days).ok());
                let date = days.and_then(date32_to_datetime).map(|time| time.date().to_string());
                self.text.string(date.unwrap_or_default().as_bytes(), at)
            }
            (Type::Array(item), Value::Array(values)) => {
                self.text.open(b'[', at)?;
                for value in values {
                    self.default(item, value, at)?;
                    self.text.comma();
                }
                self.text.close(b']');
                Ok(())
            }
            (Type::Map(item), Value::Object(values)) => {
                self.text.open(b'{', at)?;
                for (name, value) in values {
                    self.text.name(&quoted_name(name), at)?;
                    self.default(item, value, at)?;
                    self.text.comma();
                }
                self.text.close(b'}');
                Ok(())
            }
            (Type::Named(index), value) => match (types.named(*index).map(|named| &named.kind), value) {
                (Some(Kind::Record { fields, .. }), Value::Object(values)) => {
                    self.text.open(b'{', at)?;
                    for field in fields {
                        if let Some(value) = values.get(&field.name).or(field.default.as_ref()) {
                            self.text.name(&quoted_name(&field.name), at)?;
                            self.default(&field.ty, value, at)?;
                            self.text.comma();
                        }
                    }
                    self.text.close(b'}');
                    Ok(())
                }
                (Some(Kind::Fixed { meaning, .. }), Value::String(text)) => match meaning {
                    Type::Decimal { scale, .. } => self.decimal(&latin(text), *scale, at),
                    Type::Uuid => self.text.string(hyphenated(&latin(text)).as_bytes(), at),
                    _ => self.text.base64(&latin(text), at),
                },
                (_, value) => self.text.word(&value.to_string(), at),
            },
            (_, value) => self.text.word(&value.to_string(), at),
        }
    }
}

fn is_named(writer: &Named, reader: &Named) -> bool {
    writer.name == reader.name || reader.aliases.contains(&writer.name)
}

fn is_field(writer: &Field, reader: &Field) -> bool {
    writer.name == reader.name || reader.aliases.contains(&writer.name)
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?')).collect()
}

fn hyphenated(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
