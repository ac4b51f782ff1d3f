//! Writing one data file: fresh from the log (*hot*), or by compaction (*compacted*); *quick* (fast to write, small enough)
//! or *dense* (small, for good). Compacted files are dense, and so are hot ones of many rows: their row groups are taken over
//! by compaction as they are.
//! Always: synced when it is returned (its directory is not: that sync is shared), its CRC-32C taken over the
//! bytes as they were handed to the disk; protected columns have no statistics in it.
//! Data pages of version 1; lz4_raw in quick files, zstd in dense ones.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, SchemaRef},
};
use hw_event::{
    SchemaNumber, Seq,
    sabotage::{Bug, armed},
};
use hw_schema::{PRIVACY_METADATA, Privacy};
use parquet::{
    arrow::{
        ArrowSchemaConverter, ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    column::writer::ColumnCloseResult,
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        page_index::column_index::ColumnIndexMetaData,
        properties::{EnabledStatistics, WriterProperties},
        reader::ChunkReader,
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{
    LakeError, Pieces,
    checksums::{Summed, Summing},
    encoding::{self, Choice},
    row_group,
    stats::Gather,
    store::Syncs,
};

/// Rows of a page in a quick file: few enough that what a page is made of stays near the processor, and that buffers are
/// used again instead of growing.
const QUICK_PAGE_ROWS: usize = 4096;
/// Bytes of a page in a dense file, about: a fresh megabyte for each page is a fault of memory for each four thousand bytes.
const DENSE_PAGE_BYTES: usize = 256 << 10;
/// What a writer holds in memory of one file at most, about.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Of rows that are in memory already, as they lie there.
const ROW_GROUP_ARROW_BYTES: usize = 128 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// A compacted file is synced every so many bytes, so that its end is not one long wait for everybody's syncs.
const SYNC_EVERY: u64 = 4 << 20;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Hot,
    Compacted,
}

impl Purpose {
    fn prefix(self) -> &'static str {
        match self {
            Purpose::Hot => "part-",
            Purpose::Compacted => "comp-",
        }
    }
}

/// How much is done for a file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Quick,
    Dense,
}

impl Form {
    fn compression(self) -> Compression {
        match self {
            Form::Quick => Compression::LZ4_RAW,
            // Level 1 is the library's own default too.
            Form::Dense => Compression::ZSTD(ZstdLevel::default()),
        }
    }

    /// What a dictionary has to bring a column to.
    fn win(self) -> f64 {
        match self {
            Form::Quick => 0.5,
            Form::Dense => 0.9,
        }
    }
}

/// One file to be written.
#[derive(Clone)]
pub(crate) struct DataFileSpec {
    pub purpose: Purpose,
    pub form: Form,
    pub directory: PathBuf,
    /// The append through which the file's rows reach; part of its name.
    pub through: Seq,
    pub columns: SchemaRef,
    /// The schema whose columns these are; `None` for the platform's own tables.
    pub schema: Option<SchemaNumber>,
    /// Top-level columns of which nothing may be known outside the pages.
    pub without_statistics: Arc<HashSet<String>>,
}

/// A file that is written and synced, and not yet part of the table.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    pub purpose: Purpose,
    pub name: String,
    pub through: Seq,
    pub bytes: u64,
    pub crc32c: u32,
    pub pieces: Pieces,
    pub schema: Option<SchemaNumber>,
    /// The JSON of the `add` action.
    pub stats_json: String,
}

fn file_name(purpose: Purpose, through: Seq) -> String {
    format!("{}{:020}-{}.parquet", purpose.prefix(), through.0, Uuid::new_v4())
}

/// The append in the name of a file of ours; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<(Purpose, Seq)> {
    let (purpose, rest) = [Purpose::Hot, Purpose::Compacted]
        .into_iter()
        .find_map(|purpose| Some((purpose, name.strip_prefix(purpose.prefix())?)))?;
    let (through, id) = rest.strip_suffix(".parquet")?.split_at_checked(20)?;
    Uuid::try_parse(id.strip_prefix('-')?).ok()?;
    let digits = through.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| through.parse().ok().map(|through| (purpose, Seq(through))))?
}

/// How the columns of files like this are best encoded; `rows` is about how many there will be.
pub(crate) fn choose(
    spec: &DataFileSpec,
    sample: &[RecordBatch],
    rows: u64,
) -> Result<Vec<Choice>, LakeError> {
    let leaves = ArrowSchemaConverter::new().convert(&spec.columns);
    let leaves = leaves.map_err(|source| parquet_error(spec.directory.clone(), source))?;
    Ok(encoding::choose(&leaves, sample, rows.min(ROW_GROUP_ROWS as u64), spec.form.win()))
}

/// Blocking. A file that could not be finished is removed again. `helper` may have a thread that takes a part of the work.
pub(crate) fn write(
    spec: DataFileSpec,
    choices: &[Choice],
    batches: &[RecordBatch],
    syncs: &dyn Syncs,
    helper: Option<&Handle>,
) -> Result<DataFile, LakeError> {
    let mut writer = DataWriter::create(spec, choices, syncs)?;
    let (mut from, mut rows, mut bytes) = (0, 0, 0);
    for (at, batch) in batches.iter().enumerate() {
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        if at + 1 == batches.len() || rows >= ROW_GROUP_ROWS || bytes >= ROW_GROUP_ARROW_BYTES {
            writer.write_group(&batches[from..=at], helper)?;
            (from, rows, bytes) = (at + 1, 0, 0);
        }
    }
    writer.finish()
}

/// A file that is being written. One that is not finished is removed.
pub(crate) struct DataWriter<'a> {
    spec: DataFileSpec,
    name: String,
    path: PathBuf,
    /// `None`: it is finished.
    writer: Option<SerializedFileWriter<Output<'a>>>,
    groups: ArrowRowGroupWriterFactory,
    /// The row group that rows are added to.
    open: Option<OpenGroup>,
    gathered: Gather,
    syncs: &'a dyn Syncs,
}

struct OpenGroup {
    /// One for each leaf.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl OpenGroup {
    fn bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }
}

impl<'a> DataWriter<'a> {
    pub(crate) fn create(
        spec: DataFileSpec,
        choices: &[Choice],
        syncs: &'a dyn Syncs,
    ) -> Result<DataWriter<'a>, LakeError> {
        let name = file_name(spec.purpose, spec.through);
        let path = spec.directory.join(&name);
        let properties = properties(&spec, choices).map_err(|source| parquet_error(path.clone(), source))?;
        let io_error = |source| LakeError::Io { path: path.clone(), source };
        syncs.write(&path).map_err(io_error)?;
        let file = File::create_new(&path).map_err(io_error)?;
        let inner = BufWriter::with_capacity(BUFFER_BYTES, file);
        let steps =
            (spec.purpose == Purpose::Compacted).then(|| Steps { syncs, path: path.clone(), unsynced: 0 });
        let output = Output { inner, summing: Summing::default(), steps };
        let writer = ArrowWriter::try_new(output, spec.columns.clone(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer);
        let (writer, groups) = writer.map_err(|source| parquet_error(path.clone(), source))?;
        let gathered = Gather::new(&spec.columns, &spec.without_statistics);
        Ok(DataWriter { spec, name, path, writer: Some(writer), groups, open: None, gathered, syncs })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.gathered.add(batch);
        let added = self.add(batch);
        let full = added.map_err(|source| parquet_error(self.path.clone(), source))?;
        if full { self.close_group() } else { Ok(()) }
    }

    /// Returns whether the row group is large enough.
    fn add(&mut self, batch: &RecordBatch) -> Result<bool, ParquetError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => OpenGroup { columns: self.groups.create_column_writers(self.next_group())?, rows: 0 },
        };
        let open = self.open.insert(open);
        let mut writers = open.columns.iter_mut();
        for (field, column) in self.spec.columns.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                writers.next().ok_or_else(fewer_columns)?.write(&leaf)?;
            }
        }
        open.rows += batch.num_rows();
        Ok(open.rows >= ROW_GROUP_ROWS || open.bytes() >= ROW_GROUP_BYTES)
    }

    fn next_group(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.flushed_row_groups().len())
    }

    fn close_group(&mut self) -> Result<(), LakeError> {
        let (Some(open), Some(writer)) = (self.open.take(), &mut self.writer) else { return Ok(()) };
        let close = || -> Result<(), ParquetError> {
            let mut group = writer.next_row_group()?;
            for column in open.columns {
                column.close()?.append_to_row_group(&mut group)?;
            }
            group.close().map(drop)
        };
        close().map_err(|source| parquet_error(self.path.clone(), source))
    }

    /// A row group of these rows.
    fn write_group(&mut self, batches: &[RecordBatch], helper: Option<&Handle>) -> Result<(), LakeError> {
        batches.iter().for_each(|batch| self.gathered.add(batch));
        self.close_group()?;
        let index = self.next_group();
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut write = || -> Result<(), ParquetError> {
            let columns = self.groups.create_column_writers(index)?;
            let chunks =
                row_group::encode(&self.spec.columns, batches, writer.schema_descr(), columns, helper)?;
            let mut group = writer.next_row_group()?;
            for chunk in chunks {
                chunk.append_to_row_group(&mut group)?;
            }
            group.close().map(drop)
        };
        write().map_err(|source| parquet_error(self.path.clone(), source))
    }

    /// Takes over a row group of another file, byte by byte. It must have this file's columns and say of itself what
    /// [`Gather::add_group`] wants.
    pub(crate) fn splice<R: ChunkReader>(
        &mut self,
        from: &R,
        metadata: &ParquetMetaData,
        index: usize,
    ) -> Result<(), LakeError> {
        self.close_group()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let group = metadata.row_group(index);
        self.gathered.add_group(group);
        let mut splice = || -> Result<(), ParquetError> {
            let mut spliced = writer.next_row_group()?;
            for (at, column) in group.columns().iter().enumerate() {
                let bounds = metadata.column_index().and_then(|all| all.get(index)?.get(at));
                let pages = metadata.offset_index().and_then(|all| all.get(index)?.get(at));
                let close = ColumnCloseResult {
                    bytes_written: column.compressed_size() as u64,
                    rows_written: group.num_rows() as u64,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: bounds.filter(|it| !matches!(it, ColumnIndexMetaData::NONE)).cloned(),
                    offset_index: pages.cloned(),
                };
                spliced.append_column(from, close)?;
            }
            spliced.close().map(drop)
        };
        splice().map_err(|source| parquet_error(self.path.clone(), source))
    }

    /// About what it has come to.
    pub(crate) fn bytes(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, OpenGroup::bytes);
        self.writer.as_ref().map_or(0, |writer| (writer.bytes_written() + open) as u64)
    }

    pub(crate) fn finish(mut self) -> Result<DataFile, LakeError> {
        self.close_group()?;
        // Only here is it taken, and this takes `self`.
        let Some(writer) = self.writer.take() else { unreachable!("a file is finished once") };
        let finished = self.finish_file(writer);
        if finished.is_err() {
            // Whatever is left is an orphan, which the next open removes.
            let _ = std::fs::remove_file(&self.path);
        }
        let Summed { bytes, crc32c, pieces } = finished?;
        Ok(DataFile {
            purpose: self.spec.purpose,
            name: std::mem::take(&mut self.name),
            through: self.spec.through,
            bytes,
            crc32c,
            pieces,
            schema: self.spec.schema,
            stats_json: self.gathered.to_json(),
        })
    }

    fn finish_file(&self, writer: SerializedFileWriter<Output<'_>>) -> Result<Summed, LakeError> {
        let io_error = |source| LakeError::Io { path: self.path.clone(), source };
        let output = writer.into_inner().map_err(|source| parquet_error(self.path.clone(), source))?;
        let file = output.inner.into_inner().map_err(|error| io_error(error.into_error()))?;
        if self.spec.purpose == Purpose::Hot || !armed(Bug::CompactedUnsynced) {
            self.syncs.file(&file, &self.path).map_err(io_error)?;
        }
        Ok(output.summing.finish())
    }
}

impl Drop for DataWriter<'_> {
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn properties(spec: &DataFileSpec, choices: &[Choice]) -> Result<WriterProperties, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(spec.form.compression())
        .set_created_by(concat!("headwater ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_data_page_size_limit(DENSE_PAGE_BYTES)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    let mut properties = encoding::apply(choices, properties);
    if spec.form == Form::Quick {
        // A quick file is one row group, and what is known of it stands in the Delta log already.
        properties = properties
            .set_statistics_enabled(EnabledStatistics::None)
            .set_data_page_row_count_limit(QUICK_PAGE_ROWS);
        for field in spec.columns.fields().iter().filter(|field| is_digest(field)) {
            // Digits of chance: to look for what repeats in them costs time and brings nothing.
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    // Statistics are set per leaf, and a protected leaf may lie deep inside a struct.
    for leaf in ArrowSchemaConverter::new().convert(&spec.columns)?.columns() {
        let path = leaf.path();
        if path.parts().first().is_some_and(|top| spec.without_statistics.contains(top)) {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
    }
    Ok(properties.build())
}

fn is_digest(field: &Field) -> bool {
    let hashed = field.metadata().get(PRIVACY_METADATA).is_some_and(|way| way == Privacy::Hash.as_str());
    hashed && *field.data_type() == DataType::Utf8
}

fn fewer_columns() -> ParquetError {
    ParquetError::General("a batch has more columns than its file".to_owned())
}

/// The writer's own trouble with the disk is the disk's: what was wrapped is unwrapped.
pub(crate) fn parquet_error(file: PathBuf, error: ParquetError) -> LakeError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => LakeError::Io { path: file, source: *source },
            Err(source) => LakeError::Parquet { file, source: ParquetError::External(source) },
        },
        source => LakeError::Parquet { file, source },
    }
}

/// Sums what passes.
struct Output<'a> {
    inner: BufWriter<File>,
    summing: Summing,
    /// `None`: it is synced once, at the end.
    steps: Option<Steps<'a>>,
}

struct Steps<'a> {
    syncs: &'a dyn Syncs,
    path: PathBuf,
    unsynced: u64,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.summing.add(&bytes[..written]);
        if let Some(steps) = &mut self.steps {
            steps.unsynced += written as u64;
            if steps.unsynced >= SYNC_EVERY {
                steps.unsynced = 0;
                self.inner.flush()?;
                steps.syncs.file(self.inner.get_ref(), &steps.path)?;
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_its_append() {
        let name = file_name(Purpose::Hot, Seq(42));
        assert_eq!(parse_file_name(&name), Some((Purpose::Hot, Seq(42))));
        let compacted = file_name(Purpose::Compacted, Seq(7));
        assert_eq!(parse_file_name(&compacted), Some((Purpose::Compacted, Seq(7))));
        for other in [
            "part-00001-4af2aa0f-2a64-4d2d-a9cb-9e5e0bd3b9e2-c000.snappy.parquet",
            "part-00000000000000000042-.parquet",
            "part-+0000000000000000042-4af2aa0f-2a64-4d2d-a9cb-9e5e0bd3b9e2.parquet",
            "x.parquet",
            &name.replace(".parquet", ".crc"),
        ] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
