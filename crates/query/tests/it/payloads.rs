//! Payloads of rejects: opened only if asked for, and only for those who may see them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hw_query::{PayloadOpener, Runner};

use crate::house::{Turned, code, house, rows, runner, settings};

struct Counted(Arc<AtomicUsize>);

impl PayloadOpener for Counted {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turned.open(sealed)
    }
}

#[tokio::test]
async fn payloads_are_opened_only_when_named() {
    let house = house();
    let opened = Arc::new(AtomicUsize::new(0));
    let runner = Runner::new(settings(), Arc::new(Counted(Arc::clone(&opened)))).unwrap();
    let count = || opened.swap(0, Ordering::Relaxed);
    rows(&runner, &house.cut, "SELECT code, path, \"offset\" FROM rejects").await;
    rows(&runner, &house.cut, "SELECT count(*) FROM rejects WHERE code = 'type'").await;
    assert_eq!(count(), 0);
    rows(&runner, &house.cut, "SELECT payload FROM rejects").await;
    assert_eq!(count(), 4);
    // The digest uses what was opened for the payload.
    rows(&runner, &house.cut, "SELECT payload, payload_sha256 FROM rejects").await;
    assert_eq!(count(), 4);
}

#[tokio::test]
async fn the_functions_behind_the_table_have_no_name() {
    let house = house();
    let runner = runner(settings());
    for name in ["opened", "sha256_hex"] {
        let statement = format!("SELECT {name}(payload) FROM rejects");
        assert_eq!(code(&runner, &house.cut, &statement).await, "sql_plan", "{name}");
    }
}
