//! The doors in: each turns bytes of one protocol into framed events and hands them to the gate.
//! Doors never import one another; what two of them need has a room of its own here.

pub mod directory;
pub(crate) mod framing;
pub mod http;
pub mod replay;
pub mod tcp;

pub use framing::json as frame_json;
