//! `headwater verify`: asks the server to verify itself, or looks at a data directory that no server runs on.
//! Always: both ways print the same checks; the exit code is 1 if one of them found a fault.

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    error::ClientError,
    server::{Server, runs_at},
};
use crate::{
    cli::{self, CheckFormat},
    exit::Exit,
    output,
    verify::{
        self, offline,
        report::{Check, Line, Progress, Summary},
    },
};

/// One line of the server's answer: a check tells at most a few findings.
const LINE_BYTES_MAX: usize = 4 << 20;

pub async fn run(arguments: cli::Verify) -> Result<Exit, ClientError> {
    let format = if arguments.json { CheckFormat::Json } else { arguments.format };
    let mut printer = Printer::new(format);
    let offline = match (&arguments.server.url, &arguments.server.data) {
        (None, Some(directory)) => (!runs_at(directory).await?).then(|| directory.clone()),
        _ => None,
    };
    match offline {
        Some(directory) => look(&directory, arguments.names, &mut printer).await?,
        None => ask(&Server::find(&arguments.server)?, arguments.names, &mut printer).await?,
    }
    printer.finish()
}

/// Over HTTP, line by line.
async fn ask(server: &Server, names: Vec<String>, printer: &mut Printer) -> Result<(), ClientError> {
    let request = server.request(Method::POST, &["v1", "verify"], &[]).json(&json!({ "names": names }));
    let mut response = server.ask(request).await?;
    let mut held: Vec<u8> = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| server.broken_off(&error))? {
        held.extend_from_slice(&chunk);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            printer.take(serde_json::from_slice(&line).map_err(|error| server.strange(error))?)?;
        }
        if held.len() > LINE_BYTES_MAX {
            return Err(server.strange("a line without end"));
        }
    }
    if printer.summary.is_none() {
        return Err(server.strange("the verification ended without its last line"));
    }
    Ok(())
}

/// Without a server.
async fn look(directory: &Path, names: Vec<String>, printer: &mut Printer) -> Result<(), ClientError> {
    let opened = offline::open(directory).await.map_err(|error| {
        ClientError::usage(format!("{error:#}"), "headwater doctor --data D says more about a data directory")
    })?;
    let faults: u64 = opened.checks.iter().map(Check::fault_count).sum();
    let count = opened.checks.len() as u64;
    for check in opened.checks {
        printer.take(Line::Check(check))?;
    }
    let Some(subject) = opened.subject else {
        let summary = Summary { fine: faults == 0, checks: count, faults, through: 0, seconds: 0.0 };
        return printer.take(Line::Summary(summary));
    };
    if let Some(name) = subject.unknown(&names) {
        return Err(ClientError::usage(
            format!("there is no stream {name:?} in {}", directory.display()),
            "name streams, rejects or ledger; without a name everything is verified",
        ));
    }
    let (sender, mut lines) = mpsc::channel(verify::LINES_AHEAD);
    let running = tokio::spawn(verify::run(subject, names, sender));
    while let Some(line) = lines.recv().await {
        // What could not be opened counts too.
        let line = match line {
            Line::Summary(mut summary) => {
                summary.fine &= faults == 0;
                summary.checks += count;
                summary.faults += faults;
                Line::Summary(summary)
            }
            line => line,
        };
        printer.take(line)?;
    }
    match running.await {
        Ok(()) if printer.summary.is_some() => Ok(()),
        _ => Err(ClientError::usage(
            "the verification did not come to its end",
            "this is a fault of headwater: report it",
        )),
    }
}

/// Takes lines as they come; tables and documents are written at the end.
struct Printer {
    format: CheckFormat,
    checks: Vec<Check>,
    summary: Option<Summary>,
    bar: Option<ProgressBar>,
}

impl Printer {
    fn new(format: CheckFormat) -> Printer {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Printer { format, checks: Vec::new(), summary: None, bar }
    }

    fn take(&mut self, line: Line) -> Result<(), ClientError> {
        if self.format == CheckFormat::Ndjson && !matches!(line, Line::Progress(_)) {
            let mut text = serde_json::to_vec(&line).unwrap_or_default();
            text.push(b'\n');
            std::io::stdout().lock().write_all(&text)?;
        }
        match line {
            Line::Progress(Progress { check, of, done }) => {
                if let Some(bar) = &self.bar {
                    let of = output::printable(&of);
                    bar.set_message(format!("{check} {of}: {}", output::grouped(done)));
                    bar.tick();
                }
            }
            Line::Check(check) => self.checks.push(check),
            Line::Summary(summary) => self.summary = Some(summary),
        }
        Ok(())
    }

    fn finish(self) -> Result<Exit, ClientError> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let Some(summary) = self.summary else { return Ok(Exit::False) };
        let mut out = std::io::stdout().lock();
        match self.format {
            CheckFormat::Ndjson => {}
            CheckFormat::Json => {
                writeln!(out, "{:#}", json!({ "checks": self.checks, "summary": summary }))?;
            }
            CheckFormat::Table => {
                let headings = ["check", "of", "verdict", "figures"].map(str::to_owned);
                let rows = self.checks.iter().map(|check| {
                    let verdict = if check.fine { "ok" } else { "FAULT" };
                    vec![check.check.clone(), check.of.clone(), verdict.to_owned(), figures(check)]
                });
                output::table(&mut out, &headings, &[false; 4], rows)?;
                for check in &self.checks {
                    for fault in &check.faults {
                        let clean = output::printable;
                        writeln!(out, "fault: {} {}: {}", check.check, clean(&check.of), clean(&fault.what))?;
                        writeln!(out, "  --> {}\n  = do: {}", clean(&fault.place), clean(&fault.remedy))?;
                    }
                    if check.faults_left_out > 0 {
                        writeln!(
                            out,
                            "  … and {} more in {} {}",
                            check.faults_left_out, check.check, check.of
                        )?;
                    }
                }
            }
        }
        out.flush()?;
        if self.format == CheckFormat::Table {
            let (checks, faults) = (output::grouped(summary.checks), output::grouped(summary.faults));
            eprintln!(
                "{checks} checks, {faults} faults; everything through append {}, in {:.1} s",
                summary.through, summary.seconds
            );
        }
        Ok(if summary.fine { Exit::Fine } else { Exit::False })
    }
}

fn figures(check: &Check) -> String {
    let one = |(name, value): (&String, &Value)| match value.as_u64() {
        Some(number) => format!("{name} {}", output::grouped(number)),
        None => format!("{name} {}", output::cell(value)),
    };
    check.figures.iter().map(one).collect::<Vec<_>>().join(", ")
}
