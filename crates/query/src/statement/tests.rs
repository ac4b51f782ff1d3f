//! Hostile and friendly texts. The hostile ones run on a stack as large as the runner's threads have.

use std::time::{Duration, Instant};

use super::*;

const LIMITS: Limits = Limits { text_bytes_max: 256 * 1024, depth_max: 200 };

fn checked(text: &str) -> Result<Checked, QueryError> {
    let text = text.to_owned();
    let started = Instant::now();
    let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024).spawn(move || check(&text, LIMITS));
    let result = thread.unwrap().join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    result
}

#[track_caller]
fn code(text: &str) -> &'static str {
    match checked(text) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn statements_that_read_pass() {
    for text in [
        "SELECT 1",
        "select a.b, count(*) filter (where x > 1) from a group by all",
        "WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b;",
        "VALUES (1, 'a'), (2, 'b')",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE VERBOSE SELECT 1",
        "EXPLAIN FORMAT TREE SELECT 1",
        "SHOW TABLES",
        "DESCRIBE t",
        "DESC headwater.public.t",
        "-- a comment\nSELECT /* another */ 1",
        "FROM t SELECT x",
        "SELECT x, row_number() OVER (PARTITION BY y ORDER BY z) FROM t",
        "SELECT * EXCLUDE (a) FROM t",
        "SELECT CASE WHEN x = 1 THEN 'a' ELSE 'b' END FROM t",
        "SELECT t.s.field, t.l[1], {'a': 1}, [1, 2, 3] FROM t",
        "SELECT * FROM ((a JOIN b ON a.x = b.x) JOIN c ON c.x = a.x)",
        "SELECT * FROM (SELECT 1) AS t(x) WHERE EXISTS (SELECT 1 FROM u WHERE u.x = t.x)",
        "SELECT INTERVAL '1' DAY, DATE '2024-01-01', TIMESTAMP '2024-01-01T00:00:00Z'",
    ] {
        assert_eq!(code(text), "ok", "{text}");
    }
}

#[test]
fn other_kinds_are_refused_wherever_they_stand() {
    for (text, kind) in [
        ("INSERT INTO t VALUES (1)", "INSERT"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("DELETE FROM t", "DELETE"),
        ("DROP TABLE t", "DROP"),
        ("CREATE TABLE t (a int)", "CREATE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("CREATE VIEW v AS SELECT 1", "CREATE"),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'", "CREATE"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x'", "CREATE"),
        ("COPY t TO 'x.csv'", "COPY"),
        ("COPY (SELECT 1) TO '/tmp/x.parquet' STORED AS PARQUET", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("SET TIME ZONE 'UTC'", "SET"),
        ("RESET datafusion.execution.batch_size", "RESET"),
        ("BEGIN", "BEGIN"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("EXECUTE p", "EXECUTE"),
        ("TRUNCATE TABLE t", "TRUNCATE"),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "MERGE"),
        ("GRANT ALL ON t TO u", "GRANT"),
        ("VACUUM t", "VACUUM"),
        ("SHOW ALL", "SHOW"),
        ("SHOW COLUMNS FROM t", "SHOW"),
        ("SHOW CREATE TABLE t", "SHOW"),
        ("EXPLAIN INSERT INTO t VALUES (1)", "EXPLAIN of anything but a query"),
        ("SELECT * INTO t FROM u", "SELECT … INTO"),
        ("SELECT * FROM t FOR UPDATE", "SELECT … FOR UPDATE"),
        (
            "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a",
            "a statement that changes data inside a query",
        ),
        ("SELECT * FROM t; DROP TABLE t", ""),
    ] {
        match checked(text) {
            Err(QueryError::Kind(refused)) if !kind.is_empty() => assert_eq!(refused, kind, "{text}"),
            Err(QueryError::Text(message)) if kind.is_empty() => {
                assert!(message.contains("one statement"), "{text}")
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn texts_that_are_no_statement_are_refused() {
    for text in [
        "",
        " ",
        ";",
        "-- nothing",
        "SELEC 1",
        "SELECT",
        "SELECT 'open",
        "SELECT (1",
        "SELECT 1 1 1",
        "\0",
        "🦀",
        "EXPLAIN EXPLAIN SELECT 1",
    ] {
        assert_eq!(code(text), "sql_text", "{text:?}");
    }
    assert_eq!(code("SHOW TABLES LIKE 'x'"), "sql_plan");
    assert_eq!(code(&" ".repeat(256 * 1024 + 1)), "sql_size");
}

#[test]
fn depth_is_counted_exactly() {
    let sum = |terms: usize| format!("SELECT {}", vec!["1"; terms].join(" + "));
    // The query is one level, a chain of n terms has n levels (n - 1 operators and a leaf).
    assert_eq!(code(&sum(199)), "ok");
    assert_eq!(code(&sum(200)), "sql_depth");
    let or = |terms: usize| format!("SELECT 1 FROM t WHERE {}", vec!["x"; terms].join(" OR "));
    assert_eq!(code(&or(198)), "ok");
    assert_eq!(code(&or(200)), "sql_depth");
    let nested = |levels: usize| format!("SELECT {}1{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(code(&nested(198)), "ok");
    assert_eq!(code(&nested(199)), "sql_depth");
    let union = |queries: usize| vec!["SELECT 1"; queries].join(" UNION ALL ");
    assert_eq!(code(&union(199)), "ok");
    assert_eq!(code(&union(201)), "sql_depth");
    let joins = |tables: usize| format!("SELECT * FROM {}", vec!["t"; tables].join(", "));
    assert_eq!(code(&joins(150)), "ok");
    assert_eq!(code(&joins(200)), "sql_depth");
}

#[test]
fn wide_is_not_deep() {
    let list: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    assert_eq!(code(&format!("SELECT x IN ({}) FROM t", list.join(","))), "ok");
    let rows: Vec<String> = (0..10_000).map(|n| format!("({n}, 'a')")).collect();
    assert_eq!(code(&format!("VALUES {}", rows.join(","))), "ok");
    let arms: Vec<String> = (0..900).map(|n| format!("WHEN x = {n} THEN {n}")).collect();
    assert_eq!(code(&format!("SELECT CASE {} END FROM t", arms.join(" "))), "ok");
    let columns: Vec<String> = (0..5_000).map(|n| format!("x + {n} AS c{n}")).collect();
    assert_eq!(code(&format!("SELECT {} FROM t", columns.join(","))), "ok");
}

#[test]
fn hostile_texts_end_in_an_error_and_soon() {
    let n = 20_000;
    let large = 100_000;
    let open = |text: &str| text.repeat(256 * 1024 / text.len() - 10);
    for (name, text) in [
        ("or", format!("SELECT 1 FROM t WHERE {}", vec!["x=1"; n].join(" OR "))),
        ("and", format!("SELECT 1 FROM t WHERE {}", vec!["x"; n].join(" AND "))),
        ("plus", format!("SELECT {}", vec!["1"; n].join("+"))),
        ("plus, as many as fit", format!("SELECT {}", open("1+"))),
        ("parens", format!("SELECT {}1{}", "(".repeat(large), ")".repeat(large))),
        ("parens, never closed", open("(")),
        ("select parens", format!("SELECT {}", open("("))),
        ("brackets", format!("SELECT {}", open("["))),
        ("braces", format!("SELECT {}", open("{"))),
        ("not", format!("SELECT {} x", open("NOT "))),
        ("minus", format!("SELECT {}1", open("- "))),
        ("casts", format!("SELECT 1{}", open("::int"))),
        ("case", format!("SELECT {}", open("CASE WHEN "))),
        ("concatenations", format!("SELECT {}", vec!["'a'"; n].join("||"))),
        ("comparisons", format!("SELECT {}", vec!["1"; n].join("<"))),
        ("between", format!("SELECT {}", vec!["1"; n].join(" BETWEEN 1 AND "))),
        ("is null", format!("SELECT 1{}", open(" IS NULL"))),
        ("collate", format!("SELECT 'a'{}", open(" COLLATE x"))),
        ("unions", vec!["SELECT 1"; 10_000].join(" UNION ")),
        ("unions with commas", vec!["SELECT 1,2"; 10_000].join(" UNION ")),
        ("intersections", vec!["SELECT 1"; 10_000].join(" INTERSECT ")),
        ("joins", format!("SELECT * FROM {}", vec!["t"; n].join(" CROSS JOIN "))),
        ("tables", format!("SELECT * FROM {}", vec!["t"; n].join(","))),
        ("subqueries", format!("SELECT * FROM {}", open("(SELECT * FROM "))),
        ("scalar subqueries", format!("SELECT {}", open("(SELECT "))),
        ("exists", format!("SELECT 1 WHERE {}", open("EXISTS (SELECT 1 WHERE "))),
        ("in subqueries", format!("SELECT 1 WHERE {}", open("1 IN (SELECT 1 WHERE "))),
        ("with", open("WITH a AS (")),
        ("explain", open("EXPLAIN ")),
        ("functions", format!("SELECT {}", open("abs("))),
        ("arrays", format!("SELECT {}", open("ARRAY["))),
        ("types", format!("SELECT CAST(1 AS {}", open("STRUCT<a "))),
        ("array types", format!("SELECT CAST(1 AS {}", open("ARRAY<"))),
        ("indices", format!("SELECT x{}", open("[1]"))),
        ("intervals", format!("SELECT {}", open("INTERVAL "))),
        ("lateral", format!("SELECT * FROM {}", open("LATERAL ("))),
        ("values", format!("SELECT * FROM {}", open("(VALUES "))),
        ("statements", open("SELECT 1;")),
        ("comments", open("/*")),
        ("quotes", open("'")),
    ] {
        let code = code(&text);
        assert!(["sql_depth", "sql_size", "sql_text", "sql_kind"].contains(&code), "{name}: {code}");
    }
}

/// Each of these is short; without a budget the parser takes 2ⁿ steps.
#[test]
fn the_parser_has_a_budget() {
    for (name, open, levels) in [
        ("cast", "CAST(", 150),
        ("case", "CASE WHEN ", 90),
        ("trim", "TRIM(", 150),
        ("extract", "EXTRACT(DAY FROM ", 150),
        ("interval", "INTERVAL ", 150),
        ("position", "POSITION(1 IN ", 90),
        ("table parens", "1 FROM ((SELECT ", 60),
        ("tables", "* FROM ((SELECT * FROM ((", 30),
        ("not exists", "NOT EXISTS (SELECT ", 60),
        ("substring", "SUBSTRING(", 150),
        ("ceil", "CEIL(", 150),
        ("struct", "STRUCT(", 150),
        ("map", "MAP {", 90),
        ("array", "ARRAY[", 150),
        ("over", "sum(x) OVER (ORDER BY ", 60),
    ] {
        let text = format!("SELECT {} !", open.repeat(levels));
        let code = code(&text);
        assert!(["sql_depth", "sql_size", "sql_text"].contains(&code), "{name}: {code}");
    }
}

#[test]
fn queries_that_double_with_each_step_are_counted_out() {
    let mut text = "WITH c0 AS (SELECT 1 AS x)".to_owned();
    for n in 1..40 {
        text.push_str(&format!(", c{n} AS (SELECT a.x FROM c{0} a, c{0} b)", n - 1));
    }
    assert_eq!(code(&format!("{text} SELECT * FROM c39")), "sql_size");
    // A chain is as deep as it is long.
    let chain = |steps: usize| {
        let mut text = "WITH c0 AS (SELECT 1 AS x)".to_owned();
        for n in 1..steps {
            text.push_str(&format!(", c{n} AS (SELECT x FROM c{})", n - 1));
        }
        format!("{text} SELECT * FROM c{}", steps - 1)
    };
    assert_eq!(code(&chain(40)), "ok");
    assert_eq!(code(&chain(300)), "sql_depth");
}

#[test]
fn tables_are_named() {
    let checked = checked(
        "WITH a AS (SELECT * FROM b) SELECT *, (SELECT max(x) FROM headwater.public.c) FROM a JOIN \"D\" ON true",
    );
    let tables: Vec<String> = checked.unwrap().tables.into_iter().collect();
    assert_eq!(tables, ["D", "a", "b", "c"]);
}

/// What a statement names, and its text once it is checked.
fn versions(text: &str) -> (Vec<String>, String) {
    let checked = checked(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let names = checked.names.as_of().iter().map(crate::AsOf::name).collect();
    let Ask::Plan(statement) = checked.ask else { panic!("{text}") };
    // Whoever looks only at the tokens knows the same.
    assert_eq!(glance(text, LIMITS).unwrap().as_of(), checked.names.as_of(), "{text}");
    (names, statement.to_string())
}

#[test]
fn a_version_behind_a_name_makes_it_another_table() {
    const MAY: &str = "t@1714521600000000us";
    for (text, names, becomes) in [
        ("SELECT * FROM t VERSION AS OF 7", &["t@7"][..], "SELECT * FROM \"t@7\" AS t"),
        ("SELECT * FROM t FOR VERSION AS OF 7 AS old", &["t@7"], "SELECT * FROM \"t@7\" AS old"),
        ("SELECT * FROM public.t FOR VERSION AS OF 7 old", &["t@7"], "SELECT * FROM public.\"t@7\" old"),
        (
            "SELECT t.a FROM \"t\" FOR TIMESTAMP /* then */ AS OF '2024-05-01T00:00:00Z' WHERE a > 1",
            &[MAY],
            &format!("SELECT t.a FROM \"{MAY}\" AS \"t\" WHERE a > 1"),
        ),
        (
            "SELECT * FROM t TIMESTAMP AS OF TIMESTAMP '2024-05-01' JOIN t AS now USING (a)",
            &[MAY],
            &format!("SELECT * FROM \"{MAY}\" AS t JOIN t AS now USING(a)"),
        ),
        (
            "SELECT * FROM t FOR SYSTEM_TIME AS OF '2024-05-01 02:00:00+02:00'",
            &[MAY],
            &format!("SELECT * FROM \"{MAY}\" AS t"),
        ),
        (
            "SELECT (SELECT count(*) FROM t VERSION AS OF 1) - (SELECT count(*) FROM t VERSION AS OF 0)",
            &["t@1", "t@0"],
            "SELECT (SELECT count(*) FROM \"t@1\" AS t) - (SELECT count(*) FROM \"t@0\" AS t)",
        ),
        // What has another meaning keeps it.
        ("SELECT version AS of FROM t", &[], "SELECT version AS of FROM t"),
        ("SELECT * FROM t before JOIN u at ON true", &[], "SELECT * FROM t before JOIN u at ON true"),
        ("SELECT 'VERSION AS OF 3' FROM t", &[], "SELECT 'VERSION AS OF 3' FROM t"),
        ("SELECT \"version\" AS of FROM t", &[], "SELECT \"version\" AS of FROM t"),
    ] {
        let (found, now) = versions(text);
        assert_eq!((found.iter().map(String::as_str).collect::<Vec<_>>(), &*now), (names.to_vec(), becomes));
    }
}

#[test]
fn a_version_that_is_none_is_refused() {
    for (text, expected) in [
        ("SELECT * FROM t FOR VERSION AS OF now()", "sql_plan"),
        ("SELECT * FROM t VERSION AS OF -1", "sql_text"),
        ("SELECT * FROM t VERSION AS OF 1.5", "sql_plan"),
        ("SELECT * FROM t VERSION AS OF 99999999999999999999", "sql_plan"),
        ("SELECT * FROM t VERSION AS OF 1 + 1", "sql_text"),
        ("SELECT * FROM t FOR TIMESTAMP AS OF 'yesterday'", "sql_plan"),
        ("SELECT * FROM t FOR TIMESTAMP AS OF now()", "sql_plan"),
        ("SELECT * FROM t TIMESTAMP AS OF '2024-05-01' || 'Z'", "sql_plan"),
        ("SELECT * FROM (SELECT 1) VERSION AS OF 1", "sql_plan"),
        ("SELECT * FROM f(1) VERSION AS OF 1", "sql_plan"),
        ("VERSION AS OF 1", "sql_text"),
        ("SELECT * FROM t AT(VERSION => 1) JOIN u VERSION AS OF 1 ON true", "sql_plan"),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    let many = |count| {
        let tables: Vec<_> = (0..count).map(|at| format!("t VERSION AS OF {at} AS t{at}")).collect();
        format!("SELECT 1 FROM {}", tables.join(", "))
    };
    assert_eq!((code(&many(16)), code(&many(17))), ("ok", "sql_size"));
}
