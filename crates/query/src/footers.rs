//! What the footers of a table's files say of all its columns, for statements that join: without it the engine takes every
//! table for as small as the next and builds its hash tables of the wrong one.
//! Always: nothing of it is exact, so it chooses plans and decides no answer; a file whose footer cannot be read, or says
//! nothing, takes no part. What stands in no footer (protected columns) is not told.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::Statistics,
    datasource::physical_plan::parquet::metadata::DFParquetMetadata,
    execution::cache::cache_manager::FileMetadataCache,
    object_store::{ObjectMeta, ObjectStore},
};
use futures::{StreamExt, stream};

/// Footers that are read for it: of the files with the most rows, which stand for the others.
const FILES_MAX: usize = 64;
const AT_A_TIME: usize = 8;

/// A file, and how many rows it has.
pub(crate) struct Footer {
    pub meta: ObjectMeta,
    pub rows: u64,
}

/// Of all `files` together: bounds, null counts and sizes of the columns. `None`: no footer says anything.
pub(crate) async fn told(
    store: &dyn ObjectStore,
    cache: Arc<FileMetadataCache>,
    columns: &SchemaRef,
    mut files: Vec<Footer>,
) -> Option<Statistics> {
    let all: u64 = files.iter().map(|file| file.rows).sum();
    files.sort_by_key(|file| std::cmp::Reverse(file.rows));
    files.truncate(FILES_MAX);
    let read = |file: Footer| {
        let cache = cache.clone();
        async move {
            let metadata = DFParquetMetadata::new(store, &file.meta).with_file_metadata_cache(Some(cache));
            // What is wrong with it is told by whoever reads its rows.
            let statistics = metadata.fetch_statistics(columns).await.ok()?;
            let says =
                statistics.column_statistics.iter().any(|column| column.min_value.get_value().is_some());
            says.then_some((statistics, file.rows))
        }
    };
    let found: Vec<(Statistics, u64)> = stream::iter(files)
        .map(read)
        .buffer_unordered(AT_A_TIME)
        .filter_map(|found| async { found })
        .collect()
        .await;
    let merged = Statistics::try_merge_iter(found.iter().map(|(statistics, _)| statistics), columns).ok()?;
    let looked_at: u64 = found.iter().map(|(_, rows)| rows).sum();
    let mut told = merged.to_inexact();
    if looked_at == 0 {
        return None;
    }
    // The others are taken to be like these.
    let grow = |bytes: &usize| (*bytes as f64 * all as f64 / looked_at as f64) as usize;
    told.total_byte_size = told.total_byte_size.map(|bytes| grow(&bytes));
    for column in &mut told.column_statistics {
        column.byte_size = column.byte_size.clone().map(|bytes| grow(&bytes));
        column.null_count = column.null_count.clone().map(|nulls| grow(&nulls));
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch},
        datatypes::{DataType, Field, Schema},
    };
    use datafusion::parquet::{
        arrow::ArrowWriter,
        file::properties::{EnabledStatistics, WriterProperties},
    };
    use datafusion::{
        common::{ScalarValue, stats::Precision},
        execution::runtime_env::RuntimeEnv,
        object_store::{ObjectStoreExt, memory::InMemory, path::Path},
    };

    use super::*;

    fn columns() -> SchemaRef {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        Arc::new(Schema::new(vec![field("a"), field("later")]))
    }

    async fn put(store: &InMemory, name: &str, values: Vec<Option<i64>>, level: EnabledStatistics) -> Footer {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let rows = values.len() as u64;
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        let batch = RecordBatch::try_new(schema.clone(), vec![values]).unwrap();
        let properties = WriterProperties::builder().set_statistics_enabled(level).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        store.put(&Path::from(name), writer.into_inner().unwrap().into()).await.unwrap();
        Footer { meta: store.head(&Path::from(name)).await.unwrap(), rows }
    }

    #[tokio::test]
    async fn footers_that_say_something_stand_for_all_files() {
        let store = InMemory::new();
        let cache = || RuntimeEnv::default().cache_manager.get_file_metadata_cache();
        let chunk = EnabledStatistics::Chunk;
        let silent = || put(&store, "silent", (0..30).map(Some).collect(), EnabledStatistics::None);
        assert!(told(&store, cache(), &columns(), vec![silent().await]).await.is_none());
        let files = vec![
            put(&store, "one", vec![Some(5), None, Some(7)], chunk).await,
            silent().await,
            put(&store, "two", vec![Some(-1), Some(2), Some(3)], chunk).await,
        ];
        store.delete(&Path::from("gone")).await.ok();
        let gone =
            Footer { meta: ObjectMeta { location: Path::from("gone"), ..files[0].meta.clone() }, rows: 24 };
        let found =
            told(&store, cache(), &columns(), files.into_iter().chain([gone]).collect()).await.unwrap();
        let a = &found.column_statistics[0];
        assert_eq!(a.min_value, Precision::Inexact(ScalarValue::Int64(Some(-1))));
        assert_eq!(a.max_value, Precision::Inexact(ScalarValue::Int64(Some(7))));
        // Six of sixty rows were looked at, one of them null.
        assert_eq!(a.null_count, Precision::Inexact(10));
        assert_eq!(a.byte_size, Precision::Inexact(480));
        assert!(!found.column_statistics.iter().any(|column| column.min_value.is_exact() == Some(true)));
    }
}
