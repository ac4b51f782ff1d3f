//! What producers send. Always: every event has an id of its own, so that each row tells whose it is; a producer sends
//! its next request when it knows what became of the last.

use std::sync::Arc;

use bytes::Bytes;
use hw_event::{Ack, Principal};
use hw_gate::{Framed, Framing, OffsetRange, ProducerSequence, Submission};
use hw_testkit::Random;

use crate::{
    oracle::Fate,
    world::{STREAMS, STRICT},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    None,
    Key(String),
    /// Id, and the sequence of the first event.
    Producer(String, i64),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub client: Option<usize>,
    pub stream: usize,
    /// The id of its first event; each further one has the next.
    pub first: i64,
    /// Which of its events break the schema.
    pub bad: Vec<bool>,
    pub filler: usize,
    pub identity: Identity,
    pub ack: Ack,
    pub fate: Fate,
    /// Some attempt had no answer, or one that says nothing.
    pub unsure: bool,
    pub seen: bool,
    /// The offsets, and the append where they are those of the first answer.
    pub told: Option<(Vec<OffsetRange>, Option<u64>)>,
}

impl Request {
    /// Rows and rejects that it leaves.
    pub fn expected(&self) -> (u64, u64) {
        let bad = self.bad.iter().filter(|bad| **bad).count() as u64;
        let good = self.bad.len() as u64 - bad;
        if self.stream == STRICT && bad > 0 { (0, bad) } else { (good, bad) }
    }

    pub fn submission(&self, at: usize) -> Submission {
        let mut body = String::new();
        let mut events = Vec::new();
        for (id, bad) in (self.first..).zip(&self.bad) {
            let start = body.len();
            body.push_str(&event_text(self.stream, id, *bad, self.filler));
            events.push(Framed::new(start, body.len()));
        }
        let identity = match &self.identity {
            Identity::None => hw_gate::Identity::None,
            Identity::Key(key) => hw_gate::Identity::Key(key.clone()),
            Identity::Producer(id, first) => {
                hw_gate::Identity::Producer(ProducerSequence { id: id.clone(), epoch: 0, first: *first })
            }
        };
        Submission {
            stream: STREAMS[self.stream].0.to_owned(),
            door: "http".into(),
            principal: Principal::local(),
            request_id: Some(Arc::from(at.to_string())),
            body: Bytes::from(body),
            framing: Framing::Json,
            events,
            identity,
            ack: self.ack,
            may_refuse: true,
            permit: None,
        }
    }
}

pub fn event_text(stream: usize, id: i64, bad: bool, filler: usize) -> String {
    let quote = if bad { "\"" } else { "" };
    match stream {
        STRICT => format!("{{\"id\":{quote}{id}{quote}}}"),
        _ => format!("{{\"id\":{quote}{id}{quote},\"who\":\"{:0filler$}\"}}", id % 5),
    }
}

/// Who sends: which stream, and how it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Keyed,
    Numbered,
}

pub const CLIENTS: [(usize, Kind); 7] = [
    (0, Kind::Plain),
    (0, Kind::Keyed),
    (0, Kind::Numbered),
    (STRICT, Kind::Keyed),
    (2, Kind::Numbered),
    (2, Kind::Keyed),
    (STRICT, Kind::Plain),
];

/// A client's next request. `sequence` is its next event's number.
pub fn next_request(random: &mut Random, client: usize, first: i64, number: usize, sequence: i64) -> Request {
    let (stream, kind) = CLIENTS[client];
    let count = 1 + random.below(3) as usize;
    let may_break = !(stream == STRICT && kind == Kind::Keyed);
    let bad = (0..count).map(|_| may_break && random.one_in(5)).collect();
    let identity = match kind {
        Kind::Plain => Identity::None,
        Kind::Keyed => Identity::Key(format!("key-{client}-{number}")),
        Kind::Numbered => Identity::Producer(format!("producer-{client}"), sequence),
    };
    let ack = match kind {
        Kind::Numbered => Ack::Disk,
        _ => [Ack::Memory, Ack::Os, Ack::Disk, Ack::Disk][random.below(4) as usize],
    };
    let filler = if random.one_in(12) { 1500 } else { 1 };
    Request {
        client: Some(client),
        stream,
        first,
        bad,
        filler,
        identity,
        ack,
        fate: Fate::Waiting,
        unsure: false,
        seen: false,
        told: None,
    }
}
