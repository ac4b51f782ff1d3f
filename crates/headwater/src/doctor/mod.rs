//! `headwater doctor`: looks at the machine, the configuration, the data directory and the running server, and says of
//! each finding what to do.
//! Always: changes nothing but a scratch file of its own, which it removes; a finding is one line what and one line what
//! to do; without a server it looks at the files, with one it asks it. Repairs nothing.

mod data;
mod machine;
mod server;

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{self, CheckFormat},
    config::{CheckedConfig, Overrides},
    exit::Exit,
    output, project,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Warning,
    Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub what: String,
    /// Nothing is to be done about what is well.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Ok, what: what.into(), remedy: None }
    }

    pub fn warning(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Warning, what: what.into(), remedy: Some(remedy.into()) }
    }

    pub fn fault(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Fault, what: what.into(), remedy: Some(remedy.into()) }
    }
}

pub fn run(arguments: &cli::Doctor) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return Exit::Usage;
        }
    };
    let findings = runtime.block_on(examine(arguments));
    let format = if arguments.json { CheckFormat::Json } else { arguments.format };
    let faulty = findings.iter().any(|finding| finding.verdict == Verdict::Fault);
    let exit = if faulty { Exit::False } else { Exit::Fine };
    match print(&findings, format) {
        Ok(()) => exit,
        Err(error) => output::write_failed(&error).unwrap_or(exit),
    }
}

async fn examine(arguments: &cli::Doctor) -> Vec<Finding> {
    let settings = &arguments.settings;
    let overrides = Overrides::of_process(settings.data.clone(), settings.set.clone());
    let checked = project::check(&arguments.directory, &overrides);
    let mut findings = vec![configuration(&arguments.directory, &checked.faults)];
    let config: Option<&CheckedConfig> = checked.project.as_ref().map(|(config, _)| config);
    let data = match config {
        Some(config) => config.data.clone(),
        None => settings.data.clone().unwrap_or_else(|| arguments.directory.join(".headwater")),
    };
    findings.extend(machine::examine(config));
    let state = data::examine(&data, config, &mut findings);
    match state {
        data::State::Missing => {}
        data::State::Idle => data::examine_contents(&data, config, &mut findings).await,
        data::State::Running => server::examine(&data, &mut findings).await,
    }
    findings
}

fn configuration(directory: &std::path::Path, faults: &[crate::fault::Fault]) -> Finding {
    let errors = faults.iter().filter(|fault| fault.is_error()).count();
    let see = format!("headwater check {} shows each with its place", directory.display());
    match (errors, faults.len() - errors) {
        (0, 0) => Finding::ok("configuration", "no faults"),
        (0, warnings) => Finding::warning("configuration", format!("{warnings} warnings"), see),
        (errors, _) => {
            Finding::fault("configuration", format!("{errors} errors: the server does not start"), see)
        }
    }
}

fn print(findings: &[Finding], format: CheckFormat) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (warnings, faults) = (count(Verdict::Warning), count(Verdict::Fault));
    match format {
        CheckFormat::Ndjson => {
            for finding in findings {
                writeln!(out, "{}", json!(finding))?;
            }
        }
        CheckFormat::Json => {
            let summary = json!({ "fine": faults == 0, "warnings": warnings, "faults": faults });
            writeln!(out, "{:#}", json!({ "findings": findings, "summary": summary }))?;
        }
        CheckFormat::Table => {
            for finding in findings {
                let verdict = match finding.verdict {
                    Verdict::Ok => "ok     ",
                    Verdict::Warning => "warning",
                    Verdict::Fault => "FAULT  ",
                };
                writeln!(out, "{verdict} {}: {}", finding.check, clean(&finding.what))?;
                if let Some(remedy) = &finding.remedy {
                    writeln!(out, "        = do: {}", clean(remedy))?;
                }
            }
            writeln!(out, "{} checks, {warnings} warnings, {faults} faults", findings.len())?;
        }
    }
    out.flush()
}

/// Texts hold names of files, which may hold anything.
fn clean(text: &str) -> String {
    let keep = |c: char| if output::steers_a_terminal(c) { '\u{fffd}' } else { c };
    text.chars().map(keep).collect()
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = UNITS.len() - 1;
    let unit = (0..unit).find(|unit| bytes >> (10 * (unit + 1)) == 0).unwrap_or(unit);
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{:.1} {}", bytes as f64 / f64::from(1u32 << (10 * unit)), UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 19, "1.5 MiB"), (5 << 40, "5120.0 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
