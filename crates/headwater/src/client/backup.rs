//! `headwater backup`: asks the server to stage its data as of one moment, and copies what is staged.
//! Always: the copy has its manifest only if every file that the server counted is in it, durable. What is there is not
//! written over. Keys and vault are in it, and that is said.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{error::ClientError, server::Server};
use crate::{
    backup::manifest::{FileLine, Manifest, Zeros, copy_file, sync_directories, walk},
    cli,
    exit::Exit,
    output,
};

/// The server's first line is no longer.
const LINE_BYTES_MAX: usize = 1 << 20;
const GIVEN_UP: &str = "there is no whole backup; remove what is there, and begin again";

pub async fn run(arguments: cli::Backup) -> Result<Exit, ClientError> {
    let to =
        std::path::absolute(&arguments.directory).map_err(|error| failed(&arguments.directory, &error))?;
    match fs::read_dir(&to) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(ClientError::usage(
                    format!("{} is not empty", to.display()),
                    "name a directory that is not there, or is empty",
                ));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&to, &error)),
    }
    let server = Server::find(&arguments.server)?;
    let mut response = server.ask(server.request(Method::POST, &["v1", "backups"], &[])).await?;
    let plan = first_line(&server, &mut response).await?;
    let from = plan["directory"].as_str().map(PathBuf::from).ok_or_else(|| server.strange("no directory"))?;
    if !from.is_dir() {
        return Err(ClientError::usage(
            format!("{} cannot be read here", from.display()),
            "run it on the server's machine, as the server's user",
        ));
    }
    let bar = output::shows_progress().then(ProgressBar::new_spinner);
    let mut copying = {
        let (from, to, bar) = (from.clone(), to.clone(), bar.clone());
        tokio::task::spawn_blocking(move || copy(&from, &to, bar.as_ref()))
    };
    // It is there for as long as its lines are taken. That they end too early, the count below notices.
    let files = loop {
        tokio::select! {
            files = &mut copying => break files,
            chunk = response.chunk() => {
                if !matches!(chunk, Ok(Some(_))) {
                    break copying.await;
                }
            }
        }
    };
    let files = files.map_err(|error| server.strange(error))?.map_err(|error| failed(&to, &error))?;
    let made_at = format!("{:.0}", jiff::Timestamp::now());
    let head = Manifest::head(plan["version"].as_str().unwrap_or_default(), &made_at, &plan);
    let manifest = Manifest { head, files };
    if plan["files"] != manifest.files.len() || plan["bytes"] != manifest.bytes() {
        return Err(ClientError::NotFound {
            message:
                "the server took the backup away before it was copied: it has stopped, or an erasure began"
                    .to_owned(),
            hint: GIVEN_UP.to_owned(),
        });
    }
    sync_directories(&to).and_then(|()| manifest.write(&to)).map_err(|error| failed(&to, &error))?;
    if let Some(parent) = to.parent() {
        let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(|error| failed(parent, &error))?;
    }
    // It goes without a word too, a little later.
    let id = plan["id"].as_str().unwrap_or_default();
    let _ = server.send(server.request(Method::DELETE, &["v1", "backups", id], &[])).await;
    drop(response);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    print(&manifest, &to, &plan, arguments.json)
}

fn print(manifest: &Manifest, to: &Path, plan: &Value, as_json: bool) -> Result<Exit, ClientError> {
    let shown = output::printable(&to.display().to_string());
    eprintln!(
        "{shown} holds the keys and the vault: whoever has it can open what is protected. Keep it as you keep the data"
    );
    for setting in plan["outside"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("not in it: what {} names; keep that apart", output::printable(setting));
    }
    let mut out = io::stdout().lock();
    let (files, bytes, through) = (manifest.files.len() as u64, manifest.bytes(), &plan["through"]);
    if as_json {
        let outside = &plan["outside"];
        let told = json!({ "directory": to, "files": files, "bytes": bytes, "through": through, "outside": outside });
        writeln!(out, "{told:#}")?;
    } else {
        let (files, bytes) = (output::grouped(files), output::grouped(bytes));
        writeln!(out, "{files} files, {bytes} bytes, through append {through}, in {shown}")?;
    }
    Ok(Exit::Fine)
}

async fn first_line(server: &Server, response: &mut Response) -> Result<Value, ClientError> {
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < LINE_BYTES_MAX {
        let chunk = response.chunk().await.map_err(|error| server.broken_off(&error))?;
        line.extend_from_slice(&chunk.ok_or_else(|| server.strange("an answer without a line"))?);
    }
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).map_err(|error| server.strange(error))
}

fn copy(from: &Path, to: &Path, bar: Option<&ProgressBar>) -> io::Result<Vec<FileLine>> {
    let mut files = Vec::new();
    let mut bytes = 0;
    for path in walk(from)? {
        let file = match copy_file(from, to, &path, Zeros::Holes) {
            Ok(file) => file,
            // Taken away meanwhile: the count says so.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.join(&path).exists() => break,
            Err(error) => return Err(error),
        };
        bytes += file.bytes;
        files.push(file);
        if let Some(bar) = bar {
            bar.set_message(format!("{} files, {} bytes", files.len(), output::grouped(bytes)));
            bar.tick();
        }
    }
    Ok(files)
}

fn failed(path: &Path, error: &io::Error) -> ClientError {
    ClientError::usage(format!("cannot back up to {}: {error}", path.display()), GIVEN_UP)
}
