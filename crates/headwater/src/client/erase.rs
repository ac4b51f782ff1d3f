//! `headwater erase`: asks for people to be forgotten, waits until it is done, and prints the receipt.
//! Always: whoever is named goes into the request's body and nowhere else.

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    time::Duration,
};

use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};

use super::{error::ClientError, server::Server};
use crate::{cli, erasure::check_receipt, exit::Exit, output};

const ANSWER_BYTES_MAX: usize = 16 << 20;
const LIST_BYTES_MAX: u64 = 64 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub async fn run(arguments: cli::Erase) -> Result<Exit, ClientError> {
    if let Some(path) = &arguments.check {
        return check(path);
    }
    let server = Server::find(&arguments.server)?;
    if arguments.list {
        return list(&server, arguments.json).await;
    }
    if let Some(id) = &arguments.show {
        let told = get(&server, id).await?;
        return print(&told, arguments.json);
    }
    let mut subjects = arguments.subjects;
    if let Some(path) = &arguments.file {
        subjects.extend(read_list(path)?);
    }
    if subjects.is_empty() {
        return Err(ClientError::usage(
            "nobody is named",
            "headwater erase SUBJECT, or --file with one subject a line",
        ));
    }
    let asked = json!({ "subjects": subjects, "reason": arguments.reason, "dry_run": arguments.dry_run });
    let request = server.request(Method::POST, &["v1", "erasures"], &[]).json(&asked);
    let mut told = answer(&server, request).await?;
    if arguments.dry_run || arguments.no_wait {
        return print(&told, arguments.json);
    }
    let id = told["id"].as_str().unwrap_or_default().to_owned();
    let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
    while told["phase"] != "done" {
        if let Some(bar) = &bar {
            let progress = &told["progress"];
            let waiting = progress["waiting_for"].as_str().map(|text| format!(", waits for {text}"));
            let line = format!(
                "{}: {} files read{}",
                told["phase"].as_str().unwrap_or_default(),
                progress["files_read"],
                waiting.unwrap_or_default()
            );
            bar.set_message(output::printable(&line));
            bar.tick();
        }
        tokio::time::sleep(LOOK_EVERY).await;
        told = get(&server, &id).await?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    print(&told, arguments.json)
}

async fn get(server: &Server, id: &str) -> Result<Value, ClientError> {
    answer(server, server.request(Method::GET, &["v1", "erasures", id], &[])).await
}

async fn answer(server: &Server, request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
    let response = server.ask(request).await?;
    let body = server.body(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| server.strange(error))
}

/// One subject a line.
fn read_list(path: &Path) -> Result<Vec<String>, ClientError> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(LIST_BYTES_MAX).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(LIST_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| {
        ClientError::usage(
            format!("cannot read {}: {error}", path.display()),
            "the list is UTF-8 text, one subject a line",
        )
    })?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

async fn list(server: &Server, as_json: bool) -> Result<Exit, ClientError> {
    let told = answer(server, server.request(Method::GET, &["v1", "erasures"], &[])).await?;
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{told:#}")?;
        return Ok(Exit::Fine);
    }
    let headings = ["id", "requested_at", "subjects", "phase", "reason"];
    let rows = told["erasures"].as_array().cloned().unwrap_or_default();
    let rows = rows.iter().map(|row| headings.iter().map(|name| output::cell(&row[*name])).collect());
    let numeric = [false, false, true, false, false];
    output::table(&mut out, &headings.map(str::to_owned), &numeric, rows)?;
    Ok(Exit::Fine)
}

fn print(told: &Value, as_json: bool) -> Result<Exit, ClientError> {
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{told:#}")?;
        return Ok(Exit::Fine);
    }
    let mut rows = Vec::new();
    for (name, count) in told["rows"].as_object().into_iter().flatten() {
        rows.push(vec![name.clone(), "rows".to_owned(), count.to_string()]);
    }
    match &told["rejects"] {
        Value::Object(rejects) => {
            for (name, count) in rejects {
                rows.push(vec![name.clone(), "rejects".to_owned(), count.to_string()]);
            }
        }
        Value::Number(count) => rows.push(vec!["(all)".to_owned(), "rejects".to_owned(), count.to_string()]),
        _ => {}
    }
    let headings = ["stream", "what", "count"].map(str::to_owned);
    output::table(&mut out, &headings, &[false, false, true], rows.into_iter())?;
    let subjects = output::cell(&told["subjects"]);
    if told["dry_run"] == true {
        writeln!(out, "subjects {subjects}; a dry run: nothing was changed")?;
    } else {
        let (id, phase) = (output::cell(&told["id"]), output::cell(&told["phase"]));
        writeln!(
            out,
            "erasure {} of {subjects} subjects: {}",
            output::printable(&id),
            output::printable(&phase)
        )?;
        if told["receipt"].is_object() {
            writeln!(out, "its signed receipt: headwater erase --show {} --json", output::printable(&id))?;
        }
    }
    Ok(Exit::Fine)
}

/// Without a server: is a receipt as it was signed?
fn check(path: &Path) -> Result<Exit, ClientError> {
    let unreadable = |error: String| {
        ClientError::usage(
            format!("cannot read {}: {error}", path.display()),
            "it is what headwater erase --show ID --json prints, or the receipt in it",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let receipt = value.get("receipt").unwrap_or(&value);
    let mut out = io::stdout().lock();
    match check_receipt(receipt) {
        Ok(text) => {
            let key = output::cell(&receipt["public_key"]);
            writeln!(out, "the receipt is as it was signed, with the key {}", output::printable(&key))?;
            writeln!(out, "{text:#}")?;
            Ok(Exit::Fine)
        }
        Err(reason) => {
            writeln!(out, "the receipt cannot be trusted: {}", output::printable(&reason))?;
            Ok(Exit::False)
        }
    }
}
