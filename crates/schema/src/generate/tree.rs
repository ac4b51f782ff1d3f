//! A document before it is written: members in an order of its own, scalars as they will be spelled.
//! Always: what is written stands on one line, so that a document is a line of NDJSON. Knows no schema.

use super::random::Random;
use crate::json::write_string;

#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// A scalar, or any other JSON text, as it is spelled.
    Raw(Vec<u8>),
    Array(Vec<Tree>),
    /// Names are plain text.
    Object(Vec<(Vec<u8>, Tree)>),
}

impl Tree {
    pub fn raw(text: impl Into<Vec<u8>>) -> Tree {
        Tree::Raw(text.into())
    }

    pub fn string(text: &[u8], random: &mut Random) -> Tree {
        let mut spelled = Vec::with_capacity(text.len() + 2);
        spell_string(text, random, &mut spelled);
        Tree::Raw(spelled)
    }

    pub fn write(&self, random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        // Most senders write compactly, a few with a blank behind each comma and colon, fewer as they like.
        let layout = match random.below(10) {
            0..=5 => Layout::Compact,
            6..=8 => Layout::Spaced,
            _ => Layout::Odd,
        };
        self.write_with(layout, random, &mut out);
        out
    }

    fn write_with(&self, layout: Layout, random: &mut Random, out: &mut Vec<u8>) {
        match self {
            Tree::Raw(text) => out.extend_from_slice(text),
            Tree::Array(items) => {
                out.push(b'[');
                layout.blank(false, random, out);
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                        layout.blank(true, random, out);
                    }
                    item.write_with(layout, random, out);
                }
                layout.blank(false, random, out);
                out.push(b']');
            }
            Tree::Object(members) => {
                out.push(b'{');
                layout.blank(false, random, out);
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                        layout.blank(true, random, out);
                    }
                    if random.one_in(60) {
                        spell_string(name, random, out)
                    } else {
                        write_string(name, out)
                    }
                    layout.blank(false, random, out);
                    out.push(b':');
                    layout.blank(true, random, out);
                    value.write_with(layout, random, out);
                }
                layout.blank(false, random, out);
                out.push(b'}');
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Compact,
    Spaced,
    Odd,
}

impl Layout {
    fn blank(self, behind: bool, random: &mut Random, out: &mut Vec<u8>) {
        match self {
            Layout::Compact => {}
            Layout::Spaced if behind => out.push(b' '),
            Layout::Spaced => {}
            Layout::Odd => out.extend_from_slice(random.pick::<[u8]>(&[b"", b"", b" ", b"\t", b"  "])),
        }
    }
}

/// Appends a JSON string, now and then with escapes that are not needed. `text` is UTF-8.
pub(super) fn spell_string(text: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    let plain = match std::str::from_utf8(text) {
        Ok(plain) if random.one_in(8) => plain,
        _ => return write_string(text, out),
    };
    out.push(b'"');
    for c in plain.chars() {
        match c {
            '/' if random.one_in(2) => out.extend_from_slice(b"\\/"),
            _ if random.one_in(3) => {
                let upper = random.one_in(2);
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let escape = if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                    out.extend_from_slice(escape.as_bytes());
                }
            }
            _ => {
                let mut quoted = Vec::new();
                write_string(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut quoted);
                out.extend_from_slice(&quoted[1..quoted.len() - 1]);
            }
        }
    }
    out.push(b'"');
}
