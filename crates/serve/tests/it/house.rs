//! A server on a port of its own, over tables in memory.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{
        ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    datatypes::SchemaRef,
};
use async_trait::async_trait;
use hw_event::{Offset, Partition, StreamId};
use hw_query::{
    Cut, Engine, Files, HotBatches, HotError, HotSource, Names, PayloadOpener, Runner, SqlSettings, TableCut,
    TableKind, streams_schema,
};
use hw_schema::{Registry, Schema, Stream, rows};
use hw_serve::{Backend, CutFailed, Guard, ListenSettings, listen_with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub const MAY: i64 = 1_714_521_600_000_000;
const SCHEMA: &str = r#"{"type":"object","properties":{"sensor":{"type":"string"},"n":{"type":"integer"}},"required":["sensor"],"x-key":["sensor"],"x-partitions":2}"#;

pub struct House {
    pub runner: Runner,
    pub registry: Registry,
    pub rows: Vec<RecordBatch>,
    pub unready: Mutex<Option<String>>,
    pub broken: Mutex<bool>,
    pub first_kept: AtomicI64,
    /// The verification under way, which says one line again and again.
    pub verifying: Mutex<Option<tokio::sync::mpsc::Sender<serde_json::Value>>>,
    /// Tells for as long as somebody listens.
    staged: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Batches(Vec<RecordBatch>);

impl HotSource for Batches {
    fn rows(&self) -> usize {
        self.0.iter().map(RecordBatch::num_rows).sum()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(self.0.clone().into_iter().map(Ok)))
    }
}

struct Never;

impl PayloadOpener for Never {
    fn open(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Events of partition 0: offsets 0, 2, 4, … (the odd ones were rejected), one a second.
fn events(schema: &Schema, count: i64) -> RecordBatch {
    let offsets: Vec<i64> = (0..count).map(|n| n * 2).collect();
    let columns = schema.table_columns();
    let numbers = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let times = || {
        let times = offsets.iter().map(|n| MAY + n * 500_000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef
    };
    let arrays = columns.fields().iter().map(|field| match field.name().as_str() {
        "sensor" => {
            Arc::new(StringArray::from_iter_values(offsets.iter().map(|n| format!("s{n}")))) as ArrayRef
        }
        "n" => Arc::new(Int64Array::from_iter(offsets.iter().map(|n| (n % 4 == 0).then_some(*n)))),
        "_partition" => Arc::new(Int32Array::from(vec![0; offsets.len()])),
        "_schema" => Arc::new(Int32Array::from(vec![1; offsets.len()])),
        "_offset" | "_seq" => numbers(&offsets),
        "_time" | "_received_at" => times(),
        _ => new_null_array(field.data_type(), offsets.len()),
    });
    RecordBatch::try_new(Arc::clone(columns), arrays.collect()).unwrap()
}

impl House {
    pub fn new(settings: SqlSettings) -> Arc<House> {
        let schema = Arc::new(Schema::parse(SCHEMA).map_err(|faults| format!("{faults:?}")).unwrap().schema);
        let registry = Registry::new();
        let rows = vec![events(&schema, 1_000)];
        let declared = |id, name: &str, versions: Vec<_>| Stream {
            id: StreamId(id),
            name: name.parse().unwrap(),
            declared: !versions.is_empty(),
            versions,
        };
        registry.put(declared(1, "sensor.reading", vec![schema]));
        registry.put(declared(2, "nobody.knows", Vec::new()));
        Arc::new(House {
            runner: Runner::new(settings, Arc::new(Never)).unwrap(),
            registry,
            rows,
            unready: Mutex::default(),
            broken: Mutex::default(),
            first_kept: AtomicI64::new(0),
            verifying: Mutex::default(),
            staged: Mutex::default(),
        })
    }
}

#[async_trait]
impl Backend for House {
    fn erasures(&self) -> &dyn hw_serve::Erasures {
        &NoErasures
    }

    async fn cut(&self, _: &Names) -> Result<Cut, CutFailed> {
        if *self.broken.lock().unwrap() {
            return Err(CutFailed("the lake is on fire at /secret/path".to_owned()));
        }
        let table = |name: &str, kind, columns: SchemaRef, batches: Vec<RecordBatch>| TableCut {
            name: name.to_owned(),
            kind,
            columns,
            lake_root: "/nonexistent".into(),
            files: Files::default(),
            hot: Arc::new(Batches(batches)),
            unreadable: None,
        };
        let tally = |stored| hw_event::Tally {
            received: stored + 1,
            stored,
            rejected: 1,
            ..hw_event::Tally::new(StreamId(1), "http", hw_event::Timestamp(MAY))
        };
        let name = || "sensor.reading".parse().unwrap();
        let tallies = rows::ledger_table_batch(&[
            (name(), hw_event::Seq(1), tally(600)),
            (name(), hw_event::Seq(2), tally(400)),
        ]);
        let streams = RecordBatch::try_new(
            streams_schema(),
            vec![
                Arc::new(StringArray::from(vec!["sensor.reading"])),
                Arc::new(StringArray::from(vec!["sensor_reading"])),
                Arc::new(Int32Array::from(vec![1])),
                Arc::new(Int32Array::from(vec![2])),
                Arc::new(StringArray::from(vec!["sensor"])),
                Arc::new(StringArray::from(vec!["dlq"])),
                Arc::new(Int64Array::from(vec![10])),
                Arc::new(Int64Array::from(vec![0])),
                Arc::new(Int64Array::from(vec![None])),
                Arc::new(Int64Array::from(vec![1_000])),
                Arc::new(StringArray::from(vec![None::<&str>])),
            ],
        )
        .unwrap();
        let tables = vec![
            table("sensor_reading", TableKind::Stream, self.rows[0].schema(), self.rows.clone()),
            table("rejects", TableKind::Rejects, rows::rejects_table_schema(), Vec::new()),
            table("ledger", TableKind::Ledger, rows::ledger_table_schema(), vec![tallies]),
        ];
        Ok(Cut { tables, streams })
    }

    fn engine(&self) -> &dyn Engine {
        &self.runner
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "version": "test" })
    }

    async fn versions(&self, table: &str) -> Result<Option<Vec<serde_json::Value>>, CutFailed> {
        if *self.broken.lock().unwrap() {
            return Err(CutFailed("the log is on fire at /secret/path".to_owned()));
        }
        let known = ["sensor.reading", "rejects"].contains(&table);
        Ok(known.then(|| vec![serde_json::json!({ "version": 7, "readable": true })]))
    }

    async fn backup(
        &self,
    ) -> Result<tokio::sync::mpsc::Receiver<serde_json::Value>, hw_serve::BackupRefused> {
        let mut staged = self.staged.lock().unwrap();
        if staged.as_ref().is_some_and(|telling| !telling.is_finished()) {
            return Err(hw_serve::BackupRefused::Running);
        }
        let (sender, lines) = tokio::sync::mpsc::channel(1);
        *staged = Some(tokio::spawn(async move {
            while sender.send(serde_json::json!({ "id": "7" })).await.is_ok() {}
        }));
        Ok(lines)
    }

    async fn end_backup(&self, id: &str) -> bool {
        let staged = if id == "7" { self.staged.lock().unwrap().take() } else { None };
        staged.inspect(tokio::task::JoinHandle::abort).is_some()
    }

    fn verify(
        &self,
        names: Vec<String>,
    ) -> Result<tokio::sync::mpsc::Receiver<serde_json::Value>, hw_serve::VerifyRefused> {
        if let Some(name) = names.into_iter().find(|name| name == "nobody") {
            return Err(hw_serve::VerifyRefused::Unknown(name));
        }
        let mut verifying = self.verifying.lock().unwrap();
        if verifying.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return Err(hw_serve::VerifyRefused::Busy);
        }
        let (sender, lines) = tokio::sync::mpsc::channel(4);
        *verifying = Some(sender.clone());
        // A caller that has gone is noticed when there is something to tell it.
        tokio::spawn(
            async move { while sender.send(serde_json::json!({ "progress": {} })).await.is_ok() {} },
        );
        Ok(lines)
    }

    fn metrics(&self) -> String {
        "headwater_up 1\n".to_owned()
    }

    fn first_kept(&self, _: StreamId, _: Partition) -> Offset {
        Offset(self.first_kept.load(Ordering::Relaxed))
    }
}

pub struct Server {
    pub house: Arc<House>,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
    pub client: reqwest::Client,
}

pub struct Options {
    pub listen: ListenSettings,
    pub connections: usize,
    pub sql: SqlSettings,
    /// Routes beside the reading ones.
    pub more: axum::Router,
}

impl Default for Options {
    fn default() -> Options {
        let sql = SqlSettings { memory: 64 * 1024 * 1024, ..SqlSettings::default() };
        Options { listen: ListenSettings::default(), connections: 100, sql, more: axum::Router::new() }
    }
}

pub async fn server(options: Options) -> Server {
    // Both of our TLS providers are linked; a second install is refused and means the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let house = House::new(options.sql);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let routes = hw_serve::router(Arc::clone(&house) as Arc<dyn Backend>).merge(options.more);
    let router = hw_serve::around(routes, Guard::new(address.port()));
    let connections = Arc::new(Semaphore::new(options.connections));
    let task = tokio::spawn(listen_with(options.listen, listener, router, connections, stop.clone()));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
    Server { house, address, stop, task, client }
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub async fn sql(&self, statement: &str, accept: &str) -> reqwest::Response {
        let body = serde_json::json!({ "sql": statement });
        self.client.post(self.url("/v1/sql")).header("accept", accept).json(&body).send().await.unwrap()
    }

    /// Sends these bytes and reads until the server hangs up.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        read_all(&mut stream).await
    }
}

pub async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(120), stream.read_to_end(&mut text)).await;
    // A reset ends a connection as well as a clean close does.
    let _ = read.expect("the server hangs up");
    String::from_utf8_lossy(&text).into_owned()
}

/// The problem's code, after checking its shape.
pub async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail", "code", "hint"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {body}");
    }
    (status, body["code"].as_str().unwrap().to_owned())
}

/// A house in which nobody is forgotten.
struct NoErasures;

#[async_trait::async_trait]
impl hw_serve::Erasures for NoErasures {
    async fn request(&self, _: hw_serve::EraseRequest) -> Result<serde_json::Value, hw_serve::EraseRefused> {
        Err(hw_serve::EraseRefused::Busy)
    }

    fn list(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }

    fn get(&self, _: &str) -> Option<serde_json::Value> {
        Some(serde_json::Value::Null)
    }
}
