//! Where one event ends and the next begins, in NDJSON and in JSON bodies.
//! Always: every byte that is not white space between events belongs to exactly one event, so what was received
//! can be counted before anything is judged. Does not check JSON: a broken event is the decoder's to refuse.

use hw_event::RejectCode;

use crate::Framed;

/// One event a line. Blank lines are no events. `None`: there are more than `events_max`.
pub(crate) fn ndjson(body: &[u8], events_max: usize) -> Option<Vec<Framed>> {
    let mut events = Vec::new();
    let mut start = 0;
    while start < body.len() {
        let end = body[start..].iter().position(|&byte| byte == b'\n').map_or(body.len(), |at| start + at);
        let (first, last) = trim(body, start, end);
        if first < last {
            events.push(Framed::new(first, last));
            if events.len() > events_max {
                return None;
            }
        }
        start = end + 1;
    }
    Some(events)
}

/// A JSON array's elements, or values parted by white space. Where the array breaks off, the rest is one reject.
/// `None`: there are more than `events_max`.
pub(crate) fn json(body: &[u8], events_max: usize) -> Option<Vec<Framed>> {
    let (start, end) = trim(body, 0, body.len());
    if start == end {
        return Some(Vec::new());
    }
    if body[start] == b'[' {
        array(body, start, end, events_max)
    } else {
        values(body, start, end, events_max)
    }
}

fn array(body: &[u8], start: usize, end: usize, events_max: usize) -> Option<Vec<Framed>> {
    let mut events = Vec::new();
    let mut at = skip_space(body, start + 1, end);
    let broken = |mut events: Vec<Framed>, from: usize| {
        events.push(Framed::new(from.min(end - 1), end).with_fault(RejectCode::JsonSyntax));
        Some(events)
    };
    if at < end && body[at] == b']' {
        return if at + 1 == end { Some(events) } else { broken(events, skip_space(body, at + 1, end)) };
    }
    loop {
        let element = at;
        let Some(after) = element_end(body, element, end) else { return broken(events, element) };
        let (first, last) = trim(body, element, after);
        if first == last {
            // `[,` or `,]`: a hole where an element should be.
            return broken(events, element);
        }
        events.push(Framed::new(first, last));
        if events.len() > events_max {
            return None;
        }
        if body[after] == b']' {
            let rest = skip_space(body, after + 1, end);
            return if rest == end { Some(events) } else { broken(events, rest) };
        }
        at = skip_space(body, after + 1, end);
        if at == end {
            return broken(events, after);
        }
    }
}

/// An object or array ends at its own bracket, so that the next may follow at once; anything else ends at white space.
fn values(body: &[u8], start: usize, end: usize, events_max: usize) -> Option<Vec<Framed>> {
    let mut events = Vec::new();
    let mut at = start;
    while at < end {
        let space =
            |from: usize| body[from..end].iter().position(|&byte| is_space(byte)).map_or(end, |at| from + at);
        let stop = if matches!(body[at], b'{' | b'[') {
            let Some(after) = container_end(body, at, end) else {
                // It has no end: there is no telling where the next value would begin.
                events.push(Framed::new(at, end).with_fault(RejectCode::JsonSyntax));
                return Some(events);
            };
            let next_begins = after == end || is_space(body[after]) || matches!(body[after], b'{' | b'[');
            if next_begins { after } else { space(after) }
        } else {
            space(at)
        };
        events.push(Framed::new(at, stop));
        if events.len() > events_max {
            return None;
        }
        at = skip_space(body, stop, end);
    }
    Some(events)
}

/// The position of the `,` or `]` that ends an array's element, `None` where there is none.
fn element_end(body: &[u8], start: usize, end: usize) -> Option<usize> {
    let mut at = start;
    while at < end {
        match body[at] {
            b'"' => at = string_end(body, at, end)?,
            b'{' | b'[' => at = container_end(body, at, end)?,
            b',' | b']' => return Some(at),
            b'}' => return None,
            _ => at += 1,
        }
    }
    None
}

/// The position after the bracket that closes the one at `start`; `None` where it is missing or of the wrong kind.
fn container_end(body: &[u8], start: usize, end: usize) -> Option<usize> {
    // One bit a level would do; a byte keeps it plain. Bounded by the body.
    let mut open: Vec<u8> = Vec::new();
    let mut at = start;
    while at < end {
        match body[at] {
            b'"' => {
                at = string_end(body, at, end)?;
                continue;
            }
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            close @ (b'}' | b']') => {
                if open.pop() != Some(close) {
                    return None;
                }
                if open.is_empty() {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The position after the closing quote of the string at `start`.
fn string_end(body: &[u8], start: usize, end: usize) -> Option<usize> {
    let mut at = start + 1;
    while at < end {
        match body[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_space(body: &[u8], from: usize, end: usize) -> usize {
    body[from.min(end)..end].iter().position(|&byte| !is_space(byte)).map_or(end, |at| from + at)
}

fn trim(body: &[u8], start: usize, end: usize) -> (usize, usize) {
    let first = skip_space(body, start, end);
    let last = body[first..end].iter().rposition(|&byte| !is_space(byte)).map_or(first, |at| first + at + 1);
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events' texts; a broken one is marked with `!`.
    fn texts(body: &str, events: &[Framed]) -> Vec<String> {
        let mark = |event: &Framed| if event.fault.is_some() { "!" } else { "" };
        events.iter().map(|event| format!("{}{}", mark(event), &body[event.start..event.end])).collect()
    }

    fn check_json(body: &str, expected: &[&str]) {
        assert_eq!(texts(body, &json(body.as_bytes(), 100).unwrap()), expected, "{body:?}");
    }

    #[test]
    fn ndjson_is_lines() {
        let body = "{\"a\":1}\r\n\n  \n{\"b\" : 2} \nnot json\n[1]";
        assert_eq!(
            texts(body, &ndjson(body.as_bytes(), 100).unwrap()),
            ["{\"a\":1}", "{\"b\" : 2}", "not json", "[1]"]
        );
        assert_eq!(ndjson(b"\n \r\n", 100), Some(vec![]));
    }

    #[test]
    fn an_array_is_its_elements() {
        check_json("[]", &[]);
        check_json(" [ ] ", &[]);
        check_json("[{\"a\":1},{\"a\":\"],[\"} , 3]", &["{\"a\":1}", "{\"a\":\"],[\"}", "3"]);
        check_json("[[1,[2]],{\"x\":[{}]}]", &["[1,[2]]", "{\"x\":[{}]}"]);
        check_json(r#"["a\"],","\\"]"#, &[r#""a\"],""#, r#""\\""#]);
        check_json("[{\"a\":1}, tru, {\"a\":2}]", &["{\"a\":1}", "tru", "{\"a\":2}"]);
        check_json("[{\"a\":1} {\"a\":2}]", &["{\"a\":1} {\"a\":2}"]);
    }

    #[test]
    fn a_broken_array_keeps_what_came_before() {
        check_json("[{\"a\":1},{\"a\":", &["{\"a\":1}", "!{\"a\":"]);
        check_json("[{\"a\":1},", &["{\"a\":1}", "!,"]);
        check_json("[{\"a\":1}", &["!{\"a\":1}"]);
        check_json("[{\"a\":1}] x", &["{\"a\":1}", "!x"]);
        check_json("[{\"a\":1},{\"a\":2]},{\"a\":3}]", &["{\"a\":1}", "!{\"a\":2]},{\"a\":3}]"]);
        check_json("[1,,2]", &["1", "!,2]"]);
        check_json("[1,]", &["1", "!]"]);
        check_json("[", &["!["]);
        check_json("[\"a", &["!\"a"]);
        check_json("[1}", &["!1}"]);
    }

    #[test]
    fn values_are_parted_by_white_space() {
        check_json("{\"a\":1}\n{\"a\":2}\t3 x", &["{\"a\":1}", "{\"a\":2}", "3", "x"]);
        check_json("{\"a\":1}{\"a\":2}[3]", &["{\"a\":1}", "{\"a\":2}", "[3]"]);
        check_json("{\"a\":1}} {\"a\":2}", &["{\"a\":1}}", "{\"a\":2}"]);
        check_json("{\"a\":1}x{} {\"a\":2}", &["{\"a\":1}x{}", "{\"a\":2}"]);
        check_json("{\"a\":1} {\"a\":", &["{\"a\":1}", "!{\"a\":"]);
    }

    #[test]
    fn deep_nesting_takes_no_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(json(format!("[{deep}").as_bytes(), 100).unwrap().len(), 1);
        assert_eq!(json(format!("{{\"a\":{deep}").as_bytes(), 100).unwrap().len(), 1);
    }

    #[test]
    fn framing_stops_at_too_many() {
        for (body, count) in [("[1,2,3]", 3), ("1 2 3", 3)] {
            assert_eq!(json(body.as_bytes(), count).unwrap().len(), count);
            assert_eq!(json(body.as_bytes(), count - 1), None);
        }
        assert_eq!(ndjson(b"1\n2\n3", 2), None);
    }
}
