//! A request between its verdicts and its append, and what its producer will be told.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use hw_event::{Principal, SchemaNumber};
use hw_schema::{Applied, PayloadForm, Schema, Stream};
use hw_vault::TokenEntry;

use crate::{
    EventError, OffsetRange, Positions, ProducerSequence,
    window::{BodyDigest, KeyDigest},
};

/// A request whose events were judged, one by one, and whose rejects were sealed.
pub(crate) struct Judged {
    pub stream: Arc<Stream>,
    pub schema: Option<(SchemaNumber, Arc<Schema>)>,
    pub door: Arc<str>,
    pub principal: Principal,
    pub request_id: Option<Arc<str>>,
    /// Events and bytes as the door framed them.
    pub received: u32,
    pub bytes: u64,
    /// What the events' attributes take besides.
    pub attribute_bytes: u64,
    /// `None` where the stream has no schema.
    pub rows: Option<Applied>,
    /// `_id` and `_headers` of the rows, where the request had attributes.
    pub context: Option<RecordBatch>,
    /// In the order of the request.
    pub rejects: Vec<SealedReject>,
    pub identity: JudgedIdentity,
    /// One bad event refuses its good neighbours.
    pub refuses: bool,
    pub standing: Standing,
}

/// What the events of a request are to the ledger.
pub(crate) enum Standing {
    /// They have come.
    Received,
    /// They came before, as rejects. Of each row the text for `_origin`.
    Replayed { origins: StringArray },
    /// The platform's own rows, which no ledger counts.
    Resolutions,
}

impl Judged {
    /// What it adds to its group.
    pub(crate) fn weight(&self) -> u64 {
        self.bytes + self.attribute_bytes
    }
}

impl Judged {
    /// What the vault must hold before the rows may be stored; nothing, where none will be.
    pub(crate) fn take_entries(&mut self) -> Vec<TokenEntry> {
        let entries = self.rows.as_mut().map(|rows| std::mem::take(&mut rows.entries)).unwrap_or_default();
        if self.refuses && !self.rejects.is_empty() { Vec::new() } else { entries }
    }
}

pub(crate) struct SealedReject {
    pub error: EventError,
    pub byte_offset: u64,
    pub payload: Vec<u8>,
    /// `None`: it is JSON, or as its door's records are.
    pub form: Option<PayloadForm>,
}

pub(crate) enum JudgedIdentity {
    None,
    Key { key: KeyDigest, body: BodyDigest },
    Producer(ProducerSequence),
    Positions(Positions),
}

impl Judged {
    /// What `index` says of one of the rejects: the event's number in the request, or in what the door reads.
    pub(crate) fn index(&self, reject: &SealedReject) -> i32 {
        let first = match &self.identity {
            JudgedIdentity::Positions(positions) => positions.first_index,
            _ => 0,
        };
        i32::try_from(first.saturating_add(u64::from(reject.error.index))).unwrap_or(i32::MAX)
    }
}

/// What became of one request, if the append comes to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub offsets: Vec<OffsetRange>,
    pub errors: Vec<EventError>,
    pub errors_left_out: u64,
}
