//! What one schema document means: its fields, their rules, and the columns they become.
//! Always: a `Schema` has passed every check of registration, so the decoder meets no surprises.
//! Does not parse documents (`document`), decode events (`decode`) or do IO.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::SchemaRef;
use hw_vault::TokenFormat;
use regex::bytes::Regex;

use crate::{
    Rewrite,
    decode::names::FieldNames,
    guard::Guard,
    json::Exact,
    marks::Marks,
    notation::NotationText,
    payload::Meaning,
    rules::{Count, NumberRules, OneOf, TextRules},
};

/// The metadata key of a column that says how it is protected: `subject`, `hash` or `tokenize`.
pub const PRIVACY_METADATA: &str = "headwater.privacy";

/// One version of a stream's schema. Immutable; shared as `Arc<Schema>`.
#[derive(Debug)]
pub struct Schema {
    pub(crate) document: String,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) root: Object,
    pub(crate) key: Vec<String>,
    pub(crate) partitions: i32,
    pub(crate) mode: Mode,
    pub(crate) extra: Extra,
    pub(crate) event_time: Option<String>,
    pub(crate) retention: Retention,
    /// Checks the whole event for what no compiled rule says.
    pub(crate) guard: Option<Box<Guard>>,
    /// As it was written, where that is not this document.
    pub(crate) notation: Option<NotationText>,
    /// What that means for payloads; made when the first one comes.
    pub(crate) payload: OnceLock<Option<Arc<Meaning>>>,
    pub(crate) protected: bool,
    /// Where among the columns the subject stands.
    pub(crate) subject: Option<Vec<usize>>,
    pub(crate) token_domains: Vec<Arc<str>>,
    pub(crate) user_columns: SchemaRef,
    pub(crate) table_columns: SchemaRef,
}

/// A document that was accepted, and what is worth telling its author.
#[derive(Debug)]
pub struct Checked {
    pub schema: Schema,
    pub warnings: Vec<Fault>,
}

/// One thing that is wrong with a schema document, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The JSON pointer of the offending part of the document.
    pub pointer: String,
    /// Where that part starts; both count from 1, columns in characters.
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{}:{}: {pointer}: {}", self.line, self.column, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// What a bad event does to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It goes to the error lake, its neighbours are stored.
    #[default]
    Dlq,
    /// The request is refused.
    Reject,
}

/// How long, and up to which size, a stream's rows are kept, and which of a key. Nothing is said: all, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    pub age: Option<std::time::Duration>,
    /// Of the table's live files.
    pub bytes: Option<u64>,
    /// Of events older than this only the last of each key is kept.
    pub compact: Option<std::time::Duration>,
    /// The field that is `true` in an event after which its key has none.
    pub deleted: Option<String>,
}

/// What happens to properties that the schema does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Kept in `_extra`.
    Keep,
    /// The event is a reject.
    Refuse,
    /// Left out and counted. The default of a stream with protected fields.
    Drop,
}

/// How a field is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Says whose data the event is. Stored as sent, never quoted.
    Subject,
    /// Stored as a keyed digest.
    Hash,
    /// Stored as a token, which the vault can lead back.
    Tokenize,
    /// Checked, never stored.
    Drop,
}

impl Privacy {
    pub fn as_str(self) -> &'static str {
        match self {
            Privacy::Subject => "subject",
            Privacy::Hash => "hash",
            Privacy::Tokenize => "tokenize",
            Privacy::Drop => "drop",
        }
    }
}

/// Which tokens a field's values have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRule {
    /// Tokens of one domain are alike for alike values, whichever streams they are of.
    pub(crate) domain: Arc<str>,
    /// The domain's place in the schema's list.
    pub(crate) slot: usize,
    pub(crate) format: TokenFormat,
}

impl TokenRule {
    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn format(&self) -> TokenFormat {
        self.format
    }
}

/// The unit of a time that is written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl TimeUnit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "us",
            TimeUnit::Nanosecond => "ns",
        }
    }

    /// The microseconds of so many whole units, rounded down.
    #[inline]
    pub(crate) fn micros(self, units: i64) -> Option<i64> {
        match self {
            TimeUnit::Second => units.checked_mul(1_000_000),
            TimeUnit::Millisecond => units.checked_mul(1000),
            TimeUnit::Microsecond => Some(units),
            TimeUnit::Nanosecond => Some(units.div_euclid(1000)),
        }
    }

    /// One unit is ten to this power of microseconds.
    pub(crate) fn exponent(self) -> i32 {
        match self {
            TimeUnit::Second => 6,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 0,
            TimeUnit::Nanosecond => -3,
        }
    }
}

/// One property of an object, or the element of an array or map.
#[derive(Debug)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) nullable: bool,
    pub(crate) privacy: Option<Privacy>,
    /// Of `Privacy::Tokenize`.
    pub(crate) token: Option<Box<TokenRule>>,
    pub(crate) one_of: Option<Box<OneOf>>,
    /// Checks each value for what no compiled rule says.
    pub(crate) guard: Option<Box<Guard>>,
    /// The index of this field's column among its siblings' columns; `None` where nothing is stored.
    pub(crate) column: Option<usize>,
    /// This field's place in `x-key`.
    pub(crate) key_slot: Option<usize>,
    pub(crate) is_event_time: bool,
    /// Where rows of older versions have its values.
    pub(crate) origin: Option<Box<Origin>>,
}

/// Where a field's values come from in rows of a version that did not say so yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// `x-renamed-from`: the name that the field had.
    pub(crate) renamed_from: Option<String>,
    /// `x-from`: an SQL expression over the columns of that version.
    pub(crate) expression: Option<String>,
}

impl Field {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Must it be there? Whether it may be `null` is another question.
    pub fn required(&self) -> bool {
        self.required
    }

    pub fn nullable(&self) -> bool {
        self.nullable
    }

    pub fn privacy(&self) -> Option<Privacy> {
        self.privacy
    }

    /// How its values are tokenised, if they are.
    pub fn token(&self) -> Option<&TokenRule> {
        self.token.as_deref()
    }

    pub(crate) fn renamed_from(&self) -> Option<&str> {
        self.origin.as_ref()?.renamed_from.as_deref()
    }

    pub(crate) fn expression(&self) -> Option<&str> {
        self.origin.as_ref()?.expression.as_deref()
    }

    /// A text stands in the column instead of the value: its digest, or its token.
    #[inline]
    pub(crate) fn is_replaced(&self) -> bool {
        matches!(self.privacy, Some(Privacy::Hash | Privacy::Tokenize))
    }
}

/// What a field holds, and so which column it becomes.
#[derive(Debug)]
pub enum Kind {
    Boolean,
    /// int64.
    Integer(Option<Box<NumberRules>>),
    /// float64.
    Number(Option<Box<NumberRules>>),
    String(Option<Box<TextRules>>),
    /// RFC 3339 text → timestamp.
    DateTime(Option<Box<TextRules>>),
    /// A number that counts from the epoch → timestamp.
    Time(Time),
    /// RFC 3339 full-date → date32.
    Date(Option<Box<TextRules>>),
    /// Base64 text → binary.
    Binary(Option<Box<TextRules>>),
    Decimal(Decimal),
    Object(Object),
    Array(Array),
    Map(Map),
    /// Values of no one type → JSON text, with what is protected inside.
    Json(Option<Box<Marks>>),
}

/// A time written as a number.
#[derive(Debug)]
pub struct Time {
    pub(crate) unit: TimeUnit,
    /// `type: integer`: fractions are refused.
    pub(crate) whole: bool,
    pub(crate) rules: Option<Box<NumberRules>>,
}

impl Time {
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// Fractions are refused.
    pub fn whole(&self) -> bool {
        self.whole
    }
}

/// An exact decimal number, written as a JSON number or as text.
#[derive(Debug)]
pub struct Decimal {
    pub(crate) precision: u8,
    pub(crate) scale: i8,
    /// `type: string`: the number stands in quotes.
    pub(crate) text: bool,
    pub(crate) rules: Option<Box<NumberRules>>,
}

impl Decimal {
    pub fn precision(&self) -> u8 {
        self.precision
    }

    pub fn scale(&self) -> i8 {
        self.scale
    }
}

/// Named properties → struct.
#[derive(Debug)]
pub struct Object {
    pub(crate) fields: Vec<Field>,
    pub(crate) names: FieldNames,
    /// `additionalProperties: false`.
    pub(crate) closed: bool,
    pub(crate) described: Described,
    pub(crate) count: Count,
}

/// Which properties without a name of their own the schema describes: they are kept in `_extra`, whatever becomes of
/// those that it does not.
#[derive(Debug)]
pub(crate) enum Described {
    All,
    Matching(Vec<Regex>),
}

impl Described {
    /// `name` as it reads, without escapes.
    pub fn holds(&self, name: &[u8]) -> bool {
        match self {
            Described::All => true,
            Described::Matching(patterns) => patterns.iter().any(|pattern| pattern.is_match(name)),
        }
    }
}

impl Object {
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// Items of one kind → list.
#[derive(Debug)]
pub struct Array {
    pub(crate) element: Box<Field>,
    pub(crate) count: Count,
    pub(crate) unique: bool,
}

impl Array {
    pub fn element(&self) -> &Field {
        &self.element
    }
}

/// Any keys with values of one kind → map.
#[derive(Debug)]
pub struct Map {
    pub(crate) value: Box<Field>,
    pub(crate) count: Count,
}

impl Map {
    pub fn value(&self) -> &Field {
        &self.value
    }
}

impl Kind {
    /// The word a message uses: `expected <noun>`.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Kind::Boolean => "a boolean",
            Kind::Integer(_) => "an integer",
            Kind::Time(time) if time.whole => "an integer",
            Kind::Number(_) | Kind::Time(_) => "a number",
            Kind::Decimal(decimal) if !decimal.text => "a number",
            Kind::String(_) | Kind::DateTime(_) | Kind::Date(_) | Kind::Binary(_) | Kind::Decimal(_) => {
                "a string"
            }
            Kind::Object(_) | Kind::Map(_) => "an object",
            Kind::Array(_) => "an array",
            Kind::Json(_) => "a JSON value",
        }
    }

    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self, Kind::Object(_) | Kind::Array(_) | Kind::Map(_) | Kind::Json(_))
    }

    pub(crate) fn number_rules(&self) -> Option<&NumberRules> {
        match self {
            Kind::Integer(rules) | Kind::Number(rules) => rules.as_deref(),
            Kind::Time(time) => time.rules.as_deref(),
            Kind::Decimal(decimal) => decimal.rules.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn text_rules(&self) -> Option<&TextRules> {
        match self {
            Kind::String(rules) | Kind::DateTime(rules) | Kind::Date(rules) | Kind::Binary(rules) => {
                rules.as_deref()
            }
            _ => None,
        }
    }
}

impl Schema {
    /// Reads a document of JSON Schema (2020-12 or draft-07) with Headwater's `x-` keywords. Every fault at once.
    pub fn parse(document: &str) -> Result<Checked, Vec<Fault>> {
        crate::document::parse(document)
    }

    /// What must hold for `next` to follow this schema without a new generation.
    pub fn check_change(&self, next: &Schema) -> Result<(), Vec<Fault>> {
        crate::evolve::check_change(self, next)
    }

    /// What has to be rewritten in the rows that are there, so that `next` may follow as a new generation.
    pub fn check_generation(&self, next: &Schema) -> Result<Vec<Rewrite>, Vec<Fault>> {
        crate::evolve::check_generation(self, next)
    }

    /// The document as it was given.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// SHA-256 of the document's canonical JSON: layout and the order of keys do not change it.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub fn fields(&self) -> &[Field] {
        &self.root.fields
    }

    /// The user's columns in schema order, without dropped fields. All are nullable: the decoder enforces `required`.
    pub fn user_columns(&self) -> &SchemaRef {
        &self.user_columns
    }

    /// The user's columns, then `_extra` and the reserved ones.
    pub fn table_columns(&self) -> &SchemaRef {
        &self.table_columns
    }

    /// The fields of `x-key`, in its order. Empty: events go to one partition per request, in turn.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn extra(&self) -> Extra {
        self.extra
    }

    /// The field that holds the event's time.
    pub fn event_time(&self) -> Option<&str> {
        self.event_time.as_deref()
    }

    /// How long rows are kept; `x-retention`.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    pub fn has_protected(&self) -> bool {
        self.protected
    }

    /// The domains of its tokens, each once.
    pub fn token_domains(&self) -> &[Arc<str>] {
        &self.token_domains
    }

    /// Top-level columns that hold a protected value, at any depth: no statistics may be written for them.
    pub fn protected_columns(&self) -> Vec<String> {
        fn holds_protected(field: &Field) -> bool {
            field.privacy.is_some()
                || match &field.kind {
                    Kind::Object(object) => object.fields.iter().any(holds_protected),
                    Kind::Array(array) => holds_protected(&array.element),
                    Kind::Map(map) => holds_protected(&map.value),
                    Kind::Json(marks) => marks.is_some(),
                    _ => false,
                }
        }
        let stored = self.root.fields.iter().filter(|field| field.column.is_some());
        stored.filter(|field| holds_protected(field)).map(|field| field.name.clone()).collect()
    }
}

/// The text of a rule's number in a message.
pub(crate) fn number_text(exact: &Exact) -> String {
    let mut text = Vec::new();
    exact.write(&mut text);
    text.into_iter().map(char::from).collect()
}
