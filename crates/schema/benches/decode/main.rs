//! How fast the decoder and the encoder are: CPU time a row, beside arrow-json, or one kernel alone for a counter of
//! instructions.
//!
//! `cargo bench -p hw-schema` prints a table; A and B take turns, the median of the rounds counts. `--kernel NAME
//! --times N` runs one kernel on its fixed input N times and prints nothing: what N + 1 runs take more than N is the
//! kernel's price without its preparation. Among the tests each kernel runs once.
//! Always: both read the same bytes in batches of `BATCH_ROWS` into columns of the same types. Ours cuts the lines
//! inside of the time that is measured, as arrow-json does. It checks everything; arrow-json does not.

mod events;

use std::{hint::black_box, process::ExitCode, sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use hw_schema::{
    Applied, DecodeLimits, Decoder, Format, Record, Schema,
    rows::{self, Encoding},
};
use hw_vault::HashKey;

const BATCH_ROWS: usize = 1000;
const ROUNDS: usize = 9;
/// Each round takes about this long, so that the clock's grain does not count.
const ROUND: Duration = Duration::from_millis(150);

/// A fixed input, cut into batches, and the schema that judges it.
struct Kernel {
    schema: Arc<Schema>,
    batches: Vec<String>,
    rows: usize,
    decoder: Decoder,
}

impl Kernel {
    fn new(document: &str, lines: &str) -> Kernel {
        let schema = match Schema::parse(document) {
            Ok(checked) => Arc::new(checked.schema),
            Err(faults) => panic!("the schema of the bench is none: {faults:?}"),
        };
        let lines: Vec<&str> = lines.split_inclusive('\n').collect();
        let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
        Kernel {
            decoder: Decoder::new(Arc::clone(&schema), HashKey::from_bytes(&[7; 32]), limits),
            schema,
            batches: lines.chunks(BATCH_ROWS).map(<[&str]>::concat).collect(),
            rows: lines.len(),
        }
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(String::len).sum()
    }

    fn apply(&mut self, batch: usize) -> Applied {
        let bytes = self.batches[batch].as_bytes();
        let mut records = Vec::with_capacity(BATCH_ROWS);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let event = &bytes[start..end];
            records.push(Record { bytes: event, format: Format::Json, fault: None, event_time: None });
            start = end + 1;
        }
        self.decoder.apply(&records)
    }

    /// Every batch once; returns the rows that were accepted.
    fn run(&mut self) -> usize {
        (0..self.batches.len()).map(|batch| black_box(self.apply(batch)).rows.len()).sum()
    }
}

/// Every batch once through arrow-json.
fn run_arrow(columns: &SchemaRef, batches: &[String]) -> usize {
    let mut rows = 0;
    let mut decoder =
        match arrow_json::ReaderBuilder::new(Arc::clone(columns)).with_batch_size(BATCH_ROWS).build_decoder()
        {
            Ok(decoder) => decoder,
            Err(error) => panic!("arrow-json takes every column of ours: {error}"),
        };
    for batch in batches {
        let mut bytes = batch.as_bytes();
        while !bytes.is_empty() {
            match decoder.decode(bytes) {
                Ok(read) => bytes = &bytes[read..],
                Err(error) => panic!("arrow-json refuses the bench's events: {error}"),
            }
        }
        match decoder.flush() {
            Ok(batch) => rows += black_box(batch).map_or(0, |batch| batch.num_rows()),
            Err(error) => panic!("arrow-json refuses the bench's events: {error}"),
        }
    }
    rows
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    // The kernel brings the figure up to date when a thread leaves its processor.
    std::thread::sleep(Duration::from_micros(20));
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_else(|| panic!("no /proc/thread-self/schedstat here")))
}

/// Nanoseconds a row of one round.
fn round(rows: usize, runs: usize, run: &mut dyn FnMut()) -> f64 {
    let start = cpu_time();
    for _ in 0..runs {
        run();
    }
    (cpu_time() - start).as_nanos() as f64 / (rows * runs) as f64
}

/// Medians of rounds in turn, nanoseconds a row.
fn measure(rows: usize, kernels: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let runs: Vec<usize> = kernels
        .iter_mut()
        .map(|run| {
            let once = round(rows, 2, run) * rows as f64;
            (ROUND.as_nanos() as f64 / once).ceil() as usize
        })
        .collect();
    let mut rounds = vec![Vec::new(); kernels.len()];
    for _ in 0..ROUNDS {
        for (kernel, run) in kernels.iter_mut().enumerate() {
            rounds[kernel].push(round(rows, runs[kernel], run));
        }
    }
    rounds
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

const NAMES: [&str; 6] = ["reference", "hash", "shuffled", "nested", "bad", "encode"];

fn kernel(name: &str, scale: usize) -> Option<Kernel> {
    let hashed = events::REFERENCE.replace(
        "\"bidder\": {\"type\": \"integer\"}",
        "\"bidder\": {\"type\": \"integer\", \"x-privacy\": \"hash\"}",
    );
    Some(match name {
        "reference" | "encode" => Kernel::new(events::REFERENCE, &events::reference(2000 * scale)),
        "hash" => Kernel::new(&hashed, &events::reference(2000 * scale)),
        "shuffled" => Kernel::new(events::REFERENCE, &events::shuffled(2000 * scale)),
        "nested" => Kernel::new(events::NESTED, &events::nested(200 * scale)),
        "bad" => Kernel::new(events::REFERENCE, &events::bad(2000 * scale)),
        _ => return None,
    })
}

/// The rows that a kernel accepts of those that it is given.
fn accepted(name: &str, rows: usize) -> usize {
    if name == "bad" { 0 } else { rows }
}

fn encode(batches: &[Applied]) {
    for applied in batches {
        match rows::encode(&applied.batch, Encoding::Plain) {
            Ok(body) => drop(black_box(body)),
            Err(error) => panic!("a batch of the decoder is not encoded: {error}"),
        }
    }
}

fn table() {
    println!("{:<12} {:>8} {:>10} {:>10} {:>8} {:>8}", "kernel", "bytes", "ns/row", "GB/s", "arrow", "ratio");
    for name in NAMES {
        let Some(mut kernel) = kernel(name, 50) else { continue };
        let (rows, bytes) = (kernel.rows, kernel.bytes() / kernel.rows);
        if name == "encode" {
            let applied: Vec<Applied> = (0..kernel.batches.len()).map(|batch| kernel.apply(batch)).collect();
            let ours = measure(rows, &mut [&mut || encode(&applied)])[0];
            println!("{name:<12} {bytes:>8} {ours:>10.1}");
            continue;
        }
        assert_eq!(kernel.run(), accepted(name, rows), "{name}");
        let (columns, batches) = (Arc::clone(kernel.schema.user_columns()), kernel.batches.clone());
        let mut ours = || {
            black_box(kernel.run());
        };
        let mut arrow = || {
            black_box(run_arrow(&columns, &batches));
        };
        // arrow-json hashes nothing and stops at the first bad row.
        let compared = !matches!(name, "hash" | "bad");
        let times = if compared {
            measure(rows, &mut [&mut ours, &mut arrow])
        } else {
            measure(rows, &mut [&mut ours])
        };
        let rate = bytes as f64 / times[0];
        print!("{name:<12} {bytes:>8} {:>10.1} {rate:>10.2}", times[0]);
        match times.get(1) {
            Some(arrow) => println!(" {arrow:>8.1} {:>8.2}", arrow / times[0]),
            None => println!(),
        }
    }
}

/// Both sides of every kernel once, to see that they still do what is measured.
fn smoke() {
    for name in NAMES {
        let Some(mut kernel) = kernel(name, 1) else { continue };
        assert_eq!(kernel.run(), accepted(name, kernel.rows), "{name}");
        if name != "bad" {
            let columns = Arc::clone(kernel.schema.user_columns());
            // arrow-json hashes nothing: a hashed number does not fit its column of text.
            let arrow = if name == "hash" { kernel.rows } else { run_arrow(&columns, &kernel.batches) };
            assert_eq!(arrow, kernel.rows, "{name}");
        }
        encode(&[kernel.apply(0)]);
        println!("{name} ran");
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--bench"] => table(),
        ["--names"] => {
            for name in NAMES {
                println!("{name} {}", kernel(name, 1).map_or(0, |kernel| kernel.rows));
            }
        }
        ["--kernel", name, "--times", times] => {
            let (Some(mut kernel), Ok(times)) = (kernel(name, 1), times.parse::<usize>()) else {
                eprintln!("no such kernel; there are {}", NAMES.join(", "));
                return ExitCode::from(2);
            };
            let applied: Vec<Applied> = (0..kernel.batches.len()).map(|batch| kernel.apply(batch)).collect();
            for _ in 0..times {
                if *name == "encode" {
                    encode(&applied);
                } else {
                    black_box(kernel.run());
                }
            }
        }
        // Whatever the tests of the workspace were asked for.
        _ => smoke(),
    }
    ExitCode::SUCCESS
}
