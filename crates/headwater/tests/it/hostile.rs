//! Half of all events bad, in every code a schema can give, and the good ones full of the nastiest text: nothing panics,
//! nothing is lost, and each verdict is the intended one.
//! Latencies of a healthy producer beside the flood are printed, not judged: time is a question for a benchmark.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hw_schema::{DecodeLimits, Generator, Schema};
use serde_json::{Value, json};

use crate::server::{Server, project};

const SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "n": {"type": "integer", "minimum": 0, "maximum": 1000000, "multipleOf": 1},
    "ratio": {"type": "number", "exclusiveMinimum": -1, "maximum": 10, "multipleOf": 0.25},
    "kind": {"type": "string", "enum": ["a", "b", "c"]},
    "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 8},
    "at": {"type": "string", "format": "date-time"},
    "mail": {"type": "string", "format": "email", "x-privacy": "hash"},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 3, "uniqueItems": true},
    "where": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"]},
    "shape": {"oneOf": [{"type": "integer"}, {"type": "object", "required": ["r"], "properties": {"r": {"type": "number"}}}]},
    "text": {"type": "string"}
  },
  "required": ["n", "kind"],
  "dependentRequired": {"ratio": ["code"]},
  "x-extra": "refuse",
  "x-key": ["n"],
  "x-partitions": 4
}"##;
const PROBE: &str = r#"{"type": "object", "properties": {"n": {"type": "integer"}}}"#;
const BATCH: usize = 1000;
const PRODUCERS: usize = 4;
const POOL: u64 = 6000;
/// Events a second, the same of the clean run and the other; as fast as it goes would measure the machine. `HW_RATE`.
const RATE: usize = 20_000;

/// Texts that have broken other software.
const NAUGHTY: &[&str] = &[
    "",
    "\u{0}",
    "\u{1}\u{8}\u{1b}[31mred\u{1b}[0m\u{7f}\u{85}",
    "\u{feff}bom",
    "\u{202e}txet desrever",
    "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}",
    "👩‍👩‍👧‍👦🏳️‍🌈🇺🇳",
    "\u{10ffff}\u{fffe}\u{ffff}\u{1f4a9}",
    "İıßẞﬀ",
    "'; DROP TABLE events; --",
    "\" OR \"\"=\"",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}} <%= 7*7 %> #{7*7}",
    "%s%s%s%n%n%x",
    "../../../../etc/passwd\u{0}.json",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "__proto__",
    "NaN",
    "1e400",
    "null",
    "\\u0000\\ud800",
    "\r\n\r\nHTTP/1.1 200 OK",
    "id=1&tp=2&ts=1586896417",
];

/// Lines that are no events, each with its code.
fn broken_lines() -> Vec<(Vec<u8>, &'static str)> {
    let good = |text: &str| text.as_bytes().to_vec();
    vec![
        (b"{\"n\":1,\"kind\":\"a\",\"text\":\"\xff\xfe\"}".to_vec(), "json_unicode"),
        (b"{\"n\":1,\"kind\":\"a\",\"text\":\"\xc0\xaf\"}".to_vec(), "json_unicode"),
        (b"{\"n\":1,\"kind\":\"a\",\"text\":\"\xed\xa0\x80\"}".to_vec(), "json_unicode"),
        (good(r#"{"n":1,"kind":"a","text":"\ud800"}"#), "json_unicode"),
        (b"{\"n\":1,\"kind\":\"a\",\"text\":\"\x00\"}".to_vec(), "json_syntax"),
        (good("\u{feff}{\"n\":1}"), "json_syntax"),
        (good(&"[".repeat(100_000)), "json_depth"),
        (good(&format!(r#"{{"text":{}"#, "[{\"a\":".repeat(5000))), "json_depth"),
        (good(&format!(r#"{{"n":1{},"kind":"a"}}"#, "0".repeat(50_000))), "out_of_range"),
        (good(r#"{"n":1e99999999999,"kind":"a"}"#), "out_of_range"),
        (good(r#"{"n":1,"n":2,"kind":"a"}"#), "json_repeated_key"),
        (good(r#"{"n":1,"\u006e":2,"kind":"a"}"#), "json_repeated_key"),
        (good(&format!(r#"{{"n":1,"kind":"a","{}":1}}"#, "k".repeat(100_000))), "unknown_field"),
        (good(r#"{"n":1,"kind":"a","__proto__":{}}"#), "unknown_field"),
        (good(r#"{"n":1,"kind":"a","shape":[[[[]]]]}"#), "keyword"),
        (good(r#"{"n":1,"kind":"a","shape":{"r":"x"}}"#), "keyword"),
        (good(r#"{"n":1,"kind":"a","ratio":0.25}"#), "keyword"),
        (good("'single quotes'"), "json_syntax"),
        (good("NaN"), "json_syntax"),
        (good("[1,2]"), "not_object"),
        (good("\"text\""), "not_object"),
    ]
}

/// Each event with its code, `None` for a good one; half are bad.
fn pool() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap().schema);
    let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
    let mut generator = Generator::new(schema, limits, 20_261_122);
    // Events as large as the limit come once in a while, below.
    let codes: Vec<_> = generator.codes().filter(|code| code.as_str() != "too_large").collect();
    assert!(codes.len() >= 15, "{codes:?}");
    let broken = broken_lines();
    let mut events = Vec::new();
    for number in 0..POOL {
        let code = codes[number as usize % codes.len()];
        let good = generator.event(number, None).unwrap();
        let bad = generator.event(number, Some(code)).unwrap();
        let naughty = NAUGHTY[number as usize % NAUGHTY.len()];
        events.push((good, None));
        events.push((bad, Some(code.as_str())));
        events
            .push((json!({"n": number % 1000, "kind": "a", "text": naughty}).to_string().into_bytes(), None));
        let (line, code) = broken[number as usize % broken.len()].clone();
        // The longest of them would make a body of nothing else.
        match line.len() {
            0..1000 => events.push((line, Some(code))),
            _ if number < 60 => events.push((line, Some(code))),
            _ => events.push((b"{".to_vec(), Some("json_syntax"))),
        }
    }
    let large = json!({"n": 1, "kind": "a", "text": "x".repeat(1 << 20)});
    events.push((large.to_string().into_bytes(), Some("too_large")));
    events.push((br#"{"n":1,"kind":"a"}"#.to_vec(), None));
    events
}

/// One event each few milliseconds, whether or not the one before was answered; the latencies.
async fn probe(server: &Server, stop: Arc<AtomicBool>) -> Vec<Duration> {
    const EVERY: Duration = Duration::from_millis(5);
    let (client, url) = (server.client(), format!("{}/v1/streams/probe/events", server.http));
    let mut ticks = tokio::time::interval(EVERY);
    let mut sent = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        let due: Instant = ticks.tick().await.into();
        let request = client.post(&url).header("content-type", "application/json").body(r#"{"n":1}"#);
        sent.spawn(async move {
            assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
            due.elapsed()
        });
    }
    let mut latencies = sent.join_all().await;
    latencies.sort();
    latencies
}

/// Sends `total` events of the pool in requests of `BATCH`; how many of each verdict were intended and received.
async fn flood(
    server: &Server,
    events: &[(Vec<u8>, Option<&'static str>)],
    total: usize,
) -> BTreeMap<&'static str, i64> {
    let requests = total / BATCH;
    let rate: usize = std::env::var("HW_RATE").ok().and_then(|n| n.parse().ok()).unwrap_or(RATE);
    let every = Duration::from_secs_f64((BATCH * PRODUCERS) as f64 / rate as f64);
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..PRODUCERS {
        let (client, url) = (server.client(), format!("{}/v1/streams/hostile/events", server.http));
        let bodies: Vec<(Vec<u8>, u64)> = (producer..requests)
            .step_by(PRODUCERS)
            .map(|request| {
                let (mut body, mut bad) = (Vec::new(), 0);
                for place in 0..BATCH {
                    let (line, code) = &events[(request * BATCH + place) % events.len()];
                    body.extend_from_slice(line);
                    body.push(b'\n');
                    bad += u64::from(code.is_some());
                }
                (body, bad)
            })
            .collect();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(every);
            for (body, bad) in bodies {
                ticks.tick().await;
                let request = client.post(&url).header("content-type", "application/x-ndjson").body(body);
                let answer = request.send().await.unwrap();
                let receipt: Value = answer.json().await.unwrap();
                assert_eq!(receipt["rejected"], bad, "{receipt}");
                assert_eq!(receipt["accepted"], BATCH as u64 - bad, "{receipt}");
            }
        });
    }
    tasks.join_all().await;
    let mut intended = BTreeMap::new();
    for place in 0..requests * BATCH {
        *intended.entry(events[place % events.len()].1.unwrap_or("")).or_default() += 1;
    }
    intended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_bad_in_every_code_is_judged_to_the_event() {
    let total: usize = std::env::var("HW_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(120_000);
    let directory = tempfile::tempdir().unwrap();
    let files = [("headwater.toml", ""), ("schemas/hostile.json", SCHEMA), ("schemas/probe.json", PROBE)];
    let server = Server::start(&project(directory.path(), &files), &directory.path().join("data"));
    let events = pool();
    let clean: Vec<_> = events.iter().filter(|(_, code)| code.is_none()).cloned().collect();

    let mut intended: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, events, total) in [("clean", &clean, total / 2), ("half bad", &events, total)] {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let sent = async {
            let sent = flood(&server, events, total).await;
            stop.store(true, Ordering::Relaxed);
            sent
        };
        let (sent, latencies) = tokio::join!(sent, probe(&server, Arc::clone(&stop)));
        sent.into_iter().for_each(|(code, count)| *intended.entry(code).or_default() += count);
        let at =
            |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!(
            "{name}: {total} events in {:.1} s; healthy events beside: {} at p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            began.elapsed().as_secs_f64(),
            latencies.len(),
            at(0.5),
            at(0.99),
            at(1.0),
        );
    }

    let good = intended.remove("").unwrap();
    let bad: i64 = intended.values().sum();
    let ledger = server
        .sql("SELECT sum(received), sum(stored), sum(rejected), sum(duplicates) FROM ledger WHERE stream = 'hostile'")
        .await;
    assert_eq!(json!(ledger), json!([[good + bad, good, bad, 0]]));
    let codes = server.sql("SELECT code, count(*) FROM rejects GROUP BY code ORDER BY code").await;
    let intended: Vec<Value> = intended.into_iter().map(|(code, count)| json!([code, count])).collect();
    assert_eq!(json!(codes), Value::Array(intended));
    assert_eq!(server.number("SELECT count(*) FROM hostile").await, good);

    // The naughty texts came through to the letter.
    let texts = server.sql("SELECT DISTINCT text FROM hostile WHERE kind = 'a' AND ratio IS NULL").await;
    let stored: HashSet<&str> = texts.iter().filter_map(|row| row[0].as_str()).collect();
    for text in NAUGHTY {
        assert!(stored.contains(text), "{text:?} is not stored");
    }
    let stderr = server.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(server.terminate().success());
}
