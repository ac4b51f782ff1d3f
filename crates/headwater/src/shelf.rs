//! Where the jobs on rejects read them: statements over the tables, as a user's, with the limits of all statements.
//! Always: what is opened at a time is bounded in bytes; an event's bytes are in no error and in no statement's text.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type, TimestampMicrosecondType},
};
use async_trait::async_trait;
use futures::StreamExt;
use hw_event::{Principal, RESOLUTIONS, RejectCode, SchemaNumber, StreamName, Timestamp};
use hw_gate::{
    Written,
    doors::replay::{Chosen, Opened, OpenedReject, Selection, Shelf, ShelfError},
};
use hw_query::{Answer, Engine, Files, QueryError, TableCut, TableKind, child::Children};
use hw_schema::PayloadForm;

use crate::{
    reading::{CutError, Tables, Texts},
    verify::places::literal,
};

/// Bytes of events that are opened at a time; one that is larger comes alone.
const OPENED_BYTES_MAX: usize = 8 << 20;

/// The table of texts that a statement is handed; no stream can have this name.
const TEXTS: &str = "_texts";

pub struct RejectShelf {
    pub tables: Tables,
    pub engine: Children,
    /// Rows of one answer, and so places of one job.
    pub rows_max: usize,
}

impl RejectShelf {
    pub async fn ask(&self, statement: &str, principal: &Principal) -> Result<Answer, ShelfError> {
        let names = self.engine.names(statement).await.map_err(told)?;
        let tables = self.tables.clone();
        let cut = tokio::task::spawn_blocking(move || tables.cut_for(&names)).await;
        let cut = cut.map_err(|error| ShelfError(error.to_string()))?;
        let cut = cut.map_err(|error: CutError| ShelfError(error.to_string()))?;
        self.engine.run(statement, principal, cut).await.map_err(told)
    }

    /// Whether any reject was ever resolved: before that there is no such table.
    fn has_resolutions(&self) -> bool {
        self.tables.registry.by_name(RESOLUTIONS).is_some_and(|stream| stream.current().is_some())
    }

    fn selecting(&self, selection: &Selection) -> String {
        let Selection { stream, code, condition, from, to, limit } = selection;
        let stream = literal(stream.as_str());
        let mut filter = format!("stream = {stream} AND status = 'open'");
        let mut and = |term: String| {
            // Writing to a string cannot fail.
            let _ = write!(filter, " AND {term}");
        };
        if let Some(code) = code {
            and(format!("code = {}", literal(code.as_str())));
        }
        for (time, comparison) in [(from, ">="), (to, "<")] {
            if let Some(time) = time {
                and(format!("received_at {comparison} to_timestamp_micros({})", time.0));
            }
        }
        if let Some(condition) = condition {
            // It was checked to open and close its own parentheses only; a comment in it ends with its line.
            and(format!("(\n{condition}\n)"));
        }
        let limit = limit.unwrap_or(u64::MAX).min(self.rows_max as u64);
        let chosen = format!("SELECT \"partition\", \"offset\", code FROM rejects WHERE {filter}");
        let attempts = match self.has_resolutions() {
            true => format!(
                "(SELECT \"partition\" AS p, \"offset\" AS o, max(attempt) AS attempts FROM {RESOLUTIONS} \
                 WHERE stream = {stream} GROUP BY 1, 2)"
            ),
            false => {
                return format!(
                    "SELECT \"partition\", \"offset\", code, CAST(0 AS BIGINT) AS attempts FROM ({chosen}) \
                     ORDER BY 1, 2 LIMIT {limit}"
                );
            }
        };
        format!(
            "SELECT c.\"partition\", c.\"offset\", c.code, coalesce(a.attempts, 0) AS attempts FROM ({chosen}) c \
             LEFT JOIN {attempts} a ON c.\"partition\" = a.p AND c.\"offset\" = a.o ORDER BY 1, 2 LIMIT {limit}"
        )
    }
}

#[async_trait]
impl Shelf for RejectShelf {
    async fn select(&self, selection: &Selection, principal: &Principal) -> Result<Vec<Chosen>, ShelfError> {
        let mut answer = self.ask(&self.selecting(selection), principal).await?;
        let mut chosen = Vec::new();
        while let Some(batch) = answer.next().await {
            let batch = batch.map_err(told)?;
            chosen.extend(places_in(&batch).ok_or_else(strange)?);
        }
        Ok(chosen)
    }

    async fn open(
        &self,
        stream: &StreamName,
        places: &[Chosen],
        expression: Option<&str>,
        principal: &Principal,
    ) -> Result<Opened, ShelfError> {
        let mut answer = self.ask(&opening(stream, places, expression), principal).await?;
        let mut opened = Opened { rejects: Vec::new(), complete: false };
        let mut bytes = 0;
        while let Some(batch) = answer.next().await {
            let batch = batch.map_err(told)?;
            for reject in opened_in(&batch).ok_or_else(strange)? {
                bytes += reject.bytes.as_ref().map_or(0, Vec::len);
                if bytes > OPENED_BYTES_MAX && !opened.rejects.is_empty() {
                    return Ok(opened);
                }
                opened.rejects.push(reject);
            }
        }
        opened.complete = true;
        Ok(opened)
    }

    async fn compute(
        &self,
        expression: &str,
        texts: Vec<String>,
        principal: &Principal,
    ) -> Result<Vec<Option<Vec<u8>>>, ShelfError> {
        let count = texts.len();
        let statement =
            format!("SELECT n, CAST((\n{expression}\n) AS VARCHAR) AS computed FROM {TEXTS} ORDER BY n");
        let names = self.engine.names(&statement).await.map_err(told)?;
        let tables = self.tables.clone();
        // The expression may read other tables, as it may over text.
        let cut = tokio::task::spawn_blocking(move || tables.cut_for(&names)).await;
        let cut = cut.map_err(|error| ShelfError(error.to_string()))?;
        let mut cut = cut.map_err(|error: CutError| ShelfError(error.to_string()))?;
        let hot = Arc::new(Texts::new(texts).map_err(|error| ShelfError(error.to_string()))?);
        cut.tables.push(TableCut {
            name: TEXTS.to_owned(),
            kind: TableKind::Stream,
            columns: hot.columns(),
            lake_root: self.tables.lake.root().to_owned(),
            files: Files::default(),
            hot,
            unreadable: None,
        });
        let mut answer = self.engine.run(&statement, principal, cut).await.map_err(told)?;
        let mut computed = Vec::with_capacity(count);
        while let Some(batch) = answer.next().await {
            let batch = batch.map_err(told)?;
            let values = batch.column(1).as_string_opt::<i32>().ok_or_else(strange)?;
            computed.extend(values.iter().map(|value| value.map(|value| value.as_bytes().to_vec())));
        }
        Ok(computed)
    }
}

/// In their order, so that what there is no room for is the end of them.
fn opening(stream: &StreamName, places: &[Chosen], expression: Option<&str>) -> String {
    let mut of_partitions = Vec::new();
    for places in places.chunk_by(|one, other| one.partition == other.partition) {
        let (partition, first) = (places[0].partition, places[0].offset);
        let last = places[places.len() - 1].offset;
        let offsets: Vec<String> = places.iter().map(|place| place.offset.to_string()).collect();
        of_partitions.push(format!(
            "(\"partition\" = {partition} AND \"offset\" BETWEEN {first} AND {last} AND \"offset\" IN ({}))",
            offsets.join(",")
        ));
    }
    let computed = match expression {
        Some(expression) => format!("CAST((\n{expression}\n) AS VARCHAR)"),
        None => "CAST(NULL AS VARCHAR)".to_owned(),
    };
    format!(
        "SELECT \"partition\", \"offset\", received_at, door, payload, {computed} AS computed, origin, schema FROM \
         (SELECT *, CASE WHEN origin IS NULL THEN try_cast(payload AS VARCHAR) END AS event FROM rejects WHERE stream = {} AND ({})) \
         ORDER BY \"partition\", \"offset\"",
        literal(stream.as_str()),
        of_partitions.join(" OR ")
    )
}

/// What the engine says of data that did not go with a statement quotes it; whoever reads this may not be who may read that.
fn told(error: QueryError) -> ShelfError {
    let code = error.code();
    match error {
        QueryError::Execution(_) => ShelfError(format!(
            "the condition or the expression failed on an event: TRY_CAST and NULLIF turn such values into NULL [{code}]"
        )),
        error => ShelfError(format!("{error} [{code}]")),
    }
}

fn strange() -> ShelfError {
    ShelfError("the rejects have other columns than expected: is the expression one value?".to_owned())
}

fn places_in(batch: &RecordBatch) -> Option<Vec<Chosen>> {
    let partitions = batch.column(0).as_primitive_opt::<Int32Type>()?;
    let offsets = batch.column(1).as_primitive_opt::<Int64Type>()?;
    let codes = batch.column(2).as_string_opt::<i32>()?;
    let attempts = batch.column(3).as_primitive_opt::<Int64Type>()?;
    let place = |row: usize| Chosen {
        partition: partitions.value(row),
        offset: offsets.value(row),
        // The gate wrote it. A code of a newer version is still a reject.
        code: codes.value(row).parse().unwrap_or(RejectCode::Keyword),
        attempts: u32::try_from(attempts.value(row)).unwrap_or(u32::MAX),
    };
    Some((0..batch.num_rows()).map(place).collect())
}

fn opened_in(batch: &RecordBatch) -> Option<Vec<OpenedReject>> {
    let partitions = batch.column(0).as_primitive_opt::<Int32Type>()?;
    let offsets = batch.column(1).as_primitive_opt::<Int64Type>()?;
    let times = batch.column(2).as_primitive_opt::<TimestampMicrosecondType>()?;
    let doors = batch.column(3).as_string_opt::<i32>()?;
    let payloads = batch.column(4).as_binary_opt::<i32>()?;
    let computed = batch.column(5).as_string_opt::<i32>()?;
    let origins = batch.column(6).as_string_opt::<i32>()?;
    let schemas = batch.column(7).as_primitive_opt::<Int32Type>()?;
    let written = |row: usize| {
        let form = origins.is_valid(row).then(|| PayloadForm::of_content_type(origins.value(row)))??;
        let schema = schemas.is_valid(row).then(|| SchemaNumber(schemas.value(row)));
        Some(Written { form, schema })
    };
    let reject = |row: usize| OpenedReject {
        partition: partitions.value(row),
        offset: offsets.value(row),
        received_at: Timestamp(times.value(row)),
        door: doors.value(row).to_owned(),
        written: written(row),
        bytes: payloads.is_valid(row).then(|| payloads.value(row).to_vec()),
        computed: computed.is_valid(row).then(|| computed.value(row).as_bytes().to_vec()),
    };
    Some((0..batch.num_rows()).map(reject).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_each_place_once() {
        let chosen = |partition, offset| Chosen { partition, offset, code: RejectCode::Type, attempts: 0 };
        let places = [chosen(0, 3), chosen(0, 9), chosen(2, 1)];
        let statement = opening(&"a.b".parse().unwrap(), &places, Some("replace(event, 'a', 'b') -- x"));
        for part in [
            "(\"partition\" = 0 AND \"offset\" BETWEEN 3 AND 9 AND \"offset\" IN (3,9)) OR (\"partition\" = 2",
            "stream = 'a.b'",
            "-- x\n) AS VARCHAR)",
        ] {
            assert!(statement.contains(part), "{statement}");
        }
    }
}
