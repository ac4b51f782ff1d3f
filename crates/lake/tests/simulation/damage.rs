//! What a clean stop leaves on the disk: as the format says, and every flipped bit of it named or harmless.

use std::sync::Arc;

use hw_event::Seq;
use hw_journal::{Core, Log, OpenError, ReadError, Settings, StoredAppend};
use hw_testkit::{ManualClock, Random, SeededEntropy, SimDisk};

use crate::world::{SEGMENT_BYTES, START};

const PAGE: usize = 4096;
const FLIPS: u64 = 6;

/// The first frame of a segment stands behind two header pages.
const FRAMES_START: usize = 2 * PAGE;

/// Reads the first frame of each segment as docs/reference/formats.md has it, without the journal's code.
pub fn check_format(disk: &SimDisk) {
    for name in disk.file_names() {
        if !name.ends_with(".seg") {
            continue;
        }
        let bytes = disk.contents(&name).expect("it is there");
        let header = &bytes[..PAGE];
        assert_eq!(&header[..8], b"HWsegmnt", "the magic of {name}");
        let incarnation = number(header, 40);
        let frame = &bytes[FRAMES_START..];
        assert_eq!(&frame[..4], b"HWfr", "the first frame of {name}");
        let crc = u32::from_le_bytes(frame[4..8].try_into().expect("four bytes"));
        let length = u32::from_le_bytes(frame[8..12].try_into().expect("four bytes")) as usize;
        let seed = crc32c::crc32c(&incarnation.to_le_bytes());
        assert_eq!(crc32c::crc32c_append(seed, &frame[8..length]), crc, "the checksum in {name}");
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT_BYTES,
        budget_bytes: 64 << 20,
        reserve_bytes: 1 << 20,
        ..Settings::default()
    }
}

fn open(disk: &SimDisk) -> Result<(Core, Vec<hw_journal::Damage>), OpenError> {
    let clock = Arc::new(ManualClock::new(START));
    let opened = Core::open(Arc::new(disk.clone()), clock, &SeededEntropy::new(1), settings())?;
    Ok((opened.0, opened.1.damage))
}

fn read_all(log: &dyn Log) -> Vec<Result<StoredAppend, Seq>> {
    let mut all = Vec::new();
    let mut after = Seq(log.first_kept().0 - 1);
    let last = *log.durable().borrow();
    while after < last {
        match log.read(after, 1) {
            Ok(appends) => {
                let Some(append) = appends.into_iter().next() else { break };
                after = append.seq;
                all.push(Ok(append));
            }
            Err(ReadError::Damaged { .. }) => {
                after = after.next();
                all.push(Err(after));
            }
            Err(error) => panic!("the log cannot be read: {error}"),
        }
    }
    all
}

/// Flips bits of a copy, opens it, and compares: what is not as it was must be named.
pub fn flip_bits(disk: &SimDisk, random: &mut Random) {
    let whole = disk.fork(1);
    let (core, damage) = open(&whole).unwrap_or_else(|error| panic!("after a clean stop: {error}"));
    assert_eq!(damage, vec![], "after a clean stop");
    let expected: Vec<StoredAppend> =
        read_all(core.log().as_ref()).into_iter().map(|append| append.expect("whole")).collect();
    drop(core);
    let names: Vec<String> = disk.file_names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    for round in 0..FLIPS {
        let flipped = disk.fork(round);
        let name = &names[random.below(names.len() as u64) as usize];
        let bytes = disk.contents(name).expect("it is there");
        // Where something is written: a flip in zeros tells little.
        let written: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
        let at = written[random.below(written.len() as u64) as usize];
        flipped.flip_bit(name, at as u64 * 8 + random.below(8));
        let (core, damage) = match open(&flipped) {
            Ok(opened) => opened,
            // Refused, by name: nothing is served, nothing is lost.
            Err(_) => continue,
        };
        let log = core.log();
        let found = read_all(log.as_ref());
        for append in &expected {
            let same = found.iter().flatten().find(|other| other.seq == append.seq);
            match same {
                Some(same) => assert_eq!(same, append, "a flip at {at} of {name} was served as data"),
                None => {
                    let by_read = found.contains(&Err(append.seq));
                    let by_open = damage.iter().any(|damage| {
                        damage.seqs.is_some_and(|(first, last)| first <= append.seq && append.seq <= last)
                    });
                    assert!(
                        by_read || by_open || append.seq < log.first_kept(),
                        "a flip at {at} of {name}: append {} is gone and nobody says so",
                        append.seq
                    );
                }
            }
        }
        let last = expected.last().map_or(Seq::ZERO, |append| append.seq);
        assert!(*log.durable().borrow() >= last, "a flip at {at} of {name} shortened the log");
    }
}
