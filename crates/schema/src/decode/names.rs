//! From a key to the field it names.
//! Always: exact. The key that usually comes next is tried first, since senders keep their order; any other costs one
//! look into a table, however many fields there are.

use super::quick::Way;
use crate::{json::write_string, schema::Field};

/// The names of one object's fields.
#[derive(Debug)]
pub(crate) struct FieldNames {
    usual: Vec<Usual>,
    names: Vec<Name>,
    /// Where a name's hash leads, or behind that: an index into `names`. At most half full; a power of two long.
    slots: Vec<Option<u32>>,
}

/// A field as it is usually met; all that the short way needs, close together.
#[derive(Debug)]
pub(crate) struct Usual {
    /// The first bytes of the name as a document writes it with its colon, and which of them count.
    head: u128,
    mask: u128,
    /// Of all of that.
    pub length: usize,
    /// The field's column; any other number where it has none.
    pub column: usize,
    pub way: Way,
}

#[derive(Debug)]
struct Name {
    plain: Vec<u8>,
    ends: Ends,
    /// As a document writes it with its colon, where it needs no escapes: `"name":`.
    written: Vec<u8>,
}

const HEAD_BYTES: usize = 16;

/// The first and the last eight bytes of a name, the last only of one that is longer, and its length. Two names of at
/// most sixteen bytes are equal if these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    length: usize,
}

impl Ends {
    /// Of the first `length` bytes of `text`, which has as many or more.
    #[inline(always)]
    fn of(text: &[u8], length: usize) -> Ends {
        let first = match text.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        if length < 8 {
            return Ends { first: first & ((1 << (8 * length)) - 1), last: 0, length };
        }
        let last = text[..length].last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        Ends { first, last: if length > 8 { last } else { 0 }, length }
    }

    #[inline(always)]
    fn hash(self) -> usize {
        let mixed =
            (self.first ^ self.last.rotate_left(23) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize
    }
}

impl FieldNames {
    pub fn new(fields: &[Field]) -> FieldNames {
        let usual = |field: &Field| Usual::new(&field.name, field.column, Way::of(field));
        FieldNames::of(fields.iter().map(|field| field.name.as_str()), fields.iter().map(usual).collect())
    }

    fn of<'a>(names: impl IntoIterator<Item = &'a str>, usual: Vec<Usual>) -> FieldNames {
        let names: Vec<Name> = names.into_iter().map(Name::new).collect();
        let mut slots = vec![None; (names.len() * 2).next_power_of_two()];
        for (index, name) in names.iter().enumerate() {
            let mut slot = name.ends.hash() % slots.len();
            while slots[slot].is_some() {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = u32::try_from(index).ok();
        }
        FieldNames { usual, names, slots }
    }

    #[inline(always)]
    pub fn usual(&self, index: usize) -> &Usual {
        &self.usual[index]
    }

    /// The field at `index` and what stands behind its colon, if `text` begins with its name.
    #[inline(always)]
    pub fn begins<'t>(&self, index: usize, text: &'t [u8]) -> Option<(&Usual, &'t [u8])> {
        let usual = self.usual.get(index)?;
        let begins = match text.first_chunk::<HEAD_BYTES>() {
            Some(head) => {
                (u128::from_le_bytes(*head) ^ usual.head) & usual.mask == 0
                    && (usual.length <= HEAD_BYTES || text.starts_with(&self.names[index].written))
            }
            None => text.starts_with(&self.names[index].written),
        };
        if begins { Some((usual, text.get(usual.length..)?)) } else { None }
    }

    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.find_first(name, name.len())
    }

    /// The field that the first `length` bytes of `text` name. What stands behind them does not matter; that there is
    /// something makes it faster.
    #[inline(always)]
    pub fn find_first(&self, text: &[u8], length: usize) -> Option<usize> {
        let ends = Ends::of(text, length);
        let last = self.slots.len() - 1;
        let mut slot = ends.hash() & last;
        loop {
            let index = self.slots[slot]? as usize;
            let name = &self.names[index];
            if name.ends == ends && (length <= 16 || name.plain == text[..length]) {
                return Some(index);
            }
            slot = (slot + 1) & last;
        }
    }
}

impl Usual {
    fn new(name: &str, column: Option<usize>, way: Way) -> Usual {
        let Name { written, .. } = Name::new(name);
        let mut head = [0; HEAD_BYTES];
        let mut mask = [0; HEAD_BYTES];
        for (at, &byte) in written.iter().take(HEAD_BYTES).enumerate() {
            (head[at], mask[at]) = (byte, 0xff);
        }
        Usual {
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            length: written.len(),
            column: column.unwrap_or(usize::MAX),
            way,
        }
    }
}

impl Name {
    fn new(name: &str) -> Name {
        let mut written = Vec::new();
        write_string(name.as_bytes(), &mut written);
        written.push(b':');
        Name { plain: name.as_bytes().to_vec(), ends: Ends::of(name.as_bytes(), name.len()), written }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_and_nothing_else() {
        // Of all lengths around the borders, many with the same ends.
        let mut names: Vec<String> = (0..40).map(|length| "n".repeat(length)).collect();
        names.extend((0..300).map(|n| format!("prefix_{n:03}_suffix_")));
        names.extend(
            ["é", "\"", "a\"b", "a", "b", "ab", "12345678", "123456789", "12345678901234567"]
                .map(String::from),
        );
        for count in [0, 1, 2, 3, 8, 9, 40, names.len()] {
            let names = &names[names.len() - count..];
            let usual = names.iter().map(|name| Usual::new(name, None, Way::Long)).collect();
            let found = FieldNames::of(names.iter().map(String::as_str), usual);
            for (index, name) in names.iter().enumerate() {
                assert_eq!(found.find(name.as_bytes()), Some(index), "{name}");
                for rest in ["", "\"", "\":1,\"abcdefghijkl", "nnnnnnnnnnnnnnnnnnnnnn"] {
                    let text = format!("{name}{rest}");
                    assert_eq!(found.find_first(text.as_bytes(), name.len()), Some(index), "{text}");
                    let mut written = Vec::new();
                    write_string(name.as_bytes(), &mut written);
                    written.push(b':');
                    let length = written.len();
                    written.extend_from_slice(rest.as_bytes());
                    let begins = found.begins(index, &written).map(|(usual, rest)| (usual.length, rest));
                    assert_eq!(begins, Some((length, rest.as_bytes())), "{text}");
                    for other in 0..count {
                        assert!(other == index || found.begins(other, &written).is_none(), "{text}");
                    }
                }
            }
            for other in ["zz", "prefix_300_suffix_", "prefix_0000suffix_", "1234567", "1234567890", "x"] {
                assert_eq!(found.find(other.as_bytes()), None, "{other}");
            }
            let longer = "n".repeat(50);
            assert_eq!(found.find(longer.as_bytes()), None);
        }
    }
}
