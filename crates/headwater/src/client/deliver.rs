//! Sends batches to a stream, each with its idempotency key, and tries again what may be tried again.
//! Always: the key of a batch is made of the run, the batch's number and its content, so that a repeated
//! attempt is never stored twice. Waits as long as the server asks, and gives up in bounded time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    batch::Batch,
    error::ClientError,
    server::{self, Server},
};

/// A request that takes longer has been lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const RECEIPT_BYTES_MAX: usize = 16 << 20;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A server that asks for a longer pause is asked again earlier.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What the server says of one request.
#[derive(Debug, Default, Deserialize)]
pub struct Receipt {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    #[serde(default)]
    pub errors: Vec<ReceiptError>,
    /// Errors beyond those that a receipt holds.
    #[serde(default)]
    pub errors_left_out: u64,
}

#[derive(Debug, Deserialize)]
pub struct ReceiptError {
    pub index: u64,
    pub code: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub message: String,
}

pub struct Delivery<'a> {
    server: &'a Server,
    stream: &'a str,
    ack: Option<&'a str>,
    run_id: String,
    retry_for: Duration,
    /// Batches begun.
    batches: u64,
}

/// How batches are delivered.
pub struct Options<'a> {
    pub stream: &'a str,
    pub ack: Option<&'a str>,
    /// `None`: a fresh one.
    pub run_id: Option<String>,
    pub retry_for: Duration,
}

impl<'a> Delivery<'a> {
    pub fn new(server: &'a Server, options: Options<'a>) -> Delivery<'a> {
        let Options { stream, ack, run_id, retry_for } = options;
        let run_id = run_id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        Delivery { server, stream, ack, run_id, retry_for, batches: 0 }
    }

    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Requests that got a receipt or an error.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    pub async fn deliver(&mut self, batch: &mut Batch) -> Result<Receipt, ClientError> {
        let body = Bytes::from(std::mem::take(&mut batch.body));
        let key = self.key(&body);
        self.batches += 1;
        let give_up = Instant::now() + self.retry_for;
        let mut backoff = BACKOFF_FIRST;
        let ack = self.ack.map(|ack| ("ack", ack));
        loop {
            let request = self
                .server
                .request(Method::POST, &["v1", "streams", self.stream, "events"], ack.as_slice())
                .header(CONTENT_TYPE, batch.content_type)
                .header("idempotency-key", &key)
                .timeout(REQUEST_TIMEOUT)
                .body(body.clone());
            let (error, asked) = match self.attempt(request).await {
                Attempt::Done(receipt) => return Ok(receipt),
                Attempt::Failed(error) => return Err(error),
                Attempt::Again(error, asked) => (error, asked),
            };
            let pause = asked.map_or_else(|| jittered(backoff), |asked| asked.min(RETRY_AFTER_MAX));
            if Instant::now() + pause > give_up {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn key(&self, body: &[u8]) -> String {
        let digest = Sha256::digest(body);
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{digest}", self.run_id, self.batches)
    }

    async fn attempt(&self, request: reqwest::RequestBuilder) -> Attempt {
        let response = match self.server.send(request).await {
            Ok(response) => response,
            Err(error) => return Attempt::Again(error, None),
        };
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = match self.server.body(response, RECEIPT_BYTES_MAX).await {
            Ok(body) => body,
            Err(error @ ClientError::BrokenOff { .. }) => return Attempt::Again(error, None),
            Err(error) => return Attempt::Failed(error),
        };
        let may_repeat = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        if may_repeat {
            return Attempt::Again(server::refused(status, &body), retry_after);
        }
        // All rejected (422) and an undeclared stream (404) come with a receipt too.
        match serde_json::from_slice::<Receipt>(&body) {
            Ok(receipt) => Attempt::Done(receipt),
            Err(error) if status.is_success() => Attempt::Failed(self.server.strange(error)),
            Err(_) => Attempt::Failed(server::refused(status, &body)),
        }
    }
}

enum Attempt {
    Done(Receipt),
    /// May be tried again, after the pause the server asks for.
    Again(ClientError, Option<Duration>),
    Failed(ClientError),
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Between half and all of a pause, so that many producers do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let [random, ..] = uuid::Uuid::new_v4().into_bytes();
    half + half * u32::from(random) / 255
}
