//! Places in the files of a Protobuf schema: from the paths that descriptors have, and from what protox complains of.
//! Always: a place lies in a file of the user's; what has none is put at the start of the schema's own file.

use std::collections::HashMap;

use miette::{Diagnostic, LabeledSpan};
use prost_reflect::FileDescriptor;

use super::ANNOTATIONS_FILE;
use crate::{
    nearest::nearest,
    notation::{Files, Place, Problems},
};

const LANGUAGE: &str = "see https://protobuf.dev/programming-guides/proto3";
/// The member of each descriptor that holds its name, and the one that holds its options.
const NAME: i32 = 1;
/// The member of a field that holds its options; that of a message is another.
pub(super) const FIELD_OPTIONS: i32 = 8;
pub(super) const MESSAGE_OPTIONS: i32 = 7;

/// The types that need no declaration.
const SCALARS: &[&str] = &[
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
    "sfixed32", "sfixed64", "bool", "string", "bytes",
];
const ANNOTATION_NAMES: &[&str] = &[
    "id",
    "subject",
    "hash",
    "hash_sha256",
    "tokenize",
    "drop",
    "key",
    "event_time",
    "required",
    "time",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "min_length",
    "max_length",
    "precision",
    "scale",
    "token_domain",
    "token_format",
    "renamed_from",
    "from",
    "event",
    "name",
    "partitions",
    "mode",
    "extra",
    "retention",
];

/// The lines and columns, from 0, at which the parts of all files begin.
#[derive(Default)]
pub(super) struct Places {
    /// By the file's name and the path of the part.
    starts: HashMap<String, HashMap<Vec<i32>, (i32, i32)>>,
}

impl Places {
    pub fn add(&mut self, file: &FileDescriptor) {
        let information = file.file_descriptor_proto().source_code_info.as_ref();
        let starts = self.starts.entry(file.name().to_owned()).or_default();
        for location in information.iter().flat_map(|information| &information.location) {
            if let [line, column, ..] = location.span[..] {
                starts.entry(location.path.clone()).or_insert((line, column));
            }
        }
    }

    /// The place of a part's name.
    pub fn name(&self, files: &Files, file: &str, path: &[i32]) -> Place {
        let mut name = path.to_vec();
        name.push(NAME);
        self.find(files, file, &name)
    }

    /// The place of an option of a part; of the part, if the option has none of its own.
    pub fn option(&self, files: &Files, file: &str, path: &[i32], options: i32, number: u32) -> Place {
        let mut option = path.to_vec();
        option.extend([options, i32::try_from(number).unwrap_or(0)]);
        if self.starts.get(file).is_some_and(|starts| starts.contains_key(&option)) {
            return self.find(files, file, &option);
        }
        self.name(files, file, path)
    }

    pub fn find(&self, files: &Files, file: &str, path: &[i32]) -> Place {
        let Some(index) = files.find(file) else { return Place::default() };
        let start = self.starts.get(file).and_then(|starts| starts.get(path));
        let at = start.map_or(0, |&(line, column)| byte_of(files.text(index), line, column));
        Place { file: index, at }
    }
}

/// The byte of a line and a column, both from 0.
pub(super) fn byte_of(text: &str, line: i32, column: i32) -> usize {
    let count = |n: i32| usize::try_from(n).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(count(line)).map(str::len).sum();
    start.saturating_add(count(column)).min(text.len())
}

/// What to do where a name leads nowhere.
fn not_defined(message: &str, text: &str) -> Option<String> {
    let name = message.strip_prefix("name '")?.strip_suffix("' is not defined")?;
    if let Some(annotation) = name.strip_prefix("headwater.") {
        if !text.contains(ANNOTATIONS_FILE) {
            return Some(format!("write import \"{ANNOTATIONS_FILE}\"; beside the other imports"));
        }
        let known = nearest(annotation, ANNOTATION_NAMES.iter().copied());
        return Some(known.map_or_else(
            || format!("there are {}", ANNOTATION_NAMES.join(", ")),
            |known| format!("did you mean (headwater.{known})?"),
        ));
    }
    let known = nearest(name, SCALARS.iter().copied());
    Some(known.map_or_else(
        || {
            let scalars = SCALARS.join(", ");
            format!("declare it, or import the file that does; what needs no declaration is {scalars}")
        },
        |known| format!("did you mean {known}?"),
    ))
}

/// Notes what protox found wrong.
pub(super) fn note(error: &protox::Error, files: &Files, problems: &mut Problems) {
    let file = error.file().and_then(|name| files.find(name)).unwrap_or(0);
    let mut note = |found: &dyn Diagnostic| {
        let labels: Vec<LabeledSpan> = found.labels().into_iter().flatten().collect();
        // Of two labels one says where the other party stands.
        let is_fault = |label: &&LabeledSpan| {
            label.label().is_some_and(|text| text.contains("found") || text.contains("again"))
        };
        let label = labels.iter().find(is_fault).or(labels.last());
        let place = Place { file, at: label.map_or(0, LabeledSpan::offset) };
        let hint = found.help().map_or_else(|| LANGUAGE.to_owned(), |help| help.to_string());
        let message = match found.to_string() {
            // Its words for a name that no import may have are those for a group's name.
            message if message == "invalid group name" && hint.starts_with("imports ") => {
                "this is no name of a file that can be imported".to_owned()
            }
            message => message,
        };
        let hint = not_defined(&message, files.text(file)).unwrap_or(hint);
        problems.error(place, message, hint);
    };
    note(error);
    for related in error.related().into_iter().flatten() {
        note(related);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::protobuf::ANNOTATIONS;

    #[test]
    fn every_annotation_is_known_by_name() {
        let declared = ANNOTATIONS.lines().filter_map(|line| line.trim().strip_prefix("optional "));
        let names: Vec<&str> = declared.filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(names, ANNOTATION_NAMES);
    }

    #[test]
    fn a_name_that_leads_nowhere_has_a_hint() {
        let hint =
            |name: &str, text: &str| not_defined(&format!("name '{name}' is not defined"), text).unwrap();
        assert_eq!(hint("strin", ""), "did you mean string?");
        assert_eq!(
            hint("headwater.hash", ""),
            "write import \"headwater/annotations.proto\"; beside the other imports"
        );
        assert_eq!(
            hint("headwater.hsh", "import \"headwater/annotations.proto\";"),
            "did you mean (headwater.hash)?"
        );
        assert!(hint("shop.Order", "").contains("import the file"));
        assert_eq!(not_defined("another fault", ""), None);
    }
}
