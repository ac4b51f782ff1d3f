//! Protection inside of JSON text: which values of a document that no columns hold are hashed or left out.
//! Always: closed by default. A mark counts wherever its part of the schema may apply, whether or not that branch is
//! the one that holds for this event; of several marks the strictest counts. Judges nothing: the value was checked.

use hw_vault::HashKey;
use regex::bytes::Regex;

use crate::{
    json::{Exact, KeySet, Number, Scanner, unescape, write_compact, write_float, write_string},
    schema::Privacy,
};

/// What the parts of one schema say, as a graph: parts may refer to one another in circles.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The first is that of the whole value.
    pub(crate) parts: Vec<Part>,
    /// Members that no part describes are left out, as they are beside columns.
    pub(crate) drop_undescribed: bool,
}

/// One part of a schema. All numbers are indexes of `Marks::parts`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub privacy: Option<Privacy>,
    /// Those that apply to the same value.
    pub same: Vec<usize>,
    pub properties: Vec<(String, usize)>,
    pub patterns: Vec<(Regex, usize)>,
    /// For members that neither of the two names.
    pub others: Option<usize>,
    /// For any member.
    pub any_member: Vec<usize>,
    pub prefix: Vec<usize>,
    /// For any element.
    pub items: Vec<usize>,
    /// Says which members there are.
    pub describes: bool,
    /// For what judging costs (`document::unfold`): those of `same` that a reference leads to.
    pub referred: Vec<usize>,
    /// For the names of members.
    pub names: Vec<usize>,
    /// What no other rule has judged is judged, so that the others are asked again which they were.
    pub asks_again: bool,
    /// Values that are listed, and compared one by one.
    pub listed: usize,
}

/// What `protect` has left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub undescribed: u64,
}

impl Marks {
    /// Is anything protected at all?
    pub(crate) fn any(&self) -> bool {
        self.parts.iter().any(|part| part.privacy.is_some())
    }

    /// Appends the checked value `json` as it may be stored.
    pub(crate) fn protect(&self, json: &[u8], key: &HashKey, out: &mut Vec<u8>) -> LeftOut {
        self.protect_further(None, json, key, out)
    }

    /// The same, of a value that `before` has protected already. `before` has the same parts.
    pub(crate) fn protect_further(
        &self,
        before: Option<&Marks>,
        json: &[u8],
        key: &HashKey,
        out: &mut Vec<u8>,
    ) -> LeftOut {
        let mut scanner = Scanner::new(json, crate::json::DEPTH_MAX);
        scanner.space();
        let mut writer = Writer { marks: self, before, key, out, left_out: LeftOut::default() };
        // A fault ends the text early; it cannot come, since the value was checked.
        let _ = writer.value(&mut scanner, &self.closure(&[0]));
        writer.left_out
    }

    /// Do both protect alike, whatever the value?
    pub(crate) fn protect_as(&self, other: &Marks) -> bool {
        self.compare(other, |one, other| one == other) && self.drop_undescribed == other.drop_undescribed
    }

    /// Does `other` describe a value alike, and protect all that this does, or more?
    pub(crate) fn protect_less_than(&self, other: &Marks) -> bool {
        // Where an item is left out, the places of those behind it in a stored list are not what they were.
        let places_moved = self.parts.iter().any(|part| !part.prefix.is_empty())
            && self.parts.iter().any(|part| part.privacy == Some(Privacy::Drop));
        !places_moved
            && self.compare(other, |one, other| strictness(one) <= strictness(other))
            && (!self.drop_undescribed || other.drop_undescribed)
    }

    fn compare(&self, other: &Marks, fits: impl Fn(Option<Privacy>, Option<Privacy>) -> bool) -> bool {
        let alike = |one: &Part, other: &Part| {
            let patterns = |part: &Part| -> Vec<(String, usize)> {
                part.patterns.iter().map(|(regex, to)| (regex.as_str().to_owned(), *to)).collect()
            };
            let (a, b) = (one, other);
            (&a.same, &a.properties, a.others, &a.any_member, &a.prefix, &a.items, a.describes)
                == (&b.same, &b.properties, b.others, &b.any_member, &b.prefix, &b.items, b.describes)
                && patterns(a) == patterns(b)
                && fits(a.privacy, b.privacy)
        };
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(|(a, b)| alike(a, b))
    }

    /// `parts` and all that apply to the same value.
    fn closure(&self, parts: &[usize]) -> Vec<usize> {
        let mut closed: Vec<usize> = Vec::with_capacity(parts.len());
        let mut open = parts.to_vec();
        while let Some(index) = open.pop() {
            if !closed.contains(&index) {
                closed.push(index);
                open.extend_from_slice(&self.parts[index].same);
            }
        }
        closed
    }

    fn privacy(&self, active: &[usize]) -> Option<Privacy> {
        let marks = active.iter().filter_map(|&index| self.parts[index].privacy);
        marks.max_by_key(|privacy| strictness(Some(*privacy)))
    }

    /// What applies to the member `name`; `None` where nothing describes it.
    fn member(&self, active: &[usize], name: &[u8]) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let (mut described, mut describing) = (false, false);
        for part in active.iter().map(|&index| &self.parts[index]) {
            let before = found.len();
            found.extend(part.properties.iter().filter(|(key, _)| key.as_bytes() == name).map(|(_, i)| *i));
            found.extend(part.patterns.iter().filter(|(key, _)| key.is_match(name)).map(|(_, i)| *i));
            if found.len() == before {
                found.extend(part.others);
            }
            described |= found.len() > before;
            describing |= part.describes;
            found.extend_from_slice(&part.any_member);
        }
        (described || !describing).then(|| self.closure(&found))
    }

    fn element(&self, active: &[usize], place: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for part in active.iter().map(|&index| &self.parts[index]) {
            found.extend(part.prefix.get(place).copied());
            found.extend_from_slice(&part.items);
        }
        self.closure(&found)
    }
}

fn strictness(privacy: Option<Privacy>) -> u8 {
    match privacy {
        None => 0,
        Some(Privacy::Subject) => 1,
        Some(Privacy::Tokenize) => 2,
        Some(Privacy::Hash) => 3,
        Some(Privacy::Drop) => 4,
    }
}

struct Writer<'a> {
    marks: &'a Marks,
    /// What has protected the value already.
    before: Option<&'a Marks>,
    key: &'a HashKey,
    out: &'a mut Vec<u8>,
    left_out: LeftOut,
}

impl Writer<'_> {
    fn value(&mut self, scanner: &mut Scanner<'_>, active: &[usize]) -> Option<()> {
        let start = scanner.at();
        match scanner.peek()? {
            b'{' if !active.is_empty() => self.object(scanner, active),
            b'[' if !active.is_empty() => self.array(scanner, active),
            b'{' | b'[' | b'n' => self.copy(scanner, start),
            _ if self.marks.privacy(active) == Some(Privacy::Hash) && !self.is_hashed(active) => {
                scanner.skip(&mut KeySet::default()).ok()?;
                let digest = self.key.digest(&digest_text(scanner.slice(start)));
                write_string(&digest, self.out);
                Some(())
            }
            _ => self.copy(scanner, start),
        }
    }

    /// Is the value a digest already?
    fn is_hashed(&self, active: &[usize]) -> bool {
        self.before.is_some_and(|before| before.privacy(active) == Some(Privacy::Hash))
    }

    fn copy(&mut self, scanner: &mut Scanner<'_>, start: usize) -> Option<()> {
        scanner.skip(&mut KeySet::default()).ok()?;
        write_compact(scanner.slice(start), self.out);
        Some(())
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, active: &[usize]) -> Option<()> {
        scanner.open().ok()?;
        self.out.push(b'{');
        let mut first = true;
        let mut more = !scanner.close_empty(b'}');
        while more {
            let key = scanner.key().ok()?;
            let mut name = Vec::with_capacity(key.raw.len());
            unescape(key.raw, &mut name);
            scanner.colon().ok()?;
            let member = self.marks.member(active, &name);
            let undescribed = member.is_none() && self.marks.drop_undescribed;
            let member = member.unwrap_or_default();
            if undescribed || self.marks.privacy(&member) == Some(Privacy::Drop) {
                self.left_out.undescribed += u64::from(undescribed);
                scanner.skip(&mut KeySet::default()).ok()?;
            } else {
                if !first {
                    self.out.push(b',');
                }
                first = false;
                write_string(&name, self.out);
                self.out.push(b':');
                self.value(scanner, &member)?;
            }
            more = scanner.more(b'}').ok()?;
        }
        self.out.push(b'}');
        Some(())
    }

    fn array(&mut self, scanner: &mut Scanner<'_>, active: &[usize]) -> Option<()> {
        scanner.open().ok()?;
        self.out.push(b'[');
        let (mut first, mut place) = (true, 0);
        let mut more = !scanner.close_empty(b']');
        while more {
            let element = self.marks.element(active, place);
            if self.marks.privacy(&element) == Some(Privacy::Drop) {
                scanner.skip(&mut KeySet::default()).ok()?;
            } else {
                if !first {
                    self.out.push(b',');
                }
                first = false;
                self.value(scanner, &element)?;
            }
            place += 1;
            more = scanner.more(b']').ok()?;
        }
        self.out.push(b']');
        Some(())
    }
}

/// The text whose digest stands for a single value: that of a typed column, so that both can be compared.
pub(crate) fn digest_text(json: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match json.first() {
        Some(b'"') => unescape(&json[1..json.len() - 1], &mut text),
        Some(b'-' | b'0'..=b'9') => {
            let Some(number) = Number::parse(json) else { return json.to_vec() };
            match Exact::from_number(&number).to_i128().map(i64::try_from) {
                Ok(Ok(whole)) => text.extend_from_slice(whole.to_string().as_bytes()),
                _ => write_float(number.to_f64(), &mut text),
            }
        }
        _ => text.extend_from_slice(json),
    }
    text
}
