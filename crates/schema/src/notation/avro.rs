//! Avro's schemas (1.11): JSON in, types with names out. Our keywords stand on fields and on the event's record as they
//! do in our own documents (`x-privacy`, `x-key`, `format`, …).
//! Always: reading is bounded; a type that is named is known before it is used, or refers to what is around it.

mod draft;
mod read;

pub(crate) use self::{draft::draft, read::read};
use super::Keywords;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// The number of a type with a name.
    Named(usize),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// An int that counts days.
    Date,
    /// A long that counts milliseconds or microseconds.
    TimestampMillis,
    TimestampMicros,
    Uuid,
    /// Of bytes.
    Decimal {
        precision: u8,
        scale: u8,
    },
}

/// All types of one schema.
#[derive(Debug)]
pub(crate) struct Types {
    pub root: Type,
    pub named: Vec<Named>,
}

#[derive(Debug)]
pub(crate) struct Named {
    /// Without its namespace.
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: Kind,
    pub at: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Record {
        fields: Vec<Field>,
        settings: Vec<(&'static str, serde_json::Value)>,
    },
    Enum {
        symbols: Vec<String>,
        default: Option<String>,
    },
    Fixed {
        bytes: usize,
        meaning: Type,
    },
    /// It is being read.
    Open,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub ty: Type,
    /// As the schema writes it.
    pub default: Option<serde_json::Value>,
    pub keywords: Keywords,
    pub at: usize,
}

impl Types {
    pub fn named(&self, index: usize) -> Option<&Named> {
        self.named.get(index)
    }

    /// A value that was written with the other one's is one of these, byte for byte.
    pub fn are_written_like(&self, other: &Types) -> bool {
        let same = |one: &Named, other: &Named| match (&one.kind, &other.kind) {
            (Kind::Record { fields, .. }, Kind::Record { fields: others, .. }) => {
                fields.len() == others.len()
                    && fields
                        .iter()
                        .zip(others)
                        .all(|(one, other)| one.name == other.name && one.ty == other.ty)
            }
            (Kind::Enum { symbols, .. }, Kind::Enum { symbols: others, .. }) => symbols == others,
            (Kind::Fixed { bytes, meaning }, Kind::Fixed { bytes: others, meaning: other }) => {
                (bytes, meaning) == (others, other)
            }
            _ => false,
        };
        // Types have their numbers in the order of the text, so twins have the same ones.
        self.root == other.root
            && self.named.len() == other.named.len()
            && self
                .named
                .iter()
                .zip(&other.named)
                .all(|(one, other)| one.name == other.name && same(one, other))
    }

    /// The name of a branch of a union, which is also that of its member in JSON.
    pub fn branch_name<'t>(&'t self, ty: &'t Type) -> &'t str {
        match ty {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int | Type::Date => "int",
            Type::Long | Type::TimestampMillis | Type::TimestampMicros => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes | Type::Decimal { .. } => "bytes",
            Type::String | Type::Uuid => "string",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            Type::Named(index) => self.named.get(*index).map_or("", |named| &named.name),
        }
    }
}

/// A union's branches without null, and whether null is one.
pub(crate) fn branches(union: &[Type]) -> (Vec<&Type>, bool) {
    let branches: Vec<&Type> = union.iter().filter(|branch| **branch != Type::Null).collect();
    let nullable = branches.len() < union.len();
    (branches, nullable)
}
