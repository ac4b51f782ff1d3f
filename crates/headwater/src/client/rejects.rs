//! `rejects list` and `rejects show`; the commands that change what becomes of rejects are in `repair`.
//! Always: `--raw` writes the event's exact bytes; anything else shows them without control characters.

mod repair;

use std::io::{self, Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{
    error::ClientError,
    query::{self, Answer, literal},
    server::Server,
};
use crate::{cli, exit::Exit, output};

/// `rejects show` prints this much of an event; `--raw` writes all of it.
const SHOWN_BYTES_MAX: usize = 16 << 10;
const PAYLOAD: &str = "payload";

pub async fn run(command: cli::Rejects) -> Result<Exit, ClientError> {
    match command {
        cli::Rejects::List(arguments) => query::rejects_list(arguments).await,
        cli::Rejects::Show(arguments) => show(arguments).await,
        cli::Rejects::Fix(arguments) => repair::fix(arguments).await,
        cli::Rejects::Replay(arguments) => repair::replay(arguments).await,
        cli::Rejects::Discard(arguments) => repair::discard(arguments).await,
    }
}

async fn show(arguments: cli::RejectsShow) -> Result<Exit, ClientError> {
    let server = Server::find(&arguments.server)?;
    let cli::RejectsShow { stream, partition, offset, .. } = &arguments;
    let statement = format!(
        "SELECT * FROM rejects WHERE stream = {} AND \"partition\" = {partition} AND \"offset\" = {offset}",
        literal(stream)
    );
    let Answer { columns, rows } = query::answer(&server, &statement).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(ClientError::NotFound {
            message: format!("no reject of \"{stream}\" has partition {partition} and offset {offset}"),
            hint: format!("list them: headwater rejects list --stream {stream}"),
        });
    };
    let reject: Map<String, Value> = columns.into_iter().map(|column| column.name).zip(row).collect();

    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", Value::Object(reject))?;
        return Ok(Exit::Fine);
    }
    let payload = match reject.get(PAYLOAD).and_then(Value::as_str) {
        Some(text) => Some(BASE64_STANDARD.decode(text).map_err(|error| server.strange(error))?),
        None => None,
    };
    if arguments.raw {
        let payload = payload.ok_or_else(|| ClientError::NotFound {
            message: "the bytes of this event cannot be opened".to_owned(),
            hint: "they are kept for `rejects.keep` (30d) and opened for those who may".to_owned(),
        })?;
        out.write_all(&payload)?;
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let width = reject.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in &reject {
        if name != PAYLOAD && !value.is_null() {
            writeln!(
                out,
                "{:>width$}  {}",
                output::printable(name),
                output::printable(&output::cell(value))
            )?;
        }
    }
    let byte_offset = reject.get("byte_offset").and_then(Value::as_u64);
    match payload {
        Some(payload) => write_payload(&mut out, &payload, byte_offset)?,
        None => writeln!(out, "\nthe bytes of this event cannot be opened (expired, or not for you)")?,
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The event as text with a mark under the fault, or as hex if it is no text.
fn write_payload(out: &mut dyn Write, payload: &[u8], byte_offset: Option<u64>) -> io::Result<()> {
    writeln!(out, "\n{} bytes{}", payload.len(), if payload.is_empty() { "" } else { ":" })?;
    let shown = &payload[..payload.len().min(SHOWN_BYTES_MAX)];
    let fault = byte_offset.and_then(|at| usize::try_from(at).ok());
    match std::str::from_utf8(shown) {
        Ok(text) => write_text(out, text, fault)?,
        // A character cut by the limit is no reason for hex.
        Err(error) if error.error_len().is_none() && shown.len() < payload.len() => {
            write_text(out, std::str::from_utf8(&shown[..error.valid_up_to()]).unwrap_or_default(), fault)?;
        }
        Err(_) => {
            for (row, bytes) in shown.chunks(16).enumerate() {
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let plain: String = bytes
                    .iter()
                    .map(|byte| if (32..127).contains(byte) { *byte as char } else { '.' })
                    .collect();
                writeln!(out, "{:08x}  {:<47}  {plain}", row * 16, hex.join(" "))?;
            }
        }
    }
    if shown.len() < payload.len() {
        writeln!(out, "… {} bytes more; --raw writes all", payload.len() - shown.len())?;
    }
    Ok(())
}

fn write_text(out: &mut dyn Write, text: &str, fault: Option<usize>) -> io::Result<()> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let shown = |part: &str| part.chars().map(show_char).collect::<String>();
        writeln!(out, "  {}", shown(bare))?;
        if let Some(at) = fault.filter(|at| (start..start + line.len()).contains(at))
            && let Some(before) = line.get(..at - start)
        {
            writeln!(out, "  {}^ here", " ".repeat(shown(before).chars().count()))?;
        }
        start += line.len();
    }
    Ok(())
}

fn show_char(c: char) -> String {
    if output::steers_a_terminal(c) { c.escape_default().collect() } else { c.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &[u8], at: u64) -> String {
        let mut out = Vec::new();
        write_payload(&mut out, payload, Some(at)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_fault_is_marked() {
        assert_eq!(shown(b"{\"v\":x}", 5), "\n7 bytes:\n  {\"v\":x}\n       ^ here\n");
        assert_eq!(shown("ab\nö\u{7}c".as_bytes(), 6), "\n7 bytes:\n  ab\n  ö\\u{7}c\n        ^ here\n");
    }

    #[test]
    fn what_is_no_text_is_shown_as_hex_and_the_longest_is_cut() {
        assert!(shown(b"\xff\x00A", 0).contains("ff 00 41"));
        assert!(shown(&vec![b'a'; SHOWN_BYTES_MAX + 5], 0).contains("5 bytes more"));
        assert!(shown(&"ö".repeat(SHOWN_BYTES_MAX).into_bytes(), 0).contains("--raw"));
        assert_eq!(shown(b"", 0), "\n0 bytes\n");
    }
}
