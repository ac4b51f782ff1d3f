//! `torture sql`: hostile statements, four at a time, beside steady ingest. Always: with the binary of the tests, because
//! the statements and what must hold live with them (`hostile_sql.rs`); this sizes that test and shows what it prints.

use anyhow::Result;

use super::Options;
use crate::workspace::{cargo, run as run_command};

const TEST: &str = "hostile_statements_hurt_nobody";

pub fn run(options: &Options) -> Result<()> {
    println!("torture sql --n {} --seed {}", options.n.unwrap_or(400), options.seed);
    // All crates in one selection: another one would have other features, and build the engine again.
    let arguments = ["test", "--workspace", "--test", "it", TEST, "--", "--nocapture"];
    run_command(
        cargo()
            .args(arguments)
            .env("HW_STATEMENTS", options.n.unwrap_or(400).to_string())
            .env("HW_STRICT", "1")
            .env("HW_SEED", options.seed.to_string()),
    )
}
