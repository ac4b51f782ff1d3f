//! Protobuf's schema language: files in, read by protox; messages out, whose fields know their number and their type.
//! Always: imports are asked for by name from whoever holds the files; our annotations and Google's own files come with
//! this program, and no file of a user stands in for them. Services and extensions of messages are read and left out.

mod compile;
mod draft;
mod load;
mod meaning;
mod options;
mod places;

pub(crate) use self::{
    draft::{draft, messages},
    load::load,
    meaning::{Body, Field, Known, Label, Messages, Type},
};

/// The annotations that we know, as a file which a schema imports. It is known without being there.
pub const ANNOTATIONS_FILE: &str = "headwater/annotations.proto";
pub const ANNOTATIONS: &str = include_str!("protobuf/annotations.proto");
