//! Bits that flip, files that are cut, emptied or gone: over every file of a lake, one or two at a time. Whatever happens, a
//! table has exactly its rows, or is out of service by name; a data file that is damaged is named by range.
//!
//! `HW_FLIPS` says how many (400), `HW_SEED` which.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use arrow::array::RecordBatch;
use hw_event::{Seq, Timestamp};
use hw_lake::{Lake, LakeFile, Table, check_table};
use hw_pipeline::Sink;
use hw_testkit::{Random, seed_from_env};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::fixture::{
    ENGINE, JOURNAL, MINUTE, READING, World, empty, integers, offsets, read_delta, rows_delivery, tally,
};

const TABLES: [(Table, &str); 3] = [
    (Table::Stream(READING), "sensor.reading"),
    (Table::Stream(ENGINE), "launch.engine-2"),
    (Table::Ledger, "ledger"),
];

/// Data files, old and newer commits, checkpoints, what points to them, manifests.
const KINDS: [fn(&str) -> bool; 6] = [
    |path| path.contains("/part-"),
    |path| path.ends_with(".json") && !path.ends_with("8.json") && !path.ends_with("9.json"),
    |path| path.ends_with("8.json") || path.ends_with("9.json"),
    |path| path.ends_with(".checkpoint.parquet"),
    |path| path.ends_with("_last_checkpoint"),
    |path| path.ends_with("manifest"),
];

/// Ten commits, checkpoints at versions 3 and 7.
async fn world() -> World {
    let mut world = World::with(|settings| settings.checkpoint_every = 4).await;
    let name = world.registry.by_id(READING).unwrap().name.clone();
    for seq in 1..=10 {
        let mut delivery = world.rows(&[READING, ENGINE], 3);
        delivery.tallies.push((name.clone(), Seq(seq), tally(3, "http", Timestamp(MINUTE.0))));
        world.apply(delivery).await;
        world.commit().await;
    }
    world
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// What was done to a file, for the reader of a failure.
fn damage(path: &Path, kind: usize, random: &mut Random) -> String {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    let at = random.below(bytes.len() as u64) as usize;
    let what = match kind {
        0 => {
            fs::remove_file(path).unwrap();
            return format!("{} removed", path.display());
        }
        1 => {
            bytes.clear();
            "emptied".to_owned()
        }
        2 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        3 => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            if bytes == before {
                bytes[at] = 1;
            }
            format!("zeros from {at}")
        }
        _ => {
            let bit = random.below(8) as u32;
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{} {what}", path.display())
}

/// Reads as our readers do: pieces first. `None`: a piece does not match.
fn read(root: &Path, file: &LakeFile) -> Option<Vec<RecordBatch>> {
    let bytes = fs::read(root.join(&file.path)).ok()?;
    let pieces = file.pieces.as_ref().expect("every file of ours has them");
    let sums: Vec<u32> = bytes.chunks(pieces.bytes as usize).map(crc32c::crc32c).collect();
    if bytes.len() as u64 != file.bytes || *sums != *pieces.crc32c {
        return None;
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    Some(reader.build().unwrap().map(Result::unwrap).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_rots_is_served_and_nothing_else_is_lost() {
    let rounds = std::env::var("HW_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let seed = seed_from_env(20_261_122);
    println!("seed: HW_SEED={seed}");
    let mut random = Random::new(seed);
    let world = world().await;
    let expected = offsets(&(1..=10).map(|seq| (seq, 3)).collect::<Vec<_>>());
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("lake");
        copy(&world.root(), &root);
        let all = files(&root);
        // Two at a time only as flips: whoever removes both copies of a commit leaves nothing to tell by.
        let count = 1 + usize::from(round % 5 == 0);
        let mut what = Vec::new();
        for _ in 0..count {
            let kind = if count == 1 { random.below(10) } else { 9 };
            // Each kind of file as often as any other, however few there are of it.
            let kind_of_file = random.below(KINDS.len() as u64) as usize;
            let of_kind: Vec<_> =
                all.iter().filter(|path| KINDS[kind_of_file](&path.to_string_lossy())).collect();
            let path = of_kind[random.below(of_kind.len() as u64) as usize];
            what.push(damage(path, kind as usize, &mut random));
        }
        let found_before: usize =
            TABLES.iter().map(|(_, name)| check_table(&root.join(name), &mut |_| {}).len()).sum();

        let (registry, settings) = (world.registry.clone(), world.settings.clone());
        let lake = Lake::open(&root, JOURNAL, registry, settings).await.unwrap();
        let faults = lake.faults();
        assert!(count > 1 || faults.is_empty(), "{what:?}: one damage costs no table: {faults:?}");
        let (mut damaged, mut history) = (0, 0);
        for (table, name) in TABLES {
            if let Some(fault) = faults.iter().find(|fault| fault.table == table) {
                assert!(fault.out_of_service && fault.error.contains(name), "{what:?}: {fault:?}");
                continue;
            }
            let snapshot = lake.table(table).unwrap_or_else(|| panic!("{what:?}: {name} is gone"));
            assert_eq!((snapshot.version, snapshot.seq), (9, Seq(10)), "{what:?}: {name}");
            let found = lake.check(table, name, &mut |_| {});
            let read: Option<Vec<_>> = snapshot.files.iter().map(|file| read(&root, file)).collect();
            match read {
                Some(batches) if table != Table::Ledger => {
                    let batches = batches.concat();
                    assert_eq!(integers(&batches, "_offset"), expected, "{what:?}: {name}");
                    assert_eq!(integers(&batches, "a"), expected, "{what:?}: {name}");
                }
                Some(batches) => assert_eq!(integers(&batches.concat(), "stored"), [3; 10], "{what:?}"),
                None => damaged += 1,
            }
            let data = |file: &Path| file.extension().is_some_and(|kind| kind == "parquet");
            let (of_data, of_log): (Vec<_>, Vec<_>) = found.iter().partition(|damage| {
                data(&damage.file) && !damage.file.to_string_lossy().contains("_delta_log")
            });
            assert_eq!(
                of_data.is_empty(),
                !what.iter().any(|what| is_data(what, name)),
                "{what:?}: {found:?}"
            );
            history += of_log.len();
            // Other readers find the same table.
            if of_data.is_empty() && of_log.is_empty() && round % 4 == 0 {
                let column = if table == Table::Ledger { "stored" } else { "_offset" };
                assert_eq!(
                    integers(&read_delta(&root.join(name)).await, column).len(),
                    snapshot.rows as usize
                );
            }
        }
        let repaired = lake.repaired().len();
        let outcome = match (faults.len(), damaged, repaired, history) {
            (1.., ..) => "a table out of service, by name",
            (0, 1.., ..) => "a data file, by range",
            (0, 0, 1.., _) => "repaired",
            (0, 0, 0, 1..) => "history, named by the scrubber",
            // A cut or a span of zeros that changed nothing, or only what a start makes anew.
            _ if found_before > 0 => "repaired on the way",
            _ => "harmless",
        };
        *outcomes.entry(outcome).or_default() += 1;
        if outcome == "harmless" {
            println!("harmless: {what:?}");
        }
        if faults.is_empty() && damaged == 0 && round % 7 == 0 {
            // It goes on as if nothing had been.
            let (mut sink, mut delivery) = (lake.sink(), empty(Seq(11)));
            let stream = world.registry.by_id(READING).unwrap();
            delivery.rows.push(rows_delivery(&stream, stream.current().unwrap().0, Seq(11), 1));
            sink.apply(delivery).await.unwrap();
            assert_eq!(sink.commit().await.unwrap(), Seq(11), "{what:?}: {:?}", lake.faults());
            assert_eq!(lake.table(Table::Stream(READING)).unwrap().rows, 31, "{what:?}");
        }
    }
    println!("{outcomes:#?}");
    assert_eq!(outcomes.values().sum::<usize>(), rounds);
}

/// Was a data file of this table hit?
fn is_data(what: &str, table: &str) -> bool {
    what.contains(&format!("/{table}/part-"))
}

/// A table of before there were manifests, seals and pieces opens, is given a manifest, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_the_older_format_opens_and_goes_on() {
    let mut world = world().await;
    for (_, name) in TABLES {
        older(&world.root().join(name));
    }
    world.reopen().await;
    assert!(world.lake.faults().is_empty(), "{:?}", world.lake.faults());
    let table = world.table(Table::Stream(READING));
    assert_eq!((table.version, table.seq, table.rows), (9, Seq(10), 30));
    assert!(table.files.iter().all(|file| file.crc32c.is_some() && file.pieces.is_none()));
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(11));
    world.reopen().await;
    assert_eq!(world.table(Table::Stream(READING)).rows, 31);
    for (_, name) in TABLES {
        assert_eq!(check_table(&world.root().join(name), &mut |_| {}), [], "{name}");
    }
    // Their one checksum is still checked by the scrubber.
    let file = world.root().join(&table.files[0].path);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let found = check_table(&world.root().join("sensor.reading"), &mut |_| {});
    assert_eq!((found.len(), found[0].start, found[0].end), (1, 0, table.files[0].bytes));
}

/// Rewrites a table as the version before would have written it: without what that one did not know.
fn older(directory: &Path) {
    fs::remove_dir_all(directory.join("_headwater")).unwrap();
    let log = directory.join("_delta_log");
    let mut previous = None;
    for version in 0..10 {
        let path = log.join(format!("{version:020}.json"));
        let mut lines: Vec<serde_json::Value> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &mut lines {
            if let Some(info) = line.get_mut("commitInfo").and_then(|info| info.as_object_mut()) {
                info.remove("headwater.commit_crc32c");
                info.remove("headwater.checkpoint");
                if let Some(previous) = previous {
                    info.insert("headwater.previous_crc32c".to_owned(), format!("{previous:08x}").into());
                }
            }
            if let Some(tags) = line.pointer_mut("/add/tags").and_then(|tags| tags.as_object_mut()) {
                tags.remove("headwater.pieces_crc32c");
            }
        }
        let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        previous = Some(crc32c::crc32c(text.as_bytes()));
        fs::write(path, text).unwrap();
    }
    // The checkpoints still have the newer tags.
    for name in [
        "00000000000000000003.checkpoint.parquet",
        "00000000000000000007.checkpoint.parquet",
        "_last_checkpoint",
    ] {
        fs::remove_file(log.join(name)).unwrap();
    }
}
