//! Where a stream's events stand: every (partition, offset) of its table and of its rejects, in order.
//! Always: offsets are walked in windows that hold a bounded number of rows, so memory does not grow with the table;
//! each row is really read, no statistic answers for it.
//!
//! 1. The smallest and the largest offset.
//! 2. A window of offsets: its rows of both tables, sorted by partition and offset. Too many: half the window.
//! 3. No two with one place; `_seq` never falls while offsets grow; each offset was given by the journal.

use std::{collections::HashMap, ops::RangeInclusive};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type},
};
use futures::StreamExt;
use hw_event::{Principal, StreamId};
use hw_query::{Cut, QueryError, Runner};
use tokio::sync::mpsc;

use super::report::{Check, Line, Progress};

/// Rows of one window; 24 bytes each.
const WINDOW_ROWS_MAX: usize = 1 << 21;

/// What is walked, and what is known of it beforehand.
pub struct Walk<'a> {
    pub runner: &'a Runner,
    /// The stream's own table, if it has one, and `rejects`.
    pub cut: &'a Cut,
    pub stream: &'a str,
    pub table: Option<&'a str>,
    pub id: Option<StreamId>,
    pub partitions: Option<i32>,
    pub given: &'a Given,
    pub last_seq: u64,
    pub window_rows_max: usize,
    /// Hears of each window; the walk ends when nobody listens.
    pub lines: &'a mpsc::Sender<Line>,
}

/// Which offsets the journal has given.
pub struct Given {
    /// By stream and partition, the first that it has not given yet.
    pub next_offsets: HashMap<(StreamId, i32), i64>,
    /// The last append that any table holds and the journal's first, where appends lie between that are in neither.
    /// Offsets that are missing just there are lost; elsewhere they are a gap: those of appends that failed, or jumped
    /// over after damage.
    pub between: Option<(i64, i64)>,
}

/// What was counted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub stored: u64,
    pub rejected: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    partition: i32,
    offset: i64,
    seq: i64,
    rejected: bool,
}

pub fn window_rows_max() -> usize {
    WINDOW_ROWS_MAX
}

impl Walk<'_> {
    pub async fn run(&self, check: &mut Check) -> Result<Counted, QueryError> {
        let mut counted = Counted::default();
        let Some((first, last)) = self.bounds().await? else {
            self.judge_ends(&HashMap::new(), check);
            return Ok(counted);
        };
        let mut last_of: HashMap<i32, Place> = HashMap::new();
        let mut width = (self.window_rows_max as i64 / i64::from(self.partitions.unwrap_or(1).max(1))).max(1);
        let mut from = first;
        loop {
            let to = from.saturating_add(width - 1).min(last);
            let Some(mut places) = self.places(from..=to).await? else {
                if width == 1 {
                    let what = format!("more than {} rows have this offset", self.window_rows_max);
                    check.fault(what, format!("{}, offset {from}", self.stream), "restore from a backup");
                    return Ok(counted);
                }
                width /= 2;
                continue;
            };
            places.sort_unstable();
            for place in &places {
                match place.rejected {
                    true => counted.rejected += 1,
                    false => counted.stored += 1,
                }
                self.judge(*place, last_of.insert(place.partition, *place), check);
            }
            let done = counted.stored + counted.rejected;
            let progress = Progress { check: "offsets".to_owned(), of: self.stream.to_owned(), done };
            if self.lines.send(Line::Progress(progress)).await.is_err() {
                return Ok(counted);
            }
            if to == last {
                self.judge_ends(&last_of, check);
                return Ok(counted);
            }
            if places.len() < self.window_rows_max / 4 {
                width = width.saturating_mul(2);
            }
            from = to + 1;
        }
    }

    fn judge(&self, place: Place, before: Option<Place>, check: &mut Check) {
        let Place { partition, offset, seq, .. } = place;
        let at = || format!("{}, partition {partition}, offset {offset}", self.stream);
        const BACKUP: &str = "journal/ and lake/ may be of different moments: restore both from one backup";
        if let Some(before) = before {
            if before.offset == offset {
                let what = format!("the place is taken twice: {} and {}", before.told(), place.told());
                check.fault(what, at(), BACKUP);
            }
            if before.seq > seq {
                let what = format!("append {seq} stands behind append {}", before.seq);
                check.fault(what, at(), BACKUP);
            }
        }
        if let Some((last, first)) = self.given.between
            && before.is_none_or(|before| before.seq <= last)
            && seq >= first
        {
            let from = before.map_or(0, |before| before.offset.saturating_add(1));
            self.judge_gap(partition, from, offset, check);
        }
        if seq < 1 || seq.cast_unsigned() > self.last_seq {
            let what = format!("append {seq} is none of the journal's, which ends at {}", self.last_seq);
            check.fault(what, at(), BACKUP);
        }
        if partition < 0 || self.partitions.is_some_and(|partitions| partition >= partitions) {
            check.fault("the stream has no such partition", at(), BACKUP);
        }
        let next = self.id.and_then(|id| self.given.next_offsets.get(&(id, partition))).copied();
        if offset < 0 || offset >= next.unwrap_or(0) {
            let next = next.map_or_else(|| "none".to_owned(), |next| format!("those below {next}"));
            let what = format!("the journal has not given this offset; it has given {next}");
            check.fault(what, at(), BACKUP);
        }
    }

    /// Whether what was given last is there, where a gap cannot explain it.
    fn judge_ends(&self, last_of: &HashMap<i32, Place>, check: &mut Check) {
        let ours = |(stream, _): &&(StreamId, i32)| Some(*stream) == self.id;
        let mut ends: Vec<_> = self.given.next_offsets.iter().filter(|(key, _)| ours(key)).collect();
        ends.sort_unstable();
        for (&(_, partition), &next) in ends {
            let end = last_of.get(&partition).map_or(0, |place| place.offset.saturating_add(1));
            let reached = last_of.get(&partition).map_or(0, |place| place.seq);
            if self.given.between.is_some_and(|(last, _)| reached <= last) {
                self.judge_gap(partition, end, next, check);
            }
        }
    }

    /// Offsets `from..to` should be somewhere.
    fn judge_gap(&self, partition: i32, from: i64, to: i64, check: &mut Check) {
        if from < to {
            let what = format!("offsets {from} to {} are in no table and not in the journal", to - 1);
            let place = format!("{}, partition {partition}", self.stream);
            check.fault(what, place, "the lake is older than the journal: restore both from one backup");
        }
    }

    /// The smallest and the largest offset.
    async fn bounds(&self) -> Result<Option<(i64, i64)>, QueryError> {
        let mut bounds: Option<(i64, i64)> = None;
        // Of sums, so that rows answer and not what is said of them.
        let stored =
            self.table.map(|table| format!("SELECT min(_offset + 0), max(_offset + 0) FROM \"{table}\""));
        let rejected = format!(
            "SELECT min(\"offset\" + 0), max(\"offset\" + 0) FROM rejects WHERE stream = {}",
            literal(self.stream)
        );
        for statement in stored.into_iter().chain([rejected]) {
            let number = |batch: &RecordBatch, at: usize| -> Option<i64> {
                let column = batch.column(at).as_primitive_opt::<Int64Type>()?;
                (!column.is_empty() && column.is_valid(0)).then(|| column.value(0))
            };
            for batch in rows(self.runner, self.cut, &statement).await? {
                if let (Some(first), Some(last)) = (number(&batch, 0), number(&batch, 1)) {
                    let known = bounds.unwrap_or((first, last));
                    bounds = Some((known.0.min(first), known.1.max(last)));
                }
            }
        }
        Ok(bounds)
    }

    /// The places of one window; `None`: there are more than a window may hold.
    async fn places(&self, offsets: RangeInclusive<i64>) -> Result<Option<Vec<Place>>, QueryError> {
        let (first, last) = offsets.into_inner();
        let stored = self.table.map(|table| {
            format!(
                "SELECT _partition, _offset, _seq FROM \"{table}\" WHERE _offset >= {first} AND _offset <= {last}"
            )
        });
        let rejected = format!(
            "SELECT \"partition\", \"offset\", seq FROM rejects WHERE stream = {} AND \"offset\" >= {first} \
             AND \"offset\" <= {last}",
            literal(self.stream)
        );
        let mut places = Vec::new();
        for (statement, rejected) in stored.map(|one| (one, false)).into_iter().chain([(rejected, true)]) {
            let mut answer = self.runner.run(&statement, &Principal::local(), self.cut.clone()).await?;
            while let Some(batch) = answer.next().await {
                let batch = batch?;
                if places.len() + batch.num_rows() > self.window_rows_max {
                    return Ok(None);
                }
                take(&batch, rejected, &mut places)?;
            }
        }
        Ok(Some(places))
    }
}

impl Place {
    fn told(&self) -> String {
        format!("{} by append {}", if self.rejected { "rejected" } else { "stored" }, self.seq)
    }
}

/// A place that is NULL is shown as −1, which no place is.
fn take(batch: &RecordBatch, rejected: bool, places: &mut Vec<Place>) -> Result<(), QueryError> {
    let columns = (
        batch.column(0).as_primitive_opt::<Int32Type>(),
        batch.column(1).as_primitive_opt::<Int64Type>(),
        batch.column(2).as_primitive_opt::<Int64Type>(),
    );
    let (Some(partitions), Some(offsets), Some(seqs)) = columns else {
        return Err(QueryError::Internal("a place is no number".to_owned()));
    };
    for row in 0..batch.num_rows() {
        places.push(Place {
            partition: if partitions.is_valid(row) { partitions.value(row) } else { -1 },
            offset: if offsets.is_valid(row) { offsets.value(row) } else { -1 },
            seq: if seqs.is_valid(row) { seqs.value(row) } else { -1 },
            rejected,
        });
    }
    Ok(())
}

/// All batches of a small answer.
pub async fn rows(runner: &Runner, cut: &Cut, statement: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let mut answer = runner.run(statement, &Principal::local(), cut.clone()).await?;
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
