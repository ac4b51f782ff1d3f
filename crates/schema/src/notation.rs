//! Other notations of a schema: Cap'n Proto, Avro and Protobuf. Each is translated into our own document, which alone
//! says what an event is; the notation's text travels in it under `x-notation`, so that payloads can be read for ever.
//! Always: two notations that say the same give the same fields; what cannot be translated is a fault with file, line
//! and hint; imports are asked for by name and never leave the directory they start in. Does no IO.

pub(crate) mod avro;
pub(crate) mod capnp;
mod document;
mod draft;
mod files;
mod keywords;
pub(crate) mod protobuf;

use std::collections::BTreeMap;

use crate::schema::{Fault, Schema};

pub(crate) use self::{
    document::NotationText,
    draft::{Draft, Member, Shape},
    files::{Files, Place, Problems},
    keywords::{Keywords, Literal, Settings},
};
pub use self::{document::Translated, files::FileFault};

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Notation {
    Json,
    Capnp,
    Avro,
    Protobuf,
}

impl Notation {
    pub const ALL: &[Notation] = &[Notation::Json, Notation::Capnp, Notation::Avro, Notation::Protobuf];

    /// The ending of its files' names, and its name in `x-notation`.
    pub fn extension(self) -> &'static str {
        match self {
            Notation::Json => "json",
            Notation::Capnp => "capnp",
            Notation::Avro => "avsc",
            Notation::Protobuf => "proto",
        }
    }

    pub fn of_extension(extension: &str) -> Option<Notation> {
        Notation::ALL.iter().copied().find(|notation| notation.extension() == extension)
    }

    pub fn noun(self) -> &'static str {
        match self {
            Notation::Json => "JSON Schema",
            Notation::Capnp => "Cap'n Proto",
            Notation::Avro => "Avro",
            Notation::Protobuf => "Protobuf",
        }
    }
}

/// A byte of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(pub usize);

/// What is wrong at one place of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub at: At,
    pub message: String,
    pub hint: String,
}

impl Wrong {
    pub fn new(at: At, message: impl Into<String>, hint: &str) -> Wrong {
        Wrong { at, message: message.into(), hint: hint.to_owned() }
    }
}

/// Gives the text of a file that a schema imports, by its name below the schemas' directory.
pub type Fetch<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

impl Schema {
    /// Reads a schema in another notation. `stream` helps to choose the type that is the event; `main` is the file's
    /// name below the schemas' directory.
    pub fn translate(
        notation: Notation,
        stream: &str,
        main: &str,
        text: &str,
        fetch: &mut Fetch<'_>,
    ) -> Result<Translated, Vec<FileFault>> {
        let mut problems = Problems::default();
        let (files, draft) = match notation {
            Notation::Json => {
                let as_file = |fault: Fault| FileFault { file: main.to_owned(), fault };
                return match Schema::parse(text) {
                    Ok(checked) => Ok(Translated {
                        schema: checked.schema,
                        warnings: checked.warnings.into_iter().map(as_file).collect(),
                    }),
                    Err(faults) => Err(faults.into_iter().map(as_file).collect()),
                };
            }
            Notation::Capnp => {
                let files = capnp::load(main, text, fetch, &mut problems);
                let draft = capnp::draft(&files, stream, None, &mut problems);
                (files, draft)
            }
            Notation::Avro => {
                let files = Files::new(main, text);
                let draft = avro::draft(&files, &mut problems);
                (files, draft)
            }
            Notation::Protobuf => {
                let loaded = protobuf::load(main, text, fetch, &mut problems);
                let draft = protobuf::draft(&loaded, stream, &mut problems);
                (loaded.files, draft)
            }
        };
        document::finish(notation, files, draft, problems)
    }

    pub fn notation(&self) -> Notation {
        self.notation.as_ref().map_or(Notation::Json, |text| text.notation)
    }
}

/// The names that the type of a stream's events may have where nothing else tells which one it is: that of the stream, its
/// last part, or `Event`.
pub(crate) fn root_names(stream: &str) -> [String; 3] {
    let capitalised = |text: &str| {
        let mut chars = text.chars();
        chars.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + chars.as_str())
    };
    let parts: Vec<String> = stream.split(['.', '_', '-']).map(capitalised).collect();
    [parts.concat(), parts.last().cloned().unwrap_or_default(), "Event".to_owned()]
}

/// The files of a notation as they are kept: the name of the first, and all of them.
pub(crate) type Texts = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
