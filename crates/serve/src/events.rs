//! `GET /v1/streams/{s}/events`: the events of one partition in order, wherever they live.
//! Always: no event of the range is left out and none comes twice; offsets are not dense and gaps are stepped over;
//! `Next` is where to go on. A page ends at its limit of events or of bytes, whichever is first.

use std::{fmt::Write as _, sync::Arc};

use arrow::{
    array::{Array, AsArray, MapArray, RecordBatch, StringArray},
    datatypes::{Field, Int32Type, Int64Type, TimestampMicrosecondType},
};
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use hw_event::Partition;
use hw_query::QueryError;
use hw_schema::{Schema, Stream, rows::to_json};
use serde_json::Value;

use crate::{
    Problem,
    outgoing::{STALL_TIME, paced},
    sql::Reads,
    streams::{bad_parameter, literal, no_stream, parameters, unknown_parameter},
};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows turned into JSON at a time.
const ROWS_AT_A_TIME: usize = 64;
/// How far beyond `limit` offsets are looked at before all of the rest are: rejects leave gaps.
const OFFSETS_PER_EVENT: i64 = 4;
const NEXT: HeaderName = HeaderName::from_static("next");

#[derive(Debug, PartialEq)]
enum From {
    Earliest,
    Latest,
    Offset(i64),
    Time(jiff::Timestamp),
}

#[derive(Debug)]
struct Page {
    partition: i32,
    from: From,
    limit: u32,
}

fn page(query: Option<&str>) -> Result<Page, Problem> {
    let mut page = Page { partition: 0, from: From::Earliest, limit: LIMIT_DEFAULT };
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "partition" => {
                let number = value.parse().ok().filter(|number| *number >= 0);
                page.partition =
                    number.ok_or_else(|| bad_parameter("partition is a number from 0".to_owned()))?;
            }
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
                page.limit = number
                    .ok_or_else(|| bad_parameter(format!("limit is a number from 1 to {LIMIT_MAX}")))?;
            }
            "from" => page.from = from(&value)?,
            _ => return Err(unknown_parameter(&name, "partition, from, limit")),
        }
    }
    Ok(page)
}

fn from(text: &str) -> Result<From, Problem> {
    match text {
        "earliest" => return Ok(From::Earliest),
        "latest" => return Ok(From::Latest),
        _ => {}
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .map(From::Offset)
            .map_err(|_| bad_parameter("from is beyond all offsets".to_owned()));
    }
    text.parse().map(From::Time).map_err(|_| {
        bad_parameter(
            "from is earliest, latest, an offset, or a time such as 2024-05-01T00:00:00Z".to_owned(),
        )
    })
}

#[utoipa::path(get, path = "/v1/streams/{stream}/events", tag = "read", params(
    ("stream" = String, Path),
    ("partition" = Option<i32>, Query, description = "0 if not given."),
    ("from" = Option<String>, Query, description = "`earliest` (if not given), `latest`, an offset, or an RFC 3339 time of arrival."),
    ("limit" = Option<u32>, Query, description = "1 to 1000 events; 100 if not given. A page ends earlier at 16 MiB."),
), responses(
    (status = 200, description = "One line an event: `{\"partition\",\"offset\",\"received_at\",\"schema\",\"event\"}`, with `id` and `headers` where the event came as a CloudEvent. Header `Next`: the `from` of the next page.", content_type = "application/x-ndjson"),
    (status = 400, description = "`bad_parameter`", content_type = "application/problem+json"),
    (status = 404, description = "`no_stream`", content_type = "application/problem+json"),
    (status = 429, description = "`busy`: many large answers are on their way.", content_type = "application/problem+json"),
    (status = 410, description = "`offset_gone`: the offset is below the first one kept, which `detail` and the header `Next` name.", content_type = "application/problem+json"),
))]
pub(crate) async fn events(
    State(reads): State<Reads>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let page = page(query.as_deref())?;
    let stream = reads.backend.registry().by_name(&name).filter(|stream| stream.declared);
    let current = stream.as_ref().and_then(|stream| stream.current());
    let (Some(stream), Some((_, schema))) = (&stream, current) else { return Err(no_stream()) };
    if page.partition >= schema.partitions() {
        return Err(bad_parameter(format!("the stream has the partitions 0 to {}", schema.partitions() - 1)));
    }
    let table = format!("\"{}\"", stream.name.sql_name());
    let of_partition = format!("FROM {table} WHERE _partition = {}", page.partition);
    let first_kept = reads.backend.first_kept(stream.id, Partition(page.partition)).0;
    let start = match page.from {
        From::Earliest => first_kept,
        From::Offset(offset) if offset < first_kept => return Ok(gone(offset, first_kept)),
        From::Offset(offset) => offset,
        From::Latest => end(&reads, &of_partition).await?,
        From::Time(time) => {
            let time = literal(&time.to_string());
            let first = format!("SELECT min(_offset) {of_partition} AND _received_at >= {time}");
            match number(&reads, &first).await? {
                Some(offset) => offset,
                None => end(&reads, &of_partition).await?,
            }
        }
    };

    // A page is made whole: room for the largest is taken before, and what it does not need given back.
    let mut room = reads.room(PAGE_BYTES_MAX).await?;
    // The files' offset ranges make the first question cheap; only if gaps leave the page short all the rest is asked.
    let select = format!("SELECT * {of_partition} AND _offset >= {start}");
    let order = format!("ORDER BY _offset LIMIT {}", page.limit);
    let near = start.saturating_add(i64::from(page.limit) * OFFSETS_PER_EVENT);
    let mut lines = read(&reads, stream, &format!("{select} AND _offset < {near} {order}")).await?;
    if lines.events < page.limit && !lines.full {
        lines = read(&reads, stream, &format!("{select} {order}")).await?;
    }
    let next = lines.last.map_or(start, |offset| offset.saturating_add(1));
    let spare = room.num_permits().saturating_sub(lines.text.len().div_ceil(1024));
    drop(room.split(spare));
    let text = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(lines.text))]).map(move |text| {
        let _held = &room;
        text
    });
    let mut response = Response::new(paced(text, STALL_TIME));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NEXT, HeaderValue::from(next));
    Ok(response)
}

/// The offset behind the last event.
async fn end(reads: &Reads, of_partition: &str) -> Result<i64, Problem> {
    let last = number(reads, &format!("SELECT max(_offset) {of_partition}")).await?;
    Ok(last.map_or(0, |last| last.saturating_add(1)))
}

/// The one number of a one-row answer.
async fn number(reads: &Reads, statement: &str) -> Result<Option<i64>, Problem> {
    let mut answer = reads.run(statement).await?;
    let Some(batch) = answer.try_next().await? else { return Ok(None) };
    let column = batch.column(0).as_primitive_opt::<Int64Type>();
    Ok(column.filter(|column| !column.is_empty() && column.is_valid(0)).map(|column| column.value(0)))
}

#[derive(Default)]
struct Lines {
    text: String,
    events: u32,
    last: Option<i64>,
    /// Ended at the page's bytes.
    full: bool,
}

async fn read(reads: &Reads, stream: &Stream, statement: &str) -> Result<Lines, Problem> {
    let mut answer = reads.run(statement).await?;
    let mut lines = Lines::default();
    while let Some(batch) = answer.try_next().await? {
        let Some(schema) = schema_of(stream, &batch) else { return Err(no_stream()) };
        for start in (0..batch.num_rows()).step_by(ROWS_AT_A_TIME) {
            let rows = batch.slice(start, ROWS_AT_A_TIME.min(batch.num_rows() - start));
            write(schema, &rows, &mut lines)?;
            if lines.full {
                return Ok(lines);
            }
        }
    }
    Ok(lines)
}

/// The newest version that has these columns: until the swap of a generation the table may still have those of an older one.
fn schema_of<'s>(stream: &'s Stream, batch: &RecordBatch) -> Option<&'s Schema> {
    let columns = batch.schema_ref();
    let has = |field: &Field| {
        let found = columns.column_with_name(field.name());
        found.is_some_and(|(_, found)| found.data_type() == field.data_type())
    };
    let fits = |schema: &&Arc<Schema>| schema.user_columns().fields().iter().all(|field| has(field));
    let versions = stream.versions.iter();
    versions.clone().rev().find(fits).or(versions.last()).map(|schema| &**schema)
}

fn write(schema: &Schema, batch: &RecordBatch, lines: &mut Lines) -> Result<(), Problem> {
    let missing = || QueryError::Internal("a table has no reserved columns".to_owned());
    let column = |name: &str| batch.column_by_name(name);
    let partitions =
        column("_partition").and_then(|c| c.as_primitive_opt::<Int32Type>()).ok_or_else(missing)?;
    let offsets = column("_offset").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(missing)?;
    let numbers = column("_schema").and_then(|c| c.as_primitive_opt::<Int32Type>()).ok_or_else(missing)?;
    let times = column("_received_at")
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(missing)?;
    let ids = column("_id").and_then(|c| c.as_string_opt::<i32>());
    let headers = column("_headers").and_then(|c| c.as_map_opt());
    for (row, event) in to_json(schema, batch).into_iter().enumerate() {
        // A page holds one event at least, however large it is.
        let envelope = envelope(row, ids, headers);
        if lines.events > 0 && lines.text.len() + envelope.len() + event.len() > PAGE_BYTES_MAX {
            lines.full = true;
            return Ok(());
        }
        let received_at = jiff::Timestamp::from_microsecond(times.value(row))
            .map_err(|fault| QueryError::Internal(fault.to_string()))?;
        let line = writeln!(
            lines.text,
            "{{\"partition\":{},\"offset\":{},\"received_at\":\"{}\",\"schema\":{}{envelope},\"event\":{event}}}",
            partitions.value(row),
            offsets.value(row),
            received_at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"),
            numbers.value(row),
        );
        line.map_err(|fault| QueryError::Internal(fault.to_string()))?;
        lines.events += 1;
        lines.last = Some(offsets.value(row));
    }
    Ok(())
}

/// The members `id` and `headers`, with a comma before each, of an event that came with them.
fn envelope(row: usize, ids: Option<&StringArray>, headers: Option<&MapArray>) -> String {
    let mut text = String::new();
    if let Some(ids) = ids.filter(|ids| ids.is_valid(row)) {
        let _ = write!(text, ",\"id\":{}", Value::from(ids.value(row)));
    }
    if let Some(headers) = headers.filter(|headers| headers.is_valid(row)) {
        let entries = headers.value(row);
        let [names, values] = [0, 1].map(|number| entries.column(number).as_string_opt::<i32>());
        let (Some(names), Some(values)) = (names, values) else { return text };
        let pair = |entry: usize| {
            let value = values.is_valid(entry).then(|| values.value(entry));
            (names.value(entry).to_owned(), value.map_or(Value::Null, Value::from))
        };
        let object: serde_json::Map<_, _> = (0..names.len()).map(pair).collect();
        let _ = write!(text, ",\"headers\":{}", Value::from(object));
    }
    text
}

fn gone(offset: i64, first_kept: i64) -> Response {
    let problem = Problem::new(
        StatusCode::GONE,
        "offset_gone",
        format!("offset {offset} is no longer kept: the first one is {first_kept}"),
        format!("go on with from={first_kept}"),
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(NEXT, HeaderValue::from(first_kept));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_from_the_query() {
        let good = |query| page(Some(query)).map_err(|problem| problem.detail).unwrap();
        assert_eq!(page(None).map(|page| (page.partition, page.limit)).ok(), Some((0, LIMIT_DEFAULT)));
        assert_eq!(good("from=latest&partition=3&limit=1000").from, From::Latest);
        assert_eq!(good("from=earliest").from, From::Earliest);
        assert_eq!(good("from=17").from, From::Offset(17));
        let time = From::Time("2024-05-01T00:00:00Z".parse().unwrap());
        assert_eq!(good("from=2024-05-01T00:00:00Z").from, time);
        assert_eq!(good("from=2024-05-01T02%3A00%3A00%2B02%3A00").from, time);
        for bad in [
            "from=-1",
            "from=",
            "from=yesterday",
            "from=99999999999999999999",
            "limit=0",
            "limit=1001",
            "limit=x",
            "partition=-1",
            "partition=1.5",
            "partition=1&partition=1",
            "form=1",
            "from=%ff",
        ] {
            assert_eq!(
                page(Some(bad)).map_err(|problem| problem.code).unwrap_err(),
                "bad_parameter",
                "{bad}"
            );
        }
    }
}
