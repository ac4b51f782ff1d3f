//! One file: from opened to counted.
//! Always: a batch's events and its position are one append; nothing is known as counted before that is durable.
//! A refusal is waited out, however long it takes, unless the server stops.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, sync::Arc, time::Duration};

use bytes::Bytes;
use hw_event::{Ack, Principal};
use tokio::task::spawn_blocking;

use super::{
    DirectoryDoor, Scanned, Stopped,
    content::{self, Hash, Opened, Unread},
    progress::{Content, Known, Progress},
    reader::{Batch, BatchLimits, End, Reader},
    scan::{self, HALF_PATIENCE, Ready},
};
use crate::{Framing, Identity, Positions, Receipt, Refusal, Submission, doors::framing::Layout};

const BATCH_EVENTS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 1 << 20;
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// A file's events on their way to the gate.
struct Reading {
    hash: Hash,
    reader: Reader,
    /// In `rejects`: the file's name and the beginning of its content's hash.
    request_id: Arc<str>,
}

impl DirectoryDoor {
    /// Reads one file as far as it goes.
    pub(super) async fn read(
        &mut self,
        ready: &Ready,
        now: Duration,
        scanned: &mut Scanned,
    ) -> Result<(), Stopped> {
        let read = match self.open_file(ready).await {
            Ok((opened, before)) => self.count(ready, opened, before, scanned).await,
            Err(unread) => Err(unread),
        };
        match read {
            Ok(()) | Err(Unread::Changing) => Ok(()),
            Err(Unread::Stopped) => Err(Stopped),
            Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(unread) => {
                self.cannot_read(&ready.name, now, &unread);
                Ok(())
            }
        }
    }

    async fn open_file(&self, ready: &Ready) -> Result<(Opened, Option<Progress>), Unread> {
        let path = self.settings.path.join(&ready.name);
        let (seen, stop) = (ready.stat, self.stop.clone());
        let before = self.book.before(&ready.name, seen);
        let beginning = before.map(|progress| (progress.bytes, progress.beginning));
        let key = self.gate.hash_key().clone();
        let opened = spawn_blocking(move || content::open(&path, seen, beginning, key, &stop)).await;
        let opened = opened.unwrap_or_else(|error| Err(Unread::Io(io::Error::other(error))))?;
        let before = before.filter(|_| opened.begins_so);
        Ok((opened, before))
    }

    /// Counts what of the content is not counted. `before`: what was counted of the file, if it has grown since.
    async fn count(
        &mut self,
        ready: &Ready,
        opened: Opened,
        before: Option<Progress>,
        scanned: &mut Scanned,
    ) -> Result<(), Unread> {
        let hash = opened.hash;
        let before = match self.book.progress(&hash) {
            Some(progress) if progress.whole => {
                self.already_known(ready, hash, scanned);
                return Ok(());
            }
            progress => progress.or(before).unwrap_or_default(),
        };
        let is_document = scan::is_document(ready.name.as_bytes());
        let layout = if is_document { Layout::Json } else { Layout::Lines };
        let before = Progress { whole: false, ..before };
        let reader = Reader::new(opened, layout, before, self.limits());
        let mut reading = Reading { hash, reader, request_id: request_id(&ready.name, &hash) };
        loop {
            if self.stop.is_cancelled() {
                return Err(Unread::Stopped);
            }
            let (back, batch) = next_batch(reading, ready.at_rest < HALF_PATIENCE).await?;
            reading = back;
            let (end, next_event) = (batch.end, batch.progress.events);
            let content = Content { progress: batch.progress, file: ready.stat.id, gone_at: None };
            if !batch.events.is_empty() {
                let receipt = self.submit(&reading, batch, content).await?;
                scanned.events += receipt.accepted + receipt.rejected;
                scanned.rejected += receipt.rejected;
            } else if end == End::Whole {
                self.book.note(hash, content);
            }
            let (directory, file) = (&self.settings.name, &ready.name);
            match end {
                End::More => continue,
                End::Whole => {
                    tracing::debug!(%directory, ?file, events = next_event, "read");
                    self.book.note_file(&ready.name, Known { stat: ready.stat, hash });
                    scanned.read += 1;
                    self.count_up("headwater_directory_files_read_total");
                }
                End::Half => self.scan.await_half(&ready.name),
                End::Changed => {
                    tracing::warn!(
                        %directory, ?file, next_event,
                        "the file was changed while it was read: the events before this one are counted; the new text \
                         is read when it has come to rest"
                    );
                    self.count_up("headwater_directory_files_changed_total");
                }
            }
            return Ok(());
        }
    }

    fn already_known(&mut self, ready: &Ready, hash: Hash, scanned: &mut Scanned) {
        self.book.note_file(&ready.name, Known { stat: ready.stat, hash });
        if ready.stat.size > 0 {
            let (directory, file) = (&self.settings.name, &ready.name);
            tracing::info!(%directory, ?file, "not read: a file with this content was read before");
            scanned.known += 1;
            self.count_up("headwater_directory_files_known_total");
        }
    }

    /// Hands a batch to the gate until it is taken.
    async fn submit(&mut self, reading: &Reading, batch: Batch, content: Content) -> Result<Receipt, Unread> {
        let records = self.book.records(&reading.hash, content);
        let (body, events) = (Bytes::from(batch.body), batch.events);
        let mut pause = RETRY_FIRST;
        let mut waited = false;
        let receipt = loop {
            let permit = match self.gate.room(body.len()).await {
                Ok(permit) => permit,
                Err(refusal) => {
                    self.wait(&refusal, &mut pause, &mut waited).await?;
                    continue;
                }
            };
            let submission = Submission {
                stream: self.settings.stream.clone(),
                door: self.door.clone(),
                principal: Principal::local(),
                request_id: Some(reading.request_id.clone()),
                body: body.clone(),
                framing: Framing::Json,
                events: events.clone(),
                identity: Identity::Positions(Positions {
                    first_index: batch.first,
                    records: records.clone(),
                }),
                ack: Ack::Disk,
                may_refuse: false,
                permit: Some(permit),
            };
            match self.gate.submit(submission).await {
                Ok(receipt) => break receipt,
                Err(refusal) => self.wait(&refusal, &mut pause, &mut waited).await?,
            }
        };
        if waited {
            tracing::info!(directory = %self.settings.name, "events are stored again");
        }
        self.book.appended(reading.hash, content, &records);
        Ok(receipt)
    }

    async fn wait(&self, refusal: &Refusal, pause: &mut Duration, waited: &mut bool) -> Result<(), Unread> {
        if *refusal == Refusal::Closed {
            return Err(Unread::Stopped);
        }
        if !*waited {
            tracing::warn!(directory = %self.settings.name, %refusal, "events wait");
            *waited = true;
        }
        tokio::select! {
            () = self.stop.cancelled() => return Err(Unread::Stopped),
            () = tokio::time::sleep(*pause) => {}
        }
        *pause = (*pause * 2).min(RETRY_LAST);
        Ok(())
    }

    fn limits(&self) -> BatchLimits {
        let settings = self.gate.settings();
        BatchLimits {
            events: BATCH_EVENTS_MAX.min(self.gate.events_max(&self.settings.stream)),
            bytes: BATCH_BYTES_MAX.min(settings.inflight_bytes / 4).max(1),
            event_bytes: settings.event_bytes,
        }
    }
}

async fn next_batch(mut reading: Reading, wait_for_half: bool) -> Result<(Reading, Batch), io::Error> {
    let read = spawn_blocking(move || {
        let batch = reading.reader.batch(wait_for_half)?;
        Ok((reading, batch))
    });
    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn request_id(file: &OsStr, hash: &Hash) -> Arc<str> {
    let name = file.to_string_lossy().replace(char::is_control, "\u{fffd}");
    let beginning: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}#{beginning}").into()
}
