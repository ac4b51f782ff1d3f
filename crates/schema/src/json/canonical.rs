//! The canonical form of a checked JSON value: no white space, keys in byte order, one text for each string and
//! number. Two values are equal exactly if their forms are.

use super::{Exact, KeySet, Scanner, unescape, write_string};

/// Appends the form of the value in `json`, which the reader has passed before.
pub(crate) fn write_canonical(json: &[u8], out: &mut Vec<u8>) {
    let mut scanner = Scanner::new(json, super::DEPTH_MAX);
    scanner.space();
    write_value(&mut scanner, &mut KeySet::default(), out);
}

/// A fault ends the form early: it cannot come, since the value was checked, and would only make values differ.
fn write_value(scanner: &mut Scanner<'_>, keys: &mut KeySet, out: &mut Vec<u8>) -> Option<()> {
    let start = scanner.at();
    match scanner.peek()? {
        b'"' => {
            let text = scanner.string().ok()?;
            let mut plain = Vec::new();
            unescape(text.raw, &mut plain);
            write_string(&plain, out);
        }
        b'-' | b'0'..=b'9' => Exact::from_number(&scanner.number().ok()?).write(out),
        b'[' => {
            scanner.open().ok()?;
            out.push(b'[');
            let mut more = !scanner.close_empty(b']');
            while more {
                write_value(scanner, keys, out)?;
                more = scanner.more(b']').ok()?;
                if more {
                    out.push(b',');
                }
            }
            out.push(b']');
        }
        b'{' => {
            scanner.open().ok()?;
            let mut members = Vec::new();
            let mut more = !scanner.close_empty(b'}');
            while more {
                let mut name = Vec::new();
                unescape(scanner.key().ok()?.raw, &mut name);
                scanner.colon().ok()?;
                let mut value = Vec::new();
                write_value(scanner, keys, &mut value)?;
                members.push((name, value));
                more = scanner.more(b'}').ok()?;
            }
            members.sort();
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
        }
        _ => {
            scanner.skip(keys).ok()?;
            out.extend_from_slice(scanner.slice(start));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_forms() {
        let form = |json: &str| {
            let mut out = Vec::new();
            write_canonical(json.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            form("{ \"b\" : [1.0, 1e2 , \"\\u0061\\/\"], \"a\":{ }, \"c\":[ ], \"d\":null }"),
            r#"{"a":{},"b":[1,100,"a/"],"c":[],"d":null}"#
        );
        assert_ne!(form("\"1\""), form("1"));
    }
}
