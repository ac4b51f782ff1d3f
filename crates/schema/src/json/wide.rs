//! Eight or sixteen bytes of JSON at a time.
//! Always: exact, and the same on every machine: what SSE2 does here is held against plain arithmetic by a test.

/// How many bytes `plain` looks at.
pub(crate) const CHUNK: usize = 16;

/// How many bytes at the front of `chunk`, its first `skipped` left out, stand in a string for themselves: no quote,
/// no backslash, no control character, nothing beyond ASCII. `skipped` is less than `CHUNK`.
#[inline(always)]
pub(crate) fn plain(chunk: &[u8; CHUNK], skipped: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "a function that names its target feature can only be called so")]
    // SAFETY: SSE2 is a part of x86_64; the function touches no memory but its argument.
    let special = unsafe { special_sse2(chunk) };
    #[cfg(not(target_arch = "x86_64"))]
    let special = special_anywhere(chunk);
    // The bit behind the last byte ends a chunk that is plain throughout.
    ((special | 1 << CHUNK) >> skipped).trailing_zeros() as usize
}

/// One bit for each byte that is none of the plain ones.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn special_sse2(chunk: &[u8; CHUNK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let bits = u128::from_le_bytes(*chunk);
    let bytes = _mm_set_epi64x((bits >> 64) as i64, bits as i64);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    // As signed numbers, bytes beyond ASCII are below the control characters.
    let odd = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), odd)) as u32
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn special_anywhere(chunk: &[u8; CHUNK]) -> u32 {
    let special = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..);
    chunk.iter().rev().fold(0, |bits, &byte| bits << 1 | u32::from(special(byte)))
}

pub(super) const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Bytes that are looked at for one number.
pub(super) const WINDOW: usize = 32;

/// The bytes of a `text` that is shorter than a window, filled up with zeros.
pub(super) fn padded(text: &[u8]) -> [u8; WINDOW] {
    let mut window = [0; WINDOW];
    window[..text.len()].copy_from_slice(text);
    window
}

/// The run of digits that begins at `at`, which is at most 16: its value and its length. `None` where it has more
/// than fifteen digits.
#[inline(always)]
pub(super) fn digits(window: &[u8; WINDOW], at: usize) -> Option<(u64, usize)> {
    let (value, count) = leading_digits(word(window, at));
    if count < 8 {
        return Some((value, count));
    }
    let (more, count) = leading_digits(word(window, at + 8));
    (count < 8).then(|| (value * POWERS[count] + more, 8 + count))
}

#[inline(always)]
fn word(window: &[u8; WINDOW], at: usize) -> u64 {
    window.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// The digits at the front of eight bytes: their value and their number.
#[inline(always)]
fn leading_digits(word: u64) -> (u64, usize) {
    const ONES: u64 = u64::MAX / 255;
    let values = word ^ (ONES * b'0' as u64);
    // The high bit of each byte that is more than nine. Below the first such byte nothing carries.
    let others = (values.wrapping_add(ONES * (0x7f - 9)) | values) & (ONES << 7);
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    // Zeros move in before the first digit and what follows the last one moves out.
    (eight_digits(values << (8 * (8 - count))), count)
}

/// Eight values below ten, the first in the lowest byte, as one number.
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    let pairs = (values.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes around every border that `plain` and `digits` draw, and any others.
    fn bytes(random: &mut u64) -> [u8; CHUNK] {
        const BORDERS: &[u8] = b"\x00\x1f\x20\x21\"#[\\]\x7e\x7f\x80\x81\xc3\xff/09:.eE-+,}a";
        std::array::from_fn(|_| {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            match *random % 8 {
                0..4 => b'a' + (*random >> 8) as u8 % 26,
                4 | 5 => b'0' + (*random >> 8) as u8 % 10,
                6 => BORDERS[(*random >> 8) as usize % BORDERS.len()],
                _ => (*random >> 8) as u8,
            }
        })
    }

    #[test]
    fn plain_bytes_are_those_of_the_definition() {
        let seed = 0x9e37_79b9_7f4a_7c15;
        let mut random = seed;
        let rounds = if cfg!(miri) { 300 } else { 300_000 };
        for round in 0..rounds {
            let chunk = bytes(&mut random);
            let special = special_anywhere(&chunk);
            for skipped in 0..CHUNK {
                let expected = (skipped..CHUNK).take_while(|at| special & 1 << at == 0).count();
                assert_eq!(
                    plain(&chunk, skipped),
                    expected,
                    "seed {seed}, round {round}: {chunk:?} {skipped}"
                );
            }
        }
        // Each byte at each place.
        for byte in 0..=255 {
            for at in 0..CHUNK {
                let mut chunk = [b'a'; CHUNK];
                chunk[at] = byte;
                let is_plain = !matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..);
                assert_eq!(plain(&chunk, 0), if is_plain { CHUNK } else { at }, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn digits_are_those_of_the_definition() {
        let seed = 0x2545_f491_4f6c_dd1d;
        let mut random = seed;
        let rounds = if cfg!(miri) { 300 } else { 300_000 };
        for round in 0..rounds {
            let mut text = [bytes(&mut random), bytes(&mut random)].concat();
            if round % 2 == 0 {
                // Long runs of digits.
                let end = round % 33;
                text[..end].iter_mut().for_each(|byte| *byte = b'0' + *byte % 10);
            }
            text.truncate(round / 2 % 33);
            let window = padded(&text);
            for at in 0..=16 {
                let count = window[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let value = window[at..]
                    .iter()
                    .take(count.min(15))
                    .fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
                let expected = (count < 16).then_some((value, count));
                assert_eq!(digits(&window, at), expected, "seed {seed}, round {round}: {text:?} {at}");
            }
        }
    }
}
