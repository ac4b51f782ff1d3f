//! Tokens: what was sent can be revealed by who may, and by nobody without a record of it; whatever dies when, no token is
//! in the lake that the vault does not know.

use std::{collections::HashMap, path::Path};

use serde_json::{Value, json};

use crate::server::{Random, Server, headwater, project};

const SCHEMA: &str = r#"{
  "type": "object", "required": ["id"],
  "properties": {
    "id": {"type": "integer"},
    "who": {"type": ["string", "null"]},
    "name": {"type": "string", "x-privacy": "tokenize"},
    "card": {"type": "string", "x-privacy": "tokenize", "x-token-format": "digits", "pattern": "^[0-9]{16}$"}
  }
}"#;
const OTHER: &str = r#"{
  "type": "object", "required": ["person"],
  "properties": {
    "person": {"type": "integer", "x-privacy": "subject"},
    "customer": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "name"}
  }
}"#;

fn tokens_project(directory: &Path, config: &str) -> std::path::PathBuf {
    project(
        directory,
        &[("headwater.toml", config), ("schemas/sale.json", SCHEMA), ("schemas/call.json", OTHER)],
    )
}

async fn reveal(server: &Server, body: &Value) -> (u16, Value, Option<String>) {
    let request = server.client().post(format!("{}/v1/tokens/reveal", server.http));
    let response =
        request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let cache = response.headers().get("cache-control").map(|value| value.to_str().unwrap().to_owned());
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(), cache)
}

fn audit(data: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data.join("audit/reveals.ndjson")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_join_across_streams_and_are_revealed_with_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let project = tokens_project(directory.path(), "[privacy]\nreveal = true\n");
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    let sale = r#"{"id":1,"name":"Ada Lovelace","card":"4111111111111111"}"#;
    assert_eq!(server.post("sale", "application/x-ndjson", sale).await.0, 200);
    let call = r#"{"customer":"Ada Lovelace","person":7}"#;
    assert_eq!(server.post("call", "application/x-ndjson", call).await.0, 200);
    let joined = server.sql("SELECT name, card FROM sale JOIN call ON name = customer").await;
    let (name, card) = (joined[0][0].as_str().unwrap(), joined[0][1].as_str().unwrap());
    assert!(name.starts_with("tok_") && card.len() == 16 && card != "4111111111111111", "{joined:?}");

    let asked = json!({"domain": "name", "tokens": [name, "tok_x", "Ada Lovelace"], "reason": "ticket 1"});
    let (status, answer, cache) = reveal(&server, &asked).await;
    assert_eq!((status, cache.as_deref()), (200, Some("no-store")), "{answer}");
    assert_eq!(answer["tokens"][0], json!({"token": name, "state": "revealed", "value": "Ada Lovelace"}));
    assert_eq!(answer["tokens"][1], json!({"token": "tok_x", "state": "unknown"}));
    let url = server.http.clone();
    let run = |arguments: &[&str]| headwater(&[&["tokens", "reveal", "--url", &url][..], arguments].concat());
    let (code, stdout, _) = run(&[card, "--domain", "card", "--reason", "ticket 2"]);
    assert_eq!((code, stdout.trim()), (0, format!("{card}  4111111111111111").as_str()));
    let (code, stdout, _) = run(&[name, "--domain", "card", "--reason", "ticket 3"]);
    assert_eq!((code, stdout.trim()), (1, format!("{name}  (unknown)").as_str()));

    let records = audit(&data);
    let told: Vec<_> =
        records.iter().map(|one| (one["reason"].as_str().unwrap(), one["revealed"].as_u64())).collect();
    assert_eq!(told, [("ticket 1", Some(1)), ("ticket 2", Some(1)), ("ticket 3", Some(0))]);
    assert_eq!(records[0]["principal"], "local");
    assert_eq!(records[0]["tokens"], json!([name, null, null]), "what is no token is not written down");
    assert!(!std::fs::read_to_string(data.join("audit/reveals.ndjson")).unwrap().contains("Ada"));

    for bad in [
        json!({"domain": "name", "tokens": [name]}),
        json!({"domain": "name", "tokens": [name], "reason": "  "}),
        json!({"domain": "name", "tokens": [], "reason": "r"}),
        json!({"domain": "name", "tokens": vec![name; 101], "reason": "r"}),
    ] {
        let (status, answer, _) = reveal(&server, &bad).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some("bad_body")), "{bad}");
    }
    assert_eq!(audit(&data).len(), 3);
    let (_, metrics) = server.get("/metrics").await;
    assert!(!metrics.contains("Ada"));
    let (code, stdout, stderr) =
        headwater(&["vault", "status", project.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert!(code == 0 && stdout.contains("keys/root.key"), "{stdout}{stderr}");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_may_reveal_unless_the_project_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let project = tokens_project(directory.path(), "");
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    server.post("sale", "application/x-ndjson", r#"{"id":1,"name":"Ada"}"#).await;
    let token = server.sql("SELECT name FROM sale").await[0][0].clone();
    let asked = json!({"domain": "name", "tokens": [token], "reason": "curious"});
    let (status, answer, _) = reveal(&server, &asked).await;
    assert_eq!((status, answer["code"].as_str()), (403, Some("reveal_not_allowed")), "{answer}");
    assert!(!answer.to_string().contains("Ada"));
    let records = audit(&data);
    assert_eq!((records.len(), records[0]["outcome"].as_str()), (1, Some("refused")));
    assert_eq!(records[0]["reason"], "curious");
}

/// The oracle is this test's: it knows each value that it sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_in_the_lake_that_the_vault_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[privacy]\nreveal = true\n[lake]\ncommit_every = \"20ms\"\n";
    let project = tokens_project(directory.path(), config);
    let data = directory.path().join("data");
    let mut random = Random::seeded();
    let (mut next, mut sent) = (0, HashMap::new());
    for _ in 0..10 {
        let server = Server::start(&project, &data);
        let requests = (0..20)
            .map(|_| {
                let events: Vec<_> = (0..1 + random.below(30))
                    .map(|_| {
                        next += 1;
                        // Some values come again.
                        let value = format!("person {}", if random.below(3) == 0 { next / 7 } else { next });
                        sent.insert(next, value.clone());
                        json!({"id": next, "name": value}).to_string()
                    })
                    .collect();
                let request = server.client().post(format!("{}/v1/streams/sale/events", server.http));
                let request = request.header("content-type", "application/x-ndjson").body(events.join("\n"));
                tokio::spawn(async move { request.send().await.map(|response| response.status()) })
            })
            .collect::<Vec<_>>();
        // Killed while they are under way: after the first few answers.
        let first = random.below(20) as usize;
        for (count, request) in requests.into_iter().enumerate() {
            if count >= first {
                break;
            }
            let _ = request.await;
        }
        server.kill();
    }
    let server = Server::start(&project, &data);
    let rows = server.sql("SELECT id, name FROM sale ORDER BY id").await;
    assert!(rows.len() > 50, "{} rows", rows.len());
    for rows in rows.chunks(100) {
        let tokens: Vec<_> = rows.iter().map(|row| row[1].clone()).collect();
        let (status, answer, _) =
            reveal(&server, &json!({"domain": "name", "tokens": tokens, "reason": "a test"})).await;
        assert_eq!(status, 200, "{answer}");
        for (row, told) in rows.iter().zip(answer["tokens"].as_array().unwrap()) {
            assert_eq!(told["value"].as_str(), Some(sent[&row[0].as_i64().unwrap()].as_str()), "{told}");
        }
    }
    let (code, stdout, stderr) = headwater(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_key_is_changed_and_a_vault_that_is_wrong_or_gone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let project = tokens_project(directory.path(), "[privacy]\nreveal = true\n");
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    server.post("sale", "application/x-ndjson", r#"{"id":1,"name":"Ada"}"#).await;
    let token = server.sql("SELECT name FROM sale").await[0][0].clone();
    let asked = json!({"domain": "name", "tokens": [token], "reason": "a test"});
    let (project_text, data_text) = (project.to_str().unwrap(), data.to_str().unwrap());
    let rotate = ["vault", "rotate", project_text, "--data", data_text];
    let (code, _, stderr) = headwater(&rotate);
    assert!(code == 4 && stderr.contains("in use"), "{code} {stderr}");
    assert!(server.terminate().success());

    let key = data.join("keys/root.key");
    let old = std::fs::read(&key).unwrap();
    let (code, stdout, stderr) = headwater(&rotate);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let new = std::fs::read(&key).unwrap();
    assert_ne!(old, new);
    // As a machine leaves it that stopped before the new key took the old one's place.
    std::fs::write(&key, &old).unwrap();
    std::fs::write(data.join("keys/root-next.key"), &new).unwrap();
    std::process::Command::new("chmod").arg("600").arg(data.join("keys/root-next.key")).status().unwrap();
    let server = Server::start(&project, &data);
    assert_eq!(reveal(&server, &asked).await.1["tokens"][0]["value"], "Ada");
    assert!(server.terminate().success());
    assert_eq!(std::fs::read(&key).unwrap(), new);
    assert!(!data.join("keys/root-next.key").exists());

    // From outside: 64 digits in a file that only a program reads.
    let outside = directory.path().join("root.hex");
    std::fs::write(&outside, "ab".repeat(32)).unwrap();
    let to = format!("command:cat {}", outside.display());
    let (code, stdout, stderr) = headwater(&[&rotate[..], &["--to", &to][..]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let (status, stderr) = Server::try_start(&project, &data, &[]).err().unwrap();
    assert!(!status.success() && stderr.contains("root key"), "{stderr}");
    let setting = format!("privacy.root_key={to}");
    let server = Server::start_with(&project, &data, &[&setting]);
    assert_eq!(reveal(&server, &asked).await.1["tokens"][0]["value"], "Ada");
    assert!(server.terminate().success());

    let vault = data.join("vault/vault.redb");
    let whole = std::fs::read(&vault).unwrap();
    std::fs::write(&vault, &whole[..whole.len() / 2]).unwrap();
    let (_, stderr) = Server::try_start(&project, &data, &[&setting]).err().unwrap();
    assert!(stderr.contains("vault.redb is damaged"), "{stderr}");
    std::fs::remove_file(&vault).unwrap();
    let (_, stderr) = Server::try_start(&project, &data, &[&setting]).err().unwrap();
    assert!(
        stderr.contains("vault.redb is gone, but the stream") && stderr.contains("has tokens"),
        "{stderr}"
    );
    assert!(!vault.exists());
    std::fs::write(&vault, &whole).unwrap();
    let server = Server::start_with(&project, &data, &[&setting]);
    assert_eq!(reveal(&server, &asked).await.1["tokens"][0]["value"], "Ada");
}
