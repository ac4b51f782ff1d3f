//! SQL over one cut of the data: a statement, who asks, and the tables they see go in; a bounded Arrow stream comes out.
//! Always: a statement reads the cut's tables and nothing else (no file, no socket, no setting), and every
//! statement is bounded in text, depth, memory, time and rows; bytes of the lake are used only after their checksum matched.
//! Does not know sockets, HTTP, Delta or the journal;
//! nothing above this crate holds a session of the engine.

mod answer;
mod catalog;
pub mod child;
mod cut;
mod engine;
mod error;
mod expression;
mod footers;
mod functions;
mod hot;
mod known;
mod prune;
pub mod render;
mod resolved;
mod runner;
mod statement;
mod stop;
mod system;
mod table;
mod threads;
mod verified;
mod views;

pub use answer::Answer;
pub use cut::{
    AsOf, AsOfMoment, Cut, CutFile, Files, HotBatches, HotError, HotPart, HotScan, HotSource, Listed, Names,
    NoHot, NotSeen, PayloadOpener, Pieces, Range, Ranges, TableCut, TableKind, streams_schema,
};
pub use engine::Engine;
pub use error::QueryError;
pub use expression::Expression;
pub use runner::{Runner, SqlSettings};
pub use statement::check_embeddable;
