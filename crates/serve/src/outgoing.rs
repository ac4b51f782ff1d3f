//! Bodies on their way out, to readers of any pace.
//! Always: a reader that takes nothing for a while is cut off, whatever protocol it speaks, and what was held for it is
//! free again; a body that is cut off ends with an error, never as if it were whole. Beside what waits in `pieces`, a
//! body holds two pieces of 64 KiB.

use std::{io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::{sync::mpsc, time::timeout};

/// An HTTP/2 stream without a window keeps what it was given: that is never more than this.
const PIECE_BYTES: usize = 64 * 1024;
/// For a reader that takes nothing.
pub(crate) const STALL_TIME: Duration = Duration::from_secs(30);

/// The pieces as a body. They are made by a task of their own, so that a reader who never asks for the next one is
/// noticed: an HTTP/2 peer may keep its connection lively and its stream still.
pub(crate) fn paced<E: std::fmt::Display + Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    stall_time: Duration,
) -> Body {
    // `None` is the end: a channel that just ends was cut off.
    let (sender, receiver) = mpsc::channel::<Option<Result<Bytes, io::Error>>>(1);
    tokio::spawn(async move {
        let mut pieces = std::pin::pin!(pieces);
        loop {
            let piece = tokio::select! {
                biased;
                // Whoever asked has gone: what makes the pieces is told at once, not at the next one.
                () = sender.closed() => return,
                piece = pieces.next() => piece,
            };
            let Some(piece) = piece else { break };
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    let _ = timeout(stall_time, sender.send(Some(Err(io::Error::other(error.to_string())))))
                        .await;
                    return;
                }
            };
            while !piece.is_empty() {
                let part = piece.split_to(piece.len().min(PIECE_BYTES));
                match timeout(stall_time, sender.send(Some(Ok(part)))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        tracing::debug!("a reader took nothing of its answer and is cut off");
                        return;
                    }
                }
            }
        }
        let _ = timeout(stall_time, sender.send(None)).await;
    });
    Body::from_stream(stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(piece)) => {
                let rest = piece.is_ok().then_some(receiver);
                Some((piece, rest))
            }
            Some(None) => None,
            None => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn megabyte(permits: &Arc<Semaphore>) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static {
        let permit = permits.clone().try_acquire_owned().unwrap();
        stream::iter([Ok(Bytes::from(vec![7; 1 << 20]))]).map(move |piece| {
            let _held = &permit;
            piece
        })
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_cut_off_and_costs_nothing_more() {
        let permits = Arc::new(Semaphore::new(1));
        let body = paced(megabyte(&permits), Duration::from_millis(20));
        // Nobody reads; what was held is free again.
        let freed = tokio::time::timeout(Duration::from_secs(60), permits.acquire()).await;
        drop(freed.expect("it is held for ever").unwrap());
        let error = body.collect().await.expect_err("it looks whole");
        assert!(error.to_string().contains("timed out"), "{error}");
    }

    #[tokio::test]
    async fn a_reader_that_goes_ends_what_has_nothing_to_say() {
        let permits = Arc::new(Semaphore::new(1));
        let silent = megabyte(&permits).chain(stream::pending());
        drop(paced(silent, Duration::from_secs(3600)));
        let freed = tokio::time::timeout(Duration::from_secs(60), permits.acquire()).await;
        drop(freed.expect("it goes on for ever").unwrap());
    }

    #[tokio::test]
    async fn a_reader_that_reads_gets_everything_and_an_error_is_no_end() {
        let permits = Arc::new(Semaphore::new(1));
        let whole = paced(megabyte(&permits), Duration::from_secs(60)).collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 1 << 20);
        assert_eq!(
            paced(stream::empty::<Result<_, String>>(), STALL_TIME).collect().await.unwrap().to_bytes(),
            ""
        );
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err("it broke".to_owned())]);
        let error = paced(broken, STALL_TIME).collect().await.expect_err("it looks whole");
        assert!(error.to_string().contains("it broke"), "{error}");
    }
}
