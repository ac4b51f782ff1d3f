//! Keys: the one that turns protected values into digests, those that seal the bytes of rejected events, and the one
//! that signs receipts.
//! Always: a key is durable before anything made with it is handed out; keys are wiped from memory when dropped.
//! Does not know schemas, streams' names or where ciphertext is kept.

mod hash;
mod memo;
mod seal;
mod sign;
mod store;

pub use hash::{DIGEST_CHARS, HashKey};
pub use memo::Digests;
pub use seal::{OpenError, SealKeys};
pub use sign::{SigningKey, verify_signature};
pub use store::{FileKeyStore, Key, KeyStore, KeyStoreError, MemoryKeyStore, SystemEntropy};
