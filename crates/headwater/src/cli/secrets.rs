//! The commands on what is kept secret: `tokens` and `vault`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ServerArgs, SettingArgs, root_key};
use crate::config;

#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Say what tokens stand for
    ///
    /// The server must allow it (reveal = true under [privacy]) and writes down who asked, for what and why, before it
    /// answers; refusals too. Exits with 1 if one of the tokens has no value (unknown, erased or damaged).
    Reveal(TokensReveal),
}

#[derive(Debug, Args)]
pub struct TokensReveal {
    /// Up to 100 tokens
    #[arg(value_name = "TOKEN", required = true)]
    pub tokens: Vec<String>,
    /// The tokens' domain: x-token-domain of the field, else the field's name
    #[arg(long, value_name = "D")]
    pub domain: String,
    /// Why you ask; it is kept in the audit record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Say where the root key comes from and how much the vault holds
    ///
    /// Asks the running server, or opens the data directory itself.
    Status(VaultStatus),
    /// Seal the vault under another root key
    ///
    /// The server must not run. Without --to a new key takes the place of keys/root.key; with privacy.root_key set, --to names
    /// the new one, and the setting has to be changed before the next start. Tokens stay as they are.
    Rotate(VaultRotate),
}

#[derive(Debug, Args)]
pub struct VaultStatus {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct VaultRotate {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// The new root key: file:PATH, env:NAME or command:PROGRAM ARGS
    #[arg(long, value_name = "SOURCE", value_parser = root_key)]
    pub to: Option<config::RootKeySource>,
}
