//! How a running server stands, as one JSON object: `GET /v1/status`, which `headwater doctor` reads.
//! Always: a look at what others know; costs no IO and waits for nothing. Members are added, never renamed.

use std::{path::PathBuf, sync::Arc, time::Instant};

use hw_lake::Table;
use hw_pipeline::FollowerHandle;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{generation::Generations, reading::Tables, scrub::Findings, shares::Behind, vault::Watch};

/// Findings of the scrubber that are told; the rest are counted.
const SCRUBBED_MAX: usize = 100;

/// What was decided at the start.
pub struct Status {
    pub data: PathBuf,
    pub started: Instant,
    pub sql_memory: u64,
    pub connections_max: usize,
    /// A permit for each connection that may still come.
    pub connections: Arc<Semaphore>,
    pub behind: Behind,
    pub scrubbed: Findings,
    pub generations: Generations,
    pub vault: Watch,
    /// Soft limit of open files.
    pub descriptors: Option<u64>,
}

impl Status {
    pub fn read(&self, tables: &Tables, follower: &FollowerHandle) -> Value {
        let usage = tables.journal.usage();
        let follower = follower.status();
        let damage: Vec<Value> = usage
            .damage
            .iter()
            .map(|damage| {
                json!({
                    "file": damage.file, "start": damage.start, "end": damage.end, "reason": damage.reason,
                    "first_append": damage.seqs.map(|(first, _)| first.0),
                    "last_append": damage.seqs.map(|(_, last)| last.0),
                })
            })
            .collect();
        let faults: Vec<Value> = tables
            .lake
            .faults()
            .into_iter()
            .map(|fault| {
                let position = tables.lake.table(fault.table).map(|table| table.seq.0);
                json!({ "table": name(tables, fault.table), "error": fault.error, "position": position })
            })
            .collect();
        let scrubbed = self.scrubbed.all();
        let told: Vec<Value> = scrubbed
            .iter()
            .take(SCRUBBED_MAX)
            .map(|it| json!({ "file": it.file, "start": it.start, "end": it.end, "reason": it.reason }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "data": self.data,
            "uptime_seconds": self.started.elapsed().as_secs(),
            "limits": {
                "connections": self.connections_max,
                "connections_used": self.connections_max.saturating_sub(self.connections.available_permits()),
                "descriptors": self.descriptors,
                "sql_memory_bytes": self.sql_memory,
            },
            "journal": {
                "appended": usage.appended.0,
                "durable": usage.durable.0,
                "first_kept": usage.first_kept.0,
                "segments": usage.segments,
                "free_segments": usage.free_segments,
                "used_bytes": usage.used_bytes,
                "budget_bytes": usage.budget_bytes,
                "queued_bytes": usage.queued_bytes,
                "newest_received_at_us": usage.newest_received_at.map(|at| at.0),
                "failed": usage.failed,
                "damage": damage,
            },
            "follower": {
                "committed": follower.committed.0,
                "lag_appends": usage.durable.0.saturating_sub(follower.committed.0),
                "pending_bytes": follower.pending_bytes,
                "commits": follower.commits,
                "last_commit_seconds": follower.last_commit.map(|at| at.elapsed().as_secs()),
                "errors": follower.errors,
                "last_error": follower.last_error,
                "damaged": follower.damaged,
                "ended": follower.ended(),
            },
            "lake": { "faults": faults },
            "generations": self.generations.told(),
            "vault": self.vault.read(),
            "scrub": { "damage": told, "left_out": scrubbed.len().saturating_sub(SCRUBBED_MAX) },
            "streams_behind": self.behind.names().iter().map(|name| json!({ "stream": name })).collect::<Vec<_>>(),
        })
    }
}

/// A table's name as its directory has it.
pub fn name(tables: &Tables, table: Table) -> String {
    match table {
        Table::Stream(id) => {
            let stream = tables.registry.by_id(id);
            stream.map_or_else(|| format!("stream {id}"), |stream| stream.name.to_string())
        }
        Table::Rejects => "rejects".to_owned(),
        Table::Ledger => "ledger".to_owned(),
    }
}
