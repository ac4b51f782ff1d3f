//! The running server, by what it says of itself (`GET /v1/status`).
//! Always: a server that does not answer is a fault, not an end: the rest was told already.

use std::{path::Path, time::Duration};

use hw_event::{Clock, SystemClock, Timestamp};
use serde_json::Value;

use super::{
    Finding,
    data::{budget, clock},
};

const ANSWER_TIME: Duration = Duration::from_secs(5);
/// A follower that has not committed for so long although there was something to commit.
const COMMIT_LATE_SECONDS: u64 = 180;

pub async fn examine(data: &Path, findings: &mut Vec<Finding>) {
    match ask(data).await {
        Ok(status) => findings.extend(judge(&status)),
        Err(reason) => findings.push(Finding::fault(
            "server",
            format!("it has the data directory but does not answer: {reason}"),
            "it may be starting or stopping: ask again; else its log says more",
        )),
    }
}

async fn ask(data: &Path) -> Result<Value, String> {
    let text =
        std::fs::read(data.join("endpoints.json")).map_err(|error| format!("endpoints.json: {error}"))?;
    let endpoints: Value =
        serde_json::from_slice(&text).map_err(|error| format!("endpoints.json: {error}"))?;
    let url = endpoints["http"][0].as_str().ok_or("endpoints.json names no address")?;
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIME).build();
    let client = client.map_err(|error| crate::client::innermost(&error))?;
    let answer = client.get(format!("{url}/v1/status")).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| crate::client::innermost(&error))?;
    answer.json().await.map_err(|error| crate::client::innermost(&error))
}

fn judge(status: &Value) -> Vec<Finding> {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let list = |pointer: &str| status.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let mut findings = Vec::new();

    let version = text("/version").unwrap_or("unknown");
    findings.push(if version == env!("CARGO_PKG_VERSION") {
        Finding::ok("running version", version)
    } else {
        let what = format!("the server is {version}, this binary {}", env!("CARGO_PKG_VERSION"));
        Finding::warning("running version", what, "restart the server to run the newer one")
    });

    if let Some(reason) = text("/journal/failed") {
        findings.push(Finding::fault(
            "journal",
            format!("it cannot be written: {reason}"),
            "free space, or repair the disk; writing resumes by itself, nothing that was acknowledged is lost",
        ));
    }
    for damage in list("/journal/damage") {
        let of = |name: &str| damage[name].as_u64().unwrap_or(0);
        let file = damage["file"].as_str().unwrap_or_default();
        let reason = damage["reason"].as_str().unwrap_or_default();
        findings.push(Finding::fault(
            "journal",
            format!("journal/{file}, bytes {}..{}: {reason}", of("start"), of("end")),
            "headwater verify says what is missing; restore the data directory from a backup if it matters",
        ));
    }
    // What the journal tells of itself is not told twice.
    let known = |found: &Value| {
        let of_journal = |damage: &Value| {
            let file = damage["file"].as_str().unwrap_or_default();
            found["file"].as_str().and_then(|name| name.strip_prefix("journal/")) == Some(file)
                && damage["start"] == found["start"]
        };
        list("/journal/damage").any(of_journal)
    };
    for found in list("/scrub/damage").filter(|found| !known(found)) {
        let of = |name: &str| found[name].as_u64().unwrap_or(0);
        let file = found["file"].as_str().unwrap_or_default();
        let reason = found["reason"].as_str().unwrap_or_default();
        findings.push(Finding::fault(
            "scrubber",
            format!("{file}, bytes {}..{}: {reason}", of("start"), of("end")),
            "what can be made good again is at the next start; see docs/operating/damage.md for the rest",
        ));
    }
    if number("/scrub/left_out") > 0 {
        findings.push(Finding::fault(
            "scrubber",
            format!("{} more places are damaged", number("/scrub/left_out")),
            "headwater verify names them",
        ));
    }
    let newest = status.pointer("/journal/newest_received_at_us").and_then(Value::as_i64);
    findings.extend(newest.and_then(|newest| clock(Timestamp(newest), SystemClock.now())));
    let mut held = Vec::new();
    for fault in list("/lake/faults") {
        let table = fault["table"].as_str().unwrap_or_default();
        held.push(format!("table {table}"));
        findings.push(Finding::fault(
            "lake",
            format!("table {table} cannot commit: {}", fault["error"].as_str().unwrap_or_default()),
            "its rows wait in the journal, which cannot be emptied meanwhile: see docs/operating/doctor.md",
        ));
    }
    let held = (!held.is_empty()).then(|| held.join(", "));
    findings.push(budget(
        number("/journal/used_bytes"),
        Some(number("/journal/budget_bytes")),
        held.as_deref(),
    ));
    for stream in list("/streams_behind") {
        findings.push(Finding::fault(
            "streams",
            format!("stream {} gets 429 stream_behind", stream["stream"].as_str().unwrap_or_default()),
            "its table cannot commit: repair that; it takes events again by itself",
        ));
    }

    let (lag, ended) = (number("/follower/lag_appends"), status["follower"]["ended"] == true);
    let late = number("/follower/last_commit_seconds") > COMMIT_LATE_SECONDS && lag > 0;
    findings.push(match (ended, text("/follower/last_error")) {
        (true, reason) => Finding::fault(
            "follower",
            format!("it has ended: {}", reason.unwrap_or("no reason is known")),
            "the lake is not fed any more: restart the server, and report it if it ends again",
        ),
        (false, Some(reason)) => Finding::fault(
            "follower",
            format!("it fails and tries again: {reason}"),
            "the text names the file or table: repair that; nothing is lost while the journal has room",
        ),
        (false, None) if late => Finding::warning(
            "follower",
            format!(
                "{lag} appends are not in the lake, the last commit was {} s ago",
                number("/follower/last_commit_seconds")
            ),
            "is the disk or the machine too busy?",
        ),
        (false, None) => Finding::ok("follower", format!("{lag} appends are not in the lake yet")),
    });
    if number("/follower/damaged") > 0 {
        findings.push(Finding::fault(
            "follower",
            format!("{} appends or blocks were damaged and passed over", number("/follower/damaged")),
            "headwater verify says what is missing",
        ));
    }

    let (used, max) = (number("/limits/connections_used"), number("/limits/connections"));
    let what = format!("{used} of {max} are open");
    findings.push(if used.saturating_mul(10) >= max.saturating_mul(9) && max > 0 {
        Finding::warning("connections", what, "raise limits.connections, or let clients share connections")
    } else {
        Finding::ok("connections", what)
    });
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    fn faults(status: &Value) -> Vec<&'static str> {
        let faulty = judge(status).into_iter().filter(|finding| finding.verdict == Verdict::Fault);
        faulty.map(|finding| finding.check).collect()
    }

    #[test]
    fn what_a_server_says_of_itself_is_judged() {
        let well = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "journal": {"failed": null, "damage": [], "used_bytes": 1, "budget_bytes": 100},
            "follower": {"lag_appends": 3, "last_error": null, "ended": false, "damaged": 0},
            "lake": {"faults": []}, "limits": {"connections": 10, "connections_used": 1},
        });
        assert!(judge(&well).iter().all(|finding| finding.verdict == Verdict::Ok), "{:?}", judge(&well));
        let mut ill = well.clone();
        ill["journal"]["failed"] = json!("no space");
        ill["lake"]["faults"] = json!([{"table": "orders", "error": "permission denied"}]);
        ill["journal"]["used_bytes"] = json!(90);
        ill["follower"]["ended"] = json!(true);
        ill["streams_behind"] = json!([{"stream": "orders"}]);
        assert_eq!(faults(&ill), ["journal", "lake", "journal", "streams", "follower"]);
        let found = |file: &str| json!({"file": file, "start": 64, "end": 128, "reason": "a test"});
        let mut scrubbed = well.clone();
        scrubbed["journal"]["damage"] =
            json!([{"file": "a.seg", "start": 64, "end": 128, "reason": "a test"}]);
        scrubbed["scrub"] = json!({"damage": [found("journal/a.seg"), found("lake/orders/b.parquet")]});
        assert_eq!(faults(&scrubbed), ["journal", "scrubber"]);
        let held =
            judge(&ill).into_iter().find(|finding| finding.what.contains("wait for the lake")).unwrap();
        assert!(held.remedy.unwrap().contains("held by table orders"));
    }
}
