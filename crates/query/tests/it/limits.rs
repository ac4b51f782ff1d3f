//! Memory, rows, time; and that a statement that is given up ends.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use hw_event::Principal;
use hw_query::{Files, HotBatches, HotError, HotSource, QueryError, SqlSettings, render::Format};

use crate::house::{ask, ask_as, code, house, readings, rows, runner, settings, text};

#[tokio::test]
async fn rows_are_counted_as_they_leave() {
    let house = house();
    let runner = runner(SqlSettings { rows: 1_000, ..settings() });
    assert_eq!(code(&runner, &house.cut, "SELECT * FROM generate_series(1, 1000)").await, "ok");
    let error = ask(&runner, &house.cut, "SELECT * FROM generate_series(1, 1001)").await.unwrap_err();
    assert_eq!(error, QueryError::Rows { rows_max: 1_000 });
    assert_eq!(code(&runner, &house.cut, "SELECT count(*) FROM generate_series(1, 100000)").await, "ok");
    assert_eq!(code(&runner, &house.cut, "SELECT * FROM generate_series(1, 100000) LIMIT 1000").await, "ok");
}

#[tokio::test]
async fn memory_is_bounded_and_given_back() {
    let house = house();
    let runner = runner(SqlSettings { memory: 16 * 1024 * 1024, ..settings() });
    for statement in [
        "SELECT max(n) FROM (SELECT value * 7919 % 10000019 AS k, count(*) AS n FROM generate_series(1, 3000000) GROUP BY 1)",
        "SELECT value FROM generate_series(1, 10000000) ORDER BY value % 1000 LIMIT 9000000",
        "SELECT count(DISTINCT value * 7919 % 10000019) FROM generate_series(1, 5000000)",
        "SELECT length(array_to_string(array_agg(value), ',')) FROM generate_series(1, 5000000)",
        "SELECT a.value FROM generate_series(1, 3000000) a JOIN generate_series(1, 3000000) b ON a.value = b.value LIMIT 1",
    ] {
        assert_eq!(code(&runner, &house.cut, statement).await, "sql_memory", "{statement}");
    }
    assert_eq!(rows(&runner, &house.cut, "SELECT sum(value) FROM generate_series(1, 10)").await, ["[55]"]);
}

#[tokio::test]
async fn time_ends_computing() {
    let house = house();
    let runner = runner(SqlSettings { time: Duration::from_millis(500), ..settings() });
    for statement in [
        "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT sum(value) FROM generate_series(1, 1000000000000)",
    ] {
        let started = Instant::now();
        assert_eq!(code(&runner, &house.cut, statement).await, "sql_time", "{statement}");
        assert!(started.elapsed() < Duration::from_secs(120), "{statement}: {:?}", started.elapsed());
    }
    let products = "SELECT count(*) FROM generate_series(1, 5000) a, generate_series(1, 5000) b, generate_series(1, 5000) c WHERE a.value + b.value + c.value = 0";
    let end = code(&runner, &house.cut, products).await;
    assert!(["sql_memory", "sql_time"].contains(&end), "{end}");
    // What was given up leaves its threads at its next batch; others get on with them.
    let started = Instant::now();
    while code(&runner, &house.cut, "SELECT 1").await != "ok" {
        assert!(started.elapsed() < Duration::from_secs(120));
    }
    println!("answers again after {:?}", started.elapsed());
}

/// A join that goes through all pairs and finds none hands nothing up; it gives its place back all the same. There are
/// sixteen places.
#[tokio::test]
async fn joins_that_find_nothing_end_with_their_time() {
    let house = house();
    let hasty = runner(SqlSettings { time: Duration::from_millis(500), ..settings() });
    let pairs = "SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b \
                 WHERE a.value * b.value = -1";
    for _ in 0..17 {
        assert_eq!(code(&hasty, &house.cut, pairs).await, "sql_time");
    }
    assert_eq!(code(&hasty, &house.cut, "SELECT 1").await, "ok", "all places are free");
    let quick = runner(SqlSettings { time: Duration::from_secs(20), ..settings() });
    for _ in 0..3 {
        drop(tokio::time::timeout(Duration::from_millis(200), code(&quick, &house.cut, pairs)).await);
    }
    assert_eq!(code(&quick, &house.cut, "SELECT 1").await, "ok", "nobody waits for those any more");
}

/// A reader that takes one batch and then nothing loses the rest.
#[tokio::test]
async fn time_ends_a_slow_reader() {
    let house = house();
    let time = Duration::from_secs(3);
    let runner = runner(SqlSettings { time, rows: usize::MAX, ..settings() });
    let started = Instant::now();
    let statement = "SELECT * FROM generate_series(1, 100000000)";
    let mut answer = runner.run(statement, &Principal::local(), house.cut.clone()).await.unwrap();
    assert!(answer.try_next().await.unwrap().is_some());
    tokio::time::sleep_until((started + time).into()).await;
    let rest = text(answer, Format::Ndjson).await;
    assert_eq!(rest.unwrap_err(), QueryError::Time(time));
}

/// Yields one batch, then waits until it is let go; says when it is dropped.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    dropped: AtomicBool,
}

#[derive(Debug)]
struct Waiting(Arc<Gate>);

struct Steps {
    gate: Arc<Gate>,
    step: usize,
}

impl Iterator for Steps {
    type Item = Result<arrow::array::RecordBatch, HotError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step += 1;
        if self.step > 1 {
            let mut open = self.gate.open.lock().unwrap();
            while !*open {
                open = self.gate.opened.wait(open).unwrap();
            }
        }
        Some(Ok(readings(0..10, 2, 1)))
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.gate.dropped.store(true, Ordering::Release);
    }
}

impl HotSource for Waiting {
    fn rows(&self) -> usize {
        usize::MAX
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(Steps { gate: Arc::clone(&self.0), step: 0 }))
    }
}

#[tokio::test]
async fn dropping_the_answer_ends_the_statement() {
    let mut house = house();
    let gate = Arc::new(Gate::default());
    house.cut.tables[0].files = Files::default();
    house.cut.tables[0].hot = Arc::new(Waiting(Arc::clone(&gate)));
    let runner = runner(settings());
    let statement = "SELECT _offset FROM sensor_reading";
    let mut answer = runner.run(statement, &Principal::local(), house.cut.clone()).await.unwrap();
    assert!(answer.try_next().await.unwrap().is_some());
    drop(answer);
    *gate.open.lock().unwrap() = true;
    gate.opened.notify_all();
    // An endless source: it goes only because the statement does.
    let ended = async {
        while !gate.dropped.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), ended).await.unwrap();
}

/// A source that blocks for ever holds up its own statement and nobody else's.
#[tokio::test]
async fn a_blocked_statement_ends_for_its_caller() {
    let mut blocked = house();
    let gate = Arc::new(Gate::default());
    blocked.cut.tables[0].files = Files::default();
    blocked.cut.tables[0].hot = Arc::new(Waiting(Arc::clone(&gate)));
    let runner = runner(SqlSettings { time: Duration::from_secs(3), ..settings() });
    assert_eq!(code(&runner, &blocked.cut, "SELECT sum(value) FROM sensor_reading").await, "sql_time");
    assert_eq!(code(&runner, &house().cut, "SELECT sum(value) FROM sensor_reading").await, "ok");
    *gate.open.lock().unwrap() = true;
    gate.opened.notify_all();
}

#[tokio::test]
async fn a_runner_can_be_dropped_inside_a_runtime() {
    let house = house();
    let runner = runner(settings());
    assert_eq!(ask_as(&runner, &house.cut, "SELECT 1 AS x", Format::Csv).await.unwrap(), "x\r\n1\r\n");
}
