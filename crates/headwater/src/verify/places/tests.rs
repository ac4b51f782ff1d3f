//! The walk over a small table that is wrong in known ways, in windows so small that every border is met.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, StringArray, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use hw_query::{
    HotBatches, HotError, HotSource, PayloadOpener, SqlSettings, TableCut, TableKind, streams_schema,
};
use hw_schema::rows;

use super::*;

#[derive(Debug)]
struct Batches(RecordBatch);

impl HotSource for Batches {
    fn rows(&self) -> usize {
        self.0.num_rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new([Ok(self.0.clone())].into_iter()))
    }
}

struct Never;

impl PayloadOpener for Never {
    fn open(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

type Row = (i32, i64, i64);

fn table(name: &str, kind: TableKind, columns: SchemaRef, names: [&str; 3], of: &[Row]) -> TableCut {
    let arrays = columns.fields().iter().map(|field| -> ArrayRef {
        let name = field.name().as_str();
        match () {
            () if name == names[0] => Arc::new(Int32Array::from_iter_values(of.iter().map(|row| row.0))),
            () if name == names[1] => Arc::new(Int64Array::from_iter_values(of.iter().map(|row| row.1))),
            () if name == names[2] => Arc::new(Int64Array::from_iter_values(of.iter().map(|row| row.2))),
            () if name == "stream" => Arc::new(StringArray::from(vec!["orders"; of.len()])),
            () => new_null_array(field.data_type(), of.len()),
        }
    });
    let arrays: Vec<ArrayRef> = arrays.collect();
    let batch = RecordBatch::try_new(columns.clone(), arrays).unwrap();
    TableCut {
        name: name.to_owned(),
        kind,
        columns,
        lake_root: "/nonexistent".into(),
        files: hw_query::Files::default(),
        unreadable: None,
        hot: Arc::new(Batches(batch)),
    }
}

fn cut(stored: &[Row], rejected: &[Row]) -> Cut {
    let number = |name, data_type| Field::new(name, data_type, true);
    let columns = Arc::new(Schema::new(vec![
        number("_partition", DataType::Int32),
        number("_offset", DataType::Int64),
        number("_seq", DataType::Int64),
    ]));
    let tables = vec![
        table("orders", TableKind::Stream, columns, ["_partition", "_offset", "_seq"], stored),
        table(
            "rejects",
            TableKind::Rejects,
            rows::rejects_table_schema(),
            ["partition", "offset", "seq"],
            rejected,
        ),
    ];
    Cut { tables, streams: RecordBatch::new_empty(streams_schema()) }
}

async fn walk(
    stored: &[Row],
    rejected: &[Row],
    window: usize,
    between: Option<(i64, i64)>,
) -> (Counted, Vec<String>) {
    let runner = Runner::new(SqlSettings::default(), Arc::new(Never)).unwrap();
    let cut = cut(stored, rejected);
    let (lines, mut heard) = mpsc::channel(1000);
    let id = StreamId(7);
    let given = Given { next_offsets: HashMap::from([((id, 0), 100), ((id, 1), 100)]), between };
    let walk = Walk {
        runner: &runner,
        cut: &cut,
        stream: "orders",
        table: Some("orders"),
        id: Some(id),
        partitions: Some(2),
        given: &given,
        last_seq: 50,
        window_rows_max: window,
        lines: &lines,
    };
    let mut check = Check::new("offsets", "orders");
    let counted = walk.run(&mut check).await.unwrap();
    drop(lines);
    assert!(counted == Counted::default() || heard.recv().await.is_some(), "progress is told");
    (counted, check.faults.into_iter().map(|fault| format!("{}: {}", fault.place, fault.what)).collect())
}

#[tokio::test]
async fn a_whole_stream_has_no_fault_in_windows_of_any_size() {
    // Two partitions, rejects between rows, a gap, and appends with many events.
    let stored = [(0, 0, 1), (0, 2, 1), (1, 0, 1), (0, 3, 2), (1, 1, 3), (0, 90, 9), (1, 99, 50)];
    let rejected = [(0, 1, 1), (1, 2, 4), (0, 91, 9)];
    for window in [2, 3, 4, 100] {
        let (counted, faults) = walk(&stored, &rejected, window, None).await;
        assert_eq!(faults, Vec::<String>::new(), "window {window}");
        assert_eq!(counted, Counted { stored: 7, rejected: 3 });
    }
}

#[tokio::test]
async fn each_kind_of_fault_is_named_with_its_place() {
    let whole = [(0, 0, 1), (0, 1, 2), (0, 2, 3)];
    let with = async |row: Row| walk(&[&whole[..], &[row]].concat(), &[], 2, None).await.1.join("; ");
    assert_eq!(
        with((0, 1, 2)).await,
        "orders, partition 0, offset 1: the place is taken twice: stored by append 2 and stored by append 2"
    );
    assert_eq!(with((0, 3, 2)).await, "orders, partition 0, offset 3: append 2 stands behind append 3");
    assert_eq!(
        with((0, 3, 51)).await,
        "orders, partition 0, offset 3: append 51 is none of the journal's, which ends at 50"
    );
    assert_eq!(
        with((0, 100, 9)).await,
        "orders, partition 0, offset 100: the journal has not given this offset; it has given those below 100"
    );
    assert!(
        with((2, 5, 9)).await.starts_with("orders, partition 2, offset 5: the stream has no such partition")
    );
    let (_, faults) = walk(&whole, &[(0, 2, 3)], 2, None).await;
    assert_eq!(
        faults,
        [
            "orders, partition 0, offset 2: the place is taken twice: stored by append 3 and rejected by append 3"
        ]
    );
    let (_, faults) = walk(&whole, &[], 2, Some((3, 20))).await;
    assert_eq!(
        faults,
        [
            "orders, partition 0: offsets 3 to 99 are in no table and not in the journal",
            "orders, partition 1: offsets 0 to 99 are in no table and not in the journal"
        ]
    );
    // A gap elsewhere is none of these: an append that failed leaves one.
    let (_, faults) = walk(&[(0, 0, 1), (0, 4, 3), (0, 9, 20), (1, 0, 21)], &[], 2, Some((3, 20))).await;
    assert_eq!(faults, ["orders, partition 0: offsets 5 to 8 are in no table and not in the journal"]);
    let (counted, faults) = walk(&[(0, 4, 1); 9], &[], 4, None).await;
    assert_eq!(faults, ["orders, offset 4: more than 4 rows have this offset"]);
    assert_eq!(counted, Counted::default());
}
