//! Partitions and offsets: where each event of a request goes.
//! Always: offsets of a partition only grow; events of a request keep their order within each partition.
//! Rejects, and rows without a key, go to the partition whose turn it is: a reject's key cannot be trusted.

use std::collections::HashMap;

use hw_event::{Partition, StreamId, Timestamp};

use crate::{OffsetRange, judged::Judged};

#[derive(Clone)]
pub(crate) struct Places {
    /// The first offset not given yet, by stream and partition.
    next_offsets: HashMap<(StreamId, i32), i64>,
    /// Whose turn it is among the partitions of a stream.
    turns: HashMap<StreamId, u32>,
    /// While a request is placed: by partition, where its range stands, counted from 1. All 0 between two requests.
    range_of: Vec<u32>,
}

#[derive(Default)]
pub(crate) struct Placed {
    pub rows: Vec<PlacedRow>,
    /// (number among the request's rejects, partition, offset)
    pub rejects: Vec<(usize, i32, i64)>,
    pub ranges: Vec<OffsetRange>,
    /// Good events that a bad neighbour cost their place.
    pub refused: u64,
    /// The request was refused: it is no repetition to send its events again.
    pub refuses: bool,
}

pub(crate) struct PlacedRow {
    /// Number among the request's rows.
    pub row: usize,
    pub partition: i32,
    pub offset: i64,
    pub time: Timestamp,
}

impl Places {
    pub(crate) fn new(next_offsets: HashMap<(StreamId, i32), i64>) -> Places {
        Places { next_offsets, turns: HashMap::new(), range_of: Vec::new() }
    }

    /// Gives each event its partition and offset, in the order of the request. The first `skipped` events are
    /// duplicates.
    pub(crate) fn place(&mut self, request: &Judged, skipped: usize, now: Timestamp) -> Placed {
        let stream = request.stream.id;
        let partitions = request.schema.as_ref().map_or(1, |(_, schema)| schema.partitions().max(1));
        let turn = self.turns.entry(stream).or_default();
        let turn_partition = (*turn % partitions.unsigned_abs()).cast_signed();
        *turn = turn.wrapping_add(1);

        let mut placed = Placed::default();
        let mut ranges: Vec<OffsetRange> = Vec::new();
        let Places { next_offsets, range_of, .. } = self;
        // An event costs a step, however many partitions its request touches.
        let mut give = |partition: i32| -> i64 {
            let slot = usize::try_from(partition).unwrap_or(0);
            if slot >= range_of.len() {
                range_of.resize(slot + 1, 0);
            }
            if range_of[slot] == 0 {
                let base = next_offsets.get(&(stream, partition)).copied().unwrap_or(0);
                ranges.push(OffsetRange { partition, base, count: 0 });
                range_of[slot] = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
            }
            let range = &mut ranges[range_of[slot] as usize - 1];
            range.count += 1;
            range.base + i64::from(range.count) - 1
        };

        let all_rows = request.rows.as_ref().map_or(&[][..], |applied| &applied.rows);
        let rows: Vec<_> =
            all_rows.iter().enumerate().filter(|(_, row)| row.index as usize >= skipped).collect();
        let rejects: Vec<_> = request
            .rejects
            .iter()
            .enumerate()
            .filter(|(_, reject)| reject.error.index as usize >= skipped)
            .collect();
        let refuses = request.refuses && !rejects.is_empty();
        placed.refuses = refuses;
        let mut rows = if refuses {
            placed.refused = rows.len() as u64;
            Vec::new()
        } else {
            rows
        }
        .into_iter()
        .peekable();
        let mut rejects = rejects.into_iter().peekable();
        loop {
            let row_first = match (rows.peek(), rejects.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((_, row)), Some((_, reject))) => row.index < reject.error.index,
            };
            if row_first {
                if let Some((row_number, row)) = rows.next() {
                    let partition = row.partition.unwrap_or(Partition(turn_partition)).0;
                    let time = row.event_time.unwrap_or(now);
                    placed.rows.push(PlacedRow { row: row_number, partition, offset: give(partition), time });
                }
            } else if let Some((number, _)) = rejects.next() {
                placed.rejects.push((number, turn_partition, give(turn_partition)));
            }
        }
        for range in &ranges {
            next_offsets.insert((stream, range.partition), range.base + i64::from(range.count));
            range_of[usize::try_from(range.partition).unwrap_or(0)] = 0;
        }
        ranges.sort_unstable_by_key(|range| range.partition);
        placed.ranges = ranges;
        placed
    }
}
