//! The TCP door over real sockets.

use std::{sync::Arc, time::Duration};

use hw_gate::{
    GateSettings,
    doors::tcp::{TcpFormat, TcpSettings, TsWidth, serve},
};
use hw_schema::KvFields;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{House, World};

struct Door {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn open(house: &House, stream: &str, ts: TsWidth, connections: usize) -> Door {
    open_as(house, stream, TcpFormat::Kv { ts }, connections, Duration::from_secs(60)).await
}

async fn open_as(
    house: &House,
    stream: &str,
    format: TcpFormat,
    connections: usize,
    record_time: Duration,
) -> Door {
    open_sized(house, stream, format, connections, record_time, 1000).await
}

async fn open_sized(
    house: &House,
    stream: &str,
    format: TcpFormat,
    connections: usize,
    record_time: Duration,
    record_bytes_max: usize,
) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let settings = TcpSettings {
        name: "sensors".to_owned(),
        stream: stream.to_owned(),
        format,
        fields: Arc::new(KvFields::new([("name".to_owned(), "who".to_owned())])),
        ack: true,
        record_bytes_max,
        record_time,
    };
    let connections = Arc::new(Semaphore::new(connections));
    let serving = tokio::spawn(serve(house.gate.clone(), listener, settings, connections, stop.clone()));
    Door { address, stop, serving }
}

#[tokio::test]
async fn records_are_stored_rejected_and_acknowledged() {
    let house = World::new().open();
    let door = open(&house, "reading", TsWidth::Unknown, 10).await;
    let mut socket = TcpStream::connect(door.address).await.unwrap();
    socket.write_all(b"id=1&name=a\nid=two&name=a\nid=3&na").await.unwrap();
    let (reader, mut writer) = socket.split();
    let mut lines = BufReader::new(reader).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "ok 2");
    writer.write_all(b"me=c\n").await.unwrap();
    // The rest of the record may have come before the silence did, or after: it is one record or two rejects.
    let last = lines.next_line().await.unwrap().unwrap();
    assert!(last == "ok 3", "{last}");
    drop(lines);
    drop(socket);
    door.stop.cancel();
    door.serving.await.unwrap();
    assert_eq!(house.stored("reading")[0].2, 1);
    assert_eq!(house.rejected()[0], b"id=two&name=a", "never silently zero");
    let [received, stored, rejected, ..] = house.ledger();
    assert_eq!(received, stored + rejected);
    house.close().await;
}

#[tokio::test]
async fn fifty_milliseconds_of_silence_give_a_partial_record_up() {
    let house = World::new().open();
    let door = open(&house, "reading", TsWidth::Declared(10), 10).await;
    let mut socket = TcpStream::connect(door.address).await.unwrap();
    socket.write_all(b"id=1&name=a&ts=15868").await.unwrap();
    let mut answer = [0; 5];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ok 1\n", "it is durable, as a reject");
    assert_eq!(house.rejected(), [b"id=1&name=a&ts=15868".to_vec()]);
    door.stop.cancel();
    door.serving.await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn what_a_closed_connection_sent_last_is_a_record() {
    let house = World::new().open();
    let door = open(&house, "reading", TsWidth::Unknown, 10).await;
    let mut socket = TcpStream::connect(door.address).await.unwrap();
    socket.write_all(b"id=1&name=a\0id=2&name=bid=3&name=c").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok 3\n"), "{answer:?}");
    let mut ids: Vec<_> = house.stored("reading").iter().map(|row| row.2).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    door.stop.cancel();
    door.serving.await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn mode_reject_acts_as_dlq_and_connections_are_bounded() {
    let house = World::new().open();
    let door = open(&house, "strict", TsWidth::Unknown, 1).await;
    let mut socket = TcpStream::connect(door.address).await.unwrap();
    socket.write_all(b"id=1\nid=x\nid=2\n").await.unwrap();
    let mut answer = [0; 5];
    socket.read_exact(&mut answer).await.unwrap();
    let mut second = TcpStream::connect(door.address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0, "turned away");
    socket.shutdown().await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert_eq!(house.stored("strict").len(), 2);
    assert_eq!(house.ledger(), [3, 2, 1, 0, 0]);
    door.stop.cancel();
    door.serving.await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn a_record_that_trickles_is_given_up_in_time() {
    let house = World::new().open();
    for format in [TcpFormat::Ndjson, TcpFormat::Kv { ts: TsWidth::Unknown }] {
        // Long enough that the record's length does not end it.
        let time = Duration::from_millis(200);
        let door = open_sized(&house, "reading", format, 10, time, 1 << 20).await;
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        let (mut reader, mut writer) = socket.split();
        // A byte every ten milliseconds, never an end: each byte is in time, the record is not.
        let trickle = async {
            loop {
                writer.write_all(b"x").await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let mut answer = [0; 5];
        let told = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::select! {
                read = reader.read_exact(&mut answer) => read.map(drop),
                () = trickle => Ok(()),
            }
        });
        told.await.expect("it waits for ever").unwrap();
        assert_eq!(&answer, b"ok 1\n", "what came is kept as a reject");
        drop(socket);
        door.stop.cancel();
        door.serving.await.unwrap();
    }
    assert!(house.rejected().len() >= 2);
    house.close().await;
}

#[tokio::test]
async fn large_records_under_way_are_bounded_and_all_arrive() {
    let settings = GateSettings { event_bytes: 64 * 1024, depth: 16, inflight_bytes: 8 << 20 };
    let house = World::new().open_with(settings);
    let record = Duration::from_secs(60);
    let door = open_sized(&house, "reading", TcpFormat::Ndjson, 200, record, 64 * 1024).await;
    // More sensors than may hold a large record at once, each in the midst of one; none ever closes before its turn.
    let mut sensors = Vec::new();
    for id in 0..80 {
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        let text = "x".repeat(40_000);
        socket.write_all(format!("{{\"id\":{id},\"who\":\"{text}").as_bytes()).await.unwrap();
        sensors.push(socket);
    }
    for socket in &mut sensors {
        socket.write_all(b"\"}\n").await.unwrap();
    }
    for socket in &mut sensors {
        let mut answer = [0; 5];
        let told = tokio::time::timeout(Duration::from_secs(60), socket.read_exact(&mut answer));
        told.await.expect("it waits for ever").unwrap();
        assert_eq!(&answer, b"ok 1\n");
    }
    drop(sensors);
    door.stop.cancel();
    door.serving.await.unwrap();
    assert_eq!(house.stored("reading").len(), 80);
    house.close().await;
}
