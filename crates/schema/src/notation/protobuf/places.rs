//! Places in the files of a Protobuf schema: from the paths that descriptors have, and from what protox complains of.
//! Always: a place lies in a file of the user's; what has none is put at the start of the schema's own file.

use std::collections::HashMap;

use miette::{Diagnostic, LabeledSpan};
use prost_reflect::FileDescriptor;

use crate::notation::{Files, Place, Problems};

const LANGUAGE: &str = "see https://protobuf.dev/programming-guides/proto3";
/// The member of each descriptor that holds its name, and the one that holds its options.
const NAME: i32 = 1;
/// The member of a field that holds its options; that of a message is another.
pub(super) const FIELD_OPTIONS: i32 = 8;
pub(super) const MESSAGE_OPTIONS: i32 = 7;

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
        problems.error(place, message, hint);
    };
    note(error);
    for related in error.related().into_iter().flatten() {
        note(related);
    }
}
