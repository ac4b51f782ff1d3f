//! The files that a schema is written in, places in them, and what is wrong there.
//! Always: a file's name is relative and stays below the directory of the schemas.

use std::collections::BTreeMap;

use super::{At, Texts, Wrong};
use crate::schema::Fault;

/// Together; what is stored with a schema is bounded by this.
const BYTES_MAX: usize = 512 * 1024;
const FILES_MAX: usize = 64;
const FAULTS_MAX: usize = 200;

/// A byte of one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub file: usize,
    pub at: usize,
}

/// A fault and the file, as named below the schemas' directory, that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    pub file: String,
    pub fault: Fault,
}

/// In the order in which they were met; the first is the schema's own.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: Vec<(String, String)>,
    /// By the importing file and the words of its import.
    imports: BTreeMap<(usize, String), usize>,
}

impl Files {
    pub fn new(main: &str, text: &str) -> Files {
        Files { files: vec![(main.to_owned(), text.to_owned())], imports: BTreeMap::new() }
    }

    /// From what was kept; whatever is asked for is among it.
    pub fn main(&self) -> &str {
        self.files.first().map_or("", |(name, _)| name)
    }

    pub fn count(&self) -> usize {
        self.files.len()
    }

    pub fn name(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |(name, _)| name)
    }

    pub fn text(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |(_, text)| text)
    }

    pub fn imported(&self, from: usize, import: &str) -> Option<usize> {
        self.imports.get(&(from, import.to_owned())).copied()
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|(known, _)| known == name)
    }

    /// Those that did not come with this program.
    pub fn texts(&self) -> Texts {
        self.files.iter().filter(|(name, _)| !name.starts_with('/')).cloned().collect()
    }

    /// Takes in what `import` of file `from` names. `known` gives the texts that come with this program.
    pub fn import(
        &mut self,
        from: usize,
        import: &str,
        name: Result<String, String>,
        text: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<(), String> {
        let name = name?;
        let file = match self.find(&name) {
            Some(file) => file,
            None => {
                if self.files.len() >= FILES_MAX {
                    return Err(format!("more than {FILES_MAX} files are imported"));
                }
                let text = text(&name)?;
                let bytes: usize = self.files.iter().map(|(_, text)| text.len()).sum();
                if bytes + text.len() > BYTES_MAX {
                    return Err(format!(
                        "the files of this schema are larger than {BYTES_MAX} bytes together"
                    ));
                }
                self.files.push((name, text));
                self.files.len() - 1
            }
        };
        self.imports.insert((from, import.to_owned()), file);
        Ok(())
    }

    pub fn are_too_large(&self) -> bool {
        self.files.iter().map(|(_, text)| text.len()).sum::<usize>() > BYTES_MAX
    }

    /// The name below the schemas' directory of what `import` means in the file named `from`.
    pub fn joined(from: &str, import: &str) -> Result<String, String> {
        if import.contains(['\\', ':', '\0']) {
            return Err(format!("{import:?} is no name of a file"));
        }
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in import.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() => {
                    return Err(format!("{import:?} leads out of the directory of the schemas"));
                }
                ".." => {}
                _ => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    pub fn fault(&self, place: Place, message: String, hint: String) -> FileFault {
        let text = self.text(place.file);
        let at = text.floor_char_boundary(place.at.min(text.len()));
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let fault = Fault {
            pointer: String::new(),
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            message,
            hint,
        };
        FileFault { file: self.name(place.file).to_owned(), fault }
    }
}

/// What is wrong, and what is worth a warning, as it is found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pub faults: Vec<(Place, String, String)>,
    pub warnings: Vec<(Place, String, String)>,
}

impl Problems {
    pub fn error(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        let fault = (place, message.into(), hint.into());
        if self.faults.len() < FAULTS_MAX && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub fn wrong(&mut self, file: usize, wrong: Wrong) {
        let At(at) = wrong.at;
        self.error(Place { file, at }, wrong.message, wrong.hint);
    }

    pub fn warn(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        let warning = (place, message.into(), hint.into());
        if self.warnings.len() < FAULTS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_stay_below_the_schemas() {
        let joined = |from: &str, import: &str| Files::joined(from, import).ok();
        assert_eq!(joined("a.capnp", "b.capnp").as_deref(), Some("b.capnp"));
        assert_eq!(joined("x/a.capnp", "../y/b.capnp").as_deref(), Some("y/b.capnp"));
        assert_eq!(joined("x/a.capnp", "./b.capnp").as_deref(), Some("x/b.capnp"));
        for bad in ["../b", "x/../../b", "c:b", "a\\b"] {
            assert_eq!(joined("a.capnp", bad), None, "{bad}");
        }
    }
}
