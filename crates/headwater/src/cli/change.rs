//! The commands that change what is there, or say what would change: `erase` and `plan`.

use std::path::PathBuf;

use clap::Args;

use super::{ServerArgs, SettingArgs};

#[derive(Debug, Args)]
pub struct Erase {
    /// Whom to forget
    #[arg(value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// More of them, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Why, for the receipt
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only count what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until it is done
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// List what was asked for
    #[arg(long, conflicts_with_all = ["subjects", "file", "dry_run", "show", "check"])]
    pub list: bool,
    /// Show how an erasure stands, and its receipt
    #[arg(long, value_name = "ID", conflicts_with_all = ["subjects", "file", "dry_run", "check"])]
    pub show: Option<String>,
    /// Check the signature of a receipt; needs no server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subjects", "file", "dry_run"])]
    pub check: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
