//! Bytes at rest against their checksums: the journal's frames, the catalog's files, the lake's data files and the
//! chain of each table's commits.
//! Always: read only, one piece in memory at a time. Blocking. Does not judge what the bytes mean.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use hw_event::Seq;
use hw_gate::Catalog;
use hw_journal::{Disk, Journal, Log, ReadError};
use hw_lake::{LakeFile, TableSnapshot};
use serde_json::Value;

use super::report::Check;

const READ_BYTES: usize = 4 << 20;
const RESTORE: &str = "the rest is served; restore the data directory from a backup if what is lost matters";

/// Every frame that the journal still keeps. `seen` hears how many bytes were read.
pub fn journal(journal: &Journal, through: Seq, mut seen: impl FnMut(u64)) -> Check {
    let first = journal.first_kept();
    let mut check = Check::new("journal", "journal");
    for damage in journal.usage().damage {
        let lost = damage.seqs.map(|(first, last)| format!("appends {first} to {last}: "));
        let what = format!("{}{}", lost.unwrap_or_default(), damage.reason);
        check.fault(
            what,
            format!("journal/{}, bytes {}..{}", damage.file, damage.start, damage.end),
            RESTORE,
        );
    }
    let (mut after, mut appends, mut bytes) = (Seq(first.0.saturating_sub(1)), 0u64, 0u64);
    let mut last_place = String::new();
    while after < through {
        match journal.read(after, READ_BYTES) {
            Ok(read) if read.is_empty() => break,
            Ok(read) => {
                for append in read {
                    after = append.seq;
                    appends += 1;
                    bytes += append.append.blocks.iter().map(|block| block.body.len() as u64).sum::<u64>();
                }
                seen(bytes);
            }
            // The lake has it meanwhile, and the journal let go of it.
            Err(ReadError::Gone { first_kept }) => {
                after = Seq(first_kept.0.saturating_sub(1)).max(after.next())
            }
            Err(ReadError::Damaged { file, start, end, reason }) => {
                let place = format!("journal/{file}, bytes {start}..{end}");
                if place != last_place {
                    check.fault(reason, place.clone(), RESTORE);
                    last_place = place;
                }
                after = after.next();
            }
            Err(ReadError::Disk(error)) => {
                let what = format!("cannot be read: {error}");
                check.fault(
                    what,
                    format!("journal, after append {after}"),
                    "see the system's log for the disk",
                );
                break;
            }
        }
    }
    check
        .figure("first_append", first.0)
        .figure("last_append", through.0)
        .figure("appends", appends)
        .figure("bytes", bytes)
}

/// The checksum of every file of the catalog.
pub fn catalog(disk: &dyn Disk) -> Check {
    let mut check = Check::new("catalog", "catalog");
    match Catalog::inspect(disk) {
        Ok((registry, faults)) => {
            check.set("streams", registry.all().len());
            for fault in faults {
                check.fault(
                    fault.to_string(),
                    "catalog/",
                    "restore catalog/ from a backup: it cannot be made anew",
                );
            }
        }
        Err(error) => check.fault(error.to_string(), "catalog/", "see the system's log for the disk"),
    }
    check
}

/// Size and checksum of every file of a table. `keep_on` is asked between files.
pub fn files(name: &str, root: &Path, snapshot: &TableSnapshot, mut seen: impl FnMut(u64) -> bool) -> Check {
    let (mut bytes, mut unsummed) = (0u64, 0u64);
    let mut check = Check::new("files", name);
    for file in &snapshot.files {
        let place = format!("lake/{}", file.path.display());
        match sum(root, file) {
            Ok((found, _)) if found != file.bytes => {
                let what = format!("it has {found} bytes, its commit says {}", file.bytes);
                check.fault(what, place, RESTORE);
            }
            Ok((_, crc)) => match file.crc32c {
                Some(expected) if expected != crc => {
                    let what = format!("its CRC-32C is {crc:08x}, its commit says {expected:08x}");
                    check.fault(what, format!("{place}, bytes 0..{}", file.bytes), RESTORE);
                }
                Some(_) => {}
                // Another writer's file.
                None => unsummed += 1,
            },
            Err(error) => check.fault(format!("it cannot be read: {error}"), place, RESTORE),
        }
        bytes += file.bytes;
        if !seen(bytes) {
            break;
        }
    }
    check.figure("files", snapshot.files.len()).figure("bytes", bytes).figure("without_checksum", unsummed)
}

fn sum(root: &Path, file: &LakeFile) -> io::Result<(u64, u32)> {
    let mut open = File::open(root.join(&file.path))?;
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut crc) = (0u64, 0);
    loop {
        match open.read(&mut buffer) {
            Ok(0) => return Ok((bytes, crc)),
            Ok(read) => {
                crc = crc32c::crc32c_append(crc, &buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The commit files of a table through its version: each names the checksum of the one before.
pub fn log(name: &str, directory: &Path, through: i64) -> Check {
    const LOST: &str = "the table's history is harmed there; restore lake/ together with journal/ from one backup, or \
                        see docs/operating/verify.md";
    let mut check = Check::new("log", name);
    let log = directory.join("_delta_log");
    let (mut commits, mut chained) = (0u64, 0u64);
    let mut previous: Option<u32> = None;
    for version in 0..=through {
        let file = format!("{version:020}.json");
        let place = format!("lake/{name}/_delta_log/{file}");
        let bytes = match std::fs::read(log.join(&file)) {
            Ok(bytes) => bytes,
            // Old commits may be cleaned up once a checkpoint has them.
            Err(error) if error.kind() == io::ErrorKind::NotFound && commits == 0 && version < through => {
                continue;
            }
            Err(error) => {
                check.fault(format!("the commit cannot be read: {error}"), place, LOST);
                previous = None;
                continue;
            }
        };
        commits += 1;
        let crc = crc32c::crc32c(&bytes);
        let actions: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>().collect();
        match actions {
            Ok(actions) if !actions.is_empty() => {
                let named = actions.iter().find_map(|action| {
                    u32::from_str_radix(action["commitInfo"]["headwater.previous_crc32c"].as_str()?, 16).ok()
                });
                chained += u64::from(named.is_some());
                if let (Some(named), Some(previous)) = (named, previous)
                    && named != previous
                {
                    let what =
                        format!("the commit has CRC-32C {previous:08x}, its successor says {named:08x}");
                    let place = format!("lake/{name}/_delta_log/{:020}.json", version - 1);
                    check.fault(what, place, LOST);
                }
            }
            Ok(_) => check.fault("the commit is empty", place, LOST),
            Err(error) => check.fault(format!("the commit is no JSON: {error}"), place, LOST),
        }
        previous = Some(crc);
    }
    check.figure("version", through).figure("commits", commits).figure("chained", chained)
}
