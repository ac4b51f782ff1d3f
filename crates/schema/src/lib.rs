//! Schemas: from a document to one compiled meaning, and from bytes to governed Arrow columns.
//! Always: bad user data is a value (`Rejected`, `Fault`), never an error or a panic; clear text of a protected field
//! reaches no column, message or path. Does no IO, reads no clock, knows no protocol.

pub mod columns;
mod decode;
mod document;
mod evolve;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod generate;
mod guard;
mod json;
mod marks;
mod murmur;
mod nearest;
mod notation;
mod payload;
mod registry;
pub mod rows;
mod rules;
mod schema;

pub use decode::{Applied, DecodeLimits, Decoder, Format, KvFields, Record, Rejected, RowInfo};
pub use evolve::{Expression, Fit, Protecting, Rewrite, RewriteAction, Step};
pub use format::date_time;
pub use generate::{Generator, NotMade};
pub use json::{JsonFault, Member, MemberValue, Members};
pub use murmur::{murmur2, partition_of};
pub use nearest::nearest;
pub use notation::{Fetch, FileFault, Notation, Translated};
pub use payload::{Frame, PayloadFault, PayloadForm, PayloadOpened, PayloadReader, PayloadRefused};
pub use registry::{Registry, Stream};
pub use schema::{
    Array, Checked, Decimal, Extra, Fault, Field, Kind, Map, Mode, Object, PRIVACY_METADATA, Privacy,
    Retention, Schema, Time, TimeUnit, TokenRule,
};
