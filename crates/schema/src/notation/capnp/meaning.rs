//! What a Cap'n Proto schema means: structs whose fields know their type and their place on the wire.
//! Always: every index of a struct leads to one; places are what `layout` gave.

use super::tree::Name;
use crate::notation::{Keywords, Place};

/// All structs that the event's struct leads to; it is the first.
#[derive(Debug, Default)]
pub(crate) struct Structs(pub Vec<Body>);

#[derive(Debug)]
pub(crate) struct Body {
    pub name: String,
    pub place: Place,
    pub fields: Vec<Field>,
    /// Of a union without a name: where its number lies, in units of two bytes.
    pub choice: Option<Choice>,
    /// It leads back to itself.
    pub recursive: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    pub offset: u32,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: Name,
    pub place: Place,
    pub shape: Shape,
    /// The number of this member in the union that it belongs to.
    pub branch: Option<u16>,
    pub keywords: Keywords,
}

#[derive(Debug)]
pub(crate) enum Shape {
    Slot(Slot),
    /// A group or a named union: fields of the same struct, in an object of their own.
    Inner(Body),
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub ty: Type,
    /// In units of the type's size, or of pointers.
    pub offset: u32,
    /// The bits of a default value, which the wire is XORed with.
    pub default: u64,
    /// Of a text or bytes.
    pub default_bytes: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Type {
    Void,
    Bool,
    /// The logarithm of its bits, 3 to 6.
    Integer {
        size: u32,
        signed: bool,
    },
    Float32,
    Float64,
    Text,
    Data,
    Enum(std::sync::Arc<[String]>),
    List(Box<Type>),
    Struct(usize),
}

impl Type {
    /// The logarithm of its bits; `None`: a pointer, or nothing at all.
    pub fn data_size(&self) -> Option<u32> {
        Some(match self {
            Type::Bool => 0,
            Type::Integer { size, .. } => *size,
            Type::Enum(_) => 4,
            Type::Float32 => 5,
            Type::Float64 => 6,
            Type::Void | Type::Text | Type::Data | Type::List(_) | Type::Struct(_) => return None,
        })
    }
}
