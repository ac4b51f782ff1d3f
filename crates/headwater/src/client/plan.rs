//! `headwater plan`: what the schemas of a project would change in the tables that are there, before anything is changed.
//! Always: reads only. Asks the running server, or opens the data directory itself where none runs.

use std::{io::Write, sync::Arc};

use hw_lake::Table;
use hw_schema::{RewriteAction, Schema};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    error::ClientError,
    server::{Server, runs_at},
};
use crate::{
    cli, config,
    exit::Exit,
    output,
    project::{self, DeclaredStream},
    verify::offline,
};

const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Rows that a processor rewrites in a second, about; see bench/RESULTS.md.
const ROWS_PER_SECOND: u64 = 200_000;

/// What is known of a stream's table.
struct Known {
    schema: Arc<Schema>,
    rows: u64,
    bytes: u64,
}

pub async fn run(arguments: cli::Plan) -> Result<Exit, ClientError> {
    let cli::SettingArgs { data, set } = arguments.settings;
    let checked = project::check(&arguments.directory, &config::Overrides::of_process(data, set));
    let Some((config, project)) = checked.project else {
        let fault = checked.faults.iter().find(|fault| fault.is_error()).map(ToString::to_string);
        return Err(ClientError::usage(
            fault.unwrap_or_else(|| "the project has faults".to_owned()),
            "headwater check tells all of them",
        ));
    };
    let mut plans = Vec::new();
    if runs_at(&config.data).await? {
        let found = cli::ServerArgs { url: None, data: Some(config.data.clone()) };
        let server = Server::find(&found)?;
        for stream in &project.streams {
            plans.push(plan(stream, ask(&server, stream).await?));
        }
    } else if config.data.exists() {
        let opened = offline::open(&config.data).await.map_err(|error| {
            ClientError::usage(format!("{error:#}"), "headwater doctor says more about a data directory")
        })?;
        let tables = opened.subject.as_ref().map(|subject| &subject.tables);
        for stream in &project.streams {
            let known = tables.and_then(|tables| {
                let known = tables.registry.by_name(stream.name.as_str())?;
                let table = tables.lake.table(Table::Stream(known.id));
                let (rows, bytes) = table.map_or((0, 0), |table| (table.rows, table.bytes));
                Some(Known { schema: known.current()?.1.clone(), rows, bytes })
            });
            plans.push(plan(stream, known));
        }
    } else {
        plans.extend(project.streams.iter().map(|stream| plan(stream, None)));
    }
    print(&plans, arguments.json)
}

async fn ask(server: &Server, stream: &DeclaredStream) -> Result<Option<Known>, ClientError> {
    let request = server.request(Method::GET, &["v1", "streams", stream.name.as_str()], &[]);
    let response = server.send(request).await?;
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let body = server.body(response, ANSWER_BYTES_MAX).await?;
    let told: Value = serde_json::from_slice(&body).map_err(|error| server.strange(error))?;
    let document = match &told["document"] {
        Value::String(text) => text.clone(),
        document => document.to_string(),
    };
    let schema = Schema::parse(&document).map_err(|_| server.strange("its schema cannot be read"))?.schema;
    let number = |name: &str| told[name].as_u64().unwrap_or(0);
    Ok(Some(Known { schema: Arc::new(schema), rows: number("events"), bytes: number("lake_bytes") }))
}

/// One stream's part of the plan.
fn plan(stream: &DeclaredStream, known: Option<Known>) -> Value {
    let name = stream.name.as_str();
    let Some(Known { schema, rows, bytes }) = known else {
        return json!({ "stream": name, "verdict": "new", "changes": [], "rows": 0, "bytes": 0, "seconds": 0 });
    };
    let same = schema.fingerprint() == stream.schema.fingerprint();
    let allowed = schema.check_change(&stream.schema).is_ok();
    let (verdict, changes, seconds): (&str, Vec<Value>, u64) = match (same, allowed) {
        (true, _) => ("unchanged", Vec::new(), 0),
        (false, true) => ("allowed", Vec::new(), 0),
        (false, false) => match schema.check_generation(&stream.schema) {
            Ok(rewrites) => {
                let consent = rewrites.iter().any(|it| it.action == RewriteAction::Remove);
                let changes = rewrites
                    .iter()
                    .map(|it| json!({ "pointer": it.pointer, "action": it.action.as_str() }))
                    .collect();
                let verdict = if consent { "rewrite with --drop-fields" } else { "rewrite" };
                (verdict, changes, rows.div_ceil(ROWS_PER_SECOND))
            }
            Err(faults) => {
                let told = |fault: &hw_schema::Fault| json!({ "pointer": fault.pointer, "action": "refused", "message": fault.message, "hint": fault.hint });
                ("refused", faults.iter().map(told).collect(), 0)
            }
        },
    };
    json!({
        "stream": name, "verdict": verdict, "changes": changes, "rows": rows, "bytes": bytes, "seconds": seconds,
    })
}

fn print(plans: &[Value], as_json: bool) -> Result<Exit, ClientError> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{:#}", Value::Array(plans.to_vec()))?;
    } else {
        let mut rows = Vec::new();
        for plan in plans {
            let changes = plan["changes"].as_array().cloned().unwrap_or_default();
            let cell = |name: &str| output::cell(&plan[name]);
            let row = |what: String| {
                vec![cell("stream"), cell("verdict"), what, cell("rows"), cell("bytes"), cell("seconds")]
            };
            if changes.is_empty() {
                rows.push(row(String::new()));
            }
            for change in changes {
                let what = change["message"].as_str().or(change["action"].as_str()).unwrap_or_default();
                rows.push(row(format!("{}: {what}", output::cell(&change["pointer"]))));
            }
        }
        let headings = ["stream", "verdict", "change", "rows", "bytes", "about seconds"].map(str::to_owned);
        output::table(&mut out, &headings, &[false, false, false, true, true, true], rows.into_iter())?;
    }
    let refused = plans.iter().any(|plan| plan["verdict"] == "refused");
    Ok(if refused { Exit::False } else { Exit::Fine })
}
