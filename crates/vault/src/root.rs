//! The root key: the one secret outside of the vault, without which the vault opens for nobody.
//! Always: what is sealed under it is the vault's own key and nothing else, so that another root key costs one box.
//! Does not know where it comes from: who reads environment and commands hands in bytes.

use std::path::Path;

use hw_event::Entropy;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    sealed::{self, derive},
    store::{Key, KeyStore, KeyStoreError, load_key_file},
};

/// The root key made at the first start, where no other is named.
const NAME: &str = "root";
/// A new root key on its way: durable before the vault is sealed under it, the root key afterwards.
const NEXT: &str = "root-next";

const VAULT_KEY: &str = "headwater vault key";

#[derive(Clone)]
pub struct RootKey {
    key: Key,
    id: String,
}

/// Text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root key is 32 bytes, raw or as 64 hexadecimal digits; these are {found} bytes")]
pub struct NotAKey {
    pub found: usize,
}

impl RootKey {
    pub fn from_bytes(key: &[u8; 32]) -> RootKey {
        let digest = Sha256::new().chain_update(b"headwater root key id\0").chain_update(key).finalize();
        let id = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        RootKey { key: Zeroizing::new(*key), id }
    }

    /// From 32 raw bytes, or 64 hexadecimal digits with white space around them.
    pub fn parse(bytes: &[u8]) -> Result<RootKey, NotAKey> {
        if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
            return Ok(RootKey::from_bytes(&raw));
        }
        let digits = bytes.trim_ascii();
        let mut key = Zeroizing::new([0u8; 32]);
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != key.len() || !rest.is_empty() {
            return Err(NotAKey { found: bytes.len() });
        }
        for (byte, pair) in key.iter_mut().zip(pairs) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(NotAKey { found: bytes.len() });
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Ok(RootKey::from_bytes(&key))
    }

    pub fn random(entropy: &dyn Entropy) -> RootKey {
        let mut key = Zeroizing::new([0u8; 32]);
        entropy.fill(key.as_mut_slice());
        RootKey::from_bytes(&key)
    }

    /// The key in `store`; `None` where none was made yet.
    pub fn load(store: &dyn KeyStore) -> Result<Option<RootKey>, KeyStoreError> {
        Ok(store.load(NAME)?.map(|key| RootKey::from_bytes(&key)))
    }

    /// The key in `store`, made there at the first start.
    pub fn load_or_create(store: &dyn KeyStore, entropy: &dyn Entropy) -> Result<RootKey, KeyStoreError> {
        if let Some(root) = RootKey::load(store)? {
            return Ok(root);
        }
        let root = RootKey::random(entropy);
        store.create(NAME, &root.key)?;
        Ok(root)
    }

    /// The key in a file that the user keeps: 32 raw bytes, mode 0600.
    pub fn load_file(path: &Path) -> Result<RootKey, KeyStoreError> {
        match load_key_file(path)? {
            Some(key) => Ok(RootKey::from_bytes(&key)),
            None => Err(KeyStoreError::Io {
                action: "read",
                path: path.into(),
                source: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// Keeps this key beside the root key of `store`, before the vault is sealed under it.
    pub fn keep_as_next(&self, store: &dyn KeyStore) -> Result<(), KeyStoreError> {
        store.create(NEXT, &self.key)
    }

    /// The key that a rotation has kept and not made the root key yet.
    pub fn load_next(store: &dyn KeyStore) -> Result<Option<RootKey>, KeyStoreError> {
        Ok(store.load(NEXT)?.map(|key| RootKey::from_bytes(&key)))
    }

    /// Makes this key, under which the vault is sealed now, the root key of `store`.
    pub fn promote(&self, store: &dyn KeyStore) -> Result<(), KeyStoreError> {
        store.create(NAME, &self.key)?;
        store.remove(NEXT)
    }

    /// Forgets a key that was kept as the next one and never used.
    pub fn forget_next(store: &dyn KeyStore) -> Result<(), KeyStoreError> {
        store.remove(NEXT)
    }

    /// Sixteen hexadecimal digits that name this key without telling it.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn seal_vault_key(&self, key: &[u8; 32], entropy: &dyn Entropy) -> Vec<u8> {
        sealed::seal(&derive(&self.key, VAULT_KEY, b""), VAULT_KEY.as_bytes(), key, entropy)
    }

    pub(crate) fn open_vault_key(&self, sealed: &[u8]) -> Option<Key> {
        let key = sealed::open(&derive(&self.key, VAULT_KEY, b""), VAULT_KEY.as_bytes(), sealed)?;
        Some(Zeroizing::new(key.as_slice().try_into().ok()?))
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_raw_or_hexadecimal() {
        let raw = RootKey::from_bytes(&[0xab; 32]);
        assert_eq!(RootKey::parse(&[0xab; 32]).unwrap().id(), raw.id());
        let digits = format!(" {}\n", "aB".repeat(32));
        assert_eq!(RootKey::parse(digits.as_bytes()).unwrap().id(), raw.id());
        for bad in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"ag".repeat(32), &"a".repeat(65)] {
            assert_eq!(RootKey::parse(bad.as_bytes()).unwrap_err(), NotAKey { found: bad.len() });
        }
        assert_eq!(format!("{raw:?}"), format!("RootKey({})", raw.id()));
    }
}
