//! What stands beside `x-privacy: tokenize`: the tokens' domain and their format.
//! Always: tokens of digits are for values of which the schema itself says that they are 6 to 64 digits, so that no event is
//! refused for its token, and the domain is as large as FF1 wants it.

use std::{ops::RangeInclusive, sync::Arc};

use hw_vault::{DIGITS_MAX, DIGITS_MIN, TokenFormat};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look},
};

use super::{Reader, field::Place, join, tree::Node};
use crate::schema::{Kind, Object, Privacy, TokenRule};

const DOMAIN: &str = "x-token-domain";
const FORMAT: &str = "x-token-format";
const DOMAIN_BYTES_MAX: usize = 100;

impl Reader<'_> {
    /// The rule of a field's tokens; `None` where it has none, or something is wrong, which has been noted.
    pub(super) fn token(
        &mut self,
        node: &Node,
        name: &str,
        kind: &Kind,
        privacy: Option<Privacy>,
        place: Place<'_>,
    ) -> Option<Box<TokenRule>> {
        let tokenized = node.get("x-privacy").and_then(Node::text) == Some("tokenize");
        if privacy != Some(Privacy::Tokenize) {
            for keyword in [DOMAIN, FORMAT] {
                // Where tokenize itself was refused, that is enough.
                if let (Some(found), false) = (node.get(keyword), tokenized) {
                    let message = format!("{keyword} says something about tokens, and there are none");
                    let hint = "add \"x-privacy\": \"tokenize\" beside it, or take it away";
                    self.error(&join(place.pointer, keyword), found.at, message, hint);
                }
            }
            return None;
        }
        let domain = match node.get(DOMAIN) {
            Some(found) => match found.text().filter(|text| is_domain(text)) {
                Some(text) => text,
                None => {
                    let hint =
                        format!("write a name of at most {DOMAIN_BYTES_MAX} letters, digits and . _ -");
                    self.error(&join(place.pointer, DOMAIN), found.at, "this is no name of a domain", &hint);
                    return None;
                }
            },
            None if place.repeated && matches!(name, "element" | "value") => {
                let message = "tokens are of a domain, and an element has no name of its own to give it";
                self.error(place.pointer, node.at, message, "add \"x-token-domain\": NAME beside x-privacy");
                return None;
            }
            None => name,
        };
        let format = match node.get(FORMAT) {
            None => TokenFormat::Text,
            Some(found) => match found.text() {
                Some("text") => TokenFormat::Text,
                Some("digits") => {
                    if let Err(reason) = holds_digits(kind) {
                        let hint = "add \"pattern\": \"^[0-9]{6,64}$\" or a narrower one; minLength and maxLength count too";
                        self.error(&join(place.pointer, FORMAT), found.at, reason, hint);
                        return None;
                    }
                    TokenFormat::Digits
                }
                _ => {
                    let hint = "it is one of text, digits";
                    self.error(
                        &join(place.pointer, FORMAT),
                        found.at,
                        "there is no such format of tokens",
                        hint,
                    );
                    return None;
                }
            },
        };
        let slot = self.domains.iter().position(|known| &**known == domain).unwrap_or_else(|| {
            self.domains.push(Arc::from(domain));
            self.domains.len() - 1
        });
        Some(Box::new(TokenRule { domain: self.domains[slot].clone(), slot, format }))
    }

    /// Whose tokens the stream's are: the subject's place among the columns.
    pub(super) fn subject_of_tokens(&mut self, root: &Object) -> Option<Vec<usize>> {
        let mut path = Vec::new();
        let plain = subject_path(root, &mut path)?;
        if !plain && !self.domains.is_empty() {
            let pointer = self.subject.clone().unwrap_or_default();
            let at = self.tree.and_then(|tree| tree.at_pointer(&pointer)).map_or(0, |node| node.at);
            let message = "the subject of a stream with tokens is a string or an integer";
            self.error(
                &pointer,
                at,
                message,
                "give it one of these types, without a format for times or numbers",
            );
        }
        Some(path)
    }
}

/// The columns that lead to the subject; is it a plain text or an integer?
fn subject_path(object: &Object, path: &mut Vec<usize>) -> Option<bool> {
    for field in &object.fields {
        let Some(column) = field.column else { continue };
        path.push(column);
        if field.privacy == Some(Privacy::Subject) {
            return Some(matches!(field.kind, Kind::String(_) | Kind::Integer(_)));
        }
        if let Kind::Object(inner) = &field.kind
            && let Some(plain) = subject_path(inner, path)
        {
            return Some(plain);
        }
        path.pop();
    }
    None
}

fn is_domain(text: &str) -> bool {
    (1..=DOMAIN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Does the schema allow nothing but so many digits as a token may have?
fn holds_digits(kind: &Kind) -> Result<(), String> {
    const WANTED: &str = "tokens of digits need a text of which the schema says that it is 6 to 64 digits";
    let rules = match kind {
        Kind::String(Some(rules)) => rules,
        _ => return Err(WANTED.to_owned()),
    };
    let pattern = rules.pattern.as_ref().and_then(|pattern| digits_of(pattern.regex.as_str()));
    let Some(pattern) = pattern else { return Err(WANTED.to_owned()) };
    let min = rules.chars.min.max(*pattern.start() as u64);
    let max = rules.chars.max.min(*pattern.end() as u64);
    if min < DIGITS_MIN as u64 {
        return Err(format!(
            "{WANTED}; it allows {min}, so that whoever sees all tokens could guess the values"
        ));
    }
    if max > DIGITS_MAX as u64 {
        return Err(format!("{WANTED}; it allows more"));
    }
    Ok(())
}

/// How many digits a text has that `pattern` lets through, if that is from end to end and nothing but digits.
fn digits_of(pattern: &str) -> Option<RangeInclusive<usize>> {
    let hir = ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
    let properties = hir.properties();
    let whole = properties.look_set_prefix().contains(Look::Start)
        && properties.look_set_suffix().contains(Look::End);
    (whole && only_digits(&hir))
        .then(|| properties.minimum_len().unwrap_or(0)..=properties.maximum_len().unwrap_or(usize::MAX))
}

fn only_digits(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => literal.0.iter().all(u8::is_ascii_digit),
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().all(|range| range.start() >= '0' && range.end() <= '9')
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().all(|range| range.start() >= b'0' && range.end() <= b'9')
        }
        HirKind::Look(look) => matches!(look, Look::Start | Look::End),
        HirKind::Repetition(repetition) => only_digits(&repetition.sub),
        HirKind::Capture(capture) => only_digits(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(only_digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::pattern;

    #[test]
    fn what_a_pattern_says_of_digits() {
        for (source, expected) in [
            ("^[0-9]{6,19}$", Some((6, 19))),
            (r"^\d{16}$", Some((16, 16))),
            ("^4[0-9]{15}$", Some((16, 16))),
            ("^(?:[0-9]{4}){4}$", Some((16, 16))),
            ("^([0-9]{8}|[0-9]{10})$", Some((8, 10))),
            ("^[0-9]+$", Some((1, usize::MAX))),
            ("^$", Some((0, 0))),
            ("[0-9]{6}", None),
            ("^[0-9]{6}", None),
            ("[0-9]{6}$", None),
            ("^[0-9]{6}$|^x", None),
            ("^[0-9]{6}|[0-9]{7}$", None),
            ("^[0-9a]{6}$", None),
            ("^[0-9]{6}.?$", None),
            (r"^[0-9]{6}\b$", None),
        ] {
            let regex = pattern::compile(source).unwrap();
            let found = digits_of(regex.as_str()).map(|range| (*range.start(), *range.end()));
            assert_eq!(found, expected, "{source}");
        }
    }
}
