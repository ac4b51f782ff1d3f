//! A dictionary of likely values against the digests of a lake: it recovers nothing without the key, and everything with it,
//! so that it is the key that keeps them. `HW_EVENTS=1000000` for the full size.

use std::{collections::HashSet, fs, path::Path};

use arrow::array::AsArray;
use hw_vault::HashKey;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha224, Sha256, Sha512_256};

use crate::server::{Server, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "email": {"type": "string", "format": "email", "x-privacy": "hash"}},
  "required": ["id", "email"]
}"#;
const BATCH: usize = 1000;

fn address(n: usize) -> String {
    let name = ["anna", "ben", "carla", "dmitri", "eva"][n % 5];
    let host = ["example.org", "example.com", "example.net"][n % 3];
    format!("{name}.{}@{host}", n / 5)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands in a column of all data files of a table.
fn column(table: &Path, name: &str) -> HashSet<String> {
    let mut values = HashSet::new();
    for entry in fs::read_dir(table).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "parquet") {
            continue;
        }
        let file = fs::File::open(&path).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let texts = batch.column_by_name(name).unwrap().as_string::<i32>();
            values.extend(texts.iter().flatten().map(str::to_owned));
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dictionary_of_addresses_recovers_nothing_without_the_key() {
    let count: usize = std::env::var("HW_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", ""), ("schemas/person.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    for first in (0..count).step_by(BATCH) {
        let event = |n: usize| format!("{{\"id\":{n},\"email\":\"{}\"}}\n", address(n));
        let body: String = (first..(first + BATCH).min(count)).map(event).collect();
        let (status, receipt) = server.post("person", "application/x-ndjson", body).await;
        assert_eq!((status, receipt["rejected"].as_u64()), (200, Some(0)), "{receipt}");
    }
    assert!(server.terminate().success());
    let digests = column(&data.join("lake/person"), "email");
    assert_eq!(digests.len(), count, "all addresses are different");

    let key = HashKey::load_file(&data.join("keys/hash.key")).unwrap();
    // What can be had without the key: nothing, zeros, and what is told of the key.
    let mut told = [0; 32];
    told[..16].copy_from_slice(key.id().as_bytes());
    let guesses = [[0; 32], [255; 32], told].map(|bytes| HashKey::from_bytes(&bytes));
    let (mut tried, mut recovered, mut with_the_key) = (0u64, 0, 0);
    for n in 0..count {
        let address = address(n);
        let forms =
            [address.clone(), address.to_uppercase(), format!("\"{address}\""), format!("{address}\n")];
        for text in forms.iter().map(String::as_bytes) {
            let bare = [
                hex(Sha256::digest(text)),
                hex(Sha224::digest(text)),
                hex(Sha512_256::digest(text)),
                hex(Sha256::digest(Sha256::digest(text))),
                hex(Sha256::digest(hex(Sha256::digest(text)))),
                hex(Sha256::digest([key.id().as_bytes(), text].concat())),
            ];
            let keyed = guesses.iter().map(|key| String::from_utf8(key.digest(text).to_vec()).unwrap());
            for guess in bare.into_iter().chain(keyed) {
                tried += 1;
                recovered += u64::from(digests.contains(&guess));
            }
        }
        let right = key.digest(address.as_bytes());
        with_the_key += usize::from(digests.contains(str::from_utf8(&right).unwrap()));
    }
    println!("{count} addresses, {tried} guesses: {recovered} recovered, with the key {with_the_key}");
    assert_eq!((recovered, with_the_key), (0, count));
}
