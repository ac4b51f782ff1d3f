//! The guard and the listener, with hand-made bytes.

use std::time::Duration;

use axum::{Router, routing::get};
use hw_serve::ListenSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

use crate::house::{Options, read_all, server};

const SHORT: Duration = Duration::from_millis(200);

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn strangers_are_refused_before_any_route() {
    let server = server(Options::default()).await;
    let port = server.address.port();
    let ask = async |head: &str| {
        let answer = server.raw(format!("{head}connection: close\r\n\r\n").as_bytes()).await;
        status(&answer).to_owned()
    };
    assert_eq!(ask(&format!("GET /livez HTTP/1.1\r\nhost: localhost:{port}\r\n")).await, "200");
    assert_eq!(ask("GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n").await, "200");
    assert_eq!(
        ask(&format!("GET http://[::1]:{port}/livez HTTP/1.1\r\nhost: [::1]:{port}\r\n")).await,
        "200"
    );
    assert_eq!(ask("GET /livez HTTP/1.1\r\n").await, "400");
    assert_eq!(ask("GET /livez HTTP/1.1\r\nhost: evil.example\r\n").await, "403");
    assert_eq!(ask(&format!("GET /nowhere HTTP/1.1\r\nhost: evil.example:{port}\r\n")).await, "403");
    assert_eq!(ask("GET http://evil.example/livez HTTP/1.1\r\nhost: localhost\r\n").await, "403");
    assert_eq!(
        ask(
            "POST /v1/sql HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example\r\ncontent-length: 0\r\n"
        )
        .await,
        "403"
    );
    assert_eq!(ask("OPTIONS /v1/sql HTTP/1.1\r\nhost: localhost\r\norigin: null\r\n").await, "403");
    let refused = server.raw(b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    assert!(refused.contains("application/problem+json") && refused.contains("foreign_host"), "{refused}");
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let listen = ListenSettings { head_time: SHORT, ..ListenSettings::default() };
    let server = server(Options { listen, ..Options::default() }).await;
    for beginning in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nhost: local",
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        read_all(&mut stream).await;
    }
    // A request that takes longer than a head may is not a slow head.
    let (tell, told) = oneshot::channel::<()>();
    let told = std::sync::Arc::new(tokio::sync::Mutex::new(Some(told)));
    let more = Router::new().route(
        "/slow",
        get(move || async move {
            let told = told.lock().await.take();
            if let Some(told) = told {
                let _ = told.await;
            }
            "done"
        }),
    );
    let server = server_with(listen, more).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    tokio::time::sleep(SHORT * 3).await;
    tell.send(()).unwrap();
    assert!(read_all(&mut stream).await.ends_with("done"));
}

async fn server_with(listen: ListenSettings, more: Router) -> crate::house::Server {
    server(Options { listen, more, ..Options::default() }).await
}

#[tokio::test]
async fn connections_are_counted() {
    let server = server(Options { connections: 2, ..Options::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let answer = read_all(&mut third).await;
    assert_eq!(status(&answer), "503");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], "connections");
    // A place is free once one goes.
    drop(held.pop());
    let again = async {
        loop {
            let answer =
                server.raw(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
            if status(&answer) == "200" {
                return;
            }
        }
    };
    timeout(Duration::from_secs(120), again).await.unwrap();
}

#[tokio::test]
async fn http2_is_spoken_without_tls() {
    let server = server(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The greeting and an empty SETTINGS frame.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    timeout(Duration::from_secs(120), stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "the server's first frame is SETTINGS: {frame:?}");
}

#[tokio::test]
async fn stopping_ends_what_is_under_way() {
    let (entered, has_entered) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel::<()>();
    let parts = std::sync::Arc::new(std::sync::Mutex::new(Some((entered, told))));
    let more = Router::new().route(
        "/slow",
        get(move || {
            let parts = parts.lock().unwrap().take();
            async move {
                if let Some((entered, told)) = parts {
                    let _ = entered.send(());
                    let _ = told.await;
                }
                "done"
            }
        }),
    );
    let server = server_with(ListenSettings::default(), more).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0]).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    has_entered.await.unwrap();
    server.stop.cancel();
    // The idle connection is let go at once, the busy one after its answer; nobody new comes in.
    read_all(&mut idle).await;
    assert!(!server.task.is_finished());
    tell.send(()).unwrap();
    let answer = read_all(&mut busy).await;
    assert!(answer.ends_with("done"), "{answer}");
    timeout(Duration::from_secs(120), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let (entered, has_entered) = oneshot::channel::<()>();
    let entered = std::sync::Arc::new(std::sync::Mutex::new(Some(entered)));
    let more = Router::new().route(
        "/never",
        get(move || {
            let entered = entered.lock().unwrap().take();
            async move {
                if let Some(entered) = entered {
                    let _ = entered.send(());
                }
                std::future::pending::<()>().await;
            }
        }),
    );
    let listen = ListenSettings { stop_time: SHORT, ..ListenSettings::default() };
    let server = server_with(listen, more).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    has_entered.await.unwrap();
    server.stop.cancel();
    timeout(Duration::from_secs(120), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn large_heads_are_refused() {
    let listen = ListenSettings::default();
    let server = server_with(listen, Router::new()).await;
    let large = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(200_000));
    let answer = server.raw(large.as_bytes()).await;
    assert!(answer.is_empty() || status(&answer) == "431", "{answer}");
    let many = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(500));
    assert_eq!(status(&server.raw(many.as_bytes()).await), "431");
    assert_eq!(server.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn a_reader_that_stops_reading_loses_its_place() {
    let listen = ListenSettings { stall_time: SHORT, ..ListenSettings::default() };
    let time = Duration::from_secs(600);
    let sql = hw_query::SqlSettings { memory: 256 << 20, time, ..hw_query::SqlSettings::default() };
    let server = server(Options { listen, connections: 1, sql, ..Options::default() }).await;
    let body = r#"{"sql":"SELECT repeat('x', 50000) FROM generate_series(1, 4000)"}"#;
    let head =
        "POST /v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: text/csv\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    // The answer has begun; 200 MB of it wait, and nobody takes them.
    let mut begun = [0; 12];
    timeout(Duration::from_secs(120), stream.read_exact(&mut begun)).await.unwrap().unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let again = async {
        loop {
            let answer =
                server.raw(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
            if status(&answer) == "200" {
                return;
            }
        }
    };
    timeout(Duration::from_secs(120), again).await.expect("the place is never free again");
    // What was begun is not whole.
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(120), stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 4000 * 50_000, "{} bytes", rest.len());
}
