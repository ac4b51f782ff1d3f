//! Options of fields and messages: those of ours are annotations, any other is told of and ignored.
//! Always: an option is ours by the file that declares it, not by its name.

use prost_reflect::{DynamicMessage, ExtensionDescriptor, Value};

use super::ANNOTATIONS_FILE;
use crate::notation::{
    Files, Keywords, Literal, Place, Problems, Settings,
    keywords::{FIELD_NAMES, TYPE_NAMES},
    protobuf::places::{FIELD_OPTIONS, MESSAGE_OPTIONS, Places},
};

/// Numbers beyond this are not told apart by a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A part of a file.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub file: &'a str,
    pub path: &'a [i32],
}

pub(super) struct Options<'a, 'p> {
    pub files: &'a Files,
    pub places: &'a Places,
    pub problems: &'p mut Problems,
}

impl Options<'_, '_> {
    pub fn field(&mut self, options: &DynamicMessage, part: Part<'_>) -> Keywords {
        let mut keywords = Keywords::default();
        for (name, value, place) in self.ours(options, part, FIELD_OPTIONS) {
            if let Err(message) = keywords.add(&name, &value) {
                self.problems.error(place, message, format!("a field takes {}", FIELD_NAMES.join(", ")));
            }
        }
        keywords
    }

    pub fn message(&mut self, options: &DynamicMessage, part: Part<'_>) -> Settings {
        let mut settings = Settings::default();
        for (name, value, place) in self.ours(options, part, MESSAGE_OPTIONS) {
            if let Err(message) = settings.add(&name, &value) {
                self.problems.error(place, message, format!("a message takes {}", TYPE_NAMES.join(", ")));
            }
        }
        settings
    }

    /// Our annotations among the options, in the order in which they are written.
    fn ours(
        &mut self,
        options: &DynamicMessage,
        part: Part<'_>,
        member: i32,
    ) -> Vec<(String, Literal, Place)> {
        let mut found: Vec<(String, Literal, Place)> = Vec::new();
        for (option, value) in options.extensions() {
            let place = self.places.option(self.files, part.file, part.path, member, option.number());
            if option.parent_file().name() == ANNOTATIONS_FILE {
                found.push((keyword(&option), literal(value), place));
            } else {
                let message = format!("the option ({}) is ignored", option.full_name());
                let hint = format!("only those that {ANNOTATIONS_FILE} declares mean something here");
                self.problems.warn(place, message, hint);
            }
        }
        found.sort_by_key(|(_, _, place)| (place.file, place.at));
        found
    }
}

/// The annotation that an option is, by the name that all notations have for it.
fn keyword(option: &ExtensionDescriptor) -> String {
    match option.name() {
        "hash_sha256" => "hash.sha256",
        "event_time" => "eventTime",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "token_domain" => "tokenDomain",
        "token_format" => "tokenFormat",
        "renamed_from" => "renamedFrom",
        name => name,
    }
    .to_owned()
}

fn literal(value: &Value) -> Literal {
    match value {
        Value::Bool(true) => Literal::Present,
        Value::Bool(false) => Literal::Absent,
        Value::String(text) => Literal::Text(text.clone()),
        Value::U32(number) => Literal::Integer(i128::from(*number)),
        Value::F64(number) if number.fract() == 0.0 && number.abs() < EXACT_MAX =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and not too large")]
            Literal::Integer(*number as i128)
        }
        Value::F64(number) if number.fract() == 0.0 => Literal::Other,
        Value::F64(number) => Literal::Float(*number),
        _ => Literal::Other,
    }
}
