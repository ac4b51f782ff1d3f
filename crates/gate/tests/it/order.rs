//! Order, offsets and repeats.

use hw_event::{Clock, Timestamp};
use hw_gate::{Identity, OffsetRange, ProducerSequence, Refusal};

use crate::fixture::{World, request, with_key};

#[tokio::test]
async fn a_request_keeps_its_order_and_gets_dense_offsets() {
    let world = World::new();
    let house = world.open();
    let events: Vec<String> = (0..200)
        .map(|id| match id % 7 {
            6 => format!(r#"{{"id":"{id}","who":"w"}}"#),
            _ => format!(r#"{{"id":{id},"who":"w{}"}}"#, id % 5),
        })
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let receipt = house.gate.submit(request("reading", &events)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (172, 28));
    assert_eq!(receipt.offsets.iter().map(|range| u64::from(range.count)).sum::<u64>(), 200);
    assert!(receipt.offsets.iter().all(|range| range.base == 0), "{:?}", receipt.offsets);
    let stored = house.stored("reading");
    for partition in 0..4 {
        let of: Vec<_> = stored.iter().filter(|row| row.0 == partition).collect();
        assert!(of.is_sorted_by(|a, b| a.1 < b.1 && a.2 < b.2), "partition {partition}: {of:?}");
    }
    let rejected: Vec<_> = events
        .iter()
        .filter(|event| event.contains(":\""))
        .filter(|event| event.starts_with(r#"{"id":""#))
        .collect();
    assert_eq!(house.rejected(), rejected.iter().map(|event| event.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(house.ledger(), [200, 172, 28, 0, 0]);
    house.close().await;
}

#[tokio::test]
async fn requests_that_wait_share_an_append() {
    let world = World::new();
    let house = world.open();
    let requests = (0..300).map(|id| {
        let gate = house.gate.clone();
        tokio::spawn(async move {
            let event = format!(r#"{{"id":{id},"who":"w{id}"}}"#);
            gate.submit(request("reading", &[&event])).await.unwrap()
        })
    });
    let mut offsets = std::collections::HashSet::new();
    for task in requests.collect::<Vec<_>>() {
        let receipt = task.await.unwrap();
        let [OffsetRange { partition, base, count: 1 }] = receipt.offsets[..] else { panic!("{receipt:?}") };
        assert!(offsets.insert((partition, base)), "an offset is given twice");
    }
    let appends = house.appends();
    assert!(appends.len() < 100, "{} appends for 300 requests", appends.len());
    assert!(appends.iter().all(|append| append.append.blocks.len() == 1), "one block a group");
    let stored = house.stored("reading");
    assert_eq!(stored.iter().map(|row| (row.0, row.1)).collect::<std::collections::HashSet<_>>(), offsets);
    house.close().await;
}

#[tokio::test]
async fn a_key_counts_once_also_at_once_and_after_a_restart() {
    let world = World::new();
    let house = world.open();
    let events = [r#"{"id":1,"who":"a"}"#, r#"{"id":"x","who":"a"}"#];
    let both =
        futures::future::join_all((0..5).map(|_| house.gate.submit(with_key("reading", "k", &events)))).await;
    let receipts: Vec<_> = both.into_iter().map(Result::unwrap).collect();
    assert_eq!(receipts.iter().map(|receipt| receipt.accepted).sum::<u64>(), 1);
    assert_eq!(receipts.iter().map(|receipt| receipt.duplicates).sum::<u64>(), 8);
    assert!(receipts.iter().all(|receipt| receipt.offsets == receipts[0].offsets));
    house.close().await;
    let house = world.open();
    let again = house.gate.submit(with_key("reading", "k", &events)).await.unwrap();
    assert_eq!((again.accepted, again.duplicates, &again.offsets), (0, 2, &receipts[0].offsets));
    let other = house.gate.submit(with_key("reading", "k", &events[..1])).await;
    assert_eq!(other, Err(Refusal::KeyReused));
    assert_eq!(house.gate.submit(with_key("strict", "k", &[r#"{"id":1}"#])).await.unwrap().accepted, 1);
    // A day later the key is new again.
    world.clock.advance(std::time::Duration::from_secs(86_400));
    assert_eq!(house.gate.submit(with_key("reading", "k", &events[..1])).await.unwrap().accepted, 1);
    house.close().await;
}

#[tokio::test]
async fn a_clock_that_jumps_forgets_neither_keys_nor_producers() {
    let world = World::new();
    let mut house = world.open();
    let event = [r#"{"id":1,"who":"a"}"#];
    let numbered = |first: i64| {
        let identity = Identity::Producer(ProducerSequence { id: "p".to_owned(), epoch: 0, first });
        hw_gate::Submission { identity, ..request("reading", &event) }
    };
    let first = house.gate.submit(with_key("reading", "k", &event)).await.unwrap();
    house.gate.submit(numbered(0)).await.unwrap();
    let start = world.clock.now();
    for at in [start.0 + 365 * Timestamp::MICROS_PER_DAY, 0, 2_147_483_648_000_000, start.0] {
        world.clock.set(Timestamp(at));
        for _ in 0..2 {
            // Old enough for a look at what is to be forgotten, and not for a key.
            world.clock.advance(std::time::Duration::from_secs(61));
            let again = house.gate.submit(with_key("reading", "k", &event)).await.unwrap();
            assert_eq!((again.accepted, again.duplicates, &again.offsets), (0, 1, &first.offsets), "at {at}");
            assert_eq!(house.gate.submit(numbered(0)).await.unwrap().duplicates, 1, "at {at}");
            house.close().await;
            house = world.open();
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_producers_overlap_is_stored_once() {
    let world = World::new();
    let house = world.open();
    let send = |house: &crate::fixture::House, first: i64, events: &[&str]| {
        let mut request = request("reading", events);
        let id = "p".to_owned();
        request.identity = Identity::Producer(ProducerSequence { id, epoch: 0, first });
        let gate = house.gate.clone();
        async move { gate.submit(request).await }
    };
    let (a, b, c, bad) = (
        r#"{"id":0,"who":"a"}"#,
        r#"{"id":1,"who":"a"}"#,
        r#"{"id":2,"who":"a"}"#,
        r#"{"id":"3","who":"a"}"#,
    );
    assert_eq!(send(&house, 0, &[a, b]).await.unwrap().accepted, 2);
    let overlap = send(&house, 1, &[b, c, bad]).await.unwrap();
    assert_eq!((overlap.accepted, overlap.rejected, overlap.duplicates), (1, 1, 1));
    assert_eq!(overlap.errors[0].index, 2);
    house.close().await;
    let house = world.open();
    assert_eq!(send(&house, 1, &[b, c, bad]).await.unwrap().duplicates, 3);
    assert_eq!(send(&house, 5, &[a]).await, Err(Refusal::SequenceGap { given: 5, expected: 4 }));
    assert_eq!(house.stored("reading").iter().map(|row| row.2).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(house.ledger(), [8, 3, 1, 4, 0]);
    house.close().await;
}

#[tokio::test]
async fn mode_reject_keeps_the_bad_and_refuses_the_good() {
    let world = World::new();
    let house = world.open();
    let receipt = house.gate.submit(request("strict", &[r#"{"id":1}"#, "no", r#"{"id":2}"#])).await.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (0, 1));
    assert_eq!(house.ledger(), [1, 0, 1, 0, 2]);
    assert_eq!(house.rejected(), [b"no".to_vec()]);
    house.close().await;
}

#[tokio::test]
async fn a_refused_request_leaves_no_key_and_no_sequence() {
    let world = World::new();
    let house = world.open();
    let bad = [r#"{"id":1}"#, r#"{"id":"x"}"#];
    for _ in 0..2 {
        let receipt = house.gate.submit(with_key("strict", "k", &bad)).await.unwrap();
        assert_eq!(
            (receipt.accepted, receipt.rejected, receipt.duplicates),
            (0, 1, 0),
            "never told as stored"
        );
    }
    let mut numbered = request("strict", &bad);
    let producer = ProducerSequence { id: "p".to_owned(), epoch: 0, first: 0 };
    numbered.identity = Identity::Producer(producer.clone());
    assert_eq!(house.gate.submit(numbered).await.unwrap().accepted, 0);
    let mut corrected = request("strict", &[r#"{"id":1}"#, r#"{"id":2}"#]);
    corrected.identity = Identity::Producer(producer);
    assert_eq!(house.gate.submit(corrected).await.unwrap().accepted, 2);
    assert_eq!(house.ledger(), [5, 2, 3, 0, 3]);
    house.close().await;
}

/// Also where no good event was refused with the bad ones.
#[tokio::test]
async fn a_request_of_bad_events_alone_leaves_no_key_and_no_sequence() {
    let world = World::new();
    let house = world.open();
    let numbered = |events: &[&str]| {
        let producer = ProducerSequence { id: "p".to_owned(), epoch: 0, first: 0 };
        crate::fixture::numbered("strict", producer, events)
    };
    let (bad, good) = ([r#"{"id":"x"}"#], [r#"{"id":1}"#]);
    for _ in 0..2 {
        let receipt = house.gate.submit(with_key("strict", "k", &bad)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.rejected, receipt.duplicates), (0, 1, 0));
        let receipt = house.gate.submit(numbered(&bad)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.rejected, receipt.duplicates), (0, 1, 0));
    }
    for corrected in [with_key("strict", "k", &good), numbered(&good)] {
        let receipt = house.gate.submit(corrected).await.unwrap();
        assert_eq!((receipt.accepted, receipt.duplicates), (1, 0));
    }
    assert_eq!(house.ledger(), [6, 2, 4, 0, 0]);
    house.close().await;
}
