//! Keys: the one that turns protected values into digests, those that seal the bytes of rejected events, the one that signs
//! receipts, and the vault, in which what a token stands for rests under the key of its subject.
//! Always: a key is durable before anything made with it is handed out; keys are wiped from memory when dropped.
//! Does not know schemas, streams' names or where ciphertext of others is kept.

mod cabinet;
mod hash;
mod known;
mod memo;
mod root;
mod seal;
mod sealed;
mod sign;
mod store;
mod subject;
mod token;
mod tokens;
mod vault;

pub use cabinet::VaultError;
pub use hash::{DIGEST_CHARS, HashKey};
pub use memo::Digests;
pub use root::{NotAKey, RootKey};
pub use seal::{OpenError, SealKeys, Sealer};
pub use sign::{SigningKey, verify_signature};
pub use store::{FileKeyStore, Key, KeyStore, KeyStoreError, MemoryKeyStore, SystemEntropy};
pub use subject::SubjectId;
pub use token::{DIGITS_MAX, DIGITS_MIN, TOKEN_BYTES_MAX, TOKEN_PREFIX, TokenFormat, TokenText};
pub use tokens::{TokenEntry, TokenKeys, Tokens};
pub use vault::{Destroyed, Revealed, Vault, VaultStatus};
