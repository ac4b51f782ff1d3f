//! Statements against a real cut: Parquet files of two schema versions and hot batches behind them.

mod damage;
mod hostile;
mod house;
mod limits;
mod payloads;
mod pruned;
mod resolved;
mod scan;
mod slt;
