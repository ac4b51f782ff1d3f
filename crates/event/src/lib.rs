//! The vocabulary of Headwater: the few types that every other crate speaks.
//! Always: plain values, cheap to copy or to clone. Does no IO, knows no Arrow, spawns nothing.

mod ack;
mod name;
mod position;
mod principal;
mod reject;
pub mod sabotage;
mod tally;
mod time;

pub use ack::{Ack, UnknownAck};
pub use name::{InvalidStreamName, RESOLUTIONS, SYSTEM_NAMES, StreamName};
pub use position::{Offset, Partition, SchemaNumber, Seq, StreamId};
pub use principal::Principal;
pub use reject::{RejectCode, UnknownRejectCode};
pub use tally::{MalformedTally, Tally};
pub use time::{Clock, Entropy, SystemClock, Timestamp};
