//! The embedded journal: a queue, one writer thread around `Core`, and the readers' side.
//! Always: numbers are given in the order in which appends enter the queue, and the writer takes them in that order;
//! when a group fails, everything behind it in the queue fails too and their numbers are given again.
//! Shutdown: `close` stops admission, the thread drains the queue, seals and ends.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use bytes::Bytes;
use hw_event::{
    Ack, Clock, Entropy, Seq, StreamId,
    sabotage::{Bug, armed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::{
    Append, AppendError, BlockKind, BlockPlace, BlockRef, Damage, Disk, Found, Log, OpenError, ReadError,
    Recovered, Settings, StoredAppend, Usage,
    check::check_shelf,
    core::{Core, not_storable},
    found, frame,
    shelf::Shelf,
    wipe::{Request, Wipe},
};

/// A handle on the journal of one disk. When the last one is dropped the journal drains and ends by itself;
/// `close` waits for that.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

/// An append that has its number.
pub struct Ticket {
    pub seq: Seq,
    stage: watch::Receiver<Stage>,
}

#[derive(Debug, Clone)]
enum Stage {
    Queued,
    Written,
    Durable,
    Failed(AppendError),
}

struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    shelf: Arc<Shelf>,
    // A std mutex: held to push or to take from the queue, never across an await or a call of the disk.
    queue: Mutex<Queue>,
    wake: Condvar,
    /// One permit a byte of `queue_bytes_max`.
    room: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

struct Queue {
    waiting: VecDeque<Queued>,
    /// Bytes that wait or are being written.
    bytes: u64,
    /// The last number given.
    last: Seq,
    closing: bool,
    /// There may be something to tidy.
    untidy: bool,
    free_segments: usize,
    failed: Option<Arc<io::Error>>,
    /// What is asked of the writer beside appends.
    requests: VecDeque<Request>,
}

struct Queued {
    append: Append,
    bytes: u64,
    stage: watch::Sender<Stage>,
    _room: OwnedSemaphorePermit,
}

impl Journal {
    /// Recovers what is in `disk`, or makes a new journal there. Blocks; starts one thread.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Journal, Recovered), OpenError> {
        let found = Found::read(disk.as_ref())?;
        Journal::open_found(found, disk, clock, entropy, settings)
    }

    /// Goes on from what was found in `disk`. Blocks; starts one thread.
    pub fn open_found(
        found: Found,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Journal, Recovered), OpenError> {
        let (journal, driver, recovered) = Journal::driven(found, disk, clock, entropy, settings)?;
        thread::Builder::new().name("hw-journal".to_owned()).spawn(move || driver.run()).map_err(
            |source| OpenError::Disk { action: "start the writer of", file: ".".to_owned(), source },
        )?;
        Ok((journal, recovered))
    }

    /// As `open`, without the thread: the caller lets the writer take its turns. Nothing is written between them.
    pub fn open_driven(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Journal, JournalDriver, Recovered), OpenError> {
        let found = Found::read(disk.as_ref())?;
        Journal::driven(found, disk, clock, entropy, settings)
    }

    fn driven(
        found: Found,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Journal, JournalDriver, Recovered), OpenError> {
        let (core, recovered) = Core::open_found(found, disk, clock, entropy, settings.clone())?;
        let room = settings.queue_bytes_max.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        let queue = Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            last: recovered.last,
            closing: false,
            untidy: true,
            free_segments: core.free_segments(),
            failed: None,
            requests: VecDeque::new(),
        };
        let shared = Arc::new(Shared {
            settings,
            shelf: core.shelf(),
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(room)),
            ended: watch::Sender::new(false),
        });
        let driver = JournalDriver { core, writer: Writer { shared: shared.clone() } };
        Ok((Journal { handle: Arc::new(Handle { shared }) }, driver, recovered))
    }

    /// A journal to read and not to write: appends are refused as if it were closed, and its files stay as they
    /// are. `None`: there is none.
    pub fn inspect(found: Found) -> Option<(Journal, Recovered)> {
        let recovery = found.recovery?;
        let recovered = found::recovered(&recovery);
        let shelf = Shelf::new(recovery.last);
        let count = recovery.segments.len();
        for (at, segment) in recovery.segments.into_iter().enumerate() {
            shelf.put(segment.file, segment.entries, segment.end, segment.last, at + 1 == count);
        }
        shelf.release(recovery.released);
        shelf.set_next_offsets(recovery.state.next_offsets);
        shelf.note_damage(recovery.damage);
        let queue = Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            last: recovered.last,
            closing: true,
            untidy: false,
            free_segments: recovery.free.len() + recovery.stale.len(),
            failed: None,
            requests: VecDeque::new(),
        };
        let room = Arc::new(Semaphore::new(0));
        room.close();
        let shared = Shared {
            settings: Settings::default(),
            shelf: Arc::new(shelf),
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            room,
            ended: watch::Sender::new(true),
        };
        Some((Journal { handle: Arc::new(Handle { shared: Arc::new(shared) }) }, recovered))
    }

    /// Queues an append and returns once it has its number. Waits for room in the queue.
    pub async fn append(&self, append: Append) -> Result<Ticket, AppendError> {
        let shared = &self.handle.shared;
        if let Some(error) = not_storable(&append) {
            return Err(AppendError::Disk(Arc::new(error)));
        }
        let bytes = frame::append_bytes(&append) as u64;
        shared.check_budget(shared.queue().bytes, bytes)?;
        // A larger append than the whole queue takes all of it, alone.
        let permits = bytes.min(shared.settings.queue_bytes_max as u64).min(u64::from(u32::MAX)) as u32;
        let room = shared.room.clone().acquire_many_owned(permits).await.map_err(|_| AppendError::Closed)?;
        let (stage, receiver) = watch::channel(Stage::Queued);
        let mut queue = shared.queue();
        if queue.closing {
            return Err(AppendError::Closed);
        }
        shared.check_budget(queue.bytes, bytes)?;
        let seq = queue.last.next();
        queue.last = seq;
        queue.bytes += bytes;
        queue.untidy = true;
        queue.waiting.push_back(Queued { append, bytes, stage, _room: room });
        drop(queue);
        shared.wake.notify_one();
        Ok(Ticket { seq, stage: receiver })
    }

    /// Takes no more appends, makes all that are queued durable, seals the tail and waits until that is done.
    pub async fn close(self) {
        let mut ended = self.handle.shared.ended.subscribe();
        self.handle.shared.begin_close();
        // An error says that the sender is gone, which it is only after the end.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    pub fn usage(&self) -> Usage {
        let shared = &self.handle.shared;
        let queue = shared.queue();
        Usage {
            segments: shared.shelf.segments(),
            free_segments: queue.free_segments,
            used_bytes: shared.shelf.used_bytes(),
            budget_bytes: shared.settings.budget_bytes,
            queued_bytes: queue.bytes,
            appended: queue.last,
            durable: *shared.shelf.durable().borrow(),
            first_kept: shared.shelf.first_kept(),
            newest_received_at: shared.shelf.newest_received_at(),
            failed: queue.failed.as_ref().map(ToString::to_string),
            damage: shared.shelf.damage(),
        }
    }

    /// Reads all that is kept once more, and says what is damaged. `pace` is told of the bytes after each segment, and may
    /// wait. Blocking; disturbs neither the writer nor readers.
    pub fn check(&self, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
        check_shelf(&self.handle.shared.shelf, pace)
    }

    /// Makes the bytes of every append through the last one go, once they are released. See [`Wipe`].
    pub async fn begin_wipe(&self) -> Result<Wipe, AppendError> {
        Wipe::begin(self.clone()).await
    }

    /// Asks the writer for something; `None`: it has ended.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.request(request(sender));
        receiver.await.ok()
    }

    pub(crate) fn request(&self, request: Request) {
        let shared = &self.handle.shared;
        let mut queue = shared.queue();
        if !queue.closing {
            queue.requests.push_back(request);
        }
        drop(queue);
        shared.wake.notify_one();
    }

    /// Key records at or before this append may be forgotten. They are, when the next segment is opened.
    pub fn release_keys(&self, through: Seq) {
        self.handle.shared.shelf.release_keys(through);
    }

    /// The first offset not given yet, by stream and partition: every offset of a durable append is below it.
    pub fn next_offsets(&self) -> HashMap<(StreamId, i32), i64> {
        self.handle.shared.shelf.next_offsets()
    }

    /// Bytes of one stream's blocks of one kind after an append. Costs a step for each block, so it is no
    /// question for every request.
    pub fn bytes_after(&self, stream: StreamId, kind: BlockKind, after: Seq) -> u64 {
        self.handle.shared.shelf.bytes_after(stream, kind, after)
    }

    /// Bytes of blocks that no table holds yet, by stream.
    pub fn bytes_by_stream(&self) -> HashMap<StreamId, u64> {
        self.handle.shared.shelf.bytes_by_stream()
    }
}

impl Ticket {
    /// Waits until the append has come as far as `level`. After an error it is not in the log.
    pub async fn reached(&mut self, level: Ack) -> Result<(), AppendError> {
        let arrived = |stage: &Stage| match stage {
            Stage::Queued => level == Ack::Memory,
            Stage::Written => level <= Ack::Os,
            Stage::Durable | Stage::Failed(_) => true,
        };
        // The sender is dropped without a last word only if the writer died.
        let stage = self.stage.wait_for(arrived).await.map_err(|_| AppendError::Closed)?;
        match &*stage {
            Stage::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl Log for Journal {
    fn durable(&self) -> watch::Receiver<Seq> {
        self.handle.shared.shelf.durable()
    }

    fn first_kept(&self) -> Seq {
        self.handle.shared.shelf.first_kept()
    }

    fn released(&self) -> Seq {
        self.handle.shared.shelf.released()
    }

    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError> {
        self.handle.shared.shelf.read(after, bytes_max)
    }

    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError> {
        self.handle.shared.shelf.blocks(stream, kind, after, through)
    }

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError> {
        self.handle.shared.shelf.read_block(block)
    }

    fn place(&self, block: &BlockRef) -> Option<BlockPlace> {
        self.handle.shared.shelf.place(block)
    }

    fn wanted(&self, block: &BlockRef) -> bool {
        self.handle.shared.shelf.wanted(block)
    }

    fn release(&self, seq: Seq) {
        let shared = &self.handle.shared;
        shared.shelf.release(seq);
        shared.queue().untidy = true;
        shared.wake.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_close();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_close(&self) {
        self.queue().closing = true;
        self.room.close();
        self.wake.notify_one();
    }

    fn check_budget(&self, queued_bytes: u64, bytes: u64) -> Result<(), AppendError> {
        let Settings { budget_bytes, reserve_bytes, .. } = self.settings;
        let used_bytes = self.shelf.used_bytes() + queued_bytes;
        if used_bytes + bytes > budget_bytes - reserve_bytes {
            return Err(AppendError::Full { used_bytes, budget_bytes });
        }
        Ok(())
    }
}

/// The writer of a journal, for whoever drives it. Dropped without `close`, it ends as if the process had died.
pub struct JournalDriver {
    core: Core,
    // Dropped last, also when a turn panics: nobody may wait for ever.
    writer: Writer,
}

struct Writer {
    shared: Arc<Shared>,
}

enum Turn {
    Group(Vec<Queued>),
    Request(Request),
    Tidy,
    Close,
}

impl JournalDriver {
    fn run(mut self) {
        loop {
            match self.writer.next_turn() {
                Turn::Group(group) => self.commit(group),
                Turn::Request(request) => request.serve(&mut self.core),
                Turn::Tidy => {
                    let more = self.tidy();
                    self.writer.shared.queue().untidy |= more;
                }
                Turn::Close => break,
            }
        }
        self.core.close();
    }

    /// Writes and syncs one group of what waits. Returns whether anything did.
    pub fn turn(&mut self) -> bool {
        let request = self.writer.shared.queue().requests.pop_front();
        if let Some(request) = request {
            request.serve(&mut self.core);
            return true;
        }
        let group = self.writer.take_group(&mut self.writer.shared.queue());
        let any = !group.is_empty();
        if any {
            self.commit(group);
        }
        any
    }

    /// One piece of housekeeping, as after a while without appends. Returns whether there is more.
    pub fn tidy(&mut self) -> bool {
        let more = self.core.tidy();
        self.note();
        more
    }

    /// Writes what waits and seals the tail: the end of a clean stop, after `Journal::close` was called.
    pub fn close(mut self) {
        while self.turn() {}
        self.core.close();
    }

    fn commit(&mut self, group: Vec<Queued>) {
        self.writer.commit(&mut self.core, group);
        if self.core.wants_room() {
            self.core.prepare();
        }
        self.note();
    }

    fn note(&self) {
        let mut queue = self.writer.shared.queue();
        queue.free_segments = self.core.free_segments();
        queue.failed = self.core.failure();
    }
}

impl Writer {
    /// Waits for appends; after a while without any, there is time to tidy.
    fn next_turn(&self) -> Turn {
        let mut queue = self.shared.queue();
        let mut more_to_tidy = std::mem::take(&mut queue.untidy);
        loop {
            if let Some(request) = queue.requests.pop_front() {
                queue.untidy |= more_to_tidy;
                return Turn::Request(request);
            }
            if !queue.waiting.is_empty() {
                queue.untidy |= more_to_tidy;
                return Turn::Group(self.take_group(&mut queue));
            }
            if queue.closing {
                return Turn::Close;
            }
            if more_to_tidy {
                let waited = self.shared.wake.wait_timeout(queue, self.shared.settings.idle_seal);
                let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                queue = guard;
                let called = !queue.waiting.is_empty() || !queue.requests.is_empty() || queue.closing;
                if timeout.timed_out() && !called {
                    return Turn::Tidy;
                }
            } else {
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            more_to_tidy |= std::mem::take(&mut queue.untidy);
        }
    }

    fn take_group(&self, queue: &mut Queue) -> Vec<Queued> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            if !group.is_empty() && bytes + next.bytes > self.shared.settings.group_bytes_max as u64 {
                break;
            }
            bytes += next.bytes;
            group.extend(queue.waiting.pop_front());
        }
        group
    }

    fn commit(&self, core: &mut Core, group: Vec<Queued>) {
        let mut appends = Vec::with_capacity(group.len());
        let mut stages = Vec::with_capacity(group.len());
        let mut rooms = Vec::with_capacity(group.len());
        let mut bytes = 0;
        for queued in group {
            appends.push(queued.append);
            stages.push(queued.stage);
            rooms.push(queued._room);
            bytes += queued.bytes;
        }
        let tell = |stage: &Stage| stages.iter().for_each(|sender| _ = sender.send_replace(stage.clone()));
        if armed(Bug::AckBeforeSync) {
            // What was acknowledged last is synced only now.
            let _ = core.flush();
        }
        let written = core.write(appends);
        if written.is_ok() {
            tell(&Stage::Written);
        }
        if armed(Bug::AckBeforeSync) && written.is_ok() {
            self.shared.queue().bytes -= bytes;
            return tell(&Stage::Durable);
        }
        match written.and_then(|()| core.flush()) {
            Ok(_) => {
                self.shared.queue().bytes -= bytes;
                tell(&Stage::Durable);
            }
            Err(error) => {
                let behind = {
                    let mut queue = self.shared.queue();
                    queue.bytes = 0;
                    // Those behind were to stand on what has failed: their numbers are free again.
                    queue.last = core.last();
                    queue.failed = core.failure();
                    std::mem::take(&mut queue.waiting)
                };
                let failed = Stage::Failed(error);
                tell(&failed);
                behind.iter().for_each(|queued| _ = queued.stage.send_replace(failed.clone()));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.begin_close();
        let mut queue = self.shared.queue();
        queue.waiting.clear();
        queue.requests.clear();
        drop(queue);
        self.shared.ended.send_replace(true);
    }
}
