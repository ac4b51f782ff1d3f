//! May a schema follow another one? Then all that was accepted before must still be.
//! Always: without a new generation what a stored row means never changes: no column goes, none changes its type or its
//! protection, and events stay in their partitions. With one, rows that are there are rewritten: a field may become protected, or go.

use std::{cmp::Ordering, sync::Arc};

use hw_vault::TokenFormat;

use crate::{
    document::place,
    guard::Guard,
    rules::{Bound, Count, NumberRules, OneOf, TextRules},
    schema::{Extra, Fault, Field, Kind, Object, Privacy, Schema},
};

const GENERATION: &str = "undo this change; it needs a new generation of the table";
const NO_GENERATION: &str = "undo this change; rows that are there cannot be rewritten for it";

/// What becomes of one field in the rows that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// In the new document, or in the old one if the field has gone.
    pub pointer: String,
    pub path: Vec<Step>,
    pub action: RewriteAction,
    /// Of `Tokenize`: the domain, and which tokens.
    pub token: Option<(Arc<str>, TokenFormat)>,
}

/// One step from a row to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Member(String),
    /// Every element of a list.
    Items,
    /// Every value of a map.
    Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteAction {
    /// Values become keyed digests.
    Hash,
    /// Values become tokens, and the vault keeps what they stand for.
    Tokenize,
    /// The column goes.
    Drop,
    /// The same, because the schema does not name the field any more.
    Remove,
    /// The column stays, its values become null.
    Clear,
    /// Values stay; only the statistics go.
    Hide,
}

impl RewriteAction {
    pub fn as_str(self) -> &'static str {
        match self {
            RewriteAction::Hash => "hash",
            RewriteAction::Tokenize => "tokenize",
            RewriteAction::Drop => "drop",
            RewriteAction::Remove => "remove",
            RewriteAction::Clear => "clear",
            RewriteAction::Hide => "hide",
        }
    }
}

pub(crate) fn check_change(old: &Schema, next: &Schema) -> Result<(), Vec<Fault>> {
    compare(old, next, false).map(drop)
}

/// What a new generation has to rewrite. `Err`: not even that makes `next` follow.
pub(crate) fn check_generation(old: &Schema, next: &Schema) -> Result<Vec<Rewrite>, Vec<Fault>> {
    compare(old, next, true)
}

fn compare(old: &Schema, next: &Schema, rewrites: bool) -> Result<Vec<Rewrite>, Vec<Fault>> {
    let mut changes = Changes {
        next,
        extra_kept: old.extra == Extra::Keep && (!rewrites || next.extra == Extra::Keep),
        faults: Vec::new(),
        rewrites: rewrites.then(Vec::new),
        path: Vec::new(),
    };
    if old.key != next.key {
        changes.refuse("/x-key", "x-key has changed, so events would go to other partitions");
    }
    if old.partitions != next.partitions {
        changes.refuse("/x-partitions", "x-partitions is fixed for a stream's life");
    }
    if old.event_time != next.event_time {
        changes.refuse("/x-event-time", "x-event-time has changed, so _time would mean something else");
    }
    if old.extra == Extra::Keep && next.extra == Extra::Drop && rewrites {
        changes.path = vec![Step::Member(crate::columns::EXTRA.to_owned())];
        changes.rewrite("/x-extra", RewriteAction::Clear);
        changes.path.clear();
    } else if old.extra != next.extra && old.extra != Extra::Refuse {
        changes.refuse("/x-extra", "what happens to unnamed fields has changed");
    }
    changes.object(&old.root, &next.root, "");
    changes.guard(old.guard.as_deref(), next.guard.as_deref(), "");
    if changes.faults.is_empty() { Ok(changes.rewrites.unwrap_or_default()) } else { Err(changes.faults) }
}

struct Changes<'a> {
    next: &'a Schema,
    /// Unnamed fields were stored until now, in the clear.
    extra_kept: bool,
    faults: Vec<Fault>,
    /// `None`: rows that are there may not be rewritten.
    rewrites: Option<Vec<Rewrite>>,
    /// From a row to where the comparison is.
    path: Vec<Step>,
}

impl Changes<'_> {
    fn refuse(&mut self, pointer: &str, message: impl Into<String>) {
        let (line, column) = place(&self.next.document, pointer);
        let hint = if self.rewrites.is_some() { NO_GENERATION } else { GENERATION }.to_owned();
        self.faults.push(Fault { pointer: pointer.to_owned(), line, column, message: message.into(), hint });
    }

    /// Returns whether rows may be rewritten at all.
    fn rewrite(&mut self, pointer: &str, action: RewriteAction) -> bool {
        let Some(rewrites) = &mut self.rewrites else { return false };
        rewrites.push(Rewrite { pointer: pointer.to_owned(), path: self.path.clone(), action, token: None });
        true
    }

    /// A value of a list or a map belongs to a row, but nobody could tell to which: so only what stands in structs.
    fn tokenizes(&self, old: &Field, next: &Field) -> bool {
        let in_structs = self.path.iter().all(|step| matches!(step, Step::Member(_)));
        in_structs && has_text(&old.kind) && next.token.is_some()
    }

    fn object(&mut self, old: &Object, next: &Object, pointer: &str) {
        let find = |object: &Object, name: &str| object.names.find(name.as_bytes());
        for field in &old.fields {
            let pointer = format!("{pointer}/properties/{}", escape(&field.name));
            self.path.push(Step::Member(field.name.clone()));
            match find(next, &field.name).and_then(|index| next.fields.get(index)) {
                Some(new) => self.field(field, new, &pointer),
                // What was never stored leaves nothing behind.
                None if field.privacy == Some(Privacy::Drop) && self.rewrites.is_some() => {}
                None if self.rewrite(&pointer, RewriteAction::Remove) => {}
                None => self.refuse(&pointer, "the field has gone"),
            }
            self.path.pop();
        }
        for field in next.fields.iter().filter(|field| find(old, &field.name).is_none()) {
            let pointer = format!("{pointer}/properties/{}", escape(&field.name));
            if field.required {
                self.refuse(&pointer, "a new field must be optional: stored events do not have it");
            }
            if self.extra_kept && field_is_protected(field) {
                self.refuse(&pointer, "values of this field may stand unprotected in _extra already");
            }
        }
        if next.closed && !old.closed {
            self.refuse(&format!("{pointer}/additionalProperties"), "unnamed fields were allowed until now");
        }
        self.count(old.count, next.count, pointer);
    }

    fn field(&mut self, old: &Field, next: &Field, pointer: &str) {
        if next.required && !old.required {
            self.refuse(pointer, "the field was optional");
        }
        if old.nullable && !next.nullable {
            self.refuse(pointer, "the field could be null");
        }
        if old.privacy != next.privacy {
            let action = match (old.privacy, next.privacy) {
                (None, Some(Privacy::Hash)) if has_text(&old.kind) => Some(RewriteAction::Hash),
                (None, Some(Privacy::Tokenize)) if self.tokenizes(old, next) => Some(RewriteAction::Tokenize),
                (None | Some(Privacy::Hash | Privacy::Tokenize), Some(Privacy::Drop)) => {
                    Some(RewriteAction::Drop)
                }
                (None, Some(Privacy::Subject)) => Some(RewriteAction::Hide),
                _ => None,
            };
            if !action.is_some_and(|action| self.rewrite(pointer, action)) {
                self.refuse(pointer, "the field's protection has changed");
            } else if let (Some(RewriteAction::Tokenize), Some(rule)) = (action, &next.token)
                && let Some(rewrite) = self.rewrites.as_mut().and_then(|rewrites| rewrites.last_mut())
            {
                rewrite.token = Some((rule.domain.clone(), rule.format));
            }
        }
        let tokens = |field: &Field| field.token().map(|rule| (rule.domain().to_owned(), rule.format()));
        if old.privacy == next.privacy && tokens(old) != tokens(next) {
            self.refuse(pointer, "the domain or the format of the field's tokens has changed");
        }
        if !wider_one_of(old.one_of.as_deref(), next.one_of.as_deref()) {
            self.refuse(pointer, "values that were listed are no longer");
        }
        self.guard(old.guard.as_deref(), next.guard.as_deref(), pointer);
        match (&old.kind, &next.kind) {
            (Kind::Json(_), Kind::Json(_)) => {}
            (Kind::Object(old), Kind::Object(next)) => self.object(old, next, pointer),
            (Kind::Array(old), Kind::Array(next)) => {
                if next.unique && !old.unique {
                    self.refuse(pointer, "items could be equal until now");
                }
                self.count(old.count, next.count, pointer);
                self.path.push(Step::Items);
                self.field(&old.element, &next.element, &format!("{pointer}/items"));
                self.path.pop();
            }
            (Kind::Map(old), Kind::Map(next)) => {
                self.count(old.count, next.count, pointer);
                self.path.push(Step::Values);
                self.field(&old.value, &next.value, &format!("{pointer}/additionalProperties"));
                self.path.pop();
            }
            (a, b) if same_column(a, b) => {
                if !wider_number(a.number_rules(), b.number_rules()) {
                    self.refuse(pointer, "the bounds have become narrower");
                }
                if !wider_text(a.text_rules(), b.text_rules()) {
                    self.refuse(pointer, "the rules of the text have become narrower");
                }
            }
            _ => self.refuse(pointer, "the field's type has changed"),
        }
    }

    /// Whether one demand is wider than another, nobody can tell; only that it is the same, or gone.
    fn guard(&mut self, old: Option<&Guard>, next: Option<&Guard>, pointer: &str) {
        match (old, next) {
            (_, None) => {}
            (Some(old), Some(next)) if old.meaning == next.meaning => {}
            (Some(_), Some(_)) => self.refuse(pointer, "the rules beside the field's type have changed"),
            (None, Some(_)) => self.refuse(pointer, "there were no rules beside the field's type until now"),
        }
    }

    fn count(&mut self, old: Count, next: Count, pointer: &str) {
        if !wider_count(old, next) {
            self.refuse(pointer, "the bounds of a count have become narrower");
        }
    }
}

/// Can the text that a producer sent be told from what is stored?
fn has_text(kind: &Kind) -> bool {
    matches!(kind, Kind::Boolean | Kind::Integer(_) | Kind::Number(_) | Kind::String(_) | Kind::Date(_))
}

fn field_is_protected(field: &Field) -> bool {
    field.privacy.is_some()
        || match &field.kind {
            Kind::Object(object) => object.fields.iter().any(field_is_protected),
            Kind::Array(array) => field_is_protected(&array.element),
            Kind::Map(map) => field_is_protected(&map.value),
            Kind::Json(marks) => marks.is_some(),
            _ => false,
        }
}

fn same_column(old: &Kind, next: &Kind) -> bool {
    match (old, next) {
        (Kind::Time(old), Kind::Time(next)) => old.unit == next.unit && (old.whole || !next.whole),
        (Kind::Decimal(old), Kind::Decimal(next)) => {
            (old.precision, old.scale, old.text) == (next.precision, next.scale, next.text)
        }
        _ => {
            old.is_scalar() && next.is_scalar() && std::mem::discriminant(old) == std::mem::discriminant(next)
        }
    }
}

fn wider_count(old: Count, next: Count) -> bool {
    next.min <= old.min && next.max >= old.max
}

fn wider_one_of(old: Option<&OneOf>, next: Option<&OneOf>) -> bool {
    match (old, next) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(next)) => next.includes(old),
    }
}

fn wider_number(old: Option<&NumberRules>, next: Option<&NumberRules>) -> bool {
    let Some(next) = next else { return true };
    let bound = |old: Option<&Bound>, next: Option<&Bound>, wider: Ordering| match (old, next) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(next)) => match next.limit.cmp(&old.limit) {
            Ordering::Equal => old.exclusive || !next.exclusive,
            order => order == wider,
        },
    };
    let multiple = match (old.and_then(|old| old.multiple_of.as_ref()), &next.multiple_of) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(next)) => old.is_multiple_of(next),
    };
    bound(old.and_then(|old| old.minimum.as_ref()), next.minimum.as_ref(), Ordering::Less)
        && bound(old.and_then(|old| old.maximum.as_ref()), next.maximum.as_ref(), Ordering::Greater)
        && multiple
}

fn wider_text(old: Option<&TextRules>, next: Option<&TextRules>) -> bool {
    let Some(next) = next else { return true };
    let source = |rules: &TextRules| rules.pattern.as_ref().map(|pattern| pattern.source.clone());
    wider_count(old.map_or(Count::ANY, |old| old.chars), next.chars)
        && (next.pattern.is_none() || old.and_then(source) == source(next))
        && (next.format.is_none() || old.and_then(|old| old.format) == next.format)
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(body: &str) -> Schema {
        match Schema::parse(&format!("{{\"type\":\"object\",{body}}}")) {
            Ok(checked) => checked.schema,
            Err(faults) => panic!("{body}: {faults:?}"),
        }
    }

    #[track_caller]
    fn check(old: &str, next: &str, expected: Option<&str>) {
        match (schema(old).check_change(&schema(next)), expected) {
            (Ok(()), None) => {}
            (Err(faults), Some(expected)) => {
                assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{faults:?}");
            }
            (result, expected) => panic!("{old} -> {next}: {result:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_schema_may_become_wider() {
        let a = r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5}}"#;
        check(a, a, None);
        check(
            a,
            r#""properties":{"b":{"type":"string"},"a":{"type":"integer","minimum":1,"maximum":5}}"#,
            None,
        );
        check(a, r#""properties":{"a":{"type":"integer","minimum":0,"maximum":5.5}}"#, None);
        check(a, r#""properties":{"a":{"type":["integer","null"]}},"x-mode":"reject""#, None);
        check(
            r#""properties":{"a":{"type":"string","enum":["x"],"maxLength":3}},"required":["a"]"#,
            r#""properties":{"a":{"type":"string","enum":["y","x"],"maxLength":4}}"#,
            None,
        );
        check(
            r#""properties":{"o":{"type":"object","properties":{"a":{"type":"integer"}}}}"#,
            r#""properties":{"o":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}}"#,
            None,
        );
        check(
            r#""properties":{"a":{"type":"integer","multipleOf":6}}"#,
            r#""properties":{"a":{"type":"integer","multipleOf":3}}"#,
            None,
        );
    }

    #[test]
    fn a_schema_must_not_become_narrower_or_mean_something_else() {
        let a = r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5}}"#;
        let with = |rest: &str| format!("{a},{rest}");
        check(a, r#""properties":{}"#, Some("has gone"));
        check(a, r#""properties":{"a":{"type":"number","minimum":1,"maximum":5}}"#, Some("type has changed"));
        check(
            a,
            r#""properties":{"a":{"type":"integer","exclusiveMinimum":1,"maximum":5}}"#,
            Some("narrower"),
        );
        check(a, r#""properties":{"a":{"type":"integer","minimum":1,"maximum":4}}"#, Some("narrower"));
        check(a, &with(r#""required":["a"]"#), Some("was optional"));
        check(a, &with(r#""additionalProperties":false"#), Some("unnamed fields were allowed"));
        check(a, &with(r#""x-extra":"refuse""#), Some("unnamed fields has changed"));
        check(a, &with(r#""x-partitions":2"#), Some("fixed"));
        check(
            &with(r#""required":["a"],"x-key":["a"]"#),
            &with(r#""required":["a"]"#),
            Some("other partitions"),
        );
        check(
            a,
            r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5,"x-privacy":"hash"}},"x-extra":"keep""#,
            Some("protection"),
        );
        let tokens = |rest: &str| {
            format!(
                r#""properties":{{"a":{{"type":"string","pattern":"^[0-9]{{6}}$","x-privacy":"tokenize"{rest}}}}}"#
            )
        };
        check(&tokens(""), &tokens(r#","x-token-domain":"a""#), None);
        check(&tokens(""), &tokens(r#","x-token-domain":"b""#), Some("domain or the format"));
        check(&tokens(""), &tokens(r#","x-token-format":"digits""#), Some("domain or the format"));
        check(
            r#""properties":{"a":{"type":"string","x-privacy":"hash"}}"#,
            r#""properties":{"a":{"type":"string","x-privacy":"tokenize"}}"#,
            Some("protection"),
        );
        check(
            a,
            r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5},"b":{"type":"string","x-privacy":"drop"}},"x-extra":"keep""#,
            Some("stand unprotected"),
        );
        check(a, r#""properties":{"a":{"type":"integer","enum":[1]}}"#, Some("no longer"));
        check(
            r#""properties":{"a":{"type":"array","items":{"type":"string"}}}"#,
            r#""properties":{"a":{"type":"array","items":{"type":"string","pattern":"a"},"maxItems":1}}"#,
            Some("narrower"),
        );
        check(
            r#""properties":{"a":{"type":"integer","multipleOf":3}}"#,
            r#""properties":{"a":{"type":"integer","multipleOf":6}}"#,
            Some("narrower"),
        );
    }

    #[test]
    fn a_refused_change_has_a_place() {
        let old = schema(r#""properties":{"a":{"type":"integer"}}"#);
        let next = schema("\n\"properties\":{\n  \"a\":{\"type\":\"string\"}}");
        let faults = old.check_change(&next).unwrap_err();
        assert_eq!((faults[0].pointer.as_str(), faults[0].line, faults[0].column), ("/properties/a", 3, 7));
    }
}
