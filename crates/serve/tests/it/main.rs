//! The doors out over real sockets.

mod house;
mod listener;
mod reads;
mod sql;
