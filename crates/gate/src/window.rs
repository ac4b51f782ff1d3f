//! The dedupe window: which idempotency keys were used, with what body, and what was answered.
//! Always: a stream's keys stay 24 hours or until 1,000,000 newer ones came. Entries are kept by the journal
//! as key records and come back from it at a start. Keys themselves are not kept, only their digests.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use hw_event::{Principal, Seq, StreamId, Timestamp};
use hw_journal::{Record, RecordKind};
use hw_vault::HashKey;
use sha2::{Digest, Sha256};

use crate::{Attributes, OffsetRange};

const KEEP_MICROS: i64 = Timestamp::MICROS_PER_DAY;
const KEYS_PER_STREAM_MAX: usize = 1_000_000;

pub(crate) type KeyDigest = [u8; 16];
pub(crate) type BodyDigest = [u8; 16];

/// What the first request with a key got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub seq: Seq,
    pub body: BodyDigest,
    pub at: Timestamp,
    pub offsets: Vec<OffsetRange>,
}

#[derive(Default)]
pub(crate) struct Window {
    streams: HashMap<StreamId, Keys>,
}

#[derive(Default)]
struct Keys {
    answered: HashMap<KeyDigest, Answered>,
    /// Oldest first; may name a key that was taken back.
    order: VecDeque<(Timestamp, Seq, KeyDigest)>,
}

/// The key's scope is (principal, stream, key); the stream is kept apart.
pub(crate) fn key_digest(principal: &Principal, key: &str) -> KeyDigest {
    let digest = Sha256::new()
        .chain_update((principal.name().len() as u64).to_le_bytes())
        .chain_update(principal.name())
        .chain_update(key)
        .finalize();
    truncated(&digest)
}

/// What was sent under a key: the body, and attributes, which may have come in headers. Keyed: a short body with one
/// protected value could be found by trying.
pub(crate) fn body_digest(key: &HashKey, body: &[u8], attributes: Option<&Attributes>) -> BodyDigest {
    let mut digest = Sha256::new_with_prefix(body);
    if let Some(attributes) = attributes {
        attributes.digest(&mut digest);
    }
    truncated(&key.keyed("headwater request body", &digest.finalize()))
}

fn truncated(digest: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

impl Window {
    /// The window as the journal kept it, oldest first. Malformed records are passed over and counted.
    pub(crate) fn restore(records: impl IntoIterator<Item = (Seq, Record)>) -> (Window, usize) {
        let mut window = Window::default();
        let mut malformed = 0;
        for (seq, record) in records {
            match decode(seq, &record) {
                Some((stream, key, answered)) => window.insert(stream, key, answered),
                None => malformed += 1,
            }
        }
        (window, malformed)
    }

    pub(crate) fn get(&self, stream: StreamId, key: &KeyDigest, now: Timestamp) -> Option<&Answered> {
        let answered = self.streams.get(&stream)?.answered.get(key)?;
        (answered.at.0 > now.0.saturating_sub(KEEP_MICROS)).then_some(answered)
    }

    pub(crate) fn insert(&mut self, stream: StreamId, key: KeyDigest, answered: Answered) {
        let keys = self.streams.entry(stream).or_default();
        keys.order.push_back((answered.at, answered.seq, key));
        keys.answered.insert(key, answered);
    }

    /// When the newest entry was made.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.streams.values().flat_map(|keys| keys.order.iter().map(|entry| entry.0)).max()
    }

    /// The entry's append is durable: from now on its number says when the journal may forget it.
    pub(crate) fn settle(&mut self, stream: StreamId, key: &KeyDigest, seq: Seq) {
        let Some(keys) = self.streams.get_mut(&stream) else { return };
        if let Some(answered) = keys.answered.get_mut(key) {
            answered.seq = seq;
        }
        // The entries of the newest append stand at the end.
        for entry in keys.order.iter_mut().rev().take_while(|entry| entry.1 == Seq::ZERO) {
            entry.1 = seq;
        }
    }

    /// Takes back an entry whose append failed.
    pub(crate) fn remove(&mut self, stream: StreamId, key: &KeyDigest) {
        if let Some(keys) = self.streams.get_mut(&stream) {
            keys.answered.remove(key);
            keys.order.retain(|entry| entry.2 != *key || entry.1 != Seq::ZERO);
        }
    }

    /// Forgets what is too old or too many; returns the append through which the journal may forget keys too.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<Seq> {
        let oldest_kept = now.0.saturating_sub(KEEP_MICROS);
        let mut first_live: Option<Seq> = None;
        let mut last_forgotten: Option<Seq> = None;
        for keys in self.streams.values_mut() {
            while let Some(&(at, seq, key)) = keys.order.front() {
                if at.0 > oldest_kept && keys.order.len() <= KEYS_PER_STREAM_MAX {
                    first_live = Some(first_live.map_or(seq, |live| live.min(seq)));
                    break;
                }
                keys.order.pop_front();
                last_forgotten = last_forgotten.max(Some(seq));
                // A key used again after it expired has a newer entry, which stays.
                if keys.answered.get(&key).is_some_and(|answered| answered.seq == seq) {
                    keys.answered.remove(&key);
                }
            }
        }
        self.streams.retain(|_, keys| !keys.order.is_empty());
        let forgotten = last_forgotten?;
        match first_live {
            Some(live) => (live.0 > 1).then(|| Seq(forgotten.0.min(live.0 - 1))),
            None => Some(forgotten),
        }
    }
}

/// Owner: stream (u64 LE), key digest (16). Value: body digest (16), at (i64 LE), then for each range
/// partition (i32 LE), base (i64 LE), count (u32 LE).
pub(crate) fn encode(stream: StreamId, key: &KeyDigest, answered: &Answered) -> Record {
    let mut owner = Vec::with_capacity(24);
    owner.extend_from_slice(&stream.0.to_le_bytes());
    owner.extend_from_slice(key);
    let mut value = Vec::with_capacity(24 + 16 * answered.offsets.len());
    value.extend_from_slice(&answered.body);
    value.extend_from_slice(&answered.at.0.to_le_bytes());
    for range in &answered.offsets {
        value.extend_from_slice(&range.partition.to_le_bytes());
        value.extend_from_slice(&range.base.to_le_bytes());
        value.extend_from_slice(&range.count.to_le_bytes());
    }
    Record { kind: RecordKind::Key, owner: Bytes::from(owner), value: Bytes::from(value) }
}

fn decode(seq: Seq, record: &Record) -> Option<(StreamId, KeyDigest, Answered)> {
    let (stream, key) = record.owner.split_at_checked(8)?;
    let (body, rest) = record.value.split_at_checked(16)?;
    let (at, ranges) = rest.split_at_checked(8)?;
    if ranges.len() % 16 != 0 {
        return None;
    }
    let mut offsets = Vec::with_capacity(ranges.len() / 16);
    for range in ranges.chunks_exact(16) {
        offsets.push(OffsetRange {
            partition: i32::from_le_bytes(range[0..4].try_into().ok()?),
            base: i64::from_le_bytes(range[4..12].try_into().ok()?),
            count: u32::from_le_bytes(range[12..16].try_into().ok()?),
        });
    }
    let answered = Answered {
        seq,
        body: body.try_into().ok()?,
        at: Timestamp(i64::from_le_bytes(at.try_into().ok()?)),
        offsets,
    };
    Some((StreamId(u64::from_le_bytes(stream.try_into().ok()?)), key.try_into().ok()?, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(4);

    fn answered(seq: u64, at: i64) -> Answered {
        Answered {
            seq: Seq(seq),
            body: [9; 16],
            at: Timestamp(at),
            offsets: vec![OffsetRange { partition: 3, base: 10, count: 5 }],
        }
    }

    #[test]
    fn an_entry_comes_back_from_its_record() {
        let record = encode(STREAM, &[1; 16], &answered(7, 100));
        let short = Record { value: record.value.slice(..record.value.len() - 1), ..record.clone() };
        let (window, malformed) = Window::restore([(Seq(7), record), (Seq(8), short)]);
        assert_eq!(malformed, 1);
        assert_eq!(window.get(STREAM, &[1; 16], Timestamp(100)), Some(&answered(7, 100)));
        assert_eq!(window.get(StreamId(5), &[1; 16], Timestamp(100)), None);
    }

    #[test]
    fn a_key_is_forgotten_after_a_day_and_the_journal_is_told() {
        let mut window = Window::default();
        window.insert(STREAM, [1; 16], answered(7, 0));
        window.insert(STREAM, [2; 16], answered(9, 1_000));
        assert_eq!(window.expire(Timestamp(KEEP_MICROS - 1)), None);
        assert_eq!(window.expire(Timestamp(KEEP_MICROS)), Some(Seq(7)));
        assert_eq!(window.get(STREAM, &[1; 16], Timestamp(KEEP_MICROS)), None);
        assert!(window.get(STREAM, &[2; 16], Timestamp(KEEP_MICROS)).is_some());
        assert_eq!(window.get(STREAM, &[2; 16], Timestamp(KEEP_MICROS + 1_000)), None);
        assert_eq!(window.expire(Timestamp(KEEP_MICROS + 1_000)), Some(Seq(9)));
    }

    #[test]
    fn the_principal_is_part_of_the_key() {
        assert_ne!(key_digest(&Principal::local(), "a"), key_digest(&Principal::local(), "b"));
    }
}
