//! `headwater restore`: a backup becomes a data directory.
//! Always: the directory has its name only if every file of it is what was backed up, and durable; nothing that is there is
//! written over. A restore that was broken off leaves a directory beside it that no server takes, and the next one removes it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::manifest::{Manifest, ManifestError, Zeros, copy_file, sync_directories};
use crate::{cli, exit::Exit, output};

enum Failure {
    /// The backup is not whole.
    Backup(String),
    /// It cannot be restored there.
    Target(String),
}

pub fn run(arguments: &cli::Restore) -> Exit {
    match restore(&arguments.backup, &arguments.data) {
        Ok(told) => {
            print(&told, arguments).unwrap_or_else(|error| output::write_failed(&error).unwrap_or(Exit::Fine))
        }
        Err(Failure::Backup(what)) => {
            eprintln!("error: {what}\n  hint: nothing was restored; take another backup");
            Exit::False
        }
        Err(Failure::Target(what)) => {
            eprintln!(
                "error: {what}\n  hint: nothing was restored; name a directory that is not there, or is empty"
            );
            Exit::Usage
        }
    }
}

fn print(told: &Value, arguments: &cli::Restore) -> io::Result<Exit> {
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{told:#}")?;
        return Ok(Exit::Fine);
    }
    let data = output::printable(&arguments.data.display().to_string());
    let number = |name: &str| output::grouped(told[name].as_u64().unwrap_or(0));
    writeln!(
        out,
        "{} files, {} bytes, through append {}",
        number("files"),
        number("bytes"),
        number("through")
    )?;
    let outside = told["outside"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for setting in outside {
        writeln!(out, "not in the backup, and needed as it was: what {setting} names")?;
    }
    writeln!(out, "check it: headwater verify --data {data}")?;
    writeln!(
        out,
        "whoever was erased since is erased again at the start, if privacy.erasures names the records as before"
    )?;
    Ok(Exit::Fine)
}

fn restore(backup: &Path, data: &Path) -> Result<Value, Failure> {
    let manifest = Manifest::read(backup).map_err(|error| match error {
        ManifestError::Io(..) => Failure::Target(error.to_string()),
        error => Failure::Backup(error.to_string()),
    })?;
    let target = |what: &Path, error: io::Error| Failure::Target(format!("{}: {error}", what.display()));
    let data = std::path::absolute(data).map_err(|error| target(data, error))?;
    match fs::read_dir(&data) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Failure::Target(format!("{} is not empty", data.display())));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(target(&data, error)),
    }
    let part = beside(&data).ok_or_else(|| Failure::Target(format!("{} is no name", data.display())))?;
    match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(target(&part, error)),
        _ => {}
    }
    super::make_directory(&part).map_err(|error| target(&part, error))?;
    let copied = copy(backup, &part, &manifest);
    if copied.is_err() {
        // What stays has no name that a server takes.
        let _ = fs::remove_dir_all(&part);
    }
    copied?;
    // Onto an empty directory, or nothing.
    fs::rename(&part, &data).map_err(|error| target(&data, error))?;
    let parent = data.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| target(parent, error))?;
    Ok(json!({
        "data": data, "files": manifest.files.len(), "bytes": manifest.bytes(),
        "through": manifest.head["through"], "made_at": manifest.head["made_at"],
        "outside": manifest.head["outside"],
    }))
}

fn beside(data: &Path) -> Option<PathBuf> {
    let name = data.file_name()?.to_str()?;
    Some(data.with_file_name(format!(".{name}.restoring")))
}

fn copy(backup: &Path, to: &Path, manifest: &Manifest) -> Result<(), Failure> {
    for file in &manifest.files {
        let path = Path::new(&file.path);
        let copied = copy_file(backup, to, path, Zeros::Written).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Backup(format!("{} is missing in the backup", file.path)),
            _ => Failure::Target(error.to_string()),
        })?;
        if copied.bytes != file.bytes || copied.sha256 != file.sha256 {
            return Err(Failure::Backup(format!(
                "{} in the backup is not what was backed up: {} bytes with the SHA-256 {}, not {} with {}",
                file.path, copied.bytes, copied.sha256, file.bytes, file.sha256
            )));
        }
        // As it was in the data directory, whatever became of it since.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode);
        fs::set_permissions(to.join(path), mode).map_err(|error| Failure::Target(error.to_string()))?;
    }
    sync_directories(to).map_err(|error| Failure::Target(error.to_string()))
}
