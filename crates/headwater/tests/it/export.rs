//! Export: one Parquet file with every row that was there, of the table's types; or none.

use std::{
    fs::{self, File},
    path::Path,
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Int64Type, TimeUnit},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{"type":"object","required":["id"],"x-key":["id"],"x-partitions":2,"properties":{
    "id":{"type":"integer"},
    "at":{"type":"string","format":"date-time"},
    "day":{"type":"string","format":"date"},
    "price":{"type":"string","format":"decimal","x-precision":12,"x-scale":2},
    "place":{"type":"object","properties":{"lat":{"type":"number"}}},
    "tags":{"type":"array","items":{"type":"string"}},
    "labels":{"type":"object","additionalProperties":{"type":"integer"}},
    "raw":{"type":"string","contentEncoding":"base64"},
    "mail":{"type":"string","x-privacy":"hash"}}}"#;
const EVENTS: i64 = 70_000;

fn body(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| {
        let event = json!({
            "id": id, "at": "2026-11-21T20:00:00.123456+02:00", "day": "2026-11-21", "price": format!("{id}.25"),
            "place": {"lat": 0.5}, "tags": ["a", "ü"], "labels": {"x": id}, "raw": "AP8=", "mail": "clear@text",
        });
        format!("{event}\n")
    })
    .collect()
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    let mut ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_every_row_and_the_types_of_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/shop.orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let out = directory.path().join("out");
    let (of, to) = (data.display().to_string(), out.display().to_string());
    let server = Server::start(&project, &data);
    for first in (0..EVENTS).step_by(10_000) {
        let events = body(first..first + 10_000);
        assert_eq!(server.post("shop.orders", "application/x-ndjson", events).await.0, 200);
    }
    let refused = "{\"id\":\"x\"}\n".repeat(300);
    assert_eq!(server.post("shop.orders", "application/x-ndjson", refused).await.0, 422);

    let export = |arguments: &[&str]| {
        let (code, out, err) = headwater(&[&["export"], arguments, &["--json", "--data", &of]].concat());
        let told = serde_json::from_str::<Value>(&out).unwrap_or_default();
        (code, told, err)
    };
    // Some rows are in the lake, the newest are not; into a directory that is made.
    let (code, told, err) = export(&["shop.orders", &to]);
    assert_eq!(code, 0, "{err}");
    assert_eq!((&told["rows"], &told["table"]), (&json!(EVENTS), &json!("shop_orders")), "{told}");
    assert_eq!(names(&out), ["shop.orders.parquet"]);
    let path = out.join("shop.orders.parquet");
    assert_eq!(told["bytes"], fs::metadata(&path).unwrap().len());
    let batch = read(&path);
    assert_eq!(ids(&batch), (0..EVENTS).collect::<Vec<_>>());
    let schema = batch.schema();
    let kind = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    assert_eq!(kind("at"), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert_eq!((kind("day"), kind("price")), (DataType::Date32, DataType::Decimal128(12, 2)));
    assert_eq!((kind("raw"), kind("mail")), (DataType::Binary, DataType::Utf8));
    assert!(matches!(kind("place"), DataType::Struct(_)) && matches!(kind("tags"), DataType::List(_)));
    assert!(matches!(kind("labels"), DataType::Map(..)));
    let mail = batch.column_by_name("mail").unwrap().as_string::<i32>();
    assert!(mail.value(0).len() == 64, "what is protected stays so");
    let sums = "SELECT sum(id), sum(_offset), count(DISTINCT _offset * 2 + _partition) FROM shop_orders";
    let offsets = batch.column_by_name("_offset").unwrap().as_primitive::<Int64Type>();
    let sum: i64 = offsets.values().iter().sum();
    assert_eq!(json!(server.sql(sums).await), json!([[EVENTS * (EVENTS - 1) / 2, sum, EVENTS]]));

    // What is there is not written over.
    let (code, _, err) = export(&["shop.orders", &to]);
    assert!(code == 2 && err.contains("is there already"), "{code} {err}");
    let file = |name: &str| directory.path().join(name).display().to_string();
    for (name, arguments, rows) in [
        ("where.parquet", &["--where", "id < 10 OR id = 77 -- so"][..], 11),
        ("none.parquet", &["--where", "id < 0"], 0),
        ("sql.parquet", &["--sql", "SELECT id, tags[1] AS tag FROM shop_orders WHERE id < 5"], 5),
    ] {
        let (code, told, err) = export(&[&["shop_orders", &*file(name)], arguments].concat());
        assert_eq!((code, &told["rows"]), (0, &json!(rows)), "{err}");
        let batch = read(&directory.path().join(name));
        assert_eq!(batch.num_rows(), rows);
    }
    for (table, rows) in [("rejects", 300), ("streams", 1), ("ledger", 1)] {
        let (code, told, err) = export(&[table, &*file(&format!("{table}.parquet"))]);
        assert_eq!(code, 0, "{err}");
        assert!(told["rows"] == rows || table == "ledger", "{told}");
    }
    let rejects = read(&directory.path().join("rejects.parquet"));
    assert_eq!(rejects.column_by_name("payload").unwrap().as_binary::<i32>().value(0), b"{\"id\":\"x\"}");

    // A broken export leaves nothing.
    for arguments in [
        &["--sql", "SELECT 1 / (id - 60000) FROM shop_orders"][..],
        &["--sql", "SELECT"],
        &["--where", "true) OR (true"],
        &["--version", "99999"],
    ] {
        let (code, _, _) = export(&[&["shop_orders", &*file("broken.parquet")], arguments].concat());
        assert!(code != 0, "{arguments:?}");
    }
    let left = names(directory.path());
    assert!(!left.iter().any(|name| name.contains("broken") || name.ends_with(".part")), "{left:?}");
    let (code, _, err) = export(&["nothing.here", &file("x.parquet")]);
    assert!(code == 4 && err.contains("nothing.here"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_keeps_to_the_limits_of_sql() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/shop.orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let of = data.display().to_string();
    let server = Server::start_with(&project, &data, &["sql.rows=700", "lake.commit_every=20ms"]);
    for first in (0..5000).step_by(1000) {
        let events = body(first..first + 1000);
        assert_eq!(server.post("shop.orders", "application/x-ndjson", events).await.0, 200);
    }
    let path = directory.path().join("orders.parquet").display().to_string();
    let (code, out, err) = headwater(&["export", "shop.orders", &path, "--data", &of]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("5,000 rows in"), "{out}");
    assert_eq!(ids(&read(Path::new(&path))), (0..5000).collect::<Vec<_>>());
    let whole = directory.path().join("whole.parquet").display().to_string();
    let (code, _, err) =
        headwater(&["export", "x", &whole, "--sql", "SELECT * FROM shop_orders", "--data", &of]);
    assert!(code != 0 && !Path::new(&whole).exists(), "{err}");

    // A version is exported as it was, whatever has come since.
    let first = "SELECT count(*) FROM shop_orders VERSION AS OF 0";
    while server.sql_answer(first).await.0 != 200 {
        tokio::task::yield_now().await;
    }
    let rows = server.number(first).await;
    let old = directory.path().join("old.parquet").display().to_string();
    let (code, _, err) = headwater(&["export", "shop.orders", &old, "--version", "0", "--data", &of]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(read(Path::new(&old)).num_rows() as i64, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_fails_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/shop.orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let of = data.display().to_string();
    // Many answers, so that an export lasts for a while.
    let server = Server::start_with(&project, &data, &["sql.rows=700"]);
    for first in (0..EVENTS / 5).step_by(1000) {
        let events = body(first..first + 1000);
        assert_eq!(server.post("shop.orders", "application/x-ndjson", events).await.0, 200);
    }
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let path = out.join("orders.parquet");
    let to = path.display().to_string();
    let whole = path.with_file_name("whole.parquet");
    let (code, told, err) =
        headwater(&["export", "shop.orders", &whole.display().to_string(), "--data", &of]);
    assert_eq!(code, 0, "{told}{err}");
    let bytes = fs::metadata(&whole).unwrap().len();
    fs::remove_file(&whole).unwrap();

    // As on a full disk: a file may be so large (512 bytes a block) and no larger, and who writes beyond is told, not killed.
    for blocks in [0, 1, bytes / 1024, bytes / 512 - 1] {
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &limit, crate::server::BINARY, "export", "shop.orders", &to, "--data", &of])
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{blocks} blocks: {err}");
        assert!(err.contains("cannot write") && err.contains("given up"), "{err}");
        assert_eq!(names(&out), Vec::<String>::new(), "{blocks} blocks of {bytes} bytes");
    }
    // Nor where nobody may write, or where there is no directory.
    for target in ["/proc/orders.parquet".to_owned(), out.join("a/b.parquet").display().to_string()] {
        let (code, _, err) = headwater(&["export", "shop.orders", &target, "--data", &of]);
        assert!(code == 2 && err.contains("cannot write") && err.contains(&target[..5]), "{code} {err}");
    }
    // Killed: what is left has no name that a reader takes for a table's.
    let command = || {
        let mut command = std::process::Command::new(crate::server::BINARY);
        command.args(["export", "shop.orders", &to, "--data", &of]).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped());
        command
    };
    let mut export = command().spawn().unwrap();
    while names(&out).is_empty() {
        std::thread::yield_now();
    }
    export.kill().unwrap();
    export.wait().unwrap();
    let left = names(&out);
    assert!(left.len() == 1 && left[0].starts_with('.') && left[0].ends_with(".part"), "{left:?}");
    fs::remove_file(out.join(&left[0])).unwrap();
    // Somebody else takes the name meanwhile: what is there stays as it is.
    let export = command().spawn().unwrap();
    while names(&out).is_empty() {
        std::thread::yield_now();
    }
    fs::write(&path, "theirs").unwrap();
    let output = export.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("is there already"), "{err}");
    assert_eq!(names(&out), ["orders.parquet"]);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    fs::remove_file(&path).unwrap();
    let (code, told, err) = headwater(&["export", "shop.orders", &to, "--data", &of]);
    assert_eq!(code, 0, "{told}{err}");
    assert_eq!(ids(&read(&path)).len() as i64, EVENTS / 5);
}
