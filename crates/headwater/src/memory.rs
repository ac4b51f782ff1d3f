//! How the memory for events under way is shared out, and how soon the allocator gives back what is free.
//! Always: the parts of one number, `memory`. Knows nothing of queries: they run in processes of their own.

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

/// An arena for each processor; huge pages, since a fault of memory for each four kilobytes is a tenth of all time at full rate; what
/// is free for half a second goes back to the system, by threads of the allocator's own; not at once where it is large, since
/// large buffers come again. The options are those of its manual.
// SAFETY: the allocator reads a pointer to a text that ends in zero under this name, which a reference to bytes is; nothing
// else has the name.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR: &[u8; 111] =
    b"background_thread:true,percpu_arena:percpu,thp:always,dirty_decay_ms:500,muzzy_decay_ms:0,oversize_threshold:0\0";

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
}
