//! When a follower commits, what it does about errors and damage, and how it ends.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use hw_event::Seq;
use hw_journal::Log;
use hw_pipeline::{FollowError, FollowerHandle, FollowerSettings, follow};
use hw_testkit::MemoryLog;
use tokio::task::JoinHandle;

use crate::fixture::{
    DamagedLog, Notes, Recorder, append, positions, registry, rejects_block, row, rows_block, tally,
};

struct Running {
    sink: Recorder,
    handle: FollowerHandle,
    task: JoinHandle<Result<(), FollowError>>,
}

fn start(log: Arc<dyn Log>, notes: Notes) -> Running {
    let settings = FollowerSettings { batch_bytes: 1, ..FollowerSettings::default() };
    let (sink, handle) = (Recorder::new(notes), FollowerHandle::new());
    let task = tokio::spawn(follow(log, registry(), sink.clone(), settings, handle.clone()));
    Running { sink, handle, task }
}

impl Running {
    async fn until(&self, mut reached: impl FnMut(&hw_pipeline::FollowerStatus) -> bool) {
        self.handle.watch().wait_for(|status| reached(status)).await.unwrap();
    }

    async fn stop(self) -> Result<(), FollowError> {
        self.handle.stop();
        self.task.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickle_waits_a_minute_and_then_releases() {
    let log = Arc::new(MemoryLog::new());
    for offset in 0..3 {
        log.push(row(offset));
    }
    let running = start(log.clone(), Notes::default());
    running.until(|status| status.commits == 1).await;
    let (values, deliveries, commits) =
        running.sink.read(|notes| (notes.values.clone(), notes.deliveries.clone(), notes.commits.clone()));
    assert_eq!(values, [0, 1, 2]);
    assert_eq!(deliveries, [Seq(1), Seq(2), Seq(3)], "a batch holds about batch_bytes");
    assert_eq!(commits.len(), 1);
    assert!((60..61).contains(&commits[0].0.as_secs()), "{commits:?}");
    assert_eq!((commits[0].1, log.released()), (Seq(3), Seq(3)));
    let status = running.handle.status();
    assert_eq!((status.lag(), status.pending_bytes, status.errors), (0, 0, 0));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn much_is_committed_every_two_seconds_and_very_much_at_once() {
    for (weight, seconds) in [(2 << 20, 2), (64 << 20, 0)] {
        let log = Arc::new(MemoryLog::new());
        log.push(row(0));
        let running = start(log, Notes { weight, ..Notes::default() });
        running.until(|status| status.commits == 1).await;
        let commits = running.sink.read(|notes| notes.commits.clone());
        assert_eq!(commits[0].0.as_secs(), seconds);
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_follower_does_not_commit() {
    let running = start(Arc::new(MemoryLog::new()), Notes::default());
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(running.sink.read(|notes| notes.commits.is_empty()));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_on_request_covers_what_is_durable_now() {
    let log = Arc::new(MemoryLog::new());
    for offset in 0..5 {
        log.push(row(offset));
    }
    let running = start(log.clone(), Notes::default());
    let status = running.handle.commit_now().await.unwrap();
    assert_eq!((status.committed, log.released()), (Seq(5), Seq(5)));
    assert!(running.sink.read(|notes| notes.commits[0].0 < Duration::from_secs(1)));
    let handle = running.handle.clone();
    running.stop().await.unwrap();
    handle.commit_now().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn errors_are_tried_again_each_time_later() {
    let log = Arc::new(MemoryLog::new());
    log.push(row(0));
    let running = start(log.clone(), Notes { refuse_apply: 9, refuse_commit: 2, ..Notes::default() });
    running.until(|status| status.commits == 1).await;
    let attempts = running.sink.read(|notes| notes.attempts.clone());
    let waits: Vec<_> =
        attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis().next_multiple_of(250)).collect();
    assert_eq!(waits[..9], [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    assert_eq!(waits[10..], [250, 500], "success starts the waits over");
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [0], "and nothing is applied twice");
    let status = running.handle.status();
    assert_eq!((status.errors, status.last_error), (11, None));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_interrupts_a_retry_and_says_what_was_wrong() {
    let log = Arc::new(MemoryLog::new());
    log.push(row(0));
    let running = start(log.clone(), Notes { refuse_apply: usize::MAX, ..Notes::default() });
    running.until(|status| status.errors == 9).await;
    assert_eq!(running.handle.status().last_error.as_deref(), Some("no room"));
    let before = running.sink.start.elapsed();
    let (sink, handle) = (running.sink.clone(), running.handle.clone());
    let error = running.stop().await.unwrap_err();
    assert_eq!(error.to_string(), "stopped while recorder could not be brought up to date: no room");
    assert!(sink.start.elapsed() - before < Duration::from_secs(1));
    assert_eq!(log.released(), Seq(0));
    assert!(handle.status().ended());
}

#[tokio::test(start_paused = true)]
async fn stop_drains_and_commits_once_more() {
    let log = Arc::new(MemoryLog::new());
    for offset in 0..20 {
        log.push(row(offset));
    }
    let running = start(log.clone(), Notes::default());
    let sink = running.sink.clone();
    running.stop().await.unwrap();
    assert_eq!(sink.read(|notes| notes.values.clone()), (0..20).collect::<Vec<_>>());
    assert_eq!((sink.read(|notes| notes.commits.len()), log.released()), (1, Seq(20)));
}

#[tokio::test(start_paused = true)]
async fn damage_is_counted_and_costs_only_itself() {
    let log = MemoryLog::new();
    for offset in 1..=6 {
        log.push(row(offset));
    }
    let mut lying = rows_block(7, &[7]);
    lying.header.fingerprint += 1;
    let mut garbage = rows_block(8, &[8]);
    garbage.body = Bytes::from_static(b"garbage");
    let mut unknown = rows_block(9, &[9]);
    unknown.header.stream.0 += 1;
    log.push(append(vec![lying, garbage, unknown, rows_block(10, &[10])], vec![tally(1)]));
    let damaged = HashSet::from([Seq(2), Seq(3), Seq(6)]);
    let running = start(Arc::new(DamagedLog::new(log, damaged)), Notes::default());
    let status = running.handle.commit_now().await.unwrap();
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [1, 4, 5, 10]);
    assert_eq!(status.damaged, 2 + 3, "two ranges of the log, three blocks");
    assert_eq!((status.committed, status.errors), (Seq(7), 0));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn damage_at_the_very_end_does_not_stop_the_follower() {
    let log = MemoryLog::new();
    log.push(row(1));
    log.push(row(2));
    let log = Arc::new(DamagedLog::new(log, HashSet::from([Seq(2)])));
    let running = start(log.clone(), Notes::default());
    assert_eq!(running.handle.commit_now().await.unwrap().position, Seq(2));
    log.log.push(row(3));
    running.handle.commit_now().await.unwrap();
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [1, 3]);
    running.stop().await.unwrap();
}

/// A log that was opened with damage in it passes over the numbers, and may even end in them.
#[tokio::test(start_paused = true)]
async fn numbers_that_are_missing_are_counted_and_never_taken_for_delivered() {
    let log = Arc::new(DamagedLog { log: MemoryLog::new(), damaged: HashSet::new(), lost: 3..=4 });
    for offset in 1..=4 {
        log.log.push(row(offset));
    }
    let running = start(log.clone(), Notes::default());
    running.until(|status| status.errors == 3).await;
    let stopped = start(log.clone(), Notes::default());
    let sink = stopped.sink.clone();
    stopped.stop().await.unwrap_err();
    assert_eq!(sink.read(|notes| notes.commits.last().map(|commit| commit.1)), Some(Seq(2)));
    let status = running.handle.status();
    assert_eq!((status.position, status.damaged), (Seq(2), 0));
    let error = status.last_error.unwrap();
    assert_eq!(error, "the log is durable through 4, and gives recorder nothing after 2");
    log.log.push(row(5));
    let status = running.handle.commit_now().await.unwrap();
    assert_eq!((status.committed, status.damaged), (Seq(5), 1));
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [1, 2, 5]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_sink_holds_is_not_decoded_for_it() {
    let log = Arc::new(MemoryLog::new());
    for offset in 1..=4 {
        log.push(append(vec![rows_block(offset, &[offset]), rejects_block(offset)], vec![tally(2)]));
    }
    let held = positions(Seq(3), Seq(2), Seq(1));
    let running = start(log, Notes { positions: held, ..Notes::default() });
    running.handle.commit_now().await.unwrap();
    running.sink.read(|notes| {
        assert_eq!((notes.values.as_slice(), notes.rejects, notes.tallies), (&[4][..], 2, 3));
    });
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rewind_delivers_again() {
    let log = Arc::new(MemoryLog::new());
    for offset in 1..=4 {
        log.push(row(offset));
    }
    let running = start(log.clone(), Notes { rewind: Some(Seq(2)), ..Notes::default() });
    running.handle.commit_now().await.unwrap();
    running.handle.commit_now().await.unwrap();
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [1, 2, 3, 4, 3, 4]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_follower_starts_at_the_first_append_that_is_kept() {
    let log = Arc::new(MemoryLog::new());
    for offset in 1..=3 {
        log.push(row(offset));
    }
    log.release(Seq(2));
    log.recycle();
    let running = start(log, Notes::default());
    running.handle.commit_now().await.unwrap();
    assert_eq!(running.sink.read(|notes| notes.values.clone()), [3]);
    running.stop().await.unwrap();
}

/// The log forgets the first two appends between a delivery that fails and the next attempt.
async fn forgets_while_it_is_read(released_before: Seq) -> (Result<(), FollowError>, Vec<Seq>) {
    let log = Arc::new(MemoryLog::new());
    for offset in 0..4 {
        log.push(row(offset));
    }
    log.release(released_before);
    let running = start(log.clone(), Notes { refuse_apply: 1, ..Notes::default() });
    running.until(|status| status.errors == 1).await;
    log.release(Seq(2));
    log.recycle();
    running.until(|status| status.ended() || status.commits == 1).await;
    let (sink, stopped) = (running.sink.clone(), running.stop().await);
    (stopped, sink.read(|notes| notes.deliveries.clone()))
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_had_committed_may_be_forgotten_while_it_is_read_again() {
    let (stopped, deliveries) = forgets_while_it_is_read(Seq(2)).await;
    stopped.unwrap();
    assert_eq!(deliveries, [Seq(3), Seq(4)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_had_committed_must_not_be_forgotten() {
    let (stopped, deliveries) = forgets_while_it_is_read(Seq(1)).await;
    assert!(matches!(stopped, Err(FollowError::Gone { .. })), "{stopped:?}");
    assert_eq!(deliveries, Vec::<Seq>::new());
}
