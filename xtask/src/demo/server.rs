//! A running `headwater up`, as a child process.
//! Always: it has its own directory and free ports; it is asked to stop, and killed only if it does not.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::output;

/// The longest wait for anything a server should do at once.
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

pub struct Server {
    child: Child,
    binary: PathBuf,
    /// Holds the data directory and the server's log.
    pub directory: PathBuf,
    pub data: PathBuf,
    pub url: String,
    /// The address of the listener `telemetry`.
    pub telemetry: String,
    stopped: bool,
}

impl Server {
    pub fn start(binary: &Path, project: &Path, directory: PathBuf) -> Result<Server> {
        let data = directory.join("data");
        std::fs::create_dir_all(&directory).context("cannot make the server's directory")?;
        let log = File::create(directory.join("server.log")).context("cannot make the server's log")?;
        let began = Instant::now();
        let child = Command::new(binary)
            .arg("up")
            .arg(project)
            .arg("--data")
            .arg(&data)
            .args(["--set", "http.listen=127.0.0.1:0", "--set", "tcp.telemetry.listen=127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the server's log")?)
            .stderr(log)
            .spawn()
            .context("cannot start headwater up")?;
        let (url, telemetry) = (String::new(), String::new());
        let mut server =
            Server { child, binary: binary.to_owned(), directory, data, url, telemetry, stopped: false };
        let endpoints = server.data.join("endpoints.json");
        let endpoints: Value = server.poll_alive("endpoints.json", || {
            Ok(std::fs::read(&endpoints).ok().and_then(|text| serde_json::from_slice(&text).ok()))
        })?;
        server.url =
            endpoints["http"][0].as_str().context("endpoints.json names no HTTP address")?.to_owned();
        server.telemetry = endpoints["tcp"]["telemetry"]
            .as_str()
            .context("endpoints.json names no listener telemetry")?
            .to_owned();
        let address = server.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        server.poll_alive("/readyz", || Ok(is_ready(&address).then_some(())))?;
        println!("ready after {:.2} s: {}", began.elapsed().as_secs_f64(), server.url);
        Ok(server)
    }

    /// A client command for this server.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data").arg(&self.data).env_remove("HEADWATER_URL");
        command
    }

    /// The rows of a query, each an array.
    pub fn rows(&self, statement: &str) -> Result<Vec<Value>> {
        let answer: Value = serde_json::from_slice(&output(&mut self.client(&["sql", "--json", statement]))?)
            .context("the answer is no JSON")?;
        Ok(answer["rows"].as_array().context("the answer has no rows")?.clone())
    }

    /// Asks until there is an answer, but not for ever.
    pub fn poll<T>(&self, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let give_up = Instant::now() + WAIT_MAX;
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if Instant::now() > give_up {
                bail!("waited {} s for {what}; the server's log: {}", WAIT_MAX.as_secs(), self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    fn poll_alive<T>(&mut self, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let give_up = Instant::now() + WAIT_MAX;
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                self.stopped = true;
                bail!("headwater up ended with {status}:\n{}", self.log());
            }
            if Instant::now() > give_up {
                bail!("waited {} s for {what}:\n{}", WAIT_MAX.as_secs(), self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("server.log")).unwrap_or_default()
    }

    /// Waits for its end, which somebody else brings about.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        self.stopped = true;
        ensure!(status.success(), "headwater up ended with {status}:\n{}", self.log());
        Ok(())
    }

    /// Asks it to stop, and expects a clean end.
    pub fn stop(&mut self) -> Result<()> {
        let Some(status) = self.terminate()? else {
            bail!("headwater up did not stop within {} s after TERM:\n{}", WAIT_MAX.as_secs(), self.log());
        };
        ensure!(status.success(), "headwater up ended with {status} after TERM:\n{}", self.log());
        ensure!(!self.data.join("endpoints.json").exists(), "a clean stop left endpoints.json behind");
        Ok(())
    }

    /// `None`: it did not stop and was killed.
    fn terminate(&mut self) -> Result<Option<ExitStatus>> {
        self.stopped = true;
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the server has no process id")?;
        // It may have ended by itself already; waiting tells.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            // An error is on its way already; this one would hide it.
            let _ = self.terminate();
        }
    }
}

/// `GET /readyz` answers 200.
fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
