//! Bodies of requests and pieces of files: the events are the same however the bytes are cut, and no byte is lost.
//! An input is a byte that says how to cut, one that says how large an event may be, and the body.

use crate::{
    Framed,
    doors::framing::{self, Framer, Layout},
};

const EVENTS_MAX: usize = 1 << 20;

pub fn ndjson_body(data: &[u8]) {
    body(Layout::Lines, data);
}

pub fn json_body(data: &[u8]) {
    body(Layout::Json, data);
}

fn body(layout: Layout, data: &[u8]) {
    let [cut, size, body @ ..] = data else { return };
    let whole = match layout {
        Layout::Lines => framing::ndjson(body, EVENTS_MAX),
        Layout::Json => framing::json(body, EVENTS_MAX),
    };
    let Some(whole) = whole else { panic!("{EVENTS_MAX} events in {} bytes", body.len()) };
    covers(layout, body, &whole);
    assert_eq!(framed(layout, body, *cut, usize::MAX, 1), whole, "pieces give other events");
    // What is larger is cut, at the same place however it comes.
    let event_bytes_max = usize::from(*size).max(1);
    let bounded = framed(layout, body, 0, event_bytes_max, usize::MAX);
    assert_eq!(framed(layout, body, *cut, event_bytes_max, 3), bounded, "pieces give other events");
    assert!(bounded.iter().all(|event| event.end - event.start <= event_bytes_max), "an event is too large");
}

/// The events of a body that comes in pieces.
fn framed(layout: Layout, body: &[u8], cut: u8, event_bytes_max: usize, events_max: usize) -> Vec<Framed> {
    let mut framer = Framer::new(layout, event_bytes_max);
    let (mut all, mut events, mut taken) = (Vec::new(), Vec::new(), 0);
    for piece in super::pieces(body, cut) {
        let mut rest = piece;
        while !rest.is_empty() {
            let fed = framer.feed(rest, &mut events, events_max);
            taken += fed;
            rest = &rest[fed..];
            assert!(fed > 0 || !events.is_empty(), "nothing is taken and nothing is given");
            let kept = taken - framer.needed_from();
            assert!(kept <= event_bytes_max.saturating_add(piece.len()), "what is kept is not bounded");
            all.append(&mut events);
        }
    }
    framer.finish(&mut all);
    all
}

/// Events are in order and apart, and what lies between them is white space (in JSON, brackets and commas too).
fn covers(layout: Layout, body: &[u8], events: &[Framed]) {
    let mut end = 0;
    let between = |bytes: &[u8]| {
        let is_between = |byte: &u8| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
                || layout == Layout::Json && matches!(byte, b'[' | b']' | b',')
        };
        assert!(bytes.iter().all(is_between), "bytes of no event: {:?}", String::from_utf8_lossy(bytes));
    };
    for event in events {
        assert!(event.start >= end && event.end <= body.len(), "events overlap: {events:?}");
        assert!(event.start < event.end, "an event of no bytes: {events:?}");
        between(&body[end..event.start]);
        end = event.end;
    }
    between(&body[end..]);
}
