//! Row groups that go into a new file as they are: to read rows and write the same rows again costs a hundred times what it
//! costs to copy their bytes.
//! Always: every byte is held against its checksum on the way; a file is taken whole or not at all. It is taken if it has the
//! columns of the new one, is dense, says nothing of protected columns, and its row groups are worth to be left as they are.

use std::sync::Arc;

use parquet::{
    arrow::ArrowSchemaConverter,
    basic::Compression,
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
};

use super::{checked::CheckedFile, merge::damage_or};
use crate::{
    LakeError, LakeFile,
    data_file::{DataFileSpec, parquet_error},
    stats::Gather,
};

pub(crate) struct Whole {
    pub checked: CheckedFile,
    pub metadata: ParquetMetaData,
}

impl Whole {
    /// `None`: its rows have to be read. With fewer rows a row group than `group_rows_min`, in the mean, it is worth to.
    pub(super) fn of(
        file: &Arc<LakeFile>,
        checked: CheckedFile,
        spec: &DataFileSpec,
        group_rows_min: u64,
    ) -> Result<Option<Whole>, LakeError> {
        let named = |error: ParquetError| damage_or(&checked, parquet_error(file.path.clone(), error));
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = reader.parse_and_finish(&checked).map_err(named)?;
        let columns = ArrowSchemaConverter::new().convert(&spec.columns).map_err(named)?;
        let same_columns = metadata.file_metadata().schema_descr().root_schema() == columns.root_schema();
        let rows: i64 = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).sum();
        let worth_it = rows as u64 == file.rows
            && rows as u64 / metadata.num_row_groups().max(1) as u64 >= group_rows_min;
        let gathered = Gather::new(&spec.columns, &spec.without_statistics);
        let fit = |group: &RowGroupMetaData| is_dense(group, spec) && gathered.knows(group);
        let taken = same_columns && worth_it && metadata.row_groups().iter().all(fit);
        Ok(taken.then_some(Whole { checked, metadata }))
    }

    pub(super) fn named(&self, error: LakeError) -> LakeError {
        damage_or(&self.checked, error)
    }
}

fn is_dense(group: &RowGroupMetaData, spec: &DataFileSpec) -> bool {
    group.columns().iter().all(|chunk| {
        let top = chunk.column_path().parts().first();
        let hidden = top.is_some_and(|top| spec.without_statistics.contains(top));
        matches!(chunk.compression(), Compression::ZSTD(_))
            && !(hidden && (chunk.statistics().is_some() || chunk.column_index_offset().is_some()))
    })
}
