//! Keys: the one that turns protected values into digests, and those that seal the bytes of rejected events.
//! Always: a key is durable before anything made with it is handed out; keys are wiped from memory when dropped.
//! Does not know schemas, streams' names or where ciphertext is kept.

mod hash;
mod memo;
mod seal;
mod store;

pub use hash::{DIGEST_CHARS, HashKey};
pub use memo::Digests;
pub use seal::{OpenError, SealKeys};
pub use store::{FileKeyStore, Key, KeyStore, KeyStoreError, MemoryKeyStore, SystemEntropy};
