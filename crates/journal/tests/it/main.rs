//! The journal from outside: crashes, damage, the handle and its thread, foreign batches, the stored formats.

mod copy;
mod corpus;
mod damage;
mod format;
mod found;
mod handle;
mod model;
mod opaque;
mod places;
mod recovery;
mod rotation;
mod simulation;
mod wipe;
