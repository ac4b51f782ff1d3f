//! The whole product, through its real binary: what a user would do, and what an enemy would.
//! Each file is one promise. Nothing here knows the inside. `check` and `client` need no server of ours: the clients speak
//! to a fake one there, which can misbehave as ours does not.

mod allocator;
mod backup;
mod bad_input;
mod behind;
mod by_key;
mod canaries;
mod check;
mod client;
mod closed;
mod cloudevents;
mod compaction;
mod damage;
mod dictionary;
mod directories;
mod doctor;
mod erasure;
mod export;
mod fake;
mod fleet;
mod generate;
mod generation;
mod hostile;
mod hostile_sql;
mod idempotency;
mod million;
mod mistakes;
mod notations;
mod repair;
mod reshape;
mod retention;
mod scanner;
mod sensors;
mod server;
mod sql_child;
mod sql_files;
mod tables;
mod time_travel;
mod tokens;
mod verify;
