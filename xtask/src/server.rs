//! The real binary as a child process, started again and again over one data directory.
//! Always: free ports; its end is waited for, also when the value is dropped. What it says is kept outside its directory.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::http::{Answer, Connection};

/// The longest wait for a start or an end.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How much of the log an error quotes.
const QUOTED_BYTES: usize = 2_000;

/// What every life of a server has in common.
#[derive(Clone)]
pub struct Launch {
    /// The program and what stands before `up`; a wrapper may come first.
    pub command: Vec<PathBuf>,
    pub environment: Vec<(String, String)>,
    pub project: PathBuf,
    pub data: PathBuf,
    /// Standard error of all lives, appended.
    pub log: PathBuf,
}

impl Launch {
    /// A project of these files (name, text) in `directory`, run with its data in `data`.
    pub fn new(binary: &Path, directory: &Path, data: &Path, files: &[(&str, &str)]) -> Result<Launch> {
        let project = directory.join("project");
        for (name, text) in files {
            let path = project.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Launch {
            command: vec![binary.to_owned()],
            environment: Vec::new(),
            project,
            data: data.to_owned(),
            log: directory.join("server.log"),
        })
    }

    /// What all lives said since `from` (a length of the log).
    pub fn said_since(&self, from: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut log) = File::open(&self.log) {
            // Less is read where it fails; the text is for people.
            let _ = log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.context("cannot open the server's log")?;
        let (program, before) = self.command.split_first().context("no program")?;
        Command::new(program)
            .args(before)
            .arg("up")
            .arg(&self.project)
            .arg("--data")
            .arg(&self.data)
            .args(["--set", "http.listen=127.0.0.1:0"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the server")
    }

    /// Starts, and kills after `wait` wherever the start has come by then, once `first` is done.
    pub fn start_and_end(&self, wait: Duration, first: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut child = self.spawn()?;
        std::thread::sleep(wait);
        let done = first();
        child.kill()?;
        child.wait()?;
        done
    }

    /// Starts and waits for readiness; fails if it ends before.
    pub fn start(&self) -> Result<Server> {
        match self.try_start()? {
            Started::Ready(server) => Ok(server),
            Started::Ended { status, said } => bail!("the server did not start: {status}\n{said}"),
        }
    }

    /// Starts and waits for readiness or its end.
    pub fn try_start(&self) -> Result<Started> {
        let began = Instant::now();
        let log_from = self.log_bytes();
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (tx, rx) = mpsc::channel();
        // Reads to the end, so that the server never finds its standard output closed or full.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("ready") {
                    let _ = tx.send(());
                }
            }
        });
        let mut server = Server {
            child,
            launch: self.clone(),
            addresses: Addresses::default(),
            ready_after: Duration::ZERO,
            log_from,
        };
        match rx.recv_timeout(WAIT_MAX) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.child.wait()?;
                return Ok(Started::Ended { status, said: server.said() });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("not ready after {} s\n{}", WAIT_MAX.as_secs(), server.quoted())
            }
        }
        server.ready_after = began.elapsed();
        let endpoints = std::fs::read(self.data.join("endpoints.json")).context("no endpoints.json")?;
        let endpoints: Value = serde_json::from_slice(&endpoints).context("endpoints.json")?;
        let http = endpoints["http"][0].as_str().context("endpoints.json names no HTTP address")?;
        server.addresses.http = http.trim_start_matches("http://").trim_end_matches('/').to_owned();
        server.addresses.sensors = endpoints["tcp"]["sensors"].as_str().unwrap_or_default().to_owned();
        Ok(Started::Ready(server))
    }
}

pub enum Started {
    Ready(Server),
    /// With all it said.
    Ended {
        status: ExitStatus,
        said: String,
    },
}

/// Where a server listens, as `host:port`.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    pub http: String,
    /// The listener `sensors`; empty if the project has none.
    pub sensors: String,
}

pub struct Server {
    child: Child,
    launch: Launch,
    pub addresses: Addresses,
    pub ready_after: Duration,
    log_from: u64,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What this life said.
    pub fn said(&self) -> String {
        self.launch.said_since(self.log_from)
    }

    /// The end of what it said.
    pub fn quoted(&self) -> String {
        let said = self.said();
        let mut from = said.len().saturating_sub(QUOTED_BYTES);
        while !said.is_char_boundary(from) {
            from += 1;
        }
        said[from..].to_owned()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The answer to a statement, on a connection of its own.
    pub fn sql_answer(&self, statement: &str, accept: &str) -> Result<Answer> {
        let body = serde_json::json!({ "sql": statement }).to_string();
        let headers = [("content-type", "application/json"), ("accept", accept)];
        let answer = Connection::open(&self.addresses.http)
            .and_then(|mut connection| connection.ask("POST", "/v1/sql", &headers, body.as_bytes()));
        answer.with_context(|| format!("no answer to {statement:?}\n{}", self.quoted()))
    }

    /// The rows of a statement that must succeed, as texts. For values without commas, quotes and newlines.
    pub fn rows(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        let answer = self.sql_answer(statement, "text/csv")?;
        ensure!(answer.status == 200, "{statement}: {} {}", answer.status, answer.text());
        let text = answer.text();
        let lines = text.lines().skip(1).filter(|line| !line.is_empty());
        Ok(lines.map(|line| line.trim_end_matches('\r').split(',').map(str::to_owned).collect()).collect())
    }

    /// The numbers of the one row that a statement gives.
    pub fn numbers(&self, statement: &str) -> Result<Vec<i64>> {
        let rows = self.rows(statement)?;
        let row = rows.first().with_context(|| format!("{statement}: no row"))?;
        row.iter().map(|text| text.parse().with_context(|| format!("{statement}: {row:?}"))).collect()
    }

    /// Where in the log this life begins.
    pub fn log_from(&self) -> u64 {
        self.log_from
    }

    /// TERM; waits for a clean end.
    pub fn terminate(self) -> Result<()> {
        let (status, said) = self.terminate_as_it_may()?;
        ensure!(status.success(), "TERM ended it with {status}\n{said}");
        Ok(())
    }

    /// TERM; waits for an end by itself, clean or not, and returns what it said last.
    pub fn terminate_as_it_may(mut self) -> Result<(ExitStatus, String)> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the server has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let give_up = Instant::now() + WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, self.quoted()));
            }
            ensure!(Instant::now() < give_up, "TERM did not end it\n{}", self.quoted());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// KILL; waits for the end.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended, in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
