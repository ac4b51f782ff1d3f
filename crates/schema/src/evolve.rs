//! May a schema follow another one? Then all that was accepted before must still be.
//! Always: without a new generation what a stored row means never changes: no column goes, none changes its type or its
//! protection, and events stay in their partitions. With one, rows that are there are rewritten: a field may become protected, get
//! another name, other values or narrower rules, or go.

mod fit;

use std::{cmp::Ordering, sync::Arc};

use arrow::datatypes::DataType;
use hw_vault::TokenFormat;

use crate::{
    document::place,
    guard::Guard,
    marks::Marks,
    rules::{Bound, Count, NumberRules, OneOf, TextRules},
    schema::{Extra, Fault, Field, Kind, Object, Privacy, Schema},
};

const GENERATION: &str = "undo this change; it needs a new generation of the table";
const NO_GENERATION: &str = "undo this change; rows that are there cannot be rewritten for it";
const ANOTHER_NAME: &str =
    "give the new field another name, or say with \"x-from\" what its values are in rows that are there";

pub use fit::Fit;

/// What becomes of one field in the rows that are there.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// In the new document, or in the old one if the field has gone.
    pub pointer: String,
    /// As the rewrites before it leave it.
    pub path: Vec<Step>,
    pub action: RewriteAction,
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

#[derive(Debug, Clone)]
pub enum RewriteAction {
    /// Values become keyed digests; those of JSON text as what they are there.
    Hash { json: bool },
    /// Values become tokens of this domain, and the vault keeps what they stand for.
    Tokenize(Arc<str>, TokenFormat),
    /// What a text of JSON holds is protected by what is marked in it.
    Protect(Arc<Protecting>),
    /// The column goes.
    Drop,
    /// The same, because the schema does not name the field any more.
    Remove,
    /// The column stays, its values become null.
    Clear,
    /// Values stay; only the statistics go.
    Hide,
    /// The column gets this name.
    Rename(String),
    /// The column's values are made of the row as it was before any rewrite of this change.
    Compute(Arc<Expression>),
    /// Values stay where they pass narrower rules, and become null where not.
    Narrow(Arc<Fit>),
}

/// The values of a column as an SQL expression gives them.
#[derive(Debug)]
pub struct Expression {
    pub text: String,
    /// Of the column, before it is protected.
    pub data_type: DataType,
}

/// Values inside of JSON text that were stored by one schema, and what another one says of them.
#[derive(Debug)]
pub struct Protecting {
    pub(crate) before: Option<Marks>,
    pub(crate) next: Marks,
}

impl RewriteAction {
    pub fn as_str(&self) -> &'static str {
        match self {
            RewriteAction::Hash { .. } => "hash",
            RewriteAction::Tokenize(..) => "tokenize",
            RewriteAction::Protect(_) => "protect",
            RewriteAction::Drop => "drop",
            RewriteAction::Remove => "remove",
            RewriteAction::Clear => "clear",
            RewriteAction::Hide => "hide",
            RewriteAction::Rename(_) => "rename",
            RewriteAction::Compute(_) => "compute",
            RewriteAction::Narrow(_) => "narrow",
        }
    }

    /// Values may turn out not to fit, which somebody has to have said is fine.
    pub fn loses(&self) -> bool {
        matches!(self, RewriteAction::Compute(_) | RewriteAction::Narrow(_))
    }

    /// The column means something else, or has another name: what is stored cannot be read as the new schema has it.
    pub fn reshapes(&self) -> bool {
        matches!(self, RewriteAction::Rename(_) | RewriteAction::Compute(_))
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
    // Names alone: values stay, and so do their partitions.
    let renamed = |name: &String| {
        let to = next.root.fields.iter().find(|field| renames(&old.root, field) == Some(name.as_str()));
        to.map_or(name, |field| &field.name).clone()
    };
    let renamed = |name: &String| if rewrites { renamed(name) } else { name.clone() };
    if old.key.iter().map(renamed).ne(next.key.iter().cloned()) {
        changes.refuse("/x-key", "x-key has changed, so events would go to other partitions");
    }
    if old.partitions != next.partitions {
        changes.refuse("/x-partitions", "x-partitions is fixed for a stream's life");
    }
    if old.event_time.as_ref().map(renamed) != next.event_time {
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
    let mut rewrites = changes.rewrites.unwrap_or_default();
    // First: so the others find every field under the name by which the new version knows it.
    rewrites.sort_by_key(|it| !matches!(it.action, RewriteAction::Rename(_)));
    if changes.faults.is_empty() { Ok(rewrites) } else { Err(changes.faults) }
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
        self.refuse_with(pointer, message, NO_GENERATION);
    }

    fn refuse_with(&mut self, pointer: &str, message: impl Into<String>, hint: &str) {
        let (line, column) = place(&self.next.document, pointer);
        let hint = if self.rewrites.is_some() { hint } else { GENERATION }.to_owned();
        self.faults.push(Fault { pointer: pointer.to_owned(), line, column, message: message.into(), hint });
    }

    /// Returns whether rows may be rewritten at all.
    fn rewrite(&mut self, pointer: &str, action: RewriteAction) -> bool {
        let Some(rewrites) = &mut self.rewrites else { return false };
        rewrites.push(Rewrite { pointer: pointer.to_owned(), path: self.path.clone(), action });
        true
    }

    fn object(&mut self, old: &Object, next: &Object, pointer: &str) {
        let of_event = self.path.is_empty();
        let at = |field: &Field| format!("{pointer}/properties/{}", escape(&field.name));
        // By the old field's place: which field has its values now.
        let mut heirs: Vec<Option<&Field>> = vec![None; old.fields.len()];
        let mut computed: Vec<(Option<&Field>, &Field)> = Vec::new();
        let mut others = Vec::new();
        for field in &next.fields {
            let same = find(old, &field.name);
            let before = same.map(|(_, field)| field);
            if of_event
                && field.expression().is_some()
                && field.expression() != before.and_then(Field::expression)
            {
                computed.push((before, field));
            } else if let Some((place, _)) = renames(old, field).and_then(|name| find(old, name)) {
                if heirs[place].replace(field).is_some() {
                    self.refuse(&at(field), "two fields are renamed from one");
                }
                if same.is_some() {
                    let hint = "rename in two changes, one after the other";
                    self.refuse_with(&at(field), "a field of this name was there already", hint);
                }
            } else if let Some((place, _)) = same {
                others.push((place, field));
            }
        }
        for (place, field) in others {
            heirs[place].get_or_insert(field);
        }
        let makes_anew = |name: &str| computed.iter().any(|(_, field)| field.name == name);
        for (field, heir) in old.fields.iter().zip(&heirs) {
            let pointer = at(field);
            self.path.push(Step::Member(field.name.clone()));
            match heir {
                Some(new) if new.name == field.name => self.field(field, new, &pointer, true),
                Some(new) => {
                    let pointer = at(new);
                    if find(next, &field.name).is_some() && !makes_anew(&field.name) {
                        self.refuse_with(
                            &pointer,
                            "the field that it is renamed from is still there",
                            ANOTHER_NAME,
                        );
                    }
                    if self.rewrite(&pointer, RewriteAction::Rename(new.name.clone())) {
                        self.path.pop();
                        self.path.push(Step::Member(new.name.clone()));
                        self.field(field, new, &pointer, true);
                    } else {
                        self.refuse(&pointer, "the field has another name");
                    }
                }
                // Its values are made anew, in its place.
                None if makes_anew(&field.name) => {}
                // What was never stored leaves nothing behind.
                None if field.privacy == Some(Privacy::Drop) && self.rewrites.is_some() => {}
                None if self.rewrite(&pointer, RewriteAction::Remove) => {}
                None => self.refuse(&pointer, "the field has gone"),
            }
            self.path.pop();
        }
        for (before, field) in computed {
            self.computed(before, field, &at(field));
        }
        let is_new = |field: &&Field| {
            let inherits = heirs.iter().flatten().any(|heir| std::ptr::eq(*heir, *field));
            !inherits && find(old, &field.name).is_none()
        };
        for field in next.fields.iter().filter(is_new) {
            let pointer = at(field);
            if field.required && field.expression().is_none_or(|_| !of_event) {
                self.refuse(&pointer, "a new field must be optional: stored events do not have it");
            }
            if self.extra_kept && field_is_protected(field) {
                self.refuse(&pointer, "values of this field may stand unprotected in _extra already");
            }
        }
        if next.closed && !old.closed {
            self.refuse(&format!("{pointer}/additionalProperties"), "unnamed fields were allowed until now");
        }
        if !wider_count(old.count, next.count) {
            self.refuse(pointer, "the bounds of a count have become narrower");
        }
    }

    /// A field of the event whose values are made of the rows' columns.
    fn computed(&mut self, before: Option<&Field>, next: &Field, pointer: &str) {
        if self.rewrites.is_none() {
            let message =
                if before.is_some() { "the field is computed anew" } else { "the field is computed" };
            return self.refuse(pointer, message);
        }
        if next.key_slot.is_some() || next.is_event_time {
            return self
                .refuse(pointer, "a field that says where or when an event belongs cannot be computed");
        }
        if next.privacy == Some(Privacy::Drop) {
            return self
                .refuse(pointer, "nothing of a dropped field is stored, so there is nothing to compute");
        }
        if !next.kind.is_scalar() {
            return self.refuse(pointer, "only single values can be computed");
        }
        let fit = Fit::whole(next, next.required && !next.nullable);
        if !fit.is_judged(&next.kind) {
            return self
                .refuse(pointer, "whether computed values keep the rules of such a field cannot be told");
        }
        let text = next.expression().unwrap_or_default().to_owned();
        let data_type = crate::columns::data_type_of(&next.kind);
        self.path.push(Step::Member(next.name.clone()));
        self.rewrite(pointer, RewriteAction::Compute(Arc::new(Expression { text, data_type })));
        if !fit.is_empty() {
            self.rewrite(pointer, RewriteAction::Narrow(Arc::new(fit)));
        }
        let protects = match (next.privacy, &next.token) {
            (None | Some(Privacy::Drop), _) => None,
            (Some(Privacy::Subject), _) => Some(RewriteAction::Hide),
            (Some(Privacy::Tokenize), Some(rule)) if has_text(&next.kind) => {
                Some(RewriteAction::Tokenize(rule.domain.clone(), rule.format))
            }
            (Some(Privacy::Hash), _) if has_text(&next.kind) => Some(RewriteAction::Hash { json: false }),
            _ => {
                self.refuse(pointer, "computed values of this type cannot be protected");
                None
            }
        };
        if let Some(action) = protects {
            self.rewrite(pointer, action);
        }
        self.path.pop();
    }

    /// `may_lack`: where there is no value, there may be none; not so in a list or a map.
    fn field(&mut self, old: &Field, next: &Field, pointer: &str, may_lack: bool) {
        let mut fit = Fit::default();
        let mut narrower: Vec<&'static str> = Vec::new();
        let null_is_fine = next.nullable || may_lack && !next.required;
        if next.required && !old.required {
            narrower.push("the field was optional");
        }
        if old.nullable && !next.nullable {
            narrower.push("the field could be null");
        }
        let null_was_fine = old.nullable || may_lack && !old.required;
        fit.needs_value = !null_is_fine && null_was_fine;
        if !wider_one_of(old.one_of.as_deref(), next.one_of.as_deref()) {
            narrower.push("values that were listed are no longer");
            fit.one_of = next.one_of.as_deref().cloned();
        }
        if let Some(message) = guard_changes(old.guard.as_deref(), next.guard.as_deref()) {
            narrower.push(message);
            fit.guard = next.guard.as_deref().cloned();
        }
        let same = same_column(&old.kind, &next.kind);
        if same && !wider_number(old.kind.number_rules(), next.kind.number_rules()) {
            narrower.push("the bounds have become narrower");
            fit.numbers = next.kind.number_rules().cloned();
        }
        if same && !wider_text(old.kind.text_rules(), next.kind.text_rules()) {
            narrower.push("the rules of the text have become narrower");
            fit.texts = next.kind.text_rules().cloned();
        }
        let counts = match (&old.kind, &next.kind) {
            (Kind::Array(old), Kind::Array(next)) => Some((old.count, next.count)),
            (Kind::Map(old), Kind::Map(next)) => Some((old.count, next.count)),
            _ => None,
        };
        if let Some((_, next)) = counts.filter(|(old, next)| !wider_count(*old, *next)) {
            narrower.push("the bounds of a count have become narrower");
            fit.count = Some(next);
        }
        fit.nulls = null_is_fine;
        fit.json = matches!(next.kind, Kind::Json(_));
        // Nothing is stored of what is dropped.
        let dropped = next.privacy == Some(Privacy::Drop) && self.rewrites.is_some();
        if !narrower.is_empty() && !dropped {
            // What a protected value was, nobody can tell.
            let judged = matches!(old.privacy, None | Some(Privacy::Subject))
                && !matches!(&old.kind, Kind::Json(Some(_)))
                && fit.is_judged(&old.kind);
            if !(judged && self.rewrite(pointer, RewriteAction::Narrow(Arc::new(fit)))) {
                for message in narrower {
                    self.refuse(pointer, message);
                }
            }
        }
        self.privacy(old, next, pointer);
        match (&old.kind, &next.kind) {
            (Kind::Json(old), Kind::Json(next)) => self.marks(old.as_deref(), next.as_deref(), pointer),
            (Kind::Object(old), Kind::Object(next)) => self.object(old, next, pointer),
            (Kind::Array(old), Kind::Array(next)) => {
                if next.unique && !old.unique {
                    self.refuse(pointer, "items could be equal until now");
                }
                self.path.push(Step::Items);
                self.field(&old.element, &next.element, &format!("{pointer}/items"), false);
                self.path.pop();
            }
            (Kind::Map(old), Kind::Map(next)) => {
                self.path.push(Step::Values);
                self.field(&old.value, &next.value, &format!("{pointer}/additionalProperties"), false);
                self.path.pop();
            }
            _ if same => {}
            _ => {
                let hint = "undo this change, or say how values are made of those that are there: \"x-from\": \"CAST(a AS BIGINT)\", at a field of the event itself";
                self.refuse_with(pointer, "the field's type has changed", hint);
            }
        }
    }

    fn privacy(&mut self, old: &Field, next: &Field, pointer: &str) {
        if old.privacy != next.privacy {
            let hashed = has_text(&old.kind) || matches!(old.kind, Kind::Json(None));
            let action = match (old.privacy, next.privacy) {
                (None, Some(Privacy::Hash)) if hashed => {
                    Some(RewriteAction::Hash { json: !has_text(&old.kind) })
                }
                (None, Some(Privacy::Tokenize)) if has_text(&old.kind) => {
                    next.token.as_ref().map(|rule| RewriteAction::Tokenize(rule.domain.clone(), rule.format))
                }
                (None | Some(Privacy::Hash | Privacy::Tokenize), Some(Privacy::Drop)) => {
                    Some(RewriteAction::Drop)
                }
                (None, Some(Privacy::Subject)) => Some(RewriteAction::Hide),
                _ => None,
            };
            if !action.is_some_and(|action| self.rewrite(pointer, action)) {
                self.refuse(pointer, "the field's protection has changed");
            }
        }
        let tokens = |field: &Field| field.token().map(|rule| (rule.domain().to_owned(), rule.format()));
        if old.privacy == next.privacy && tokens(old) != tokens(next) {
            self.refuse(pointer, "the domain or the format of the field's tokens has changed");
        }
    }

    /// What is protected inside of JSON text.
    fn marks(&mut self, old: Option<&Marks>, next: Option<&Marks>, pointer: &str) {
        let action = match (old, next) {
            (None, None) => return,
            (Some(old), Some(next)) if old.protect_as(next) => return,
            (old, Some(next)) if old.is_none_or(|old| old.protect_less_than(next)) => {
                RewriteAction::Protect(Arc::new(Protecting { before: old.cloned(), next: next.clone() }))
            }
            _ => return self.refuse(pointer, "what is protected inside of the value has changed"),
        };
        if !self.rewrite(pointer, action) {
            self.refuse(pointer, "what is protected inside of the value has changed");
        }
    }

    fn guard(&mut self, old: Option<&Guard>, next: Option<&Guard>, pointer: &str) {
        if let Some(message) = guard_changes(old, next) {
            self.refuse(pointer, message);
        }
    }
}

/// Whether one demand is wider than another, nobody can tell; only that it is the same, or gone.
fn guard_changes(old: Option<&Guard>, next: Option<&Guard>) -> Option<&'static str> {
    match (old, next) {
        (_, None) => None,
        (Some(old), Some(next)) if old.meaning == next.meaning => None,
        (Some(_), Some(_)) => Some("the rules beside the field's type have changed"),
        (None, Some(_)) => Some("there were no rules beside the field's type until now"),
    }
}

fn find<'o>(object: &'o Object, name: &str) -> Option<(usize, &'o Field)> {
    let place = object.names.find(name.as_bytes())?;
    Some((place, object.fields.get(place)?))
}

/// The field of `old` whose values `field` has now. What a version says for the first time counts, what it repeats does not.
fn renames<'o>(old: &'o Object, field: &Field) -> Option<&'o str> {
    let from = field.renamed_from().filter(|from| *from != field.name)?;
    let said = find(old, &field.name).and_then(|(_, before)| before.renamed_from());
    let (_, before) = find(old, from).filter(|_| said != Some(from))?;
    Some(&before.name)
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
mod tests;
