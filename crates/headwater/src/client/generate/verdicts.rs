//! What was intended of each event, what the server said, and where the two differ.
//! Always: intended and told are counted apart, so that the sums show a difference too.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};

use super::plan::Planned;
use crate::{
    client::deliver::Receipt,
    exit::Exit,
    output::{self, grouped},
};

/// Differences that are shown; the others are counted.
const SHOWN: usize = 10;
const GOOD: &str = "good";

#[derive(Default)]
pub struct Verdicts {
    planned: u64,
    bytes: u64,
    accepted: u64,
    rejected: u64,
    /// Events of requests whose first answer was lost: stored once, not compared.
    repeated: u64,
    /// By code: intended and told. The good ones stand under `GOOD`.
    codes: BTreeMap<&'static str, u64>,
    told: BTreeMap<String, u64>,
    differing: u64,
    differences: Vec<String>,
    not_made: u64,
    /// Why, of the first one.
    why_not_made: Option<String>,
}

impl Verdicts {
    pub fn planned(&mut self, planned: &Planned) {
        self.planned += planned.intended.len() as u64;
        self.bytes += planned.batch.body.len() as u64;
        for intended in &planned.intended {
            *self.codes.entry(intended.map_or(GOOD, |code| code.as_str())).or_default() += 1;
        }
        self.not_made += planned.not_made.len() as u64;
        if let (None, Some(first)) = (&self.why_not_made, planned.not_made.first()) {
            self.why_not_made = Some(first.to_string());
        }
    }

    pub fn compare(&mut self, planned: &Planned, receipt: &Receipt) {
        self.accepted += receipt.accepted;
        self.rejected += receipt.rejected;
        if receipt.duplicates > 0 {
            self.repeated += planned.intended.len() as u64;
            return;
        }
        let mut told = vec![None; planned.intended.len()];
        for error in &receipt.errors {
            let place = usize::try_from(error.index).ok().and_then(|index| told.get_mut(index));
            if let Some(place) = place {
                *place = Some(error);
            }
        }
        for ((number, intended), told) in planned.numbers.iter().zip(&planned.intended).zip(&told) {
            let intended = intended.map_or(GOOD, |code| code.as_str());
            let verdict = told.map_or(GOOD, |error| error.code.as_str());
            *self.told.entry(verdict.to_owned()).or_default() += 1;
            if intended != verdict {
                let said =
                    told.map(|error| format!(" at {:?}: {}", error.path, error.message)).unwrap_or_default();
                self.differ(format!("event {number} was to be {intended} and was {verdict}{said}"));
            }
        }
        if receipt.errors_left_out > 0 {
            // Fewer were to be bad than a receipt lists.
            self.differ(format!(
                "a request had {} errors more than its receipt lists",
                receipt.errors_left_out
            ));
        }
        let good = told.iter().filter(|told| told.is_none()).count() as u64;
        if receipt.accepted != good {
            let accepted = receipt.accepted;
            self.differ(format!("a request with {good} good events had {accepted} accepted"));
        }
    }

    fn differ(&mut self, difference: String) {
        self.differing += 1;
        if self.differences.len() < SHOWN {
            self.differences.push(difference);
        }
    }

    /// 1 if the server said other than intended, or an event could not be made.
    pub fn exit(&self) -> Exit {
        if self.differing > 0 { Exit::False } else { self.exit_of_making() }
    }

    pub fn exit_of_making(&self) -> Exit {
        if self.not_made > 0 { Exit::False } else { Exit::Fine }
    }

    fn bad(&self) -> u64 {
        self.planned - self.codes.get(GOOD).copied().unwrap_or(0)
    }

    /// What was written down, in a line.
    pub fn written(&self) -> String {
        let [planned, bad, bytes] = [self.planned, self.bad(), self.bytes].map(grouped);
        format!("{planned} events, {bad} of them bad, {bytes} bytes{}", self.making())
    }

    pub fn written_json(&self, seed: u64) -> Value {
        json!({
            "events": self.planned, "bad": self.bad(), "bytes": self.bytes, "intended": self.codes,
            "not_made": self.not_made, "seed": seed,
        })
    }

    fn making(&self) -> String {
        match &self.why_not_made {
            None => String::new(),
            Some(why) => {
                format!("; {} could not be made ({})", grouped(self.not_made), output::printable(why))
            }
        }
    }

    pub fn sent_json(&self, seed: u64, elapsed: Duration) -> Value {
        json!({
            "sent": self.planned, "bytes": self.bytes, "accepted": self.accepted, "rejected": self.rejected,
            "repeated": self.repeated, "intended": self.codes, "told": self.told, "differing": self.differing,
            "differences": self.differences, "not_made": self.not_made, "seed": seed,
            "seconds": elapsed.as_secs_f64(),
        })
    }

    pub fn print(&self, elapsed: Duration) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut codes: Vec<&str> =
            self.codes.keys().copied().chain(self.told.keys().map(String::as_str)).collect();
        codes.sort_unstable();
        codes.dedup();
        let count = |counts: Option<&u64>| grouped(counts.copied().unwrap_or(0));
        let rows = codes
            .iter()
            .map(|code| vec![(*code).to_owned(), count(self.codes.get(code)), count(self.told.get(*code))]);
        output::table(
            &mut out,
            &["verdict", "intended", "told"].map(str::to_owned),
            &[false, true, true],
            rows,
        )?;
        for difference in &self.differences {
            eprintln!("differs  {}", output::printable(difference));
        }
        let more = self.differing.saturating_sub(self.differences.len() as u64);
        if more > 0 {
            eprintln!("differs  {} more", grouped(more));
        }
        let seconds = elapsed.as_secs_f64();
        let rate = (self.planned as f64 / seconds.max(0.001)) as u64;
        let [planned, accepted, rejected] = [self.planned, self.accepted, self.rejected].map(grouped);
        let verdict = match self.differing {
            0 => "as intended".to_owned(),
            differing => format!("{} not as intended", grouped(differing)),
        };
        let repeated = match self.repeated {
            0 => String::new(),
            repeated => format!("; {} sent twice and stored once, not compared", grouped(repeated)),
        };
        writeln!(
            out,
            "sent {planned} in {seconds:.1} s ({}/s): accepted {accepted}, rejected {rejected}: {verdict}{repeated}{}",
            grouped(rate),
            self.making()
        )
    }
}
