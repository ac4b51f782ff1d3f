//! `headwater plan`: what the schemas of a project would change in the tables that are there, before anything is changed.
//! Always: reads only. Asks the running server, or opens the data directory itself where none runs.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    error::ClientError,
    server::{Server, runs_at},
};
use crate::{
    cli, config,
    exit::Exit,
    generation::survey,
    output,
    project::{self, DeclaredStream},
    verify::offline,
};

const ANSWER_BYTES_MAX: usize = 64 << 20;

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
            plans.push(ask(&server, stream).await?);
        }
    } else if config.data.exists() {
        let doctor = "headwater doctor says more about a data directory";
        let opened = offline::open(&config.data)
            .await
            .map_err(|error| ClientError::usage(format!("{error:#}"), doctor))?;
        for stream in &project.streams {
            let (name, schema) = (stream.name.as_str().to_owned(), stream.schema.clone());
            plans.push(match opened.subject.as_ref().map(|subject| subject.tables.clone()) {
                None => new(stream),
                Some(tables) => {
                    let plan =
                        tokio::task::spawn_blocking(move || survey::plan(&tables, &name, &schema)).await;
                    let plan = plan.map_err(|error| error.to_string()).and_then(|plan| plan);
                    plan.map_err(|error| {
                        ClientError::usage(format!("stream {}: {error}", stream.name), doctor)
                    })?
                }
            });
        }
    } else {
        plans.extend(project.streams.iter().map(new));
    }
    print(&plans, arguments.json)
}

fn new(stream: &DeclaredStream) -> Value {
    json!({
        "stream": stream.name.as_str(), "verdict": "new", "changes": [], "rows": 0, "bytes": 0, "seconds": 0,
    })
}

async fn ask(server: &Server, stream: &DeclaredStream) -> Result<Value, ClientError> {
    let request = server.request(Method::POST, &["v1", "streams", stream.name.as_str(), "plan"], &[]);
    let request =
        request.header("content-type", "application/json").body(stream.schema.document().to_owned());
    let response = server.ask(request).await?;
    let body = server.body(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| server.strange(error))
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
                let counted = match (change["misfits"].as_u64(), change["null_is_possible"].as_bool()) {
                    (None, _) => String::new(),
                    (Some(values), Some(false)) => format!(", {values} values do not fit and cannot be null"),
                    (Some(values), _) => format!(", {values} values do not fit and would be null"),
                };
                rows.push(row(format!("{}: {what}{counted}", output::cell(&change["pointer"]))));
            }
        }
        let headings = ["stream", "verdict", "change", "rows", "bytes", "about seconds"].map(str::to_owned);
        output::table(&mut out, &headings, &[false, false, false, true, true, true], rows.into_iter())?;
    }
    let refused = plans.iter().any(|plan| plan["verdict"] == "refused");
    Ok(if refused { Exit::False } else { Exit::Fine })
}
