//! Random numbers from a seed: the same seed gives the same numbers on every machine and in every version.
//! Not for secrets.

use std::sync::{Mutex, PoisonError};

use hw_event::Entropy;

/// SplitMix64: small, good enough for tests, and ours, so that no dependency can change a seed's meaning.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next_u64() % end }
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

/// Entropy from a seed.
#[derive(Debug)]
pub struct SeededEntropy(
    // A std mutex: held for one fill, never across an await.
    Mutex<Random>,
);

impl SeededEntropy {
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(Mutex::new(Random::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}

/// The seed to use: `HW_SEED` where it is set, else `default`. A test prints it, so that a failure can be repeated.
pub fn seed_from_env(default: u64) -> u64 {
    number_from_env("HW_SEED").unwrap_or(default)
}

/// How many rounds to run: `HW_ROUNDS` where it is set, else `default`.
pub fn rounds_from_env(default: u64) -> u64 {
    number_from_env("HW_ROUNDS").unwrap_or(default)
}

fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}
