//! What is wrong with a bad event: values that break one rule, and texts that are no event at all.
//! Always: one thing is wrong, on purpose. Whether it has the intended code is the decoder's word.

use hw_event::RejectCode;

use super::{
    number::Grid,
    pattern::{self, Stretch},
    random::Random,
    text,
    tree::Tree,
    value::{Listed, Maker},
};
use crate::{
    DecodeLimits,
    rules::{Count, OneOf, TextRules},
    schema::{Field, Kind},
};

impl Maker<'_> {
    /// A value that breaks the rule of `field` which `code` stands for.
    pub fn broken(&mut self, field: &Field, code: RejectCode) -> Option<Tree> {
        // A text is looked up in its list before its other rules are asked, so only a listed one can break them.
        if let (Some(one_of @ OneOf::Texts(_)), RejectCode::Length | RejectCode::Pattern | RejectCode::Format) =
            (field.one_of.as_deref(), code)
            && (matches!(field.kind, Kind::String(_)) || self.random.one_in(2))
        {
            return self.listed(one_of, &field.kind, Listed::Fails);
        }
        match code {
            RejectCode::Type => Some(self.other_type(&field.kind)),
            RejectCode::Enum => self.unlisted(field),
            RejectCode::Minimum => self.from_grid(&field.kind, Grid::below),
            RejectCode::Maximum => self.from_grid(&field.kind, Grid::above),
            RejectCode::MultipleOf => {
                let finer = !matches!(&field.kind, Kind::Integer(_));
                self.from_grid(&field.kind, |grid, random| grid.between_multiples(finer, random))
            }
            RejectCode::OutOfRange => self.out_of_range(&field.kind),
            RejectCode::Length => self.wrong_length(&field.kind),
            RejectCode::Pattern => self.without_pattern(field),
            RejectCode::Format => self.malformed(&field.kind),
            _ => None,
        }
    }

    fn other_type(&mut self, kind: &Kind) -> Tree {
        let whole = matches!(kind, Kind::Integer(_)) || matches!(kind, Kind::Time(time) if time.whole());
        let others: &[&str] = match kind.noun() {
            "a boolean" => &["\"true\"", "1", "0", "null", "[]"],
            "an integer" if whole => &["\"1\"", "1.5", "true", "null", "-0.1", "{}"],
            "a number" => &["\"1.5\"", "true", "null", "[1]", "{}"],
            "a string" => &["1", "true", "null", "[\"text\"]", "{}"],
            "an array" => &["{}", "\"a,b\"", "null", "1"],
            _ => &["[]", "\"{}\"", "1", "null", "true"],
        };
        Tree::raw(self.random.pick(others))
    }

    fn unlisted(&mut self, field: &Field) -> Option<Tree> {
        match field.one_of.as_deref()? {
            OneOf::Booleans(booleans) => Some(Tree::raw((!booleans.first()?).to_string())),
            OneOf::Numbers(numbers) => {
                let grid = match &field.kind {
                    Kind::Decimal(decimal) => Grid::decimal(decimal),
                    Kind::Time(time) => Grid::time(time),
                    Kind::Integer(rules) => Grid::integer(rules.as_deref()),
                    kind => Grid::number(kind.number_rules()),
                };
                let text = match self.random.one_in(3) {
                    // Right beside a listed one.
                    true => {
                        let mut text = Vec::new();
                        numbers[self.random.index(numbers.len())].write(&mut text);
                        format!("{}1", String::from_utf8_lossy(&text))
                    }
                    false => grid?.good(&mut self.random)?,
                };
                Some(Tree::raw(text))
            }
            OneOf::Texts(texts) => {
                if let Kind::Decimal(decimal) = &field.kind {
                    let number = Grid::decimal(decimal)?.good(&mut self.random)?;
                    return Some(Tree::string(number.as_bytes(), &mut self.random));
                }
                let made = match (&field.kind, self.random.below(3)) {
                    (Kind::String(_), 0) => {
                        // As a person would mistype it.
                        let listed =
                            String::from_utf8_lossy(&texts[self.random.index(texts.len())]).into_owned();
                        match self.random.below(3) {
                            0 => listed.to_uppercase(),
                            1 => format!("{listed} "),
                            _ => format!("{listed}s"),
                        }
                        .into_bytes()
                    }
                    (Kind::String(_), _) => text::free(0, 16, &mut self.random).into_bytes(),
                    (kind, _) => self.text(kind, None)?,
                };
                Some(Tree::string(&made, &mut self.random))
            }
        }
    }

    fn from_grid(
        &mut self,
        kind: &Kind,
        value: impl FnOnce(&Grid, &mut Random) -> Option<String>,
    ) -> Option<Tree> {
        let grid = match kind {
            Kind::Integer(rules) => Grid::integer(rules.as_deref()),
            Kind::Number(rules) => Grid::number(rules.as_deref()),
            Kind::Time(time) => Grid::time(time),
            Kind::Decimal(decimal) => Grid::decimal(decimal),
            _ => None,
        }?;
        value(&grid, &mut self.random).map(Tree::raw)
    }

    fn out_of_range(&mut self, kind: &Kind) -> Option<Tree> {
        let text = match kind {
            Kind::Integer(_) => self.random.pick(&[
                "9223372036854775808",
                "-9223372036854775809",
                "1e19",
                "18446744073709551616",
                "9223372036854775807.5e1",
                "-1E+300",
            ]),
            Kind::Number(_) => self.random.pick(&["1e309", "-1e400", "1.8E+308", "9e999999999999"]),
            Kind::Time(_) => self.random.pick(&["1e30", "-1e30", "99999999999999999999999"]),
            Kind::DateTime(_) => {
                let text = text::time_out_of_range(&mut self.random);
                return Some(Tree::string(text.as_bytes(), &mut self.random));
            }
            Kind::Decimal(decimal) => {
                let before = usize::from(decimal.precision()) - usize::try_from(decimal.scale()).ok()?;
                let digits = match self.random.one_in(2) {
                    true => format!("1{}", "0".repeat(before)),
                    false => format!("0.{}1", "0".repeat(usize::try_from(decimal.scale()).ok()?)),
                };
                return Some(Tree::raw(if decimal.text { format!("\"{digits}\"") } else { digits }));
            }
            _ => return None,
        };
        Some(Tree::raw(text))
    }

    fn wrong_length(&mut self, kind: &Kind) -> Option<Tree> {
        const CHARS_MAX: u64 = 1 << 18;
        let Count { min, max } = kind.text_rules()?.chars;
        let short = min > 0 && (max == u64::MAX || self.random.one_in(2));
        let (low, high) = match short {
            true => (0, min - 1),
            false => (max.checked_add(1)?, max.saturating_add(1 + self.random.below(20))),
        };
        if low > CHARS_MAX {
            return None;
        }
        let text = match kind {
            Kind::String(_) => text::free(low, high, &mut self.random),
            Kind::DateTime(_) if short => "2026-11-21T20:00:00Z".to_owned(),
            Kind::DateTime(_) => {
                let digits = "5".repeat(usize::try_from(low).unwrap_or(0).saturating_sub(21).max(1));
                format!("2026-11-21T20:00:00.{digits}Z")
            }
            Kind::Date(_) => text::date(&mut self.random),
            Kind::Binary(_) => {
                let bytes = if short { high / 4 * 3 } else { low.div_ceil(4) * 3 };
                text::base64(bytes, &mut self.random)
            }
            _ => return None,
        };
        Some(Tree::string(text.as_bytes(), &mut self.random))
    }

    fn without_pattern(&mut self, field: &Field) -> Option<Tree> {
        const TRIES: u64 = 20;
        let rules = field.kind.text_rules()?;
        let pattern = rules.pattern.as_ref()?;
        for attempt in 0..TRIES {
            let mut text = match &field.kind {
                Kind::String(_) if attempt % 2 == 1 => {
                    text::free(rules.chars.min, rules.chars.max, &mut self.random)
                }
                // One character of a text that matches is changed.
                kind => {
                    String::from_utf8(self.text(kind, Some(rules)).or_else(|| self.text(kind, None))?).ok()?
                }
            };
            if attempt % 2 == 0 && matches!(field.kind, Kind::String(_)) && !text.is_empty() {
                let mut chars: Vec<char> = text.chars().collect();
                let at = self.random.index(chars.len());
                chars[at] = ['!', ' ', 'Z', '0', '\u{1f600}'][self.random.index(5)];
                text = chars.into_iter().collect();
            }
            if !pattern.regex.is_match(text.as_bytes()) {
                return Some(Tree::string(text.as_bytes(), &mut self.random));
            }
        }
        None
    }

    /// A text that keeps the length and the pattern and not the format.
    fn only_malformed(&mut self, rules: &TextRules) -> Option<String> {
        const TRIES: u64 = 20;
        (0..TRIES).find_map(|_| {
            let text = match &rules.pattern {
                None => text::free(rules.chars.min, rules.chars.max, &mut self.random).into_bytes(),
                Some(pattern) => {
                    let stretch = Stretch(u32::try_from(self.random.below(13)).unwrap_or(0));
                    pattern::text(pattern.regex.as_str(), stretch, &mut self.random)?
                }
            };
            let fits = matches!(rules.check(&text), Err((RejectCode::Format, _)));
            if fits { String::from_utf8(text).ok() } else { None }
        })
    }

    fn malformed(&mut self, kind: &Kind) -> Option<Tree> {
        let random = &mut self.random;
        let text = match kind {
            Kind::DateTime(_) => text::bad_date_time(random),
            Kind::Date(_) => text::bad_date(random),
            Kind::Binary(_) => text::bad_base64(random),
            Kind::Decimal(_) => (*random.pick(&["abc", "1,5", "", "0x10", "1.", "NaN", "+1"])).to_owned(),
            Kind::String(Some(rules)) => {
                let format = rules.format?;
                let mut text = text::bad_format(format, random);
                // Where a length or a pattern must still hold, something well made is spoilt instead.
                if (rules.pattern.is_some() || rules.chars != Count::ANY) && random.one_in(3) {
                    text = self.only_malformed(rules)?;
                } else if random.one_in(2) && (rules.chars != Count::ANY || rules.pattern.is_some()) {
                    let whole = self.text(kind, Some(rules))?;
                    let mut chars: Vec<char> = String::from_utf8(whole).ok()?.chars().collect();
                    let at = self.random.index(chars.len());
                    *chars.get_mut(at)? = ['!', ' ', 'g', '@', '.', '9'][self.random.index(6)];
                    text = chars.into_iter().collect();
                }
                text
            }
            _ => return None,
        };
        Some(Tree::string(text.as_bytes(), &mut self.random))
    }
}

/// Does the code stand for something that is wrong with a text, whatever the schema says?
pub(super) fn is_of_text(code: RejectCode) -> bool {
    OF_TEXT.contains(&code)
}

pub(super) const OF_TEXT: &[RejectCode] = &[
    RejectCode::JsonSyntax,
    RejectCode::JsonUnicode,
    RejectCode::JsonDepth,
    RejectCode::JsonRepeatedKey,
    RejectCode::NotObject,
    RejectCode::TooLarge,
];

/// Spoils a good event.
pub(super) fn spoil(
    tree: Tree,
    code: RejectCode,
    limits: DecodeLimits,
    random: &mut Random,
) -> Option<Vec<u8>> {
    match code {
        RejectCode::JsonSyntax => Some(bad_syntax(tree.write(random), random)),
        RejectCode::JsonUnicode => Some(bad_unicode(tree.write(random), random)),
        RejectCode::JsonDepth => {
            let depth = limits.depth + 1 + random.index(8);
            let (open, close) = if random.one_in(2) { ("[", "]") } else { ("{\"a\":", "}") };
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            Some(with_member(&tree.write(random), &format!("\"deep\":{nested}")))
        }
        RejectCode::JsonRepeatedKey => Some(repeat_a_key(tree, random).write(random)),
        RejectCode::NotObject => {
            let whole = tree.write(random);
            Some(match random.below(3) {
                0 => [b"[", &whole[..], b"]"].concat(),
                1 => {
                    let mut quoted = Vec::new();
                    crate::json::write_string(&whole, &mut quoted);
                    quoted
                }
                _ => random.pick(&["42", "\"text\"", "true", "null", "[]", "-1.5e3"]).as_bytes().to_vec(),
            })
        }
        RejectCode::TooLarge => {
            let whole = tree.write(random);
            let missing = limits.event_bytes.saturating_sub(whole.len()) + 1 + random.index(64);
            Some(match random.one_in(2) {
                true => with_member(&whole, &format!("\"padding\":\"{}\"", "x".repeat(missing))),
                false => {
                    let mut padded = whole;
                    padded.splice(1..1, std::iter::repeat_n(b' ', missing));
                    padded
                }
            })
        }
        _ => None,
    }
}

/// With one more member, the first.
fn with_member(object: &[u8], member: &str) -> Vec<u8> {
    let rest = object.get(1..).unwrap_or_default();
    let comma: &[u8] = if rest.trim_ascii_start().starts_with(b"}") { b"" } else { b"," };
    [b"{", member.as_bytes(), comma, rest].concat()
}

fn repeat_a_key(mut tree: Tree, random: &mut Random) -> Tree {
    // In an object inside as likely as in the outermost.
    if let Tree::Object(members) = &mut tree {
        let inner: Vec<usize> = (0..members.len())
            .filter(|&at| matches!(&members[at].1, Tree::Object(inner) if !inner.is_empty()))
            .collect();
        if !inner.is_empty() && random.one_in(2) {
            let at = inner[random.index(inner.len())];
            let member = std::mem::replace(&mut members[at].1, Tree::raw("null"));
            members[at].1 = repeat_a_key(member, random);
        } else if members.is_empty() {
            let member = || (b"twice".to_vec(), Tree::raw("1"));
            members.extend([member(), member()]);
        } else {
            let member = members[random.index(members.len())].clone();
            members.insert(random.index(members.len() + 1), member);
        }
    }
    tree
}

fn bad_syntax(mut text: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let replaced =
        |text: &[u8], from: &str, to: &str| String::from_utf8_lossy(text).replacen(from, to, 1).into_bytes();
    let end = text.len() - 1;
    match random.below(12) {
        // Cut short, as by a sender that died.
        0 | 1 => {
            text.truncate(1 + random.index(end));
            text
        }
        2 => String::from_utf8_lossy(&text).replace('"', "'").into_bytes(),
        3 => {
            text.insert(end, b',');
            text
        }
        4 => replaced(&text, ":", "="),
        5 => {
            text.push(b'}');
            text
        }
        6 => [&text[..], &text[..]].concat(),
        7 => with_member(&text, "\"value\":NaN"),
        8 => with_member(&text, "\"flag\":True"),
        9 => with_member(&text, "\"number\":01"),
        10 => with_member(&text, "unquoted:1"),
        _ => with_member(&text, "/* a comment */\"text\":\"a\tb\""),
    }
}

fn bad_unicode(text: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const BAD: &[&[u8]] = &[
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xe4\xb8",
        b"\xf5\x80\x80\x80",
        b"\x80",
        b"\\ud800",
        b"\\udc00x",
        b"\\ud83dx",
    ];
    let bad = random.pick(BAD);
    let mut spoilt = with_member(&text, "\"text\":\"caf\"");
    // Behind `{"text":"caf`.
    const AT: usize = 12;
    spoilt.splice(AT..AT, bad.iter().copied());
    spoilt
}
