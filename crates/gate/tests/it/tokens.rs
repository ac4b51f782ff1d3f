//! Tokens at the gate: their entries are durable before any row is stored, and no row is stored without them.

use std::sync::Arc;

use arrow::array::AsArray;
use hw_gate::{Refusal, Submission};
use hw_vault::{Revealed, RootKey, SystemEntropy, Vault};

use crate::fixture::{World, request};

fn vault(directory: &tempfile::TempDir) -> Vault {
    Vault::open(directory.path(), &RootKey::from_bytes(&[1; 32]), Arc::new(SystemEntropy)).unwrap()
}

fn world(vault: &Vault) -> World {
    World { vault: Some(vault.clone()), ..World::new() }
}

#[tokio::test]
async fn every_token_that_is_stored_can_be_revealed() {
    let directory = tempfile::tempdir().unwrap();
    let vault = vault(&directory);
    let house = world(&vault).open();
    let events = [r#"{"name":"Ada","who":"p1"}"#, r#"{"who":"p1","name":"Grace"}"#, r#"{"who":"p2"}"#];
    let receipt = house.gate.submit(request("tokens", &events)).await.unwrap();
    assert_eq!(receipt.accepted, 3);
    let rows = house.rows("tokens").remove(0);
    let column = rows.column_by_name("name").unwrap().as_string::<i32>().clone();
    let stored: Vec<Option<&str>> = column.iter().collect();
    let revealed = vault.reveal("name", &[stored[0].unwrap(), stored[1].unwrap()]).unwrap();
    let texts: Vec<_> = revealed
        .iter()
        .map(|one| match one {
            Revealed::Value(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["Ada", "Grace"]);
    assert_eq!(stored[2], None);
    house.close().await;
}

#[tokio::test]
async fn a_vault_that_cannot_keep_refuses_and_nothing_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let vault = vault(&directory);
    let house = world(&vault).open();
    vault.close();
    let refused = house.gate.submit(request("tokens", &[r#"{"name":"Ada","who":"p1"}"#])).await;
    assert!(matches!(&refused, Err(Refusal::Disk(text)) if !text.contains("Ada")), "{refused:?}");
    assert!(house.appends().is_empty());
    // What needs no entry needs no vault.
    house.gate.submit(request("tokens", &[r#"{"who":"p1"}"#])).await.unwrap();
    house.close().await;

    let house = World::new().open();
    let refused = house.gate.submit(request("tokens", &[r#"{"name":"Ada","who":"p1"}"#])).await;
    assert!(matches!(refused, Err(Refusal::Disk(_))), "{refused:?}");
    house.close().await;
}

#[tokio::test]
async fn what_is_refused_leaves_no_entry() {
    let directory = tempfile::tempdir().unwrap();
    let vault = vault(&directory);
    let house = world(&vault).open();
    let events =
        [r#"{"name":"Ada","who":"p1"}"#, r#"{"name":"a name of more than twenty letters","who":"p1"}"#];
    // The good neighbour of a bad event is refused with it; at a door that cannot refuse it is stored.
    let receipt = house.gate.submit(request("tokens", &events)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (0, 1));
    assert_eq!(vault.status().unwrap().entries, 0);
    let may_not = Submission { may_refuse: false, ..request("tokens", &events) };
    assert_eq!(house.gate.submit(may_not).await.unwrap().accepted, 1);
    assert_eq!(vault.status().unwrap().entries, 1);
    house.close().await;
}
