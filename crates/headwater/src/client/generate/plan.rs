//! Which events are made, and how they are cut into requests.
//! Always: a request holds no more bad events than a receipt lists, so that every verdict is told.

use hw_event::RejectCode;
use hw_schema::{Generator, NotMade};

use crate::client::batch::{BATCH_BYTES, Batch, Numbering};

/// Events of one request, where nothing else is said.
pub const BATCH_EVENTS: usize = 1000;
/// Events that cannot be made are told after so many at the latest.
const NOT_MADE_MAX: usize = 1000;
/// A receipt lists so many errors.
const ERRORS_LISTED: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub count: u64,
    pub bad_per_million: u32,
    pub batch_events: usize,
    /// Good and bad events travel apart: one bad event would have its whole request refused.
    pub apart: bool,
}

/// A request and what is intended of each of its events.
pub struct Planned {
    pub batch: Batch,
    /// The number of the first event.
    pub first: u64,
    pub numbers: Vec<u64>,
    pub intended: Vec<Option<RejectCode>>,
    /// Events that should have stood here.
    pub not_made: Vec<NotMade>,
}

impl Plan {
    /// Makes all events; ends early if nobody takes them any more.
    pub fn run(self, mut generator: Generator, mut give: impl FnMut(Planned) -> bool) {
        let mut open = [Open::default(), Open::default()];
        for number in 0..self.count {
            let intended = generator.intended(number, self.bad_per_million);
            let open = &mut open[usize::from(self.apart && intended.is_some())];
            match generator.event(number, intended) {
                Ok(event) => {
                    if open.body.len() + event.len() > BATCH_BYTES
                        && !open.intended.is_empty()
                        && !give(open.take())
                    {
                        return;
                    }
                    open.add(number, intended, &event);
                }
                Err(not_made) => open.not_made.push(not_made),
            }
            let full = open.intended.len() >= self.batch_events
                || open.bad >= ERRORS_LISTED
                || open.body.len() >= BATCH_BYTES
                || open.not_made.len() >= NOT_MADE_MAX;
            if full && !give(open.take()) {
                return;
            }
        }
        for open in &mut open {
            let empty = open.intended.is_empty() && open.not_made.is_empty();
            if !empty && !give(open.take()) {
                return;
            }
        }
    }
}

#[derive(Default)]
struct Open {
    body: Vec<u8>,
    numbers: Vec<u64>,
    intended: Vec<Option<RejectCode>>,
    bad: usize,
    not_made: Vec<NotMade>,
}

impl Open {
    fn add(&mut self, number: u64, intended: Option<RejectCode>, event: &[u8]) {
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.numbers.push(number);
        self.bad += usize::from(intended.is_some());
        self.intended.push(intended);
    }

    fn take(&mut self) -> Planned {
        let Open { body, numbers, intended, not_made, .. } = std::mem::take(self);
        let first = numbers.first().copied().unwrap_or(0);
        let lines = numbers.iter().map(|number| number + 1).collect();
        let batch = Batch { body, content_type: "application/x-ndjson", numbering: Numbering::Lines(lines) };
        Planned { batch, first, numbers, intended, not_made }
    }
}
