//! Cap'n Proto's schema language: text in, structs with their places on the wire out.
//! Always: reading is bounded in depth and size, and imports are asked for by name from whoever holds the files.
//! Tolerated and left out: constants, interfaces, declarations of annotations. Refused: generics, `AnyPointer`.

mod draft;
mod layout;
mod lexer;
mod meaning;
mod parser;
mod plan;
mod resolve;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::{
    draft::{draft, structs},
    meaning::{Body, Shape, Slot, Structs, Type},
    resolve::load,
};

/// The annotations that we know, as a file which a schema can import. It is known without being there.
pub const METADATA_FILE: &str = "/headwater/metadata.capnp";
pub const METADATA: &str = include_str!("capnp/metadata.capnp");
