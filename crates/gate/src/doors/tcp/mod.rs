//! The TCP door: sensors that open a connection and send records, with or without an acknowledgement.
//! Always: a connection's records keep their order, since one batch of it is under way at a time; while it is,
//! the socket is not read, so a sensor that is too fast is slowed down, never dropped.
//! Does not refuse a record: what cannot be stored yet waits, and the socket with it.

mod framing;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hw_event::{Ack, Principal};
use hw_schema::KvFields;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::framing::{Framer, Records, TcpFormat, TsWidth};
use crate::{Framing, Gate, Identity, Refusal, Submission};

/// After this long without a byte, a record that has begun is given up.
pub const SILENCE: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 64 * 1024;
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

struct Connection {
    gate: Gate,
    settings: Arc<TcpSettings>,
    door: Arc<str>,
    peer: SocketAddr,
    /// Records of this connection that are durable.
    durable: u64,
    stop: CancellationToken,
}

impl Connection {
    async fn run(mut self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut framer = Framer::new(self.settings.format, self.settings.record_bytes_max);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    let rest = framer.abandon();
                    return self.store(rest, &mut socket).await;
                }
                read = socket.read(&mut buffer) => read,
                () = tokio::time::sleep(SILENCE), if framer.is_partial() => {
                    let given_up = framer.silence();
                    if given_up.events.is_empty() {
                        // A line of JSON may take its time; wait for it without a timer.
                        tokio::select! {
                            () = self.stop.cancelled() => continue,
                            read = socket.read(&mut buffer) => read,
                        }
                    } else {
                        self.store(given_up, &mut socket).await?;
                        continue;
                    }
                }
            };
            let records = match read {
                Ok(0) => {
                    let last = framer.close();
                    return self.store(last, &mut socket).await;
                }
                Ok(count) => framer.feed(&buffer[..count]),
                Err(error) => {
                    // The connection broke: what has begun has no end.
                    let rest = framer.abandon();
                    self.store(rest, &mut socket).await?;
                    return Err(error);
                }
            };
            self.store(records, &mut socket).await?;
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
                Refusal::Busy | Refusal::Full(_) | Refusal::Disk(_) | Refusal::UndeclaredFull
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
