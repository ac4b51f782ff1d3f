//! Events against fixed schemas. An input is a byte that chooses the schema, and records parted by 0x1e.

use arrow::array::Array;

use super::{
    SEPARATOR, chosen, decoder, is_json, leaks, record,
    samples::{SAMPLES, Sample},
};
use crate::{Applied, Record, rows};

pub fn json_event(data: &[u8]) {
    let Some((index, rest)) = chosen(data, SAMPLES.len()) else { return };
    let sample = &SAMPLES[index];
    let records: Vec<Record<'_>> = rest.split(|&byte| byte == SEPARATOR).map(record).collect();
    let mut decoder = decoder(&sample.schema);
    let applied = decoder.apply(&records);
    is_whole(&applied, &records);
    no_way_is_shorter_than_right(&applied, &records, sample);
    nothing_leaks(&applied, &records, sample);
    let events = rows::to_json(&sample.schema, &applied.batch);
    assert_eq!(events.len(), applied.rows.len(), "one event a row");
    for event in &events {
        assert!(is_json(event), "a row is rendered as no JSON: {event}");
    }
    if sample.accepts_its_rows {
        let records: Vec<Record<'_>> = events.iter().map(|event| record(event.as_bytes())).collect();
        let again = decoder.apply(&records);
        assert!(again.rejects.is_empty(), "a stored event is refused: {:?} {events:#?}", again.rejects);
        assert_eq!(rows::to_json(&sample.schema, &again.batch), events, "a stored event changes");
    }
}

/// What took the short ways through the decoder came to the same end as on the long one.
fn no_way_is_shorter_than_right(applied: &Applied, records: &[Record<'_>], sample: &Sample) {
    let mut decoder = decoder(&sample.schema);
    decoder.take_the_long_way();
    let long = decoder.apply(records);
    assert_eq!(applied.batch, long.batch);
    assert_eq!(applied.rows, long.rows);
    assert_eq!(applied.rejects, long.rejects);
    assert_eq!(applied.extra_dropped, long.extra_dropped);
}

/// Every record is one row or one reject, and the columns are as long as the rows.
pub(super) fn is_whole(applied: &Applied, records: &[Record<'_>]) {
    let mut seen = vec![0; records.len()];
    let rejected = applied.rejects.iter().map(|reject| reject.index);
    for index in applied.rows.iter().map(|row| row.index).chain(rejected) {
        seen[index as usize] += 1;
    }
    assert!(seen.iter().all(|times| *times == 1), "a record is not exactly one row or one reject: {seen:?}");
    assert!(applied.rows.is_sorted_by(|a, b| a.index < b.index), "rows are out of order");
    assert_eq!(applied.batch.num_rows(), applied.rows.len());
    for column in applied.batch.columns() {
        assert_eq!(column.len(), applied.rows.len());
        let valid = column.to_data().validate_full();
        assert!(valid.is_ok(), "a column is no valid array: {valid:?}");
    }
    for reject in &applied.rejects {
        let bytes = records[reject.index as usize].bytes.len() as u64;
        assert!(reject.byte_offset <= bytes, "a fault stands outside of its record: {reject:?}");
        assert!(!reject.message.is_empty(), "a reject without a message: {reject:?}");
    }
}

/// No protected value of a record shows in what became of it.
fn nothing_leaks(applied: &Applied, records: &[Record<'_>], sample: &Sample) {
    if sample.protected.is_empty() {
        return;
    }
    let outcomes = outcomes(applied, records.len());
    for (record, outcome) in records.iter().zip(&outcomes) {
        for secret in leaks::secrets(record.bytes, sample.protected) {
            if !leaks::shows(outcome.as_bytes(), secret.as_bytes()) {
                continue;
            }
            // It may have been guessed: words of a message, a digest. Another value then does not show.
            let (event, other) = leaks::with_another(record.bytes, &secret);
            let again = decoder(&sample.schema).apply(&[super::record(&event)]);
            let again = self::outcomes(&again, 1).concat();
            assert!(!leaks::shows(again.as_bytes(), &other), "{secret:?} shows in {outcome}");
        }
    }
}

/// Of each record, all that is stored or told.
fn outcomes(applied: &Applied, records: usize) -> Vec<String> {
    let mut outcomes = vec![String::new(); records];
    for reject in &applied.rejects {
        outcomes[reject.index as usize] = format!("{} {}", reject.path, reject.message);
    }
    for (place, row) in applied.rows.iter().enumerate() {
        let columns = applied.batch.columns().iter().map(|column| format!("{:?}", column.slice(place, 1)));
        outcomes[row.index as usize] = columns.collect();
    }
    outcomes
}
