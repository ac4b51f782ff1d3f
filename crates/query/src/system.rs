//! The system tables as users see them: `rejects`, `ledger` and `streams`, each a plan over what is stored.
//! Always: the columns and their order are part of the public surface. A payload is opened only if the statement
//! names it, and only for a principal who may see it. The functions used here have no name that SQL could call.

use std::{fmt, hash, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryBuilder, RecordBatch, StringBuilder},
    datatypes::DataType,
};
use datafusion::{
    catalog::{MemTable, TableProvider, view::ViewTable},
    common::{JoinType, ScalarValue, exec_err},
    datasource::provider_as_source,
    error::Result,
    functions::core::expr_fn::coalesce,
    functions_aggregate::expr_fn::{max, min, sum},
    logical_expr::{
        ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, ident, lit,
    },
};
use hw_event::Principal;
use sha2::{Digest, Sha256};

use crate::{PayloadOpener, resolved::ResolvedRejects};

/// The stored table's columns, with the payload opened and its digest beside it, and over them what became of each reject.
pub(crate) fn rejects(
    stored: Arc<dyn TableProvider>,
    resolutions: Option<Arc<dyn TableProvider>>,
    principal: &Principal,
    opener: &Arc<dyn PayloadOpener>,
) -> Result<Arc<dyn TableProvider>> {
    let (payload, digest) = if principal.may_open_payloads() {
        let open = ScalarUDF::from(OpenPayload::new(Arc::clone(opener)));
        let opened = open.call(vec![ident("payload")]);
        (opened.clone(), ScalarUDF::from(Sha256Hex::new()).call(vec![opened]))
    } else {
        (lit(ScalarValue::Binary(None)), lit(ScalarValue::Utf8(None)))
    };
    let columns = [
        "stream",
        "partition",
        "offset",
        "seq",
        "received_at",
        "door",
        "principal",
        "request_id",
        "index",
        "byte_offset",
        "code",
        "path",
        "message",
        "schema",
        "payload",
        "payload_sha256",
        "status",
        "origin",
    ]
    .map(|name| match name {
        "payload" => payload.clone().alias(name),
        "payload_sha256" => digest.clone().alias(name),
        _ => ident(name),
    });
    let shown = |stored: LogicalPlanBuilder| stored.project(columns.clone())?.build();
    match resolutions {
        Some(resolutions) => Ok(Arc::new(ResolvedRejects::new(stored, resolutions, shown)?)),
        None => {
            let stored = LogicalPlanBuilder::scan("rejects", provider_as_source(stored), None)?;
            Ok(Arc::new(ViewTable::new(shown(stored)?, None)))
        }
    }
}

const COUNTS: [&str; 7] = ["received", "stored", "rejected", "duplicates", "refused", "replayed", "bytes"];

/// One row a stream, minute and door: the sums of their tallies.
pub(crate) fn ledger(tallies: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let keys = ["stream", "minute", "door"];
    let plan = LogicalPlanBuilder::scan("ledger", provider_as_source(tallies), None)?
        .aggregate(keys.map(ident), COUNTS.map(|name| sum(ident(name)).alias(name)))?
        .project(keys.into_iter().chain(COUNTS).map(ident))?
        .build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// What is known of each stream, with the counts its tallies add up to (0 where there are none).
pub(crate) fn streams(
    known: RecordBatch,
    tallies: Option<Arc<dyn TableProvider>>,
) -> Result<Arc<dyn TableProvider>> {
    let known = Arc::new(MemTable::try_new(known.schema(), vec![vec![known]])?);
    let known = LogicalPlanBuilder::scan("known", provider_as_source(known), None)?;
    let known_columns = |names: &[&str]| -> Vec<Expr> { names.iter().map(|name| ident(*name)).collect() };
    let counts: [Expr; 4];
    let plan = match tallies {
        Some(tallies) => {
            let counted = LogicalPlanBuilder::scan("tallies", provider_as_source(tallies), None)?
                .aggregate(
                    [ident("stream")],
                    [
                        sum(ident("stored") + ident("replayed")).alias("events"),
                        sum(ident("rejected")).alias("rejected"),
                        min(ident("first_at")).alias("first_at"),
                        max(ident("last_at")).alias("last_at"),
                    ],
                )?
                .project([
                    ident("stream").alias("counted_stream"),
                    ident("events"),
                    ident("rejected"),
                    ident("first_at"),
                    ident("last_at"),
                ])?
                .build()?;
            counts = [
                coalesce(vec![ident("events"), lit(0_i64)]).alias("events"),
                coalesce(vec![ident("rejected"), lit(0_i64)]).alias("rejected"),
                ident("first_at"),
                ident("last_at"),
            ];
            known.join(counted, JoinType::Left, (vec!["stream"], vec!["counted_stream"]), None)?
        }
        None => {
            let never = || lit(ScalarValue::TimestampMicrosecond(None, Some("UTC".into())));
            counts = [
                lit(0_i64).alias("events"),
                lit(0_i64).alias("rejected"),
                never().alias("first_at"),
                never().alias("last_at"),
            ];
            known
        }
    };
    let columns = known_columns(&["stream", "table_name", "schema", "partitions", "key", "mode"])
        .into_iter()
        .chain(counts)
        .chain(known_columns(&["journal_bytes", "lake_bytes", "lake_version", "lag_events", "lake_path"]));
    Ok(Arc::new(ViewTable::new(plan.project(columns)?.build()?, None)))
}

/// Opens sealed bytes. NULL where that cannot be done.
struct OpenPayload {
    opener: Arc<dyn PayloadOpener>,
    signature: Signature,
}

impl OpenPayload {
    fn new(opener: Arc<dyn PayloadOpener>) -> OpenPayload {
        // Stable, not immutable: a key expires. The planner never opens anything.
        OpenPayload { opener, signature: Signature::exact(vec![DataType::Binary], Volatility::Stable) }
    }
}

impl fmt::Debug for OpenPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenPayload")
    }
}

impl PartialEq for OpenPayload {
    fn eq(&self, other: &OpenPayload) -> bool {
        Arc::ptr_eq(&self.opener, &other.opener)
    }
}

impl Eq for OpenPayload {}

impl hash::Hash for OpenPayload {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.opener).hash(state);
    }
}

impl ScalarUDFImpl for OpenPayload {
    fn name(&self) -> &str {
        "opened"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sealed = only_argument(args)?;
        let Some(sealed) = sealed.as_binary_opt::<i32>() else {
            return exec_err!("a sealed payload is binary, not {}", sealed.data_type());
        };
        let present: Vec<&[u8]> = sealed.iter().flatten().collect();
        let mut opened = self.opener.open_all(&present).into_iter();
        let mut builder = BinaryBuilder::new();
        sealed.iter().for_each(|sealed| builder.append_option(sealed.and_then(|_| opened.next().flatten())));
        Ok(ColumnarValue::Array(Arc::new(builder.finish()) as ArrayRef))
    }
}

/// The digest of bytes in lower-case hexadecimal. NULL of NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sha256Hex {
    signature: Signature,
}

impl Sha256Hex {
    fn new() -> Sha256Hex {
        Sha256Hex { signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Sha256Hex {
    fn name(&self) -> &str {
        "sha256_hex"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = only_argument(args)?;
        let Some(bytes) = bytes.as_binary_opt::<i32>() else {
            return exec_err!("a digest is of binary, not of {}", bytes.data_type());
        };
        let mut digests = StringBuilder::with_capacity(bytes.len(), bytes.len() * 64);
        for value in bytes {
            digests.append_option(value.map(|value| hex(&Sha256::digest(value))));
        }
        Ok(ColumnarValue::Array(Arc::new(digests.finish()) as ArrayRef))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn only_argument(args: ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = args.number_rows;
    match <[ColumnarValue; 1]>::try_from(args.args) {
        Ok([argument]) => argument.into_array(rows),
        Err(arguments) => exec_err!("one argument, not {}", arguments.len()),
    }
}
