//! Followers: what reads the log and carries it into something derived (the lake; later views, routes).
//! Always: a follower holds a bounded number of bytes, delivers whole appends in order, and lets the log
//! forget an append only after its sink has made it durable.
//! Does not know any concrete sink, and never writes to the log.

mod blocking;
mod decode;
pub mod detached;
mod follow;
mod handle;
pub mod hot;
mod precedence;
mod sink;

pub use blocking::{helper, judging_threads, lower_priority, spawn_apart, spawn_blocking, spawn_heavy};
pub use decode::{DecodeError, decode_rejects, decode_rows};
pub use follow::{FollowError, FollowerSettings, follow};
pub use handle::{FollowerHandle, FollowerStatus, Stopped};
pub use precedence::{MadeWay, make_way};
pub use sink::{Delivery, Positions, RejectsDelivery, RowsDelivery, Sink, SinkError};
