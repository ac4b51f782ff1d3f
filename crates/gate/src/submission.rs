//! What a door hands to the gate, and what it gets back.

use std::sync::Arc;

use bytes::Bytes;
use hw_event::{Ack, Principal, RejectCode, Seq, Timestamp};
use hw_schema::{KvFields, PayloadForm, PayloadReader};
use tokio::sync::OwnedSemaphorePermit;

use crate::Attributes;

/// Errors listed in a receipt; the rest are counted in `errors_left_out`.
pub(crate) const RECEIPT_ERRORS_MAX: usize = 100;

/// One request, framed: it is applied as a whole, and its events keep their order within a partition.
pub struct Submission {
    pub stream: String,
    /// The door's name in the ledger: `http`, `tcp.NAME`, `directory.NAME`.
    pub door: Arc<str>,
    pub principal: Principal,
    pub request_id: Option<Arc<str>>,
    pub body: Bytes,
    pub framing: Framing,
    /// In the order of the request; counted as received.
    pub events: Vec<Framed>,
    pub identity: Identity,
    pub ack: Ack,
    /// A door that cannot refuse (TCP, directory) has mode `reject` act as `dlq`.
    pub may_refuse: bool,
    /// The room in memory that the body takes; given back when the append was made.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// How the events' bytes are written.
#[derive(Clone)]
pub enum Framing {
    Json,
    Kv(Arc<KvFields>),
    /// JSON, and of each event what its envelope said besides.
    CloudEvents(Arc<Attributes>),
    /// In the notation of the stream's schema; of one event, what its envelope said besides.
    Payload(PayloadReader, Option<Arc<Attributes>>),
    /// The same, while the stream has no schema: what it says is known only later.
    Unread(PayloadForm, Option<Arc<Attributes>>),
    /// Rejects that are tried again: of each event how it is written and when it first came.
    Retried(Arc<[Retried]>),
}

/// What is known of a reject besides its bytes.
#[derive(Debug, Clone)]
pub struct Retried {
    /// Neither this nor a reader: it is JSON.
    pub fields: Option<Arc<KvFields>>,
    /// It is in the notation of the stream's schema.
    pub reader: Option<PayloadReader>,
    pub received_at: Timestamp,
}

/// One event as the door cut it out of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// The event's bytes, `body[start..end]`.
    pub start: usize,
    pub end: usize,
    /// The door could not frame it well: it becomes a reject of this code.
    pub fault: Option<RejectCode>,
}

impl Framed {
    pub fn new(start: usize, end: usize) -> Framed {
        Framed { start, end, fault: None }
    }

    pub fn with_fault(self, code: RejectCode) -> Framed {
        Framed { fault: Some(code), ..self }
    }
}

/// How a repeated request is known to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    None,
    /// `Idempotency-Key`.
    Key(String),
    Producer(ProducerSequence),
    /// The door knows by itself what was taken, and nothing is looked up.
    Positions(Positions),
}

/// How far a door has come, kept by the journal in the append that holds the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// The number of the request's first event in what the door reads: `index` of its rejects counts on from it.
    pub first_index: u64,
    /// Owner and value; an empty value ends the owner's position. Owners begin with the kind of door.
    pub records: Vec<(Bytes, Bytes)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSequence {
    pub id: String,
    pub epoch: i32,
    /// The sequence of the request's first event; each further one has the next.
    pub first: i64,
}

/// The gate's answer to a request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub offsets: Vec<OffsetRange>,
    pub errors: Vec<EventError>,
    pub errors_left_out: u64,
    pub seq: Seq,
    /// No schema is declared under this name: everything went to the error lake.
    pub undeclared: bool,
}

/// Offsets `base..base + count` of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    pub partition: i32,
    pub base: i64,
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    /// The event's place in the request, from 0.
    pub index: u32,
    pub code: RejectCode,
    pub path: String,
    pub message: String,
}

/// Why a request was not taken. Nothing of it was stored, but after `Disk` its fate is unknown until a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0:?} is not a stream name: {1}")]
    BadName(String, &'static str),
    #[error("the body holds no event")]
    Empty,
    #[error("a request for this stream may hold at most {events_max} events")]
    TooManyEvents { events_max: usize },
    #[error("the server holds as many unfinished requests as it may")]
    Busy,
    #[error("{0}")]
    Full(String),
    /// This stream alone: its table cannot commit, and it has its share of the journal. The text says why.
    #[error("{0}")]
    Behind(Arc<str>),
    #[error("64 undeclared streams are known already, or they hold 1 GiB")]
    UndeclaredFull,
    #[error("{0}")]
    Disk(String),
    #[error("the server failed at this request")]
    Internal,
    #[error("the server is stopping")]
    Closed,
    #[error("the idempotency key was used before with another body")]
    KeyReused,
    #[error("epoch {given} of the producer is over, epoch {current} has begun")]
    ProducerFenced { given: i32, current: i32 },
    #[error("the producer's next sequence is {expected}, not {given}: events in between are missing")]
    SequenceGap { given: i64, expected: i64 },
}
