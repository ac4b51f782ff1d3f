//! Reading the frames that a reader was told of.
//! Always: a frame is verified before anything of it is used; a damaged one costs itself and what was asked for behind it.

use std::{io, sync::Arc};

use bytes::Bytes;
use hw_event::Seq;

use crate::{
    ReadError, StoredAppend,
    frame::{self, FrameKind},
    index::Entry,
    segment::{self, PAGE, SegmentFile},
};

/// Frames that follow one another are read together up to so many bytes. A buffer of about this size the allocator takes back
/// from whichever thread lets go of it; smaller ones stay with the thread that made them, and readers wander over threads.
/// Whoever keeps one block keeps the bytes of its run: not too large either.
const RUN_BYTES_MAX: u64 = 1 << 20;

/// A frame that a read shall fetch. The segment is held, so it is not written again meanwhile.
pub(crate) struct Fetch {
    segment: Arc<SegmentFile>,
    seq: Seq,
    position: u64,
    length: u32,
}

/// The appends of these frames, up to the first that is damaged. Only where that is the first of all it is an error: asked
/// again from there, the damage is the answer.
pub(crate) fn read_all(plan: &[Fetch]) -> Result<Vec<StoredAppend>, ReadError> {
    let mut appends = Vec::with_capacity(plan.len());
    let mut rest = plan;
    while let Some(first) = rest.first() {
        let (run, behind) = rest.split_at(run_length(rest));
        rest = behind;
        // Of a run that cannot be read as a whole each frame is tried alone.
        let bytes = read_run(run).unwrap_or_default();
        for fetch in run {
            let read = match fetch.of_run(first, &bytes) {
                Some(frame) => fetch.decode(frame),
                None => fetch.read(),
            };
            match read {
                Ok(append) => appends.push(append),
                Err(_) if !appends.is_empty() => return Ok(appends),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(appends)
}

/// How many of these frames are read at once, beginning with the first: those that follow it closely in its file.
fn run_length(plan: &[Fetch]) -> usize {
    let Some(first) = plan.first() else { return 0 };
    let follow = plan.windows(2).take_while(|pair| {
        let (before, next) = (&pair[0], &pair[1]);
        Arc::ptr_eq(&before.segment, &next.segment)
            && next.position.checked_sub(before.range().1).is_some_and(|gap| gap < PAGE)
            && next.range().1 - first.position <= RUN_BYTES_MAX
    });
    1 + follow.count()
}

fn read_run(run: &[Fetch]) -> io::Result<Bytes> {
    let [first, .., last] = run else { return Ok(Bytes::new()) };
    let length = (last.range().1 - first.position) as usize;
    segment::read_vec(first.segment.file.as_ref(), first.position, length).map(Bytes::from)
}

impl Fetch {
    pub(crate) fn of(segment: &Arc<SegmentFile>, entry: &Entry) -> Fetch {
        let Entry { seq, position, length, .. } = *entry;
        Fetch { segment: segment.clone(), seq, position, length }
    }

    pub(crate) fn seq(&self) -> Seq {
        self.seq
    }

    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// Where it stands in its file: start and end.
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.position, self.position + u64::from(self.length))
    }

    /// Its part of what was read of a run; `None` where that is too short.
    fn of_run(&self, first: &Fetch, bytes: &Bytes) -> Option<Bytes> {
        let start = (self.position - first.position) as usize;
        let end = start + self.length as usize;
        (end <= bytes.len()).then(|| bytes.slice(start..end))
    }

    pub(crate) fn read(&self) -> Result<StoredAppend, ReadError> {
        let bytes = segment::read_vec(self.segment.file.as_ref(), self.position, self.length as usize);
        self.decode(bytes.map_err(disk_error)?.into())
    }

    fn decode(&self, bytes: Bytes) -> Result<StoredAppend, ReadError> {
        let Fetch { segment, seq, position, length } = self;
        let damaged = |reason: &str| ReadError::Damaged {
            file: segment.name.clone(),
            start: *position,
            end: position + u64::from(*length),
            reason: format!("append {seq}: {reason}"),
        };
        let head = match frame::verify(&bytes, segment.seed(), segment.header.journal_id) {
            Ok(head) if head.kind == FrameKind::Append && head.seq == *seq => head,
            Ok(_) => return Err(damaged("another frame stands in its place")),
            Err(_) => return Err(damaged("the checksum does not match")),
        };
        match frame::decode_append(&bytes, &head) {
            Ok(decoded) => Ok(StoredAppend { seq: *seq, append: decoded.append }),
            Err(_) => Err(damaged("the contents make no sense")),
        }
    }
}

pub(crate) fn disk_error(error: io::Error) -> ReadError {
    ReadError::Disk(Arc::new(error))
}
