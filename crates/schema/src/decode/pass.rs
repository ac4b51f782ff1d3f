//! One pass over one JSON event: from bytes to the columns, or to the first fault.
//! Always: the pass stops at the first fault in document order; an object's missing fields are known at its end, and
//! so is the number of an array's items. The caller takes back what a refused event has pushed.

use std::{collections::HashSet, mem, ops::Range};

use hw_event::RejectCode;
use hw_vault::{Digests, Tokens};

use super::{
    cell::{self, Captured, Cells, full},
    column::Column,
    minute::Minute,
    miss::{Keys, Miss, Missed, Step, write_pointer, write_raw_part},
    quick::Stop,
};
use crate::{
    guard::Guard,
    json::{KeySet, Scanner, Text, unescape, write_canonical, write_compact, write_string},
    rules::Count,
    schema::{Array, Extra, Field, Kind, Map, Object},
};

/// What outlives an event: room, and what is remembered.
pub(super) struct Work {
    pub keys: KeySet,
    /// From the root to the value at hand.
    pub path: Vec<Step>,
    /// One bit a field behind the first `SEEN_AT_HAND`, for each open object that has so many.
    pub seen: Vec<u64>,
    pub digests: Digests,
    pub tokens: Tokens,
    pub minute: Minute,
    /// No value takes the short way. Only to hold the ways against each other.
    pub long_way: bool,
    pub text: Vec<u8>,
    pub captured: Captured,
    /// The members of this event's `_extra`, without the braces.
    pub extra: Vec<u8>,
    pub extra_dropped: u64,
}

impl Work {
    pub fn new(digests: Digests, tokens: Tokens, captured: Captured) -> Work {
        Work {
            keys: KeySet::default(),
            path: Vec::new(),
            seen: Vec::new(),
            digests,
            tokens,
            minute: Minute::default(),
            long_way: false,
            text: Vec::new(),
            captured,
            extra: Vec::new(),
            extra_dropped: 0,
        }
    }

    pub fn clear(&mut self) {
        self.keys.clear();
        self.path.clear();
        self.seen.clear();
        self.captured.clear();
        self.extra.clear();
        self.extra_dropped = 0;
    }
}

/// What is the same for all events of a stream.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub root: &'a Object,
    /// Of the whole event.
    pub guard: Option<&'a Guard>,
    pub extra: Extra,
    pub extra_bytes_max: usize,
}

pub(super) struct Pass<'a, 'w> {
    pub record: &'a [u8],
    pub scanner: Scanner<'a>,
    pub context: Context<'w>,
    pub work: &'w mut Work,
}

impl<'a> Pass<'a, '_> {
    /// The object that comes next, at its brace.
    pub fn object(&mut self, object: &Object, columns: &mut [Column]) -> Result<(), Missed> {
        self.scanner.open()?;
        let mut seen = Seen::open(object, &mut self.work.seen);
        let (mut known, mut unknown) = (0, 0u64);
        let mut unknown_keys = None;
        // The field behind the one that came last, and the one behind all that have come.
        let (mut expected, mut ahead) = (0, 0);
        let mut more = !self.scanner.close_empty(b'}');
        while more {
            // Senders keep their order, so most members come in one run, which no field can come twice in.
            if expected == ahead && !self.work.long_way {
                let (reached, stop) = self.run(object, expected, columns);
                seen.come(expected..reached, &mut self.work.seen);
                known += reached - expected;
                (expected, ahead) = (reached, reached);
                match stop {
                    Stop::Key => self.scanner.space(),
                    Stop::Value => {
                        seen.come(expected..expected + 1, &mut self.work.seen);
                        self.field(expected, object, columns)?;
                        known += 1;
                        (expected, ahead) = (expected + 1, expected + 1);
                        more = self.scanner.more(b'}')?;
                        continue;
                    }
                    Stop::More => {
                        more = self.scanner.more(b'}')?;
                        continue;
                    }
                }
            }
            let at = self.scanner.at();
            let key = self.scanner.key()?;
            match self.find(object, key, at) {
                Some(index) => {
                    if seen.again(index, &mut self.work.seen) {
                        return Err(repeated_key(at));
                    }
                    self.scanner.colon()?;
                    known += 1;
                    expected = index + 1;
                    ahead = ahead.max(expected);
                    if !self.short(object.names.usual(index), &object.fields[index], columns) {
                        self.field(index, object, columns)?;
                    }
                }
                None => {
                    let id = *unknown_keys.get_or_insert_with(|| self.work.keys.object());
                    self.work.keys.insert(id, key, at)?;
                    self.scanner.colon()?;
                    unknown += 1;
                    self.unknown(object, key, at)?;
                }
            }
            more = self.scanner.more(b'}')?;
        }
        let end = self.scanner.at() - 1;
        if known < object.fields.len() {
            for index in seen.missing(object, &self.work.seen) {
                let field = &object.fields[index];
                if field.required {
                    self.work.path.push(Step::Field(index));
                    return Err(Miss::new(RejectCode::Required, end, "the field is missing"));
                }
                if let Some(column) = field.column.and_then(|column| columns.get_mut(column)) {
                    column.push_null();
                }
            }
        }
        seen.close(&mut self.work.seen);
        match object.count {
            Count::ANY => Ok(()),
            count => count
                .check(known as u64 + unknown, "properties")
                .map_err(|(code, message)| Miss::new(code, end, message)),
        }
    }

    /// The value of the field at `index`, which comes next or behind white space.
    #[inline(never)]
    fn field(&mut self, index: usize, object: &Object, columns: &mut [Column]) -> Result<(), Missed> {
        self.scanner.space();
        let field = &object.fields[index];
        let mut column = field.column.and_then(|column| columns.get_mut(column));
        if self.quick(field, column.as_deref_mut()) {
            return Ok(());
        }
        self.work.path.push(Step::Field(index));
        self.value(field, column)?;
        self.work.path.pop();
        Ok(())
    }

    /// The field that `key`, whose quote stands at `at`, names.
    #[inline(always)]
    fn find(&mut self, object: &Object, key: Text<'_>, at: usize) -> Option<usize> {
        if !key.escaped {
            return object.names.find_first(&self.record[at + 1..], key.raw.len());
        }
        self.work.text.clear();
        unescape(key.raw, &mut self.work.text);
        object.names.find(&self.work.text)
    }

    /// Does the schema describe this property, though it does not name it?
    fn is_described(&mut self, object: &Object, key: Text<'_>) -> bool {
        self.work.text.clear();
        unescape(key.raw, &mut self.work.text);
        object.described.holds(&self.work.text)
    }

    /// A property that the schema does not name; its value comes next.
    fn unknown(&mut self, object: &Object, key: Text<'a>, at: usize) -> Result<(), Missed> {
        let described = self.is_described(object, key);
        if object.closed || self.context.extra == Extra::Refuse && !described {
            self.work.path.push(Step::Unknown);
            return Err(Miss::new(RejectCode::UnknownField, at, "the schema does not name this field"));
        }
        let start = self.scanner.at();
        self.scanner.skip(&mut self.work.keys)?;
        if self.context.extra == Extra::Drop && !described {
            self.work.extra_dropped += 1;
            return Ok(());
        }
        let value = self.scanner.slice(start);
        let mut pointer = mem::take(&mut self.work.text);
        pointer.clear();
        write_pointer(self.context.root, &self.work.path, Keys::Shown(self.record), &mut pointer);
        pointer.push(b'/');
        write_raw_part(key, &mut pointer);
        let extra = &mut self.work.extra;
        if !extra.is_empty() {
            extra.push(b',');
        }
        write_string(&pointer, extra);
        extra.push(b':');
        write_compact(value, extra);
        self.work.text = pointer;
        if self.work.extra.len() > self.context.extra_bytes_max {
            self.work.path.push(Step::Unknown);
            let message = "the fields that the schema does not name are too large";
            return Err(Miss::new(RejectCode::TooLarge, at, message));
        }
        Ok(())
    }

    /// The value that comes next.
    fn value(&mut self, field: &Field, column: Option<&mut Column>) -> Result<(), Missed> {
        match &field.guard {
            None => self.unguarded(field, column),
            Some(guard) => {
                let at = self.scanner.at();
                self.unguarded(field, column)?;
                guard.check(self.scanner.slice(at)).map_err(|broken| Miss::guarded(broken, at))
            }
        }
    }

    #[inline]
    fn unguarded(&mut self, field: &Field, column: Option<&mut Column>) -> Result<(), Missed> {
        let at = self.scanner.at();
        match (&field.kind, self.scanner.peek()) {
            (_, Some(b'n')) if field.nullable => {
                self.scanner.literal(b"null")?;
                if let Some(column) = column {
                    column.push_null();
                }
                Ok(())
            }
            (
                Kind::String(_)
                | Kind::DateTime(_)
                | Kind::Date(_)
                | Kind::Binary(_)
                | Kind::Decimal(crate::schema::Decimal { text: true, .. }),
                Some(b'"'),
            ) => {
                let text = self.scanner.string()?;
                let mut cells = Cells {
                    digests: &mut self.work.digests,
                    tokens: &mut self.work.tokens,
                    captured: &mut self.work.captured,
                };
                let broken = if text.escaped {
                    self.work.text.clear();
                    unescape(text.raw, &mut self.work.text);
                    cells.text(field, &self.work.text, column)
                } else {
                    cells.text(field, text.raw, column)
                };
                broken.map_err(|broken| Miss::broken(broken, field, at, self.scanner.slice(at)))
            }
            (
                Kind::Integer(_)
                | Kind::Number(_)
                | Kind::Time(_)
                | Kind::Decimal(crate::schema::Decimal { text: false, .. }),
                Some(b'-' | b'0'..=b'9'),
            ) => {
                let number = self.scanner.number()?;
                let mut cells = Cells {
                    digests: &mut self.work.digests,
                    tokens: &mut self.work.tokens,
                    captured: &mut self.work.captured,
                };
                let broken = cells.number(field, &number, column);
                broken.map_err(|broken| Miss::broken(broken, field, at, number.text))
            }
            (Kind::Boolean, Some(first @ (b't' | b'f'))) => {
                let value = first == b't';
                self.scanner.literal(if value { b"true" } else { b"false" })?;
                let mut cells = Cells {
                    digests: &mut self.work.digests,
                    tokens: &mut self.work.tokens,
                    captured: &mut self.work.captured,
                };
                let broken = cells.boolean(field, value, column);
                broken.map_err(|broken| Miss::broken(broken, field, at, self.scanner.slice(at)))
            }
            (Kind::Object(object), Some(b'{')) => match column {
                Some(column) => {
                    self.object(object, column.children())?;
                    column.end_struct();
                    Ok(())
                }
                None => self.object(object, &mut []),
            },
            (Kind::Array(array), Some(b'[')) => self.array(array, column, at),
            (Kind::Map(map), Some(b'{')) => self.map(map, column, at),
            (Kind::Json(marks), Some(_)) => {
                self.scanner.skip(&mut self.work.keys)?;
                let Some(column) = column else { return Ok(()) };
                let put = cell::json_text(
                    field,
                    marks.as_deref(),
                    self.scanner.slice(at),
                    self.work.digests.key(),
                    &mut self.work.text,
                    column,
                );
                self.work.extra_dropped += put.map_err(|broken| Miss::new(broken.0, at, broken.1))?;
                Ok(())
            }
            (kind, found) => {
                let message = format!("expected {}, found {}", kind.noun(), noun(found));
                Err(Miss::new(RejectCode::Type, at, message))
            }
        }
    }

    fn array(&mut self, array: &Array, column: Option<&mut Column>, start: usize) -> Result<(), Missed> {
        let Some(column) = column else { unreachable!("an array has a column") };
        self.scanner.open()?;
        let mut distinct = HashSet::new();
        let mut count = 0;
        let mut more = !self.scanner.close_empty(b']');
        while more {
            let at = self.scanner.at();
            self.work.path.push(Step::Index(count));
            if !self.quick(&array.element, Some(column.element())) {
                self.value(&array.element, Some(column.element()))?;
            }
            if array.unique {
                let mut form = Vec::new();
                write_canonical(self.scanner.slice(at), &mut form);
                if !distinct.insert(form) {
                    return Err(Miss::new(RejectCode::Items, at, "the item is equal to one before it"));
                }
            }
            self.work.path.pop();
            count += 1;
            more = self.scanner.more(b']')?;
        }
        array
            .count
            .check(count as u64, "items")
            .map_err(|(code, message)| Miss::new(code, start, message))?;
        column.end_list().map_err(|error| Miss::new(RejectCode::TooLarge, start, full(error).1))
    }

    fn map(&mut self, map: &Map, column: Option<&mut Column>, start: usize) -> Result<(), Missed> {
        let Some(column) = column else { unreachable!("a map has a column") };
        self.scanner.open()?;
        let too_large = |error| Miss::new(RejectCode::TooLarge, start, full(error).1);
        let id = self.work.keys.object();
        let mut count = 0u64;
        let mut more = !self.scanner.close_empty(b'}');
        while more {
            let at = self.scanner.at();
            let key = self.scanner.key()?;
            self.work.keys.insert(id, key, at)?;
            let (keys, values) = column.entries();
            if key.escaped {
                self.work.text.clear();
                unescape(key.raw, &mut self.work.text);
                keys.push_bytes(&self.work.text).map_err(too_large)?;
            } else {
                keys.push_bytes(key.raw).map_err(too_large)?;
            }
            self.scanner.colon()?;
            if !self.quick(&map.value, Some(values)) {
                self.work.path.push(Step::Key { start: at + 1, end: at + 1 + key.raw.len() });
                self.value(&map.value, Some(values))?;
                self.work.path.pop();
            }
            count += 1;
            more = self.scanner.more(b'}')?;
        }
        map.count.check(count, "properties").map_err(|(code, message)| Miss::new(code, start, message))?;
        column.end_list().map_err(too_large)
    }
}

/// The first fields of an object are noted at hand, the others in `Work::seen`.
const SEEN_AT_HAND: usize = 64;

/// Which fields of one object have come.
struct Seen {
    first: u64,
    /// Where the object's part of `Work::seen` begins.
    base: usize,
}

impl Seen {
    #[inline(always)]
    fn open(object: &Object, rest: &mut Vec<u64>) -> Seen {
        let base = rest.len();
        if object.fields.len() > SEEN_AT_HAND {
            rest.resize(base + (object.fields.len() - SEEN_AT_HAND).div_ceil(64), 0);
        }
        Seen { first: 0, base }
    }

    /// Notes a field; has it come before?
    #[inline(always)]
    fn again(&mut self, index: usize, rest: &mut [u64]) -> bool {
        let word = match index.checked_sub(SEEN_AT_HAND) {
            None => &mut self.first,
            Some(behind) => &mut rest[self.base + behind / 64],
        };
        let bit = 1u64 << (index % 64);
        let again = *word & bit != 0;
        *word |= bit;
        again
    }

    /// Notes fields of which none has come before.
    #[inline(always)]
    fn come(&mut self, fields: Range<usize>, rest: &mut [u64]) {
        if fields.end <= SEEN_AT_HAND {
            // In two steps: a shift by all of 64 is none.
            let below = |end: usize| (1u64 << (end / 2) << (end - end / 2)).wrapping_sub(1);
            self.first |= below(fields.end) & !below(fields.start);
        } else {
            for index in fields {
                self.again(index, rest);
            }
        }
    }

    /// The fields that have not come, in their order.
    fn missing(&self, object: &Object, rest: &[u64]) -> impl Iterator<Item = usize> {
        let behind = rest.get(self.base..).unwrap_or_default();
        let words = [self.first].into_iter().chain(behind.iter().copied());
        let fields = object.fields.len();
        let missing = words.enumerate().flat_map(move |(at, seen)| {
            let mut left = !seen;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        });
        missing.take_while(move |&index| index < fields)
    }

    #[inline(always)]
    fn close(self, rest: &mut Vec<u64>) {
        rest.truncate(self.base);
    }
}

#[cold]
fn repeated_key(at: usize) -> Missed {
    crate::json::JsonFault {
        code: RejectCode::JsonRepeatedKey,
        at,
        message: "an object names this key twice",
    }
    .into()
}

/// What a message calls a value, by its first byte.
fn noun(first: Option<u8>) -> &'static str {
    match first {
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => "something else",
    }
}
