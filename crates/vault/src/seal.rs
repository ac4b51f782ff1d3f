//! Sealing: the bytes of a rejected event are encrypted before any disk sees them, under a key of its stream
//! and day. When the retention ends the key is destroyed, and with it every copy of the bytes, wherever it is.
//!
//! Sealed bytes: version 1 (u8) · stream (u64 LE) · day since the epoch (u32 LE) · nonce (12) · AES-256-GCM-SIV
//! ciphertext and tag (n + 16). The first 13 bytes are authenticated too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit,
    aead::{Aead, AeadInOut, Payload},
};
use hw_event::{Entropy, StreamId, Timestamp};
use zeroize::Zeroizing;

use crate::store::{KeyStore, KeyStoreError};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;
const NONCE_BYTES: usize = 12;
const NONCES_AT_ONCE_MAX: usize = 256;
/// Ciphers kept ready; one a stream and day in use.
const CIPHERS_MAX: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the payload's key has expired and was destroyed")]
    Expired,
    #[error("the sealed payload is damaged")]
    Damaged,
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

pub struct SealKeys {
    store: Arc<dyn KeyStore>,
    entropy: Arc<dyn Entropy>,
    // A std mutex: held while a key is looked up or made. Making one syncs a file, once a stream and day.
    ciphers: Mutex<HashMap<(u64, u32), Arc<Aes256GcmSiv>>>,
}

impl SealKeys {
    pub fn new(store: Arc<dyn KeyStore>, entropy: Arc<dyn Entropy>) -> SealKeys {
        SealKeys { store, entropy, ciphers: Mutex::default() }
    }

    /// For about `count` payloads under the key of `stream` and the day of `now`, which is made durable first where it is new.
    pub fn sealer(
        &self,
        stream: StreamId,
        now: Timestamp,
        count: usize,
    ) -> Result<Sealer<'_>, KeyStoreError> {
        let day = u32::try_from(now.day()).unwrap_or(0);
        let cipher = match self.cipher(stream.0, day)? {
            Some(cipher) => cipher,
            None => self.make(stream.0, day)?,
        };
        let mut head = [0; HEAD_BYTES];
        head[0] = VERSION;
        head[1..9].copy_from_slice(&stream.0.to_le_bytes());
        head[9..].copy_from_slice(&day.to_le_bytes());
        let nonces = Vec::new();
        Ok(Sealer {
            cipher,
            head,
            entropy: &*self.entropy,
            nonces,
            at_once: count.clamp(1, NONCES_AT_ONCE_MAX),
        })
    }

    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (head, rest) = sealed.split_at_checked(HEAD_BYTES).ok_or(OpenError::Damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError::Damaged)?;
        if head[0] != VERSION {
            return Err(OpenError::Damaged);
        }
        let stream = u64::from_le_bytes(head[1..9].try_into().map_err(|_| OpenError::Damaged)?);
        let day = u32::from_le_bytes(head[9..13].try_into().map_err(|_| OpenError::Damaged)?);
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| OpenError::Damaged)?;
        let cipher = self.cipher(stream, day)?.ok_or(OpenError::Expired)?;
        cipher.decrypt(&nonce.into(), Payload { msg: ciphertext, aad: head }).map_err(|_| OpenError::Damaged)
    }

    /// Destroys every key of a day before `first_kept`; returns how many.
    pub fn expire(&self, first_kept: Timestamp) -> Result<usize, KeyStoreError> {
        let mut destroyed = 0;
        for name in self.store.list()? {
            let Some((stream, day)) = parse_name(&name) else { continue };
            if i64::from(day) < first_kept.day() {
                self.store.remove(&name)?;
                self.lock().remove(&(stream, day));
                destroyed += 1;
            }
        }
        Ok(destroyed)
    }

    fn cipher(&self, stream: u64, day: u32) -> Result<Option<Arc<Aes256GcmSiv>>, KeyStoreError> {
        let mut ciphers = self.lock();
        if let Some(cipher) = ciphers.get(&(stream, day)) {
            return Ok(Some(cipher.clone()));
        }
        let Some(key) = self.store.load(&name(stream, day))? else { return Ok(None) };
        let cipher = Arc::new(Aes256GcmSiv::new((&*key).into()));
        if ciphers.len() >= CIPHERS_MAX {
            ciphers.clear();
        }
        ciphers.insert((stream, day), cipher.clone());
        Ok(Some(cipher))
    }

    fn make(&self, stream: u64, day: u32) -> Result<Arc<Aes256GcmSiv>, KeyStoreError> {
        let mut ciphers = self.lock();
        // Another thread may have made it while this one waited: two keys of one name would lose a payload.
        if let Some(cipher) = ciphers.get(&(stream, day)) {
            return Ok(cipher.clone());
        }
        let mut key = Zeroizing::new([0u8; 32]);
        self.entropy.fill(key.as_mut_slice());
        self.store.create(&name(stream, day), &key)?;
        let cipher = Arc::new(Aes256GcmSiv::new((&*key).into()));
        ciphers.insert((stream, day), cipher.clone());
        Ok(cipher)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u32), Arc<Aes256GcmSiv>>> {
        self.ciphers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seals under one key. Each payload has a nonce of its own, by chance.
pub struct Sealer<'a> {
    cipher: Arc<Aes256GcmSiv>,
    head: [u8; HEAD_BYTES],
    entropy: &'a dyn Entropy,
    /// Drawn and not used yet.
    nonces: Vec<[u8; NONCE_BYTES]>,
    at_once: usize,
}

impl Sealer<'_> {
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let nonce = self.nonce();
        let mut sealed = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + plain.len() + 16);
        sealed.extend_from_slice(&self.head);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let text = &mut sealed[HEAD_BYTES + NONCE_BYTES..];
        let tag = self.cipher.encrypt_inout_detached(&nonce.into(), &self.head, text.into());
        let tag = tag.unwrap_or_else(|_| {
            unreachable!("AES-GCM-SIV takes up to 64 GiB; an event is bounded far below")
        });
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn nonce(&mut self) -> [u8; NONCE_BYTES] {
        loop {
            match self.nonces.pop() {
                Some(nonce) => return nonce,
                None => {
                    self.nonces.resize(self.at_once, [0; NONCE_BYTES]);
                    self.entropy.fill(self.nonces.as_flattened_mut());
                }
            }
        }
    }
}

fn name(stream: u64, day: u32) -> String {
    format!("rejects-{stream}-{day}")
}

fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (stream, day) = name.strip_prefix("rejects-")?.split_once('-')?;
    Some((stream.parse().ok()?, day.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryKeyStore, SystemEntropy};

    fn keys() -> SealKeys {
        SealKeys::new(Arc::new(MemoryKeyStore::default()), Arc::new(SystemEntropy))
    }

    fn seal(keys: &SealKeys, stream: u64, now: Timestamp, plain: &[u8]) -> Vec<u8> {
        keys.sealer(StreamId(stream), now, 1).unwrap().seal(plain)
    }

    const DAY: i64 = Timestamp::MICROS_PER_DAY;

    #[test]
    fn what_was_sealed_opens_to_the_same_bytes() {
        let keys = keys();
        for plain in [&b""[..], b"{\"email\":\"a@b.c\"}", &[0xff; 70_000]] {
            let sealed = seal(&keys, 3, Timestamp(20_000 * DAY), plain);
            assert_eq!(keys.open(&sealed).unwrap(), plain);
            assert!(plain.len() < 16 || !sealed.windows(plain.len().min(16)).any(|w| w == &plain[..16]));
        }
    }

    #[test]
    fn no_two_payloads_have_one_nonce() {
        let keys = keys();
        let mut sealer = keys.sealer(StreamId(3), Timestamp(20_000 * DAY), 5).unwrap();
        let sealed: Vec<Vec<u8>> = (0..1000).map(|_| sealer.seal(b"the same")).collect();
        let nonces: std::collections::HashSet<&[u8]> =
            sealed.iter().map(|sealed| &sealed[HEAD_BYTES..HEAD_BYTES + NONCE_BYTES]).collect();
        assert_eq!(nonces.len(), sealed.len());
        assert!(sealed.iter().all(|sealed| keys.open(sealed).unwrap() == b"the same"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = keys();
        let sealed = seal(&keys, 3, Timestamp(20_000 * DAY), b"payload");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&changed).is_err(), "byte {at}");
            assert!(keys.open(&sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_expired_day_cannot_be_opened() {
        let keys = keys();
        let old = seal(&keys, 1, Timestamp(100 * DAY), b"old");
        let new = seal(&keys, 1, Timestamp(101 * DAY), b"new");
        assert_eq!(keys.expire(Timestamp(101 * DAY)).unwrap(), 1);
        assert!(matches!(keys.open(&old), Err(OpenError::Expired)));
        assert_eq!(keys.open(&new).unwrap(), b"new");
    }
}
