//! The directory door: real files, a journal that can be killed, and time that is told.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hw_event::Tally;
use hw_gate::{
    GateSettings,
    doors::directory::{DirectoryDoor, DirectorySettings, HALF_PATIENCE, Scanned},
};
use hw_journal::RecordKind;
use hw_testkit::{Fault, Random, SimDisk, rounds_from_env, seed_from_env};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::fixture::{House, World};

/// What outlives a restart, and the directory that files are put into.
struct Place {
    world: World,
    lists: SimDisk,
    directory: TempDir,
}

/// One life of the server.
struct Life {
    house: House,
    door: DirectoryDoor,
    stop: CancellationToken,
    now: Duration,
}

impl Place {
    fn new() -> Place {
        let world = World { budget_bytes: 64 << 20, ..World::new() };
        Place { world, lists: SimDisk::new(6), directory: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Life {
        self.open_stream("reading")
    }

    fn open_stream(&self, stream: &str) -> Life {
        let house =
            self.world.open_with(GateSettings { event_bytes: 1000, depth: 16, inflight_bytes: 8 << 20 });
        let settings = DirectorySettings {
            name: "in".to_owned(),
            path: self.directory.path().to_owned(),
            stream: stream.to_owned(),
        };
        let stop = CancellationToken::new();
        let disk = Arc::new(self.lists.clone());
        let door =
            DirectoryDoor::open(house.gate.clone(), settings, disk, &house.positions, stop.clone()).unwrap();
        Life { house, door, stop, now: Duration::from_secs(100) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Life {
    async fn after(&mut self, time: Duration) -> Scanned {
        self.now += time;
        self.door.scan(self.now).await
    }

    /// Sees what is there, and lets it come to rest.
    async fn rest(&mut self) -> Scanned {
        self.after(Duration::ZERO).await;
        self.after(Duration::from_secs(2)).await
    }

    fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<_> = self.house.stored("reading").into_iter().map(|row| row.2).collect();
        ids.sort_unstable();
        ids
    }

    /// received, stored, rejected, duplicates.
    fn ledger(&self) -> [u64; 4] {
        let [received, stored, rejected, duplicates, refused] = self.house.ledger();
        assert_eq!((received, refused), (stored + rejected + duplicates, 0));
        [received, stored, rejected, duplicates]
    }

    /// As a process that is killed: nothing is written down any more.
    async fn kill(self, place: &Place) {
        drop(self.door);
        place.world.journal_disk.kill();
        place.lists.kill();
        self.house.close().await;
    }

    /// As a server that stops.
    async fn close(self) {
        self.stop.cancel();
        self.door.serve().await;
        self.house.close().await;
    }
}

fn line(id: usize) -> String {
    format!("{{\"id\":{id},\"who\":\"w{}\"}}\n", id % 5)
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(line).collect()
}

#[tokio::test]
async fn a_file_is_read_once_when_it_has_come_to_rest() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson.part", lines(0..3) + "{\"id\":\"x\",\"who\":\"a\"}\n" + &line(4));
    place.write(".b.ndjson", lines(10..13));
    place.write("c.csv", lines(20..23));
    assert_eq!(life.rest().await, Scanned::default());
    fs::rename(place.path("a.ndjson.part"), place.path("a.ndjson")).unwrap();
    assert_eq!(life.after(Duration::ZERO).await.read, 0);
    assert_eq!(life.after(Duration::from_millis(1900)).await.read, 0, "not before two seconds");
    let read = life.after(Duration::from_millis(100)).await;
    assert_eq!(read, Scanned { read: 1, known: 0, events: 5, rejected: 1 });
    assert_eq!(life.after(Duration::from_secs(9)).await, Scanned::default());
    assert_eq!(life.ids(), [0, 1, 2, 4]);
    assert_eq!(life.ledger(), [5, 4, 1, 0]);
    let [(index, request_id, code)] = &life.house.reject_places()[..] else { panic!() };
    assert_eq!((*index, code.as_str()), (3, "type"), "the line's number, from 0");
    assert!(
        request_id.starts_with("a.ndjson#") && request_id.len() == "a.ndjson#".len() + 12,
        "{request_id}"
    );
    assert!(place.path("a.ndjson").exists(), "files stay");
    let records = life.house.appends().into_iter().flat_map(|append| append.append.records);
    let mut tallies = records.filter(|record| record.kind == RecordKind::Tally);
    let door = tallies.next().map(|record| Tally::from_bytes(&record.value).unwrap().door);
    assert_eq!(door.as_deref(), Some("directory.in"));
    life.close().await;
}

#[tokio::test]
async fn a_slow_writer_loses_nothing_and_counts_once() {
    let place = Place::new();
    let mut life = place.open();
    place.write("log.ndjson", line(0));
    for id in 1..5 {
        assert_eq!(life.after(Duration::from_millis(1900)).await.events, 0, "it changes too often");
        place.append("log.ndjson", &line(id));
    }
    // It pauses in the middle of a line.
    place.append("log.ndjson", "{\"id\":5,");
    life.after(Duration::ZERO).await;
    assert_eq!(life.after(Duration::from_secs(2)).await.events, 5);
    assert_eq!(life.after(Duration::from_secs(2)).await.events, 0, "half a line waits for the other half");
    place.append("log.ndjson", "\"who\":\"a\"}\n{\"id\":6,\"who\":\"a\"}");
    assert_eq!(life.rest().await.events, 2, "a whole line without its newline is whole");
    place.append("log.ndjson", "\n");
    assert_eq!(life.rest().await.events, 0);
    place.append("log.ndjson", &lines(7..9));
    assert_eq!(life.rest().await.events, 2);
    assert_eq!(life.ids(), (0..9).collect::<Vec<_>>());
    assert_eq!(life.ledger(), [9, 9, 0, 0]);
    // Half a line that nobody finishes is a reject; if somebody does after all, the whole line counts.
    place.append("log.ndjson", "{\"id\":9");
    assert_eq!(life.rest().await.events, 0);
    assert_eq!(life.after(HALF_PATIENCE).await, Scanned { read: 1, known: 0, events: 1, rejected: 1 });
    place.append("log.ndjson", ",\"who\":\"a\"}\n");
    assert_eq!(life.rest().await.events, 1);
    assert_eq!(life.ids(), (0..10).collect::<Vec<_>>());
    assert_eq!(life.house.rejected(), [b"{\"id\":9".to_vec()]);
    assert_eq!(life.house.reject_places()[0].0, 9);
    life.close().await;
    let mut life = place.open();
    place.append("log.ndjson", &line(10));
    assert_eq!(life.rest().await.events, 1, "a file that grew while the server was away is read on");
    assert_eq!(life.ids(), (0..11).collect::<Vec<_>>());
    life.close().await;
}

#[tokio::test]
async fn the_same_content_counts_once_under_every_name() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson", lines(0..10));
    place.write("b.ndjson", lines(0..10));
    assert_eq!(life.rest().await, Scanned { read: 1, known: 1, events: 10, rejected: 0 });
    fs::rename(place.path("a.ndjson"), place.path("c.ndjson")).unwrap();
    assert_eq!(life.rest().await, Scanned { known: 1, ..Scanned::default() });
    assert_eq!(life.ledger(), [10, 10, 0, 0], "a file that is known is not received");
    life.close().await;
    let mut life = place.open();
    assert_eq!(life.rest().await, Scanned::default(), "not even hashed again");
    place.write("d.ndjson", lines(0..10));
    assert_eq!(life.rest().await.known, 1);
    assert_eq!(life.ledger()[0], 10);
    life.close().await;
}

#[tokio::test]
async fn a_replaced_file_is_another_one() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson", lines(0..3));
    assert_eq!(life.rest().await.events, 3);
    place.write("next.part", lines(0..3) + &line(3));
    fs::rename(place.path("next.part"), place.path("a.ndjson")).unwrap();
    assert_eq!(life.rest().await.events, 4, "another file, whose content is new as a whole");
    fs::remove_file(place.path("a.ndjson")).unwrap();
    assert_eq!(life.rest().await.events, 0);
    place.write("a.ndjson", lines(0..3));
    assert_eq!(
        life.rest().await,
        Scanned { known: 1, ..Scanned::default() },
        "it was gone for a moment only"
    );
    life.close().await;
}

#[tokio::test]
async fn what_is_no_file_is_left_alone() {
    let place = Place::new();
    let mut life = place.open();
    let secret = place.directory.path().join("secret");
    fs::write(&secret, line(1)).unwrap();
    symlink(&secret, place.path("link.ndjson")).unwrap();
    fs::create_dir(place.path("x.json")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path("x.ndjson")).status().unwrap();
    assert!(made.success());
    place.write("empty.ndjson", "");
    place.write("blank.json", " \n\n ");
    place.write("locked.ndjson", line(2));
    fs::set_permissions(place.path("locked.ndjson"), fs::Permissions::from_mode(0)).unwrap();
    let locked = File::open(place.path("locked.ndjson")).is_err();
    place.write("z.ndjson", line(3));
    life.rest().await;
    let expected = if locked { vec![3] } else { vec![2, 3] };
    assert_eq!(life.ids(), expected, "nothing blocks, and the others are read");
    fs::set_permissions(place.path("locked.ndjson"), fs::Permissions::from_mode(0o600)).unwrap();
    life.after(Duration::from_secs(10)).await;
    assert_eq!(life.ids(), [2, 3], "tried again later");
    life.close().await;
}

#[tokio::test]
async fn documents_are_arrays_or_values() {
    let place = Place::new();
    let mut life = place.open();
    let all: Vec<String> = (0..2500).map(|id| line(id).trim().to_owned()).collect();
    place.write("array.json", format!("[\n  {}\n]\n", all.join(" ,\n  ")));
    place.write(
        "values.json",
        "{\"id\":2500,\"who\":\"a\"}\n{\n  \"id\": 2501,\n  \"who\": \"b\"\n} {\"id\":2502,\"who\":\"c\"}",
    );
    assert_eq!(life.rest().await, Scanned { read: 2, known: 0, events: 2503, rejected: 0 });
    assert_eq!(life.ids(), (0..2503).collect::<Vec<_>>());
    place.write("broken.json", "[{\"id\":2503,\"who\":\"a\"},{\"id\":2504}},{\"id\":2505,\"who\":\"a\"}]");
    place.write("open.json", "[{\"id\":2506,\"who\":\"a\"},{\"id\":2507,\"who\":\"a\"}");
    assert_eq!(life.rest().await.events, 2, "the broken end of a document may still be repaired");
    assert_eq!(life.after(HALF_PATIENCE).await, Scanned { read: 2, known: 0, events: 2, rejected: 2 });
    let places = life.house.reject_places();
    assert!(
        places.iter().all(|(index, _, code)| (*index, code.as_str()) == (1, "json_syntax")),
        "{places:?}"
    );
    place.append("open.json", "]");
    assert_eq!(life.rest().await.events, 1, "what was the broken rest is an element now");
    place.append("open.json", "\n");
    assert_eq!(life.rest().await.events, 0);
    assert_eq!(life.ids().len(), 2506);
    life.close().await;
}

#[tokio::test]
async fn a_long_line_is_one_reject() {
    let place = Place::new();
    let mut life = place.open();
    let long = format!("{{\"id\":1,\"who\":\"{}\"}}\n", "x".repeat(5 << 20));
    place.write("a.ndjson", line(0) + &long + &lines(2..4));
    place.write("b.json", format!("[{},{},{}]", line(4), long, line(6)));
    assert_eq!(life.rest().await, Scanned { read: 2, known: 0, events: 7, rejected: 2 });
    assert_eq!(life.ids(), [0, 2, 3, 4, 6]);
    let places = life.house.reject_places();
    assert!(places.iter().all(|(index, _, code)| (*index, code.as_str()) == (1, "too_large")), "{places:?}");
    assert!(
        life.house.rejected().iter().all(|bytes| bytes[..] == long.as_bytes()[..1000]),
        "its beginning is kept"
    );
    life.close().await;
}

#[tokio::test]
async fn a_file_of_many_chunks_is_read_in_batches() {
    let place = Place::new();
    let mut life = place.open();
    let text: String =
        (0..20_000).map(|id| format!("{{\"id\":{id},\"who\":\"{}\"}}\n", "x".repeat(id % 300))).collect();
    assert!(text.len() > 3 << 20);
    place.write("a.ndjson", &text);
    assert_eq!(life.rest().await.events, 20_000);
    assert!(life.ids().iter().copied().eq(0..20_000));
    let mut appends = life.house.appends();
    appends.retain(|append| !append.append.blocks.is_empty());
    assert!(appends.len() >= 20, "{} appends", appends.len());
    life.close().await;
}

#[tokio::test]
async fn mode_reject_acts_as_dlq() {
    let place = Place::new();
    let mut life = place.open_stream("strict");
    place.write("a.ndjson", "{\"id\":1}\nno\n{\"id\":2}\n");
    assert_eq!(life.rest().await, Scanned { read: 1, known: 0, events: 3, rejected: 1 });
    assert_eq!(life.ledger(), [3, 2, 1, 0]);
    life.close().await;
}

#[tokio::test]
async fn a_directory_that_vanishes_is_read_on_when_it_is_back() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson", line(0));
    assert_eq!(life.rest().await.events, 1);
    let aside = place.directory.path().with_extension("aside");
    fs::rename(place.directory.path(), &aside).unwrap();
    assert_eq!(life.after(Duration::from_secs(70)).await, Scanned::default());
    fs::rename(&aside, place.directory.path()).unwrap();
    place.write("b.ndjson", line(1));
    assert_eq!(life.rest().await.events, 1);
    life.close().await;
}

#[tokio::test]
async fn thousands_of_small_files_count_once_across_lists_and_restarts() {
    let files = 1200;
    let place = Place::new();
    let mut life = place.open();
    for id in 0..files {
        place.write(&format!("{id}.ndjson"), line(id));
    }
    assert_eq!(life.rest().await.read, files as u64);
    life.kill(&place).await;
    let mut life = place.open();
    assert!(life.house.positions.len() < 1100, "{} positions in the journal", life.house.positions.len());
    assert!(place.lists.contents("in").unwrap().len() > 100_000);
    life.rest().await;
    assert_eq!(life.ledger(), [files as u64, files as u64, 0, 0]);
    life.close().await;
    let life = place.open();
    assert_eq!(life.ids().len(), files);
    life.close().await;
}

#[tokio::test]
async fn what_is_long_gone_is_forgotten_and_what_lies_there_never() {
    let place = Place::new();
    let mut life = place.open();
    place.write("stays.ndjson", line(0));
    place.write("goes.ndjson", line(1));
    assert_eq!(life.rest().await.events, 2);
    // Until a list has taken their positions over and an append has ended them, they are not forgotten.
    life.after(Duration::from_secs(60)).await;
    place.write("other.ndjson", line(2));
    assert_eq!(life.rest().await.events, 1);
    fs::remove_file(place.path("goes.ndjson")).unwrap();
    life.after(Duration::from_secs(60)).await;
    life.after(Duration::from_secs(60)).await;
    place.world.clock.advance(Duration::from_secs(6 * 86_400));
    life.after(Duration::from_secs(60)).await;
    place.write("back.ndjson", line(1));
    assert_eq!(life.rest().await.known, 1, "within a week it is known");
    fs::remove_file(place.path("back.ndjson")).unwrap();
    life.after(Duration::from_secs(60)).await;
    life.after(Duration::from_secs(60)).await;
    place.world.clock.advance(Duration::from_secs(7 * 86_400));
    life.after(Duration::from_secs(60)).await;
    place.write("back.ndjson", line(1));
    place.write("again.ndjson", line(0));
    assert_eq!(life.rest().await, Scanned { read: 1, known: 1, events: 1, rejected: 0 });
    life.close().await;
}

/// A file of `LINES` lines that is changed at these lines once something of it is counted. Returns how many
/// lines were counted by then.
async fn change_while_it_is_read(place: &Place, life: Life, changed: &[usize]) -> (Life, usize) {
    let Life { house, mut door, stop, mut now } = life;
    let text: String = (0..LINES).map(|id| format!("{{\"id\":{id:06},\"who\":\"abcdefghij\"}}\n")).collect();
    place.write("a.ndjson", text.replace("\":0", "\":1"));
    door.scan(now).await;
    now += Duration::from_secs(2);
    let change = async {
        while house.stored("reading").is_empty() {
            tokio::task::yield_now().await;
        }
        let file = OpenOptions::new().write(true).open(place.path("a.ndjson")).unwrap();
        for line in changed {
            file.write_all_at(b"{\"id\":999999", (line * text.len() / LINES) as u64).unwrap();
        }
    };
    let (scanned, ()) = tokio::join!(door.scan(now), change);
    assert_eq!(scanned.read, 0, "{scanned:?}");
    let life = Life { house, door, stop, now };
    let counted = life.ids().len();
    assert!(0 < counted && counted < LINES && counted as u64 == scanned.events, "{scanned:?}");
    assert!(life.ids().iter().copied().eq(100_000..100_000 + counted as i64), "only what was hashed");
    (life, counted)
}

const LINES: usize = 60_000;

#[tokio::test]
async fn a_file_that_is_changed_behind_what_is_counted_is_read_on() {
    let place = Place::new();
    let (mut life, _) = change_while_it_is_read(&place, place.open(), &[LINES - 1]).await;
    assert_eq!(life.rest().await.read, 1);
    let ids = life.ids();
    assert_eq!(ids.len(), LINES, "each line once");
    assert!(ids.contains(&999_999) && !ids.contains(&(100_000 + LINES as i64 - 1)), "as it is now");
    life.close().await;
}

#[tokio::test]
async fn a_file_that_is_changed_where_it_is_counted_is_another_one() {
    let place = Place::new();
    let (mut life, counted) = change_while_it_is_read(&place, place.open(), &[7, LINES - 1]).await;
    assert_eq!(life.rest().await.read, 1);
    assert_eq!(life.ids().len(), counted + LINES);
    life.close().await;
}

#[tokio::test]
async fn a_removed_file_is_read_to_its_end() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson", lines(0..30_000));
    life.after(Duration::ZERO).await;
    let (path, house) = (place.path("a.ndjson"), &life.house);
    let now = life.now + Duration::from_secs(2);
    let mut door = life.door;
    let reading = async {
        let scanned = door.scan(now).await;
        (door, scanned)
    };
    let remove = async {
        while house.stored("reading").is_empty() {
            tokio::task::yield_now().await;
        }
        fs::remove_file(&path).unwrap();
    };
    let ((door, scanned), ()) = tokio::join!(reading, remove);
    life.door = door;
    assert_eq!((scanned.read, scanned.events), (1, 30_000));
    life.close().await;
}

#[tokio::test]
async fn kills_at_any_call_count_each_line_once() {
    let seed = seed_from_env(20);
    println!("seed: HW_SEED={seed}");
    let mut random = Random::new(seed);
    let place = Place::new();
    let mut written = 0;
    let mut write = |random: &mut Random| {
        for _ in 0..random.below(6) {
            let count = [1, 3, 1500, 0][random.below(4) as usize];
            place.write(&format!("{written}.ndjson"), lines(written..written + count));
            written += count;
        }
        written
    };
    let mut all = 0;
    for round in 0..rounds_from_env(20) {
        all = write(&mut random);
        let mut life = place.open();
        if random.one_in(2) {
            place.world.journal_disk.inject(1 + random.below(30), Fault::PowerCut);
        }
        if random.one_in(3) {
            place.lists.inject(1 + random.below(6), Fault::PowerCut);
        }
        // The failing journal refuses for ever; the door would wait for ever.
        let scanning = async {
            life.rest().await;
            life.after(Duration::from_secs(60)).await;
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), scanning).await;
        let Life { house, door, .. } = life;
        drop(door);
        if random.one_in(2) {
            place.world.journal_disk.crash();
            place.lists.crash();
        } else {
            place.world.journal_disk.kill();
            place.lists.kill();
        }
        house.close().await;
        place.world.journal_disk.restart();
        place.lists.restart();
        let life = place.open();
        let ids = life.ids();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "round {round}: counted twice");
        life.kill(&place).await;
    }
    let mut life = place.open();
    life.rest().await;
    assert!(life.ids().iter().copied().eq(0..all as i64), "{} of {all}", life.ids().len());
    assert_eq!(life.ledger(), [all as u64, all as u64, 0, 0]);
    life.close().await;
}

#[tokio::test]
async fn a_damaged_list_is_refused() {
    let place = Place::new();
    let mut life = place.open();
    place.write("a.ndjson", line(0));
    life.rest().await;
    let (stop, house) = (life.stop.clone(), life.house);
    stop.cancel();
    life.door.serve().await;
    place.lists.flip_bit("in", 400);
    let settings = DirectorySettings {
        name: "in".to_owned(),
        path: place.directory.path().to_owned(),
        stream: "reading".to_owned(),
    };
    let disk = Arc::new(place.lists.clone());
    let refused =
        DirectoryDoor::open(house.gate.clone(), settings, disk, &house.positions, stop).err().unwrap();
    assert!(refused.to_string().contains("directories/in"), "{refused}");
    house.close().await;
}
