//! What stands in the files: what every reader of Delta needs, our sums, and nothing about protected columns.

use std::{fs, fs::File};

use deltalake::kernel::MetadataExt as _;
use hw_lake::Table;
use parquet::{
    basic::Compression,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaDataReader},
        reader::{FileReader, SerializedFileReader},
        serialized_reader::ReadOptionsBuilder,
    },
};
use serde_json::Value;

use crate::fixture::{READING, World, delta_table};

async fn world() -> World {
    let mut world = World::with(|settings| settings.checkpoint_every = 2).await;
    for _ in 0..2 {
        let delivery = world.rows(&[READING], 5);
        world.apply(delivery).await;
        world.commit().await;
    }
    world
}

fn actions(world: &World, version: u64) -> Vec<Value> {
    let path = world.root().join(format!("sensor.reading/_delta_log/{version:020}.json"));
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn find<'a>(actions: &'a [Value], name: &str) -> &'a Value {
    actions.iter().find_map(|action| action.get(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_commit_asks_for_the_oldest_protocol_and_says_whose_it_is() {
    let world = world().await;
    let actions = actions(&world, 0);
    let protocol = find(&actions, "protocol");
    assert_eq!((&protocol["minReaderVersion"], &protocol["minWriterVersion"]), (&1.into(), &2.into()));
    assert!(protocol.get("readerFeatures").is_none_or(Value::is_null));
    let metadata = find(&actions, "metaData");
    assert_eq!(metadata["name"], "sensor.reading");
    assert_eq!(metadata["configuration"]["headwater.stream_id"], "1");
    assert_eq!(metadata["configuration"]["headwater.schema"], "1");
    let schema = metadata["schemaString"].as_str().unwrap();
    assert!(!schema.contains("timestamp_ntz") && schema.contains("\"timestamp\""), "{schema}");
    assert!(schema.contains("headwater.privacy"), "{schema}");
    let txn = find(&actions, "txn");
    assert_eq!(txn["appId"], format!("headwater/{:032x}", crate::fixture::JOURNAL));
    assert_eq!(txn["version"], 1);

    let table = delta_table(&world.root().join("sensor.reading")).await;
    let metadata = table.snapshot().unwrap().metadata().clone();
    assert_eq!(metadata.name(), Some("sensor.reading"));
    metadata.with_description(String::new()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_file_and_each_commit_is_summed() {
    let world = world().await;
    let first = fs::read(world.root().join("sensor.reading/_delta_log/00000000000000000000.json")).unwrap();
    let second = actions(&world, 1);
    let info = find(&second, "commitInfo");
    assert_eq!(info["headwater.previous_crc32c"], format!("{:08x}", crc32c::crc32c(&first)));
    for file in &world.table(Table::Stream(READING)).files {
        let bytes = fs::read(world.root().join(&file.path)).unwrap();
        assert_eq!((bytes.len() as u64, Some(crc32c::crc32c(&bytes))), (file.bytes, file.crc32c));
    }
    let add = find(&second, "add");
    assert_eq!(add["tags"]["headwater.crc32c"].as_str().unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_about_protected_columns_outside_the_pages() {
    let world = world().await;
    for version in 0..2 {
        let actions = actions(&world, version);
        let stats: Value = serde_json::from_str(find(&actions, "add")["stats"].as_str().unwrap()).unwrap();
        assert_eq!(stats["numRecords"], 5);
        for part in ["minValues", "maxValues", "nullCount"] {
            for protected in ["who", "email", "place", "_extra"] {
                assert!(stats[part].get(protected).is_none(), "{part} of {protected}");
            }
            assert!(stats[part].get("_offset").is_some() && stats[part].get("a").is_some());
        }
    }
    let log = world.root().join("sensor.reading/_delta_log");
    for entry in fs::read_dir(log).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }
    for file in &world.table(Table::Stream(READING)).files {
        let path = world.root().join(&file.path);
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let reader = SerializedFileReader::new_with_options(File::open(&path).unwrap(), options).unwrap();
        let metadata = reader.metadata();
        for (index, group) in metadata.row_groups().iter().enumerate() {
            for (column, chunk) in group.columns().iter().enumerate() {
                let name = chunk.column_path().string();
                let compression =
                    if name == "email" { Compression::UNCOMPRESSED } else { Compression::LZ4_RAW };
                assert_eq!(chunk.compression(), compression, "{name}");
                assert!(chunk.bloom_filter_offset().is_none());
                let index = metadata.column_index().map(|pages| &pages[index][column]);
                let has_index = index.is_some_and(|index| {
                    !matches!(index, parquet::file::page_index::column_index::ColumnIndexMetaData::NONE)
                });
                // What is known of a hot file stands in the Delta log; its footer has nothing of any column.
                assert!(chunk.statistics().is_none() && !has_index, "{name}");
            }
        }
        let footer = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&File::open(&path).unwrap())
            .unwrap();
        assert!(!format!("{footer:?}").contains("canary"));
    }
}

/// The subject is stored as sent: it is in the file's pages, which shows that the search above would find it.
#[tokio::test]
async fn the_search_for_canaries_can_find_one() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 5);
    world.apply(delivery).await;
    world.commit().await;
    let file = world.root().join(&world.table(Table::Stream(READING)).files[0].path);
    assert!(String::from_utf8_lossy(&fs::read(file).unwrap()).contains("canary-subject"));
}
