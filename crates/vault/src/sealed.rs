//! Keys made of keys, and small sealed boxes.
//!
//! Derived key: HMAC-SHA-256 of the label, a zero byte and the context.
//! Sealed box: version 1 (u8) · nonce (12) · AES-256-GCM-SIV ciphertext and tag (n + 16). What the box is for is
//! authenticated too, so that one box cannot stand in another's place.

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit as _,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use hw_event::Entropy;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::Key;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;

pub(crate) fn derive(key: &[u8; 32], label: &str, context: &[u8]) -> Key {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any length"));
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(context);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

pub(crate) fn seal(key: &[u8; 32], purpose: &[u8], plain: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce);
    let cipher = Aes256GcmSiv::new(key.into());
    let sealed = cipher
        .encrypt(&nonce.into(), Payload { msg: plain, aad: purpose })
        .unwrap_or_else(|_| unreachable!("a value is far below the cipher's 64 GiB"));
    let mut out = Vec::with_capacity(HEAD_BYTES + sealed.len());
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    out
}

/// `None`: another key's, another purpose's, or damaged.
pub(crate) fn open(key: &[u8; 32], purpose: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, body) = sealed.split_at_checked(HEAD_BYTES)?;
    let (&version, nonce) = head.split_first()?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    if version != VERSION {
        return None;
    }
    let cipher = Aes256GcmSiv::new(key.into());
    cipher.decrypt(&nonce.into(), Payload { msg: body, aad: purpose }).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_box_opens_with_its_key_for_its_purpose_and_whole() {
        let sealed = seal(&[1; 32], b"a", b"value", &SystemEntropy);
        assert_eq!(open(&[1; 32], b"a", &sealed).unwrap().as_slice(), b"value");
        assert!(open(&[2; 32], b"a", &sealed).is_none());
        assert!(open(&[1; 32], b"b", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut harmed = sealed.clone();
            harmed[at] ^= 1;
            assert!(open(&[1; 32], b"a", &harmed).is_none(), "byte {at}");
            assert!(open(&[1; 32], b"a", &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn labels_and_contexts_are_apart() {
        let keys = [("a", "bc"), ("ab", "c"), ("a", ""), ("", "a")];
        let derived = keys.map(|(label, context)| *derive(&[1; 32], label, context.as_bytes()));
        for (at, key) in derived.iter().enumerate() {
            assert!(!derived[..at].contains(key));
        }
    }
}
