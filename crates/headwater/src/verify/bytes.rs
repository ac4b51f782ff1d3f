//! Bytes at rest against their checksums: the journal's frames, the catalog's files, all that belongs to a table.
//! Always: read only, one piece in memory at a time. Blocking. Does not judge what the bytes mean.

use hw_event::Seq;
use hw_gate::Catalog;
use hw_journal::{Disk, Journal, Log, ReadError};
use hw_lake::{Lake, Table};

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

/// Everything of a table that is at rest: data files, commits, checkpoints, the manifest. `seen` hears how many bytes
/// were read.
pub fn table(lake: &Lake, table: Table, name: &str, mut seen: impl FnMut(u64)) -> Check {
    const OUT: &str = "see docs/operating/damage.md";
    let mut check = Check::new("files", name);
    let mut bytes = 0;
    let found = lake.check(table, name, &mut |more| {
        bytes += more;
        seen(bytes);
    });
    for damage in found {
        let place = format!("{}, bytes {}..{}", damage.file.display(), damage.start, damage.end);
        check.fault(damage.reason, place, OUT);
    }
    let snapshot = lake.table(table);
    let files = snapshot.as_ref().map_or(0, |snapshot| snapshot.files.len());
    check
        .figure("files", files)
        .figure("bytes", bytes)
        .figure("version", snapshot.map_or(-1, |it| it.version))
}
