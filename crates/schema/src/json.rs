//! JSON as bytes: a strict reader that knows where it is, exact numbers, and the canonical form.
//! Always: what the reader passes is RFC 8259 in valid UTF-8, without repeated keys. Knows nothing of schemas.

mod canonical;
mod exact;
mod keys;
mod members;
mod quick;
mod scan;
mod text;
mod wide;

pub(crate) use canonical::write_canonical;
pub(crate) use exact::{Exact, NotWhole};
pub(crate) use keys::KeySet;
pub use members::{Member, MemberValue, Members};
pub(crate) use quick::{quick_integer, quick_number};
pub use scan::JsonFault;
pub(crate) use scan::{Number, Scanner, Text};
pub(crate) use text::{unescape, write_compact, write_float, write_string};
pub(crate) use wide::{CHUNK, plain};

/// No document may nest deeper than this, whatever the configuration says: the reader recurses.
pub(crate) const DEPTH_MAX: usize = 512;
