//! A data directory that no server runs on, opened to look at it.
//! Always: the directory's lock is held, and nothing in it is changed: no tail cut, no file removed or made.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use hw_gate::Catalog;
use hw_journal::{FileDisk, Found, Journal};
use hw_lake::{Lake, LakeSettings};

use super::{Subject, report::Check};
use crate::{data_directory::DataDirectory, reading::Tables};

/// An opened directory. `None` for the subject: it holds no journal, so there is nothing to verify.
pub struct Offline {
    pub subject: Option<Subject>,
    /// The file that the journal ends in, and the one that would follow it.
    pub newest: Option<(String, String)>,
    /// What could not be opened at all.
    pub checks: Vec<Check>,
    _held: DataDirectory,
}

/// Blocks a little; `runtime` must be running.
pub async fn open(path: &Path) -> anyhow::Result<Offline> {
    let directory = DataDirectory::inspect(path)?;
    let mut checks = Vec::new();
    if !directory.journal().is_dir() {
        return Ok(Offline { subject: None, newest: None, checks, _held: directory });
    }
    let disk = FileDisk::read_only(&directory.journal())
        .with_context(|| format!("cannot open {}", directory.journal().display()))?;
    let found = tokio::task::spawn_blocking(move || Found::read(&disk)).await?;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let mut check = Check::new("journal", "journal");
            check.fault(
                format!("the journal cannot be opened: {error}"),
                "journal/",
                "restore the data directory from a backup; without its journal the lake's tables can still be read \
                 by any engine that reads Delta",
            );
            checks.push(check);
            return Ok(Offline { subject: None, newest: None, checks, _held: directory });
        }
    };
    let cut_bytes = found.cut_bytes();
    let newest = found.newest_file().map(str::to_owned).zip(found.following_file());
    let Some((journal, recovered)) = Journal::inspect(found) else {
        return Ok(Offline { subject: None, newest: None, checks, _held: directory });
    };
    if cut_bytes > 0 {
        let check = Check::new("torn_tail", "journal").figure("bytes", cut_bytes);
        checks.push(check.figure("note", "never acknowledged as durable; the next start cuts it off"));
    }
    let disk = FileDisk::read_only(&directory.catalog())
        .with_context(|| format!("cannot open {}", directory.catalog().display()))?;
    // What is damaged there is the catalog's check.
    let (registry, _) = Catalog::inspect(&disk)?;
    let registry = Arc::new(registry);
    let path = directory.lake();
    let lake = Lake::inspect(&path, recovered.journal_id, registry.clone(), LakeSettings::default());
    let lake = lake.await.with_context(|| format!("cannot open {}", path.display()))?;
    let tables = Tables::new(journal, registry, lake);
    let catalog = directory.catalog();
    let subject = Subject { offline: true, ..Subject::new(tables, catalog) };
    Ok(Offline { subject: Some(subject), newest, checks, _held: directory })
}
