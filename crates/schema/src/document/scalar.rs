//! Single values: which column they become, and their rules.

use super::{
    ENUM_VALUES_MAX, Reader,
    field::{Type, short},
    join,
    keyword::did_you_mean,
    pattern,
    tree::{Node, Value},
};
use crate::{
    format::TextFormat,
    json::Exact,
    rules::{Bound, Count, NumberRules, OneOf, Pattern, TextRules},
    schema::{Decimal, Kind, Time, TimeUnit},
};

impl Reader<'_> {
    pub(super) fn scalar(&mut self, node: &Node, type_name: &str, pointer: &str) -> Option<Kind> {
        if type_name == "boolean" {
            return Some(Kind::Boolean);
        }
        let format = match node.get("format") {
            None => None,
            Some(found) => match found.text() {
                Some(name) => Some((name, found.at)),
                None => {
                    self.error(&join(pointer, "format"), found.at, "a format is a text", "write its name");
                    return None;
                }
            },
        };
        if let Some(("decimal", _)) = format {
            return self.decimal(node, type_name == "string", pointer);
        }
        for keyword in ["x-precision", "x-scale"] {
            if let Some(found) = node.get(keyword) {
                let message = format!("{keyword} belongs to \"format\": \"decimal\"");
                self.error(&join(pointer, keyword), found.at, message, "add the format, or take it away");
            }
        }
        if type_name == "string" {
            self.text(node, format, pointer)
        } else {
            self.number(node, type_name, format, pointer)
        }
    }

    fn number(
        &mut self,
        node: &Node,
        type_name: &str,
        format: Option<(&str, usize)>,
        pointer: &str,
    ) -> Option<Kind> {
        if let Some((name, at)) = format {
            let same = matches!((type_name, name), ("integer", "int64") | ("number", "double"));
            if !same {
                self.no_format(name, at, &join(pointer, "format"));
            }
        }
        let rules = self.number_rules(node, pointer).map(Box::new);
        let whole = type_name == "integer";
        let Some(found) = node.get("x-time") else {
            return Some(if whole { Kind::Integer(rules) } else { Kind::Number(rules) });
        };
        let unit = match found.text() {
            Some("s") => TimeUnit::Second,
            Some("ms") => TimeUnit::Millisecond,
            Some("us") => TimeUnit::Microsecond,
            Some("ns") => TimeUnit::Nanosecond,
            _ => {
                self.error(
                    &join(pointer, "x-time"),
                    found.at,
                    "there is no such unit",
                    "it is one of s, ms, us, ns",
                );
                return None;
            }
        };
        Some(Kind::Time(Time { unit, whole, rules }))
    }

    fn text(&mut self, node: &Node, format: Option<(&str, usize)>, pointer: &str) -> Option<Kind> {
        let encoding = node.get("contentEncoding");
        let is_base64 = encoding.is_some_and(|found| found.text() == Some("base64"));
        if let (Some(found), false) = (encoding, is_base64) {
            let message = "only the encoding base64 is decoded; this one stays a text".to_owned();
            self.warn(&join(pointer, "contentEncoding"), found.at, message, "take it away");
        }
        let mut text_format = None;
        let mut make: fn(Option<Box<TextRules>>) -> Kind = match is_base64 {
            true => Kind::Binary,
            false => Kind::String,
        };
        match format {
            Some((_, at)) if is_base64 => {
                let message = "the text is base64, so it has no format of its own";
                self.error(&join(pointer, "format"), at, message, "take the format away");
            }
            Some(("date-time", _)) => make = Kind::DateTime,
            Some(("date", _)) => make = Kind::Date,
            Some((name, at)) => {
                text_format = TextFormat::from_name(name);
                // What the slower path asserts is no rule of the column's.
                if text_format.is_none() && !self.is_library_format(node.get("format")) {
                    self.no_format(name, at, &join(pointer, "format"));
                }
            }
            None => {}
        }
        let chars = self.count(node, "minLength", "maxLength", pointer);
        let pattern = self.pattern(node, pointer);
        if chars == Count::ANY && pattern.is_none() && text_format.is_none() {
            return Some(make(None));
        }
        Some(make(Some(Box::new(TextRules { chars, pattern, format: text_format }))))
    }

    fn pattern(&mut self, node: &Node, pointer: &str) -> Option<Pattern> {
        let found = node.get("pattern")?;
        let pointer = join(pointer, "pattern");
        let Some(source) = found.text() else {
            self.error(&pointer, found.at, "a pattern is a text", "write a regular expression");
            return None;
        };
        match pattern::compile(source) {
            Ok(regex) => Some(Pattern { source: source.to_owned(), regex }),
            Err((message, hint)) => {
                self.error(&pointer, found.at, message, hint);
                None
            }
        }
    }

    pub(super) fn no_format(&mut self, name: &str, at: usize, pointer: &str) {
        match name {
            "duration" => {
                let hint = "send the length of time as a number and say its unit in the field's name";
                self.error(pointer, at, "a lake has no type for durations", hint);
            }
            "uint8" | "uint16" | "uint32" | "uint64" => {
                let hint = "use \"type\": \"integer\" with \"minimum\": 0";
                self.error(pointer, at, "a lake has no unsigned types", hint);
            }
            _ => {
                let message =
                    format!("the format {:?} is not one that we can assert for this type", short(name));
                let known =
                    ["date-time", "date"].into_iter().chain(TextFormat::ALL.iter().map(|(known, _)| *known));
                let all = "see the reference of schemas for the formats; correct the name, or take it away";
                self.error(pointer, at, message, did_you_mean(name, known).as_deref().unwrap_or(all));
            }
        }
    }

    fn decimal(&mut self, node: &Node, text: bool, pointer: &str) -> Option<Kind> {
        const PRECISION_MAX: i128 = 38;
        let mut number = |keyword: &str, range: std::ops::RangeInclusive<i128>| {
            let found = node.get(keyword);
            let value = match found.map(|found| &found.value) {
                Some(Value::Number(exact)) => exact.to_i128().ok().filter(|value| range.contains(value)),
                _ => None,
            };
            if value.is_none() {
                let message = format!("a decimal needs {keyword} from {} to {}", range.start(), range.end());
                let hint = "x-precision counts all digits, x-scale those behind the point";
                self.error(&join(pointer, keyword), found.map_or(node.at, |found| found.at), message, hint);
            }
            value
        };
        let precision = number("x-precision", 1..=PRECISION_MAX);
        let scale = number("x-scale", 0..=precision.unwrap_or(PRECISION_MAX));
        let (precision, scale) = (u8::try_from(precision?).ok()?, i8::try_from(scale?).ok()?);
        if text {
            for keyword in ["minLength", "maxLength", "pattern", "contentEncoding"] {
                if let Some(found) = node.get(keyword) {
                    let what = format_args!("the keyword {keyword:?} on a decimal");
                    self.not_built(&join(pointer, keyword), found.at, what);
                }
            }
            return Some(Kind::Decimal(Decimal { precision, scale, text, rules: None }));
        }
        if let Some(found) = node.get("x-time") {
            self.not_built(&join(pointer, "x-time"), found.at, "a decimal time");
        }
        let rules = self.number_rules(node, pointer).map(Box::new);
        Some(Kind::Decimal(Decimal { precision, scale, text, rules }))
    }

    fn number_rules(&mut self, node: &Node, pointer: &str) -> Option<NumberRules> {
        let mut bound = |keyword: &str, exclusive| match node
            .get(keyword)
            .map(|found| (&found.value, found.at))
        {
            None => None,
            Some((Value::Number(limit), _)) => Some(Bound { limit: limit.clone(), exclusive }),
            Some((_, at)) => {
                self.error(&join(pointer, keyword), at, format!("{keyword} is a number"), "write a number");
                None
            }
        };
        // Of two bounds the stricter counts; of two equal ones that which shuts the limit out.
        let stricter = |a: Option<Bound>, b: Option<Bound>, want: std::cmp::Ordering| match (a, b) {
            (Some(inclusive), Some(exclusive)) => {
                Some(if inclusive.limit.cmp(&exclusive.limit) == want { inclusive } else { exclusive })
            }
            (a, b) => a.or(b),
        };
        let (low, low_exclusive) = (bound("minimum", false), bound("exclusiveMinimum", true));
        let (high, high_exclusive) = (bound("maximum", false), bound("exclusiveMaximum", true));
        let minimum = stricter(low, low_exclusive, std::cmp::Ordering::Greater);
        let maximum = stricter(high, high_exclusive, std::cmp::Ordering::Less);
        if let (Some(low), Some(high)) = (&minimum, &maximum)
            && (low.limit > high.limit || low.limit == high.limit && (low.exclusive || high.exclusive))
        {
            self.error(pointer, node.at, "no number lies between the bounds", "correct the bounds");
        }
        let multiple_of = match node.get("multipleOf").map(|found| (&found.value, found.at)) {
            None => None,
            Some((Value::Number(divisor), _))
                if divisor.is_positive() && divisor.digit_count() <= Exact::DIVISOR_DIGITS_MAX =>
            {
                Some(divisor.clone())
            }
            Some((_, at)) => {
                let hint = "write a number above zero of at most 30 digits";
                self.error(&join(pointer, "multipleOf"), at, "multipleOf is a positive number", hint);
                None
            }
        };
        NumberRules::new(minimum, maximum, multiple_of)
    }

    pub(super) fn count(&mut self, node: &Node, min: &str, max: &str, pointer: &str) -> Count {
        let mut read = |keyword: &str| {
            let found = node.get(keyword)?;
            let value = match &found.value {
                Value::Number(exact) => exact.to_i128().ok().and_then(|value| u64::try_from(value).ok()),
                _ => None,
            };
            if value.is_none() {
                let message = format!("{keyword} is a count");
                self.error(&join(pointer, keyword), found.at, message, "write an integer of zero or more");
            }
            value
        };
        let count = Count { min: read(min).unwrap_or(0), max: read(max).unwrap_or(u64::MAX) };
        if count.min > count.max {
            let message = format!("{min} is above {max}, so nothing passes");
            self.error(pointer, node.at, message, "correct one of them");
        }
        count
    }

    /// The values of `enum` or `const`, and whether null is still allowed. `None`: something is wrong.
    pub(super) fn one_of(
        &mut self,
        node: &Node,
        found: Type<'_>,
        pointer: &str,
    ) -> Option<(Option<OneOf>, bool)> {
        let (keyword, at, values) = match (node.get("enum"), node.get("const")) {
            (None, None) => return Some((None, found.nullable)),
            // Both must hold; the slower path sees to the enum.
            (_, Some(only)) => ("const", only.at, std::slice::from_ref(only)),
            (Some(list), None) => match list.items() {
                Some(items) if (1..=ENUM_VALUES_MAX).contains(&items.len()) => ("enum", list.at, items),
                _ => {
                    let message = format!("an enum is a list of 1 to {ENUM_VALUES_MAX} values");
                    self.error(&join(pointer, "enum"), list.at, message, "write the list");
                    return None;
                }
            },
        };
        let pointer = join(pointer, keyword);
        let null = values.iter().any(|value| matches!(value.value, Value::Null));
        let (mut texts, mut numbers, mut booleans) = (Vec::new(), Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            match (&value.value, found.name) {
                (Value::Null, _) if found.nullable => {}
                (Value::Text(text), "string") => texts.push(text.clone().into_bytes()),
                (Value::Number(exact), "number") => numbers.push(exact.clone()),
                (Value::Number(exact), "integer") if exact.is_whole() => numbers.push(exact.clone()),
                (Value::Boolean(boolean), "boolean") => booleans.push(*boolean),
                _ => {
                    let pointer =
                        if keyword == "enum" { join(&pointer, &index.to_string()) } else { pointer.clone() };
                    let message = format!("this value is not of the type {}", found.name);
                    self.error(&pointer, value.at, message, "take it away, or correct the type");
                    return None;
                }
            }
        }
        texts.sort();
        numbers.sort();
        let one_of = match found.name {
            "string" => OneOf::Texts(texts),
            "boolean" => OneOf::Booleans(booleans),
            _ => OneOf::Numbers(numbers),
        };
        if values.len() == usize::from(null) {
            self.error(&pointer, at, "only null is allowed", "list a value, or leave the field out");
            return None;
        }
        Some((Some(one_of), found.nullable && null))
    }
}
