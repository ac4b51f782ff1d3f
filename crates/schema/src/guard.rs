//! The slower path: what no compiled rule says of a value is checked by the `jsonschema` library.
//! Always: a guard judges by the whole of its part of the schema; formats assert, and are those of the compiled path;
//! patterns run in linear time; no reference leaves the document; no message quotes a value.
//! Makes no columns. Numbers that are no 64-bit integers are compared as doubles here.

mod value;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, OnceLock},
};

use hw_event::RejectCode;
use jsonschema::{
    Draft, PatternOptions, Registry, ValidationError, ValidationOptions, Validator,
    error::ValidationErrorKind,
};
use serde_json::{Value, json};

pub(crate) use self::value::{NotDouble, read as read_value};
use crate::{
    format::{TextFormat, parse_date, parse_date_time},
    json::Scanner,
};

/// Of one value's faults, this many are looked at to find the first.
const FAULTS_MAX: usize = 64;
/// Visits of one place times bytes of the value: some seconds at the worst.
const JUDGING_COST_MAX: u64 = 2_000_000_000;
/// Parts of the schema times bytes of the value.
const NAMING_COST_MAX: u64 = 500_000;
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The check of one value.
#[derive(Clone)]
pub(crate) struct Guard {
    /// Where its part of the schema stands in the document.
    pub pointer: String,
    pub checks: Arc<Checks>,
    /// SHA-256 of what it demands, without remarks: equal digests give equal verdicts.
    pub meaning: [u8; 32],
    pub effort: Effort,
    /// Null is not looked at: another branch takes it.
    pub null_passes: bool,
}

/// What judging a value by a part costs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// The parts of the schema that one place of a value may meet; `None`: without end.
    pub unfolded: Option<u64>,
    /// How often the parts are looked at for one place of the value.
    pub visits: u64,
}

impl Effort {
    pub const NONE: Effort = Effort { unfolded: Some(0), visits: 0 };
}

/// The guards of one document.
#[derive(Default)]
pub(crate) struct Checks {
    /// By the pointer of the part.
    validators: OnceLock<HashMap<String, Validator>>,
    /// Every name that the document gives to a property: only these are shown in a path.
    names: HashSet<String>,
}

/// A broken guard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub code: RejectCode,
    /// From the value on, with `*` for names that the schema does not give.
    pub path: String,
    pub message: String,
    /// Where the fault stands in the value's bytes.
    pub at: usize,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("pointer", &self.pointer).finish_non_exhaustive()
    }
}

impl Checks {
    pub fn new(names: HashSet<String>) -> Checks {
        Checks { validators: OnceLock::new(), names }
    }

    /// Compiles the guards of the parts at `pointers`. A fault comes with the pointer of its part.
    pub fn compile<'p>(
        &self,
        document: &Value,
        draft: Draft,
        pointers: impl IntoIterator<Item = &'p str>,
    ) -> Result<(), (String, String)> {
        const DOCUMENT: &str = "urn:headwater:schema";
        let at = |pointer: &str, error: &dyn fmt::Display| (pointer.to_owned(), error.to_string());
        let registry = Registry::new()
            .draft(draft)
            .add(DOCUMENT, document)
            .and_then(|registry| registry.prepare())
            .map_err(|error| at("", &error))?;
        let mut validators = HashMap::new();
        for pointer in pointers {
            let entry = json!({"$ref": format!("{DOCUMENT}#{}", fragment(pointer))});
            let built = options(draft).with_registry(&registry).build(&entry);
            validators.insert(pointer.to_owned(), built.map_err(|error| at(pointer, &error))?);
        }
        // A second call would bring the same.
        let _ = self.validators.set(validators);
        Ok(())
    }

    /// The verdict of the part at `pointer` alone; `None`: it was not compiled.
    pub fn passes(&self, pointer: &str, value: &Value) -> Option<bool> {
        Some(self.validators.get()?.get(pointer)?.is_valid(value))
    }
}

/// Everything that is wrong with `document` by the rules of its own dialect: pointer and message.
pub(crate) fn faults_of_document(document: &Value, draft: Draft) -> Vec<(String, String)> {
    let meta = match draft {
        Draft::Draft7 => jsonschema::draft7::meta::validator(),
        _ => jsonschema::draft202012::meta::validator(),
    };
    meta.iter_errors(document).take(FAULTS_MAX).map(described).collect()
}

fn described(error: ValidationError<'_>) -> (String, String) {
    (error.instance_path().as_str().to_owned(), error.to_string())
}

fn options<'r>(draft: Draft) -> ValidationOptions<'r> {
    let mut options = jsonschema::options()
        .offline()
        .with_draft(draft)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        // An encoding is a remark here: nothing is decoded on this path.
        .without_content_encoding_support("base64")
        .without_content_media_type_support("application/json")
        .with_format("date-time", |text| parse_date_time(text.as_bytes()).is_ok())
        .with_format("date", |text| parse_date(text.as_bytes()).is_some());
    for (name, format) in TextFormat::ALL {
        options = options.with_format(name, move |text| format.matches(text.as_bytes()));
    }
    options
}

/// Does this path assert the format, though no compiled rule does?
pub(crate) fn knows_format(name: &str, draft: Draft) -> bool {
    name != "duration" && options(draft).is_known_format(draft, name)
}

/// A pointer as the fragment of a URI.
fn fragment(pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b'$' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl Guard {
    /// The verdict alone, of one checked value.
    pub fn passes(&self, json: &[u8]) -> bool {
        let null = self.null_passes && json == b"null";
        null || read_value(json).is_ok_and(|value| self.checks.passes(&self.pointer, &value) == Some(true))
    }

    /// `json` is one checked value.
    pub fn check(&self, json: &[u8]) -> Result<(), Broken> {
        if self.null_passes && json == b"null" {
            return Ok(());
        }
        let value = read_value(json).map_err(|NotDouble { at }| Broken {
            code: RejectCode::OutOfRange,
            path: String::new(),
            message: "the number is beyond a 64-bit float".to_owned(),
            at,
        })?;
        let validators = self.checks.validators.get();
        let Some(validator) = validators.and_then(|map| map.get(&self.pointer)) else {
            // Registration has seen to it that there is one; without it nothing may pass.
            return Err(Broken {
                code: RejectCode::Keyword,
                path: String::new(),
                message: "this part of the schema could not be compiled".to_owned(),
                at: 0,
            });
        };
        if self.effort.visits.saturating_mul(json.len() as u64) > JUDGING_COST_MAX {
            return Err(Broken {
                code: RejectCode::TooLarge,
                path: String::new(),
                message: format!("the value is too large for a part that forks so often ({})", self.pointer),
                at: 0,
            });
        }
        if validator.is_valid(&value) {
            return Ok(());
        }
        let broken = || Broken {
            code: RejectCode::Keyword,
            path: String::new(),
            message: format!("the value breaks the schema ({})", self.pointer),
            at: 0,
        };
        // Naming the faults costs memory for each; past this the verdict alone must do.
        let cost = self.effort.unfolded.map_or(u64::MAX, |parts| parts.saturating_mul(json.len() as u64));
        if cost > NAMING_COST_MAX {
            return Err(broken());
        }
        let mut first: Option<(usize, ValidationError<'_>)> = None;
        for error in validator.iter_errors(&value).take(FAULTS_MAX) {
            let at = place_of(json, error.instance_path().as_str()).unwrap_or(0);
            if first.as_ref().is_none_or(|(first, _)| at < *first) {
                first = Some((at, error));
            }
        }
        let Some((at, error)) = first else { return Err(broken()) };
        Err(Broken {
            // The field's own format is a rule like those of the compiled path.
            code: match error.schema_path().as_str().strip_prefix(&self.pointer) {
                Some("/format") => RejectCode::Format,
                _ => RejectCode::Keyword,
            },
            path: self.shown(&value, &error),
            message: self.message(&error),
            at,
        })
    }

    /// The path of `error` in `value`, without keys that came with the event.
    fn shown(&self, value: &Value, error: &ValidationError<'_>) -> String {
        let mut path = String::new();
        let mut at = Some(value);
        for part in error.instance_path().as_str().split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let shown = match at {
                Some(Value::Array(items)) => {
                    at = name.parse().ok().and_then(|index: usize| items.get(index));
                    at.is_some()
                }
                Some(Value::Object(members)) => {
                    at = members.get(&name);
                    self.checks.names.contains(&name)
                }
                _ => false,
            };
            path.push('/');
            path.push_str(if shown { part } else { "*" });
        }
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                if let Some(name) = property.as_str().filter(|name| self.checks.names.contains(*name)) {
                    path.push('/');
                    path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
            }
            ValidationErrorKind::AdditionalProperties { .. }
            | ValidationErrorKind::UnevaluatedProperties { .. }
            | ValidationErrorKind::PropertyNames { .. } => path.push_str("/*"),
            _ if forbids_fields(error) => path.push_str("/*"),
            _ => {}
        }
        path
    }

    fn message(&self, error: &ValidationError<'_>) -> String {
        use ValidationErrorKind as Kind;
        let what = match error.kind() {
            Kind::Required { property } => {
                match property.as_str().filter(|name| self.checks.names.contains(*name)) {
                    Some(_) => "the field is missing",
                    None => "a field is missing",
                }
            }
            Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
                "the schema does not allow this field"
            }
            Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => "the schema allows fewer items",
            _ if forbids_fields(error) => "the schema does not allow this field",
            Kind::FalseSchema => "the schema allows no value here",
            Kind::Constant { .. } | Kind::Enum { .. } => "the value is none of those that the schema lists",
            Kind::Type { .. } => "the value is of another type",
            Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "the value fits none of the alternatives",
            Kind::OneOfMultipleValid { .. } => "the value fits more than one of the alternatives",
            Kind::Not { .. } => "the value is one that the schema shuts out",
            Kind::Contains => "too few or too many items fit",
            Kind::UniqueItems => "two items are equal",
            Kind::PropertyNames { .. } => "the name of a field is not allowed",
            _ => "the value breaks a rule",
        };
        format!("{what} ({})", error.schema_path().as_str())
    }
}

/// `additionalProperties: false` alone: the library calls the whole object forbidden.
fn forbids_fields(error: &ValidationError<'_>) -> bool {
    let rule = error.schema_path().as_str();
    matches!(error.kind(), ValidationErrorKind::FalseSchema)
        && (rule.ends_with("/additionalProperties") || rule.ends_with("/unevaluatedProperties"))
}

/// Where the part of a checked value at `pointer` begins.
fn place_of(json: &[u8], pointer: &str) -> Option<usize> {
    let mut scanner = Scanner::new(json, crate::json::DEPTH_MAX);
    scanner.space();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        value::enter(&mut scanner, part.as_bytes())?;
    }
    Some(scanner.at())
}

#[cfg(test)]
mod tests;
