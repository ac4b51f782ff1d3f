//! Records of sensors: `name=value&name=value`, percent-encoded.
//! Always: a record is taken apart completely before any value is looked at, so that a record which is none is called
//! so. A value is typed by the schema and by nothing else: a text that is no number is never 0.

use hw_event::RejectCode;

use super::{
    KvFields,
    cell::{self, Cells},
    column::Column,
    miss::{Miss, Missed, Step, quoted, write_raw_part},
    pass::{Context, Work},
};
use crate::{
    guard,
    json::{Number, Text, write_string},
    schema::{Decimal, Extra, Field, Kind},
};

/// A pair, taken apart: ranges of the arena, and where its value stood in the record.
struct Pair {
    name: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
    name_at: usize,
    value_at: usize,
}

pub(super) fn apply(
    record: &[u8],
    fields: &KvFields,
    context: Context<'_>,
    work: &mut Work,
    columns: &mut [Column],
) -> Result<(), Missed> {
    let mut arena = Vec::with_capacity(record.len());
    let pairs = take_apart(record, &mut arena)?;
    let root = context.root;
    let id = work.keys.object();
    let mut seen = vec![false; root.fields.len()];
    for pair in &pairs {
        let name = fields.field(&arena[pair.name.clone()]);
        let key = Text { raw: name, escaped: false };
        if work.keys.insert(id, key, pair.name_at).is_err() {
            return Err(Miss::new(RejectCode::Record, pair.name_at, "the record names a field twice"));
        }
    }
    for pair in &pairs {
        let name = fields.field(&arena[pair.name.clone()]);
        let value = &arena[pair.value.clone()];
        match root.names.find(name) {
            Some(index) => {
                seen[index] = true;
                let field = &root.fields[index];
                work.path.push(Step::Field(index));
                let column = field.column.and_then(|column| columns.get_mut(column));
                let cells = Cells {
                    digests: &mut work.digests,
                    tokens: &mut work.tokens,
                    captured: &mut work.captured,
                };
                put(cells, field, value, pair.value_at, column, &mut work.text)?;
                work.path.pop();
            }
            None if root.closed || context.extra == Extra::Refuse => {
                work.path.push(Step::Unknown);
                let message = "the schema does not name this field";
                return Err(Miss::new(RejectCode::UnknownField, pair.name_at, message));
            }
            None if context.extra == Extra::Drop => work.extra_dropped += 1,
            None => {
                let mut pointer = vec![b'/'];
                let mut raw = Vec::new();
                write_string(name, &mut raw);
                write_raw_part(Text { raw: &raw[1..raw.len() - 1], escaped: true }, &mut pointer);
                if !work.extra.is_empty() {
                    work.extra.push(b',');
                }
                write_string(&pointer, &mut work.extra);
                work.extra.push(b':');
                write_string(value, &mut work.extra);
            }
        }
    }
    for (index, field) in root.fields.iter().enumerate() {
        if seen[index] {
            continue;
        }
        if field.required {
            work.path.push(Step::Field(index));
            return Err(Miss::new(RejectCode::Required, record.len(), "the field is missing"));
        }
        if let Some(column) = field.column.and_then(|column| columns.get_mut(column)) {
            column.push_null();
        }
    }
    let count = root.count.check(pairs.len() as u64, "properties");
    count.map_err(|(code, message)| Miss::new(code, record.len(), message))?;
    let Some(guard) = context.guard else { return Ok(()) };
    // The rules of the whole event are those of the object that it stands for.
    let mut json = vec![b'{'];
    for pair in &pairs {
        let name = fields.field(&arena[pair.name.clone()]);
        let value = &arena[pair.value.clone()];
        if json.len() > 1 {
            json.push(b',');
        }
        write_string(name, &mut json);
        json.push(b':');
        match root.names.find(name) {
            Some(index) => json.extend_from_slice(&as_json(&root.fields[index], value)),
            None => write_string(value, &mut json),
        }
    }
    json.push(b'}');
    // No byte of the record is the one where the object breaks a rule.
    guard.check(&json).map_err(|broken| Miss::guarded(guard::Broken { at: 0, ..broken }, 0))
}

/// A value as the JSON that it stands for: typed by the schema; where that knows no one type, a number, `true` or
/// `false` is taken for one if nothing but that may be meant.
fn as_json(field: &Field, value: &[u8]) -> Vec<u8> {
    let text = || {
        let mut json = Vec::with_capacity(value.len() + 2);
        write_string(value, &mut json);
        json
    };
    let plain = matches!(value, b"true" | b"false") || Number::parse(value).is_some();
    match &field.kind {
        Kind::Integer(_)
        | Kind::Number(_)
        | Kind::Time(_)
        | Kind::Decimal(Decimal { text: false, .. })
        | Kind::Boolean
            if plain =>
        {
            value.to_vec()
        }
        Kind::Json(_) if plain => match &field.guard {
            Some(guard) if guard.check(&text()).is_err() => value.to_vec(),
            _ => text(),
        },
        _ => text(),
    }
}

fn put(
    mut cells: Cells<'_>,
    field: &Field,
    value: &[u8],
    at: usize,
    column: Option<&mut Column>,
    room: &mut Vec<u8>,
) -> Result<(), Missed> {
    let put = match &field.kind {
        Kind::Json(marks) => match column {
            Some(column) => {
                let json = as_json(field, value);
                cell::json_text(field, marks.as_deref(), &json, cells.digests.key(), room, column).map(drop)
            }
            None => Ok(()),
        },
        Kind::String(_)
        | Kind::DateTime(_)
        | Kind::Date(_)
        | Kind::Binary(_)
        | Kind::Decimal(Decimal { text: true, .. }) => cells.text(field, value, column),
        Kind::Integer(_) | Kind::Number(_) | Kind::Time(_) | Kind::Decimal(_) => match Number::parse(value) {
            Some(number) => cells.number(field, &number, column),
            None => Err((RejectCode::Type, format!("expected {}", field.kind.noun()))),
        },
        Kind::Boolean => match value {
            b"true" => cells.boolean(field, true, column),
            b"false" => cells.boolean(field, false, column),
            _ => Err((RejectCode::Type, "expected true or false".to_owned())),
        },
        kind @ (Kind::Object(_) | Kind::Array(_) | Kind::Map(_)) => {
            let message = format!("expected {}, which no key=value record can hold", kind.noun());
            return Err(Miss::new(RejectCode::Type, at, message));
        }
    };
    put.map_err(|broken| Miss::broken(broken, field, at, &quoted(value)))?;
    match &field.guard {
        Some(guard) => guard.check(&as_json(field, value)).map_err(|broken| Miss::guarded(broken, at)),
        None => Ok(()),
    }
}

fn take_apart(record: &[u8], arena: &mut Vec<u8>) -> Result<Vec<Pair>, Missed> {
    let mut pairs = Vec::new();
    let mut at = 0;
    for part in record.split(|&byte| byte == b'&') {
        let Some(equals) = part.iter().position(|&byte| byte == b'=') else {
            return Err(Miss::new(RejectCode::Record, at, "expected name=value"));
        };
        if equals == 0 {
            return Err(Miss::new(RejectCode::Record, at, "expected a name before the equals sign"));
        }
        let value_at = at + equals + 1;
        let name = decode(&part[..equals], at, arena)?;
        let value = decode(&part[equals + 1..], value_at, arena)?;
        pairs.push(Pair { name, value, name_at: at, value_at });
        at += part.len() + 1;
    }
    Ok(pairs)
}

/// Appends what `part` says; `at` is where it stands in the record. A plus is a plus.
fn decode(part: &[u8], at: usize, arena: &mut Vec<u8>) -> Result<std::ops::Range<usize>, Missed> {
    let start = arena.len();
    let mut bytes = part.iter().enumerate();
    while let Some((index, &byte)) = bytes.next() {
        if byte != b'%' {
            arena.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|(_, &digit)| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => arena.push((high * 16 + low) as u8),
            _ => {
                let message = "a percent sign needs two hexadecimal digits behind it";
                return Err(Miss::new(RejectCode::Record, at + index, message));
            }
        }
    }
    match std::str::from_utf8(&arena[start..]) {
        Ok(_) => Ok(start..arena.len()),
        Err(_) => Err(Miss::new(RejectCode::Record, at, "the bytes are not valid UTF-8")),
    }
}
