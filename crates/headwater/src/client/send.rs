//! `headwater send`: a file or standard input, in batches, to one stream.
//! Always: memory is bounded whatever the input; the counts printed are those of the server's receipts.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    batch::{Batch, CutError, JsonBatches, NdjsonBatches},
    deliver::{Delivery, Options, Receipt},
    error::ClientError,
    input::{self, Opened},
    server::Server,
};
use crate::{
    cli::{self, Input},
    exit::Exit,
    output,
};

const CHUNK_BYTES: usize = 64 << 10;
/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 8;
/// Standard input that pauses this long is sent as far as it is complete.
const PAUSE: Duration = Duration::from_millis(200);
/// Errors that are printed; the others are counted.
const ERRORS_SHOWN: usize = 10;

pub async fn run(arguments: cli::Send) -> Result<Exit, ClientError> {
    let server = Server::find(&arguments.server)?;
    let source = Source::open(&arguments.file)?;
    let progress = progress(source.bytes);
    let input = arguments.input.unwrap_or_else(|| input::written_as(&arguments.file));
    let options = Options {
        stream: arguments.stream.as_str(),
        ack: arguments.ack.as_deref(),
        run_id: arguments.run_id,
        retry_for: arguments.retry_for,
    };
    let mut delivery = Delivery::new(&server, options);
    let mut totals = Totals::default();
    let result = match input {
        Input::Ndjson => send_ndjson(source, &mut delivery, &mut totals, &progress).await,
        Input::Json => send_json(source, &mut delivery, &mut totals, &progress).await,
    };
    progress.finish_and_clear();
    totals.print(&delivery, arguments.json)?;
    if let Err(error) = result {
        eprintln!(
            "not all was sent; `--run-id {}` with the same file goes on without storing anything twice",
            delivery.run_id()
        );
        return Err(error);
    }
    Ok(if totals.rejected > 0 { Exit::False } else { Exit::Fine })
}

struct Source {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Of a file that is not packed.
    bytes: Option<u64>,
    is_stdin: bool,
    name: String,
}

impl Source {
    /// Reads in a thread of its own: files and standard input block.
    fn open(path: &Path) -> Result<Source, ClientError> {
        let Opened { mut reader, bytes, is_stdin, name, .. } = input::open(path)?;
        let (tx, chunks) = mpsc::channel(CHUNKS_AHEAD);
        std::thread::spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => {
                        chunk.truncate(count);
                        Ok(chunk)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if tx.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Source { chunks, bytes, is_stdin, name })
    }

    fn failed(&self, error: &io::Error) -> ClientError {
        ClientError::usage(format!("cannot read {}: {error}", self.name), "")
    }

    fn uncut(&self, error: &CutError) -> ClientError {
        ClientError::usage(format!("{}: {error}", self.name), "what came before was sent; the rest was not")
    }
}

async fn send_ndjson(
    mut source: Source,
    delivery: &mut Delivery<'_>,
    totals: &mut Totals,
    progress: &ProgressBar,
) -> Result<(), ClientError> {
    let mut cutter = NdjsonBatches::default();
    loop {
        // A file's batches must not depend on how fast it is read.
        let chunk = if source.is_stdin {
            match tokio::time::timeout(PAUSE, source.chunks.recv()).await {
                Ok(chunk) => chunk,
                Err(_) => {
                    if let Some(batch) = cutter.take_complete() {
                        totals.send(batch, delivery).await?;
                    }
                    source.chunks.recv().await
                }
            }
        } else {
            source.chunks.recv().await
        };
        let cut = match chunk {
            Some(Ok(chunk)) => {
                progress.inc(chunk.len() as u64);
                cutter.push(&chunk)
            }
            Some(Err(error)) => return Err(source.failed(&error)),
            None => {
                cutter.finish();
                while let Some(batch) = cutter.next() {
                    totals.send(batch, delivery).await?;
                }
                return Ok(());
            }
        };
        while let Some(batch) = cutter.next() {
            totals.send(batch, delivery).await?;
        }
        cut.map_err(|error| source.uncut(&error))?;
    }
}

async fn send_json(
    mut source: Source,
    delivery: &mut Delivery<'_>,
    totals: &mut Totals,
    progress: &ProgressBar,
) -> Result<(), ClientError> {
    let mut cutter = JsonBatches::default();
    let mut ended = false;
    while !ended {
        let cut = match source.chunks.recv().await {
            Some(Ok(chunk)) => {
                progress.inc(chunk.len() as u64);
                cutter.push(&chunk)
            }
            Some(Err(error)) => return Err(source.failed(&error)),
            None => {
                ended = true;
                cutter.finish()
            }
        };
        while let Some(batch) = cutter.next() {
            totals.send(batch, delivery).await?;
        }
        cut.map_err(|error| source.uncut(&error))?;
    }
    Ok(())
}

/// The sums of all receipts.
#[derive(Default)]
pub struct Totals {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// The first errors, each with its place in the input.
    errors: Vec<String>,
}

impl Totals {
    pub async fn send(&mut self, mut batch: Batch, delivery: &mut Delivery<'_>) -> Result<(), ClientError> {
        let receipt = delivery.deliver(&mut batch).await?;
        self.add(&batch, &receipt);
        Ok(())
    }

    fn add(&mut self, batch: &Batch, receipt: &Receipt) {
        self.accepted += receipt.accepted;
        self.rejected += receipt.rejected;
        self.duplicates += receipt.duplicates;
        for error in receipt.errors.iter().take(ERRORS_SHOWN.saturating_sub(self.errors.len())) {
            let path = if error.path.is_empty() { "" } else { " at " };
            self.errors.push(format!(
                "{}: {}{path}{}: {}",
                batch.place(error.index),
                error.code,
                error.path,
                error.message
            ));
        }
    }

    pub fn print(&self, delivery: &Delivery<'_>, as_json: bool) -> Result<(), ClientError> {
        let mut out = io::stdout().lock();
        if as_json {
            let counts = json!({
                "accepted": self.accepted,
                "rejected": self.rejected,
                "duplicates": self.duplicates,
                "requests": delivery.batches(),
                "run_id": delivery.run_id(),
                "errors": self.errors,
            });
            writeln!(out, "{counts}")?;
            return Ok(());
        }
        for error in &self.errors {
            eprintln!("rejected  {}", output::printable(error));
        }
        let more = self.rejected.saturating_sub(self.errors.len() as u64);
        if more > 0 {
            eprintln!("rejected  {} more; headwater rejects list", output::grouped(more));
        }
        let [accepted, rejected, duplicates] =
            [self.accepted, self.rejected, self.duplicates].map(output::grouped);
        writeln!(out, "accepted {accepted}, rejected {rejected}, duplicates {duplicates}")?;
        Ok(())
    }
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    match bytes {
        Some(bytes) => {
            let style =
                ProgressStyle::with_template("{bytes} of {total_bytes} {wide_bar} {binary_bytes_per_sec}");
            let bar = ProgressBar::new(bytes);
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        }
        None => ProgressBar::new_spinner(),
    }
}
