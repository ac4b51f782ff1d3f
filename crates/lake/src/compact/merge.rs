//! Makes new files out of the rows of others: the same rows, in the order of (`_partition`, `_offset`), in the system tables in
//! that of their appends.
//! Always: as many rows are written as the old files are known to have, or nothing comes of it; memory is bounded whatever the
//! files' sizes: a batch of each file that is open, or as many rows as may be put into order, beside one row group.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, Int32Array, Int64Array, RecordBatch},
    compute::{concat_batches, interleave_record_batch},
    datatypes::{Int32Type, Int64Type},
};
use hw_schema::rows;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::metadata::PageIndexPolicy,
};

use super::{checked::CheckedFile, outputs::Outputs, plan::Plan, splice::Whole};
use crate::{
    LakeError, LakeFile,
    data_file::{DataFile, DataFileSpec, parquet_error},
    store::Syncs,
};

const BATCH_ROWS: usize = 8192;
/// Rows that are put into order in memory, about.
const SORT_BYTES: usize = 32 << 20;

/// The columns that rows are put into order by; `None`: they stay as they come.
pub(crate) type OrderColumns = Option<(&'static str, &'static str)>;

pub(crate) struct Work<'a> {
    pub root: &'a Path,
    pub spec: DataFileSpec,
    pub order: OrderColumns,
    pub target: u64,
    pub syncs: &'a dyn Syncs,
    /// Is told of bytes as they are read; `false`: stop.
    pub pace: &'a mut dyn FnMut(u64) -> bool,
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody asked to stop.
    Stopped,
    /// The rows of this file are not in order.
    Unordered(Arc<LakeFile>),
    /// This file cannot be used.
    Unfit(Arc<LakeFile>, LakeError),
    Lake(LakeError),
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Failure {
        Failure::Lake(error)
    }
}

type Key = (i32, i64);
/// And where the row stands: in which batch, and where in it.
type SortKey = (Key, u32, u32);

impl Work<'_> {
    /// Blocking. The new files are synced, and so are their names. Files whose row groups have `group_rows_min` rows are taken
    /// over as they are, where they can be.
    pub(super) fn run(&mut self, plan: &Plan, group_rows_min: u64) -> Result<Vec<DataFile>, Failure> {
        let (Plan::Join(files) | Plan::Sort(files)) = plan;
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let mut outputs = Outputs::new(self.spec.clone(), rows, self.target, self.syncs);
        match (plan, self.order) {
            (Plan::Join(_), Some(_)) => self.join(files, group_rows_min, &mut outputs)?,
            (Plan::Join(_), None) => self.follow(files, group_rows_min, &mut outputs)?,
            (Plan::Sort(_), _) => self.sort(files, &mut outputs)?,
        }
        if outputs.rows() != rows {
            let reason = format!("{} rows were read, not {rows}", outputs.rows());
            let error = parquet_error(self.spec.directory.clone(), ParquetError::General(reason));
            return Err(Failure::Unfit(files[0].clone(), error));
        }
        Ok(outputs.finish()?)
    }

    pub(crate) fn open<'f>(&self, file: &'f Arc<LakeFile>) -> Result<Source<'f>, Failure> {
        self.open_columns(file, None)
    }

    /// With those of these top-level columns that the file has; `None`: all.
    pub(crate) fn open_columns<'f>(
        &self,
        file: &'f Arc<LakeFile>,
        columns: Option<&[&str]>,
    ) -> Result<Source<'f>, Failure> {
        let unfit = |error| Failure::Unfit(file.clone(), error);
        let checked = self.open_checked(file)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(checked.clone(), options)
            .and_then(|builder| {
                let mask = columns.map(|columns| {
                    let fields = builder.schema().fields().iter().enumerate();
                    let wanted = fields.filter(|(_, field)| columns.contains(&field.name().as_str()));
                    ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at))
                });
                let builder = match mask {
                    Some(mask) => builder.with_projection(mask),
                    None => builder,
                };
                builder.with_batch_size(BATCH_ROWS).build()
            });
        match reader {
            Ok(reader) => Ok(Source { file, checked, reader }),
            Err(error) => Err(unfit(damage_or(&checked, parquet_error(file.path.clone(), error)))),
        }
    }

    fn open_checked(&self, file: &Arc<LakeFile>) -> Result<CheckedFile, Failure> {
        let unfit = |error| Failure::Unfit(file.clone(), error);
        let checked = CheckedFile::open(self.root, file).map_err(unfit)?;
        checked.ok_or_else(|| {
            let error = ParquetError::General("it has no checksums".to_owned());
            unfit(parquet_error(file.path.clone(), error))
        })
    }

    /// Takes a file over as it is, if it can be.
    fn splice(
        &mut self,
        file: &Arc<LakeFile>,
        group_rows_min: u64,
        outputs: &mut Outputs<'_>,
    ) -> Result<bool, Failure> {
        let unfit = |error| Failure::Unfit(file.clone(), error);
        let checked = self.open_checked(file)?;
        let whole = Whole::of(file, checked, &self.spec, group_rows_min).map_err(unfit)?;
        let Some(whole) = whole else { return Ok(false) };
        for group in 0..whole.metadata.num_row_groups() {
            outputs.splice(&whole, group).map_err(|error| match whole.named(error) {
                // What is wrong with the new file is no fault of the old one.
                error @ LakeError::Damaged(_) => unfit(error),
                error => Failure::Lake(error),
            })?;
            if !(self.pace)(whole.metadata.row_group(group).compressed_size().cast_unsigned()) {
                return Err(Failure::Stopped);
            }
        }
        Ok(true)
    }

    /// The next batch of a file, with the columns that the new files have.
    pub(crate) fn next(&mut self, source: &mut Source<'_>) -> Result<Option<RecordBatch>, Failure> {
        let Some(batch) = self.next_as_it_is(source)? else { return Ok(None) };
        let directory = self.spec.directory.clone();
        let adapted = rows::adapt(batch, &self.spec.columns);
        let unfit = |source_of| Failure::Unfit(source.file.clone(), source_of);
        adapted.map(Some).map_err(|source| unfit(LakeError::Rows { directory, source }))
    }

    /// The next batch, with the columns that were asked for.
    pub(crate) fn next_as_it_is(&mut self, source: &mut Source<'_>) -> Result<Option<RecordBatch>, Failure> {
        let unfit = |error| Failure::Unfit(source.file.clone(), error);
        let batch = match source.reader.next() {
            None => return Ok(None),
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                let error = parquet_error(source.file.path.clone(), ParquetError::from(error));
                return Err(unfit(damage_or(&source.checked, error)));
            }
        };
        let part = source.file.bytes * batch.num_rows() as u64 / source.file.rows.max(1);
        if !(self.pace)(part) {
            return Err(Failure::Stopped);
        }
        Ok(Some(batch))
    }

    /// One file after the other.
    fn follow(
        &mut self,
        files: &[Arc<LakeFile>],
        group_rows_min: u64,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), Failure> {
        for file in files {
            if self.splice(file, group_rows_min, outputs)? {
                continue;
            }
            let mut source = self.open(file)?;
            while let Some(batch) = self.next(&mut source)? {
                outputs.push(batch)?;
            }
        }
        Ok(())
    }

    /// Always from the file with the smallest key, as far as no other has a smaller one.
    fn join(
        &mut self,
        files: &[Arc<LakeFile>],
        group_rows_min: u64,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), Failure> {
        let mut places: Vec<Place<'_>> = files.iter().map(Place::Closed).collect();
        loop {
            let keys = places.iter().enumerate().filter_map(|(at, place)| Some((place.key()?, at)));
            let Some((_, first)) = keys.clone().min() else { return Ok(()) };
            let bound = keys.filter(|(_, at)| *at != first).min().map(|(key, _)| key);
            if let Place::Closed(file) = places[first] {
                // Its rows are in order, and all of them come before those of any other.
                let last = last_key(file);
                if last.is_some_and(|last| bound.is_none_or(|bound| last < bound))
                    && self.splice(file, group_rows_min, outputs)?
                {
                    places[first] = Place::Ended;
                    continue;
                }
                let source = self.open(file)?;
                places[first] = self.advance(source, None)?;
                continue;
            }
            let Place::Open(open) = &mut places[first] else { continue };
            let rows = open.rows_through(bound);
            outputs.push(open.batch.slice(open.at, rows))?;
            open.at += rows;
            if open.at == open.batch.num_rows()
                && let Place::Open(open) = std::mem::replace(&mut places[first], Place::Ended)
            {
                let last = open.key(open.at - 1);
                places[first] = self.advance(open.source, Some(last))?;
            }
        }
    }

    /// The file's next batch; its keys must go on from `last`.
    fn advance<'f>(&mut self, mut source: Source<'f>, last: Option<Key>) -> Result<Place<'f>, Failure> {
        let batch = loop {
            match self.next(&mut source)? {
                None => return Ok(Place::Ended),
                Some(batch) if batch.num_rows() > 0 => break batch,
                Some(_) => {}
            }
        };
        let (partitions, offsets) = self.keys(source.file, &batch)?;
        let open = Box::new(Open { source, batch, partitions, offsets, at: 0 });
        let first = open.key(0);
        let in_order = (1..open.batch.num_rows()).all(|at| open.key(at - 1) <= open.key(at));
        if !in_order || last.is_some_and(|last| last > first) {
            return Err(Failure::Unordered(open.source.file.clone()));
        }
        Ok(Place::Open(open))
    }

    fn keys(&self, file: &Arc<LakeFile>, batch: &RecordBatch) -> Result<(Int32Array, Int64Array), Failure> {
        let column = |name: &str| batch.column_by_name(name).filter(|column| column.null_count() == 0);
        let (partition, offset) = self.order.unwrap_or_default();
        let partitions = column(partition).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let offsets = column(offset).and_then(|column| column.as_primitive_opt::<Int64Type>());
        match (partitions, offsets) {
            (Some(partitions), Some(offsets)) => Ok((partitions.clone(), offsets.clone())),
            _ => {
                let error = ParquetError::General(format!("{partition} or {offset} is not as it should be"));
                Err(Failure::Unfit(file.clone(), parquet_error(file.path.clone(), error)))
            }
        }
    }

    /// As many rows as fit into memory are put into order at a time, and into files of their own.
    fn sort(&mut self, files: &[Arc<LakeFile>], outputs: &mut Outputs<'_>) -> Result<(), Failure> {
        let (mut batches, mut keys): (Vec<RecordBatch>, Vec<SortKey>) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for file in files {
            let mut source = self.open(file)?;
            while let Some(batch) = self.next(&mut source)? {
                let (partitions, offsets) = self.keys(file, &batch)?;
                let at = batches.len() as u32;
                let rows = partitions.values().iter().zip(offsets.values());
                keys.extend(rows.zip(0..).map(|((partition, offset), row)| ((*partition, *offset), at, row)));
                bytes += batch.get_array_memory_size();
                batches.push(batch);
                if bytes >= SORT_BYTES {
                    self.put_sorted(&mut batches, &mut keys, outputs)?;
                    outputs.close()?;
                    bytes = 0;
                }
            }
        }
        self.put_sorted(&mut batches, &mut keys, outputs)
    }

    fn put_sorted(
        &self,
        batches: &mut Vec<RecordBatch>,
        keys: &mut Vec<SortKey>,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), Failure> {
        keys.sort_unstable();
        let all: Vec<&RecordBatch> = batches.iter().collect();
        for rows in keys.chunks(BATCH_ROWS) {
            let indices: Vec<(usize, usize)> =
                rows.iter().map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
            let batch = interleave_record_batch(&all, &indices);
            outputs.push(batch.map_err(|error| arrow_error(&self.spec, error))?)?;
        }
        batches.clear();
        keys.clear();
        Ok(())
    }
}

/// A file that is being read.
pub(crate) struct Source<'f> {
    file: &'f Arc<LakeFile>,
    checked: CheckedFile,
    reader: ParquetRecordBatchReader,
}

/// Where a file stands in a merge.
enum Place<'f> {
    Closed(&'f Arc<LakeFile>),
    Open(Box<Open<'f>>),
    Ended,
}

struct Open<'f> {
    source: Source<'f>,
    /// Never empty, and `at` stands in it.
    batch: RecordBatch,
    partitions: Int32Array,
    offsets: Int64Array,
    at: usize,
}

impl Place<'_> {
    /// No row that is still to come has a smaller one. `None`: none is to come.
    fn key(&self) -> Option<Key> {
        match self {
            Place::Closed(file) => {
                let partition = file.stats.partition.and_then(|it| i32::try_from(it.min).ok());
                Some((partition.unwrap_or(i32::MIN), file.stats.offset.map_or(i64::MIN, |offset| offset.min)))
            }
            Place::Open(open) => Some(open.key(open.at)),
            Place::Ended => None,
        }
    }
}

impl Open<'_> {
    fn key(&self, at: usize) -> Key {
        (self.partitions.value(at), self.offsets.value(at))
    }

    /// How many rows from here on have no larger key; at least this one.
    fn rows_through(&self, bound: Option<Key>) -> usize {
        let left = self.batch.num_rows() - self.at;
        let Some(bound) = bound else { return left };
        let (mut low, mut high) = (1, left);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(self.at + middle) <= bound { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Of a file whose rows are known to be in order because they have one partition; `None` of any other.
fn last_key(file: &LakeFile) -> Option<Key> {
    let partition = file.stats.partition.filter(|partition| partition.min == partition.max)?;
    Some((i32::try_from(partition.max).ok()?, file.stats.offset?.max))
}

/// What a file's checksums said counts for more than what its reader made of it.
pub(super) fn damage_or(checked: &CheckedFile, error: LakeError) -> LakeError {
    checked.found().map_or(error, LakeError::Damaged)
}

pub(crate) fn arrow_error(spec: &DataFileSpec, error: arrow::error::ArrowError) -> LakeError {
    parquet_error(spec.directory.clone(), ParquetError::from(error))
}

/// Several batches as one.
pub(super) fn joined(spec: &DataFileSpec, batches: &[RecordBatch]) -> Result<RecordBatch, LakeError> {
    match batches {
        [one] => Ok(one.clone()),
        _ => concat_batches(&spec.columns, batches).map_err(|error| arrow_error(spec, error)),
    }
}
