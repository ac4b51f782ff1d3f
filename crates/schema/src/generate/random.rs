//! Numbers from a seed. Always: the same seed gives the same numbers on every machine; no dependency can change what a
//! seed means. Not for secrets.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// A generator of its own for each list of parts.
    pub fn of(parts: &[u64]) -> Random {
        let state = parts.iter().fold(GOLDEN, |state, part| mix(state ^ part.wrapping_mul(GOLDEN)));
        Random(state)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// An index of something that has `len` parts.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number in `low..=high`, which is not empty.
    pub fn between(&mut self, low: i128, high: i128) -> i128 {
        let span = high.wrapping_sub(low).cast_unsigned();
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        let within = if span == u128::MAX { wide } else { wide % (span + 1) };
        low.wrapping_add(within.cast_signed())
    }

    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index(choices.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut random = Random::of(&[1, 2]);
        let first: Vec<u64> = (0..3).map(|_| random.below(1000)).collect();
        let mut again = Random::of(&[1, 2]);
        assert_eq!(first, (0..3).map(|_| again.below(1000)).collect::<Vec<_>>());
        assert_ne!(Random::of(&[2, 1]).next(), Random::of(&[1, 2]).next());
    }

    #[test]
    fn a_range_is_kept_at_its_widest() {
        let mut random = Random::of(&[7]);
        for (low, high) in
            [(0, 0), (-1, 1), (i128::MIN, i128::MAX), (i128::from(i64::MIN), i128::from(i64::MAX))]
        {
            for _ in 0..100 {
                assert!((low..=high).contains(&random.between(low, high)));
            }
        }
    }
}
