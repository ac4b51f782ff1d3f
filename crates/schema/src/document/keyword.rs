//! What is said of a keyword by its name alone: unknown, misplaced, without effect, to come.
//! Always: a keyword of another vocabulary is a warning, one of ours that does not exist an error; where a known one is
//! near, it is named. Values of keywords are judged by whoever reads them.

use super::{
    Reader,
    field::short,
    join,
    tree::{Member, Node, Value},
    words::{WORDS, Word, word},
};
use crate::nearest;

impl Reader<'_> {
    /// Judges each keyword of a part with columns; `type_name` is empty where it is not known.
    pub(super) fn keywords(&mut self, node: &Node, pointer: &str, type_name: &str, at_root: bool) {
        for member in node.members() {
            let name = member.name.as_str();
            let pointer = join(pointer, name);
            match word(name) {
                Some(Word::Root) if at_root => {}
                Some(Word::Rule(_))
                    if name == "required" && matches!(member.value.value, Value::Boolean(_)) =>
                {
                    let message = "required is a list of names, beside the properties that it names";
                    self.error(
                        &pointer,
                        member.at,
                        message,
                        "write \"required\": [NAME, …] into the object around",
                    );
                }
                Some(Word::Rule(types) | Word::Residual(types)) => {
                    if !types.is_empty() && !type_name.is_empty() && !types.contains(&type_name) {
                        let message = format!("{name:?} has no effect on the type {type_name}");
                        if name.starts_with("x-") {
                            self.error(&pointer, member.at, message, "take it away");
                        } else {
                            self.warn(&pointer, member.at, message, "take it away");
                        }
                    }
                }
                found => self.keyword(member, found, &pointer),
            }
        }
    }

    /// Judges a keyword of a part without columns.
    pub(super) fn residual_keyword(&mut self, member: &Member, pointer: &str) {
        self.keyword(member, word(&member.name), pointer);
    }

    fn keyword(&mut self, member: &Member, found: Option<Word>, pointer: &str) {
        let (name, at) = (member.name.as_str(), member.at);
        match found {
            Some(Word::Annotation | Word::Rule(_) | Word::Residual(_)) => {}
            Some(Word::NotBuilt) => self.not_built(pointer, at, format_args!("the keyword {name:?}")),
            Some(Word::Root) => {
                let message = format!("{name:?} says something about the stream");
                self.error(pointer, at, message, "move it to the root of the document");
            }
            None if name.starts_with("x-") => {
                let message = format!("there is no keyword {:?}", short(name));
                let hint = "see the reference of schemas for the x- keywords".to_owned();
                let ours = WORDS.iter().copied().filter(|word| word.starts_with("x-"));
                self.error(pointer, at, message, &did_you_mean(name, ours).unwrap_or(hint));
            }
            None => {
                let message = format!("the keyword {:?} is not known and has no effect", short(name));
                let field = member.value.get("type").is_some() || member.value.get("$ref").is_some();
                let hint = match did_you_mean(name, WORDS.iter().copied()) {
                    _ if field => "if it is a field, move it under \"properties\"".to_owned(),
                    Some(hint) => hint,
                    None => "take it away, or correct its name".to_owned(),
                };
                self.warn(pointer, at, message, &hint);
            }
        }
    }
}

/// Asks for the nearest of the known names.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean {near:?}?"))
}

/// What somebody may have meant who wrote a type that there is not.
pub(super) fn type_hint(name: &str) -> String {
    let hint = match name.to_ascii_lowercase().as_str() {
        "int" | "int32" | "int64" | "long" | "bigint" | "short" | "uint" | "uint64" => "write \"integer\"",
        "float" | "double" | "decimal" | "numeric" | "real" => "write \"number\"",
        "bool" => "write \"boolean\"",
        "str" | "text" | "varchar" | "char" | "uuid" => "write \"string\"",
        "date" | "datetime" | "timestamp" | "time" => {
            "write \"string\" with \"format\": \"date-time\", \"date\" or \"time\""
        }
        "list" | "tuple" | "set" => "write \"array\" with \"items\"",
        "map" | "dict" | "struct" | "record" => {
            "write \"object\" with \"properties\" or \"additionalProperties\""
        }
        other => {
            const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "object", "array", "null"];
            let all = "the types are string, integer, number, boolean, object, array and null";
            return did_you_mean(other, TYPES).unwrap_or_else(|| all.to_owned());
        }
    };
    hint.to_owned()
}
