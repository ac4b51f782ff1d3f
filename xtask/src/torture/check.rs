//! Holds the tables against what was acknowledged: lost, doubled, judged wrongly, out of order, not accounted for.
//! Always: each row is fetched once by the cheap check (what is newer than the last row seen), so that a check costs what
//! is new; the full check fetches everything and must find what the cheap ones found.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};

use super::{
    acknowledged::{Acknowledged, IDS_OF_A_PRODUCER, is_good},
    producers::who,
    server::Server,
};

/// How many ids a finding names.
const NAMED_MAX: usize = 5;
/// The code of a record that a broken connection or silence cut off: its id cannot be trusted.
const CUT_OFF: &str = "record";

/// Where an event lies.
type Place = (u32, u64);

/// What the checks of one data directory have seen.
#[derive(Default)]
pub struct Books {
    acknowledged: HashSet<u64>,
    seen: HashMap<u64, Place>,
    /// Offsets of stored and rejected events.
    places: HashSet<Place>,
    /// Per partition: the highest offset; per producer and key: the last id.
    highest: HashMap<u32, u64>,
    last_of_key: HashMap<String, u64>,
    last_seq: u64,
    stored: u64,
    rejected: u64,
}

/// What a check found. Empty is good.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Findings {
    pub lost: u64,
    pub doubled: u64,
    /// Everything else, and which ids were lost or doubled, in words.
    pub faults: Vec<String>,
}

impl Findings {
    fn note(&mut self, what: &str, mut ids: Vec<u64>) {
        if !ids.is_empty() {
            ids.sort_unstable();
            let named = &ids[..ids.len().min(NAMED_MAX)];
            self.faults.push(format!("{} {what}, such as {named:?}", ids.len()));
        }
    }
}

struct Row {
    whose: Whose,
    place: Place,
    seq: u64,
    stored: bool,
}

/// What a row says of the event it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Event(u64),
    /// A piece of a record.
    CutOff,
    /// A reject whose bytes cannot be opened any more.
    Sealed,
}

impl Books {
    pub fn rows(&self) -> u64 {
        self.stored + self.rejected
    }

    /// What came since the last check. No producer may be at work.
    pub fn check(&mut self, server: &Server, known: &Acknowledged) -> Result<Findings> {
        let rows = self.fetch(server, self.last_seq)?;
        let mut findings = self.add(rows, known.take());
        self.check_ledger(server, &mut findings)?;
        Ok(findings)
    }

    /// Takes rows that were not seen before, in the order of their places, and what was acknowledged meanwhile.
    fn add(&mut self, rows: Vec<Row>, acknowledged: Vec<u64>) -> Findings {
        let (mut doubled, mut shared, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut misjudged, mut disordered) = (Vec::new(), Vec::new());
        for Row { whose, place, seq, stored } in rows {
            if !self.places.insert(place) {
                shared.push(place.1);
            }
            self.last_seq = self.last_seq.max(seq);
            *if stored { &mut self.stored } else { &mut self.rejected } += 1;
            let id = match whose {
                Whose::Event(id) => id,
                Whose::CutOff => continue,
                Whose::Sealed => {
                    sealed.push(place.1);
                    continue;
                }
            };
            if is_good(id) != stored {
                misjudged.push(id);
            }
            if self.seen.insert(id, place).is_some() {
                doubled.push(id);
                continue;
            }
            if stored {
                let highest = self.highest.insert(place.0, place.1);
                let last = self.last_of_key.insert(who(id), id);
                if highest > Some(place.1) || last > Some(id) {
                    disordered.push(id);
                }
            }
        }
        let lost: Vec<u64> = acknowledged.iter().filter(|id| !self.seen.contains_key(id)).copied().collect();
        // What is lost is told once.
        self.acknowledged.extend(acknowledged.into_iter().filter(|id| self.seen.contains_key(id)));
        let mut findings =
            Findings { lost: lost.len() as u64, doubled: doubled.len() as u64, faults: Vec::new() };
        findings.note("acknowledged events are lost", lost);
        findings.note("events are there twice", doubled);
        findings.note("offsets were given twice", shared);
        findings.note("events were judged wrongly", misjudged);
        findings.note("events are out of order", disordered);
        findings.note("rejects cannot be opened, at offsets", sealed);
        findings
    }

    /// Everything again, from the first row on. Call `check` before.
    pub fn check_all(&self, server: &Server) -> Result<Findings> {
        let mut findings = self.compare(self.fetch(server, 0)?);
        self.check_ledger(server, &mut findings)?;
        Ok(findings)
    }

    /// Holds all rows against those that were seen one by one.
    fn compare(&self, rows: Vec<Row>) -> Findings {
        let by_place: HashMap<Place, u64> = self.seen.iter().map(|(id, place)| (*place, *id)).collect();
        let (mut doubled, mut moved, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        let mut found: HashMap<u64, Place> = HashMap::with_capacity(self.seen.len());
        let count = rows.len() as u64;
        for row in rows {
            let id = match row.whose {
                Whose::Event(id) => id,
                Whose::CutOff => continue,
                Whose::Sealed => {
                    sealed.push(row.place.1);
                    // It is there; which one it is was seen when it could be opened.
                    let Some(id) = by_place.get(&row.place) else { continue };
                    *id
                }
            };
            if found.insert(id, row.place).is_some() {
                doubled.push(id);
            }
            if self.seen.get(&id) != Some(&row.place) {
                moved.push(id);
            }
        }
        let lost: Vec<u64> = self.acknowledged.iter().filter(|id| !found.contains_key(id)).copied().collect();
        let unknown: Vec<u64> = found.keys().filter(|id| **id < IDS_OF_A_PRODUCER).copied().collect();
        let mut findings =
            Findings { lost: lost.len() as u64, doubled: doubled.len() as u64, faults: Vec::new() };
        findings.note("acknowledged events are lost", lost);
        findings.note("events are there twice", doubled);
        findings.note("events are not where they were, or were not seen before", moved);
        findings.note("rejects cannot be opened, at offsets", sealed);
        findings.note("events were never sent", unknown);
        if count != self.rows() {
            findings.faults.push(format!("{count} rows in all, {} seen one by one", self.rows()));
        }
        findings
    }

    /// Accepted = lake + error lake, to the event.
    fn check_ledger(&self, server: &Server, findings: &mut Findings) -> Result<()> {
        let ledger = server.numbers(
            "SELECT coalesce(sum(stored), 0), coalesce(sum(rejected), 0), \
             coalesce(sum(received - stored - rejected - duplicates), 0) FROM ledger",
        )?;
        let tables = [self.stored as i64, self.rejected as i64, 0];
        if ledger != tables {
            findings.faults.push(format!(
                "stored, rejected, not accounted for: {ledger:?} in the ledger, {tables:?} in the tables"
            ));
        }
        Ok(())
    }

    /// The rows and rejects behind append `after`, in the order of their places.
    fn fetch(&self, server: &Server, after: u64) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let statement = format!("SELECT id, _partition, _offset, _seq FROM reading WHERE _seq > {after}");
        for row in server.rows(&statement)? {
            let [id, partition, offset, seq] = parse(&row)?;
            rows.push(Row { whose: Whose::Event(id), place: (partition as u32, offset), seq, stored: true });
        }
        let statement = format!(
            "SELECT encode(payload, 'hex'), code, \"partition\", \"offset\", seq FROM rejects WHERE seq > {after}"
        );
        for row in server.rows(&statement)? {
            let (payload, rest) = row.split_first().context("a reject without a payload")?;
            let (code, rest) = rest.split_first().context("a reject without a code")?;
            let [partition, offset, seq] = parse(rest)?;
            // NULL: it cannot be opened any more.
            // NULL where they cannot be opened.
            let whose = match payload.as_str() {
                _ if code == CUT_OFF => Whose::CutOff,
                "" => Whose::Sealed,
                text => Whose::Event(id_of(text).with_context(|| format!("a reject {code} without an id"))?),
            };
            rows.push(Row { whose, place: (partition as u32, offset), seq, stored: false });
        }
        rows.sort_unstable_by_key(|row| row.place);
        Ok(rows)
    }
}

fn parse<const N: usize>(row: &[String]) -> Result<[u64; N]> {
    let mut numbers = [0; N];
    anyhow::ensure!(row.len() == N, "{} columns, not {N}", row.len());
    for (number, text) in numbers.iter_mut().zip(row) {
        *number = text.parse().with_context(|| format!("no number: {text:?}"))?;
    }
    Ok(numbers)
}

/// The id in the hexadecimal bytes of a rejected event: the first number in it.
fn id_of(payload: &str) -> Option<u64> {
    let bytes =
        (0..payload.len() / 2).map(|at| u8::from_str_radix(payload.get(2 * at..2 * at + 2)?, 16).ok());
    let text: String = bytes.map_while(|byte| byte.map(char::from)).collect();
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_reject_is_found_in_its_bytes() {
        for (text, id) in
            [("{\"id\":1000000004,\"who\":7}", Some(1_000_000_004)), ("id=34", Some(34)), ("id=", None)]
        {
            let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(id_of(&hexadecimal), id, "{text}");
        }
    }

    fn row(id: u64, offset: u64) -> Row {
        Row { whose: Whose::Event(id), place: (0, offset), seq: 1, stored: is_good(id) }
    }

    fn faults(rows: Vec<Row>, acknowledged: Vec<u64>) -> Findings {
        Books::default().add(rows, acknowledged)
    }

    /// A multiple of 35: what is 35 further has its key, and its next neighbours are good.
    const FIRST: u64 = 3_000_000_045;

    #[test]
    fn what_is_right_is_no_finding() {
        let mut books = Books::default();
        let rows = |from, to| (from..to).map(|at| row(FIRST + at, at)).collect::<Vec<_>>();
        assert_eq!(books.add(rows(0, 20), (0..20).map(|at| FIRST + at).collect()), Findings::default());
        assert_eq!(books.add(rows(20, 40), Vec::new()), Findings::default());
        assert_eq!(books.compare(rows(0, 40)), Findings::default());
        assert_eq!(books.rows(), 40);
    }

    #[test]
    fn each_kind_of_wrong_is_found() {
        let lost = faults(vec![row(FIRST, 0)], vec![FIRST, FIRST + 1]);
        assert_eq!((lost.lost, lost.doubled, lost.faults.len()), (1, 0, 1));
        let doubled = faults(vec![row(FIRST, 0), row(FIRST, 1)], vec![FIRST]);
        assert_eq!((doubled.lost, doubled.doubled, doubled.faults.len()), (0, 1, 1));
        let shared = faults(vec![row(FIRST, 0), row(FIRST + 1, 0)], Vec::new());
        assert_eq!(shared.faults, ["1 offsets were given twice, such as [0]"]);
        let disordered = faults(vec![row(FIRST + 35, 0), row(FIRST, 1)], Vec::new());
        assert_eq!(disordered.faults.len(), 1, "{disordered:?}");
        let misjudged = faults(vec![Row { stored: false, ..row(FIRST, 0) }], Vec::new());
        assert_eq!(misjudged.faults.len(), 1, "{misjudged:?}");
        let sealed = faults(vec![Row { whose: Whose::Sealed, stored: false, ..row(FIRST, 0) }], Vec::new());
        assert_eq!(sealed.faults.len(), 1, "{sealed:?}");
    }

    #[test]
    fn what_vanishes_later_is_found_by_the_full_check() {
        let mut books = Books::default();
        books.add(vec![row(FIRST, 0), row(FIRST + 1, 1)], vec![FIRST, FIRST + 1]);
        let gone = books.compare(vec![row(FIRST, 0)]);
        assert_eq!((gone.lost, gone.faults.len()), (1, 2), "{gone:?}");
        let moved = books.compare(vec![row(FIRST, 0), row(FIRST + 1, 2)]);
        assert_eq!((moved.lost, moved.faults.len()), (0, 1), "{moved:?}");
    }
}
