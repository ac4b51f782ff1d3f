//! What clients print: tables for people, and bytes passed on for programs.
//! Always: text from a server reaches a terminal without its control characters. Standard output that is
//! closed by its reader is no fault.

use std::io::{self, ErrorKind, IsTerminal, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use crate::exit::Exit;

/// Tables show this many rows; other formats show all.
pub const TABLE_ROWS_MAX: usize = 10_000;
/// A cell is cut here.
const CELL_CHARS_MAX: usize = 200;

/// The exit code after a failed write to standard output; `None`: the reader has seen enough, which is fine.
pub fn write_failed(error: &io::Error) -> Option<Exit> {
    if error.kind() == ErrorKind::BrokenPipe {
        return None;
    }
    eprintln!("error: cannot write to standard output: {error}");
    Some(Exit::Usage)
}

/// Whether progress may be shown.
pub fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// Writes rows under their headings; `numeric` columns stand to the right.
pub fn table(
    out: &mut dyn Write,
    headings: &[String],
    numeric: &[bool],
    rows: impl Iterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(headings.iter().map(|heading| printable(heading)));
    for row in rows.take(TABLE_ROWS_MAX) {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (column, numeric) in table.column_iter_mut().zip(numeric) {
        if *numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "{table}")
}

/// Microseconds since the epoch as RFC 3339.
pub fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| time.to_string())
}

/// A JSON value as a cell: strings bare, null empty, objects and arrays as JSON.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Control characters, which could steer a terminal, are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == CELL_CHARS_MAX {
            shown.push('…');
            break;
        }
        if steers_a_terminal(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Controls, and the characters that turn the direction of writing.
pub fn steers_a_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_controls() {
        let mut out = Vec::new();
        let headings = ["name".to_owned(), "n".to_owned()];
        let rows = [vec!["a\u{1b}[31m".to_owned(), "1".to_owned()], vec!["b".to_owned(), "1234".to_owned()]];
        table(&mut out, &headings, &[false, true], rows.into_iter()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("\\u{1b}[31m"), "{text}");
        assert!(text.contains("┆    1 │"), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (13489, "13,489"), (1234567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
