//! From a draft to a schema, and the notation's own text inside of our document.
//! Always: what is stored under `x-notation` is enough to read payloads again, without any file.

use serde_json::{Value, json};

use super::{Draft, FileFault, Files, Notation, Place, Problems, Texts, draft};
use crate::schema::{Fault, Schema};

/// A schema that was translated, and what is worth telling its author.
#[derive(Debug)]
pub struct Translated {
    pub schema: Schema,
    pub warnings: Vec<FileFault>,
}

/// A schema as it was written, kept in our document.
#[derive(Debug, Clone)]
pub(crate) struct NotationText {
    pub notation: Notation,
    /// The type that is the event.
    pub root: String,
    pub main: String,
    pub files: Texts,
}

pub(super) fn finish(
    notation: Notation,
    files: Files,
    drafted: Option<Draft>,
    mut problems: Problems,
) -> Result<Translated, Vec<FileFault>> {
    if files.are_too_large() {
        problems.error(
            Place::default(),
            "the files of this schema are too large together",
            "split the stream",
        );
    }
    let drafted = drafted.filter(|_| problems.faults.is_empty());
    let Some(drafted) = drafted else { return Err(told(&files, problems.faults)) };
    let root = drafted.root.clone();
    let written = draft::write(drafted, &mut problems);
    if !problems.faults.is_empty() {
        return Err(told(&files, problems.faults));
    }
    let mut document = written.document;
    document.insert(
        "x-notation".to_owned(),
        json!({"kind": notation.extension(), "root": root, "main": files.main(), "files": files.texts()}),
    );
    let text = Value::Object(document).to_string();
    let place = |pointer: &str| -> Place {
        let mut at = pointer;
        loop {
            if let Some((_, place)) = written.places.iter().find(|(known, _)| known == at) {
                return *place;
            }
            at = at.rfind('/').map_or("", |end| &at[..end]);
        }
    };
    // The pointer is into a text that nobody wrote: the place says where.
    let as_written = |fault: Fault| {
        let hint = hint(fault.hint, notation);
        files.fault(place(&fault.pointer), fault.message, hint)
    };
    match Schema::parse(&text) {
        Ok(checked) => {
            let mut warnings = told(&files, problems.warnings);
            warnings.extend(checked.warnings.into_iter().map(as_written));
            Ok(Translated { schema: checked.schema, warnings })
        }
        Err(faults) => Err(faults.into_iter().map(as_written).collect()),
    }
}

fn told(files: &Files, mut problems: Vec<(Place, String, String)>) -> Vec<FileFault> {
    problems.sort_by_key(|(place, _, _)| (place.file, place.at));
    problems.into_iter().map(|(place, message, hint)| files.fault(place, message, hint)).collect()
}

/// Hints of our document speak of its keywords; in another notation they have other names.
fn hint(hint: String, notation: Notation) -> String {
    if notation == Notation::Json { hint } else { hint.replace("\"required\"", "the required fields") }
}
