//! The compiled decoder: records in, governed Arrow columns and rejects out, in one pass.
//!
//! Which fault a refused event is given:
//! 1. If its text is no JSON that we accept (`json_*`), the first such fault, wherever it stands: a text that is not
//!    JSON has no document, so nothing else can be said of it.
//! 2. Otherwise the first fault in document order. What an object misses and how many items an array has is known at
//!    their end, and counts as standing there; missing fields come in the schema's order. The rules of a value that
//!    only the slower path knows are looked at when the value has passed the others.
//!
//! Always: every record becomes exactly one row or one reject; a refused record leaves nothing in the columns; clear
//! text of `hash` and `drop` fields reaches no column, path or message. Bad data is never an error or a panic.

mod bits;
mod cell;
mod column;
mod kv;
mod minute;
mod miss;
pub(crate) mod names;
mod pass;
pub(crate) mod quick;
mod texts;

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};
use hw_event::{Partition, RejectCode, Timestamp};
use hw_vault::{Digests, HashKey, TokenEntry, TokenKeys, Tokens};

use self::{
    cell::{Captured, KeyPart},
    column::Column,
    miss::{Keys, Miss, Missed, write_pointer},
    pass::{Context, Pass, Work},
};
use crate::{
    Schema, columns,
    json::{Scanner, write_string},
    murmur::partition_of,
    payload::{PayloadReader, Text},
};

/// Bounds on one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Open containers, the event itself counted; at most 512.
    pub depth: usize,
    pub event_bytes: usize,
}

/// One event as a door framed it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub bytes: &'a [u8],
    pub format: Format<'a>,
    /// The door could not frame it: it becomes a reject with this code and is not looked at.
    pub fault: Option<RejectCode>,
    /// Fills a missing event time (CloudEvents).
    pub event_time: Option<Timestamp>,
}

/// How a record is written.
#[derive(Debug, Clone, Copy)]
pub enum Format<'a> {
    Json,
    /// `name=value&name=value`, percent-encoded.
    Kv(&'a KvFields),
    /// In the notation of the schema.
    Payload(&'a PayloadReader),
}

/// The names that a listener's records use for the schema's fields; a name that is not renamed is the field's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvFields {
    renamed: Vec<(String, String)>,
}

impl KvFields {
    /// From (name in the record, name of the field).
    pub fn new(renamed: impl IntoIterator<Item = (String, String)>) -> KvFields {
        KvFields { renamed: renamed.into_iter().collect() }
    }

    /// The field that `name` means.
    fn field<'a>(&'a self, name: &'a [u8]) -> &'a [u8] {
        let renamed = self.renamed.iter().find(|(from, _)| from.as_bytes() == name);
        renamed.map_or(name, |(_, to)| to.as_bytes())
    }
}

/// What became of a slice of records: every record is either a row or a reject.
#[derive(Debug)]
pub struct Applied {
    /// The user's columns and `_extra`, exactly as long as the rows; rows in the order of their records.
    pub batch: RecordBatch,
    /// One a row.
    pub rows: Vec<RowInfo>,
    pub rejects: Vec<Rejected>,
    /// Properties of the stored events that the schema does not name and that were left out.
    pub extra_dropped: u64,
    /// What the vault must hold before the rows may be stored.
    pub entries: Vec<TokenEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowInfo {
    /// The index of the row's record.
    pub index: u32,
    /// `None` without `x-key`.
    pub partition: Option<Partition>,
    pub event_time: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The index of the record.
    pub index: u32,
    pub code: RejectCode,
    /// A JSON pointer, with `*` for a key that the schema does not name.
    pub path: String,
    /// Never quotes a protected value.
    pub message: String,
    /// Where in the record's bytes the fault was found.
    pub byte_offset: u64,
}

/// Turns records into columns and rejects. Reusable: what it holds between calls is only room.
pub struct Decoder {
    schema: Arc<Schema>,
    limits: DecodeLimits,
    batch_schema: SchemaRef,
    columns: Vec<Column>,
    extra: Column,
    work: Work,
    /// What a payload says, as JSON.
    text: Text,
}

impl Decoder {
    pub fn new(schema: Arc<Schema>, key: HashKey, limits: DecodeLimits) -> Decoder {
        let batch_schema = columns::decoded_columns(schema.user_columns());
        let mut columns: Vec<Column> =
            batch_schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        let Some(extra) = columns.pop() else { unreachable!("_extra is always there") };
        let key_parts = vec![KeyPart::default(); schema.key().len()];
        let tokens = Tokens::new(&TokenKeys::of_no_vault(), schema.token_domains());
        let captured = Captured { key_parts, ..Captured::default() };
        let work = Work::new(Digests::new(key), tokens, captured);
        Decoder { schema, limits, batch_schema, columns, extra, work, text: Text::default() }
    }

    /// With tokens of a vault; without, they are of none and lead nowhere, which is enough for who only judges.
    pub fn with_tokens(mut self, keys: &TokenKeys) -> Decoder {
        self.work.tokens = Tokens::new(keys, self.schema.token_domains());
        self
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The columns of every batch that `apply` gives: the user's, then `_extra`.
    pub fn batch_schema(&self) -> &SchemaRef {
        &self.batch_schema
    }

    /// The caller bounds how many records come at once: a column cannot hold more than 2 GiB.
    pub fn apply(&mut self, records: &[Record<'_>]) -> Applied {
        let mut rows = Vec::with_capacity(records.len());
        let mut rejects = Vec::new();
        let mut extra_dropped = 0;
        let bytes = records.iter().map(|record| record.bytes.len()).sum();
        for column in &mut self.columns {
            column.reserve(records.len(), bytes);
        }
        for (index, record) in records.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match self.record(record, rows.len()) {
                Ok(()) => {
                    rows.push(RowInfo {
                        index,
                        partition: self.partition(),
                        event_time: self.work.captured.event_time.or(record.event_time),
                    });
                    extra_dropped += self.work.extra_dropped;
                    self.end_tokens();
                }
                Err(miss) => {
                    for column in self.columns.iter_mut().chain([&mut self.extra]) {
                        column.truncate(rows.len());
                    }
                    self.work.tokens.drop_row();
                    rejects.push(self.rejected(index, *miss));
                }
            }
        }
        match self.finish(rows.len()) {
            Ok(batch) => {
                let entries = self.work.tokens.take_entries();
                Applied { batch, rows, rejects, extra_dropped, entries }
            }
            Err(error) => unreachable!("what was pushed is what the columns hold: {error}"),
        }
    }

    /// Pushes the row after the first `rows`, or says why not; then the columns are to be truncated.
    fn record(&mut self, record: &Record<'_>, rows: usize) -> Result<(), Missed> {
        self.work.clear();
        if let Some(code) = record.fault {
            return Err(Miss::new(code, 0, framing_message(code)));
        }
        if record.bytes.len() > self.limits.event_bytes {
            return Err(Miss::new(RejectCode::TooLarge, 0, framing_message(RejectCode::TooLarge)));
        }
        let context = Context {
            root: &self.schema.root,
            guard: self.schema.guard.as_deref(),
            extra: self.schema.extra,
            // Twice: what nobody described is named by longer pointers than its sender wrote.
            extra_bytes_max: self.limits.event_bytes.saturating_mul(2),
        };
        match record.format {
            Format::Json => {
                let scanner = Scanner::new(record.bytes, self.limits.depth);
                let mut pass = Pass { record: record.bytes, scanner, context, work: &mut self.work };
                if let Err(miss) = json_event(&mut pass, &mut self.columns) {
                    return Err(if miss.json { miss } else { self.fault_of_text(record.bytes, miss) });
                }
            }
            Format::Payload(reader) => {
                let DecodeLimits { depth, event_bytes } = self.limits;
                reader
                    .write(record.bytes, event_bytes, depth, &mut self.text)
                    .map_err(|fault| Miss::new(fault.code, reader.place(fault.at), fault.message))?;
                let text = self.text.bytes();
                let scanner = Scanner::new(text, depth);
                let mut pass = Pass { record: text, scanner, context, work: &mut self.work };
                if let Err(mut miss) = json_event(&mut pass, &mut self.columns) {
                    // The text is ours: only a fault is worth knowing where each of its values came from.
                    let mut again = Text::seeking(miss.at);
                    _ = reader.write(record.bytes, event_bytes, depth, &mut again);
                    miss.at = reader.place(again.source());
                    return Err(miss);
                }
            }
            Format::Kv(fields) => {
                kv::apply(record.bytes, fields, context, &mut self.work, &mut self.columns)?;
            }
        }
        if self.work.extra.is_empty() {
            return Ok(());
        }
        self.fill_extra(rows);
        self.work.extra.insert(0, b'{');
        self.work.extra.push(b'}');
        let pushed = self.extra.push_bytes(&self.work.extra);
        pushed.map_err(|error| Miss::new(RejectCode::TooLarge, 0, cell::full(error).1))
    }

    /// Most rows have nothing that the schema does not name: their nulls are pushed when they matter.
    fn fill_extra(&mut self, rows: usize) {
        while self.extra.len() < rows {
            self.extra.push_null();
        }
    }

    /// Lets no value take a short way: to hold the ways against each other.
    pub(crate) fn take_the_long_way(&mut self) {
        self.work.long_way = true;
    }

    /// The fault of an event whose first fault is `miss`: if the text is not even JSON, that comes first.
    fn fault_of_text(&mut self, bytes: &[u8], miss: Missed) -> Missed {
        self.work.keys.clear();
        let mut scanner = Scanner::new(bytes, self.limits.depth);
        scanner.space();
        let whole = scanner.skip(&mut self.work.keys).and_then(|()| scanner.end());
        whole.map_or_else(Missed::from, |()| miss)
    }

    fn rejected(&self, index: u32, miss: Miss) -> Rejected {
        let mut path = Vec::new();
        if !miss.json {
            write_pointer(&self.schema.root, &self.work.path, Keys::Hidden, &mut path);
            path.extend_from_slice(miss.inside.as_bytes());
        }
        Rejected {
            index,
            code: miss.code,
            path: String::from_utf8_lossy(&path).into_owned(),
            message: miss.message,
            byte_offset: miss.at as u64,
        }
    }

    /// The row's subject is known at its end, wherever it stands in the event.
    fn end_tokens(&mut self) {
        if self.schema.token_domains().is_empty() {
            return;
        }
        let subject = &mut self.work.text;
        subject.clear();
        let found = self.schema.subject.as_deref().and_then(|path| {
            let (&first, rest) = path.split_first()?;
            self.columns.get(first)?.last_text(rest, subject)
        });
        self.work.tokens.end_row(found.map(|()| subject.as_slice()));
    }

    fn partition(&mut self) -> Option<Partition> {
        let Captured { key_text, key_parts, .. } = &self.work.captured;
        let partitions = self.schema.partitions();
        match key_parts.as_slice() {
            [] => None,
            [part] => Some(partition_of(&key_text[part.start..part.end], partitions)),
            parts => {
                let text = &mut self.work.text;
                text.clear();
                text.push(b'[');
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        text.push(b',');
                    }
                    let clear = &key_text[part.start..part.end];
                    if part.quoted { write_string(clear, text) } else { text.extend_from_slice(clear) }
                }
                text.push(b']');
                Some(partition_of(text, partitions))
            }
        }
    }

    fn finish(&mut self, rows: usize) -> Result<RecordBatch, ArrowError> {
        let mut arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        arrays.push(if self.extra.len() == 0 {
            new_null_array(&DataType::Utf8, rows)
        } else {
            self.fill_extra(rows);
            self.extra.finish()?
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.batch_schema), arrays, &options)
    }
}

/// One event as JSON, with nothing but white space around it.
fn json_event(pass: &mut Pass<'_, '_>, columns: &mut [Column]) -> Result<(), Missed> {
    pass.scanner.space();
    match pass.scanner.peek() {
        Some(b'{') => {
            let start = pass.scanner.at();
            pass.object(pass.context.root, columns)?;
            let end = pass.scanner.at();
            pass.scanner.end()?;
            match pass.context.guard {
                None => Ok(()),
                Some(guard) => {
                    guard.check(&pass.record[start..end]).map_err(|broken| Miss::guarded(broken, start))
                }
            }
        }
        None => Err(pass.scanner.unexpected("expected a document, found nothing").into()),
        Some(_) => {
            let at = pass.scanner.at();
            Err(Miss::new(RejectCode::NotObject, at, "expected an object"))
        }
    }
}

fn framing_message(code: RejectCode) -> &'static str {
    match code {
        RejectCode::TooLarge => "the event is larger than limits.event",
        RejectCode::JsonSyntax => "the event was cut short or could not be told from its neighbours",
        RejectCode::JsonUnicode => "the bytes are not valid UTF-8",
        RejectCode::JsonDepth => "the document is nested too deeply",
        RejectCode::Record => "the record was cut short or is none",
        RejectCode::NoSchema => "the stream has no schema: write schemas/STREAM.json, or correct the name",
        _ => "the door could not read the event",
    }
}

#[cfg(test)]
mod tests;
