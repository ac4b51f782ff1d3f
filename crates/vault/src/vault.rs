//! The vault: what a token stands for, under the key of its subject, and the keys that other keys come from.
//! Always: `keep` returns when its entries and their keys are durable; requests that wait share one commit; what `destroy` has
//! taken is in no byte of the file when it returns. Clear values leave only through `reveal`. Knows no streams or schemas.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use hw_event::Entropy;
use redb::{ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::{
    HashKey, Key,
    cabinet::{self, Cabinet, ERASED, SUBJECTS, TOKENS, VaultError},
    known::{Halves, Known},
    root::RootKey,
    sealed::{self, derive},
    subject::SubjectId,
    token::TokenText,
    tokens::{self, TokenEntry, TokenKeys},
};

/// Requests that wait for the next commit.
const QUEUE_MAX: usize = 1024;
/// A commit takes this many entries, or those of one larger request.
const GROUP_ENTRIES_MAX: usize = 64 * 1024;
/// Keys of subjects in memory: twice as many.
const SUBJECT_KEYS_PER_HALF: usize = 8 * 1024;
/// Entries of one token that are tried when they do not open.
const TRIES_MAX: usize = 16;

#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    key: Key,
    subject: HashKey,
    // A std mutex: held to clone the sender. `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
}

struct Shared {
    // A std mutex: held for a commit, a look-up or a copy of the file, by threads that may block.
    cabinet: Mutex<Cabinet>,
    known: Arc<Known>,
    subject_keys: Mutex<Halves<SubjectId, Key>>,
    /// Seals subjects' keys.
    wrap: Key,
    /// Marks tokens whose entries were destroyed.
    marks: Key,
    entropy: Arc<dyn Entropy>,
}

struct Job {
    entries: Vec<TokenEntry>,
    answer: oneshot::Sender<Result<(), VaultError>>,
}

/// What an erasure took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Destroyed {
    /// Subjects that had a key.
    pub subjects: u64,
    pub entries: u64,
}

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revealed {
    Value(Zeroizing<String>),
    /// It had an entry, which was destroyed with its subject's key.
    Erased,
    /// No such token was made here, or it is another domain's.
    Unknown,
    /// There is an entry, and it does not open.
    Damaged,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultStatus {
    pub subjects: u64,
    pub entries: u64,
    pub erased_tokens: u64,
}

impl Vault {
    /// Where a vault in `directory` rests.
    pub fn file(directory: &Path) -> PathBuf {
        Cabinet::file(directory)
    }

    pub fn exists(directory: &Path) -> bool {
        Cabinet::file(directory).exists()
    }

    /// Opens the vault in `directory`, all of which is read and checked, or makes one there.
    pub fn open(directory: &Path, root: &RootKey, entropy: Arc<dyn Entropy>) -> Result<Vault, VaultError> {
        let new_key = || {
            let mut key = Zeroizing::new([0u8; 32]);
            entropy.fill(key.as_mut_slice());
            root.seal_vault_key(&key, &*entropy)
        };
        let (cabinet, sealed) = Cabinet::open(directory, root, new_key)?;
        let key = root.open_vault_key(&sealed).ok_or_else(|| cabinet.damaged("its key does not open"))?;
        let shared = Arc::new(Shared {
            cabinet: Mutex::new(cabinet),
            known: Arc::new(Known::new()),
            subject_keys: Mutex::new(Halves::new(SUBJECT_KEYS_PER_HALF)),
            wrap: derive(&key, "subject keys", b""),
            marks: derive(&key, "erased tokens", b""),
            entropy,
        });
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let writer = shared.clone();
        thread::Builder::new().name("vault".into()).spawn(move || writer.run(queue)).map_err(|error| {
            VaultError::Io { action: "start", path: directory.to_owned(), source: Arc::new(error) }
        })?;
        let subject = tokens::subject_key(&key);
        Ok(Vault { inner: Arc::new(Inner { shared, key, subject, queue: Mutex::new(Some(sender)) }) })
    }

    /// What stands for `subject` on disk: the text of its field, integers in decimal.
    pub fn subject_id(&self, subject: &str) -> SubjectId {
        tokens::subject_id(&self.inner.subject, subject.as_bytes())
    }

    /// For decoders.
    pub fn token_keys(&self) -> TokenKeys {
        TokenKeys::new(self.inner.key.clone(), self.inner.shared.known.clone())
    }

    /// Makes `entries` durable. Those of a request that is refused later stay; nobody can tell them from others'.
    pub async fn keep(&self, entries: Vec<TokenEntry>) -> Result<(), VaultError> {
        if entries.is_empty() {
            return Ok(());
        }
        let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let queue = queue.ok_or(VaultError::Closed)?;
        queue.send(Job { entries, answer }).await.map_err(|_| VaultError::Closed)?;
        answered.await.map_err(|_| VaultError::Closed)?
    }

    /// What `tokens` of `domain` stand for, in their order. Blocks.
    pub fn reveal(&self, domain: &str, tokens: &[&str]) -> Result<Vec<Revealed>, VaultError> {
        let shared = &self.inner.shared;
        let mut cabinet = shared.cabinet();
        let damaged = |cabinet: &Cabinet, error: redb::Error| cabinet.damaged(error.to_string());
        let found = {
            let database = cabinet.database()?;
            tokens.iter().map(|token| shared.reveal_one(database, domain, token)).collect::<Result<_, _>>()
        };
        found.map_err(|error| damaged(&cabinet, error))
    }

    /// Destroys the keys of `subjects` and all their entries: the file is written anew without them, and the old one
    /// overwritten. Costs as much as the vault is large, so many subjects at a time. Blocks.
    pub fn destroy(&self, subjects: &[SubjectId]) -> Result<Destroyed, VaultError> {
        if subjects.is_empty() {
            return Ok(Destroyed::default());
        }
        let gone: std::collections::HashSet<[u8; 32]> = subjects.iter().map(|subject| subject.0).collect();
        let shared = &self.inner.shared;
        let mut cabinet = shared.cabinet();
        // Also where it fails: it may have gone far enough.
        let result = cabinet.replace(|old, new| {
            cabinet::copy(
                old,
                new,
                |subject| !gone.contains(subject),
                |domain, token| shared.mark(domain, token),
            )
        });
        shared.forget();
        let left_out = result?;
        Ok(Destroyed { subjects: left_out.subjects, entries: left_out.entries })
    }

    /// Seals the vault under another root key. The old one opens no byte of the file when this returns. Blocks.
    pub fn rotate(&self, root: &RootKey) -> Result<(), VaultError> {
        let shared = &self.inner.shared;
        let sealed = root.seal_vault_key(&self.inner.key, &*shared.entropy);
        let mut cabinet = shared.cabinet();
        // The copy begins under the new key: the box of the old one is never in the new file.
        cabinet.replace(|old, new| {
            cabinet::copy_but_meta(old, new, |_| true, |_, _| [0; 16])?;
            cabinet::write_root(new, root, &sealed)
        })
    }

    /// Seals a few bytes for `purpose`, which names who reads them. A rotation of the root key does not touch them.
    pub fn seal_blob(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        let key = derive(&self.inner.key, "blob", purpose.as_bytes());
        sealed::seal(&key, purpose.as_bytes(), bytes, &*self.inner.shared.entropy)
    }

    pub fn open_blob(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let key = derive(&self.inner.key, "blob", purpose.as_bytes());
        sealed::open(&key, purpose.as_bytes(), sealed)
            .ok_or_else(|| VaultError::Sealed { purpose: purpose.to_owned() })
    }

    /// Copies the file as it is, whole, to `path`, where there is none yet. What was kept before is in it. Blocks, and lets
    /// entries wait meanwhile.
    pub fn copy_to(&self, path: &Path) -> Result<(), VaultError> {
        let mut cabinet = self.inner.shared.cabinet();
        // One that a failed write has left behind is made good first.
        cabinet.database()?;
        cabinet.copy_to(path)
    }

    pub fn status(&self) -> Result<VaultStatus, VaultError> {
        let mut cabinet = self.inner.shared.cabinet();
        let counted = cabinet::counts(cabinet.database()?);
        let (subjects, entries, erased_tokens) =
            counted.map_err(|error| cabinet.damaged(error.to_string()))?;
        Ok(VaultStatus { subjects, entries, erased_tokens })
    }

    /// Takes no more entries and closes the file. Blocks while a commit is under way.
    pub fn close(&self) {
        drop(self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.inner.shared.cabinet().close();
    }
}

impl Shared {
    fn cabinet(&self) -> MutexGuard<'_, Cabinet> {
        self.cabinet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer: takes what waits, makes one commit of it, answers.
    fn run(&self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut count = first.entries.len();
            let mut jobs = vec![first];
            while count < GROUP_ENTRIES_MAX {
                let Ok(next) = queue.try_recv() else { break };
                count += next.entries.len();
                jobs.push(next);
            }
            let entries = || jobs.iter().flat_map(|job| &job.entries);
            // The lock is held until they are known: between the two no entry can be destroyed.
            let mut cabinet = self.cabinet();
            let kept = self.put(&mut cabinet, entries());
            if kept.is_ok() {
                entries().for_each(|entry| self.known.insert(entry.fingerprint));
            }
            drop(cabinet);
            for job in jobs {
                let _ = job.answer.send(kept.clone());
            }
        }
    }

    fn put<'a>(
        &self,
        cabinet: &mut Cabinet,
        entries: impl Iterator<Item = &'a TokenEntry>,
    ) -> Result<(), VaultError> {
        let mut keys = self.subject_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let database = cabinet.database()?;
        match self.write(database, &mut keys, entries) {
            Ok(()) => Ok(()),
            Err(PutError::Store(error)) => {
                keys.clear();
                Err(cabinet.failed(error))
            }
            Err(PutError::SubjectKey) => Err(cabinet.damaged("the key of a subject does not open")),
        }
    }

    fn write<'a>(
        &self,
        database: &redb::Database,
        keys: &mut Halves<SubjectId, Key>,
        entries: impl Iterator<Item = &'a TokenEntry>,
    ) -> Result<(), PutError> {
        let mut writing = database.begin_write().map_err(redb::Error::from)?;
        writing.set_two_phase_commit(true);
        let mut new = false;
        {
            let mut tokens = writing.open_table(TOKENS)?;
            let mut subjects = writing.open_table(SUBJECTS)?;
            for entry in entries {
                let place = (&*entry.domain, entry.token.as_str(), &entry.subject.0);
                if tokens.get(place)?.is_some() {
                    continue;
                }
                new = true;
                let key = match keys.get(&entry.subject) {
                    Some(key) => key.clone(),
                    None => {
                        let key = self.subject_key(&mut subjects, &entry.subject)?;
                        keys.insert(entry.subject, key.clone());
                        key
                    }
                };
                let purpose = purpose(&entry.domain, &entry.token);
                let value = sealed::seal(&key, &purpose, &entry.value, &*self.entropy);
                tokens.insert(place, value.as_slice())?;
            }
        }
        if new {
            writing.commit().map_err(redb::Error::from)?;
        } else {
            writing.abort().map_err(redb::Error::from)?;
        }
        Ok(())
    }

    /// The subject's key, made here where it has none.
    fn subject_key(
        &self,
        subjects: &mut redb::Table<'_, &'static [u8; 32], &'static [u8]>,
        subject: &SubjectId,
    ) -> Result<Key, PutError> {
        if let Some(sealed) = subjects.get(&subject.0)? {
            let key = sealed::open(&self.wrap, &subject.0, sealed.value()).ok_or(PutError::SubjectKey)?;
            return Ok(Zeroizing::new(key.as_slice().try_into().map_err(|_| PutError::SubjectKey)?));
        }
        let mut key = Zeroizing::new([0u8; 32]);
        self.entropy.fill(key.as_mut_slice());
        let sealed = sealed::seal(&self.wrap, &subject.0, key.as_slice(), &*self.entropy);
        subjects.insert(&subject.0, sealed.as_slice())?;
        Ok(key)
    }

    fn reveal_one(
        &self,
        database: &redb::Database,
        domain: &str,
        token: &str,
    ) -> Result<Revealed, redb::Error> {
        let Some(token) = TokenText::new(token) else { return Ok(Revealed::Unknown) };
        let reading = database.begin_read()?;
        let (tokens, subjects) = (reading.open_table(TOKENS)?, reading.open_table(SUBJECTS)?);
        let (first, last) = ([0; 32], [0xff; 32]);
        let place = |subject| (domain, token.as_str(), subject);
        let mut tried = false;
        for item in tokens.range(place(&first)..=place(&last))?.take(TRIES_MAX) {
            let (entry, value) = item?;
            tried = true;
            let subject = entry.value().2;
            let Some(sealed_key) = subjects.get(subject)? else { continue };
            let opened = sealed::open(&self.wrap, subject, sealed_key.value())
                .and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok())
                .map(Zeroizing::new)
                .and_then(|key| sealed::open(&key, &purpose(domain, &token), value.value()))
                .and_then(|mut value| String::from_utf8(std::mem::take(&mut *value)).ok());
            if let Some(value) = opened {
                return Ok(Revealed::Value(Zeroizing::new(value)));
            }
        }
        if tried {
            return Ok(Revealed::Damaged);
        }
        let erased = reading.open_table(ERASED)?.get(&self.mark(domain, token.as_str()))?.is_some();
        Ok(if erased { Revealed::Erased } else { Revealed::Unknown })
    }

    fn mark(&self, domain: &str, token: &str) -> [u8; 16] {
        let digest = derive(&self.marks, domain, token.as_bytes());
        std::array::from_fn(|at| digest[at])
    }

    /// What is in memory may be gone from the file.
    fn forget(&self) {
        self.known.clear();
        self.subject_keys.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

enum PutError {
    Store(redb::Error),
    SubjectKey,
}

impl<E: Into<redb::Error>> From<E> for PutError {
    fn from(error: E) -> PutError {
        PutError::Store(error.into())
    }
}

/// What a sealed value is bound to.
fn purpose(domain: &str, token: &TokenText) -> Vec<u8> {
    [domain.as_bytes(), &[0], token.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
