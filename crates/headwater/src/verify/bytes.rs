//! Bytes at rest against their checksums: the journal's frames, the catalog's files, all that belongs to a table.
//! Always: read only, one piece in memory at a time. Blocking. Does not judge what the bytes mean.

use hw_event::Seq;
use hw_gate::Catalog;
use hw_journal::{Disk, Journal, Log};
use hw_lake::{Lake, Table};

use super::report::Check;

const RESTORE: &str = "the rest is served; restore the data directory from a backup if what is lost matters";

/// All that the journal still keeps: headers, snapshots, every frame. `seen` hears how many bytes were read.
pub fn journal(journal: &Journal, through: Seq, mut seen: impl FnMut(u64)) -> Check {
    let mut check = Check::new("journal", "journal");
    let mut bytes = 0;
    let mut found = journal.usage().damage;
    found.extend(journal.check(&mut |more| {
        bytes += more;
        seen(bytes);
    }));
    // What the start found, the check finds again.
    found.sort_by(|one, other| (&one.file, one.start, one.end).cmp(&(&other.file, other.start, other.end)));
    found.dedup_by(|one, other| one.file == other.file && one.start == other.start && one.end == other.end);
    for damage in found {
        let lost = damage.seqs.map(|(first, last)| format!("appends {first} to {last}: "));
        let what = format!("{}{}", lost.unwrap_or_default(), damage.reason);
        let place = format!("journal/{}, bytes {}..{}", damage.file, damage.start, damage.end);
        check.fault(what, place, RESTORE);
    }
    let first = journal.first_kept();
    check.figure("first_append", first.0).figure("last_append", through.0).figure("bytes", bytes)
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
