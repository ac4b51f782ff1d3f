//! Where one event ends and the next begins, in NDJSON and in JSON documents, fed whole or piece by piece.
//! Always: every byte that is not white space between events belongs to exactly one event, so what was received
//! can be counted before anything is judged; how the bytes were cut into pieces changes nothing.
//! Does not check JSON: a broken event is the decoder's to refuse.

use hw_event::RejectCode;

use crate::Framed;

/// One event a line. Blank lines are no events. `None`: there are more than `events_max`.
pub(crate) fn ndjson(body: &[u8], events_max: usize) -> Option<Vec<Framed>> {
    whole(Layout::Lines, body, events_max)
}

/// A JSON array's elements, or values parted by white space. Where the array breaks off, the rest is one reject.
/// `None`: there are more than `events_max`.
pub fn json(body: &[u8], events_max: usize) -> Option<Vec<Framed>> {
    whole(Layout::Json, body, events_max)
}

fn whole(layout: Layout, body: &[u8], events_max: usize) -> Option<Vec<Framed>> {
    let mut framer = Framer::new(layout, usize::MAX);
    let mut events = Vec::new();
    framer.feed(body, &mut events, events_max.saturating_add(1));
    if events.len() <= events_max {
        framer.finish(&mut events);
    }
    (events.len() <= events_max).then_some(events)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One event a line.
    Lines,
    /// One array, or values parted by white space.
    Json,
}

/// Takes bytes, gives events; positions count from the first byte it was ever fed.
pub(crate) struct Framer {
    state: State,
    /// A longer event is cut there and is `too_large`; the rest of it is passed over. Blanks behind an event that has
    /// not ended yet count with it.
    event_bytes_max: usize,
    /// Bytes taken so far.
    at: usize,
    /// The first byte of the event that has begun, and where its last byte that is not white space ends.
    start: usize,
    end: usize,
    /// It was given out already, cut.
    cut: bool,
    /// The byte at which it became clear that there is no telling where it ends.
    broken_at: usize,
    /// More blanks came behind an array's `[` or `,` than are kept.
    blanks_dropped: bool,
    nesting: Nesting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Lines: before the first byte of an event; in an event.
    Blank,
    Line,
    /// A document: before its first byte.
    Begin,
    /// An array: behind `[`; behind a `,`; in an element; behind `]`.
    First,
    Comma,
    Element,
    Closed,
    /// Values: between two; in an object or array; behind one; in anything else.
    Between,
    Container,
    Behind,
    Scalar,
    /// There is no telling where the next event would begin: the rest is one.
    Broken,
}

impl Framer {
    pub(crate) fn new(layout: Layout, event_bytes_max: usize) -> Framer {
        let state = match layout {
            Layout::Lines => State::Blank,
            Layout::Json => State::Begin,
        };
        let nesting = Nesting { levels_max: event_bytes_max, ..Nesting::default() };
        Framer {
            state,
            event_bytes_max,
            at: 0,
            start: 0,
            end: 0,
            cut: false,
            broken_at: 0,
            blanks_dropped: false,
            nesting,
        }
    }

    /// Takes bytes until `events` holds `events_max`; returns how many. The others are to be fed again.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<Framed>, events_max: usize) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && events.len() < events_max {
            taken += match self.state {
                State::Blank | State::Line => self.line(&bytes[taken..], events),
                State::Element | State::Container if !self.nesting.is_outside() => {
                    self.nested(&bytes[taken..])
                }
                _ => {
                    self.byte(bytes[taken], events);
                    1
                }
            };
        }
        if events.len() < events_max {
            self.bound(events);
        }
        taken
    }

    /// There are no more bytes: what has begun is the last event.
    pub(crate) fn finish(&mut self, events: &mut Vec<Framed>) {
        match self.state {
            State::Blank | State::Begin | State::Closed | State::Between => {}
            State::Line | State::Behind | State::Scalar => self.give(self.at, None, events),
            State::First | State::Comma => {
                if self.blanks_dropped || self.is_too_large(self.at) {
                    self.last_blank();
                }
                self.give(self.at, Some(RejectCode::JsonSyntax), events);
            }
            State::Element | State::Container | State::Broken => {
                self.give(self.at, Some(RejectCode::JsonSyntax), events);
            }
        }
    }

    /// From here on the bytes are needed again, for the event that has begun.
    pub(crate) fn needed_from(&self) -> usize {
        match self.state {
            State::Blank | State::Begin | State::Closed | State::Between => self.at,
            _ if self.cut => self.at,
            _ => self.start,
        }
    }

    /// A line to its end, as far as it is there; returns the bytes taken.
    fn line(&mut self, bytes: &[u8], events: &mut Vec<Framed>) -> usize {
        let mut from = 0;
        if self.state == State::Blank {
            let Some(first) = bytes.iter().position(|&byte| !is_space(byte)) else {
                self.at += bytes.len();
                return bytes.len();
            };
            self.state = State::Line;
            self.begin(self.at + first);
            from = first;
        }
        let newline = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at);
        let text = &bytes[..newline.unwrap_or(bytes.len())];
        if let Some(last) = text.iter().rposition(|&byte| !is_space(byte)) {
            self.end = self.at + last + 1;
        }
        let taken = newline.map_or(bytes.len(), |at| at + 1);
        if let Some(newline) = newline {
            self.give(self.at + newline, None, events);
            self.state = State::Blank;
        }
        self.at += taken;
        taken
    }

    fn byte(&mut self, byte: u8, events: &mut Vec<Framed>) {
        let here = self.at;
        self.at += 1;
        let space = is_space(byte);
        match self.state {
            State::Begin | State::First | State::Comma | State::Closed | State::Between if space => return,
            State::Begin if byte == b'[' => {
                self.begin(here);
                self.state = State::First;
            }
            State::Begin | State::Between => self.value(here, byte),
            State::First if byte == b']' => self.state = State::Closed,
            State::First | State::Comma => {
                self.begin(here);
                self.state = State::Element;
                self.element(here, byte, events);
            }
            State::Element => self.element(here, byte, events),
            State::Closed => {
                self.begin(here);
                self.broken(here);
            }
            State::Behind if space || matches!(byte, b'{' | b'[') => {
                self.give(here, None, events);
                self.state = State::Between;
                if !space {
                    self.value(here, byte);
                }
                return;
            }
            State::Behind | State::Scalar if space => {
                self.give(here, None, events);
                self.state = State::Between;
            }
            State::Behind => self.state = State::Scalar,
            // Of these none comes here: `feed` takes their bytes together.
            State::Container | State::Blank | State::Line => {}
            State::Scalar | State::Broken => {}
        }
        if !space {
            self.end = self.end.max(here + 1);
        }
    }

    /// The bytes inside an element's or a value's brackets and strings; returns how many were taken.
    fn nested(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            taken += self.nesting.plain(&bytes[taken..]);
            let Some(&byte) = bytes.get(taken) else { break };
            taken += 1;
            match self.nesting.step(byte) {
                Step::Inside => continue,
                Step::Outside if self.state == State::Container => self.state = State::Behind,
                Step::Outside => {}
                Step::Wrong => self.broken(self.at + taken - 1),
            }
            break;
        }
        if let Some(last) = bytes[..taken].iter().rposition(|&byte| !is_space(byte)) {
            self.end = self.at + last + 1;
        }
        self.at += taken;
        taken
    }

    /// The first byte of a value that stands in no array.
    fn value(&mut self, here: usize, byte: u8) {
        self.begin(here);
        self.state = if matches!(byte, b'{' | b'[') { State::Container } else { State::Scalar };
        self.nesting.step(byte);
        self.end = here + 1;
    }

    /// A byte of an array's element, outside its brackets and strings; or the `,` or `]` that ends it.
    fn element(&mut self, here: usize, byte: u8, events: &mut Vec<Framed>) {
        match byte {
            // `[,` or `,]`: a hole where an element should be.
            b',' | b']' if self.start == here => self.broken(here),
            b',' | b']' => {
                self.give(here, None, events);
                // Until the next element begins, it is the comma that the array breaks off at.
                self.begin(here);
                self.end = here;
                self.state = if byte == b',' { State::Comma } else { State::Closed };
            }
            b'}' => self.broken(here),
            _ => {
                self.nesting.step(byte);
            }
        }
    }

    fn begin(&mut self, here: usize) {
        self.start = here;
        self.end = here;
        self.cut = false;
        self.blanks_dropped = false;
        self.nesting.clear();
    }

    fn broken(&mut self, here: usize) {
        self.state = State::Broken;
        self.broken_at = here;
    }

    /// Is the event that has begun larger than it may be, with all that came before `here`?
    fn is_too_large(&self, here: usize) -> bool {
        here - self.start > self.event_bytes_max
    }

    /// The event that has begun ends before `here`, or with the blanks there.
    fn give(&mut self, here: usize, fault: Option<RejectCode>, events: &mut Vec<Framed>) {
        if !self.cut {
            let whole = Framed { start: self.start, end: self.end, fault };
            events.push(if self.is_too_large(here) { self.cut_to_size() } else { whole });
        }
        self.cut = false;
    }

    /// The first bytes of an event that is too large, and what was known of it when they were taken.
    fn cut_to_size(&self) -> Framed {
        let end = self.start + self.event_bytes_max;
        let was_broken = self.state == State::Broken && self.broken_at <= end;
        let fault = if was_broken { RejectCode::JsonSyntax } else { RejectCode::TooLarge };
        Framed { start: self.start, end, fault: Some(fault) }
    }

    /// The last blank stands for the bracket or comma behind which too many of them came.
    fn last_blank(&mut self) {
        self.start = self.at - 1;
        self.end = self.at;
        self.blanks_dropped = true;
    }

    /// Gives out what has become too large, so that nobody needs to keep it.
    fn bound(&mut self, events: &mut Vec<Framed>) {
        if self.at.saturating_sub(self.needed_from()) <= self.event_bytes_max {
            return;
        }
        match self.state {
            State::First | State::Comma => self.last_blank(),
            _ => {
                events.push(self.cut_to_size());
                self.cut = true;
            }
        }
    }
}

/// How deep in brackets and strings a byte stands.
#[derive(Debug, Default)]
struct Nesting {
    /// The closing brackets that are awaited. One bit a level would do; a byte keeps it plain.
    open: Vec<u8>,
    quoted: bool,
    escaped: bool,
    /// More than the largest event can have. Only one that was cut comes here, and it ends so.
    levels_max: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Inside,
    /// The byte closed the outermost bracket or string.
    Outside,
    /// A bracket closes what it did not open.
    Wrong,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.open.is_empty() && !self.quoted
    }

    fn clear(&mut self) {
        self.open.clear();
        self.quoted = false;
        self.escaped = false;
    }

    /// How many bytes from here on open and close nothing.
    fn plain(&self, bytes: &[u8]) -> usize {
        let plain = match (self.quoted, self.escaped) {
            (true, true) => Some(0),
            (true, false) => bytes.iter().position(|&byte| matches!(byte, b'"' | b'\\')),
            (false, _) => bytes.iter().position(|&byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')),
        };
        plain.unwrap_or(bytes.len())
    }

    fn step(&mut self, byte: u8) -> Step {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' if self.open.len() >= self.levels_max => return Step::Wrong,
                b'{' => self.open.push(b'}'),
                b'[' => self.open.push(b']'),
                b'}' | b']' if self.open.pop() != Some(byte) => return Step::Wrong,
                _ => {}
            }
        }
        if self.is_outside() { Step::Outside } else { Step::Inside }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
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

    /// The same events, however the bytes are cut into pieces.
    fn in_pieces(
        layout: Layout,
        body: &[u8],
        piece: usize,
        events_max: usize,
        event_bytes_max: usize,
    ) -> Vec<Framed> {
        let mut framer = Framer::new(layout, event_bytes_max);
        let (mut all, mut events) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < body.len() {
            at += framer.feed(&body[at..body.len().min(at + piece)], &mut events, events_max);
            assert!(
                at - framer.needed_from() <= event_bytes_max.saturating_add(piece),
                "what is kept is bounded"
            );
            all.append(&mut events);
        }
        framer.finish(&mut all);
        all
    }

    const DOCUMENTS: &[&str] = &[
        "[{\"a\":1},{\"a\":\"],[\\\"\"} , 3] ",
        "[[1,[2]],{\"x\":[{}]}] x",
        "[1,,2]",
        "[1,  ",
        " [ ",
        "[1,{\"a\":2]},{\"a\":3}]",
        "{\"a\":1}\n{\"a\":2}\t3 \"x y\" {\"a\":1}} {}[]{\"b\":\"\\",
        "\n\n {\"a\":1} \r\n\n no\n  [1]",
        "",
    ];

    #[test]
    fn pieces_change_nothing() {
        for document in DOCUMENTS {
            for layout in [Layout::Lines, Layout::Json] {
                let expected = whole(layout, document.as_bytes(), 100).unwrap();
                for piece in 1..=document.len() {
                    for events_max in [1, 100] {
                        let found = in_pieces(layout, document.as_bytes(), piece, events_max, usize::MAX);
                        assert_eq!(found, expected, "{document:?} in pieces of {piece}");
                    }
                }
            }
        }
    }

    /// What is known of an event when its first bytes are taken is all that its code may tell.
    #[test]
    fn the_code_of_what_is_cut_does_not_depend_on_the_pieces() {
        for (body, code) in [
            ("[1,{\"a\":2]},{\"a\":3}]", RejectCode::TooLarge),
            ("[1,2}345678]", RejectCode::JsonSyntax),
            ("[1,123456}78,9]", RejectCode::TooLarge),
            ("[1,{\"a\":2", RejectCode::TooLarge),
        ] {
            for piece in 1..=body.len() {
                let events = in_pieces(Layout::Json, body.as_bytes(), piece, 100, 5);
                let last = events.last().map(|event| (event.start, event.end, event.fault));
                assert_eq!(last, Some((3, 8, Some(code))), "{body:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_cut_and_counts_once() {
        let check = |layout, body: &str, expected: &[&str]| {
            for piece in 1..=body.len() {
                let events = in_pieces(layout, body.as_bytes(), piece, 100, 5);
                assert_eq!(texts(body, &events), expected, "{body:?} in pieces of {piece}");
            }
        };
        check(Layout::Lines, "123456789\n12345\n", &["!12345", "12345"]);
        check(Layout::Lines, "1\n123456789", &["1", "!12345"]);
        check(Layout::Json, "[\"123456\",7,{\"a\":[1,2]},8]", &["!\"1234", "7", "!{\"a\":", "8"]);
        check(Layout::Json, "[1,123456}78,9]", &["1", "!12345"]);
        check(Layout::Json, "{\"a\":1}{} \"123456\" 7", &["!{\"a\":", "{}", "!\"1234", "7"]);
        check(Layout::Json, "[1] 23456789", &["1", "!23456"]);
        check(Layout::Lines, "1         \n2\n", &["!1    ", "2"]);
        check(Layout::Json, "[1         ,2]", &["!1    ", "2"]);
        check(Layout::Json, "[1,      ", &["1", "! "]);
        let blanks = format!("[1,{}2]", " ".repeat(1000));
        assert_eq!(texts(&blanks, &in_pieces(Layout::Json, blanks.as_bytes(), 7, 100, 5)), ["1", "2"]);
        let open = "[".repeat(1000);
        assert_eq!(texts(&open, &in_pieces(Layout::Json, open.as_bytes(), 7, 100, 5)), ["![[[[["]);
    }
}
