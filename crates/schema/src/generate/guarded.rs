//! Values of the slower path: such as a guard lets pass, and such as only the guard refuses.
//! Always: the guard is asked within a bounded number of tries; what the compiled rules say is the decoder's word.

use hw_event::RejectCode;

use super::{json::Intent, mutate::mutated, random::Random, text, tree::Tree, value::Maker};
use crate::{
    guard::Guard,
    schema::{Extra, Field, Kind, Object},
};

/// Attempts at one value that passes …
const PASS_TRIES: u64 = 16;
/// … and at one that does not.
const FAIL_TRIES: u64 = 24;

/// What a guard judges.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guarded<'f> {
    Event(&'f Object),
    Field(&'f Field),
}

impl Guarded<'_> {
    fn is_json(self) -> bool {
        matches!(self, Guarded::Field(Field { kind: Kind::Json(_), .. }))
    }

    fn takes_null(self) -> bool {
        matches!(self, Guarded::Field(field) if field.nullable)
    }
}

/// Is a value with this code refused by a guard alone?
pub(super) fn is_of_guard(field: &Field, code: RejectCode) -> bool {
    let json = matches!(field.kind, Kind::Json(_));
    match code {
        RejectCode::Keyword => true,
        RejectCode::OutOfRange => json || !field.kind.is_scalar(),
        RejectCode::Format => {
            json || matches!(field.kind, Kind::String(_))
                && field.kind.text_rules().is_none_or(|rules| rules.format.is_none())
        }
        _ => false,
    }
}

impl Maker<'_> {
    /// A value that passes the guard, and should pass the compiled rules.
    pub(super) fn passing(&mut self, guarded: Guarded<'_>, guard: &Guard) -> Option<Tree> {
        if guarded.takes_null() && self.random.one_in(8) && guard.passes(b"null") {
            return Some(Tree::raw("null"));
        }
        let first = self.random.below(2);
        for attempt in first..first + PASS_TRIES {
            let made = match guarded.is_json() || attempt % 2 == 0 {
                true => self.by_document(guarded, guard, Intent::Pass),
                false => self.by_rules(guarded),
            };
            if let Some(made) = made
                && guard.passes(&plain(&made))
            {
                return Some(made);
            }
        }
        (guarded.takes_null() && guard.passes(b"null")).then(|| Tree::raw("null"))
    }

    /// A value that the guard refuses with `code`, and that the compiled rules should let pass.
    pub(super) fn failing(&mut self, guarded: Guarded<'_>, guard: &Guard, code: RejectCode) -> Option<Tree> {
        for _ in 0..FAIL_TRIES {
            let made = match code {
                RejectCode::OutOfRange => self.beyond_a_double(guarded, guard),
                RejectCode::Format => self.badly_formed(guard),
                _ => self.refused(guarded, guard),
            };
            if let Some(made) = made
                && let Err(broken) = guard.check(&plain(&made))
                && broken.code == code
            {
                return Some(made);
            }
        }
        None
    }

    fn by_rules(&mut self, guarded: Guarded<'_>) -> Option<Tree> {
        match guarded {
            Guarded::Event(root) => self.object(root, None),
            Guarded::Field(field) => self.unguarded(field, None),
        }
    }

    fn by_document(&mut self, guarded: Guarded<'_>, guard: &Guard, intent: Intent) -> Option<Tree> {
        self.intent = intent;
        self.bare = !guarded.is_json() && self.schema.extra == Extra::Refuse;
        let made = self.parts.of(guard).and_then(|part| self.json(&[part], 0));
        self.intent = Intent::Pass;
        made
    }

    fn refused(&mut self, guarded: Guarded<'_>, guard: &Guard) -> Option<Tree> {
        let json = guarded.is_json();
        match self.random.below(8) {
            0 => self.by_document(guarded, guard, Intent::Fail),
            1 => {
                let made = self.by_document(guarded, guard, Intent::Pass)?;
                Some(self.spoilt(made, guarded))
            }
            2 => {
                let made = self.by_rules(guarded)?;
                Some(self.spoilt(made, guarded))
            }
            // The compiled rules alone say little of what the guard wants, and must be kept.
            _ if !json => self.by_rules(guarded),
            3 => Some(self.anything()),
            4 if !self.parts.values.is_empty() => {
                let values = &self.parts.values;
                Some(Tree::of(&values[self.random.index(values.len())], &mut self.random))
            }
            5 => self.by_document(guarded, guard, Intent::Fail),
            _ => {
                let made = self.by_document(guarded, guard, Intent::Pass)?;
                Some(self.spoilt(made, guarded))
            }
        }
    }

    /// Changed in one place, or in two.
    fn spoilt(&mut self, made: Tree, guarded: Guarded<'_>) -> Tree {
        let once = mutated(made, self.parts, guarded.is_json(), &mut self.random);
        match self.random.one_in(4) {
            true => mutated(once, self.parts, guarded.is_json(), &mut self.random),
            false => once,
        }
    }

    fn beyond_a_double(&mut self, guarded: Guarded<'_>, guard: &Guard) -> Option<Tree> {
        let number = Tree::raw(self.random.pick(&["1e309", "-1e400", "1.8E+308", "9e999999999999"]));
        if guarded.is_json() {
            return Some(match self.random.below(3) {
                0 => Tree::Array(vec![Tree::raw("1"), number]),
                1 => Tree::Object(vec![(b"value".to_vec(), number)]),
                _ => number,
            });
        }
        let made = match self.random.one_in(2) {
            true => self.by_rules(guarded)?,
            false => self.by_document(guarded, guard, Intent::Pass)?,
        };
        match made {
            Tree::Object(mut members) => {
                members.push((b"beyond".to_vec(), number));
                Some(Tree::Object(members))
            }
            _ => None,
        }
    }

    fn badly_formed(&mut self, guard: &Guard) -> Option<Tree> {
        let parts = self.parts;
        let format =
            parts.of(guard).and_then(|index| parts.get(index)).and_then(|part| part.format.as_deref())?;
        let made = text::bad_other_format(format, &mut self.random);
        Some(Tree::string(made.as_bytes(), &mut self.random))
    }
}

/// As a guard reads it.
fn plain(made: &Tree) -> Vec<u8> {
    made.write(&mut Random::of(&[0]))
}
