//! The inputs that fuzzing has left: every one of them still keeps the promises of its target.

use std::{fs, path::PathBuf};

use hw_schema::fuzzing::TARGETS;

#[test]
fn every_input_keeps_its_promise() {
    for (name, target) in TARGETS {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let mut inputs: Vec<PathBuf> = fs::read_dir(&corpus)
            .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
            .map(|entry| entry.expect("a name").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            println!("{name}: {}", input.display());
            target(&fs::read(&input).expect("readable"));
        }
    }
}
