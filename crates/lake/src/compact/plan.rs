//! Which files of a table are to be made into which kind of file next.
//! Always: only files that follow one another in the log are joined, so that each file of a table keeps to a range of
//! appends of its own; what is large enough is left alone; each row is rewritten a few times at most, however long the
//! table grows.
//!
//! In the order of their appends, files that are not large enough form groups between those that are. In a group
//! 1. hot files with several partitions are put into order first, as many rows at a time as fit into memory;
//! 2. files in order are joined as soon as together they make a large one, or when ten of about one size follow each
//!    other: of the smallest size first, and none that is larger than those behind it together;
//! 3. when the table has been quiet for a while, what is hot in it is put into order and joined too.
//!
//! While others need the processors, the first two wait for four times as many files: a bound, not a rhythm. Files that are
//! large enough to be read well wait until there is enough for twelve large ones.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use crate::{LakeFile, Table};

/// So many files of about one size become one.
const FAN_IN: usize = 10;
/// While others need the processors, four times as many wait.
const BUSY_FACTOR: u64 = 4;
/// And so many large files' worth of bytes, where each file has at least these.
const BUSY_LARGE_FACTOR: u64 = 12;
const READ_WELL_BYTES: u64 = 1 << 20;
/// Files whose rows lie among one another are all open at once, so there may be no more of them.
const OPEN_MAX: usize = 12;
/// Files that follow one another are open one at a time.
const JOIN_MAX: usize = 256;
/// Sizes are about the same up to this factor; there are so many of them below a large file's.
const SIZE_FACTOR: u64 = 8;
const SIZES: u32 = 6;
/// The least that a row counts for.
const ROW_BYTES_MIN: u64 = 4;
/// Hot files of so many bytes are worth putting into order.
const SORT_BYTES: u64 = 8 << 20;
/// In a quiet table, hot files of so many bytes are worth a rewrite.
const QUIET_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// The rows of these are in order: they are merged as they are read.
    Join(Vec<Arc<LakeFile>>),
    /// These are put into order in memory, as many rows at a time as fit.
    Sort(Vec<Arc<LakeFile>>),
}

/// What is known of a table beside its files.
pub(super) struct Situation<'a> {
    pub table: Table,
    /// The size that files are to have, about.
    pub target: u64,
    /// Nothing was committed for a while.
    pub quiet: bool,
    /// Others need the processors.
    pub busy: bool,
    /// Files that cannot be read, and those whose rows turned out not to be in order.
    pub unfit: &'a HashSet<PathBuf>,
    pub unordered: &'a HashSet<PathBuf>,
}

pub(super) fn plan(files: &[Arc<LakeFile>], situation: &Situation<'_>) -> Option<Plan> {
    let mut files: Vec<&Arc<LakeFile>> = files.iter().collect();
    files.sort_by_key(|file| file.stats.seq.map_or(i64::MIN, |seq| seq.min));
    let groups = files.split(|file| situation.is_done(file));
    groups.filter(|group| !group.is_empty()).find_map(|group| situation.plan_group(group))
}

impl Situation<'_> {
    /// It is left alone, and what stands before it and behind it is not joined.
    fn is_done(&self, file: &LakeFile) -> bool {
        let known = file.stats.seq.is_some() && file.pieces.is_some();
        !known || self.unfit.contains(&file.path) || (file.compacted && weight(file) >= self.large())
    }

    fn large(&self) -> u64 {
        self.target / 2
    }

    fn patience(&self) -> u64 {
        if self.busy { BUSY_FACTOR } else { 1 }
    }

    fn fan_in(&self) -> usize {
        FAN_IN * self.patience() as usize
    }

    fn in_order(&self, file: &LakeFile) -> bool {
        let one_partition = file.stats.partition.is_some_and(|partition| partition.min == partition.max);
        let system = !matches!(self.table, Table::Stream(_));
        // A fresh file that an erasure wrote anew has the order that it had.
        system || ((file.compacted || one_partition) && !self.unordered.contains(&file.path))
    }

    fn plan_group(&self, group: &[&Arc<LakeFile>]) -> Option<Plan> {
        let streaks: Vec<&[&Arc<LakeFile>]> =
            group.chunk_by(|a, b| self.in_order(a) == self.in_order(b)).collect();
        for streak in &streaks {
            let bytes = bytes(streak);
            let due = streak.len() >= self.fan_in()
                || bytes >= (SORT_BYTES * self.patience()).min(self.large())
                || (self.quiet && bytes >= QUIET_BYTES);
            if !self.in_order(streak[0]) && due {
                let mut sum = 0;
                let few = streak.iter().take(JOIN_MAX).take_while(|file| {
                    sum += weight(file);
                    sum == weight(file) || sum <= self.target
                });
                return Some(Plan::Sort(few.map(|file| Arc::clone(file)).collect()));
            }
        }
        streaks.into_iter().filter(|streak| self.in_order(streak[0])).find_map(|streak| self.join(streak))
    }

    fn join(&self, streak: &[&Arc<LakeFile>]) -> Option<Plan> {
        let plan = |files: &[&Arc<LakeFile>]| {
            let most = if self.follow_each_other(files) { JOIN_MAX } else { OPEN_MAX };
            Some(Plan::Join(files.iter().take(most).map(|file| Arc::clone(file)).collect()))
        };
        if self.can_wait(streak) {
            return None;
        }
        let mut sum = 0;
        for (at, file) in streak.iter().enumerate() {
            sum += weight(file);
            if sum >= self.target && at < OPEN_MAX.max(FAN_IN) {
                return plan(&streak[..=at]);
            }
            if sum >= self.target && self.follow_each_other(&streak[..=at]) {
                return plan(&streak[..=at]);
            }
        }
        for size in (0..SIZES).rev() {
            let below = self.large() / SIZE_FACTOR.pow(size);
            let alike = streak.chunk_by(|a, b| (weight(a) < below) == (weight(b) < below));
            for files in alike.filter(|files| weight(files[0]) < below) {
                let files = without_large_ones(files);
                if files.len() >= self.fan_in() {
                    return plan(files);
                }
            }
        }
        let hot: u64 = streak.iter().filter(|file| !file.compacted).map(|file| file.bytes).sum();
        if self.quiet && hot >= QUIET_BYTES.min(self.large()) {
            // From the first hot one on; those before it are joined when there are enough of them.
            let first = streak.iter().position(|file| !file.compacted)?;
            return plan(without_large_ones(&streak[first..]));
        }
        None
    }

    fn can_wait(&self, streak: &[&Arc<LakeFile>]) -> bool {
        let all: u64 = streak.iter().map(|file| weight(file)).sum();
        self.busy
            && all < self.target * BUSY_LARGE_FACTOR
            && streak.iter().all(|file| weight(file) >= READ_WELL_BYTES)
    }

    /// One by one, each file's rows come after all of the one before it.
    fn follow_each_other(&self, files: &[&Arc<LakeFile>]) -> bool {
        if !matches!(self.table, Table::Stream(_)) {
            return true;
        }
        let partition = |file: &LakeFile| file.stats.partition.filter(|it| it.min == it.max).map(|it| it.min);
        let first = files.first().and_then(|file| partition(file));
        first.is_some() && files.iter().all(|file| partition(file) == first)
    }
}

/// From the first file on that is no larger than all behind it together.
fn without_large_ones<'a, 'b>(files: &'a [&'b Arc<LakeFile>]) -> &'a [&'b Arc<LakeFile>] {
    let mut files = files;
    while let [first, rest @ ..] = files
        && rest.len() + 1 >= FAN_IN
        && weight(first) > rest.iter().map(|file| weight(file)).sum::<u64>()
    {
        files = rest;
    }
    files
}

/// What it costs to write a file again: its bytes, but of rows that are nearly nothing in them it is the rows.
fn weight(file: &LakeFile) -> u64 {
    file.bytes.max(file.rows * ROW_BYTES_MIN)
}

fn bytes(files: &[&Arc<LakeFile>]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

#[cfg(test)]
mod tests {
    use hw_event::StreamId;

    use super::*;
    use crate::{Bounds, FileStats, Pieces};

    const TARGET: u64 = 128 << 20;

    fn file(seq: i64, bytes: u64, compacted: bool, partitions: i64) -> Arc<LakeFile> {
        let bounds = |min, max| Some(Bounds { min, max });
        let stats = FileStats {
            partition: bounds(0, partitions - 1),
            offset: bounds(seq * 10, seq * 10 + 9),
            seq: bounds(seq, seq),
            time: None,
            received_at: None,
        };
        Arc::new(LakeFile {
            path: format!("a/{seq}-{bytes}").into(),
            bytes,
            rows: 10,
            stats,
            schema: None,
            crc32c: Some(0),
            pieces: Some(Pieces { bytes: 1, crc32c: Arc::new([]) }),
            compacted,
        })
    }

    fn plan_of(files: &[Arc<LakeFile>], quiet: bool) -> Option<Plan> {
        let (unfit, unordered) = (HashSet::new(), HashSet::new());
        let table = Table::Stream(StreamId(1));
        let busy = false;
        plan(files, &Situation { table, target: TARGET, quiet, busy, unfit: &unfit, unordered: &unordered })
    }

    #[test]
    fn while_others_need_the_processors_four_times_as_many_files_wait() {
        let (unfit, unordered) = (HashSet::new(), HashSet::new());
        let table = Table::Stream(StreamId(1));
        let plan_of = |files: &[Arc<LakeFile>]| {
            plan(
                files,
                &Situation {
                    table,
                    target: TARGET,
                    quiet: false,
                    busy: true,
                    unfit: &unfit,
                    unordered: &unordered,
                },
            )
        };
        let hot: Vec<_> = (0..39).map(|seq| file(seq, 1000, false, 1)).collect();
        assert_eq!(plan_of(&hot), None);
        let hot: Vec<_> = (0..40).map(|seq| file(seq, 1000, false, 1)).collect();
        assert!(matches!(plan_of(&hot), Some(Plan::Join(files)) if files.len() == 40));
        // Those that are read well already wait for more, as long as it is not too much.
        let few: Vec<_> = (0..300).map(|seq| file(seq, 5 << 20, false, 1)).collect();
        assert_eq!(plan_of(&few), None);
        let many: Vec<_> = (0..310).map(|seq| file(seq, 5 << 20, false, 1)).collect();
        assert!(matches!(plan_of(&many), Some(Plan::Join(files)) if files.len() == 26));
        // Files that must be put into order are bounded by their bytes too.
        let mixed: Vec<_> = (0..3).map(|seq| file(seq, SORT_BYTES, false, 2)).collect();
        assert_eq!(plan_of(&mixed), None);
        let mixed: Vec<_> = (0..4).map(|seq| file(seq, SORT_BYTES, false, 2)).collect();
        assert!(matches!(plan_of(&mixed), Some(Plan::Sort(_))));
    }

    #[test]
    fn few_small_files_wait_and_ten_of_one_size_are_joined() {
        let hot: Vec<_> = (0..9).map(|seq| file(seq, 1000, false, 1)).collect();
        assert_eq!(plan_of(&hot, false), None);
        assert_eq!(plan_of(&hot, true), None, "not worth it");
        let mut hot = hot;
        hot.push(file(9, 900, false, 1));
        assert_eq!(plan_of(&hot, false), Some(Plan::Join(hot.clone())));
        // What is much larger than those behind it is not read again.
        hot.insert(0, file(-1, 5 << 20, true, 1));
        assert_eq!(plan_of(&hot, false), Some(Plan::Join(hot[1..].to_vec())));
        // Nor is one of many rows that are nearly nothing in bytes.
        let rows = LakeFile { rows: 1_000_000, bytes: 5000, ..(*hot[0]).clone() };
        let few = [&[Arc::new(rows)], &hot[1..]].concat();
        assert_eq!(plan_of(&few, false), Some(Plan::Join(hot[1..].to_vec())));
        // Whatever the order in which they are named.
        hot.reverse();
        let Some(Plan::Join(found)) = plan_of(&hot, false) else { panic!() };
        assert!(found.is_sorted_by_key(|file| file.stats.seq.unwrap().min));
    }

    #[test]
    fn enough_for_a_large_file_is_joined_at_once_and_never_touched_again() {
        let hot: Vec<_> = (0..8).map(|seq| file(seq, 20 << 20, false, 1)).collect();
        assert_eq!(plan_of(&hot, false), Some(Plan::Join(hot[..7].to_vec())));
        assert_eq!(plan_of(&[file(0, 100 << 20, true, 1)], true), None);
        // A large file parts what stands on its two sides.
        let mut files = hot[..4].to_vec();
        files.push(file(4, 100 << 20, true, 1));
        files.extend((5..9).map(|seq| file(seq, 20 << 20, false, 1)));
        assert_eq!(plan_of(&files, false), None);
        assert_eq!(plan_of(&files, true), Some(Plan::Join(files[..4].to_vec())));
    }

    #[test]
    fn partitions_are_put_into_order_before_they_are_joined() {
        let hot: Vec<_> = (0..3).map(|seq| file(seq, 4 << 20, false, 3)).collect();
        assert_eq!(plan_of(&hot[..1], false), None);
        assert_eq!(plan_of(&hot[..1], true), Some(Plan::Sort(hot[..1].to_vec())));
        assert_eq!(plan_of(&hot, false), Some(Plan::Sort(hot.clone())));
        let sorted: Vec<_> = (0..40).map(|seq| file(seq, 9 << 20, true, 3)).collect();
        let Some(Plan::Join(found)) = plan_of(&sorted, true) else { panic!() };
        assert_eq!(found, sorted[..12], "no more of them than may be open");
    }

    #[test]
    fn a_file_that_was_written_anew_out_of_order_is_put_into_order() {
        let files: Vec<_> = (0..10).map(|seq| file(seq, 1000, true, 3)).collect();
        assert_eq!(plan_of(&files, false), Some(Plan::Join(files.clone())));
        let unordered: HashSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let situation = Situation {
            table: Table::Stream(StreamId(1)),
            target: TARGET,
            quiet: false,
            busy: false,
            unfit: &HashSet::new(),
            unordered: &unordered,
        };
        assert_eq!(plan(&files, &situation), Some(Plan::Sort(files.clone())));
    }

    #[test]
    fn a_table_that_grows_has_few_small_files_and_rewrites_each_row_a_few_times() {
        for hot_bytes in [3_000, 200_000, 15 << 20] {
            let (mut files, mut rewritten, mut small_most) = (Vec::new(), 0, 0);
            let commits = 3000;
            for seq in 0..commits {
                files.push(file(seq, hot_bytes, false, 1));
                while let Some(Plan::Join(joined)) = plan_of(&files, false) {
                    let bytes = joined.iter().map(|file| file.bytes).sum();
                    rewritten += bytes;
                    files.retain(|file| !joined.contains(file));
                    files.push(file(joined[0].stats.seq.unwrap().min, bytes, true, 1));
                }
                small_most = small_most.max(files.iter().filter(|file| file.bytes < TARGET / 2).count());
            }
            let bytes = commits as u64 * hot_bytes;
            assert!(small_most <= 40, "{hot_bytes}: {small_most} small files");
            assert!(rewritten / bytes <= 7, "{hot_bytes}: written {} times", rewritten / bytes);
        }
    }
}
