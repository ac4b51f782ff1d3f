//! The commands that copy what is there: `export`, `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

use super::ServerArgs;

#[derive(Debug, Args)]
pub struct Export {
    /// A stream or table: sensor.reading, rejects, ledger. With --sql only what the file is called in a directory
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// A file that ends in .parquet, or a directory, which gets TABLE.parquet
    #[arg(value_name = "FILE|DIRECTORY")]
    pub target: PathBuf,
    /// Only rows for which this holds: a condition as in SQL
    #[arg(long, value_name = "CONDITION")]
    pub r#where: Option<String>,
    /// The table as of this version; headwater ls STREAM --versions lists them
    #[arg(long = "version", value_name = "N")]
    pub of_version: Option<u64>,
    /// The rows of this statement instead of a table's; it has to keep to sql.rows and sql.time
    #[arg(long, value_name = "QUERY", conflicts_with_all = ["where", "of_version"])]
    pub sql: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// A directory that is not there yet, or is empty
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// What headwater backup made
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data directory to be: not there yet, or empty
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}
