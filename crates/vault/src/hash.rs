//! The keyed hash of `x-privacy: hash`: HMAC-SHA-256, so that a dictionary of likely values recovers nothing
//! without the key.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use hw_event::Entropy;
use sha2::{Digest, Sha256, block_api::compress256};
use zeroize::Zeroizing;

use crate::store::{KeyStore, KeyStoreError, load_key_file};

/// A digest in lower-case hexadecimal.
pub const DIGEST_CHARS: usize = 64;
pub(crate) const DIGEST_BYTES: usize = DIGEST_CHARS / 2;

const BLOCK_BYTES: usize = 64;
/// Beside the text a block holds a byte that ends it and the length.
const SHORT_BYTES_MAX: usize = BLOCK_BYTES - 9;
/// FIPS 180-4, 5.3.3.
const SHA_256_INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

const NAME: &str = "hash";

/// The key of all `hash` fields. Cloning clones the keyed state, not the secret's file.
#[derive(Clone)]
pub struct HashKey {
    keyed: Hmac<Sha256>,
    short: Short,
    id: String,
}

/// What SHA-256 has come to after the key's inner and outer block: a text that fits into one more block takes two steps,
/// without the copies and the wiping of a general HMAC, which cost half as much again.
#[derive(Clone)]
struct Short {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

impl HashKey {
    pub fn from_bytes(key: &[u8; 32]) -> HashKey {
        // The id names a key without telling it: a digest of a digest, domain apart.
        let digest = Sha256::new().chain_update(b"headwater hash key id\0").chain_update(key).finalize();
        let keyed =
            Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any length"));
        HashKey { keyed, short: Short::new(key), id: hex(&digest[..8]) }
    }

    /// The key in `store`, made there at the first start.
    pub fn load_or_create(store: &dyn KeyStore, entropy: &dyn Entropy) -> Result<HashKey, KeyStoreError> {
        if let Some(key) = store.load(NAME)? {
            return Ok(HashKey::from_bytes(&key));
        }
        let mut key = Zeroizing::new([0u8; 32]);
        entropy.fill(key.as_mut_slice());
        store.create(NAME, &key)?;
        Ok(HashKey::from_bytes(&key))
    }

    /// The key in a file that the user keeps: 32 raw bytes, mode 0600.
    pub fn load_file(path: &Path) -> Result<HashKey, KeyStoreError> {
        match load_key_file(path)? {
            Some(key) => Ok(HashKey::from_bytes(&key)),
            None => Err(KeyStoreError::Io {
                action: "read",
                path: path.into(),
                source: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// Sixteen hexadecimal digits that name this key in a column's metadata.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keyed form of a digest that is kept for `purpose`: what it was made of cannot be found by trying.
    pub fn keyed(&self, purpose: &str, digest: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(digest);
        mac.finalize().into_bytes().into()
    }

    /// The digest of `text`, in lower-case hexadecimal.
    pub fn digest(&self, text: &[u8]) -> [u8; DIGEST_CHARS] {
        hex_digest(&self.digest_bytes(text))
    }

    pub(crate) fn digest_bytes(&self, text: &[u8]) -> [u8; DIGEST_BYTES] {
        if text.len() <= SHORT_BYTES_MAX {
            return self.short.digest(text);
        }
        let mut mac = self.keyed.clone();
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

impl Short {
    fn new(key: &[u8; 32]) -> Short {
        let begun = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = Zeroizing::new(SHA_256_INITIAL);
            compress256(&mut state, std::slice::from_ref(&*block));
            state
        };
        Short { inner: begun(0x36), outer: begun(0x5c) }
    }

    fn digest(&self, text: &[u8]) -> [u8; DIGEST_BYTES] {
        let inner = last_block(*self.inner, text);
        last_block(*self.outer, &inner)
    }
}

/// The digest of one block that came before, whose state this is, and a text that fits into the last one.
#[inline]
fn last_block(mut state: [u32; 8], text: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    let bits = (BLOCK_BYTES + text.len()) as u64 * 8;
    block[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &[block]);
    let mut digest = [0; DIGEST_BYTES];
    let (words, _) = digest.as_chunks_mut::<4>();
    words.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    digest
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashKey({})", self.id)
    }
}

/// A digest as it is stored.
#[inline]
pub(crate) fn hex_digest(digest: &[u8; DIGEST_BYTES]) -> [u8; DIGEST_CHARS] {
    let mut out = [0; DIGEST_CHARS];
    // Arithmetic instead of a table, and lengths that are known: sixteen digits at a time then.
    let digit = |value: u8| value + if value > 9 { b'a' - 10 } else { b'0' };
    for at in 0..DIGEST_BYTES {
        out[2 * at] = digit(digest[at] >> 4);
        out[2 * at + 1] = digit(digest[at] & 15);
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_hmac_sha_256() {
        // RFC 4231 uses shorter keys; HMAC pads a key with zeros to the block, so test case 2's key "Jefe"
        // followed by zeros is the same key.
        let mut key = [0u8; 32];
        key[..4].copy_from_slice(b"Jefe");
        let digest = HashKey::from_bytes(&key).digest(b"what do ya want for nothing?");
        assert_eq!(
            std::str::from_utf8(&digest),
            Ok("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
    }

    #[test]
    fn a_short_text_has_the_same_digest_as_hmac_gives() {
        let key: [u8; 32] = std::array::from_fn(|at| at as u8 * 7 + 1);
        let hash = HashKey::from_bytes(&key);
        let text: Vec<u8> = (0..2 * BLOCK_BYTES).map(|at| at as u8 ^ 0x5a).collect();
        for length in 0..text.len() {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(&text[..length]);
            let expected: [u8; DIGEST_BYTES] = mac.finalize().into_bytes().into();
            assert_eq!(hash.digest_bytes(&text[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_key_says_its_id_and_nothing_else() {
        let key = HashKey::from_bytes(&[7; 32]);
        assert_eq!(key.id().len(), 16);
        assert_eq!(format!("{key:?}"), format!("HashKey({})", key.id()));
    }
}
