//! `cargo xtask test`: everything that must hold, stage by stage, cheapest first, the demo last.
//! Always: a stage that fails does not keep the others from running; the last line counts them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    demo, kernels, tidy, torture,
    workspace::{cargo, root, run as run_command, target_directory},
};

/// The engines that must agree with ours on every table, and the SDK whose CloudEvents must be understood.
const PYTHON_PACKAGES: &[&str] =
    &["deltalake==1.6.6", "duckdb==2.0.0", "polars==2.1.0", "pyarrow==26.0.1", "cloudevents==2.2.0"];

/// Below the target directory.
const PYTHON_ENVIRONMENT: &str = "interop-venv";

enum Outcome {
    Passed,
    /// Could not be run here; says why.
    Skipped(String),
}

type Stage = (&'static str, fn() -> Result<Outcome>);

const STAGES: &[Stage] = &[
    ("tidy", tidy_stage),
    ("build", build),
    ("tests", tests),
    ("kernels", kernels_stage),
    ("python interop", python_interop),
    ("torture", torture_stage),
    ("demo --once", demo_once),
];

pub fn run() -> Result<()> {
    let began = Instant::now();
    let mut lines = Vec::new();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, stage) in STAGES {
        println!("\n==> {name}");
        let stage_began = Instant::now();
        let verdict = match stage() {
            Ok(Outcome::Passed) => {
                passed += 1;
                "passed".to_owned()
            }
            Ok(Outcome::Skipped(why)) => {
                skipped += 1;
                format!("skipped: {why}")
            }
            Err(error) => {
                failed += 1;
                eprintln!("error: {error:#}");
                "FAILED".to_owned()
            }
        };
        let line = format!("{name:<16} {:>6}  {verdict}", minutes(stage_began.elapsed()));
        println!("<== {line}");
        lines.push(line);
    }
    println!("\nstage           minutes");
    for line in lines {
        println!("{line}");
    }
    println!("{:<16} {:>6}\n", "all", minutes(began.elapsed()));
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ensure!(failed == 0, "{failed} of {} stages failed", STAGES.len());
    Ok(())
}

fn minutes(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() / 60.0)
}

fn tidy_stage() -> Result<Outcome> {
    tidy::run()?;
    Ok(Outcome::Passed)
}

/// All crates in one selection: a stage for some of them would have other features, and build the engine again.
fn build() -> Result<Outcome> {
    run_command(cargo().args(["test", "--workspace", "--no-run"]))?;
    Ok(Outcome::Passed)
}

fn tests() -> Result<Outcome> {
    run_command(cargo().args(["test", "--workspace", "--no-fail-fast"]))?;
    Ok(Outcome::Passed)
}

/// Instructions are counted, not time: a loaded machine counts the same.
fn kernels_stage() -> Result<Outcome> {
    if !has_program("valgrind") {
        if !is_root() {
            return Ok(Outcome::Skipped("no valgrind".to_owned()));
        }
        install("valgrind")?;
    }
    Ok(kernels::run()?.map_or(Outcome::Passed, Outcome::Skipped))
}

/// Other engines open the tables of a demo, and what was exported of them, and must count and sum as we do; what the SDK of CloudEvents sends must
/// come to the tables. A reader beside the swap of a new generation sees the columns of before or those of after.
fn python_interop() -> Result<Outcome> {
    let Some(python) = python_environment()? else {
        return Ok(Outcome::Skipped("no python3 with venv".to_owned()));
    };
    demo::with_loaded_lake(demo::Binary::OfTests, |lake, exports, answers| {
        let script = root().join("xtask/python/interop.py");
        run_command(Command::new(&python).arg(script).arg(lake).arg(exports).arg(answers.to_string()))
    })?;
    demo::with_server_of(demo::Binary::OfTests, &root().join("xtask/python/project"), |url| {
        let script = root().join("xtask/python/send_cloudevents.py");
        run_command(Command::new(&python).arg(script).arg(url))
    })?;
    let scratch = tempfile::tempdir().context("cannot make a directory")?;
    let script = root().join("xtask/python/swap.py");
    run_command(Command::new(&python).arg(script).arg(demo::Binary::OfTests.path()?).arg(scratch.path()))?;
    Ok(Outcome::Passed)
}

/// A short round of each driver.
fn torture_stage() -> Result<Outcome> {
    // Some make a file system of their own; as root they can, elsewhere they say so and pass.
    if !has_program("mkfs.ext4") && is_root() {
        install("e2fsprogs")?;
    }
    torture::short_round()?;
    Ok(Outcome::Passed)
}

fn demo_once() -> Result<Outcome> {
    demo::run(demo::Binary::OfTests, demo::End::Once)?;
    Ok(Outcome::Passed)
}

/// The Python of an environment which has the engines.
pub fn python_environment() -> Result<Option<PathBuf>> {
    python_environment_of(PYTHON_ENVIRONMENT, PYTHON_PACKAGES)
}

/// The Python of an environment which has these packages; made at the first run, in the target directory.
pub fn python_environment_of(name: &str, packages: &[&str]) -> Result<Option<PathBuf>> {
    if !has_program("python3") {
        return Ok(None);
    }
    let directory = target_directory()?.join(name);
    let python = directory.join("bin/python");
    // Written last, so that a half-made environment is made again. It names what is in it.
    let complete = directory.join("complete");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|made| made == wanted) {
        return Ok(Some(python));
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("cannot remove the old Python environment")?;
    }
    if !make_environment(&directory)? {
        if !is_root() {
            return Ok(None);
        }
        install("python3-venv")?;
        if !make_environment(&directory)? {
            bail!("python3 -m venv fails even with python3-venv installed");
        }
    }
    run_command(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(packages),
    )?;
    std::fs::write(&complete, wanted).context("cannot mark the Python environment as complete")?;
    Ok(Some(python))
}

fn make_environment(directory: &Path) -> Result<bool> {
    let status = Command::new("python3")
        .args(["-m", "venv"])
        .arg(directory)
        .stdout(Stdio::null())
        .status()
        .context("cannot run python3")?;
    Ok(status.success())
}

fn install(package: &str) -> Result<()> {
    println!("installing {package}");
    run_command(Command::new("apt-get").args(["update", "-qq"]))?;
    run_command(Command::new("apt-get").args(["install", "-qq", "--yes", "--no-install-recommends", package]))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Where the tools of a file system live on systems that keep them from users' paths.
    directories.push("/usr/sbin".into());
    directories.push("/sbin".into());
    directories.iter().any(|directory| directory.join(name).is_file())
}
