//! The HTTP door's answers. Bodies, limits and encodings over real sockets are tested with the binary.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use hw_event::Ack;
use hw_gate::doors::http::{HttpSettings, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{House, World};

async fn post(house: &House, stream: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let settings = HttpSettings { body_bytes: 4096, request_time: Duration::from_secs(5), ack: Ack::Disk };
    let mut request = Request::post(format!("/v1/streams/{stream}/events"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router(house.gate.clone(), settings).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

#[tokio::test]
async fn statuses_say_what_became_of_a_request() {
    let house = World::new().open();
    let good = r#"{"id":1,"who":"a"}"#;
    let cases: &[(&str, &[(&str, &str)], &str, u16)] = &[
        ("reading", &[NDJSON], good, 200),
        ("reading", &[], good, 200),
        ("reading", &[("content-type", "application/x-www-form-urlencoded")], good, 200),
        ("reading", &[("content-type", "application/json; charset=utf-8")], good, 200),
        ("reading", &[NDJSON], "{}", 422),
        ("reading", &[NDJSON], "{}\n{\"id\":1,\"who\":\"a\"}", 200),
        ("strict", &[NDJSON], "{}\n{\"id\":1}", 422),
        ("nobody", &[NDJSON], "{}", 404),
        ("No Name", &[NDJSON], "{}", 404),
        ("reading", &[NDJSON], "", 400),
        ("reading", &[NDJSON, ("idempotency-key", "")], good, 400),
        ("reading", &[NDJSON, ("producer-id", "p")], good, 400),
        ("reading", &[NDJSON, ("producer-id", "p"), ("producer-epoch", "0")], good, 400),
        ("reading", &[NDJSON, ("idempotency-key", "a"), ("idempotency-key", "a")], good, 400),
        ("reading", &[NDJSON, ("x-request-id", "a"), ("x-request-id", "b")], good, 400),
    ];
    for (stream, headers, body, status) in cases {
        let stream = stream.replace(' ', "%20");
        let (got, answer) = post(&house, &stream, headers, body).await;
        assert_eq!(got, *status, "{stream} {headers:?} {body}: {answer}");
        assert!(answer["code"].is_string() || answer["accepted"].is_u64(), "{answer}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_receipt_lists_a_hundred_errors_and_counts_the_rest() {
    let house = World::new().open();
    let body = "{\"id\":\"secret-looking\"}\n".repeat(103) + "{\"id\":7,\"who\":\"b\"}\n";
    let (status, receipt) = post(&house, "reading", &[NDJSON], &body).await;
    assert_eq!(status, 200);
    assert_eq!(receipt["errors"].as_array().unwrap().len(), 100);
    assert_eq!(receipt["errors_left_out"], json!(3));
    assert_eq!(receipt["errors"][5]["index"], json!(5));
    assert_eq!(receipt["errors"][5]["code"], json!("type"));
    assert_eq!(receipt["errors"][5]["path"], json!("/id"));
    assert_eq!(receipt["seq"], json!(1));
    house.close().await;
}

#[tokio::test]
async fn a_producers_numbers_are_digits_within_their_bounds() {
    let house = World::new().open();
    let last = (i64::MAX - i64::from(u32::MAX)).to_string();
    let beyond = (i64::MAX - i64::from(u32::MAX) + 1).to_string();
    for (id, epoch, sequence, status) in [
        ("a", "0", "0", 200),
        ("b", "2147483647", &*last, 200),
        ("c", "2147483648", "0", 400),
        ("d", "0", &*beyond, 400),
        ("e", "0", "9223372036854775808", 400),
        ("f", "-1", "0", 400),
        ("g", "0", "-1", 400),
        ("h", "+1", "0", 400),
        ("i", "0", "1.0", 400),
        ("", "0", "0", 400),
    ] {
        let headers =
            [NDJSON, ("producer-id", id), ("producer-epoch", epoch), ("producer-sequence", sequence)];
        let (got, answer) = post(&house, "reading", &headers, r#"{"id":1,"who":"a"}"#).await;
        assert_eq!(got, status, "{id:?} {epoch} {sequence}: {answer}");
        // Each header comes once: which of two would count?
        for twice in &headers[1..] {
            let (got, answer) = post(&house, "reading", &[&headers[..], &[*twice]].concat(), "{}").await;
            assert_eq!((got, &answer["code"]), (400, &json!("bad_header")), "{twice:?} twice");
        }
    }
    // At the very end: the same again is a repeat, and there is no next.
    let at_end =
        [NDJSON, ("producer-id", "b"), ("producer-epoch", "2147483647"), ("producer-sequence", &last)];
    assert_eq!(post(&house, "reading", &at_end, r#"{"id":1,"who":"a"}"#).await.1["duplicates"], json!(1));
    house.close().await;
}
