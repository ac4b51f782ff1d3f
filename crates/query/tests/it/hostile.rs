//! Statements that would like to end the process.

use std::time::{Duration, Instant};

use hw_query::SqlSettings;

use crate::house::{code, house, runner, settings};

/// Small results are fine; the bomb is refused before it is made.
#[tokio::test]
async fn functions_make_no_more_than_they_may() {
    let house = house();
    let runner = runner(settings());
    for statement in [
        "SELECT length(repeat('x', 1000000))",
        "SELECT lpad('x', 10, 'ab'), rpad('x', 10)",
        "SELECT array_length(array_repeat(1, 1000)), array_length(range(0, 1000)), array_length(generate_series(1, 1000, 2))",
        "SELECT replace('aaa', 'a', 'bb'), regexp_replace('aaa', 'a', 'b$0', 'g'), array_to_string([1, 2], ', ')",
        "SELECT 'a' || 'b' || NULL, [1] || [2], array_append([1], 2), make_array(1, 2), concat_ws('-', 'a', 'b')",
        "SELECT to_char(TIMESTAMP '2024-05-01T00:00:00', '%Y-%m'), encode('a', 'hex'), levenshtein('kitten', 'sitting')",
        "SELECT array_resize([1], 5), string_agg(sensor, ', ') FROM sensor_reading",
        "SELECT repeat(sensor, 3) FROM sensor_reading",
        "SELECT array_length(range(DATE '2024-01-01', DATE '2025-01-01', INTERVAL '1 month'))",
        "SELECT struct(1, 'a'), named_struct('a', sensor)['a'], map(['a'], [1]) FROM sensor_reading",
    ] {
        assert_eq!(code(&runner, &house.cut, statement).await, "ok", "{statement}");
    }
    for statement in [
        "SELECT repeat('x', 2000000000)",
        "SELECT length(repeat('x', 2000000000))",
        "SELECT repeat(sensor, 500000000) FROM sensor_reading",
        "SELECT repeat('x', CAST(value AS BIGINT) * 100000000) FROM sensor_reading",
        "SELECT lpad('x', 2000000000), rpad('x', 2000000000)",
        "SELECT rpad(sensor, 100000000) FROM sensor_reading",
        "SELECT array_repeat('x', 2000000000)",
        "SELECT list_repeat(sensor, 1000000000) FROM sensor_reading",
        "SELECT array_resize([1], 2000000000)",
        "SELECT generate_series(1, 10000000000)",
        "SELECT range(0, 9223372036854775807)",
        "SELECT range(9223372036854775807)",
        "SELECT generate_series(0, CAST(value AS BIGINT) * 1000000000) FROM sensor_reading",
        "SELECT unnest(range(0, 9000000000))",
        "SELECT range(TIMESTAMP '2000-01-01T00:00:00', TIMESTAMP '2024-01-01T00:00:00', INTERVAL '1 microsecond')",
        "SELECT generate_series(DATE '0001-01-01', DATE '9999-12-31', INTERVAL '1 day')",
        "SELECT replace(repeat('a', 1000000), 'a', repeat('b', 1000000))",
        "SELECT replace(repeat('a', 1000000), '', repeat('b', 1000000))",
        "SELECT regexp_replace(repeat('a', 1000000), '', repeat('b', 1000000), 'g')",
        "SELECT regexp_replace(repeat('a', 100000), '.*', repeat('$0', 100000), 'g')",
        "SELECT array_to_string(range(0, 1000000), repeat('b', 1000000))",
        "SELECT * FROM (SELECT repeat('a', 500000) x) WHERE x || x || x || x || x || x || x || x = ''",
        "SELECT concat(repeat('a', 600000), repeat('b', 600000))",
        "WITH a AS (SELECT repeat('x', 8000000) s), b AS (SELECT s || s AS s FROM a), c AS (SELECT s || s AS s FROM b), d AS (SELECT s || s AS s FROM c), e AS (SELECT s || s AS s FROM d) SELECT length(s) FROM e",
        "SELECT make_array(range(0, 50000), range(0, 50000), range(0, 50000))",
        "SELECT to_char(_time, repeat('%c', 1000000)) FROM sensor_reading",
        "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
        "SELECT encode(encode(repeat('x', 300000), 'hex'), 'hex')",
        "SELECT sum(length(x || x || x || x || x || x || x || x || x || x || x)) FROM (SELECT repeat(sensor, 500000 + CAST(value AS INT)) x FROM sensor_reading)",
        "SELECT count(*) FROM (SELECT array_concat(x, x, x, x, x, x) y FROM (SELECT range(0, 100000 + _offset) x FROM sensor_reading)) WHERE y[1] = 0",
    ] {
        let started = Instant::now();
        assert_eq!(code(&runner, &house.cut, statement).await, "sql_memory", "{statement}");
        assert!(started.elapsed() < Duration::from_secs(120), "{statement}: {:?}", started.elapsed());
    }
    // Types of any width, and what speaks of files, do not exist.
    for statement in [
        "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)')",
        "SELECT string_agg(sensor, repeat('x', 1000000)) FROM sensor_reading",
        "SELECT input_file_name() FROM sensor_reading",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x')",
    ] {
        assert_eq!(code(&runner, &house.cut, statement).await, "sql_plan", "{statement}");
    }
}

/// A constant stands in memory once a row: large ones make small batches.
#[tokio::test]
async fn large_constants_make_small_batches() {
    let house = house();
    let runner = runner(settings());
    let statement = "SELECT sum(length(x)) FROM (SELECT repeat('x', 1000000) || CAST(value AS VARCHAR) AS x FROM generate_series(1, 2000))";
    assert_eq!(code(&runner, &house.cut, statement).await, "ok");
}

#[tokio::test]
async fn files_are_no_tables() {
    let house = house();
    let runner = runner(settings());
    let file = house.lake.path().join("sensor.reading/old.parquet");
    for from in [
        format!("'{}'", file.display()),
        format!("\"{}\"", file.display()),
        format!("\"file://{}\"", file.display()),
        "'sensor.reading/old.parquet'".to_owned(),
        "datafusion.public.sensor_reading".to_owned(),
        "information_schema.df_settings".to_owned(),
    ] {
        let statement = format!("SELECT * FROM {from}");
        assert_eq!(code(&runner, &house.cut, &statement).await, "sql_plan", "{statement}");
    }
}

#[tokio::test]
async fn statements_that_write_are_refused() {
    let house = house();
    let runner = runner(settings());
    let to = house.lake.path().join("out.csv");
    for statement in [
        format!("COPY sensor_reading TO '{}'", to.display()),
        format!("COPY (SELECT 1) TO '{}' STORED AS CSV", to.display()),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}'", to.display()),
        "INSERT INTO sensor_reading (sensor) VALUES ('x')".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "DROP TABLE sensor_reading".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO sensor_reading (sensor) VALUES ('x')".to_owned(),
    ] {
        assert_eq!(code(&runner, &house.cut, &statement).await, "sql_kind", "{statement}");
    }
    assert!(!to.exists());
    assert_eq!(code(&runner, &house.cut, "SELECT 1; SELECT 2").await, "sql_text");
}

/// The deepest and widest that passes is planned and run, on a stack that holds it.
#[tokio::test]
async fn the_deepest_statement_that_passes_runs() {
    let house = house();
    let runner = runner(SqlSettings { depth: 1_000_000, ..settings() });
    let chain = |term: &str, operator: &str, terms: usize| vec![term; terms].join(operator);
    for (name, statement) in [
        (
            "or",
            format!("SELECT count(*) FROM sensor_reading WHERE {}", chain("value = _offset", " OR ", 300)),
        ),
        ("plus", format!("SELECT {} FROM sensor_reading", chain("value", " + ", 300))),
        ("parens", format!("SELECT {}value{} FROM sensor_reading", "(".repeat(900), ")".repeat(900))),
        ("unions", chain("SELECT 1", " UNION ALL ", 150)),
        ("not", format!("SELECT {} \"Upper\" FROM sensor_reading", "NOT ".repeat(900))),
    ] {
        let started = Instant::now();
        let code = code(&runner, &house.cut, &statement).await;
        println!("{name}: {code} in {:?}", started.elapsed());
        assert_eq!(code, "ok", "{name}");
    }
    for (name, statement) in [
        ("or", format!("SELECT count(*) FROM sensor_reading WHERE {}", chain("value = 1", " OR ", 20_000))),
        ("plus", format!("SELECT {}", chain("1", " + ", 20_000))),
        ("parens", format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000))),
        ("subqueries", format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(5_000), ")".repeat(5_000))),
    ] {
        assert_eq!(code(&runner, &house.cut, &statement).await, "sql_depth", "{name}");
    }
}

#[tokio::test]
async fn wide_statements_are_planned_in_time() {
    let house = house();
    let runner = runner(settings());
    let numbers: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let columns: Vec<String> = (0..500).map(|n| format!("value + {n} AS c{n}")).collect();
    let values: Vec<String> = (0..3_000).map(|n| format!("({n}, 'x')")).collect();
    for (name, statement) in [
        ("in", format!("SELECT count(*) FROM sensor_reading WHERE _offset IN ({})", numbers.join(","))),
        ("columns", format!("SELECT {} FROM sensor_reading", columns.join(","))),
        ("values", format!("SELECT count(*) FROM (VALUES {})", values.join(","))),
    ] {
        let started = Instant::now();
        let code = code(&runner, &house.cut, &statement).await;
        println!("{name}: {code} in {:?}", started.elapsed());
        assert!(["ok", "sql_time"].contains(&code), "{name}: {code}");
    }
}
