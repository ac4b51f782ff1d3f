//! One process as the server holds it.
//! Always: dropping it kills it. Does not decide what it runs.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    process::Child,
    time::{Instant, timeout},
};

use super::{
    account::Account,
    cut::Lists,
    link::{self, Known},
    wire::{self, Setup, to_child, to_server},
};
use crate::PayloadOpener;

/// How long a process has to end its statement when it is told to, before it is killed.
const GRACE: Duration = Duration::from_millis(250);
/// How long the end of a process may take to be known after its sockets have closed.
const BURIAL: Duration = Duration::from_secs(1);

/// Starts processes. Called on a thread that may block, inside of a tokio runtime.
pub trait Launch: Send + Sync {
    fn launch(&self) -> io::Result<Launched>;

    /// A statement begins; what this returns is dropped when it has ended.
    fn make_way(&self) -> Box<dyn Send> {
        Box::new(())
    }
}

/// A process that calls [`serve_statements`](super::serve_statements) with the other ends of both sockets.
pub struct Launched {
    /// Killed when it is dropped.
    pub process: Child,
    pub asks: std::os::unix::net::UnixStream,
    pub link: std::os::unix::net::UnixStream,
}

#[derive(Debug)]
pub(super) struct Worker {
    process: Child,
    asks: UnixStream,
    pub known: Arc<Known>,
    /// The lists of files that it has.
    pub lists: Lists,
    /// It has taken a statement before.
    pub used: bool,
    /// It was started before there was a statement for it.
    pub in_advance: bool,
    pub idle_since: Instant,
    frame_bytes_max: u64,
}

impl Worker {
    /// Blocking; must be called inside of a runtime. `in_advance`: there is no statement for it yet, so it does at once what its
    /// first one would wait for.
    pub(super) fn start(
        launch: &dyn Launch,
        setup: &Setup,
        account: Account,
        opener: &Arc<dyn PayloadOpener>,
        in_advance: bool,
    ) -> io::Result<Worker> {
        let Launched { process, asks, link } = launch.launch()?;
        // Its receiving end holds far more than this: nothing is waited for.
        wire::write_frame(&asks, to_child::SETUP, &wire::encode(setup)?)?;
        if in_advance {
            wire::write_frame(&asks, to_child::WARM, &[])?;
        }
        asks.set_nonblocking(true)?;
        link.set_nonblocking(true)?;
        let known = Arc::new(Known::default());
        tokio::spawn(link::serve(
            UnixStream::from_std(link)?,
            account,
            Arc::clone(&known),
            Arc::clone(opener),
        ));
        Ok(Worker {
            process,
            asks: UnixStream::from_std(asks)?,
            known,
            lists: Lists::default(),
            used: false,
            in_advance,
            idle_since: Instant::now(),
            // What a row may hold at most, and the rest of a message.
            frame_bytes_max: (setup.settings.memory as u64).saturating_add(16 << 20),
        })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    pub(super) async fn ask(&mut self, frame: &[u8]) -> io::Result<()> {
        self.asks.write_all(frame).await
    }

    pub(super) async fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        wire::receive_frame(&mut self.asks, self.frame_bytes_max).await
    }

    /// Tells it to end its statement and passes over what it still sends. Whether it can take another one.
    pub(super) async fn wind_down(&mut self, cancel: bool) -> bool {
        let idle = async {
            if cancel {
                self.ask(&wire::frame(to_child::CANCEL, &[])?).await?;
            }
            loop {
                let (kind, body) = self.receive().await?;
                if kind == to_server::IDLE {
                    return io::Result::Ok(body == [1]);
                }
            }
        };
        timeout(GRACE, idle).await.is_ok_and(|idle| idle.unwrap_or(false))
    }

    pub(super) async fn kill(&mut self) {
        // Errs if it has ended already.
        let _ = self.process.start_kill();
        let _ = timeout(BURIAL, self.process.wait()).await;
    }

    /// How a process ended whose socket has closed.
    pub(super) async fn end(&mut self) -> String {
        match timeout(BURIAL, self.process.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            // It has closed its socket and lives: nobody can talk to it any more.
            _ => {
                self.kill().await;
                "it stopped answering".to_owned()
            }
        }
    }
}
