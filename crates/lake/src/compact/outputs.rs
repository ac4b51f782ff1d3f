//! The new files of one piece of compaction, as rows come.
//! Always: a file is closed when it has come to the size that is asked for, or the order begins anew, so keys of different
//! files do not overlap; what is not handed on is removed again.

use arrow::array::RecordBatch;

use super::{merge::joined, splice::Whole};
use crate::{
    LakeError,
    data_file::{self, DataFile, DataFileSpec, DataWriter},
    encoding::{self, Choice},
    store::Syncs,
};

/// Rows are gathered until there are so many.
const BATCH_ROWS: usize = 8192;
/// So many are looked at before the first is written, to choose encodings.
const SAMPLE_ROWS: usize = 4 * BATCH_ROWS;

pub(crate) struct Outputs<'a> {
    spec: DataFileSpec,
    rows_expected: u64,
    target: u64,
    syncs: &'a dyn Syncs,
    few: Vec<RecordBatch>,
    few_rows: usize,
    sample: Vec<RecordBatch>,
    sample_rows: usize,
    choices: Option<Vec<Choice>>,
    writer: Option<DataWriter<'a>>,
    done: Vec<DataFile>,
    rows: u64,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(
        spec: DataFileSpec,
        rows_expected: u64,
        target: u64,
        syncs: &'a dyn Syncs,
    ) -> Outputs<'a> {
        Outputs {
            spec,
            rows_expected,
            target,
            syncs,
            few: Vec::new(),
            few_rows: 0,
            sample: Vec::new(),
            sample_rows: 0,
            choices: None,
            writer: None,
            done: Vec::new(),
            rows: 0,
        }
    }

    /// The rows that came.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        self.rows += batch.num_rows() as u64;
        self.few_rows += batch.num_rows();
        self.few.push(batch);
        if self.few_rows >= BATCH_ROWS { self.join_few() } else { Ok(()) }
    }

    fn join_few(&mut self) -> Result<(), LakeError> {
        if self.few.is_empty() {
            return Ok(());
        }
        let batch = joined(&self.spec, &self.few)?;
        self.few.clear();
        self.few_rows = 0;
        if self.choices.is_some() {
            return self.write(&batch);
        }
        self.sample_rows += batch.num_rows();
        self.sample.push(batch);
        if self.sample_rows >= SAMPLE_ROWS { self.choose() } else { Ok(()) }
    }

    fn choose(&mut self) -> Result<(), LakeError> {
        self.choices = Some(data_file::choose(&self.spec, &self.sample, self.rows_expected)?);
        for batch in std::mem::take(&mut self.sample) {
            self.write(&batch)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let mut writer = self.writer()?;
        writer.write(batch)?;
        self.wrote(writer)
    }

    /// Adds a row group of a file as it is. What is pushed after it into the same file is encoded alike.
    pub(super) fn splice(&mut self, whole: &Whole, group: usize) -> Result<(), LakeError> {
        self.join_few()?;
        if !self.sample.is_empty() {
            self.choose()?;
        }
        let metadata = whole.metadata.row_group(group);
        if self.choices.is_none() {
            self.choices = Some(encoding::like(metadata));
        }
        self.rows += metadata.num_rows().cast_unsigned();
        let mut writer = self.writer()?;
        writer.splice(&whole.checked, &whole.metadata, group)?;
        self.wrote(writer)
    }

    /// The file that is open, or a new one.
    fn writer(&mut self) -> Result<DataWriter<'a>, LakeError> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => {
                let choices = self.choices.as_deref().unwrap_or_default();
                DataWriter::create(self.spec.clone(), choices, self.syncs)
            }
        }
    }

    fn wrote(&mut self, writer: DataWriter<'a>) -> Result<(), LakeError> {
        if writer.bytes() >= self.target {
            self.done.push(writer.finish()?);
        } else {
            self.writer = Some(writer);
        }
        Ok(())
    }

    /// What comes next goes into another file.
    pub(crate) fn close(&mut self) -> Result<(), LakeError> {
        self.join_few()?;
        if self.choices.is_none() {
            self.choose()?;
        }
        if let Some(writer) = self.writer.take() {
            self.done.push(writer.finish()?);
        }
        Ok(())
    }

    /// All files, durable with their names.
    pub(crate) fn finish(mut self) -> Result<Vec<DataFile>, LakeError> {
        self.close()?;
        let path = &self.spec.directory;
        self.syncs.directory(path).map_err(|source| LakeError::Io { path: path.clone(), source })?;
        Ok(std::mem::take(&mut self.done))
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        for file in &self.done {
            // What stays is an orphan, which the next open removes.
            let _ = std::fs::remove_file(self.spec.directory.join(&file.name));
        }
    }
}
