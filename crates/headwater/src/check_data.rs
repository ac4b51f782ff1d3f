//! `headwater test`: files of events judged by a schema, without a server.
//! Always: an event is cut and judged as the doors do it; a schema that protects a field has no line of its data shown,
//! only the place; memory is bounded.

mod events;
mod report;

use std::sync::Arc;

use hw_schema::{DecodeLimits, Decoder, Format, Record, Rejected, Schema};
use hw_vault::HashKey;

use self::{
    events::{Event, Events},
    report::{Found, Report},
};
use crate::{
    cli,
    client::{error::ClientError, input},
    exit::Exit,
    output, project,
};

/// The limits of a server that nobody has set.
const LIMITS: DecodeLimits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };

pub fn run(arguments: &cli::Test) -> Exit {
    match judge(arguments) {
        Ok(exit) => exit,
        Err(ClientError::Output(error)) => output::write_failed(&error).unwrap_or(Exit::Fine),
        Err(error) => {
            eprint!("{}", error.render());
            error.exit()
        }
    }
}

fn judge(arguments: &cli::Test) -> Result<Exit, ClientError> {
    if arguments.schema.is_dir() {
        return Err(ClientError::usage(
            format!("{} is a directory", arguments.schema.display()),
            "name one schema file; a project's own tests are not built yet",
        ));
    }
    let (schema, faults) = project::read_schema(&arguments.schema);
    let as_json = arguments.format() == cli::TestFormat::Json;
    if as_json && schema.is_none() {
        let faults: Vec<_> = faults.iter().map(crate::fault::Fault::to_json).collect();
        println_json(&serde_json::json!({ "schema_faults": faults }))?;
        return Ok(Exit::Usage);
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    let Some(schema) = schema else { return Ok(Exit::Usage) };
    let mut judge = Judge::new(schema);
    let mut report = Report::new(arguments.show);
    for path in &arguments.data {
        let opened = input::open(path)?;
        let written = arguments.input.unwrap_or_else(|| input::written_as(path));
        let file = opened.name.clone();
        report.begin(&file);
        Events::new(opened, written).each(|event| match judge.verdict(&event) {
            None => report.good(),
            Some(rejected) => report.bad(judge.found(&event, rejected)),
        })?;
    }
    let fits = report.bad_count() == arguments.expect_bad;
    if as_json {
        println_json(&report.to_json(arguments.expect_bad))?;
    } else {
        report.print(arguments.expect_bad)?;
    }
    Ok(if fits { Exit::Fine } else { Exit::False })
}

fn println_json(value: &serde_json::Value) -> Result<(), ClientError> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout().lock(), "{value:#}")?)
}

struct Judge {
    decoder: Decoder,
    /// Lines of data may be shown.
    shown: bool,
}

impl Judge {
    fn new(schema: Arc<Schema>) -> Judge {
        let shown = !schema.has_protected();
        // Nothing is stored: the key protects nothing.
        Judge { decoder: Decoder::new(schema, HashKey::from_bytes(&[0; 32]), LIMITS), shown }
    }

    fn verdict(&mut self, event: &Event<'_>) -> Option<Rejected> {
        let record =
            Record { bytes: event.bytes, format: Format::Json, fault: event.fault, event_time: None };
        self.decoder.apply(&[record]).rejects.into_iter().next()
    }

    fn found(&self, event: &Event<'_>, rejected: Rejected) -> Found {
        let at = usize::try_from(rejected.byte_offset).unwrap_or(0).min(event.bytes.len());
        let place = event.place(at);
        Found {
            line: place.line,
            column: place.column,
            byte: event.start + at as u64,
            code: rejected.code,
            pointer: rejected.path,
            message: rejected.message,
            text: self.shown.then_some(place.text),
            column_of_text: place.column_of_text,
        }
    }
}
