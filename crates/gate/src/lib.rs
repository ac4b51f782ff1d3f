//! The gate: every event passes here. Resolve, apply, partition, dedupe, one append, receipt, ledger.
//! Always: what a door framed is stored, rejected or a duplicate, and the append that keeps it also keeps
//! its verdicts, its idempotency key and its tally. Does not answer queries and knows no SQL.

mod assembly;
mod attributes;
mod blocks;
mod catalog;
pub mod doors;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod judged;
mod place;
mod producers;
mod sequencer;
mod submission;
mod window;

pub use attributes::{Attributes, EnvelopeFault, EventAttributes};
pub use catalog::{Catalog, CatalogError};
pub use doors::frame_json;
pub use gate::{
    Gate, GateParts, GateSettings, Running,
    replay::{Retry, Returned, Sender, Written},
};
pub use submission::{
    EventError, Framed, Framing, Identity, OffsetRange, Positions, ProducerSequence, Receipt, Refusal,
    Retried, Submission,
};
