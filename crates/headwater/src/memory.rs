//! How the memory for events under way is shared out, and how soon the allocator gives back what is free.
//! Always: the parts of one number, `memory`. Knows nothing of queries: they run in processes of their own.

use std::ffi::{c_int, c_long};

/// Of `memory`, one part in so many.
const REQUESTS_PART: usize = 2;
const COMMIT_PART: usize = 8;
const STUCK_PART: usize = 8;
const READ_PART: usize = 32;
/// However little memory there is: a reader takes an append whole, and a file of a few rows is no good file.
const COMMIT_BYTES_MIN: usize = 4 << 20;
const READ_BYTES_MIN: usize = 1 << 20;
/// What the verdicts on the events of the largest request take beside it.
const VERDICTS_BYTES_MAX: usize = 128 << 20;

/// The number of the option in `mimalloc.h`; the numbers of options never change there.
const PURGE_DELAY: c_int = 15;
/// Milliseconds. As it comes, the allocator keeps what is free for a second: at full rate that is as much again as
/// what is used.
const PURGE_AFTER: c_long = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Requests that are read, judged or wait for their append.
    pub request_bytes: usize,
    /// Rows of all tables, at which they are committed.
    pub commit_bytes: usize,
    /// Rows of all tables that cannot commit.
    pub stuck_bytes: usize,
    /// What the follower reads at a time.
    pub read_bytes: usize,
}

impl Shares {
    /// The largest request, of `body_bytes`, must fit: compressed, decompressed and judged.
    pub fn of(memory: usize, body_bytes: usize) -> Shares {
        let request = body_bytes.saturating_mul(2);
        Shares {
            request_bytes: (memory / REQUESTS_PART).max(request).saturating_add(VERDICTS_BYTES_MAX),
            commit_bytes: (memory / COMMIT_PART).max(COMMIT_BYTES_MIN),
            stuck_bytes: (memory / STUCK_PART).max(COMMIT_BYTES_MIN),
            read_bytes: (memory / READ_PART).max(READ_BYTES_MIN),
        }
    }
}

/// From now on what was freed goes back to the system soon.
#[allow(unsafe_code)]
pub fn give_back_soon() {
    // SAFETY: the allocator's own function, which stores a number; it may be called at any time from any thread.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_AFTER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fit_in_the_whole_and_the_largest_request_fits() {
        let shares = Shares::of(256 << 20, 64 << 20);
        assert_eq!(shares.request_bytes, (128 << 20) + VERDICTS_BYTES_MAX);
        // Rows are held once as rows and once as the file that is being made of them.
        assert!(128 + 2 * (shares.commit_bytes >> 20) + (shares.stuck_bytes >> 20) <= 256);
        assert!(Shares::of(1 << 20, 64 << 20).request_bytes > 128 << 20);
    }

    #[test]
    #[allow(unsafe_code)]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number.
        let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert!(before == 1000 || before == PURGE_AFTER, "{before}: another option, or another default");
    }
}
