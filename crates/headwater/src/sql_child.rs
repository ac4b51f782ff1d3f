//! Processes that run the SQL of users: how the server starts one, and what such a process is.
//! Always: a process gets no environment, no argument of a user and no descriptor but its two sockets; what it writes to
//! standard error goes nowhere, since the text of a panic can hold values of users. It is not of the terminal's group, so that
//! an interrupt for the server does not end statements that the server still waits for.

mod confine;
mod hot;

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use hw_query::{
    SqlSettings,
    child::{Children, Launch, Launched, serve_statements},
};
use serde::{Deserialize, Serialize};

use crate::{exit::Exit, reading::Opener};

/// The only argument of such a process. No command of a user: it is not listed, and useless without the sockets.
const ARGUMENT: &str = "sql-child";
/// The binary that runs, even if another one has its name by now.
const BINARY: &str = "/proc/self/exe";

/// What a process has to know beside the limits.
#[derive(Serialize, Deserialize)]
struct House {
    journal: PathBuf,
    lake: PathBuf,
}

/// The processes of one server; none is started yet.
pub fn children(
    settings: SqlSettings,
    idle_time: Duration,
    data: &crate::data_directory::DataDirectory,
    opener: Opener,
) -> anyhow::Result<Children> {
    let house = serde_json::to_vec(&House { journal: data.journal(), lake: data.lake() })?;
    Ok(Children::new(settings, house, idle_time, Box::new(ThisBinary), Arc::new(opener)))
}

struct ThisBinary;

impl Launch for ThisBinary {
    fn launch(&self) -> io::Result<Launched> {
        let (asks, its_asks) = UnixStream::pair()?;
        let (link, its_link) = UnixStream::pair()?;
        let mut command = Command::new(BINARY);
        command
            .arg0("headwater")
            .arg(ARGUMENT)
            .env_clear()
            .current_dir(Path::new("/"))
            .process_group(0)
            .stdin(OwnedFd::from(its_asks))
            .stdout(OwnedFd::from(its_link))
            .stderr(Stdio::null());
        let process = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        Ok(Launched { process, asks, link })
    }

    fn make_way(&self) -> Box<dyn Send> {
        Box::new(hw_pipeline::make_way())
    }
}

/// Is this process one of those?
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Runs statements until the server ends.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => Exit::Fine.into(),
        Err(_) => Exit::Usage.into(),
    }
}

fn serve() -> io::Result<()> {
    let asks = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let link = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    serve_statements(asks, link, |house, memory| {
        let House { journal, lake } = serde_json::from_slice(house)?;
        confine::confine(memory, &[&journal, &lake])?;
        Ok(Box::new(hot::Segments::new(journal)))
    })
}
