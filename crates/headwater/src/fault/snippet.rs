//! A line of a file as a terminal can show it, and where a mark belongs under it.
//! Always: one line of bounded width without control characters; the mark stands under its column, also behind tabs and
//! characters that are two columns wide. Which characters are wide is known by ranges, as most terminals draw them.

use crate::output;

/// A line wider than this is shown cut around its fault: a fault in a minified schema must not fill the screen.
const COLUMNS_MAX: usize = 120;
const TAB_COLUMNS: usize = 4;
const CUT: char = '…';

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    pub shown: String,
    /// Columns of the terminal before the mark.
    pub before: usize,
    /// Columns under which it stands, at least one.
    pub marked: usize,
}

impl Snippet {
    /// Of a line, with a mark under `width` characters from `column` on, which counts characters from 1.
    pub fn of(line: &str, column: usize, width: usize) -> Snippet {
        let cells = cells(line);
        let start = (column.max(1) - 1).min(cells.len());
        let end = start.saturating_add(width.max(1)).min(cells.len());
        let columns = |cells: &[Cell]| cells.iter().map(|cell| cell.columns).sum::<usize>();
        let mut first = 0;
        if columns(&cells) > COLUMNS_MAX && columns(&cells[..start]) > COLUMNS_MAX / 2 {
            first = start;
            while first > 0 && columns(&cells[first - 1..start]) <= COLUMNS_MAX / 2 {
                first -= 1;
            }
        }
        let mut last = first;
        let mut room = COLUMNS_MAX;
        while let Some(cell) = cells.get(last).filter(|cell| cell.columns <= room) {
            room -= cell.columns;
            last += 1;
        }
        let mut shown = String::new();
        shown.extend((first > 0).then_some(CUT));
        shown.extend(cells[first..last].iter().map(|cell| cell.text.as_str()));
        shown.extend((last < cells.len()).then_some(CUT));
        Snippet {
            shown: shown.trim_end().to_owned(),
            before: columns(&cells[first..start]) + usize::from(first > 0),
            marked: columns(&cells[start..end.min(last).max(start)]).max(1),
        }
    }
}

/// A character as it is shown.
struct Cell {
    text: String,
    columns: usize,
}

fn cells(line: &str) -> Vec<Cell> {
    let mut at = 0;
    line.chars()
        .map(|c| {
            let (text, columns) = match c {
                '\t' => {
                    let columns = TAB_COLUMNS - at % TAB_COLUMNS;
                    (" ".repeat(columns), columns)
                }
                _ => (shown(c).to_string(), columns(c)),
            };
            at += columns;
            Cell { text, columns }
        })
        .collect()
}

/// A text without what could steer a terminal.
pub fn harmless(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(c: char) -> char {
    match c {
        // The pictures of the control characters.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        _ if output::steers_a_terminal(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// Columns that a terminal gives to a character.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x0591..=0x05bd
        | 0x064b..=0x065f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200d
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x23e9..=0x23ec
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x1fa70..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, column: usize, width: usize, shown: &str, before: usize, marked: usize) {
        assert_eq!(
            Snippet::of(line, column, width),
            Snippet { shown: shown.to_owned(), before, marked },
            "{line:?}"
        );
    }

    #[test]
    fn the_mark_stands_under_its_column() {
        check("a = 1", 5, 1, "a = 1", 4, 1);
        check("\ta = 1", 2, 1, "    a = 1", 4, 1);
        check("ab\tc", 4, 1, "ab  c", 4, 1);
        check("中文 = x", 6, 1, "中文 = x", 7, 1);
        check("x = \"中文\"", 5, 4, "x = \"中文\"", 4, 6);
        check("e\u{301}x", 3, 1, "e\u{301}x", 1, 1);
        check("😀x", 2, 1, "😀x", 2, 1);
        check("\u{1b}[2Jx", 5, 1, "␛[2Jx", 4, 1);
    }

    #[test]
    fn a_place_at_or_beyond_the_end_is_marked_there() {
        check("ab", 3, 1, "ab", 2, 1);
        check("ab", 99, 9, "ab", 2, 1);
        check("", 1, 0, "", 0, 1);
        check("ab", 0, 0, "ab", 0, 1);
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        for (before, after) in [(0, 500), (500, 500), (500, 0), (59, 200), (61, 200)] {
            let line = format!("{}X{}", "a".repeat(before), "b".repeat(after));
            let snippet = Snippet::of(&line, before + 1, 1);
            assert_eq!(snippet.shown.chars().nth(snippet.before), Some('X'), "{snippet:?}");
            assert!(snippet.shown.chars().count() <= COLUMNS_MAX + 2, "{snippet:?}");
        }
        let wide = format!("{}X{}", "中".repeat(200), "中".repeat(200));
        let snippet = Snippet::of(&wide, 201, 1);
        let before: usize = snippet.shown.chars().take_while(|c| *c != 'X').map(columns).sum();
        assert_eq!(before, snippet.before);
    }
}
