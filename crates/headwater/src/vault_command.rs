//! `headwater vault status` and `headwater vault rotate`: what an operator does to the vault itself.
//! Always: a rotation needs the data directory for itself, and ends under the old key or under the new one, whenever the
//! machine stops. Prints no key.

use std::{fmt::Write as _, io::Write as _, path::Path};

use anyhow::{Context, bail};
use hw_vault::{FileKeyStore, RootKey, SystemEntropy, Vault};
use serde_json::Value;

use crate::{
    cli,
    client::{error::ClientError, running_status},
    config::{CheckedConfig, Overrides},
    data_directory::{DataDirectory, InUse},
    exit::Exit,
    output, project,
    vault::{self, Opened},
};

pub fn run(command: cli::Vault) -> Exit {
    let result = match command {
        cli::Vault::Status(arguments) => status(arguments),
        cli::Vault::Rotate(arguments) => rotate(arguments),
    };
    match result {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("error: {}", crate::told(&error));
            if error.is::<InUse>() { Exit::Refused } else { Exit::Usage }
        }
    }
}

fn configured(directory: &Path, settings: cli::SettingArgs) -> anyhow::Result<CheckedConfig> {
    let checked = project::check(directory, &Overrides::of_process(settings.data, settings.set));
    match checked.project {
        Some((config, _)) => Ok(config),
        None => {
            crate::print_faults(&checked.faults);
            bail!("the project has faults; headwater check {} shows them", directory.display())
        }
    }
}

fn take(config: &CheckedConfig) -> anyhow::Result<(DataDirectory, FileKeyStore)> {
    if !Vault::exists(&config.data.join("vault")) {
        bail!("there is no vault in {}\n  the first start of the server makes one", config.data.display());
    }
    let directory = DataDirectory::open(&config.data)?;
    let keys = FileKeyStore::open(&directory.keys())?;
    Ok((directory, keys))
}

fn status(arguments: cli::VaultStatus) -> anyhow::Result<Exit> {
    let config = configured(&arguments.directory, arguments.settings)?;
    let told = match running_status(&config.data).map_err(|error: ClientError| anyhow::anyhow!("{error}"))? {
        Some(status) => status.get("vault").cloned().unwrap_or_default(),
        None => {
            let (directory, keys) = take(&config)?;
            let opened = vault::open_as_it_is(&directory, config.privacy.root_key.as_ref(), &keys)?;
            let counts = opened.vault.status()?;
            opened.vault.close();
            vault::told(&opened.source, opened.root.id(), Some(&counts))
        }
    };
    if arguments.json {
        return say(&format!("{told:#}\n"));
    }
    let mut text = String::new();
    for (name, value) in told.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(shown) => shown.clone(),
            Value::Null => "not known just now".to_owned(),
            other => other.to_string(),
        };
        // Into a string nothing fails.
        let _ = writeln!(text, "{:>13}  {shown}", name.replace('_', " "));
    }
    say(&text)
}

/// Whoever does not listen any more is no fault.
fn say(text: &str) -> anyhow::Result<Exit> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(Exit::Fine),
        Err(error) => Ok(output::write_failed(&error).unwrap_or(Exit::Fine)),
    }
}

/// Steps: 1. where the key is ours, the new one is durable beside the old one; 2. the vault is sealed under it; 3. it takes the
/// old one's place. A start finds out which of them were done.
fn rotate(arguments: cli::VaultRotate) -> anyhow::Result<Exit> {
    let config = configured(&arguments.directory, arguments.settings)?;
    let source = config.privacy.root_key.as_ref();
    if source.is_some() && arguments.to.is_none() {
        bail!(
            "privacy.root_key is set\n  make a new key where you keep yours, and name it: headwater vault rotate --to SOURCE"
        );
    }
    let next = match &arguments.to {
        Some(to) => vault::read(to).context("--to")?,
        None => RootKey::random(&SystemEntropy),
    };
    let (directory, keys) = take(&config)?;
    let Opened { vault, root, .. } = vault::open_as_it_is(&directory, source, &keys)?;
    if next.id() == root.id() {
        bail!("the vault is sealed under this root key already ({})", root.id());
    }
    if arguments.to.is_none() {
        next.keep_as_next(&keys)?;
    }
    vault.rotate(&next)?;
    vault.close();
    if arguments.to.is_none() {
        next.promote(&keys)?;
    }
    let mut text =
        format!("the vault is sealed under root key {} now; {} opens it no longer\n", next.id(), root.id());
    if arguments.to.is_some() {
        text.push_str(
            "before the next start, write the SOURCE of --to as root_key under [privacy] in headwater.toml\n",
        );
    }
    say(&text)
}
