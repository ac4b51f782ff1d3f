//! The real binary as a child process, and a client for it.
//! Always: a free port, a directory of its own, and an end to the process when the value is dropped.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use serde_json::{Value, json};

pub const BINARY: &str = env!("CARGO_BIN_EXE_headwater");

/// A project on disk: its files as (name, text).
pub fn project(directory: &Path, files: &[(&str, &str)]) -> PathBuf {
    let project = directory.join("project");
    for (name, text) in files {
        let path = project.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    project
}

pub struct Server {
    child: Child,
    // Kept open: the server would find its standard output closed.
    _stdout: BufReader<ChildStdout>,
    pub http: String,
    pub data: PathBuf,
    client: reqwest::Client,
}

impl Server {
    pub fn start(project: &Path, data: &Path) -> Server {
        Server::start_with(project, data, &[])
    }

    pub fn start_with(project: &Path, data: &Path, settings: &[&str]) -> Server {
        Server::try_start(project, data, settings).unwrap_or_else(|(status, stderr)| {
            panic!("the server did not start: {status}\n{stderr}");
        })
    }

    /// As a shell starts it that lets a process have so many descriptors unless it asks for more.
    pub fn start_with_descriptors(project: &Path, data: &Path, descriptors: u32) -> Server {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -S -n {descriptors} && exec \"$0\" \"$@\""), BINARY]);
        Server::try_start_as(shell, project, data, &[]).unwrap_or_else(|(status, stderr)| {
            panic!("the server did not start: {status}\n{stderr}");
        })
    }

    /// With processes for SQL that end when they have had nothing to do for so long.
    pub fn start_with_idle(project: &Path, data: &Path, idle: &str, settings: &[&str]) -> Server {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --sql-idle {idle}"), BINARY]);
        Server::try_start_as(shell, project, data, settings).unwrap_or_else(|(status, stderr)| {
            panic!("the server did not start: {status}\n{stderr}");
        })
    }

    /// With words behind the command, such as `--null-misfits`.
    pub fn try_start_saying(
        project: &Path,
        data: &Path,
        words: &str,
    ) -> Result<Server, (ExitStatus, String)> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {words}"), BINARY]);
        Server::try_start_as(shell, project, data, &[])
    }

    /// Under strace, which writes the files that are opened to `trace`.
    pub fn start_traced(project: &Path, data: &Path, trace: &Path, settings: &[&str]) -> Server {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "4096", "-e", "trace=open,openat,openat2,creat,execve", "-o"]);
        strace.arg(trace).arg(BINARY);
        Server::try_start_as(strace, project, data, settings).unwrap_or_else(|(status, stderr)| {
            panic!("the server did not start: {status}\n{stderr}");
        })
    }

    /// The processes that run SQL: (pid, state).
    pub fn sql_children(&self) -> Vec<(u32, char)> {
        sql_children_of(self.pid())
    }

    /// Starts and waits for the line that says it is ready; or for its end.
    pub fn try_start(project: &Path, data: &Path, settings: &[&str]) -> Result<Server, (ExitStatus, String)> {
        Server::try_start_as(Command::new(BINARY), project, data, settings)
    }

    fn try_start_as(
        mut command: Command,
        project: &Path,
        data: &Path,
        settings: &[&str],
    ) -> Result<Server, (ExitStatus, String)> {
        let stderr_path = data.with_extension("stderr");
        let stderr = std::fs::OpenOptions::new().append(true).create(true).open(&stderr_path).unwrap();
        command.arg("up").arg(project).arg("--data").arg(data);
        command.args(["--set", "http.listen=127.0.0.1:0"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).stdin(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            if stdout.read_line(&mut line).unwrap() == 0 {
                let status = child.wait().unwrap();
                return Err((status, std::fs::read_to_string(&stderr_path).unwrap_or_default()));
            }
            if line.starts_with("ready") {
                break;
            }
        }
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(data.join("endpoints.json")).unwrap()).unwrap();
        let http = endpoints["http"][0].as_str().unwrap().to_owned();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Ok(Server { child, _stdout: stdout, http, data: data.to_owned(), client })
    }

    pub fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of a TCP listener, by name.
    pub fn tcp(&self, name: &str) -> String {
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(self.data.join("endpoints.json")).unwrap()).unwrap();
        endpoints["tcp"][name].as_str().unwrap().to_owned()
    }

    pub async fn post(
        &self,
        stream: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        self.post_with(stream, &[("content-type", content_type)], body).await
    }

    pub async fn post_with(
        &self,
        stream: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let mut request = self.client.post(format!("{}/v1/streams/{stream}/events", self.http)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The status and the whole answer.
    pub async fn sql_answer(&self, statement: &str) -> (u16, Value) {
        let response = self
            .client
            .post(format!("{}/v1/sql", self.http))
            .header("content-type", "application/json")
            .body(json!({ "sql": statement }).to_string())
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The rows of a statement that must succeed.
    pub async fn sql(&self, statement: &str) -> Vec<Vec<Value>> {
        let (status, answer) = self.sql_answer(statement).await;
        assert_eq!(status, 200, "{statement}: {answer}");
        serde_json::from_value(answer["rows"].clone()).unwrap()
    }

    /// The one number a statement gives.
    pub async fn number(&self, statement: &str) -> i64 {
        let rows = self.sql(statement).await;
        rows[0][0].as_i64().unwrap_or_else(|| panic!("{statement}: {rows:?}"))
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.http)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// TERM; waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.child.wait().unwrap()
    }

    /// TERM for what runs under strace; waits for the end of both.
    pub fn terminate_traced(mut self) {
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(self.data.join("endpoints.json")).unwrap()).unwrap();
        signal(endpoints["pid"].as_u64().unwrap() as u32, "TERM");
        self.child.wait().unwrap();
    }

    /// KILL; waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn stderr(&self) -> String {
        let mut text = String::new();
        let file = std::fs::File::open(self.data.with_extension("stderr"));
        file.unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sql_children_of(parent: u32) -> Vec<(u32, char)> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let child = |pid: u32| {
        let (state, of) = process(pid)?;
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // A dead one that was not waited for has no arguments any more.
        let ours = state == 'Z' || arguments.windows(9).any(|window| window == b"sql-child");
        (of == parent && ours).then_some((pid, state))
    };
    pids.filter_map(child).collect()
}

/// State and parent of a process.
pub fn process(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success());
}

/// Runs a client command of the binary; returns (exit code, stdout, stderr).
pub fn headwater(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A small random generator whose seed is printed with a failure.
pub struct Random(u64);

impl Random {
    pub fn seeded() -> Random {
        let seed = std::env::var("HW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1
        });
        println!("seed: HW_SEED={seed}");
        Random(seed)
    }

    /// One of several generators that one printed seed repeats.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
