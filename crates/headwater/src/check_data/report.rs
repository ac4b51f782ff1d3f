//! What `headwater test` found, and how it is told.
//! Always: faults beyond those that are shown are counted, not kept.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use hw_event::RejectCode;
use serde_json::{Value, json};

use crate::{
    fault::{Snippet, harmless},
    output::{self, grouped},
};

/// Paths that are told apart; a schema has a bounded number, but a map's or an array's do not.
const GROUPS_MAX: usize = 1000;

/// One bad event.
pub struct Found {
    pub line: u64,
    /// In characters from 1.
    pub column: u64,
    /// Of the file.
    pub byte: u64,
    pub code: RejectCode,
    pub pointer: String,
    pub message: String,
    /// The line around the place; `None` where it must not be shown.
    pub text: Option<String>,
    pub column_of_text: usize,
}

struct File {
    name: String,
    good: u64,
    bad: u64,
}

pub struct Report {
    files: Vec<File>,
    codes: BTreeMap<(&'static str, String), u64>,
    /// Each with its file.
    shown: Vec<(String, Found)>,
    shown_max: usize,
}

impl Report {
    pub fn new(shown_max: usize) -> Report {
        Report { files: Vec::new(), codes: BTreeMap::new(), shown: Vec::new(), shown_max }
    }

    pub fn begin(&mut self, file: &str) {
        self.files.push(File { name: file.to_owned(), good: 0, bad: 0 });
    }

    pub fn good(&mut self) {
        if let Some(file) = self.files.last_mut() {
            file.good += 1;
        }
    }

    pub fn bad(&mut self, found: Found) {
        let Some(file) = self.files.last_mut() else { return };
        file.bad += 1;
        let full = self.codes.len() >= GROUPS_MAX;
        let path = indexes_masked(&found.pointer);
        let key = (found.code.as_str(), path);
        let key = if full && !self.codes.contains_key(&key) { (key.0, "…".to_owned()) } else { key };
        *self.codes.entry(key).or_default() += 1;
        if self.shown.len() < self.shown_max {
            self.shown.push((file.name.clone(), found));
        }
    }

    pub fn bad_count(&self) -> u64 {
        self.files.iter().map(|file| file.bad).sum()
    }

    pub fn to_json(&self, expected: u64) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({"file": file.name, "good": file.good, "bad": file.bad}))
            .collect();
        let codes: Vec<Value> = self
            .codes
            .iter()
            .map(|((code, path), count)| json!({"code": code, "path": path, "count": count}))
            .collect();
        let faults: Vec<Value> = self
            .shown
            .iter()
            .map(|(file, found)| {
                json!({
                    "file": file, "line": found.line, "column": found.column, "byte": found.byte,
                    "code": found.code.as_str(), "pointer": found.pointer, "message": found.message,
                })
            })
            .collect();
        let bad = self.bad_count();
        json!({
            "good": self.files.iter().map(|file| file.good).sum::<u64>(), "bad": bad, "expected_bad": expected,
            "as_expected": bad == expected, "files": files, "codes": codes, "faults": faults,
        })
    }

    pub fn print(&self, expected: u64) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (file, found) in &self.shown {
            write_found(&mut out, file, found)?;
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rows =
            self.files.iter().map(|file| vec![file.name.clone(), grouped(file.good), grouped(file.bad)]);
        output::table(&mut out, &names(&["file", "good", "bad"]), &[false, true, true], rows)?;
        if !self.codes.is_empty() {
            let mut codes: Vec<_> = self.codes.iter().collect();
            codes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let rows = codes
                .iter()
                .map(|((code, path), count)| vec![(*code).to_owned(), path.clone(), grouped(**count)]);
            output::table(&mut out, &names(&["code", "path", "events"]), &[false, false, true], rows)?;
        }
        let bad = self.bad_count();
        let more = bad.saturating_sub(self.shown.len() as u64);
        if more > 0 {
            writeln!(out, "{} more faults are not shown; --show N shows more", grouped(more))?;
        }
        let good: u64 = self.files.iter().map(|file| file.good).sum();
        let verdict = match bad == expected {
            true if expected == 0 => String::new(),
            true => ", as expected".to_owned(),
            false => format!(", expected {} bad", grouped(expected)),
        };
        writeln!(out, "{} good, {} bad{verdict}", grouped(good), grouped(bad))
    }
}

fn write_found(out: &mut dyn Write, file: &str, found: &Found) -> io::Result<()> {
    let pointer =
        if found.pointer.is_empty() { String::new() } else { format!(" at {}", harmless(&found.pointer)) };
    writeln!(out, "{}{pointer}: {}", found.code, harmless(&found.message))?;
    let (line, column) = (found.line, found.column);
    let margin = " ".repeat(line.to_string().len());
    writeln!(out, "{margin} --> {}:{line}:{column} (byte {})", harmless(file), found.byte)?;
    if let Some(text) = &found.text {
        let Snippet { shown, before, .. } = Snippet::of(text, found.column_of_text, 1);
        writeln!(out, "{margin} |\n{line} | {shown}\n{margin} | {}^", " ".repeat(before))?;
    }
    writeln!(out)
}

/// A pointer whose places in arrays are one: `/tags/*`.
fn indexes_masked(pointer: &str) -> String {
    let parts = pointer.split('/').map(|part| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}
