//! Writing one data file, fresh from the log: fast to write, small enough, compacted later.
//! Always: synced when it is returned (its directory is not: that sync is shared), its CRC-32C taken over the
//! bytes as they were handed to the disk; protected columns have no statistics in it.
//! lz4_raw and data pages of version 1, which every reader of Delta tables knows.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use hw_event::{SchemaNumber, Seq};
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter},
    basic::Compression,
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};
use uuid::Uuid;

use crate::{
    LakeError, Pieces,
    checksums::{Summed, Summing},
    stats::Gather,
    store::Syncs,
};

/// What a writer holds in memory of one file at most, about.
const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// One file to be written.
pub(crate) struct HotFileSpec<'a> {
    pub directory: &'a Path,
    /// The append through which the file's rows reach; part of its name.
    pub through: Seq,
    pub columns: &'a SchemaRef,
    /// The schema whose columns these are; `None` for the platform's own tables.
    pub schema: Option<SchemaNumber>,
    /// Top-level columns of which nothing may be known outside the pages.
    pub without_statistics: &'a HashSet<String>,
}

/// A file that is written and synced, and not yet part of the table.
#[derive(Debug, Clone)]
pub(crate) struct HotFile {
    pub name: String,
    pub through: Seq,
    pub bytes: u64,
    pub crc32c: u32,
    pub pieces: Pieces,
    pub schema: Option<SchemaNumber>,
    /// The JSON of the `add` action.
    pub stats_json: String,
}

fn file_name(through: Seq) -> String {
    format!("part-{:020}-{}.parquet", through.0, Uuid::new_v4())
}

/// The append in the name of a file of ours; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<Seq> {
    let (through, id) = name.strip_prefix("part-")?.strip_suffix(".parquet")?.split_at_checked(20)?;
    Uuid::try_parse(id.strip_prefix('-')?).ok()?;
    through.bytes().all(|byte| byte.is_ascii_digit()).then(|| through.parse().ok().map(Seq))?
}

/// Blocking. A file that could not be finished is removed again.
pub(crate) fn write(
    spec: &HotFileSpec<'_>,
    batches: &[RecordBatch],
    syncs: &dyn Syncs,
) -> Result<HotFile, LakeError> {
    let name = file_name(spec.through);
    let path = spec.directory.join(&name);
    let written = write_to(&path, spec, batches, syncs);
    if written.is_err() {
        // Whatever is left is an orphan, which the next open removes.
        let _ = std::fs::remove_file(&path);
    }
    let (Summed { bytes, crc32c, pieces }, gathered) = written?;
    let (through, stats_json) = (spec.through, gathered.to_json());
    Ok(HotFile { name, through, bytes, crc32c, pieces, schema: spec.schema, stats_json })
}

fn write_to(
    path: &Path,
    spec: &HotFileSpec<'_>,
    batches: &[RecordBatch],
    syncs: &dyn Syncs,
) -> Result<(Summed, Gather), LakeError> {
    let io_error = |source| LakeError::Io { path: path.to_owned(), source };
    let parquet_error = |source| parquet_error(path.to_owned(), source);
    syncs.write(path).map_err(io_error)?;
    let file = File::create_new(path).map_err(io_error)?;
    let inner = BufWriter::with_capacity(BUFFER_BYTES, file);
    let output = Output { inner, summing: Summing::default() };
    let properties = properties(spec).map_err(parquet_error)?;
    let mut writer =
        ArrowWriter::try_new(output, spec.columns.clone(), Some(properties)).map_err(parquet_error)?;
    let mut gathered = Gather::new(spec.columns, spec.without_statistics);
    for batch in batches {
        gathered.add(batch);
        writer.write(batch).map_err(parquet_error)?;
    }
    let Output { inner, summing } = writer.into_inner().map_err(parquet_error)?;
    let file = inner.into_inner().map_err(|error| io_error(error.into_error()))?;
    syncs.file(&file, path).map_err(io_error)?;
    Ok((summing.finish(), gathered))
}

fn properties(spec: &HotFileSpec<'_>) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_created_by(concat!("headwater ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    // Statistics are set per leaf, and a protected leaf may lie deep inside a struct.
    for leaf in ArrowSchemaConverter::new().convert(spec.columns)?.columns() {
        let path = leaf.path();
        if path.parts().first().is_some_and(|top| spec.without_statistics.contains(top)) {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
    }
    Ok(properties.build())
}

/// The writer's own trouble with the disk is the disk's: what was wrapped is unwrapped.
fn parquet_error(file: PathBuf, error: ParquetError) -> LakeError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => LakeError::Io { path: file, source: *source },
            Err(source) => LakeError::Parquet { file, source: ParquetError::External(source) },
        },
        source => LakeError::Parquet { file, source },
    }
}

/// Sums what passes.
struct Output {
    inner: BufWriter<File>,
    summing: Summing,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.summing.add(&bytes[..written]);
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
        let name = file_name(Seq(42));
        assert_eq!(parse_file_name(&name), Some(Seq(42)));
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
