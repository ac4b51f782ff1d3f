//! Producers that number their events: which epoch each is in and which sequence comes next.
//! Kept by the journal as positions; a producer that was silent for a week is forgotten.

use std::collections::HashMap;

use bytes::Bytes;
use hw_event::{StreamId, Timestamp};
use hw_journal::{Record, RecordKind};

use crate::{ProducerSequence, Refusal};

const KEEP_MICROS: i64 = 7 * Timestamp::MICROS_PER_DAY;
/// More producers than this on all streams: the longest silent are forgotten first.
const PRODUCERS_MAX: usize = 100_000;
const OWNER_PREFIX: &[u8] = b"producer/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub epoch: i32,
    pub next: i64,
    pub at: Timestamp,
}

type ProducerKey = (StreamId, String);

#[derive(Default)]
pub(crate) struct Producers {
    progress: HashMap<ProducerKey, Progress>,
}

impl Producers {
    pub(crate) fn restore<'a>(positions: impl IntoIterator<Item = (&'a Bytes, &'a Bytes)>) -> Producers {
        let progress = positions.into_iter().filter_map(|(owner, value)| decode(owner, value)).collect();
        Producers { progress }
    }

    /// When the latest of them came.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.progress.values().map(|progress| progress.at).max()
    }

    /// How many of the request's first events came before. Errs where the order does not fit.
    pub(crate) fn judge(
        &self,
        stream: StreamId,
        producer: &ProducerSequence,
        count: usize,
    ) -> Result<usize, Refusal> {
        let Some(known) = self.progress.get(&(stream, producer.id.clone())) else { return Ok(0) };
        if producer.epoch < known.epoch {
            return Err(Refusal::ProducerFenced { given: producer.epoch, current: known.epoch });
        }
        if producer.epoch > known.epoch {
            return Ok(0);
        }
        if producer.first > known.next {
            return Err(Refusal::SequenceGap { given: producer.first, expected: known.next });
        }
        let repeated = usize::try_from(known.next - producer.first).unwrap_or(usize::MAX);
        Ok(repeated.min(count))
    }

    /// Notes that the events through `first + count` came; returns what was known before, to undo it.
    pub(crate) fn advance(
        &mut self,
        stream: StreamId,
        producer: &ProducerSequence,
        count: usize,
        at: Timestamp,
    ) -> (Record, Option<Progress>) {
        let next = producer.first.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
        let progress = Progress { epoch: producer.epoch, next, at };
        let key = (stream, producer.id.clone());
        let record = encode(&key, Some(progress));
        (record, self.progress.insert(key, progress))
    }

    pub(crate) fn undo(&mut self, stream: StreamId, id: &str, before: Option<Progress>) {
        let key = (stream, id.to_owned());
        match before {
            Some(progress) => self.progress.insert(key, progress),
            None => self.progress.remove(&key),
        };
    }

    /// Forgets the long silent; the records end their positions in the journal.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Record> {
        let oldest_kept = now.0.saturating_sub(KEEP_MICROS);
        let mut ended: Vec<ProducerKey> = self
            .progress
            .iter()
            .filter(|(_, progress)| progress.at.0 <= oldest_kept)
            .map(|(key, _)| key.clone())
            .collect();
        if self.progress.len() - ended.len() > PRODUCERS_MAX {
            let mut by_age: Vec<_> = self.progress.iter().map(|(key, progress)| (progress.at, key)).collect();
            by_age.sort_unstable();
            let surplus = by_age.len() - PRODUCERS_MAX;
            ended = by_age.into_iter().take(surplus).map(|(_, key)| key.clone()).collect();
        }
        for key in &ended {
            self.progress.remove(key);
        }
        ended.iter().map(|key| encode(key, None)).collect()
    }
}

/// Owner: `producer/`, stream (u64 LE), the producer's id. Value: epoch (i32 LE), next sequence (i64 LE),
/// at (i64 LE); empty = ended.
fn encode(key: &ProducerKey, progress: Option<Progress>) -> Record {
    let mut owner = OWNER_PREFIX.to_vec();
    owner.extend_from_slice(&key.0.0.to_le_bytes());
    owner.extend_from_slice(key.1.as_bytes());
    let mut value = Vec::new();
    if let Some(progress) = progress {
        value.extend_from_slice(&progress.epoch.to_le_bytes());
        value.extend_from_slice(&progress.next.to_le_bytes());
        value.extend_from_slice(&progress.at.0.to_le_bytes());
    }
    Record { kind: RecordKind::Position, owner: owner.into(), value: value.into() }
}

fn decode(owner: &[u8], value: &[u8]) -> Option<(ProducerKey, Progress)> {
    let (stream, id) = owner.strip_prefix(OWNER_PREFIX)?.split_at_checked(8)?;
    let value: [u8; 20] = value.try_into().ok()?;
    let progress = Progress {
        epoch: i32::from_le_bytes(value[0..4].try_into().ok()?),
        next: i64::from_le_bytes(value[4..12].try_into().ok()?),
        at: Timestamp(i64::from_le_bytes(value[12..20].try_into().ok()?)),
    };
    let id = std::str::from_utf8(id).ok()?.to_owned();
    Some(((StreamId(u64::from_le_bytes(stream.try_into().ok()?)), id), progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(2);

    fn sequence(epoch: i32, first: i64) -> ProducerSequence {
        ProducerSequence { id: "engine".into(), epoch, first }
    }

    #[test]
    fn repeats_gaps_and_old_epochs_are_told_apart() {
        let mut producers = Producers::default();
        assert_eq!(
            producers.judge(STREAM, &sequence(0, 5), 10),
            Ok(0),
            "an unknown producer starts anywhere"
        );
        producers.advance(STREAM, &sequence(0, 5), 10, Timestamp(0));
        assert_eq!(producers.judge(STREAM, &sequence(0, 15), 3), Ok(0));
        assert_eq!(producers.judge(STREAM, &sequence(0, 5), 10), Ok(10));
        assert_eq!(producers.judge(STREAM, &sequence(0, 12), 10), Ok(3));
        assert_eq!(
            producers.judge(STREAM, &sequence(0, 16), 1),
            Err(Refusal::SequenceGap { given: 16, expected: 15 })
        );
        producers.advance(STREAM, &sequence(1, 0), 1, Timestamp(0));
        assert_eq!(
            producers.judge(STREAM, &sequence(0, 15), 1),
            Err(Refusal::ProducerFenced { given: 0, current: 1 })
        );
    }

    #[test]
    fn progress_comes_back_from_its_record_and_ends_after_a_week() {
        let mut producers = Producers::default();
        let (record, before) = producers.advance(STREAM, &sequence(3, 5), 10, Timestamp(1));
        assert_eq!(before, None);
        let mut restored = Producers::restore([(&record.owner, &record.value)]);
        assert_eq!(restored.judge(STREAM, &sequence(3, 5), 10), Ok(10));
        assert!(restored.expire(Timestamp(KEEP_MICROS)).is_empty());
        let ended = restored.expire(Timestamp(KEEP_MICROS + 1));
        assert_eq!(ended.len(), 1);
        assert_eq!((&ended[0].owner, ended[0].value.len()), (&record.owner, 0));
        assert_eq!(restored.judge(STREAM, &sequence(0, 99), 1), Ok(0));
    }

    #[test]
    fn a_failed_append_is_undone() {
        let mut producers = Producers::default();
        producers.advance(STREAM, &sequence(0, 0), 4, Timestamp(0));
        let (_, before) = producers.advance(STREAM, &sequence(0, 4), 4, Timestamp(1));
        producers.undo(STREAM, "engine", before);
        assert_eq!(producers.judge(STREAM, &sequence(0, 4), 4), Ok(0));
    }
}
