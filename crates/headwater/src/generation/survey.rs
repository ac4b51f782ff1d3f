//! What a changed schema would do to the rows that are there, before anything is changed: which values do not fit narrower
//! rules, of which rows no value can be computed, and whether that is refused.
//! Always: reads only; no value is quoted, only counted.

use std::sync::Arc;

use hw_event::SchemaNumber;
use hw_lake::{Lake, LakeFile, RewriteTurn, Table, TableSnapshot};
use hw_query::Expression;
use hw_schema::{
    Fault, Rewrite, RewriteAction, Schema, Step, Stream,
    rows::{Misfit, Misfits},
};
use serde_json::{Value, json};

use super::steps::Steps;
use crate::reading::Tables;

/// Rows that a processor rewrites in a second, about; see bench/RESULTS.md.
const ROWS_PER_SECOND: u64 = 200_000;
/// A commit between two looks is rare.
const TAKES_MAX: usize = 16;

/// What has to be rewritten for `next`, if expressions can be planned. `Err`: it cannot follow, and why.
pub fn rewrites(current: &Schema, next: &Schema) -> Result<Vec<Rewrite>, Vec<Fault>> {
    let rewrites = current.check_generation(next)?;
    let mut faults = Vec::new();
    for Rewrite { pointer, action, .. } in &rewrites {
        let RewriteAction::Compute(expression) = action else { continue };
        let planned = Expression::new(&expression.text, current.table_columns(), &expression.data_type);
        if let Err(error) = planned {
            faults.push(Fault {
                pointer: format!("{pointer}/x-from"),
                line: 1,
                column: 1,
                message: format!("the expression cannot be computed from the columns that there are: {error}"),
                hint: "an expression is SQL over the columns of the rows that are there, without tables and functions \
                       of time or chance; its type is that of the field"
                    .to_owned(),
            });
        }
    }
    if faults.is_empty() { Ok(rewrites) } else { Err(faults) }
}

/// Must the rows be looked at before the change is begun? With `consent` only where values that do not fit cannot become null.
pub fn wants_look(rewrites: &[Rewrite], consent: bool) -> bool {
    rewrites.iter().any(|it| match &it.action {
        RewriteAction::Narrow(fit) => !consent || !fit.may_be_null(),
        action => action.loses() && !consent,
    })
}

/// Holds the rows of a table's files against what their newest version says. Blocking.
pub fn look(
    lake: &Lake,
    table: Table,
    files: &[Arc<LakeFile>],
    steps: &mut Steps,
    columns: Option<&[&str]>,
) -> Result<(), String> {
    let rewriter = lake.rewriter();
    let mut seen = |batch, of| steps.look(&batch, of);
    match rewriter.survey(table, files, columns, &mut seen, &mut |_| true) {
        Ok(RewriteTurn::Stopped) => Err("told to stop".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The top-level columns that have to be read to see what fits; `None`: all of them.
pub fn columns_looked_at(rewrites: &[Rewrite]) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    for Rewrite { path, action, .. } in rewrites {
        match (action, path.first()) {
            // It may name any; a rename changes what a path means.
            (RewriteAction::Compute(_) | RewriteAction::Rename(_), _) | (_, None) => return None,
            (RewriteAction::Narrow(_), Some(Step::Member(name))) => columns.push(name.clone()),
            _ => {}
        }
    }
    Some(columns)
}

/// Why the values that do not fit are in the way, and what to do; `None` where they are not.
pub fn refusal(pointer: &str, misfit: Misfit, consent: bool) -> Option<String> {
    let Misfit { values, needed } = misfit;
    if needed {
        return Some(format!(
            "{pointer}: {values} values that are there do not fit, and the schema wants one in every event\n  \
             let the field be missing or null, keep the wider rule, or give an \"x-from\" that makes every value fit"
        ));
    }
    (!consent).then(|| {
        format!(
            "{pointer}: {values} values that are there do not fit\n  \
             headwater up --null-misfits makes them null; or keep the wider rule, or change \"x-from\""
        )
    })
}

/// What would come of `next` for a stream's table, as `headwater plan` tells it. Blocking.
pub fn plan(tables: &Tables, name: &str, next: &Arc<Schema>) -> Result<Value, String> {
    let stream = tables.registry.by_name(name);
    let known = stream.as_ref().and_then(|stream| Some((stream, stream.current()?)));
    let Some((stream, (number, current))) = known else {
        return Ok(told(name, "new", Vec::new(), 0, 0, 0));
    };
    let table = Table::Stream(stream.id);
    let (rows, bytes) = tables.lake.table(table).map_or((0, 0), |table| (table.rows, table.bytes));
    if current.fingerprint() == next.fingerprint() {
        return Ok(told(name, "unchanged", Vec::new(), rows, bytes, 0));
    }
    if current.check_change(next).is_ok() {
        return Ok(told(name, "allowed", Vec::new(), rows, bytes, 0));
    }
    let rewrites = match rewrites(current, next) {
        Ok(rewrites) => rewrites,
        Err(faults) => {
            let told_fault = |fault: &Fault| json!({ "pointer": fault.pointer, "action": "refused", "message": fault.message, "hint": fault.hint });
            return Ok(told(name, "refused", faults.iter().map(told_fault).collect(), rows, bytes, 0));
        }
    };
    let misfits = match wants_look(&rewrites, false) {
        true => count(tables, stream, number, next, &rewrites)?,
        false => Misfits::default(),
    };
    let mut verdict = "rewrite".to_owned();
    let consents = [
        (rewrites.iter().any(|it| matches!(it.action, RewriteAction::Remove)), "--drop-fields"),
        (!misfits.0.is_empty(), "--null-misfits"),
    ];
    let said: Vec<&str> = consents.iter().filter(|(needed, _)| *needed).map(|(_, word)| *word).collect();
    if !said.is_empty() {
        verdict = format!("rewrite with {}", said.join(" "));
    }
    if misfits.0.values().any(|misfit| misfit.needed) {
        "refused".clone_into(&mut verdict);
    }
    let mut changes: Vec<Value> = Vec::new();
    for it in &rewrites {
        let mut change = json!({ "pointer": it.pointer, "action": it.action.as_str() });
        let counted = misfits.0.get(&it.pointer).filter(|_| it.action.loses());
        // Of a computed field that is held against rules too: once.
        let again =
            changes.iter().any(|told| told["pointer"] == change["pointer"] && !told["misfits"].is_null());
        if let Some(misfit) = counted.filter(|_| !again) {
            change["misfits"] = json!(misfit.values);
            change["null_is_possible"] = json!(!misfit.needed);
        }
        changes.push(change);
    }
    Ok(told(name, &verdict, changes, rows, bytes, rows.div_ceil(ROWS_PER_SECOND)))
}

fn told(name: &str, verdict: &str, changes: Vec<Value>, rows: u64, bytes: u64, seconds: u64) -> Value {
    json!({ "stream": name, "verdict": verdict, "changes": changes, "rows": rows, "bytes": bytes, "seconds": seconds })
}

/// What does not fit in all rows as of now: the table's, and those that only the journal has.
fn count(
    tables: &Tables,
    stream: &Stream,
    number: SchemaNumber,
    next: &Arc<Schema>,
    rewrites: &[Rewrite],
) -> Result<Misfits, String> {
    let table = Table::Stream(stream.id);
    let mut versions = stream.versions.clone();
    versions.push(next.clone());
    let version = |table: &Option<Arc<TableSnapshot>>| table.as_ref().map(|table| table.version);
    for _ in 0..TAKES_MAX {
        let snapshot = tables.lake.table(table);
        let cut = tables.cut().map_err(|error| error.to_string())?;
        if version(&snapshot) != version(&tables.lake.table(table)) {
            continue;
        }
        let mut steps = Steps::looking(&versions);
        let outdated = stream.generation_start() > SchemaNumber(1);
        // Rows of an older generation go through changes that may want other columns.
        let columns = columns_looked_at(rewrites).filter(|_| !outdated);
        let columns: Option<Vec<&str>> =
            columns.as_ref().map(|columns| columns.iter().map(String::as_str).collect());
        if let Some(snapshot) = &snapshot {
            look(&tables.lake, table, &snapshot.files, &mut steps, columns.as_deref())?;
        }
        let name = stream.name.sql_name();
        if let Some(hot) = cut.tables.iter().find(|it| it.name == name).map(|it| it.hot.clone())
            && hot.rows() > 0
        {
            for batch in hot.batches().map_err(|error| error.to_string())? {
                let batch = batch.map_err(|error| error.to_string())?;
                steps.look(&batch, Some(number)).map_err(|error| error.to_string())?;
            }
        }
        return Ok(steps.misfits);
    }
    Err("the table changes faster than it can be looked at; try again".to_owned())
}
