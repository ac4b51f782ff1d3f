//! From the regular expressions of JSON Schema (ECMA-262) to those of the linear engine.
//! Always: what is accepted matches in time linear in the text. Look-around and back-references are refused.

use regex::bytes::{Regex, RegexBuilder};

/// Bounds on what one pattern may cost.
const SOURCE_BYTES_MAX: usize = 4096;
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Returns the compiled pattern, or why there is none and what to do.
pub(crate) fn compile(source: &str) -> Result<Regex, (String, &'static str)> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err((format!("the pattern is longer than {SOURCE_BYTES_MAX} bytes"), "make it shorter"));
    }
    if let Some(what) = not_linear(source) {
        let message = format!("the pattern uses {what}, which cannot be matched in linear time");
        return Err((message, "write the pattern without it, or check this where the data is used"));
    }
    let built = RegexBuilder::new(&translate(source)).size_limit(PROGRAM_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            ("the pattern is too large once compiled".to_owned(), "use smaller repetition counts")
        }
        error => {
            // The engine's message draws the pattern over several lines; its last one says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            (format!("the pattern is not a regular expression: {reason}"), "correct the pattern")
        }
    })
}

/// Names what no linear engine can do.
fn not_linear(source: &str) -> Option<&'static str> {
    const LOOK_AROUND: [&str; 4] = ["?=", "?!", "?<=", "?<!"];
    let mut in_class = false;
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escaped = after.chars().next();
                match escaped {
                    Some('1'..='9') if !in_class => return Some("a back-reference"),
                    Some('k') if !in_class && after.starts_with("k<") => return Some("a back-reference"),
                    _ => {}
                }
                rest = &after[escaped.map_or(0, char::len_utf8)..];
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class && LOOK_AROUND.iter().any(|prefix| after.starts_with(prefix)) => {
                return Some("look-around");
            }
            _ => {}
        }
        rest = after;
    }
    None
}

/// Where the two languages write one thing alike and mean another, ECMA's meaning is spelled out.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut in_class = false;
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(r"[\s\u{feff}]"),
                Some('S') => out.push_str(r"[^\s\u{feff}]"),
                Some('b') if in_class => out.push_str(r"\x08"),
                Some('b') => out.push_str(r"(?-u:\b)"),
                Some('0') => out.push_str(r"\x00"),
                Some('c') => match chars.next_if(char::is_ascii_alphabetic) {
                    Some(letter) => out.push_str(&format!(r"\x{:02x}", letter as u8 & 31)),
                    None => out.push_str(r"\c"),
                },
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '.' if !in_class => out.push_str(r"[^\n\r\u{2028}\u{2029}]"),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // ECMA's `[]` matches nothing and `[^]` anything; here a bracket first in a class is an ordinary one.
                if chars.peek() == Some(&']') {
                    chars.next();
                    in_class = false;
                    let class = if out.ends_with('^') { r"\s\S]" } else { r"^\s\S]" };
                    if out.ends_with('^') {
                        out.pop();
                    }
                    out.push_str(class);
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Inside of a class these begin what ECMA does not know: nested classes and set operations.
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && chars.peek() == Some(&'-') => out.push_str(r"\-"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_ecma_means() {
        for (pattern, matching, other) in [
            (r"^\d+$", "123", "١٢٣"),
            (r"^\w$", "a", "é"),
            (r"^\W$", "é", "a"),
            (r"b", "abc", "ac"),
            (r"^[\d.]+$", "1.5", "1,5"),
            (r"^[[a&&b]+$", "[&ab", "c"),
            (r"^[^]$", "\n", ""),
            (r"^a.c$", "abc", "a\rc"),
            (r"^\/a\-b$", "/a-b", "ab"),
            (r"\bfoo\b", "a foo.", "foot"),
            ("^\\u00e9$", "é", "e"),
            (r"^\p{Lu}", "É", "é"),
            (r"\cA", "\u{1}", "A"),
            (r"^[\b]$", "\u{8}", "b"),
            (r"^[\w-]+$", "a-b", "a b"),
            (r"^\s$", "\u{feff}", "x"),
            (r"^(?<year>\d{4})$", "2026", "26"),
        ] {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
            assert!(regex.is_match(matching.as_bytes()), "{pattern} {matching:?}");
            assert!(!regex.is_match(other.as_bytes()), "{pattern} {other:?}");
        }
    }

    #[test]
    fn what_is_not_linear_is_refused() {
        for pattern in ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(a)\1", r"(?<n>a)\k<n>"] {
            assert!(compile(pattern).unwrap_err().0.contains("linear time"), "{pattern}");
        }
        for pattern in ["(", "[a", "a{2,1}", "\\", "((a{1000}){1000}){1000}"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile(r"[(?=]").is_ok());
        assert!(compile(&"a".repeat(5000)).is_err());
    }
}
