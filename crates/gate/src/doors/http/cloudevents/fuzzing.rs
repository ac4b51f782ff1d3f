//! The fuzz target of CloudEvents: envelopes alone and in a batch, and attributes in headers.
//! An input is a byte that chooses which, and a body or lines `name: value`.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    envelope::{self, Data, Envelope},
    headers,
};
use crate::{EventAttributes, doors::framing};

const EVENTS_MAX: usize = 1 << 20;

pub fn cloudevents(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 3 {
        0 => one(rest),
        1 => {
            for event in framing::json(rest, EVENTS_MAX).unwrap_or_default() {
                one(&rest[event.start..event.end]);
            }
        }
        _ => {
            let mut map = HeaderMap::new();
            for line in rest.split(|&byte| byte == b'\n') {
                let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
                let name = HeaderName::from_bytes(line[..colon].trim_ascii());
                let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
                if let (Ok(name), Ok(value)) = (name, value) {
                    map.append(name, value);
                }
            }
            match headers::read(&map) {
                Ok(event) => are_sound(&event),
                Err(message) => assert!(!message.is_empty()),
            }
        }
    }
}

fn one(bytes: &[u8]) {
    match envelope::read(bytes) {
        Ok(Envelope { attributes, data }) => {
            are_sound(&attributes);
            if let Data::At(range) = data {
                let data = bytes.get(range.clone());
                assert!(data.is_some_and(|data| !data.is_empty()), "data at {range:?} of {}", bytes.len());
            }
        }
        Err(broken) => assert!(broken.at <= bytes.len(), "a fault stands outside: {broken:?}"),
    }
}

/// An id, and each name once.
fn are_sound(event: &EventAttributes) {
    assert!(!event.id.is_empty(), "an event without an id");
    for (place, (name, _)) in event.named.iter().enumerate() {
        assert!(!event.named[..place].iter().any(|(before, _)| before == name), "{name} is there twice");
        assert!(!matches!(name.as_str(), "id" | "data" | "specversion"), "{name} among the attributes");
    }
}
