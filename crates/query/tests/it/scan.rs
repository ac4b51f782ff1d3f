//! lake ∪ hot: every row once, whatever its schema version; files that cannot matter are not opened.

use hw_query::{CutFile, TableCut};

use crate::house::{House, ask, code, house, readings, rows, runner, settings, table, write};

fn readings_of(house: &mut House) -> &mut TableCut {
    &mut house.cut.tables[0]
}

#[tokio::test]
async fn a_file_is_opened_only_if_it_can_hold_a_row() {
    let mut house = house();
    let runner = runner(settings());
    // Opening the old file fails from here on.
    std::fs::write(house.lake.path().join("sensor.reading/old.parquet"), b"no parquet at all").unwrap();
    for filter in [
        "_offset >= 20",
        "_offset = 25",
        "_offset BETWEEN 20 AND 1000",
        "_offset > 19 AND sensor = 's1'",
        "_time >= '2024-05-01T00:20:00Z'",
        "_partition = 1",
        "_offset IN (21, 22)",
    ] {
        rows(&runner, &house.cut, &format!("SELECT count(*) FROM sensor_reading WHERE {filter}")).await;
    }
    for filter in ["_offset >= 19", "_offset + 0 >= 20", "value >= 10", "_time >= '2024-05-01T00:19:00Z'"] {
        let statement = format!("SELECT sum(value) FROM sensor_reading WHERE {filter}");
        assert_eq!(code(&runner, &house.cut, &statement).await, "damaged", "{filter}");
    }
    // Without ranges nothing is left out.
    let table = readings_of(&mut house);
    let unknown =
        |file: &CutFile| CutFile { offset: None, partition: None, time: None, seq: None, ..file.clone() };
    table.files = table.files.iter().map(|file| unknown(file)).collect::<Vec<_>>().into();
    let statement = "SELECT sum(value) FROM sensor_reading WHERE _offset >= 20";
    assert_eq!(code(&runner, &house.cut, statement).await, "damaged");
}

/// The column `offset` of a user's table is no reserved one: the files' ranges say nothing about it.
#[tokio::test]
async fn a_users_column_is_not_taken_for_a_reserved_one() {
    let house = house();
    let root = house.lake.path();
    let own = crate::house::batch(vec![
        ("offset", std::sync::Arc::new(arrow::array::Int64Array::from(vec![5_000])) as _),
        ("_offset", std::sync::Arc::new(arrow::array::Int64Array::from(vec![1]))),
    ]);
    let mut cut = house.cut.clone();
    cut.tables.push(table(root, "own", own.schema(), vec![write(root, "own/a.parquet", &own)], Vec::new()));
    let found = rows(&runner(settings()), &cut, "SELECT offset FROM own WHERE offset = 5000").await;
    assert_eq!(found, ["[5000]"]);
}

#[tokio::test]
async fn counts_need_no_file() {
    let house = house();
    for name in ["old", "new"] {
        std::fs::remove_file(house.lake.path().join(format!("sensor.reading/{name}.parquet"))).unwrap();
    }
    assert_eq!(rows(&runner(settings()), &house.cut, "SELECT count(*) FROM sensor_reading").await, ["[40]"]);
}

#[tokio::test]
async fn a_large_hot_batch_is_handed_on_in_parts() {
    let mut house = house();
    let hot = readings(40..40_040, 2, 6);
    readings_of(&mut house).hot = std::sync::Arc::new(crate::house::Batches(vec![hot]));
    let found = rows(
        &runner(settings()),
        &house.cut,
        "SELECT count(*), count(DISTINCT _offset), min(_offset), max(_offset) FROM sensor_reading WHERE _offset >= 0",
    )
    .await;
    assert_eq!(found, ["[40030,40030,0,40039]"]);
}

#[tokio::test]
async fn a_failing_hot_source_is_our_fault() {
    #[derive(Debug)]
    struct Broken;
    impl hw_query::HotSource for Broken {
        fn rows(&self) -> usize {
            3
        }
        fn batches(&self) -> Result<hw_query::HotBatches, hw_query::HotError> {
            Err("the segment is gone".into())
        }
    }
    let mut house = house();
    readings_of(&mut house).hot = std::sync::Arc::new(Broken);
    let error = ask(&runner(settings()), &house.cut, "SELECT * FROM sensor_reading").await.unwrap_err();
    assert_eq!(error.code(), "internal");
    assert!(error.to_string().contains("the segment is gone"));
}

#[tokio::test]
async fn a_panicking_hot_source_is_our_fault_and_harms_nobody() {
    #[derive(Debug)]
    struct Panics;
    impl hw_query::HotSource for Panics {
        fn rows(&self) -> usize {
            3
        }
        fn batches(&self) -> Result<hw_query::HotBatches, hw_query::HotError> {
            panic!("a bug on purpose")
        }
    }
    let mut house = house();
    let runner = runner(settings());
    readings_of(&mut house).hot = std::sync::Arc::new(Panics);
    assert_eq!(code(&runner, &house.cut, "SELECT sum(value) FROM sensor_reading").await, "internal");
    assert_eq!(code(&runner, &house.cut, "SELECT 1").await, "ok");
}

/// Two references to one table each read all of it.
#[tokio::test]
async fn a_table_can_stand_twice() {
    let house = house();
    let statement = "SELECT count(*) FROM sensor_reading a JOIN sensor_reading b ON a._offset = b._offset WHERE a.value >= 0";
    assert_eq!(rows(&runner(settings()), &house.cut, statement).await, ["[40]"]);
}

/// However a statement computes with texts, they come out as the schema has them, also out of lists.
#[tokio::test]
async fn texts_of_an_answer_have_the_types_of_the_schema() {
    use arrow::datatypes::DataType;
    use futures::TryStreamExt;
    let house = house();
    let runner = runner(settings());
    let statement = "SELECT sensor, upper(sensor), max(note), array_agg(sensor), sensor || '!', place FROM sensor_reading \
                     GROUP BY sensor, place ORDER BY sensor LIMIT 2";
    let answer = runner.run(statement, &hw_event::Principal::local(), house.cut.clone()).await.unwrap();
    let columns = answer.schema().clone();
    let types: Vec<&DataType> = columns.fields().iter().map(|field| field.data_type()).collect();
    for text in [types[0], types[1], types[2], types[4]] {
        assert_eq!(text, &DataType::Utf8);
    }
    assert!(
        matches!(types[3], DataType::List(element) if element.data_type() == &DataType::Utf8),
        "{:?}",
        types[3]
    );
    assert!(matches!(types[5], DataType::Struct(fields) if fields[0].data_type() == &DataType::Utf8));
    let batches: Vec<_> = answer.try_collect().await.unwrap();
    assert!(batches.iter().all(|batch| batch.schema() == columns) && !batches.is_empty());
}
