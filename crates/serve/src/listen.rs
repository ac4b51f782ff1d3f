//! Accepts connections and carries HTTP/1.1 and HTTP/2 (without TLS) on them.
//! Always: at most as many connections as there are permits; a peer that does not finish its request's head, or does
//! not read its answer, is cut off; after `stop` nothing new is accepted and what is under way may end within a
//! bound. Does not bound a request's body: the door that reads it does.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::wire::Wire;

/// Requests under way on one HTTP/2 connection.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Bytes of bodies that an HTTP/2 peer may send before anyone reads them: of one request, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one answer that wait for an HTTP/2 peer's window.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Requests that an HTTP/2 peer has begun and reset before they were looked at; one more ends the connection.
const RESETS_PENDING_MAX: usize = 20;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenSettings {
    /// For a request's head, and the longest that a kept connection may be silent.
    pub head_time: Duration,
    /// For a peer that takes nothing of its answer.
    pub stall_time: Duration,
    /// For requests under way when it stops.
    pub stop_time: Duration,
}

impl Default for ListenSettings {
    fn default() -> ListenSettings {
        ListenSettings {
            head_time: Duration::from_secs(10),
            stall_time: Duration::from_secs(30),
            stop_time: Duration::from_secs(10),
        }
    }
}

/// Serves until `stop`, then ends what is under way.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
) {
    listen_with(ListenSettings::default(), listener, router, connections, stop).await;
}

pub async fn listen_with(
    settings: ListenSettings,
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let server = Arc::new(server(settings));
    let mut tasks = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Keeps the set as small as the connections that live.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(fault) => {
                    pause_after(&fault).await;
                    continue;
                }
            },
        };
        match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => {
                let (server, router, stop) = (Arc::clone(&server), router.clone(), stop.clone());
                tasks.spawn(async move {
                    carry(settings, &server, stream, router, stop).await;
                    drop(permit);
                });
            }
            Err(_) => turn_away(&stream),
        }
    }
    drop(listener);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(settings.stop_time, ended).await.is_err() {
        tracing::warn!(connections = tasks.len(), "requests did not end in time and are cut off");
        tasks.shutdown().await;
    }
}

fn server(settings: ListenSettings) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        // A client that has sent all and closes its half still waits for the answer.
        .half_close(true)
        .header_read_timeout(settings.head_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(settings.head_time)
        .keep_alive_timeout(settings.head_time);
    server
}

async fn carry(
    settings: ListenSettings,
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
) {
    // Small answers go out at once. A socket that refuses the option still works.
    if let Err(fault) = stream.set_nodelay(true) {
        tracing::debug!(%fault, "TCP_NODELAY cannot be set");
    }
    let wire = TokioIo::new(Wire::new(stream, settings.head_time, settings.stall_time));
    let connection = server.serve_connection(wire, TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(fault) = end {
        // Peers come and go; an answer that broke was logged where it broke.
        tracing::debug!(%fault, "a connection ended early");
    }
}

/// Says why, if the peer's buffer takes it, and hangs up. Never waits.
fn turn_away(stream: &TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
        content-type: application/problem+json\r\ncontent-length: 166\r\n\r\n\
        {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
        \"detail\":\"too many connections\",\"code\":\"connections\",\"hint\":\"use fewer, or raise limits.connections\"}";
    if let Err(fault) = stream.try_write(ANSWER) {
        tracing::debug!(%fault, "a connection over the limit was dropped without a word");
    }
}

/// A peer that gave up before it was accepted is nothing; without file descriptors the next accept fails as well.
async fn pause_after(fault: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(%fault, "a connection cannot be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
