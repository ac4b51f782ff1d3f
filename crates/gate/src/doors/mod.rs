//! The doors in: each turns bytes of one protocol into framed events and hands them to the gate.
//! Doors never import one another.

pub mod http;
pub mod tcp;
