//! Bytes of the lake that are not what was written: named by file and range, never used, and nobody else's trouble.

use std::{fs, path::Path};

use hw_query::{CutFile, Pieces, QueryError, Runner};

use crate::house::{House, ask, code, house, rows, runner, settings};

const PIECE: usize = 512;
const ALL: &str = "SELECT * FROM sensor_reading ORDER BY _offset";

/// The house, with checksums of both files of its first table.
fn summed() -> House {
    let mut house = house();
    let root = house.lake.path().to_owned();
    let files = &mut house.cut.tables[0].files;
    let summed = files.iter().map(|file| {
        let bytes = fs::read(root.join(&file.path)).unwrap();
        let crc32c = bytes.chunks(PIECE).map(crc32c::crc32c).collect();
        CutFile {
            crc32c: Some(crc32c::crc32c(&bytes)),
            pieces: Some(Pieces { bytes: PIECE as u32, crc32c }),
            ..CutFile::clone(file)
        }
    });
    *files = summed.collect::<Vec<_>>().into();
    house
}

async fn message(runner: &Runner, house: &House, statement: &str) -> String {
    match ask(runner, &house.cut, statement).await {
        Err(QueryError::Damaged(text)) => text,
        other => panic!("{statement}: {other:?}"),
    }
}

fn name(root: &Path) -> String {
    root.file_name().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_flipped_bit_in_any_piece_is_named_and_never_used() {
    let house = summed();
    let path = house.lake.path().join("sensor.reading/old.parquet");
    let whole = fs::read(&path).unwrap();
    let intact = rows(&runner(settings()), &house.cut, ALL).await;
    assert_eq!(intact.len(), 40);
    let warm = runner(settings());
    rows(&warm, &house.cut, ALL).await;
    assert!(whole.len() > 4 * PIECE, "{} bytes are too few pieces", whole.len());
    let mut named = 0;
    for start in (0..whole.len()).step_by(PIECE) {
        let end = whole.len().min(start + PIECE);
        let mut flipped = whole.clone();
        flipped[(start + end) / 2] ^= 4;
        fs::write(&path, flipped).unwrap();
        match ask(&runner(settings()), &house.cut, ALL).await {
            // A piece that holds nothing but the index of pages is read only for a statement with a condition.
            Ok(_) => assert_eq!(rows(&runner(settings()), &house.cut, ALL).await, intact),
            Err(QueryError::Damaged(text)) => {
                let lake = name(house.lake.path());
                let file = format!("{lake}/sensor.reading/old.parquet is damaged in bytes {start}..{end}: ");
                assert!(text.starts_with(&file), "{text}");
                named += 1;
            }
            Err(error) => panic!("{start}..{end}: {error}"),
        }
        // Who has the footer in memory does not read it again; what is read is right all the same.
        match ask(&warm, &house.cut, ALL).await {
            Ok(_) => assert_eq!(rows(&warm, &house.cut, ALL).await, intact),
            Err(error) => assert_eq!(error.code(), "damaged"),
        }
        // The other file, and other tables, are served.
        let statement = "SELECT count(value) FROM sensor_reading WHERE _offset >= 20";
        assert_eq!(rows(&runner(settings()), &house.cut, statement).await, ["[20]"]);
        assert_eq!(code(&warm, &house.cut, "SELECT * FROM rejects").await, "ok");
    }
    let pieces = whole.len().div_ceil(PIECE);
    println!("{named} of {pieces} pieces are read");
    assert!(named * 4 >= pieces * 3, "{named} of {pieces}");
    fs::write(&path, whole).unwrap();
    assert_eq!(rows(&warm, &house.cut, ALL).await, intact);
}

#[tokio::test]
async fn a_short_and_a_missing_file_are_named() {
    let house = summed();
    let path = house.lake.path().join("sensor.reading/old.parquet");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, PIECE, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let text = message(&runner(settings()), &house, ALL).await;
        assert!(
            text.contains(&format!("in bytes {length}..{}: it has {length} bytes", whole.len())),
            "{text}"
        );
    }
    fs::remove_file(&path).unwrap();
    let text = message(&runner(settings()), &house, ALL).await;
    assert!(text.contains("the file is missing"), "{text}");
    // Longer than it was: nobody reads what was added.
    fs::write(&path, [whole, b"more".to_vec()].concat()).unwrap();
    assert_eq!(code(&runner(settings()), &house.cut, ALL).await, "ok");
}

/// As files were written before their pieces were summed.
#[tokio::test]
async fn a_file_with_one_checksum_is_read_whole_at_first_touch() {
    let mut house = summed();
    let files = &mut house.cut.tables[0].files;
    let whole_only = files.iter().map(|file| CutFile { pieces: None, ..CutFile::clone(file) });
    *files = whole_only.collect::<Vec<_>>().into();
    let path = house.lake.path().join("sensor.reading/old.parquet");
    let whole = fs::read(&path).unwrap();
    let warm = runner(settings());
    let intact = rows(&warm, &house.cut, ALL).await;
    let mut flipped = whole.clone();
    flipped[PIECE] ^= 1;
    fs::write(&path, &flipped).unwrap();
    // The narrowest statement finds it too, wherever it is.
    let narrow = "SELECT sum(_partition) FROM sensor_reading";
    for (runner, statement) in [(&runner(settings()), narrow), (&warm, ALL)] {
        let text = message(runner, &house, statement).await;
        assert!(text.contains(&format!("in bytes 0..{}: ", whole.len())), "{text}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(rows(&warm, &house.cut, ALL).await, intact);
}

#[tokio::test]
async fn a_table_out_of_service_is_an_error_by_name_and_others_answer() {
    let mut house = summed();
    house.cut.tables[0].unreadable =
        Some(QueryError::Damaged("lake/x is damaged in bytes 1..2: a test".to_owned()));
    let runner = runner(settings());
    for statement in [ALL, "SELECT count(*) FROM sensor_reading", "SELECT 1 FROM rejects, sensor_reading"] {
        assert!(message(&runner, &house, statement).await.contains("lake/x is damaged"), "{statement}");
    }
    for statement in ["SELECT count(*) FROM rejects", "SHOW TABLES", "DESCRIBE sensor_reading", "SELECT 1"] {
        assert_eq!(code(&runner, &house.cut, statement).await, "ok", "{statement}");
    }
}
