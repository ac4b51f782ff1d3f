//! The follower and the hot tail over a log in memory. Time is paused: waiting costs nothing.

mod detached;
mod fixture;
mod follow;
mod hot;
