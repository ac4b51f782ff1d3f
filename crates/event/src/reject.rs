//! Why an event was refused: the closed list of codes. The text of each is part of the public surface.

use std::{fmt, str::FromStr};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One code a rejected event; the first fault in document order decides which.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RejectCode { $($(#[$doc])* $name,)* }

        impl RejectCode {
            pub const ALL: &[RejectCode] = &[$(RejectCode::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(RejectCode::$name => $text,)* }
            }
        }

        impl FromStr for RejectCode {
            type Err = UnknownRejectCode;

            fn from_str(text: &str) -> Result<RejectCode, UnknownRejectCode> {
                match text { $($text => Ok(RejectCode::$name),)* _ => Err(UnknownRejectCode) }
            }
        }
    };
}

codes! {
    /// The bytes are not JSON.
    JsonSyntax = "json_syntax",
    /// Bad UTF-8 or a lone surrogate.
    JsonUnicode = "json_unicode",
    /// Nested deeper than `limits.depth`.
    JsonDepth = "json_depth",
    /// An object names a key twice.
    JsonRepeatedKey = "json_repeated_key",
    /// JSON, but no object.
    NotObject = "not_object",
    /// Larger than `limits.event`.
    TooLarge = "too_large",
    Type = "type",
    Required = "required",
    Minimum = "minimum",
    Maximum = "maximum",
    /// A number the column's type cannot hold.
    OutOfRange = "out_of_range",
    Length = "length",
    Pattern = "pattern",
    Enum = "enum",
    Format = "format",
    Items = "items",
    MultipleOf = "multiple_of",
    UnknownField = "unknown_field",
    /// A rule that only the slow path checks.
    Keyword = "keyword",
    /// The stream has no schema.
    NoSchema = "no_schema",
    /// A key=value record that is no record.
    Record = "record",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown reject code")]
pub struct UnknownRejectCode;

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
