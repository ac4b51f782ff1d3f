//! The vault on a real directory: what is kept, revealed, destroyed and refused.

use std::{fs, io, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::{SystemEntropy, TokenFormat, Tokens};

fn root(byte: u8) -> RootKey {
    RootKey::from_bytes(&[byte; 32])
}

fn open(directory: &Path) -> Vault {
    Vault::open(directory, &root(1), Arc::new(SystemEntropy)).unwrap()
}

/// The entries of one event: `values` of `subject`, tokenised in `domain`.
fn entries(vault: &Vault, domain: &str, subject: Option<&str>, values: &[&str]) -> Vec<TokenEntry> {
    let mut tokens = Tokens::new(&vault.token_keys(), &[domain.into()]);
    for value in values {
        tokens.token(0, TokenFormat::Text, value.as_bytes()).unwrap();
    }
    tokens.end_row(subject.map(str::as_bytes));
    tokens.take_entries()
}

fn keep(vault: &Vault, domain: &str, subject: Option<&str>, values: &[&str]) -> Vec<String> {
    let entries = entries(vault, domain, subject, values);
    let tokens = entries.iter().map(|entry| entry.token.as_str().to_owned()).collect();
    block_on(vault.keep(entries)).unwrap();
    tokens
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn reveal(vault: &Vault, domain: &str, token: &str) -> Revealed {
    vault.reveal(domain, &[token]).unwrap().remove(0)
}

fn value(text: &str) -> Revealed {
    Revealed::Value(Zeroizing::new(text.to_owned()))
}

/// All bytes of all files in `directory`.
fn bytes(directory: &Path) -> Vec<u8> {
    let files = fs::read_dir(directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.collect::<Vec<_>>().concat()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_was_kept_is_revealed_after_a_restart_and_nothing_clear_is_on_disk() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("vault");
    let vault = open(&path);
    let tokens = keep(&vault, "name", Some("person-4711"), &["Ada Lovelace", "Grace Hopper"]);
    let nobodys = keep(&vault, "name", None, &["Alan Turing"]);
    vault.close();
    for clear in ["Ada Lovelace", "Grace Hopper", "Alan Turing", "person-4711"] {
        assert!(!holds(&bytes(&path), clear.as_bytes()), "{clear}");
    }
    assert_eq!(fs::metadata(path.join("vault.redb")).unwrap().permissions().mode() & 0o777, 0o600);

    let vault = open(&path);
    assert_eq!(reveal(&vault, "name", &tokens[0]), value("Ada Lovelace"));
    assert_eq!(reveal(&vault, "name", &tokens[1]), value("Grace Hopper"));
    assert_eq!(reveal(&vault, "name", &nobodys[0]), value("Alan Turing"));
    assert_eq!(reveal(&vault, "other", &tokens[0]), Revealed::Unknown);
    assert_eq!(reveal(&vault, "name", "tok_00000000000000000000000000000000"), Revealed::Unknown);
    assert_eq!(reveal(&vault, "name", &"x".repeat(1000)), Revealed::Unknown);
    let status = vault.status().unwrap();
    assert_eq!(status, VaultStatus { subjects: 2, entries: 3, erased_tokens: 0 });
}

#[test]
fn a_value_that_comes_again_costs_nothing_and_one_of_another_subject_is_kept_too() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let first = keep(&vault, "name", Some("a"), &["Ada"]);
    assert!(entries(&vault, "name", Some("a"), &["Ada"]).is_empty(), "it is known to be durable");
    let second = keep(&vault, "name", Some("b"), &["Ada"]);
    assert_eq!(first, second);
    assert_eq!(vault.status().unwrap().entries, 2);
    // Twice in one event, and in two requests that do not know of one another.
    let (one, two) = (entries(&vault, "n", Some("c"), &["x", "x"]), entries(&vault, "n", Some("c"), &["x"]));
    assert_eq!((one.len(), two.len()), (1, 1));
    block_on(vault.keep(one)).unwrap();
    block_on(vault.keep(two)).unwrap();
    assert_eq!(vault.status().unwrap().entries, 3);
}

#[test]
fn a_row_that_is_taken_back_leaves_no_entry() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let mut tokens = Tokens::new(&vault.token_keys(), &["name".into()]);
    tokens.token(0, TokenFormat::Text, b"of a refused event").unwrap();
    tokens.drop_row();
    tokens.token(0, TokenFormat::Text, b"Ada").unwrap();
    tokens.end_row(Some(b"a"));
    let entries = tokens.take_entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].value.as_slice(), b"Ada");
    assert!(!format!("{entries:?}").contains("Ada"));
}

#[test]
fn what_is_destroyed_is_in_no_byte_and_does_not_come_back() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let tokens = keep(&vault, "name", Some("a"), &["Ada", "shared"]);
    let others = keep(&vault, "name", Some("b"), &["Bob", "shared"]);
    let subject = vault.subject_id("a");
    assert!(holds(&bytes(directory.path()), subject.as_bytes()));
    let old = fs::File::open(directory.path().join("vault.redb")).unwrap();

    let destroyed = vault.destroy(&[subject, vault.subject_id("never seen")]).unwrap();
    assert_eq!(destroyed, Destroyed { subjects: 1, entries: 2 });
    let after = bytes(directory.path());
    assert!(!holds(&after, subject.as_bytes()));
    assert!(!holds(&after, tokens[0].as_bytes()));
    assert!(holds(&after, others[0].as_bytes()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "only the new file is left");
    // Whoever held the old one open finds zeros.
    let mut left = Vec::new();
    io::Read::read_to_end(&mut &old, &mut left).unwrap();
    assert!(left.iter().all(|byte| *byte == 0));

    assert_eq!(reveal(&vault, "name", &tokens[0]), Revealed::Erased);
    assert_eq!(reveal(&vault, "name", &tokens[1]), value("shared"), "through the other subject's entry");
    assert_eq!(reveal(&vault, "name", &others[0]), value("Bob"));
    // The same person comes again: an entry of its own, under another key.
    assert_eq!(keep(&vault, "name", Some("a"), &["Ada"]), tokens[..1]);
    assert_eq!(reveal(&vault, "name", &tokens[0]), value("Ada"));
    vault.close();
    assert_eq!(reveal(&open(directory.path()), "name", &others[0]), value("Bob"));
}

#[test]
fn an_old_entry_does_not_open_once_its_subject_has_a_new_key() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let token = keep(&vault, "name", Some("a"), &["Ada"]).remove(0);
    let subject = vault.subject_id("a");
    let place = ("name", token.as_str(), &subject.0);
    let read = |vault: &Vault| {
        let mut cabinet = vault.inner.shared.cabinet();
        let reading = cabinet.database().unwrap().begin_read().unwrap();
        let found = reading.open_table(TOKENS).unwrap().get(place).unwrap();
        found.unwrap().value().to_vec()
    };
    let before = read(&vault);
    vault.destroy(&[subject]).unwrap();
    keep(&vault, "name", Some("a"), &["Ada"]);
    {
        let mut cabinet = vault.inner.shared.cabinet();
        let writing = cabinet.database().unwrap().begin_write().unwrap();
        writing.open_table(TOKENS).unwrap().insert(place, before.as_slice()).unwrap();
        writing.commit().unwrap();
    }
    assert_eq!(reveal(&vault, "name", &token), Revealed::Damaged);
}

#[test]
fn after_a_rotation_the_old_root_key_opens_nothing() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let token = keep(&vault, "name", Some("a"), &["Ada"]).remove(0);
    let blob = vault.seal_blob("erasure", b"state");
    vault.rotate(&root(2)).unwrap();
    assert_eq!(keep(&vault, "name", Some("b"), &["Ada"]), [token.clone()], "it goes on");
    vault.close();

    let refused = Vault::open(directory.path(), &root(1), Arc::new(SystemEntropy)).err().unwrap();
    assert!(matches!(&refused, VaultError::WrongRoot { needs, given, .. }
        if needs == root(2).id() && given == root(1).id()));
    let vault = Vault::open(directory.path(), &root(2), Arc::new(SystemEntropy)).unwrap();
    assert_eq!(reveal(&vault, "name", &token), value("Ada"));
    assert_eq!(vault.open_blob("erasure", &blob).unwrap().as_slice(), b"state");
    assert!(matches!(vault.open_blob("other", &blob), Err(VaultError::Sealed { .. })));
}

#[test]
fn a_damaged_vault_is_refused_by_name_and_never_empty() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let values: Vec<String> = (0..2000).map(|n| format!("value {n}")).collect();
    keep(&vault, "name", Some("a"), &values.iter().map(String::as_str).collect::<Vec<_>>());
    vault.close();
    let path = directory.path().join("vault.redb");
    let whole = fs::read(&path).unwrap();
    let mut tried = 0;
    let mut refuse = |harmed: &[u8], what: &str| {
        fs::write(&path, harmed).unwrap();
        match Vault::open(directory.path(), &root(1), Arc::new(SystemEntropy)) {
            Err(VaultError::Damaged { path: named, .. }) => {
                assert_eq!(named, path);
                tried += 1;
            }
            Err(error) => panic!("{what}: {error}"),
            // What no page in use holds may change.
            Ok(vault) => {
                assert_eq!(vault.status().unwrap().entries, 2000, "{what}");
                vault.close();
            }
        }
    };
    refuse(&[], "empty");
    refuse(&whole[..whole.len() / 2], "cut");
    refuse(&vec![0; whole.len()], "zeros");
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut harmed = whole.clone();
        harmed[at] ^= 0x10;
        refuse(&harmed, &format!("bit of byte {at}"));
    }
    assert!(tried > 10, "{tried} refusals");
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(directory.path()).status().unwrap().entries, 2000);
}

#[test]
fn a_replacement_that_a_crash_cut_short_is_ended_at_the_next_start() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let token = keep(&vault, "name", Some("a"), &["Ada"]).remove(0);
    vault.close();
    let [path, part, old] =
        ["vault.redb", "vault.redb.part", "vault.redb.old"].map(|name| directory.path().join(name));
    let whole = fs::read(&path).unwrap();
    for step in ["copied", "linked", "renamed"] {
        match step {
            "copied" => fs::write(&part, &whole[..whole.len() / 2]).unwrap(),
            "linked" => fs::hard_link(&path, &old).unwrap(),
            _ => fs::write(&old, &whole).unwrap(),
        }
        let vault = open(directory.path());
        assert_eq!(reveal(&vault, "name", &token), value("Ada"), "{step}");
        vault.close();
        assert!(!part.exists() && !old.exists(), "{step}");
    }
}

#[test]
fn a_disk_that_fails_refuses_and_a_disk_that_recovers_serves() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let first = keep(&vault, "name", Some("a"), &["Ada"]).remove(0);
    for full in [true, false] {
        let kind = if full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        let refused = vault.inner.shared.cabinet().failed(redb::Error::Io(kind.into()));
        assert!(matches!(refused, VaultError::Broken { .. }));
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let path = directory.path().join("vault.redb");
        let before = inode(&path);
        let token = keep(&vault, "name", Some("a"), &[if full { "Bob" } else { "Eve" }]).remove(0);
        assert_eq!(before == inode(&path), full, "what could not be synced is made anew");
        assert!(matches!(reveal(&vault, "name", &token), Revealed::Value(_)));
        assert_eq!(reveal(&vault, "name", &first), value("Ada"));
    }
    vault.close();
    assert!(matches!(block_on(vault.keep(entries(&vault, "n", None, &["x"]))), Err(VaultError::Closed)));
    assert!(matches!(vault.status(), Err(VaultError::Closed)));
}

#[test]
fn requests_that_wait_share_a_commit_and_all_are_kept() {
    let directory = TempDir::new().unwrap();
    let vault = open(directory.path());
    let all: Vec<_> = (0..300)
        .map(|n| entries(&vault, "name", Some(&format!("s{}", n % 7)), &[&format!("value {n}")]))
        .collect();
    let tokens: Vec<_> = all.iter().map(|entries| entries[0].token.as_str().to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let waiting: Vec<_> = all
            .into_iter()
            .map(|entries| {
                let vault = vault.clone();
                tokio::spawn(async move { vault.keep(entries).await })
            })
            .collect();
        for one in waiting {
            one.await.unwrap().unwrap();
        }
    });
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(reveal(&vault, "name", token), value(&format!("value {n}")));
    }
    assert_eq!(vault.status().unwrap().subjects, 7);
}

#[test]
fn a_copy_that_is_made_while_entries_come_is_a_vault() {
    let directory = TempDir::new().unwrap();
    let vault = open(&directory.path().join("vault"));
    let first = keep(&vault, "mail", Some("ann"), &["a@x"]);
    let writer = {
        let vault = vault.clone();
        std::thread::spawn(move || {
            for at in 0..50 {
                keep(&vault, "mail", Some("bob"), &[&format!("{at}@x")]);
            }
        })
    };
    for at in 0..5 {
        let copy = directory.path().join(format!("copy-{at}"));
        fs::create_dir(&copy).unwrap();
        vault.copy_to(&copy.join("vault.redb")).unwrap();
        assert_eq!(fs::metadata(copy.join("vault.redb")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(vault.copy_to(&copy.join("vault.redb")).is_err(), "nothing is written over");
        assert_eq!(reveal(&open(&copy), "mail", &first[0]), value("a@x"));
    }
    writer.join().unwrap();
}
