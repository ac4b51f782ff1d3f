//! `rejects` says what became of each, from a stream beside it; a statement that does not ask does not look there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use hw_query::{Cut, PayloadOpener, Runner};

use crate::house::{House, Turned, batch, house, rows, runner, settings, table, times, write};

/// (offset of the reject, status, new code), in the order in which they were said; the first in a file.
fn with_resolutions(said: &[(i64, &str, Option<&str>)]) -> House {
    let mut house = house();
    let part = |first: usize, said: &[(i64, &str, Option<&str>)]| {
        let count = said.len();
        let offsets = first as i64..(first + count) as i64;
        batch(vec![
            ("stream", Arc::new(StringArray::from(vec!["sensor.reading"; count])) as ArrayRef),
            ("partition", Arc::new(Int64Array::from(vec![0; count]))),
            ("offset", Arc::new(Int64Array::from_iter_values(said.iter().map(|said| said.0)))),
            ("status", Arc::new(StringArray::from_iter_values(said.iter().map(|said| said.1)))),
            ("attempt", Arc::new(Int64Array::from(vec![1; count]))),
            ("code", Arc::new(StringArray::from_iter(said.iter().map(|said| said.2)))),
            ("path", Arc::new(StringArray::from_iter(said.iter().map(|said| said.2.map(|_| "/new"))))),
            ("message", Arc::new(StringArray::from_iter(said.iter().map(|said| said.2)))),
            ("_partition", Arc::new(Int32Array::from(vec![0; count]))),
            ("_offset", Arc::new(Int64Array::from_iter_values(offsets))),
            ("_time", times(said.iter().map(|_| 0))),
        ])
    };
    let (first, rest) = said.split_at(1);
    let (first, rest) = (part(0, first), part(1, rest));
    let root = house.lake.path();
    let columns = first.schema();
    let files = vec![write(root, "resolutions/a.parquet", &first)];
    house.cut.tables.insert(0, table(root, "resolutions", columns, files, vec![rest]));
    house
}

#[tokio::test]
async fn the_newest_word_on_a_reject_counts() {
    let said = [
        (101, "open", Some("maximum")),
        (102, "open", Some("enum")),
        (100, "fixed", None),
        (102, "replayed", None),
    ];
    let house = with_resolutions(&said);
    let runner = runner(settings());
    let all = "SELECT \"offset\", status, code, path FROM rejects ORDER BY 1";
    assert_eq!(
        rows(&runner, &house.cut, all).await,
        [
            r#"[100,"fixed","type","/value"]"#,
            r#"[101,"open","maximum","/new"]"#,
            r#"[102,"replayed","type","/value"]"#,
            r#"[103,"open","type","/value"]"#
        ]
    );
    for (condition, count) in [
        ("status = 'open'", 2),
        ("status <> 'open' AND code = 'type'", 2),
        ("code = 'maximum'", 1),
        ("path = '/new' OR \"offset\" = 103", 2),
        ("\"offset\" > 100 AND stream = 'sensor.reading'", 3),
    ] {
        let statement = format!("SELECT count(*) FROM rejects r WHERE {condition}");
        assert_eq!(rows(&runner, &house.cut, &statement).await, [format!("[{count}]")], "{condition}");
    }
    let columns = "SELECT * FROM rejects WHERE \"offset\" = 100";
    let with = rows(&runner, &house.cut, columns).await;
    let without =
        rows(&runner, &Cut { tables: house.cut.tables[1..].to_vec(), ..house.cut.clone() }, columns).await;
    assert_eq!(with, without.iter().map(|row| row.replace("\"open\"", "\"fixed\"")).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_does_not_ask_reads_no_resolutions() {
    let house = with_resolutions(&[(101, "open", None), (100, "fixed", None)]);
    let runner = runner(settings());
    for (statement, joins) in [
        ("SELECT count(*) FROM rejects", false),
        ("SELECT stream, count(*) FROM rejects WHERE \"offset\" > 5 GROUP BY 1", false),
        ("SELECT count(*) FROM rejects WHERE status = 'open'", true),
        ("SELECT code FROM rejects", true),
    ] {
        let plan = rows(&runner, &house.cut, &format!("EXPLAIN {statement}")).await.join("\n");
        assert_eq!(plan.contains("resolutions/"), joins, "{statement}: {plan}");
    }
}

struct Counted(Arc<AtomicUsize>);

impl PayloadOpener for Counted {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turned.open(sealed)
    }
}

#[tokio::test]
async fn only_payloads_of_rejects_that_are_asked_for_are_opened() {
    let house = with_resolutions(&[(101, "open", None), (100, "fixed", None)]);
    let opened = Arc::new(AtomicUsize::new(0));
    let runner = Runner::new(settings(), Arc::new(Counted(Arc::clone(&opened)))).unwrap();
    let one = "SELECT payload, event FROM (SELECT *, try_cast(payload AS VARCHAR) AS event FROM rejects \
               WHERE stream = 'sensor.reading' AND (\"partition\" = 0 AND \"offset\" BETWEEN 100 AND 101 AND \"offset\" IN (101)))";
    assert_eq!(rows(&runner, &house.cut, one).await, [r#"["YmFkIDE=","bad 1"]"#]);
    assert!(opened.swap(0, Ordering::Relaxed) <= 2, "once for each column");
    rows(&runner, &house.cut, "SELECT payload FROM rejects WHERE status = 'fixed'").await;
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}
