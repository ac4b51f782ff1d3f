//! What a process asks of the server beside its answers, over a socket of its own.
//! Always: the server bounds what it reads, and opens payloads only for a process whose present statement may see them.
//! The keys stay with the server: a process that was taken over finds none.
//!
//! A question is its kind (u8) and a number (u64 LE); a reply to `TAKE` and `COVER` is one byte, 1 for yes. `OPEN` is followed
//! by so many payloads, each as length (u32 LE) and bytes, and answered by as many in the same form, with length
//! `u32::MAX` for one that cannot be opened.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::account::Account;
use crate::PayloadOpener;

/// May I have so many bytes?
const TAKE: u8 = 1;
/// I hold so many bytes no longer. No reply.
const GIVE_BACK: u8 = 2;
/// I have so many bytes more than I was given. A no is an end of the process.
const COVER: u8 = 3;
/// Open these payloads.
const OPEN: u8 = 4;
const NONE: u32 = u32::MAX;
/// Of one question, on the side that asks.
const OPEN_BYTES: usize = 1024 * 1024;
const OPEN_PAYLOADS: usize = 1024;
/// On the side that answers. A payload is an event, and a configured limit of events is far below this.
const PAYLOAD_BYTES_MAX: u32 = 1 << 30;

/// What the server knows of a process beside the link's socket.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The present statement's principal may see payloads.
    pub may_open: AtomicBool,
    /// It was told that there is no memory to cover what it took.
    pub over: AtomicBool,
}

/// The server's side, until the process ends.
pub(super) async fn serve(
    mut socket: tokio::net::UnixStream,
    mut account: Account,
    known: Arc<Known>,
    opener: Arc<dyn PayloadOpener>,
) -> io::Result<()> {
    loop {
        let kind = socket.read_u8().await?;
        let number = socket.read_u64_le().await?;
        let bytes = usize::try_from(number).unwrap_or(usize::MAX);
        match kind {
            TAKE => socket.write_u8(account.take(bytes).into()).await?,
            GIVE_BACK => account.give_back(bytes),
            COVER => {
                let covered = account.take(bytes);
                if !covered {
                    // Read after the process has ended, which is after this reply.
                    known.over.store(true, Ordering::Release);
                }
                socket.write_u8(covered.into()).await?;
            }
            OPEN if bytes <= OPEN_PAYLOADS => {
                for _ in 0..bytes {
                    let length = socket.read_u32_le().await?;
                    if length > PAYLOAD_BYTES_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    let mut sealed = Vec::new();
                    (&mut socket).take(u64::from(length)).read_to_end(&mut sealed).await?;
                    let opened = match known.may_open.load(Ordering::Acquire) {
                        true => opener.open(&sealed),
                        false => None,
                    };
                    let length = opened.as_ref().and_then(|opened| u32::try_from(opened.len()).ok());
                    socket.write_u32_le(length.unwrap_or(NONE)).await?;
                    if let (Some(opened), Some(_)) = (&opened, length) {
                        socket.write_all(opened).await?;
                    }
                }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The process's side. A server that has gone is an end: the process ends when its other socket says so.
#[derive(Debug)]
pub(super) struct Link {
    // A std mutex: held for one question and its reply.
    socket: Mutex<UnixStream>,
}

impl Link {
    pub(super) fn new(socket: UnixStream) -> Link {
        Link { socket: Mutex::new(socket) }
    }

    pub(super) fn take(&self, bytes: usize) -> bool {
        self.ask(TAKE, bytes).unwrap_or(false)
    }

    pub(super) fn cover(&self, bytes: usize) -> bool {
        self.ask(COVER, bytes).unwrap_or(false)
    }

    pub(super) fn give_back(&self, bytes: usize) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever is lost here comes back at the end of the process.
        let _ = socket.write_all(&question(GIVE_BACK, bytes));
    }

    fn ask(&self, kind: u8, number: usize) -> io::Result<bool> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(&question(kind, number))?;
        let mut reply = [0];
        socket.read_exact(&mut reply)?;
        Ok(reply == [1])
    }

    fn open_some(&self, sealed: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = question(OPEN, sealed.len()).to_vec();
        for payload in sealed {
            let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
            asked.extend_from_slice(&length.to_le_bytes());
            asked.extend_from_slice(payload);
        }
        // While one side writes the other may be writing too, and both wait for room: so a thread reads meanwhile.
        let mut writer = socket.try_clone()?;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || writer.write_all(&asked));
            let mut opened = Vec::with_capacity(sealed.len());
            for _ in sealed {
                let mut length = [0; 4];
                socket.read_exact(&mut length)?;
                opened.push(match u32::from_le_bytes(length) {
                    NONE => None,
                    length => {
                        let mut plain = vec![0; length as usize];
                        socket.read_exact(&mut plain)?;
                        Some(plain)
                    }
                });
            }
            writing.join().map_err(|_| io::Error::other("the writing thread panicked"))??;
            Ok(opened)
        })
    }
}

fn question(kind: u8, number: usize) -> [u8; 9] {
    let mut question = [kind; 9];
    question[1..].copy_from_slice(&(number as u64).to_le_bytes());
    question
}

impl PayloadOpener for Link {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_all(&[sealed]).pop().flatten()
    }

    fn open_all(&self, sealed: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut opened = Vec::with_capacity(sealed.len());
        let mut rest = sealed;
        while !rest.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            while count < rest.len().min(OPEN_PAYLOADS)
                && (count == 0 || bytes + rest[count].len() <= OPEN_BYTES)
            {
                bytes += rest[count].len();
                count += 1;
            }
            let (some, others) = rest.split_at(count);
            opened.extend(self.open_some(some).unwrap_or_else(|_| vec![None; count]));
            rest = others;
        }
        opened
    }
}
