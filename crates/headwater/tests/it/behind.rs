//! A stream whose table cannot commit gets 429 alone; when the cause is gone it goes on by itself.

use std::{path::Path, time::Duration};

use serde_json::Value;

use crate::server::{Server, headwater, project};

const SCHEMA: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}},"required":["id"]}"#;
const CONFIG: &str = "[journal]\nsegment = \"64KiB\"\nbudget = \"16MiB\"\n[lake]\ncommit_every = \"20ms\"\n";

async fn send(server: &Server, stream: &str, id: u64) -> (u16, Value) {
    // Text that no encoding makes small, so that the bytes are those of the journal.
    let mut random = crate::server::Random::from_seed(id * 7919 + 1);
    let text: String = (0..2_000).map(|_| format!("{:016x}", random.next())).collect();
    server.post(stream, "application/json", format!("{{\"id\":{id},\"text\":\"{text}\"}}")).await
}

fn doctor(project: &Path, data: &Path) -> String {
    headwater(&["doctor", project.to_str().unwrap(), "--data", data.to_str().unwrap()]).1
}

#[tokio::test]
async fn one_table_in_trouble_is_one_stream_in_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("headwater.toml", CONFIG), ("schemas/well.json", SCHEMA), ("schemas/ill.json", SCHEMA)];
    let project = project(directory.path(), &files);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    // Something else stands where the table would be made.
    std::fs::write(data.join("lake/ill"), b"in the way").unwrap();

    let (mut taken, mut refused) = (0u64, None);
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    while refused.is_none() && tokio::time::Instant::now() < patience {
        match send(&server, "ill", taken).await {
            (200, _) => taken += 1,
            (429, problem) => refused = Some(problem),
            other => panic!("{other:?}"),
        }
    }
    let problem = refused.expect("it was never refused");
    assert_eq!(problem["code"], "stream_behind", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("table ill cannot commit"), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("headwater doctor"), "{problem}");
    // A quarter of 16 MiB, and what came before the next look. (A look comes four times a second: of a much smaller journal
    // all could be gone by then.)
    assert!(taken >= 4096 / 32, "{taken} events of 32 kB were taken");

    // The others go on, readers see everything, and the doctor knows.
    for id in 0..10 {
        assert_eq!(send(&server, "well", id).await.0, 200);
    }
    assert_eq!(server.number("SELECT count(*) FROM ill").await, taken as i64);
    let said = doctor(&project, &data);
    assert!(said.contains("table ill cannot commit"), "{said}");
    assert!(said.contains("stream ill gets 429"), "{said}");
    let (code, report, _) = headwater(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "what waits is not lost: {report}");

    // What is in the way goes, and the stream is taken again.
    std::fs::remove_file(data.join("lake/ill")).unwrap();
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match send(&server, "ill", taken).await {
            (200, _) => break,
            (429, _) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other:?}: {}", server.stderr()),
        }
    }
    assert_eq!(server.number("SELECT count(*) FROM ill").await, taken as i64 + 1);
    let (code, report, _) = headwater(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/well.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    assert_eq!(send(&server, "well", 1).await.0, 200);
    assert!(server.terminate().success());
    let journal = data.join("journal");
    let older: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let server = Server::start(&project, &data);
    assert_eq!(send(&server, "well", 2).await.0, 200);
    assert!(server.terminate().success());

    // The older journal, with a torn end of its own: nothing of it may be touched.
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    older.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let refused = Server::try_start(&project, &data, &[]).err().expect("it started");
    assert_eq!(refused.0.code(), Some(2), "{}", refused.1);
    assert!(refused.1.contains("the journal ends at append"), "{}", refused.1);
    assert!(refused.1.contains("headwater doctor"), "{}", refused.1);
    for (path, bytes) in &older {
        assert!(std::fs::read(path).unwrap() == *bytes, "{} was changed", path.display());
    }
    assert_eq!(std::fs::read_dir(&journal).unwrap().count(), older.len());

    // No journal at all.
    std::fs::remove_dir_all(&journal).unwrap();
    let refused = Server::try_start(&project, &data, &[]).err().expect("it started");
    assert!(refused.1.contains("the journal is gone, but there are tables"), "{}", refused.1);
}
