//! CloudEvents over HTTP: every mode and every fault, and what is kept of what an envelope says.

use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Request;
use http_body_util::BodyExt;
use hw_event::Ack;
use hw_gate::doors::http::{HttpSettings, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{House, World};

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const JSON: (&str, &str) = ("content-type", "application/json");
const CE: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "b-1"), ("ce-source", "/pad"), ("ce-type", "reading")];

async fn post(
    house: &House,
    stream: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> (u16, Value) {
    let settings = HttpSettings { body_bytes: 1 << 19, request_time: Duration::from_secs(5), ack: Ack::Disk };
    let mut request = Request::post(format!("/v1/streams/{stream}/events"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.into())).unwrap();
    let response = router(house.gate.clone(), settings).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// An envelope with the required attributes, and `rest` behind them.
fn envelope(id: &str, rest: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/pad","type":"reading"{rest}}}"#)
}

/// The rows of a stream as `id: _id @time {headers}`, in the order of the log.
fn shown(house: &House, stream: &str) -> Vec<String> {
    house.rows(stream).iter().flat_map(shown_rows).collect()
}

fn shown_rows(batch: &RecordBatch) -> Vec<String> {
    let ids = batch.column_by_name("id").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
    let times = batch.column_by_name("_time").unwrap().as_primitive::<TimestampMicrosecondType>();
    let text = |column: Option<&arrow::array::ArrayRef>, row: usize| {
        let column = column.map(|column| column.as_string::<i32>().clone());
        column
            .filter(|column| column.is_valid(row))
            .map_or("-".to_owned(), |column| column.value(row).to_owned())
    };
    let headers = |row: usize| {
        let Some(maps) = batch.column_by_name("_headers").filter(|maps| maps.is_valid(row)) else {
            return "-".to_owned();
        };
        let entries = maps.as_map().value(row);
        let [names, values] = [0, 1].map(|column| entries.column(column).as_string::<i32>().clone());
        (0..names.len())
            .map(|n| format!("{}={}", names.value(n), values.value(n)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let row = |row: usize| {
        let seconds = times.value(row) / 1_000_000;
        format!("{}: {} @{seconds} {}", ids.value(row), text(batch.column_by_name("_id"), row), headers(row))
    };
    (0..batch.num_rows()).map(row).collect()
}

const NOW: i64 = 1_790_000_000;

#[tokio::test]
async fn each_mode_stores_the_data_and_what_the_envelope_says() {
    let house = World::new().open();
    let data = r#"{"id":1,"who":"a"}"#;
    let extended = format!(
        r#","subject":"tank","time":"2026-09-21T00:00:00+02:00","traceparent":"00-1","n":7,"on":true,"data": {data} "#
    );
    let (status, receipt) = post(&house, "reading", &[STRUCTURED], envelope("s-1", &extended)).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)), "{receipt}");

    let packed = format!(r#","data_base64":"{}""#, STANDARD.encode(r#"{"id":2,"who":"a"}"#));
    let batch = format!("[{}, {}]", envelope("x", &packed), envelope("y", r#","data":{"who":"a","id":3}"#));
    let (status, receipt) = post(&house, "reading", &[BATCH], batch).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(2)), "{receipt}");

    let mut headers = CE.to_vec();
    headers.extend([("Ce-Subject", "caf%C3%A9 %25"), ("ce-time", "2026-09-21T00:00:00Z"), JSON]);
    let (status, receipt) = post(&house, "reading", &headers, r#"{"id":4,"who":"a"}"#).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)), "{receipt}");
    let vendor = [&CE[..], &[("content-type", "application/vnd.pad.v1+json; charset=utf-8")]].concat();
    let form = [&CE[..], &[("content-type", "application/x-www-form-urlencoded")]].concat();
    for headers in [&CE[..], &vendor, &form] {
        assert_eq!(post(&house, "reading", headers, r#"{"id":5,"who":"a"}"#).await.0, 200);
    }
    // The type of the body says structured, whatever the headers say.
    let both = [&CE[..], &[STRUCTURED]].concat();
    assert_eq!(post(&house, "reading", &both, envelope("s-2", r#","data":{"id":6,"who":"a"}"#)).await.0, 200);
    assert_eq!(post(&house, "reading", &[JSON], r#"{"id":7,"who":"a"}"#).await.0, 200);
    assert_eq!(
        shown(&house, "reading"),
        [
            "1: s-1 @1789941600 ce-n=7 ce-on=true ce-source=/pad ce-subject=tank ce-time=2026-09-21T00:00:00+02:00 \
             ce-traceparent=00-1 ce-type=reading",
            &format!("2: x @{NOW} ce-source=/pad ce-type=reading"),
            &format!("3: y @{NOW} ce-source=/pad ce-type=reading"),
            "4: b-1 @1789948800 ce-datacontenttype=application/json ce-source=/pad ce-subject=café % \
             ce-time=2026-09-21T00:00:00Z ce-type=reading",
            &format!("5: b-1 @{NOW} ce-source=/pad ce-type=reading"),
            &format!(
                "5: b-1 @{NOW} ce-datacontenttype=application/vnd.pad.v1+json; charset=utf-8 ce-source=/pad \
                 ce-type=reading"
            ),
            &format!("5: b-1 @{NOW} ce-source=/pad ce-type=reading"),
            &format!("6: s-2 @{NOW} ce-source=/pad ce-type=reading"),
            &format!("7: - @{NOW} -"),
        ]
    );
    assert_eq!(house.ledger(), [9, 9, 0, 0, 0]);
    house.close().await;
}

#[tokio::test]
async fn the_events_own_time_wins() {
    let house = World::new().open();
    let with = |id: u8, at: &str| {
        let data = format!(r#","time":"2026-09-21T00:00:00Z","data":{{"id":{id}{at}}}"#);
        envelope("e", &data)
    };
    let batch = [with(1, r#","at":"1970-01-01T00:00:09Z""#), with(2, r#","at":null"#), with(3, "")].join(",");
    let (status, receipt) = post(&house, "timed", &[BATCH], format!("[{batch}]")).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(3)), "{receipt}");
    let times: Vec<_> =
        shown(&house, "timed").iter().map(|row| row.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(times, ["@9", "@1789948800", "@1789948800"]);
    house.close().await;
}

#[tokio::test]
async fn a_single_event_with_a_bad_envelope_is_refused_and_says_which_attribute() {
    let house = World::new().open();
    let data = r#","data":{"id":1,"who":"a"}"#;
    let good = envelope("a", data);
    let cases = [
        (good.replace("1.0", "0.3"), "cloudevent", "specversion"),
        (good.replace(r#""id":"a","#, ""), "cloudevent", "id is missing"),
        (good.replace(r#""id":"a","#, r#""id":"","#), "cloudevent", "id is empty"),
        (good.replace(r#""id":"a","#, r#""id":null,"#), "cloudevent", "id is missing"),
        (good.replace("source", "sauce"), "cloudevent", "source is missing"),
        (envelope("a", &format!(r#","time":"yesterday"{data}"#)), "cloudevent", "time is no RFC 3339"),
        (envelope("a", &format!(r#","data_base64":"MQ=="{data}"#)), "cloudevent", "data and data_base64"),
        (envelope("a", &format!(r#","id":"b"{data}"#)), "json_repeated_key", "twice"),
        (good.replace(r#""/pad""#, "tru"), "json_syntax", "byte"),
        (good[..good.len() - 1].to_owned(), "json_syntax", "byte"),
        (good.replace("/pad", r"\ud800"), "json_unicode", "byte"),
        (format!("[{good}]"), "not_object", "object"),
    ];
    for (body, code, says) in &cases {
        let (status, problem) = post(&house, "reading", &[STRUCTURED], body.as_str()).await;
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let without = |name: &str| CE.iter().copied().filter(|pair| pair.0 != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| [&without(name)[..], &[(name, value)]].concat();
    let cases = [
        (without("ce-id"), "id is missing"),
        (without("ce-type"), "type is missing"),
        (with("ce-source", ""), "source is empty"),
        (with("ce-specversion", "0.3"), "specversion"),
        (with("ce-time", "2026-09-21 00:00:00"), "time is no RFC 3339"),
        (with("ce-subject", "100%"), "ce-subject"),
        (with("ce-trace_id", "1"), "lower-case"),
        ([&CE[..], &[("ce-id", "again")]].concat(), "id is given twice"),
    ];
    for (headers, says) in &cases {
        let (status, problem) = post(&house, "reading", headers, r#"{"id":1,"who":"a"}"#).await;
        assert_eq!((status, &problem["code"]), (400, &json!("cloudevent")), "{headers:?}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(house.ledger(), [0; 5], "nothing was kept");
    house.close().await;
}

#[tokio::test]
async fn other_types_and_empty_bodies_are_refused() {
    let house = World::new().open();
    let good = envelope("a", r#","data":{"id":1,"who":"a"}"#);
    let binary = |content_type| [&CE[..], &[("content-type", content_type)]].concat();
    for (headers, body, status, code) in [
        (vec![("content-type", "application/cloudevents+avro")], &*good, 415, "content_type"),
        (vec![("content-type", "application/cloudevents")], &*good, 415, "content_type"),
        (binary("text/plain"), "{}", 415, "content_type"),
        (binary("application/x-ndjson"), "{}", 415, "content_type"),
        (binary("application/cbor"), "{}", 415, "content_type"),
        (vec![STRUCTURED], "", 400, "empty_body"),
        (vec![STRUCTURED], " \n", 400, "empty_body"),
        (vec![BATCH], "", 400, "empty_body"),
        (vec![BATCH], " [ ] ", 400, "empty_body"),
        (vec![BATCH], &*good, 400, "cloudevent"),
    ] {
        let (got, problem) = post(&house, "reading", &headers, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{headers:?} {body}: {problem}");
    }
    house.close().await;
}

#[tokio::test]
async fn in_a_batch_a_bad_envelope_costs_no_neighbour() {
    let house = World::new().open();
    let good = |n: u8| envelope("g", &format!(r#","data":{{"id":{n},"who":"a"}}"#));
    let bad = [
        (envelope("b", r#","time":"noon","data":{}"#), "record", "time is no RFC 3339", "\"time\""),
        (good(1).replace(r#""id":"g","#, ""), "record", "id is missing", ""),
        (envelope("b", r#","type":"again","data":{}"#), "json_repeated_key", "twice", "\"type\":\"again\""),
        (good(1).replace("1.0\"", "1.0\\q\""), "json_syntax", "escape", "\\q"),
        ("17".to_owned(), "not_object", "expected an object", "17"),
        (envelope("b", ""), "not_object", "has no data", "{"),
    ];
    let elements: Vec<String> =
        bad.iter().enumerate().flat_map(|(n, bad)| [good(n as u8), bad.0.clone()]).collect();
    // The array breaks off inside of its last element.
    let body = format!("[{}, {{\"specversion\":", elements.join(" ,\n"));
    let (status, receipt) = post(&house, "reading", &[BATCH], body).await;
    assert_eq!(
        (status, &receipt["accepted"], &receipt["rejected"]),
        (200, &json!(6), &json!(7)),
        "{receipt}"
    );
    for (n, (text, code, says, _)) in bad.iter().enumerate() {
        let error = &receipt["errors"][n];
        assert_eq!((&error["index"], &error["code"]), (&json!(2 * n + 1), &json!(code)), "{text}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    assert_eq!(receipt["errors"][6]["code"], json!("json_syntax"));
    let rejected = house.rejected();
    let offsets = house.reject_offsets();
    for (n, (text, _, _, fault)) in bad.iter().enumerate() {
        // What is missing is missed at the end.
        let offset = if fault.is_empty() { text.len() } else { text.find(fault).unwrap() };
        assert_eq!(String::from_utf8_lossy(&rejected[n]), *text, "the whole envelope is kept");
        assert_eq!(offsets[n], offset as i64, "{text}");
    }
    assert_eq!(rejected[6], br#"{"specversion":"#);
    assert_eq!(house.ledger(), [13, 6, 7, 0, 0]);
    house.close().await;
}

#[tokio::test]
async fn a_reject_keeps_the_bytes_of_the_data_and_counts_in_them() {
    let house = World::new().open();
    let packed = STANDARD.encode(r#"{"id": "p","who":"a"}"#);
    let batch = [
        envelope("a", r#","data": {"id": 1, "who": 5} ,"x":"y""#),
        envelope("b", &format!(r#","data_base64":"{packed}""#)),
        envelope("c", r#","data":"text""#),
        envelope("d", r#","data":null"#),
        envelope("e", r#","data":{"id":1,"id":2}"#),
        envelope("f", r#","data_base64":"""#),
    ];
    let (status, receipt) = post(&house, "reading", &[BATCH], format!("[{}]", batch.join(","))).await;
    assert_eq!((status, &receipt["rejected"]), (422, &json!(6)), "{receipt}");
    let codes: Vec<_> =
        receipt["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["type", "type", "not_object", "not_object", "json_repeated_key", "json_syntax"]);
    let texts: Vec<_> =
        house.rejected().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(
        texts,
        [r#"{"id": 1, "who": 5}"#, r#"{"id": "p","who":"a"}"#, r#""text""#, "null", r#"{"id":1,"id":2}"#, ""]
    );
    assert_eq!(house.reject_offsets(), [17, 7, 0, 0, 8, 0]);
    // One event alone gets a receipt too: its envelope was fine.
    for (headers, body) in [
        (vec![STRUCTURED], envelope("a", "")),
        (CE.to_vec(), String::new()),
        (CE.to_vec(), "{\"id\":".to_owned()),
    ] {
        let (status, receipt) = post(&house, "reading", &headers, body).await;
        assert_eq!((status, &receipt["rejected"]), (422, &json!(1)), "{receipt}");
    }
    assert_eq!(house.ledger(), [9, 0, 9, 0, 0]);
    house.close().await;
}

#[tokio::test]
async fn a_stream_with_protected_fields_keeps_no_attribute_that_may_name_a_person() {
    let house = World::new().open();
    let rest = r#","subject":"jo@example.org","time":"2026-09-21T00:00:00Z","owner":"jo","data":{"id":1,"who":"jo"}"#;
    for stream in ["private", "open"] {
        assert_eq!(post(&house, stream, &[STRUCTURED], envelope("p-1", rest)).await.0, 200);
    }
    assert_eq!(shown(&house, "private"), ["1: p-1 @1789948800 ce-source=/pad ce-type=reading"]);
    assert!(shown(&house, "open")[0].contains("ce-owner=jo ce-source=/pad ce-subject=jo@example.org"));
    house.close().await;
}

#[tokio::test]
async fn a_key_counts_for_attributes_too_and_ids_do_not_deduplicate() {
    let house = World::new().open();
    let body = r#"{"id":1,"who":"a"}"#;
    let keyed = [&CE[..], &[("idempotency-key", "k")]].concat();
    assert_eq!(post(&house, "reading", &keyed, body).await.1["accepted"], json!(1));
    assert_eq!(post(&house, "reading", &keyed, body).await.1["duplicates"], json!(1));
    let mut other = keyed.clone();
    other[1] = ("ce-id", "b-2");
    let (status, problem) = post(&house, "reading", &other, body).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    // The same source and id again, without a key: another event.
    assert_eq!(post(&house, "reading", &CE, body).await.1["accepted"], json!(1));
    assert_eq!(house.ledger(), [3, 2, 0, 1, 0]);
    house.close().await;
}

#[tokio::test]
async fn modes_limits_and_undeclared_streams_are_those_of_other_bodies() {
    let house = World::new().open();
    let (good, bad) =
        (envelope("a", r#","data":{"id":1}"#), envelope("b", r#","time":"noon","data":{"id":2}"#));
    let (status, receipt) = post(&house, "strict", &[BATCH], format!("[{good},{bad}]")).await;
    assert_eq!((status, &receipt["accepted"], &receipt["rejected"]), (422, &json!(0), &json!(1)));
    assert_eq!(house.ledger(), [1, 0, 1, 0, 1], "the good one was refused for its neighbour");
    let (status, receipt) = post(&house, "nobody", &[BATCH], format!("[{good},{bad}]")).await;
    assert_eq!((status, &receipt["rejected"]), (404, &json!(2)));
    assert_eq!(receipt["errors"][1]["code"], json!("no_schema"));
    let large = envelope("a", &format!(r#","data":{{"id":1,"x":"{}"}}"#, "x".repeat(2000)));
    let (status, receipt) = post(&house, "strict", &[STRUCTURED], large).await;
    assert_eq!((status, &receipt["errors"][0]["code"]), (422, &json!("too_large")));
    // A producer's numbers count envelopes, broken ones too; what came before is not stored again.
    let numbered = |first: &'static str| {
        [BATCH, ("producer-id", "p"), ("producer-epoch", "0"), ("producer-sequence", first)]
    };
    let event = |n: u8| envelope(&format!("n{n}"), &format!(r#","data":{{"id":{n},"who":"w"}}"#));
    let first = format!("[{},{bad}]", event(0));
    assert_eq!(post(&house, "reading", &numbered("0"), first).await.1["accepted"], json!(1));
    let second = format!("[{bad},{},{}]", event(2), event(3));
    let receipt = post(&house, "reading", &numbered("1"), second).await.1;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(2), &json!(1)));
    let ids: Vec<_> = shown(&house, "reading").iter().map(|row| row[..5].to_owned()).collect();
    assert_eq!(ids, ["0: n0", "2: n2", "3: n3"]);
    house.close().await;
}

/// A body that is taken apart on a thread of its own, beside requests without attributes in the same group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_stay_with_their_rows_however_groups_are_made() {
    let world = World::new();
    let settings = hw_gate::GateSettings { event_bytes: 1000, depth: 16, inflight_bytes: 1 << 26 };
    let house = world.open_with(settings);
    let mut tasks = Vec::new();
    for request in 0..40u64 {
        let gate = house.gate.clone();
        tasks.push(tokio::spawn(async move {
            let with = |n: u64| request * 10_000 + n;
            let (headers, body) = match request % 4 {
                0 => (
                    vec![("content-type", "application/x-ndjson")],
                    (0..50).map(|n| format!("{{\"id\":{},\"who\":\"w{n}\"}}\n", with(n))).collect::<String>(),
                ),
                kind => {
                    let count = if kind == 1 { 1500 } else { 7 };
                    let all: Vec<_> = (0..count)
                        .map(|n| {
                            // Every third is bad: rows and events have other numbers.
                            let who = if n % 3 == 1 { "5".to_owned() } else { format!("\"w{n}\"") };
                            envelope(
                                &with(n).to_string(),
                                &format!(r#","data":{{"id":{},"who":{who}}}"#, with(n)),
                            )
                        })
                        .collect();
                    (vec![BATCH], format!("[{}]", all.join(",")))
                }
            };
            let settings =
                HttpSettings { body_bytes: 1 << 20, request_time: Duration::from_secs(5), ack: Ack::Disk };
            let mut post = Request::post("/v1/streams/reading/events");
            for (name, value) in headers {
                post = post.header(name, value);
            }
            let answer = router(gate, settings).oneshot(post.body(Body::from(body)).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let rows = shown(&house, "reading");
    assert_eq!(rows.len(), 10 * 50 + 10 * 1000 + 20 * 5);
    for row in &rows {
        let (id, rest) = row.split_once(": ").unwrap();
        let named = rest.split(' ').next().unwrap();
        let from_ndjson = id.parse::<u64>().unwrap() / 10_000 % 4 == 0;
        assert_eq!(named, if from_ndjson { "-" } else { id }, "{row}");
    }
    house.close().await;
}
