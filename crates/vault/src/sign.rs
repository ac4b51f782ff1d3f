//! Signatures under a key of this house: whoever has the public half can check them without us (Ed25519, RFC 8032).

use hw_event::Entropy;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::store::{KeyStore, KeyStoreError};

const NAME: &str = "receipt";

pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key in `store`, made there at the first start.
    pub fn load_or_create(store: &dyn KeyStore, entropy: &dyn Entropy) -> Result<SigningKey, KeyStoreError> {
        let seed = match store.load(NAME)? {
            Some(seed) => seed,
            None => {
                let mut seed = Zeroizing::new([0u8; 32]);
                entropy.fill(seed.as_mut_slice());
                store.create(NAME, &seed)?;
                seed
            }
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        Ok(SigningKey(pair.unwrap_or_else(|_| unreachable!("any 32 bytes are a seed"))))
    }

    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }

    /// 32 bytes.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

pub fn verify_signature(public: &[u8], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(text, signature).is_ok()
}
