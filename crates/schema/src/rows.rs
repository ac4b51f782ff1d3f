//! Rows as bytes and as tables: the bodies of a journal's blocks, and what becomes of them in the lake and in SQL.
//! Always: bytes that lie give an error, never a panic. Does not know frames, files or keys.

mod codec;
mod json;
mod plain;
mod rewrite;
mod tables;

pub use codec::{Encoding, RowsError, decode, decode_columns, encode};
pub use json::to_json;
pub use plain::encode_parts;
pub use rewrite::{Change, Computed, Computing, Means, Misfit, Misfits, Protection, rewrite};
pub use tables::{
    Optional, adapt, body_schema, ledger_table_batch, ledger_table_schema, rejects_body_schema,
    rejects_table_batch, rejects_table_schema, table_batch, table_columns_of,
};
