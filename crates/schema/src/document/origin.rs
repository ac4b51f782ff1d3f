//! `x-renamed-from` and `x-from`: where a field's values stand in the rows of an older version.
//! Always: they stand at a named field with a column; an expression only at the fields of the event itself, since it is one
//! over the columns of a table. Whether there is such a field or column, only the older version can say (`evolve`).

use super::{
    Reader, join,
    tree::{Node, Value},
    words::{Holds, holds},
};
use crate::schema::Origin;

const RENAMED: &str = "x-renamed-from";
const EXPRESSION: &str = "x-from";
const EXPRESSION_BYTES_MAX: usize = 4096;

/// What is said of a named field. What is wrong with it is told by `Reader::origins`.
pub(super) fn origin(node: &Node) -> Option<Box<Origin>> {
    let text = |keyword| node.get(keyword).and_then(Node::text).map(str::to_owned);
    let origin = Origin { renamed_from: text(RENAMED), expression: text(EXPRESSION) };
    (origin != Origin::default()).then(|| Box::new(origin))
}

/// Which part of a document is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A named field: of the event itself, or deeper.
    Field {
        of_event: bool,
    },
    Other,
}

impl<'d> Reader<'d> {
    /// Judges the two keywords wherever they stand.
    pub(super) fn origins(&mut self, tree: &'d Node) {
        // The part, whether its fields have columns, and whether it is the event.
        let mut open: Vec<(&Node, String, Part, bool)> = vec![(tree, String::new(), Part::Other, true)];
        while let Some((node, pointer, part, columns)) = open.pop() {
            for keyword in [RENAMED, EXPRESSION] {
                if let Some(found) = node.get(keyword) {
                    self.judge_origin(keyword, found, &join(&pointer, keyword), part);
                }
            }
            if let (Some(found), Some(_)) = (node.get(RENAMED), node.get(EXPRESSION)) {
                let message = "a field is renamed, or computed";
                self.error(&join(&pointer, RENAMED), found.at, message, "take one of the two away");
            }
            for member in node.members() {
                let at = join(&pointer, &member.name);
                let within =
                    columns && matches!(&*member.name, "properties" | "items" | "additionalProperties");
                let named = matches!(&*member.name, "$defs" | "definitions");
                match (&member.value.value, holds(&member.name)) {
                    (Value::Object(members), Holds::Named) => {
                        let field = member.name == "properties" && within;
                        let of_event = pointer.is_empty();
                        let part = if field { Part::Field { of_event } } else { Part::Other };
                        open.extend(members.iter().map(|it| (&it.value, join(&at, &it.name), part, within)));
                    }
                    // What a reference leads to has columns, but its name is given where the reference stands.
                    (Value::Object(members), _) if named => {
                        let inner =
                            |it: &'d super::tree::Member| (&it.value, join(&at, &it.name), Part::Other, true);
                        open.extend(members.iter().map(inner));
                    }
                    (Value::Object(_), Holds::Schema) => open.push((&member.value, at, Part::Other, within)),
                    (Value::Array(items), Holds::Schema | Holds::List) => {
                        let inner = items.iter().enumerate();
                        open.extend(
                            inner.map(|(place, it)| (it, join(&at, &place.to_string()), Part::Other, false)),
                        );
                    }
                    _ => {}
                }
            }
        }
    }

    fn judge_origin(&mut self, keyword: &str, found: &Node, pointer: &str, part: Part) {
        let text = found.text().filter(|text| !text.trim().is_empty());
        match (keyword, part, text) {
            (_, Part::Other, _) => {
                let message = format!("{keyword} is said of a named field with a column of its own");
                self.error(
                    pointer,
                    found.at,
                    message,
                    "put it beside the field's \"type\" or \"$ref\", under \"properties\"",
                );
            }
            (EXPRESSION, Part::Field { of_event: false }, _) => {
                let message = "only fields of the event itself are computed";
                self.error(
                    pointer,
                    found.at,
                    message,
                    "take it away; a value inside of an object keeps its type",
                );
            }
            (RENAMED, _, None) => {
                self.error(
                    pointer,
                    found.at,
                    "this is no name of a field",
                    "write the name that the field had",
                );
            }
            (_, _, None) => {
                let hint = "write an SQL expression over the columns that there were, such as \"CAST(price AS BIGINT)\"";
                self.error(pointer, found.at, "this is no expression", hint);
            }
            (EXPRESSION, _, Some(text)) if text.len() > EXPRESSION_BYTES_MAX => {
                let message = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
                self.error(pointer, found.at, message, "shorten it");
            }
            _ => {}
        }
    }
}
