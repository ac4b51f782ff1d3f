//! What a Protobuf schema means: messages whose fields know their number, their type and what they are when not sent.
//! Always: every index of a message leads to one; defaults are the JSON that stands for them.

use std::sync::Arc;

use crate::notation::{Keywords, Place};

/// All messages that the event's message leads to; it is the first.
#[derive(Debug, Default)]
pub(crate) struct Messages(pub Vec<Body>);

#[derive(Debug)]
pub(crate) struct Body {
    pub name: String,
    pub place: Place,
    /// In the order of the file.
    pub fields: Vec<Field>,
    /// (number, index of the field), by number.
    pub numbers: Vec<(u32, usize)>,
    /// How many oneofs there are.
    pub oneofs: usize,
    /// One of Google's own, whose JSON is not that of its fields.
    pub known: Option<Known>,
    /// It leads back to itself.
    pub recursive: bool,
}

impl Body {
    pub fn field(&self, number: u32) -> Option<usize> {
        let found = self.numbers.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().map(|at| self.numbers[at].1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Timestamp,
    Duration,
    /// `google.protobuf.StringValue` and its like: the one value, which may be missing.
    Wrapper,
    Struct,
    Value,
    List,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    /// The name as it stands in the text.
    pub quoted: Vec<u8>,
    pub number: u32,
    pub label: Label,
    pub ty: Type,
    /// The number of the oneof that it is a member of.
    pub oneof: Option<usize>,
    pub keywords: Keywords,
    pub place: Place,
}

#[derive(Debug)]
pub(crate) enum Label {
    /// One value. What it is when it was not sent; `None`: it is not there.
    One(Option<Vec<u8>>),
    /// proto2's `required`.
    Required,
    Repeated,
    /// A map; its keys have this type.
    Map(Type),
}

#[derive(Debug, Clone)]
pub(crate) enum Type {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
    String,
    Bytes,
    Enum(Arc<Names>),
    Message(usize),
    /// proto2's group: a message between two tags.
    Group(usize),
}

/// The values of an enum.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In the order of the file, aliases too.
    pub all: Vec<String>,
    /// By number, the first name of each, as it stands in the text.
    pub quoted: Vec<(i32, Vec<u8>)>,
}

impl Names {
    pub fn quoted(&self, number: i32) -> Option<&[u8]> {
        let found = self.quoted.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().map(|at| &self.quoted[at].1[..])
    }
}

impl Type {
    /// The message that it is.
    pub fn message(&self) -> Option<usize> {
        match self {
            Type::Message(index) | Type::Group(index) => Some(*index),
            _ => None,
        }
    }
}
