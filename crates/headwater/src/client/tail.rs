//! `headwater tail`: a stream's events, partition by partition, as the log holds them.
//! Always: each event is printed once, those of one partition in their order. Between partitions there is
//! no order.

use std::{
    io::{self, Write},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;

use super::{
    error::ClientError,
    query::{self, literal},
    server::Server,
};
use crate::{
    cli::{self, TailFormat},
    exit::Exit,
    output,
};

/// Events asked for at once.
const PAGE_EVENTS: u64 = 1_000;
/// A line of the answer is an event and little more.
const LINE_BYTES_MAX: usize = 128 << 20;
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);

pub async fn run(arguments: cli::Tail) -> Result<Exit, ClientError> {
    let server = Server::find(&arguments.server)?;
    let follows = !arguments.no_follow && arguments.limit.is_none();
    let from = arguments.from.unwrap_or_else(|| if follows { "latest" } else { "earliest" }.to_owned());
    let is_offset = from.bytes().all(|byte| byte.is_ascii_digit());
    if is_offset && arguments.partition.is_none() {
        return Err(ClientError::usage(
            format!("{from} is an offset, and each partition has its own"),
            "name the partition with --partition",
        ));
    }
    let partitions = match arguments.partition {
        Some(partition) => partition..partition + 1,
        None => 0..partitions(&server, arguments.stream.as_str()).await?,
    };
    let mut cursors: Vec<Cursor> =
        partitions.map(|partition| Cursor { partition, from: from.clone() }).collect();
    let mut printer = Printer { format: arguments.format, left: arguments.limit };
    let mut pause = POLL_FIRST;
    loop {
        let mut seen = 0;
        for cursor in &mut cursors {
            loop {
                let page = read_page(&server, arguments.stream.as_str(), cursor, &mut printer).await?;
                if printer.left == Some(0) {
                    return Ok(Exit::Fine);
                }
                seen += page;
                if page == 0 {
                    break;
                }
            }
        }
        if !follows {
            return Ok(Exit::Fine);
        }
        pause = if seen > 0 { POLL_FIRST } else { (pause * 2).min(POLL_MAX) };
        tokio::time::sleep(pause).await;
    }
}

struct Cursor {
    partition: i32,
    /// What the next page begins at.
    from: String,
}

async fn partitions(server: &Server, stream: &str) -> Result<i32, ClientError> {
    let statement = format!("SELECT partitions FROM streams WHERE stream = {}", literal(stream));
    let answer = query::answer(server, &statement).await?;
    let Some(row) = answer.rows.first() else {
        return Err(ClientError::NotFound {
            message: format!("there is no stream \"{stream}\""),
            hint: "list them: headwater ls".to_owned(),
        });
    };
    let partitions = row.first().and_then(Value::as_i64).and_then(|count| i32::try_from(count).ok());
    partitions.ok_or_else(|| server.strange(format!("stream \"{stream}\" has no number of partitions")))
}

/// Prints one page and moves the cursor behind it. Returns how many events came.
async fn read_page(
    server: &Server,
    stream: &str,
    cursor: &mut Cursor,
    printer: &mut Printer,
) -> Result<u64, ClientError> {
    let limit = printer.left.map_or(PAGE_EVENTS, |left| left.min(PAGE_EVENTS));
    let (partition, limit) = (cursor.partition.to_string(), limit.to_string());
    let query = [("partition", &*partition), ("from", &*cursor.from), ("limit", &*limit)];
    let request = server.request(Method::GET, &["v1", "streams", stream, "events"], &query);
    let mut response = server.ask(request).await?;
    let next = response.headers().get("next").and_then(|next| next.to_str().ok()).map(str::to_owned);
    let mut events = 0;
    let mut line = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| server.broken_off(&error))? {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.len() > LINE_BYTES_MAX {
                return Err(server.strange(format!("a line is over {} MiB", LINE_BYTES_MAX >> 20)));
            }
            if piece.ends_with(b"\n") {
                events += printer.print(&line, server)?;
                line.clear();
            }
        }
    }
    events += printer.print(&line, server)?;
    io::stdout().lock().flush()?;
    match next {
        Some(next) => cursor.from = next,
        None if events == 0 => {}
        None => return Err(server.strange("the answer does not say what comes next")),
    }
    Ok(events)
}

struct Printer {
    format: TailFormat,
    /// Events still wanted; `None`: all.
    left: Option<u64>,
}

impl Printer {
    fn print(&mut self, line: &[u8], server: &Server) -> Result<u64, ClientError> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(0);
        }
        if let Some(left) = &mut self.left {
            if *left == 0 {
                return Ok(0);
            }
            *left -= 1;
        }
        let mut out = io::stdout().lock();
        match self.format {
            TailFormat::Ndjson => {
                out.write_all(line)?;
                out.write_all(b"\n")?;
            }
            TailFormat::Table => {
                let event: Value = serde_json::from_slice(line).map_err(|error| server.strange(error))?;
                let [partition, offset, received_at, body] =
                    ["partition", "offset", "received_at", "event"].map(|name| output::cell(&event[name]));
                let shown = output::printable(&body);
                writeln!(out, "{partition:>3} {offset:>10}  {received_at}  {shown}")?;
            }
        }
        Ok(1)
    }
}
