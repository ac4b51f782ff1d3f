//! The files of a Protobuf schema: the main one and whatever it imports, each parsed once.
//! Always: a name is written as the language wants it, from `schemas/` on; nesting is bounded before anything is parsed.

use std::collections::HashMap;

use protox::{
    Error,
    file::{File, FileResolver, GoogleFileResolver},
};

use super::{
    ANNOTATIONS, ANNOTATIONS_FILE,
    places::{byte_of, note},
};
use crate::notation::{Fetch, Files, Place, Problems};

/// Brackets within one another. More than a document may have levels, and few enough for any reader.
const NESTING_MAX: usize = 64;
/// The member of a file that lists its imports.
const IMPORTS: i32 = 3;

/// Texts and what was parsed of them.
#[derive(Default)]
pub(crate) struct Loaded {
    pub files: Files,
    pub(super) parsed: Parsed,
}

/// Gives protox what was read already.
#[derive(Default, Clone)]
pub(super) struct Parsed(HashMap<String, File>);

impl FileResolver for Parsed {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        if let Some(file) = self.0.get(name) {
            return Ok(file.clone());
        }
        match name {
            ANNOTATIONS_FILE => File::from_source(name, ANNOTATIONS),
            _ => GoogleFileResolver::new().open_file(name),
        }
    }
}

/// Reads a file and all that it imports. Faults are noted.
pub(crate) fn load(main: &str, text: &str, fetch: &mut Fetch<'_>, problems: &mut Problems) -> Loaded {
    let mut loaded = Loaded { files: Files::new(main, text), parsed: Parsed::default() };
    let mut next = 0;
    while next < loaded.files.count() {
        let (name, text) = (loaded.files.name(next).to_owned(), loaded.files.text(next).to_owned());
        if let Some(at) = too_deep(&text) {
            let message = format!("brackets are nested deeper than {NESTING_MAX}");
            problems.error(Place { file: next, at }, message, "make it flatter");
            next += 1;
            continue;
        }
        match File::from_source(&name, &text) {
            Ok(parsed) => {
                imports(&mut loaded.files, next, &parsed, fetch, problems);
                loaded.parsed.0.insert(name, parsed);
            }
            Err(error) => note(&error, &loaded.files, problems),
        }
        next += 1;
    }
    loaded
}

fn imports(files: &mut Files, from: usize, parsed: &File, fetch: &mut Fetch<'_>, problems: &mut Problems) {
    let proto = parsed.file_descriptor_proto();
    for (number, import) in proto.dependency.iter().enumerate() {
        if Parsed::default().open_file(import).is_ok() {
            continue;
        }
        if let Err(message) = files.import(from, import, Files::joined("", import), |name| fetch(name)) {
            let path = [IMPORTS, i32::try_from(number).unwrap_or(0)];
            let location = proto.source_code_info.iter().flat_map(|information| &information.location);
            let start = location.into_iter().find(|location| location.path == path).map(|it| &it.span[..]);
            let at = match start {
                Some([line, column, ..]) => byte_of(files.text(from), *line, *column),
                _ => 0,
            };
            let hint = format!(
                "name a file below schemas/, as seen from there; {ANNOTATIONS_FILE} and google/protobuf/*.proto are \
                 always there"
            );
            problems.error(Place { file: from, at }, message, hint);
        }
    }
}

/// Where brackets are nested too deeply. What stands in texts and comments does not count.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at += 1;
                while let Some(&inner) = bytes.get(at) {
                    match inner {
                        b'\\' => at += 1,
                        // A text ends with its line, whether it was closed or not.
                        b'\n' => break,
                        _ if inner == byte => break,
                        _ => {}
                    }
                    at += 1;
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let rest = &bytes[at + 2..];
                at += 3 + rest.windows(2).position(|two| two == b"*/").unwrap_or(rest.len());
            }
            b'{' | b'[' | b'(' | b'<' => {
                depth += 1;
                if depth > NESTING_MAX {
                    return Some(at);
                }
            }
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_of_texts_and_comments() {
        let deep = "{".repeat(NESTING_MAX);
        assert_eq!(too_deep(&deep), None);
        assert_eq!(too_deep(&format!("{deep}{{")), Some(NESTING_MAX));
        for hidden in ["\"{\"", "'{'", "// {\n", "/* { */", "\"\\\"{\"", "{}"] {
            let expected = (hidden == "{}").then_some(NESTING_MAX);
            assert_eq!(too_deep(&format!("{deep}{hidden}")), expected, "{hidden}");
        }
        // Comments that do not end.
        for text in ["/*", "//", "\"", "\\", "/* {"] {
            assert_eq!(too_deep(text), None);
        }
    }
}
