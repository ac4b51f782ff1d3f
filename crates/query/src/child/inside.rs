//! The process's side: takes one statement after another from the server and sends back what comes of each.
//! Always: ends at once, whatever runs, when the server's end of the socket is gone. Says that it is idle only when no thread
//! of the last statement is left.

use std::{
    io,
    os::unix::net::UnixStream,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use arrow::{datatypes::SchemaRef, error::ArrowError};
use futures::StreamExt;
use hw_event::Principal;
use tokio::{sync::Notify, time::Instant};

use super::{
    cut::{Lists, take_lists, to_cut},
    grants::{Grants, Size},
    link::Link,
    rows::Sender,
    wire::{self, Ask, End, Setup, to_child, to_server},
};
use crate::{Answer, Files, HotError, HotSource, QueryError, Runner, threads::cores};

/// Makes hot rows readable in this process.
pub trait HotOpener: Send + Sync {
    /// `source` is what [`HotSource::to_bytes`] gave. An error that is a [`QueryError`] becomes the statement's.
    fn open(&self, columns: &SchemaRef, source: &[u8]) -> Result<Arc<dyn HotSource>, HotError>;
}

/// Takes statements until the server is gone; then the process ends. Returns only if it could not begin.
///
/// `prepare` gets the bytes that [`Children::new`](super::Children::new) was given and the bytes of memory for all statements.
/// It runs before any other thread is there.
pub fn serve_statements(
    asks: UnixStream,
    link: UnixStream,
    prepare: impl FnOnce(&[u8], usize) -> io::Result<Box<dyn HotOpener>>,
) -> io::Result<()> {
    let (kind, setup) = wire::read_frame(&asks)?;
    if kind != to_child::SETUP {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let Setup { settings, house } = wire::decode(&setup)?;
    let link = Arc::new(Link::new(link));
    // What is found in files, before the process gives them up.
    let size = Size::open()?;
    cores();
    let opener = prepare(&house, settings.memory)?;
    let grants = Grants::start(Arc::clone(&link), size, settings.memory)?;
    let runner = Runner::within(grants.clone(), settings, link)?;
    let cancel = Arc::new(Cancel::default());
    let (sender, statements) = mpsc::channel();
    let mut child =
        Process { answers: asks.try_clone()?, grants, runner, opener, lists: Lists::default(), cancel };
    let cancel = Arc::clone(&child.cancel);
    thread::Builder::new().name("hw-query-asks".to_owned()).spawn(move || listen(&asks, &sender, &cancel))?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    for work in statements {
        match work {
            Work::Statement(statement) => runtime.block_on(child.answer(&statement))?,
            Work::Warm => runtime.block_on(child.warm()),
        }
    }
    Ok(())
}

enum Work {
    Statement(Vec<u8>),
    Warm,
}

/// Nobody waits for the present statement any more.
#[derive(Default)]
struct Cancel {
    asked: AtomicBool,
    wake: Notify,
}

impl Cancel {
    async fn wait(&self) {
        while !self.asked.load(Ordering::Acquire) {
            self.wake.notified().await;
        }
    }
}

/// Reads what the server says, all the time: so its end is noticed whatever a statement does.
fn listen(mut asks: &UnixStream, statements: &mpsc::Sender<Work>, cancel: &Cancel) {
    loop {
        match wire::read_frame(&mut asks) {
            Ok((to_child::ASK, statement)) => {
                cancel.asked.store(false, Ordering::Release);
                if statements.send(Work::Statement(statement)).is_err() {
                    process::abort();
                }
            }
            Ok((to_child::WARM, _)) => {
                if statements.send(Work::Warm).is_err() {
                    process::abort();
                }
            }
            Ok((to_child::CANCEL, _)) => {
                cancel.asked.store(true, Ordering::Release);
                cancel.wake.notify_one();
            }
            // An exit would wait for locks that a statement may hold.
            _ => process::abort(),
        }
    }
}

struct Process {
    answers: UnixStream,
    grants: Grants,
    runner: Runner,
    opener: Box<dyn HotOpener>,
    lists: Lists,
    cancel: Arc<Cancel>,
}

impl Process {
    /// An error is the server's end.
    async fn answer(&mut self, statement: &[u8]) -> io::Result<()> {
        self.grants.begin();
        let cancel = Arc::clone(&self.cancel);
        let internal =
            |fault: io::Error| QueryError::Internal(format!("a statement cannot be read: {fault}"));
        // Also of a statement that is cancelled by now: the server has sent the lists.
        let asked = wire::decode(statement).map_err(internal).and_then(|mut asked: Ask| {
            let lists = take_lists(&mut asked.tables, &mut self.lists)?;
            Ok((asked, lists))
        });
        let end: End = tokio::select! {
            biased;
            () = cancel.wait() => Ok(()),
            end = self.run(asked) => end?,
        };
        self.send(to_server::END, &wire::encode(&end)?)?;
        self.runner.quiet().await;
        let keep = self.grants.finish();
        self.send(to_server::IDLE, &[keep.into()])
    }

    async fn warm(&mut self) {
        self.grants.begin();
        self.runner.warm().await;
        self.grants.finish();
    }

    async fn run(&mut self, asked: Result<(Ask, Vec<Files>), QueryError>) -> io::Result<End> {
        let answer = match asked {
            Ok((ask, files)) => self.begin(ask, files).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => self.send_rows(answer).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn begin(&mut self, ask: Ask, files: Vec<Files>) -> Result<Answer, QueryError> {
        let Ask { text, principal, time_left, tables, streams } = ask;
        let deadline = Instant::now() + time_left;
        let principal = Principal::from_name(&principal)
            .ok_or_else(|| QueryError::Internal("nobody has the principal's name".to_owned()))?;
        let cut = to_cut(tables, files, streams.as_ref().map(|streams| &*streams.0), &*self.opener)?;
        self.runner.run_until(deadline, &text, &principal, cut).await
    }

    async fn send_rows(&self, mut answer: Answer) -> io::Result<End> {
        let (mut sender, columns) = match Sender::new(answer.schema()) {
            Ok(begun) => begun,
            Err(fault) => return Ok(Err(unsent(&fault))),
        };
        self.send(to_server::COLUMNS, &columns)?;
        while let Some(batch) = answer.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Ok(Err(error)),
            };
            for frame in sender.frames(&batch) {
                match frame {
                    Ok(frame) => self.send(to_server::ROWS, &frame)?,
                    Err(fault) => return Ok(Err(unsent(&fault))),
                }
                // Rows that are ready come without a pause, in which a cancellation could be seen.
                tokio::task::yield_now().await;
            }
        }
        Ok(Ok(()))
    }

    fn send(&self, kind: u8, body: &[u8]) -> io::Result<()> {
        wire::write_frame(&self.answers, kind, body)
    }
}

fn unsent(fault: &ArrowError) -> QueryError {
    QueryError::Internal(format!("the rows cannot be sent: {fault}"))
}
