//! `rejects fix`, `replay` and `discard`: begin a job on the server, show how far it is, and print its report.
//! Always: the job is the server's and goes on if this command ends; the exit code is 1 if something stayed as it was.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{error::ClientError, server::Server};
use crate::{
    cli::{self, SelectionArgs},
    exit::Exit,
    output,
};

const ASK_EVERY: Duration = Duration::from_millis(100);
const PATCH_BYTES_MAX: u64 = 512 << 10;
const REPORT_BYTES_MAX: usize = 1 << 20;

pub(super) async fn fix(arguments: cli::RejectsFix) -> Result<Exit, ClientError> {
    let cli::RejectsFix { set, patch, expr, reason, selection } = arguments;
    let mut order = order(&selection, reason);
    if !set.is_empty() {
        let settings = set.iter().map(|text| setting(text)).collect::<Result<Map<_, _>, _>>()?;
        order.insert("set".to_owned(), Value::Object(settings));
    }
    if let Some(path) = patch {
        let place = path.display();
        let mut text = Vec::new();
        let file = std::fs::File::open(&path);
        let read = file.and_then(|file| file.take(PATCH_BYTES_MAX).read_to_end(&mut text));
        read.map_err(|error| ClientError::usage(format!("cannot read {place}: {error}"), ""))?;
        let patch: Value = serde_json::from_slice(&text).map_err(|error| {
            ClientError::usage(format!("{place} is no JSON: {error}"), "a patch is JSON of up to 512 KiB")
        })?;
        let kind = if patch.is_array() { "patch" } else { "merge" };
        order.insert(kind.to_owned(), patch);
    }
    if let Some(expr) = expr {
        order.insert("expr".to_owned(), expr.into());
    }
    run("fix", order, &selection).await
}

pub(super) async fn replay(arguments: cli::RejectsReplay) -> Result<Exit, ClientError> {
    run("replay", order(&arguments.selection, arguments.reason), &arguments.selection).await
}

pub(super) async fn discard(arguments: cli::RejectsDiscard) -> Result<Exit, ClientError> {
    run("discard", order(&arguments.selection, Some(arguments.reason)), &arguments.selection).await
}

fn order(selection: &SelectionArgs, reason: Option<String>) -> Map<String, Value> {
    let order = json!({
        "stream": selection.stream,
        "code": selection.code,
        "where": selection.condition,
        "from": selection.from.map(|time| time.to_string()),
        "to": selection.to.map(|time| time.to_string()),
        "limit": selection.limit,
        "dry_run": selection.dry_run,
        "reason": reason,
    });
    match order {
        Value::Object(order) => order,
        _ => Map::new(),
    }
}

fn setting(text: &str) -> Result<(String, Value), ClientError> {
    let hint = "for example --set '/unit=\"C\"' or --set /value=1";
    let (pointer, value) = text
        .split_once('=')
        .filter(|(pointer, _)| pointer.starts_with('/'))
        .ok_or_else(|| ClientError::usage("--set takes a JSON pointer, = and a JSON value", hint))?;
    let value = serde_json::from_str(value).map_err(|error| {
        ClientError::usage(format!("the value of --set {pointer} is no JSON: {error}"), hint)
    })?;
    Ok((pointer.to_owned(), value))
}

/// What the server says of a job.
#[derive(Debug, Deserialize)]
struct Report {
    job: u64,
    dry_run: bool,
    state: String,
    selected: u64,
    done: u64,
    passed: u64,
    failed: u64,
    payload_gone: u64,
    not_corrected: u64,
    exhausted: u64,
    before: BTreeMap<String, u64>,
    after: BTreeMap<String, u64>,
    waiting: Option<String>,
    error: Option<String>,
}

async fn run(task: &str, order: Map<String, Value>, arguments: &SelectionArgs) -> Result<Exit, ClientError> {
    let server = Server::find(&arguments.server)?;
    let begin = server.request(Method::POST, &["v1", "rejects", task], &[]).json(&order);
    let (mut whole, mut report) = read(&server, begin).await?;
    let bar = bar();
    while report.state == "running" {
        if let Some(bar) = &bar {
            bar.set_length(report.selected);
            bar.set_position(report.done);
            bar.set_message(report.waiting.as_deref().map(output::printable).unwrap_or_default());
        }
        tokio::time::sleep(ASK_EVERY).await;
        let job = report.job.to_string();
        (whole, report) = read(&server, server.request(Method::GET, &["v1", "jobs", &job], &[])).await?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut out = io::stdout().lock();
    match arguments.json {
        true => writeln!(out, "{whole:#}")?,
        false => print(&mut out, task, &report)?,
    }
    out.flush()?;
    let left = report.failed + report.payload_gone + report.not_corrected + report.exhausted;
    Ok(if report.state == "done" && left == 0 { Exit::Fine } else { Exit::False })
}

async fn read(server: &Server, request: reqwest::RequestBuilder) -> Result<(Value, Report), ClientError> {
    let response = server.ask(request).await?;
    let body = server.body(response, REPORT_BYTES_MAX).await?;
    let whole: Value = serde_json::from_slice(&body).map_err(|error| server.strange(error))?;
    let report = Report::deserialize(&whole).map_err(|error| server.strange(error))?;
    Ok((whole, report))
}

fn bar() -> Option<ProgressBar> {
    output::shows_progress().then(|| {
        let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {eta} {msg}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    })
}

fn print(out: &mut dyn Write, task: &str, report: &Report) -> Result<(), ClientError> {
    let codes: BTreeMap<&String, ()> =
        report.before.keys().chain(report.after.keys()).map(|code| (code, ())).collect();
    let headings = ["outcome", "before", "after"].map(str::to_owned);
    let count = |of: &BTreeMap<String, u64>, code: &String| {
        of.get(code).map_or_else(String::new, |count| output::grouped(*count))
    };
    let rows = codes
        .keys()
        .map(|code| vec![(*code).clone(), count(&report.before, code), count(&report.after, code)]);
    if !codes.is_empty() {
        output::table(out, &headings, &[false, true, true], rows)?;
    }
    let verb = match (task, report.dry_run) {
        ("discard", false) => "discarded",
        ("discard", true) => "would be discarded",
        (_, false) => "came back",
        (_, true) => "would come back",
    };
    writeln!(out, "{} of {} {verb}", output::grouped(report.passed), output::grouped(report.selected))?;
    for (count, what) in [
        (report.failed, "are refused again and stay, with their new reason"),
        (report.not_corrected, "stay as they are: the correction does not apply to them"),
        (report.payload_gone, "stay as they are: their bytes can no longer be opened (rejects.keep)"),
        (report.exhausted, "stay as they are: they were tried 16 times"),
    ] {
        if count > 0 {
            writeln!(out, "{} {what}", output::grouped(count))?;
        }
    }
    if report.state != "done" {
        let why = report.error.as_deref().map(output::printable).unwrap_or_default();
        writeln!(
            out,
            "the job ended early ({}) {why}\n  the same command again goes on where it stood",
            report.state
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_pointer_and_json() {
        assert_eq!(setting("/a/b=1").unwrap(), ("/a/b".to_owned(), json!(1)));
        assert_eq!(setting("/a=\"x=y\"").unwrap(), ("/a".to_owned(), json!("x=y")));
        for bad in ["", "a=1", "/a", "/a=", "/a=x"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
