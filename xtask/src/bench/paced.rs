//! A load with a rate of its own: each body has a moment at which it is due, and how long it took counts from there, whenever
//! it could be sent. Always: every body that was due is sent once and has a receipt that takes all its events, in this order on each
//! connection. Does not slow down for a slow server: what waits then goes out as soon as it can.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    events::{Batch, EVENTS_PATH},
    load::number_after,
};
use crate::http::Connection;

pub struct Paced<'a> {
    pub address: &'a str,
    /// Sent from its first event on, and again from there once all have been.
    pub batch: &'a Batch,
    pub events_a_second: u64,
    pub events_a_body: u64,
    pub connections: usize,
}

/// One body.
pub struct Acknowledged {
    pub due: Instant,
    pub at: Instant,
    /// The append it came with.
    pub seq: u64,
}

impl Paced<'_> {
    /// Sends bodies, numbered from 0, while `goes_on` says so of the next one; returns how many were sent.
    pub fn send(
        &self,
        goes_on: impl Fn(usize) -> bool + Sync,
        acknowledged: impl FnMut(Acknowledged) + Send,
    ) -> Result<usize> {
        let bodies = self.batch.bodies(self.events_a_body as usize);
        let (next, acknowledged) = (AtomicUsize::new(0), Mutex::new(acknowledged));
        let began = Instant::now();
        let one = || -> Result<usize> {
            let mut connection = Connection::open(self.address)?;
            let mut sent = 0;
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let due = began
                    + Duration::from_secs_f64(
                        number as f64 * self.events_a_body as f64 / self.events_a_second as f64,
                    );
                if !goes_on(number) {
                    return Ok(sent);
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let body = &self.batch.bytes[bodies[number % bodies.len()].clone()];
                let headers = [("content-type", "application/x-ndjson")];
                let answer = connection.ask("POST", EVENTS_PATH, &headers, body)?;
                ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
                let taken = number_after(&answer.body, b"\"accepted\":");
                ensure!(taken == Some(self.events_a_body), "not all were taken: {}", answer.text());
                let seq = number_after(&answer.body, b"\"seq\":").context("a receipt without its append")?;
                let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged(Acknowledged { due, at: Instant::now(), seq });
                sent += 1;
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(one)).collect();
            let mut sent = 0;
            for thread in threads {
                sent += thread.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            Ok(sent)
        })
    }
}
