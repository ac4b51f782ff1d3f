//! The TCP door: sensors that open a connection and send records, with or without an acknowledgement.
//! Always: a connection's records keep their order, since one batch of it is under way at a time; while it is,
//! the socket is not read, so a sensor that is too fast is slowed down, never dropped.
//! Does not refuse a record: what cannot be stored yet waits, and the socket with it.

mod framing;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hw_event::{Ack, Principal};
use hw_schema::KvFields;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::framing::{Framer, Records, TcpFormat, TsWidth};
use crate::{Framing, Gate, Identity, Refusal, Submission};

/// After this long without a byte, a record that has begun is given up.
pub const SILENCE: Duration = Duration::from_millis(50);
/// What is read at a time. The buffer is on the stack while it is filled: a sensor that says nothing holds none.
const READ_BYTES: usize = 64 * 1024;
/// A record that has begun may hold so much without asking …
const PARTIAL_FREE_BYTES: usize = 16 * 1024;
/// … and so many of a listener more than that, up to `record_bytes_max` each; other sensors are not read meanwhile.
const PARTIAL_LARGE_MAX: usize = 64;
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);
/// How long a stopping server keeps trying to store what a connection has sent.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct TcpSettings {
    /// The listener's name in the configuration.
    pub name: String,
    pub stream: String,
    pub format: TcpFormat,
    pub fields: Arc<KvFields>,
    /// Write `ok N` when N records of the connection are durable.
    pub ack: bool,
    pub record_bytes_max: usize,
    /// From a record's first byte to its last: one that takes longer is given up, as a reject.
    pub record_time: Duration,
}

/// Serves a listener until `stop`, then lets its connections finish what they have read.
pub async fn serve(
    gate: Gate,
    listener: TcpListener,
    settings: TcpSettings,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let settings = Arc::new(settings);
    let door: Arc<str> = format!("tcp.{}", settings.name).into();
    let tracker = TaskTracker::new();
    let large = Arc::new(Semaphore::new(PARTIAL_LARGE_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would only spin.
                tracing::warn!(listener = %settings.name, %error, "a connection could not be accepted");
                tokio::time::sleep(RETRY_FIRST).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::warn!(listener = %settings.name, "limits.connections is reached: a sensor was turned away");
            metrics::counter!("headwater_tcp_turned_away_total").increment(1);
            continue;
        };
        let connection = Connection {
            gate: gate.clone(),
            settings: settings.clone(),
            door: door.clone(),
            peer,
            durable: 0,
            large: large.clone(),
            stop: stop.clone(),
        };
        tracker.spawn(async move {
            metrics::gauge!("headwater_tcp_connections").increment(1);
            if let Err(error) = connection.run(socket).await {
                tracing::debug!(%peer, %error, "a sensor's connection ended");
            }
            metrics::gauge!("headwater_tcp_connections").decrement(1);
            drop(permit);
        });
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// What has come, as records; `None`: the sensor has closed. Not async: the buffer lives no longer than the call.
fn read(socket: &TcpStream, framer: &mut Framer) -> io::Result<Option<Records>> {
    let mut buffer = [0; READ_BYTES];
    match socket.try_read(&mut buffer) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(framer.feed(&buffer[..count]))),
        // It only seemed to be ready.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(Records::default())),
        Err(error) => Err(error),
    }
}

struct Connection {
    gate: Gate,
    settings: Arc<TcpSettings>,
    door: Arc<str>,
    peer: SocketAddr,
    /// Records of this connection that are durable.
    durable: u64,
    /// A permit for each large record that is under way.
    large: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Connection {
    async fn run(mut self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut framer = Framer::new(self.settings.format, self.settings.record_bytes_max);
        // Since when the record that has begun is under way.
        let mut began: Option<Instant> = None;
        // A line of JSON may be silent in its midst.
        let minds_silence = matches!(self.settings.format, TcpFormat::Kv { .. });
        let mut place: Option<OwnedSemaphorePermit> = None;
        loop {
            let may_read = framer.held() <= PARTIAL_FREE_BYTES || place.is_some();
            // Only time in which the sensor was listened to counts.
            let late = began.filter(|_| may_read).map(|began| began + self.settings.record_time);
            let ready = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    let rest = framer.abandon();
                    return self.store(rest, &mut socket).await;
                }
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                    // Bytes may trickle for ever; what they hold may not.
                    let rest = framer.abandon();
                    (began, place) = (None, None);
                    self.store(rest, &mut socket).await?;
                    continue;
                }
                permit = self.large.clone().acquire_owned(), if !may_read => {
                    // Nobody closes it.
                    place = permit.ok();
                    began = Some(Instant::now());
                    continue;
                }
                ready = socket.readable(), if may_read => ready,
                () = tokio::time::sleep(SILENCE), if framer.is_partial() && minds_silence && may_read => {
                    let given_up = framer.silence();
                    began = None;
                    self.store(given_up, &mut socket).await?;
                    continue;
                }
            };
            let records = match ready.and_then(|()| read(&socket, &mut framer)) {
                Ok(None) => {
                    let last = framer.close();
                    return self.store(last, &mut socket).await;
                }
                Ok(Some(records)) => {
                    if framer.held() <= PARTIAL_FREE_BYTES {
                        place = None;
                    }
                    if !framer.is_partial() {
                        began = None;
                    } else if !records.events.is_empty() || began.is_none() {
                        began = Some(Instant::now());
                    }
                    records
                }
                Err(error) => {
                    // The connection broke: what has begun has no end.
                    let rest = framer.abandon();
                    self.store(rest, &mut socket).await?;
                    return Err(error);
                }
            };
            if !records.events.is_empty() {
                self.store(records, &mut socket).await?;
                // Storing may have taken its time, and nobody listened meanwhile.
                began = began.map(|_| Instant::now());
            }
        }
    }

    /// Stores the records, however long it takes, unless the server stops.
    async fn store(&mut self, records: Records, socket: &mut TcpStream) -> io::Result<()> {
        if records.events.is_empty() {
            return Ok(());
        }
        let count = records.events.len() as u64;
        let mut pause = RETRY_FIRST;
        let mut waited_stopping = Duration::ZERO;
        loop {
            let refusal = match self.submit(&records).await {
                Ok(()) => break,
                Err(refusal) => refusal,
            };
            let passing = matches!(
                refusal,
                Refusal::Busy
                    | Refusal::Full(_)
                    | Refusal::Behind(_)
                    | Refusal::Disk(_)
                    | Refusal::UndeclaredFull
            );
            tracing::warn!(listener = %self.settings.name, peer = %self.peer, %refusal, "records wait");
            if !passing || waited_stopping >= STOP_PATIENCE {
                return Err(io::Error::other(refusal.to_string()));
            }
            tokio::time::sleep(pause).await;
            if self.stop.is_cancelled() {
                waited_stopping += pause;
            }
            pause = (pause * 2).min(RETRY_LAST);
        }
        self.durable += count;
        if self.settings.ack {
            socket.write_all(format!("ok {}\n", self.durable).as_bytes()).await?;
        }
        Ok(())
    }

    async fn submit(&self, records: &Records) -> Result<(), Refusal> {
        let permit = self.gate.room(records.bytes.len()).await?;
        let framing = match self.settings.format {
            TcpFormat::Kv { .. } => Framing::Kv(self.settings.fields.clone()),
            TcpFormat::Ndjson => Framing::Json,
        };
        let submission = Submission {
            stream: self.settings.stream.clone(),
            door: self.door.clone(),
            principal: Principal::local(),
            request_id: None,
            body: records.bytes.clone(),
            framing,
            events: records.events.clone(),
            identity: Identity::None,
            ack: Ack::Disk,
            may_refuse: false,
            permit: Some(permit),
        };
        self.gate.submit(submission).await.map(drop)
    }
}
