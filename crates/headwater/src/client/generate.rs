//! `headwater gen`: events of a schema, sent to its stream or written down, and the server's verdict on each compared
//! with what was intended.
//! Always: memory is bounded, whatever the count; with a rate, an event is sent when it is due, however slow the answers
//! are (up to a bound on open requests), and its latency counts from then, so that a server that stalls cannot hide it; a
//! verdict that was not compared is said.

mod latency;
mod plan;
mod verdicts;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hw_schema::{DecodeLimits, Generator, Mode, Schema};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::{
    latency::Latency,
    plan::{BATCH_EVENTS, Plan, Planned},
    verdicts::Verdicts,
};
use super::{
    deliver::{Delivery, Options, Receipt},
    error::ClientError,
    server::Server,
};
use crate::{cli, config::Overrides, exit::Exit, fault::Fault, output, project};

/// The limits of a server that nobody has set.
const LIMITS: DecodeLimits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
/// Batches made ahead of the network.
const BATCHES_AHEAD: usize = 8;
/// Requests that are open at once where the server sets the pace …
const REQUESTS_MAX: usize = 4;
/// … and where the clock does.
const REQUESTS_AT_RATE_MAX: usize = 256;
/// A stream's description is not larger than this.
const STREAM_BYTES_MAX: usize = 8 << 20;

pub async fn run(arguments: cli::Gen) -> Result<Exit, ClientError> {
    let writes = arguments.stdout || arguments.output.is_some();
    let local = arguments.schema.is_some() || arguments.project.is_some();
    let server = match writes && local {
        true => None,
        false => Some(Arc::new(Server::find(&arguments.server)?)),
    };
    let (schema, limits) = match (&arguments.schema, &arguments.project, &server) {
        (Some(path), ..) => (schema_of_file(path)?, LIMITS),
        (None, Some(directory), _) => schema_of_project(directory, arguments.stream.as_str())?,
        (None, None, Some(server)) => (schema_of_server(server, arguments.stream.as_str()).await?, LIMITS),
        (None, None, None) => unreachable!("without a schema of our own there is a server"),
    };
    let mode = schema.mode();
    let generator = Generator::new(schema, limits, arguments.seed);
    for not_made in generator.unmade() {
        if arguments.bad.0 > 0 || not_made.code.is_none() {
            eprintln!("note: {}", output::printable(&not_made.to_string()));
        }
    }
    let plan = Plan {
        count: arguments.count,
        bad_per_million: arguments.bad.0,
        batch_events: batch_events(arguments.batch, arguments.rate),
        apart: mode == Mode::Reject && !writes,
    };
    let (tx, planned) = mpsc::channel(BATCHES_AHEAD);
    std::thread::spawn(move || plan.run(generator, |planned| tx.blocking_send(planned).is_ok()));
    match server.filter(|_| !writes) {
        None => write(&arguments, planned).await,
        Some(server) => send(&arguments, server, planned).await,
    }
}

/// At a rate, a twentieth of a second's events, so that a second is filled evenly.
fn batch_events(asked: Option<u32>, rate: Option<u32>) -> usize {
    let evenly = rate.map_or(BATCH_EVENTS, |rate| (rate as usize / 20).clamp(1, BATCH_EVENTS));
    asked.map_or(evenly, |asked| asked as usize)
}

fn schema_of_file(path: &Path) -> Result<Arc<Schema>, ClientError> {
    let (schema, faults) = project::read_schema(path);
    schema.ok_or_else(|| faulty(&path.display().to_string(), &faults))
}

fn schema_of_project(directory: &Path, stream: &str) -> Result<(Arc<Schema>, DecodeLimits), ClientError> {
    let checked = project::check(directory, &Overrides::of_process(None, Vec::new()));
    let Some((config, project)) = checked.project else {
        return Err(faulty(&directory.display().to_string(), &checked.faults));
    };
    let limits =
        DecodeLimits { depth: config.limits.depth.get(), event_bytes: config.limits.event.as_usize() };
    match project.streams.iter().find(|declared| declared.name.as_str() == stream) {
        Some(declared) => Ok((Arc::clone(&declared.schema), limits)),
        None => {
            let names = project.streams.iter().map(|declared| declared.name.as_str());
            let hint = match hw_schema::nearest(stream, names) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("write {}/schemas/{stream}.json", directory.display()),
            };
            Err(ClientError::usage(format!("the project has no stream \"{stream}\""), hint))
        }
    }
}

fn faulty(name: &str, faults: &[Fault]) -> ClientError {
    for fault in faults.iter().filter(|fault| fault.is_error()) {
        eprintln!("{fault}");
    }
    ClientError::usage(format!("{name} has faults"), "correct them; headwater check shows them too")
}

async fn schema_of_server(server: &Server, stream: &str) -> Result<Arc<Schema>, ClientError> {
    let response = match server.ask(server.request(Method::GET, &["v1", "streams", stream], &[])).await {
        Err(ClientError::Refused { problem }) if problem.status == 404 => {
            return Err(ClientError::NotFound {
                message: format!("there is no stream \"{stream}\""),
                hint: "list them: headwater ls; or write events for a schema of your own: --schema FILE --stdout"
                    .to_owned(),
            });
        }
        answer => answer?,
    };
    let body = server.body(response, STREAM_BYTES_MAX).await?;
    let answer: Value = serde_json::from_slice(&body).map_err(|error| server.strange(error))?;
    let document =
        answer.get("document").map(Value::to_string).ok_or_else(|| server.strange("no document"))?;
    let checked = Schema::parse(&document).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        server.strange(format!("the stream's schema has a fault here: {first}"))
    })?;
    Ok(Arc::new(checked.schema))
}

/// Writes the events as NDJSON.
async fn write(arguments: &cli::Gen, mut planned: mpsc::Receiver<Planned>) -> Result<Exit, ClientError> {
    let mut verdicts = Verdicts::default();
    let mut out: Box<dyn Write> = match &arguments.output {
        None => Box::new(BufWriter::new(io::stdout().lock())),
        Some(path) => {
            let file = File::create(path).map_err(|error| unwritten(path, &error))?;
            Box::new(BufWriter::new(file))
        }
    };
    let failed = |error: io::Error| match &arguments.output {
        Some(path) => unwritten(path, &error),
        None => ClientError::Output(error),
    };
    while let Some(planned) = planned.recv().await {
        verdicts.planned(&planned);
        out.write_all(&planned.batch.body).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    drop(out);
    if arguments.stdout {
        eprintln!("{}", verdicts.written());
    } else if arguments.json {
        writeln!(io::stdout().lock(), "{}", verdicts.written_json(arguments.seed))?;
    } else {
        writeln!(io::stdout().lock(), "{}", verdicts.written())?;
    }
    Ok(verdicts.exit_of_making())
}

fn unwritten(path: &Path, error: &io::Error) -> ClientError {
    ClientError::usage(format!("cannot write {}: {error}", path.display()), "name a file that can be written")
}

/// Sends the events and compares.
async fn send(
    arguments: &cli::Gen,
    server: Arc<Server>,
    mut planned: mpsc::Receiver<Planned>,
) -> Result<Exit, ClientError> {
    let sender = Sender {
        server,
        stream: arguments.stream.as_str().into(),
        ack: arguments.ack.as_deref().map(Into::into),
        run_id: uuid::Uuid::new_v4().simple().to_string().into(),
        retry_for: arguments.retry_for,
    };
    let progress = progress(arguments.count);
    let open_max = arguments
        .connections
        .map_or(if arguments.rate.is_some() { REQUESTS_AT_RATE_MAX } else { REQUESTS_MAX }, |connections| {
            connections as usize
        });
    let began = Instant::now();
    let mut open: JoinSet<Done> = JoinSet::new();
    let mut verdicts = Verdicts::default();
    let mut latency = Latency::new();
    let mut behind = Duration::ZERO;
    let mut failure = None;
    let mut number = 0u64;
    while failure.is_none() {
        let Some(next) = planned.recv().await else { break };
        let due = match arguments.rate {
            Some(rate) => {
                let due = began + Duration::from_secs_f64(next.first as f64 / f64::from(rate));
                tokio::time::sleep_until(due).await;
                Some(due)
            }
            None => None,
        };
        // What has come back is taken in without waiting, unless too much is open.
        while let Some(done) =
            if open.len() >= open_max { open.join_next().await } else { open.try_join_next() }
        {
            failure = failure.or(take(done, &mut verdicts, &mut latency, &progress));
        }
        let now = Instant::now();
        behind = behind.max(due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due)));
        verdicts.planned(&next);
        number += 1;
        open.spawn(sender.clone().deliver(next, number, due.unwrap_or(now)));
    }
    while let Some(done) = open.join_next().await {
        failure = failure.or(take(done, &mut verdicts, &mut latency, &progress));
    }
    progress.finish_and_clear();
    let elapsed = began.elapsed();
    if arguments.json {
        let mut said = verdicts.sent_json(arguments.seed, elapsed);
        said["latency_ms"] = latency.json();
        said["latency_from"] = if arguments.rate.is_some() { "due" } else { "sent" }.into();
        said["behind_seconds"] = behind.as_secs_f64().into();
        writeln!(io::stdout().lock(), "{said}")?;
    } else {
        verdicts.print(elapsed)?;
        let from = if arguments.rate.is_some() { "when they were due" } else { "sending" };
        writeln!(io::stdout().lock(), "requests were answered, from {from}: {latency}")?;
    }
    const BEHIND_TOLD: Duration = Duration::from_secs(1);
    if behind > BEHIND_TOLD {
        eprintln!("the rate was not kept: up to {:.1} s behind it", behind.as_secs_f64());
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(verdicts.exit()),
    }
}

/// A request that was answered, or not, and how long it took, all its tries together.
struct Done {
    planned: Planned,
    answer: Result<Receipt, ClientError>,
    took: Duration,
}

/// Takes in one answer; returns why it is none.
fn take(
    done: Result<Done, tokio::task::JoinError>,
    verdicts: &mut Verdicts,
    latency: &mut Latency,
    progress: &ProgressBar,
) -> Option<ClientError> {
    match done {
        Ok(Done { planned, answer: Ok(receipt), took }) => {
            progress.inc(planned.intended.len() as u64);
            verdicts.compare(&planned, &receipt);
            latency.record(took);
            None
        }
        Ok(Done { answer: Err(error), .. }) => Some(error),
        Err(error) => Some(ClientError::usage(format!("a request was not finished: {error}"), "")),
    }
}

#[derive(Clone)]
struct Sender {
    server: Arc<Server>,
    stream: Arc<str>,
    ack: Option<Arc<str>>,
    run_id: Arc<str>,
    retry_for: Duration,
}

impl Sender {
    /// `from`: where its time begins.
    async fn deliver(self, mut planned: Planned, number: u64, from: Instant) -> Done {
        let options = Options {
            stream: &self.stream,
            ack: self.ack.as_deref(),
            run_id: Some(format!("{}-{number}", self.run_id)),
            retry_for: self.retry_for,
        };
        let answer = Delivery::new(&self.server, options).deliver(&mut planned.batch).await;
        Done { planned, answer, took: from.elapsed() }
    }
}

fn progress(count: u64) -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{human_pos} of {human_len} {wide_bar} {per_sec} {eta}");
    let bar = ProgressBar::new(count);
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
