//! One thing that is wrong with a project, where it stands, and what to do about it.
//! Always: a fault that has a place in a file is shown with that line; nothing that is shown steers a terminal.
//! Collects nothing, decides nothing.

mod snippet;

use std::{fmt, ops::Range, path::Path, sync::Arc};

use serde_json::json;

pub use snippet::{Snippet, harmless};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// The text of a file, kept so that a fault can show its line.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file as the user named it.
    pub path: Arc<str>,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(path: &Path, text: &str) -> Source {
        Source { path: path.display().to_string().into(), text: text.into() }
    }
}

#[derive(Debug, Clone)]
pub enum Place {
    /// A stretch of one line of a file; line and column count characters from 1.
    Text { source: Source, line: usize, column: usize, width: usize },
    /// A file or directory as a whole.
    Path(String),
    /// An environment variable.
    Environment(String),
    /// An argument of the command line.
    Argument(String),
}

impl Place {
    /// The place of a byte range.
    pub fn of_span(source: &Source, span: Range<usize>) -> Place {
        let text = &*source.text;
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[..start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let width = text[start..end].lines().next().map_or(0, |first| first.chars().count());
        Place::Text { source: source.clone(), line, column, width }
    }

    /// The place of a line and column, both from 1.
    pub fn of_position(source: &Source, line: u32, column: u32) -> Place {
        Place::Text {
            source: source.clone(),
            line: line.max(1) as usize,
            column: column.max(1) as usize,
            width: 1,
        }
    }

    /// Faults are told in this order: file by file, from top to bottom, then what stands in no file.
    fn order(&self) -> (u8, &str, usize, usize) {
        match self {
            Place::Text { source, line, column, .. } => (0, &source.path, *line, *column),
            Place::Path(path) => (0, path, 0, 0),
            Place::Environment(name) => (1, name, 0, 0),
            Place::Argument(argument) => (2, argument, 0, 0),
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[derive(Debug, Clone)]
pub struct Fault {
    pub severity: Severity,
    pub place: Place,
    /// The JSON pointer of the part of a schema that is wrong.
    pub pointer: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    pub fn error(place: Place, message: impl Into<String>) -> Fault {
        Fault { severity: Severity::Error, place, pointer: None, message: message.into(), hint: None }
    }

    pub fn warning(place: Place, message: impl Into<String>) -> Fault {
        Fault { severity: Severity::Warning, ..Fault::error(place, message) }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        let hint = hint.into();
        self.hint = (!hint.is_empty()).then_some(hint);
        self
    }

    pub fn pointer(mut self, pointer: impl Into<String>) -> Fault {
        let pointer = pointer.into();
        self.pointer = (!pointer.is_empty()).then_some(pointer);
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub fn to_json(&self) -> serde_json::Value {
        let (file, line, column) = match &self.place {
            Place::Text { source, line, column, .. } => (Some(&*source.path), Some(*line), Some(*column)),
            Place::Path(path) => (Some(path.as_str()), None, None),
            Place::Environment(_) | Place::Argument(_) => (None, None, None),
        };
        json!({
            "severity": self.severity.as_str(),
            "file": file,
            "line": line,
            "column": column,
            "pointer": self.pointer,
            "message": self.message,
            "hint": self.hint,
        })
    }
}

pub fn sort(faults: &mut [Fault]) {
    faults.sort_by(|a, b| a.place.order().cmp(&b.place.order()).then(a.severity.cmp(&b.severity)));
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.pointer.as_ref().map(|pointer| format!(" (at {})", harmless(pointer)));
        let (severity, at) = (self.severity.as_str(), at.unwrap_or_default());
        writeln!(f, "{severity}: {}{at}", harmless(&self.message))?;
        let mut margin = String::new();
        match &self.place {
            Place::Text { source, line, column, width } => {
                margin = " ".repeat(line.to_string().len());
                writeln!(f, "{margin} --> {}:{line}:{column}", harmless(&source.path))?;
                if let Some(text) = source.text.lines().nth(line - 1) {
                    let Snippet { shown, before, marked } = Snippet::of(text, *column, *width);
                    writeln!(f, "{margin} |")?;
                    writeln!(f, "{line} | {shown}")?;
                    writeln!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(marked))?;
                }
            }
            Place::Path(path) => writeln!(f, " --> {}", harmless(path))?,
            Place::Environment(name) => writeln!(f, " --> environment variable {}", harmless(name))?,
            Place::Argument(argument) => writeln!(f, " --> argument {}", harmless(argument))?,
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "{margin} = hint: {}", harmless(hint))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("a.toml"), text)
    }

    #[test]
    fn a_fault_shows_its_line() {
        let source = source("one = 1\ntwö = 2 # x\n");
        let place = Place::of_span(&source, 13..14);
        let fault = Fault::error(place, "that is wrong").hint("do the other thing");
        assert_eq!(
            fault.to_string(),
            "error: that is wrong\n  --> a.toml:2:5\n  |\n2 | twö = 2 # x\n  |     ^\n  = hint: do the other thing\n"
        );
    }

    #[test]
    fn nothing_that_is_shown_steers_a_terminal() {
        let text = Source::new(Path::new("a\u{1b}[2J.toml"), "\u{1b}[31mred = \u{202e}1\r\n");
        let fault = Fault::error(Place::of_span(&text, 0..1), "bad\u{7}").pointer("/\u{9b}").hint("\u{0}");
        let shown = fault.to_string();
        assert!(shown.chars().all(|c| c == '\n' || !crate::output::steers_a_terminal(c)), "{shown:?}");
        assert_eq!(fault.to_json()["pointer"], "/\u{9b}");
    }

    #[test]
    fn a_place_beyond_the_text_or_inside_a_character_is_survived() {
        let text = source("ö");
        for span in [0..2, 1..1, 1..9, 9..12] {
            let _ = Fault::error(Place::of_span(&text, span), "x").to_string();
        }
        let _ = Fault::error(Place::of_position(&text, 0, 0), "x").to_string();
        let _ = Fault::error(Place::of_position(&text, 9, 9), "x").to_string();
    }

    #[test]
    fn a_long_line_is_cut_around_its_fault() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = Fault::error(Place::of_span(&source(&line), 500..501), "x").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().nth(at), Some('X'));
        assert!(lines[3].chars().count() < 140);
    }
}
