//! Our side: the real binary with its own defaults, a stream of reference events, and what must be true of a run before its
//! figures count. Always: receipts, ledger, rows, sums and codes of rejects are those that were sent.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Options, Scratch,
    events::{Batch, SCHEMA, STREAM},
    load::Sent,
};
use crate::{
    http::Connection,
    measure::{bytes_below, processor_time},
    server::{Launch, Server},
};

/// Below 1 MiB rows wait up to 60 s for their commit.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);
/// Idle: below a twentieth of a processor so many times in a row.
const QUIET_LOOK: Duration = Duration::from_secs(1);
const QUIET_LOOKS: u32 = 12;
/// After so long a table in which nothing comes has been compacted once more, or is being.
const AT_REST: Duration = Duration::from_secs(40);

/// A server over a fresh directory.
pub struct Ours {
    pub server: Server,
    launch: Launch,
    scratch: Scratch,
}

impl Ours {
    pub fn start(options: &Options, config: &str) -> Result<Ours> {
        let scratch = options.scratch("headwater")?;
        let schema = format!("schemas/{STREAM}.json");
        let files = [("headwater.toml", config), (schema.as_str(), SCHEMA)];
        let launch = Launch::new(&options.binary, scratch.path(), &scratch.path().join("data"), &files)?;
        let server = launch.start()?;
        Ok(Ours { server, launch, scratch })
    }

    pub fn address(&self) -> &str {
        &self.server.addresses.http
    }

    pub fn data(&self) -> &Path {
        &self.launch.data
    }

    /// The stream's table.
    pub fn table(&self) -> PathBuf {
        self.data().join("lake").join(STREAM)
    }

    pub fn status(&self) -> Result<Value> {
        let answer = Connection::open(self.address()).and_then(|mut to| to.get("/v1/status"));
        Ok(answer.with_context(|| self.server.quoted())?.json())
    }

    /// Waits until the lake has committed an append, and returns how long that took.
    pub fn wait_until_committed(&self, seq: u64) -> Result<Duration> {
        wait_until_committed(&self.server, seq)
    }

    /// Waits until nothing is left to be done behind what came, such as compaction.
    pub fn wait_until_idle(&self) -> Result<()> {
        let (began, pid) = (Instant::now(), self.server.pid());
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            let before = processor_time(pid);
            std::thread::sleep(QUIET_LOOK);
            let idle = processor_time(pid) - before < QUIET_LOOK / 20;
            quiet = if idle { quiet + 1 } else { 0 };
            ensure!(began.elapsed() < COMMIT_WAIT_MAX, "the server is still at work");
        }
        Ok(())
    }

    /// What the server still does behind the last commit, until its tables are as compact as they get: a table is at rest when
    /// nothing came for half a minute, and is compacted once more then.
    pub fn compact(&self) -> Result<Duration> {
        let before = processor_time(self.server.pid());
        std::thread::sleep(AT_REST);
        self.wait_until_idle()?;
        Ok(processor_time(self.server.pid()) - before)
    }

    /// The counts that make a figure count. Waits for nothing: everything that was acknowledged has to be there.
    pub fn check(&self, batch: &Batch, sent: &Sent) -> Result<()> {
        let receipts = [sent.accepted, sent.rejected, sent.duplicates];
        ensure!(receipts == [batch.good, batch.rejected(), 0], "receipts say {receipts:?}");
        let ledger = self.server.numbers(&format!(
            "SELECT sum(received), sum(stored), sum(rejected), sum(duplicates) FROM ledger WHERE stream = '{STREAM}'"
        ))?;
        let wanted = [batch.rows(), batch.good, batch.rejected(), 0].map(|count| count as i64);
        ensure!(ledger == wanted, "the ledger says {ledger:?}, sent were {wanted:?}");
        let rows = self.server.numbers(&format!("SELECT count(*), sum(price) FROM {STREAM}"))?;
        ensure!(rows == [batch.good as i64, batch.price_sum as i64], "the table says {rows:?}");
        let mut codes = Vec::new();
        if batch.rejected() > 0 {
            for row in self.server.rows("SELECT code, count(*) FROM rejects GROUP BY code")? {
                codes.push((row[0].clone(), row[1].parse::<u64>()?));
            }
        }
        let mut wanted: Vec<_> = batch.bad.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        codes.sort();
        wanted.sort();
        ensure!(codes == wanted, "codes of rejects {codes:?}, sent were {wanted:?}");
        Ok(())
    }

    /// Live Parquet and the log of the stream's table.
    pub fn table_bytes(&self) -> Result<(u64, u64)> {
        let live =
            self.server.numbers(&format!("SELECT lake_bytes FROM streams WHERE stream = '{STREAM}'"))?[0];
        Ok((live as u64, bytes_below(&self.table().join("_delta_log"), &|_| true)))
    }

    /// Stops it cleanly and starts it again over the same directory.
    pub fn start_again(self) -> Result<Ours> {
        self.start_again_with(SCHEMA)
    }

    /// The same with another schema of the stream.
    pub fn start_again_with(self, schema: &str) -> Result<Ours> {
        let Ours { server, launch, scratch } = self;
        server.terminate()?;
        std::fs::write(launch.project.join("schemas").join(format!("{STREAM}.json")), schema)?;
        let server = launch.start()?;
        Ok(Ours { server, launch, scratch })
    }

    /// Stops the server and hands out its directory, which goes with the value.
    pub fn stop(self) -> Result<Scratch> {
        self.server.terminate()?;
        Ok(self.scratch)
    }
}

/// Waits until the lake has committed an append, and returns how long that took.
pub fn wait_until_committed(server: &Server, seq: u64) -> Result<Duration> {
    let began = Instant::now();
    let mut connection = Connection::open(&server.addresses.http)?;
    loop {
        let status = connection.get("/v1/status")?.json();
        let committed = status["follower"]["committed"].as_u64();
        if committed.context("the status names no append that is committed")? >= seq {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < COMMIT_WAIT_MAX, "not committed: {status}");
        std::thread::sleep(POLL);
    }
}

/// The server's stream table within the directory of a stopped one.
pub fn table_in(scratch: &Scratch) -> PathBuf {
    scratch.path().join("data/lake").join(STREAM)
}
