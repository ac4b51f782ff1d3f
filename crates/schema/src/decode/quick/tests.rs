//! The short ways against the long one: the same rows, the same rejects to the byte and the word.

use std::sync::Arc;

use hw_vault::HashKey;

use crate::{Applied, DecodeLimits, Decoder, Format, Generator, Record, Schema};

const LIMITS: DecodeLimits = DecodeLimits { depth: 6, event_bytes: 4000 };

/// Every kind of value with and without rules, protection, a key and a time; more fields than fit in one word.
fn schemas() -> Vec<Arc<Schema>> {
    let many: Vec<String> = (0..140)
        .map(|n| format!(r#""field_{n}":{{"type":"{}"}}"#, ["integer", "string", "number", "boolean"][n % 4]))
        .collect();
    let documents = [
        r#"{"type":"object","required":["a","s"],"properties":{
            "a":{"type":"integer"},"n":{"type":"number"},"s":{"type":"string"},"b":{"type":"boolean"},
            "at":{"type":"string","format":"date-time"},"null":{"type":["integer","null"]},
            "a_long_name_with_more_bytes":{"type":"string"},"l":{"type":"array","items":{"type":"integer"}},
            "o":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"number"}}},
            "m":{"type":"object","additionalProperties":{"type":"boolean"}}}}"#,
        r#"{"type":"object","required":["k","j"],"x-key":["k","j"],"x-partitions":7,"x-event-time":"at",
            "additionalProperties":false,"properties":{
            "k":{"type":"string","maxLength":9},"j":{"type":"integer","minimum":-5},
            "at":{"type":"string","format":"date-time"},"n":{"type":"number","maximum":100,"exclusiveMinimum":-1},
            "e":{"enum":["red","green",""]},"f":{"enum":[1,2,30]},"u":{"type":"string","format":"uuid"},
            "t":{"type":"integer","x-time":"ns"},"tf":{"type":"number","x-time":"s"}}}"#,
        r#"{"type":"object","properties":{
            "id":{"type":"integer","x-privacy":"hash"},"s":{"type":"string","x-privacy":"hash","minLength":1},
            "f":{"type":"number","x-privacy":"hash"},"at":{"type":"string","format":"date-time","x-privacy":"hash"},
            "b":{"type":"boolean","x-privacy":"hash"},"gone":{"type":"integer","x-privacy":"drop","minimum":3},
            "who":{"type":"string","x-privacy":"drop"},"t":{"type":"integer","x-time":"ms","x-privacy":"hash"},
            "l":{"type":"array","items":{"type":"string","x-privacy":"hash"}}}}"#,
        &format!(
            r#"{{"type":"object","x-event-time":"t","properties":{{"t":{{"type":"integer","x-time":"us"}},{}}}}}"#,
            many.join(",")
        ),
    ];
    let parse = |document: &&str| match Schema::parse(document) {
        Ok(checked) => Arc::new(checked.schema),
        Err(faults) => panic!("{document}: {faults:#?}"),
    };
    documents.iter().map(parse).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    /// Changes a few bytes, as senders and wires do.
    fn damage(&mut self, event: &mut Vec<u8>) {
        const PIECES: [&[u8]; 24] = [
            b" ",
            b"\n",
            b"\t ",
            b",",
            b":",
            b"\"",
            b"{",
            b"}",
            b"[",
            b"]",
            b"-",
            b"0",
            b"9",
            b".",
            b"e5",
            b"\\n",
            b"\\u00e9",
            b"\xc3\xa9",
            b"\x80",
            b"\x01",
            b"null",
            b"true",
            b"12345678901234567",
            b"abcdefghijklmnopqrstuvwxyz",
        ];
        for _ in 0..self.below(3) {
            let at = self.below(event.len() + 1);
            match self.below(4) {
                0 => event.truncate(at),
                1 if at < event.len() => drop(event.remove(at)),
                _ => drop(event.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
            }
        }
    }

    /// White space behind every comma and colon, in strings too.
    fn spread(&mut self, event: &[u8]) -> Vec<u8> {
        let space: &[u8] = [&b""[..], b"", b" ", b"\n  "][self.below(4)];
        let spread = |byte: &u8| {
            let space: &[u8] = if matches!(byte, b',' | b':') { space } else { b"" };
            [&[*byte][..], space].concat()
        };
        event.iter().flat_map(spread).collect()
    }
}

fn decoder(schema: &Arc<Schema>) -> Decoder {
    Decoder::new(Arc::clone(schema), HashKey::from_bytes(&[9; 32]), LIMITS)
}

fn apply(decoder: &mut Decoder, events: &[Vec<u8>]) -> Applied {
    let record = |bytes| Record { bytes, format: Format::Json, fault: None, event_time: None };
    let records: Vec<Record<'_>> = events.iter().map(|event| record(event.as_slice())).collect();
    decoder.apply(&records)
}

#[track_caller]
fn same(short: &Applied, long: &Applied, told: &str) {
    assert_eq!(short.batch, long.batch, "{told}");
    assert_eq!(short.rows, long.rows, "{told}");
    assert_eq!(short.rejects, long.rejects, "{told}");
    assert_eq!(short.extra_dropped, long.extra_dropped, "{told}");
}

#[test]
fn the_short_ways_end_where_the_long_one_does() {
    let rounds = if cfg!(miri) { 3 } else { 600 };
    let (mut rows, mut rejects) = (0, 0);
    for (index, schema) in schemas().iter().enumerate() {
        let seed = 0x5eed_0001 + index as u64;
        let mut random = Random(seed);
        let mut generator = Generator::new(Arc::clone(schema), LIMITS, seed);
        let codes: Vec<_> = generator.codes().collect();
        let (mut short, mut long) = (decoder(schema), decoder(schema));
        long.take_the_long_way();
        for round in 0..rounds {
            let mut events = Vec::new();
            for number in 0..1 + random.below(20) as u64 {
                let intended = (random.below(4) == 0).then(|| codes[random.below(codes.len())]);
                let Ok(event) = generator.event(round * 20 + number, intended) else { continue };
                let mut event = random.spread(&event);
                if random.below(2) == 0 {
                    random.damage(&mut event);
                }
                events.push(event);
            }
            let (short, long) = (apply(&mut short, &events), apply(&mut long, &events));
            let text: Vec<_> = events.iter().map(|event| String::from_utf8_lossy(event)).collect();
            same(&short, &long, &format!("schema {index}, seed {seed}, round {round}: {text:#?}"));
            rows += short.rows.len();
            rejects += short.rejects.len();
        }
    }
    assert!(cfg!(miri) || rows > 5_000 && rejects > 5_000, "{rows} rows, {rejects} rejects");
}

#[test]
fn values_at_every_border_of_the_short_ways() {
    let schema = schemas().remove(0);
    let (mut short, mut long) = (decoder(&schema), decoder(&schema));
    long.take_the_long_way();
    let numbers = [
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-01",
        "1",
        "12345678",
        "123456789",
        "123456789012345",
        "1234567890123456",
        "9223372036854775807",
        "9223372036854775808",
        "1.0",
        "1.",
        ".5",
        "0.1",
        "-0.0",
        "1e2",
        "1E-2",
        "1.5e",
        "9007199254740992",
        "9007199254740993",
        "0.1234567890123456",
        "123456789.123456789",
        "1.7976931348623157e309",
        "0.00000000000000000001",
        "true",
        "\"1\"",
        "null",
        "1x",
        "1 ",
        "1\u{1}",
        "-1.5",
        "12345678.12345678",
    ];
    let strings = [
        "",
        "a",
        "exactly_15_bytes",
        "exactly_sixteen_",
        "exactly_seventeen",
        "\\n",
        "é",
        "日本語",
        "tab\tin",
        "\\ud83d\\ude00",
        "a much longer text, of more than thirty-two bytes, and an \\\"escape\\\" late",
    ];
    let times = [
        "2026-11-21T20:15:42.123Z",
        "2026-11-21T20:15:42Z",
        "2026-11-21T20:15:42.123456Z",
        "2026-11-21T20:15:60Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.000Z",
        "2026-11-21T24:00:00Z",
        "2026-13-21T20:15:42Z",
        "2026-11-21T20:15:42.123z",
        "2026-11-21t20:15:42Z",
        "2026-11-21T20:15:42+01:00",
        "2026-11-21T20:15:42.12Z",
        "0000-01-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2026-11-21 20:15:42Z",
        "2026-11-21T20:15:4",
    ];
    let mut events = Vec::new();
    for rest in ["}", " }", ",\"b\":true}", ",\"a_long_name_with_more_bytes\":\"with a value\"}", ",", ""] {
        for number in numbers {
            events.push(format!("{{\"a\":{number},\"s\":\"\"{rest}"));
            events.push(format!("{{\"s\":\"\",\"n\":{number}{rest}"));
            events.push(format!("{{\"a\":1,\"s\":\"\",\"l\":[{number},{number}]{rest}"));
            events.push(format!("{{\"a\":1,\"s\":\"\",\"b\":{number}{rest}"));
            events.push(format!("{{\"a\":1,\"s\":\"\",\"o\":{{\"y\":{number}}}{rest}"));
        }
        for string in strings {
            events.push(format!("{{\"a\":1,\"s\":\"{string}\"{rest}"));
            events.push(format!("{{\"a\":1,\"s\":\"{string}{rest}"));
            events.push(format!("{{\"a\":1,\"{string}\":1,\"s\":\"\"{rest}"));
            events.push(format!("{{\"a\":1,\"s\":\"\",\"m\":{{\"{string}\":true}}{rest}"));
        }
        for time in times {
            events.push(format!("{{\"a\":1,\"s\":\"\",\"at\":\"{time}\"{rest}"));
        }
        events.push(format!("{{\"a\":1,\"s\":\"\",\"a\":2{rest}"));
        events.push(format!("{{\"a\" : 1 ,\"s\":\"\",\"b\" :false{rest}"));
    }
    let events: Vec<Vec<u8>> = events.into_iter().map(String::into_bytes).collect();
    // Alone and all together.
    for event in &events {
        let event = std::slice::from_ref(event);
        let told = String::from_utf8_lossy(&event[0]);
        same(&apply(&mut short, event), &apply(&mut long, event), &told);
    }
    same(&apply(&mut short, &events), &apply(&mut long, &events), "all of them");
}
