//! `headwater doctor`: what is wrong with a data directory or a server is said, with what to do about it.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;

fn doctor(project: &std::path::Path, data: &std::path::Path) -> (i32, Vec<Value>, String) {
    let (project, data) = (project.to_str().unwrap(), data.to_str().unwrap());
    let (code, stdout, stderr) = headwater(&["doctor", project, "--data", data, "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        let well = finding["verdict"] == "ok";
        assert_eq!(finding["do"].is_null(), well, "what is not well says what to do: {finding}");
    }
    (code, findings, stderr)
}

fn of<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["check"] == check).collect()
}

fn faults(findings: &[Value]) -> Vec<&Value> {
    findings.iter().filter(|finding| finding["verdict"] == "fault").collect()
}

#[tokio::test]
async fn a_directory_and_its_server_are_examined() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[journal]\nsegment = \"1MiB\"\nbudget = \"16MiB\"\n[lake]\ncommit_every = \"20ms\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/orders.json", SCHEMA)]);
    let data = directory.path().join("data");

    // Before the first start.
    let (code, findings, stderr) = doctor(&project, &data);
    assert_eq!((code, faults(&findings)), (0, vec![]), "{stderr}");
    assert!(!data.exists(), "nothing was made");

    // With a server, and beside a table that cannot commit.
    let server = Server::start(&project, &data);
    assert_eq!(server.post("orders", "application/json", "{\"id\":1}").await.0, 200);
    let (code, findings, stderr) = doctor(&project, &data);
    assert_eq!((code, faults(&findings)), (0, vec![]), "{stderr}");
    for check in ["version", "clock", "keys", "fsync", "server", "follower", "connections", "journal"] {
        assert!(!of(&findings, check).is_empty(), "{check} is missing: {findings:?}");
    }
    // Killed: the file of addresses is left, which is no fault; keys for all are one.
    server.kill();
    let key = std::fs::read_dir(data.join("keys")).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, findings, _) = doctor(&project, &data);
    assert_eq!(code, 1);
    assert_eq!(faults(&findings).len(), 1, "{findings:?}");
    assert!(faults(&findings)[0]["do"].as_str().unwrap().starts_with("chmod 600"));
    assert!(of(&findings, "server")[0]["what"].as_str().unwrap().contains("was killed"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    // A commit that is torn stops the table from being opened.
    let log = data.join("lake/orders/_delta_log");
    if let Some(commit) = std::fs::read_dir(&log).into_iter().flatten().flatten().next() {
        std::fs::write(commit.path(), b"").unwrap();
        let (code, findings, _) = doctor(&project, &data);
        let found = format!("{:?}", faults(&findings));
        assert!(code == 1 && found.contains("it is empty"), "{found}");
    }

    // A project with a fault.
    std::fs::write(project.join("headwater.toml"), "[journl]\n").unwrap();
    let (code, findings, _) = doctor(&project, &data);
    assert!(code == 1 && of(&findings, "configuration")[0]["verdict"] == "fault", "{findings:?}");
}
