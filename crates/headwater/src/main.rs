//! The binary `headwater`: the server (`up`) and its command-line clients.
//! Always: exit codes are those of `exit::Exit`; only this crate reads arguments and environment.

mod backend;
mod background;
mod backup;
mod check_data;
mod cli;
mod client;
mod compaction;
mod config;
mod data_directory;
mod doctor;
mod erasure;
mod exit;
mod fault;
mod forgetting;
mod generation;
mod keeping;
mod memory;
mod output;
mod project;
mod reading;
mod returning;
mod reveal;
mod scrub;
mod shares;
mod shelf;
mod shutdown;
mod sql_child;
mod status;
mod telemetry;
mod up;
mod vault;
mod vault_command;
mod verify;

use std::{io::Write, process::ExitCode, time::Duration};

use clap::Parser;

use cli::{Cli, Command};
use config::{CheckedConfig, Overrides};
use exit::Exit;
use project::Project;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Before anything else: such a process takes no arguments of a user.
    if sql_child::is_asked_for() {
        return sql_child::run();
    }
    // Two providers are linked, so that rustls cannot choose one itself. It can only be installed already,
    // which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Up(arguments) => up(arguments),
        Command::Check(arguments) => check(arguments).into(),
        Command::Test(arguments) => check_data::run(&arguments).into(),
        Command::Doctor(arguments) => doctor::run(&arguments).into(),
        Command::Restore(arguments) => backup::restore::run(&arguments).into(),
        Command::Vault(command) => vault_command::run(command).into(),
        command => client::run(command).into(),
    }
}

fn up(arguments: cli::Up) -> ExitCode {
    let overrides = Overrides::of_process(arguments.settings.data, arguments.settings.set);
    let checked = project::check(&arguments.directory, &overrides);
    print_faults(&checked.faults);
    let Some((config, project)) = checked.project else {
        eprintln!("{}", summary(&checked.faults));
        return Exit::Usage.into();
    };
    let (data, directory) = (config.data.clone(), arguments.directory);
    match run_server(config, project, arguments.sql_idle, arguments.consent) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            let (directory, data) = (directory.display(), data.display());
            eprintln!(
                "  hint: nothing was lost by this; headwater doctor {directory} --data {data} says what to do"
            );
            Exit::Usage.into()
        }
    }
}

/// The error and its causes; a cause that the text before it has quoted already is not told twice.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run_server(
    config: CheckedConfig,
    project: Project,
    sql_idle: Duration,
    consent: cli::Consent,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(up::run(config, project, sql_idle, consent))
}

fn check(arguments: cli::Check) -> Exit {
    let overrides = Overrides::of_process(arguments.settings.data, arguments.settings.set);
    let checked = project::check(&arguments.directory, &overrides);
    let exit = if checked.project.is_some() { Exit::Fine } else { Exit::Usage };
    let mut text = String::new();
    if arguments.json {
        let faults: Vec<_> = checked.faults.iter().map(fault::Fault::to_json).collect();
        text = format!("{:#}\n", serde_json::Value::Array(faults));
    } else {
        print_faults(&checked.faults);
        if let Some((config, project)) = &checked.project {
            text = format!(
                "{}: {}, {}{}; {}\n",
                project.directory.display(),
                counted(project.streams.len(), "stream"),
                counted(config.tcp.len(), "TCP listener"),
                match config.directories.len() {
                    0 => String::new(),
                    1 => ", 1 directory".to_owned(),
                    count => format!(", {count} directories"),
                },
                summary(&checked.faults)
            );
        } else {
            eprintln!("{}", summary(&checked.faults));
        }
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => exit,
        Err(error) => output::write_failed(&error).unwrap_or(exit),
    }
}

fn print_faults(faults: &[fault::Fault]) {
    for fault in faults {
        eprintln!("{fault}");
    }
}

fn summary(faults: &[fault::Fault]) -> String {
    let errors = faults.iter().filter(|fault| fault.is_error()).count();
    let warnings = faults.len() - errors;
    match (errors, warnings) {
        (0, 0) => "no faults".to_owned(),
        (0, warnings) => counted(warnings, "warning"),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
