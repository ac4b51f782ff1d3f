//! The vault of a data directory: where its root key comes from, opening it, ending a rotation, and how it stands.
//! Always: a vault that is damaged, lost, or another root key's is a refusal that says what to do; no new one is made in its
//! place. The text of a root key's source is told, the key never.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use hw_schema::Registry;
use hw_vault::{FileKeyStore, RootKey, SystemEntropy, Vault, VaultError, VaultStatus};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{config::RootKeySource, data_directory::DataDirectory};

/// A command that prints the root key has so long for it.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// How often it is asked whether it has ended, once its output has.
const END_POLL: Duration = Duration::from_millis(10);
/// No key is longer, however it is written.
const KEY_TEXT_BYTES_MAX: u64 = 1024;
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A vault that is open, and under which key.
pub struct Opened {
    pub vault: Vault,
    pub root: RootKey,
    /// `keys/root.key`, or as the configuration has it.
    pub source: String,
}

/// Opens the vault, or makes it at the first start. `registry` holds what was declared until now.
pub fn open(
    directory: &DataDirectory,
    source: Option<&RootKeySource>,
    keys: &FileKeyStore,
    registry: &Registry,
) -> anyhow::Result<Opened> {
    let path = directory.vault();
    if !Vault::exists(&path)
        && let Some(stream) = registry
            .all()
            .into_iter()
            .find(|stream| stream.current().is_some_and(|(_, schema)| !schema.token_domains().is_empty()))
    {
        bail!(
            "the vault {} is gone, but the stream {:?} has tokens\n  \
             restore it from a backup of the data directory; without it no token can be revealed",
            Vault::file(&path).display(),
            stream.name.as_str()
        );
    }
    open_as_it_is(directory, source, keys)
}

/// The same for who has not read the catalog.
pub fn open_as_it_is(
    directory: &DataDirectory,
    source: Option<&RootKeySource>,
    keys: &FileKeyStore,
) -> anyhow::Result<Opened> {
    let path = directory.vault();
    let root = match source {
        Some(source) => read(source)?,
        None => match RootKey::load(keys)? {
            Some(root) => root,
            None if Vault::exists(&path) => bail!(
                "there is a vault in {}, but its root key {} is gone\n  \
                 restore it from a backup, or name it with privacy.root_key",
                path.display(),
                directory.keys().join("root.key").display()
            ),
            None => RootKey::load_or_create(keys, &SystemEntropy)?,
        },
    };
    let open = |root: &RootKey| Vault::open(&path, root, Arc::new(SystemEntropy));
    let next = if source.is_none() { RootKey::load_next(keys)? } else { None };
    let (vault, root) = match (open(&root), next) {
        (Ok(vault), next) => {
            // The rotation had not come to the vault: it can be asked for again.
            if next.is_some() {
                RootKey::forget_next(keys)?;
            }
            (vault, root)
        }
        (Err(VaultError::WrongRoot { needs, .. }), Some(next)) if needs == next.id() => {
            let vault = open(&next)?;
            next.promote(keys)?;
            (vault, next)
        }
        (Err(error @ VaultError::WrongRoot { .. }), _) => {
            return Err(error).context(
                "the root key does not belong to this vault\n  \
                 name the right one with privacy.root_key; after `headwater vault rotate --to` that is the new one",
            );
        }
        (Err(error), _) => return Err(error.into()),
    };
    let source = source.map_or_else(|| "keys/root.key".to_owned(), ToString::to_string);
    Ok(Opened { vault, root, source })
}

/// The root key that a source gives.
pub fn read(source: &RootKeySource) -> anyhow::Result<RootKey> {
    let bytes = match source {
        RootKeySource::File(path) => return RootKey::load_file(path).context("privacy.root_key"),
        RootKeySource::Env(name) => {
            let value = std::env::var_os(name);
            let value = value.with_context(|| format!("privacy.root_key: the environment has no {name}"))?;
            value.into_encoded_bytes()
        }
        RootKeySource::Command(words) => {
            printed_by(words).with_context(|| format!("privacy.root_key: {source}"))?
        }
    };
    // `NotAKey` tells how long it is and nothing else.
    RootKey::parse(&bytes).with_context(|| format!("privacy.root_key: {source}"))
}

/// What a program prints; its standard error is ours.
fn printed_by(words: &[String]) -> anyhow::Result<Vec<u8>> {
    let (program, arguments) = words.split_first().context("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start it")?;
    let stdout = child.stdout.take().context("it has no output")?;
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(KEY_TEXT_BYTES_MAX).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    let Ok(printed) = printed.recv_timeout(COMMAND_TIME) else {
        let _ = child.kill();
        let _ = child.wait();
        bail!("it has not ended within {} s", COMMAND_TIME.as_secs());
    };
    for _ in 0..COMMAND_TIME.as_millis() / END_POLL.as_millis() {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(printed?),
            Some(status) => bail!("it ended with {status}"),
            None => thread::sleep(END_POLL),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    bail!("it has printed something and not ended within {} s", COMMAND_TIME.as_secs())
}

/// How the vault stands, for `GET /v1/status` and the metrics: counted once a second, so that nobody waits for a commit.
#[derive(Clone)]
pub struct Watch {
    source: String,
    root_id: String,
    // A std mutex: held to copy three numbers.
    counts: Arc<Mutex<Option<VaultStatus>>>,
}

impl Watch {
    pub fn start(opened: &Opened, stop: CancellationToken) -> Watch {
        let watch = Watch {
            source: opened.source.clone(),
            root_id: opened.root.id().to_owned(),
            counts: Arc::default(),
        };
        let (vault, counts) = (opened.vault.clone(), watch.counts.clone());
        tokio::spawn(async move {
            loop {
                let counting = vault.clone();
                let counted = tokio::task::spawn_blocking(move || counting.status()).await;
                let counted = counted.ok().and_then(Result::ok);
                if let Some(status) = &counted {
                    metrics::gauge!("headwater_vault_subjects").set(status.subjects as f64);
                    metrics::gauge!("headwater_vault_entries").set(status.entries as f64);
                }
                metrics::gauge!("headwater_vault_failed").set(f64::from(u8::from(counted.is_none())));
                *counts.lock().unwrap_or_else(PoisonError::into_inner) = counted;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(COUNT_EVERY) => {}
                }
            }
        });
        watch
    }

    pub fn read(&self) -> Value {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        told(&self.source, &self.root_id, counts.as_ref())
    }
}

/// As `GET /v1/status` and `headwater vault status` tell it.
pub fn told(source: &str, root_id: &str, counts: Option<&VaultStatus>) -> Value {
    json!({
        "root_key": source, "root_key_id": root_id,
        "subjects": counts.map(|counts| counts.subjects),
        "entries": counts.map(|counts| counts.entries),
        "erased_tokens": counts.map(|counts| counts.erased_tokens),
    })
}
