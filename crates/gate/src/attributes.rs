//! What CloudEvents say about their events besides the data: an id, a time, and attributes by name.
//! Always: one entry an event of the request; texts lie end to end in one buffer, so that a batch of a million small
//! events takes little more than its bytes. Which attributes a stream keeps is decided where its schema is known.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, MapBuilder, MapFieldNames, RecordBatch, StringBuilder},
    datatypes::{Field, Schema as Columns},
    error::ArrowError,
};
use hw_event::Timestamp;
use hw_schema::{Extra, Schema, columns};
use sha2::{Digest, Sha256};

/// An attribute's name in `_headers` is its own behind this prefix, as in the protocol's binding to HTTP.
const HEADER_PREFIX: &str = "ce-";
/// What a stream with protected fields keeps besides `_id`: any other attribute may name a person.
const HARMLESS: [&str; 2] = ["source", "type"];

/// The attributes of all events of a request.
#[derive(Debug, Default)]
pub struct Attributes {
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    events: Vec<Entry>,
}

/// The attributes of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventAttributes {
    pub id: String,
    pub time: Option<Timestamp>,
    /// All others by name; each comes once.
    pub named: Vec<(String, String)>,
}

/// Why an event's envelope could not be read: the reject's message, and the byte at which the fault was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeFault {
    pub message: String,
    pub byte_offset: u64,
}

#[derive(Debug)]
struct Entry {
    id: Range<usize>,
    time: Option<Timestamp>,
    pairs: Range<usize>,
    /// Boxed: it is rare.
    fault: Option<Box<EnvelopeFault>>,
}

/// Which attributes a stream keeps in `_headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    Harmless,
}

impl Keep {
    /// Attributes are not named in a schema, so they are treated like properties that it does not name.
    pub(crate) fn of(schema: &Schema) -> Keep {
        if schema.has_protected() && schema.extra() != Extra::Keep { Keep::Harmless } else { Keep::All }
    }
}

impl Attributes {
    /// Adds the next event's.
    pub fn push(&mut self, event: &mut EventAttributes) {
        let id = self.keep(&event.id);
        let first = self.pairs.len();
        // One order, whichever way the event was sent.
        event.named.sort_unstable();
        for (name, value) in &event.named {
            let pair = (self.keep(name), self.keep(value));
            self.pairs.push(pair);
        }
        self.events.push(Entry { id, time: event.time, pairs: first..self.pairs.len(), fault: None });
    }

    /// The next event's envelope says nothing.
    pub fn push_none(&mut self) {
        self.events.push(Entry { id: 0..0, time: None, pairs: 0..0, fault: None });
    }

    /// The next event's envelope could not be read.
    pub fn push_fault(&mut self, fault: EnvelopeFault) {
        self.events.push(Entry { id: 0..0, time: None, pairs: 0..0, fault: Some(Box::new(fault)) });
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// What they take in memory, about.
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&self.pairs[..]) + size_of_val(&self.events[..])
    }

    pub(crate) fn time(&self, index: usize) -> Option<Timestamp> {
        self.events.get(index)?.time
    }

    pub(crate) fn fault(&self, index: usize) -> Option<&EnvelopeFault> {
        self.events.get(index)?.fault.as_deref()
    }

    /// They are part of what was sent: the same data under another id is another request.
    pub(crate) fn digest(&self, digest: &mut Sha256) {
        for event in &self.events {
            digest.update((event.id.len() as u64).to_le_bytes());
            digest.update(&self.text[event.id.clone()]);
            digest.update((event.pairs.len() as u64).to_le_bytes());
            for (name, value) in &self.pairs[event.pairs.clone()] {
                for part in [name, value] {
                    digest.update((part.len() as u64).to_le_bytes());
                    digest.update(&self.text[part.clone()]);
                }
            }
        }
    }

    /// The columns `_id` and `_headers` of the events at `indexes`, and how many attributes were left out.
    pub(crate) fn columns(
        &self,
        indexes: impl Iterator<Item = usize>,
        keep: Keep,
    ) -> Result<(RecordBatch, u64), ArrowError> {
        let mut left_out = 0;
        let mut ids = StringBuilder::new();
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut headers = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for index in indexes {
            let Some(event) = self.events.get(index) else {
                ids.append_null();
                headers.append(false)?;
                continue;
            };
            ids.append_value(&self.text[event.id.clone()]);
            for (name, value) in &self.pairs[event.pairs.clone()] {
                let name = &self.text[name.clone()];
                if keep == Keep::All || HARMLESS.contains(&name) {
                    headers.keys().append_value(format!("{HEADER_PREFIX}{name}"));
                    headers.values().append_value(&self.text[value.clone()]);
                } else {
                    left_out += 1;
                }
            }
            headers.append(true)?;
        }
        let arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(headers.finish())];
        let field = |name, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
        let schema = Columns::new(vec![field(columns::ID, &arrays[0]), field(columns::HEADERS, &arrays[1])]);
        Ok((RecordBatch::try_new(Arc::new(schema), arrays)?, left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, named: &[(&str, &str)]) -> EventAttributes {
        let named = named.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        EventAttributes { id: id.to_owned(), time: None, named }
    }

    fn shown(batch: &RecordBatch) -> Vec<String> {
        use arrow::array::{Array, AsArray};
        let (ids, headers) = (batch.column(0).as_string::<i32>(), batch.column(1).as_map());
        let row = |row: usize| {
            let entries = headers.value(row);
            let [keys, values] = [0, 1].map(|column| entries.column(column).as_string::<i32>().clone());
            let pairs: Vec<_> =
                (0..keys.len()).map(|n| format!("{}={}", keys.value(n), values.value(n))).collect();
            format!("{}: {}", ids.value(row), pairs.join(" "))
        };
        (0..batch.num_rows()).map(row).collect()
    }

    #[test]
    fn columns_hold_what_is_kept_of_the_rows_asked_for() {
        let mut attributes = Attributes::default();
        attributes.push(&mut event("a", &[("type", "t"), ("source", "/s"), ("subject", "jo")]));
        attributes.push_fault(EnvelopeFault { message: "bad".to_owned(), byte_offset: 3 });
        attributes.push(&mut event("b", &[]));
        let columns = |keep| attributes.columns([0, 2].into_iter(), keep).unwrap();
        assert_eq!(shown(&columns(Keep::All).0), ["a: ce-source=/s ce-subject=jo ce-type=t", "b: "]);
        let (kept, left_out) = columns(Keep::Harmless);
        assert_eq!((shown(&kept), left_out), (vec!["a: ce-source=/s ce-type=t".into(), "b: ".into()], 1));
        assert_eq!(attributes.fault(1).unwrap().byte_offset, 3);
        assert_eq!(attributes.fault(0), None);
    }

    #[test]
    fn every_attribute_changes_the_digest() {
        let digest = |event: EventAttributes| {
            let mut attributes = Attributes::default();
            attributes.push(&mut event.clone());
            let mut digest = Sha256::new();
            attributes.digest(&mut digest);
            digest.finalize()
        };
        let first = digest(event("a", &[("type", "t"), ("x", "y")]));
        assert_eq!(first, digest(event("a", &[("x", "y"), ("type", "t")])));
        for other in [event("b", &[("type", "t"), ("x", "y")]), event("a", &[("type", "tx"), ("x", "y")])] {
            assert_ne!(first, digest(other));
        }
        assert_ne!(digest(event("a", &[("xy", "z")])), digest(event("a", &[("x", "yz")])));
    }
}
