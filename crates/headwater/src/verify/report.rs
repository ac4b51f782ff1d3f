//! What a verification says: a line for each check, with figures, a verdict, and what is wrong.
//! Always: the server's answer and the offline run are the same lines. Names, numbers and places only: no value of an
//! event is in any of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Findings of one check that are told in full; the rest are counted.
const FINDINGS_MAX: usize = 10;

/// One line of the answer, as NDJSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Progress(Progress),
    Check(Check),
    Summary(Summary),
}

/// What is being done just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub check: String,
    pub of: String,
    /// Rows or bytes that were looked at so far.
    pub done: u64,
}

/// One thing that must hold, and whether it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `journal`, `catalog`, `table`, `files`, `ledger`, `rows`, `offsets`.
    pub check: String,
    /// A stream, a table, or a part of the data directory.
    pub of: String,
    pub fine: bool,
    pub figures: Map<String, Value>,
    pub faults: Vec<Finding>,
    /// How many more there are.
    pub faults_left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// Where: a file and range of bytes, a partition and offset, a row of the ledger.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do about it.
    #[serde(rename = "do")]
    pub remedy: String,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub fine: bool,
    pub checks: u64,
    pub faults: u64,
    /// The append through which everything was looked at.
    pub through: u64,
    pub seconds: f64,
}

impl Check {
    pub fn new(check: &str, of: &str) -> Check {
        Check {
            check: check.to_owned(),
            of: of.to_owned(),
            fine: true,
            figures: Map::new(),
            faults: Vec::new(),
            faults_left_out: 0,
        }
    }

    pub fn figure(mut self, name: &str, value: impl Into<Value>) -> Check {
        self.figures.insert(name.to_owned(), value.into());
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    pub fn fault(&mut self, what: impl Into<String>, place: impl Into<String>, remedy: &str) {
        self.fine = false;
        if self.faults.len() < FINDINGS_MAX {
            let finding = Finding { what: what.into(), place: place.into(), remedy: remedy.to_owned() };
            self.faults.push(finding);
        } else {
            self.faults_left_out += 1;
        }
    }

    pub fn fault_count(&self) -> u64 {
        self.faults.len() as u64 + self.faults_left_out
    }
}
