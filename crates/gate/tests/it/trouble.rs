//! A disk that fails: nothing is acknowledged that is not there, and nothing refused counts.

use hw_gate::{GateSettings, Refusal};
use hw_testkit::{Fault, Random, rounds_from_env, seed_from_env};

use crate::fixture::{World, request, with_key};

#[tokio::test]
async fn a_refused_request_can_be_sent_again_with_its_key() {
    let world = World::new();
    let house = world.open();
    let event = [r#"{"id":1,"who":"a"}"#];
    house.gate.submit(with_key("reading", "before", &event)).await.unwrap();
    // The write goes through, the sync does not: what is in the segment then is nobody's.
    world.journal_disk.inject(2, Fault::Io);
    let refused = house.gate.submit(with_key("reading", "k", &event)).await;
    assert!(matches!(refused, Err(Refusal::Disk(_))), "{refused:?}");
    world.journal_disk.clear_faults();
    world.clock.advance(std::time::Duration::from_secs(1));
    let again = house.gate.submit(with_key("reading", "k", &event)).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (1, 0), "the first try left no key behind");
    assert_eq!(house.stored("reading").len(), 2);
    house.close().await;
    let house = world.open();
    assert_eq!(house.stored("reading").len(), 2, "and no row");
    house.close().await;
}

/// Faults at random calls, power cuts in between: every acknowledged event is there once.
#[tokio::test]
async fn what_is_acknowledged_is_there_once_whatever_the_disk_does() {
    let seed = seed_from_env(20_261_121);
    println!("seed: HW_SEED={seed}");
    let mut random = Random::new(seed);
    let world = World::new();
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for _ in 0..rounds_from_env(60) {
        let house = world.open();
        let fault = [Fault::Io, Fault::NoSpace][random.below(2) as usize];
        world.journal_disk.inject(1 + random.below(30), fault);
        for _ in 0..random.below(20) {
            let (id, key) = (next, format!("k{next}"));
            let event = format!(r#"{{"id":{id},"who":"w{}"}}"#, id % 3);
            let mut tries = 0;
            loop {
                match house.gate.submit(with_key("reading", &key, &[&event])).await {
                    Ok(receipt) => {
                        assert_eq!(receipt.accepted + receipt.duplicates, 1);
                        acknowledged.push(id);
                        break;
                    }
                    Err(Refusal::Disk(_)) => {
                        world.clock.advance(std::time::Duration::from_secs(1));
                        tries += 1;
                        if tries > 3 {
                            world.journal_disk.clear_faults();
                        }
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            next += 1;
        }
        world.journal_disk.clear_faults();
        if random.one_in(2) {
            // Without power nothing that the old process still does reaches the disk.
            world.journal_disk.inject(1, Fault::PowerCut);
            house.close().await;
            world.journal_disk.clear_faults();
            world.journal_disk.restart();
        } else {
            house.close().await;
        }
    }
    let house = world.open();
    let mut stored: Vec<i64> = house.stored("reading").iter().map(|row| row.2).collect();
    stored.sort_unstable();
    assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "an event is there twice");
    let missing: Vec<_> = acknowledged.iter().filter(|id| stored.binary_search(id).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?} of {} are missing", acknowledged.len());
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn room_is_bounded() {
    let world = World::new();
    let house = world.open_with(GateSettings { event_bytes: 1000, depth: 16, inflight_bytes: 64 * 1024 });
    let mut held = house.gate.room(60_000).await.unwrap();
    assert_eq!(house.gate.room(10_000).await.err(), Some(Refusal::Busy));
    assert_eq!(house.gate.more_room(&mut held, 10_000).err(), Some(Refusal::Busy));
    drop(held);
    assert!(house.gate.room(10_000).await.is_ok());
    assert!(house.gate.room(1 << 30).await.is_ok(), "one that is too large for all takes all");
    house.gate.close();
    assert_eq!(house.gate.submit(request("reading", &["{}"])).await, Err(Refusal::Closed));
}

#[tokio::test]
async fn a_stream_that_is_behind_is_refused_alone_and_only_so_long() {
    let world = World::new();
    let house = world.open();
    let event = [r#"{"id":1,"who":"a"}"#];
    let reading = house.gate.registry().by_name("reading").unwrap().id;
    house.gate.set_behind(std::collections::HashMap::from([(reading, "its table cannot commit".into())]));
    let refused = house.gate.submit(request("reading", &event)).await;
    assert_eq!(refused, Err(Refusal::Behind("its table cannot commit".into())));
    let other = house.gate.submit(request("nobody.knows", &event)).await.unwrap();
    assert_eq!(other.rejected, 1, "others go on");
    house.gate.set_behind(std::collections::HashMap::new());
    assert_eq!(house.gate.submit(request("reading", &event)).await.unwrap().accepted, 1);
    house.close().await;
}
