//! `torture rot`: a bit, a page, an end or all of a random file is damaged while the server is stopped; then it starts and
//! everything is read. Always: the data directory was whole before each trial. A trial ends *harmless* (all answers equal),
//! *repaired* (equal, and the file was named), or *detected* (a refusal, an error or a log line names the file, and what is
//! served is right). Anything else is a fault: a wrong value, a loss that nobody names, a panic. Keys are left alone, and so
//! is the journal's last group after a kill: the product says where it begins.

use std::{
    collections::{BTreeMap, HashSet},
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    http::Connection,
    lives::{Lives, PROGRESS_WAIT_MAX},
    producers::SCHEMA,
    random::Random,
    report::Report,
    server::{Launch, Server, Started},
};

/// Small, since it is copied for every trial.
const CONFIG: &str = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nack = true\n\
                      [privacy]\nreveal = true\n\
                      [lake]\ncommit_every = \"5ms\"\n[journal]\nsegment = \"256KiB\"\nbudget = \"16MiB\"\n";
const PARTITIONS: u64 = 8;
/// Lives before the damage, and then some events that only the journal has.
const LIVES: u64 = 3;
const ANSWERS_A_LIFE: u64 = 60;
const ANSWERS_ONLY_IN_JOURNAL: u64 = 12;
const PAGE: u64 = 4096;
/// Different files damaged at once; alone, each, if the outcome is not plain.
const DAMAGES_AT_ONCE: usize = 3;
const QUOTED_MAX: usize = 300;
/// Memory, where the machine has it, since each trial copies everything.
const MEMORY: &str = "/dev/shm";

const QUESTIONS: &[&str] = &[
    "SELECT * FROM reading",
    "SELECT stream, \"partition\", \"offset\", seq, received_at, door, request_id, \"index\", byte_offset, code, path, message, \
     schema, encode(payload, 'hex') FROM rejects",
    "SELECT * FROM ledger",
    "SELECT stream, schema, partitions, events, rejected FROM streams",
];

/// All of them: which ones are among the first depends on what is lost.
const TOKENS: &str = "SELECT DISTINCT email FROM reading WHERE email IS NOT NULL";
/// The most that one request may have.
const TOKENS_A_REQUEST: usize = 100;

/// What everything that is read looked like, a set of lines for each question.
type Answers = Vec<HashSet<String>>;

/// A data directory that is damaged again and again, in a copy.
struct Pristine {
    state: &'static str,
    directory: PathBuf,
    answers: Answers,
    /// By kind.
    files: BTreeMap<&'static str, Vec<File>>,
}

#[derive(Clone)]
struct File {
    path: PathBuf,
    bytes: u64,
    /// Behind the last byte that is not zero.
    used: u64,
}

#[derive(Debug, Clone)]
struct Damage {
    kind: &'static str,
    path: PathBuf,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Bit { at: u64, bit: u8 },
    Zeros { from: u64, to: u64 },
    Cut { to: u64 },
    Gone,
}

#[derive(Debug)]
enum Outcome {
    Harmless,
    Repaired,
    Detected,
    /// It was noticed, but nothing says which file it is.
    Unnamed(String),
    Lost(String),
    Wrong(String),
    Panicked(String),
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Outcome::Harmless => "harmless",
            Outcome::Repaired => "repaired",
            Outcome::Detected => "detected",
            Outcome::Unnamed(_) => "noticed, file not named",
            Outcome::Lost(_) => "LOST IN SILENCE",
            Outcome::Wrong(_) => "WRONG VALUES",
            Outcome::Panicked(_) => "PANIC",
        }
    }
}

#[derive(Default)]
struct Tally {
    /// (state, kind of file, outcome) → how often.
    outcomes: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    faults: Vec<(String, String)>,
}

pub fn run(options: &Options) -> Result<()> {
    let trials = options.n.unwrap_or(100);
    let mut report = Report::new("rot", options.seed, trials);
    let mut random = Random::from_seed(options.seed);
    let directory =
        options.scratch_in(if Path::new(MEMORY).is_dir() { Some(MEMORY.as_ref()) } else { None }, "rot")?;
    let states = [
        prepare(options, directory.path(), "stopped", &mut random)?,
        prepare(options, directory.path(), "killed", &mut random)?,
    ];
    for pristine in &states {
        let files: Vec<String> =
            pristine.files.iter().map(|(kind, files)| format!("{} {kind}", files.len())).collect();
        report.row(format!("files, {}", pristine.state), files.join(", "));
    }
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let (done, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for worker in 0..workers {
            let (states, done, tally) = (&states, &done, &tally);
            let random = random.fork();
            let place = directory.path().join(format!("worker-{worker}"));
            running.push(scope.spawn(move || work(options, states, &place, random, trials, done, tally)));
        }
        running
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked")))
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.row("damages", trials);
    for ((state, kind, outcome), times) in &tally.outcomes {
        report.row(format!("  {state:<8} {kind:<16} {outcome}"), times);
    }
    for (at, fault) in tally.faults {
        report.fault(at, fault);
    }
    report.finish()
}

/// That of all drivers, with tokens, so that there is a vault.
fn schema() -> String {
    SCHEMA.replace("\"x-privacy\": \"hash\"", "\"x-privacy\": \"tokenize\"")
}

/// A data directory with some of everything in it, and what it answers.
fn prepare(
    options: &Options,
    directory: &Path,
    state: &'static str,
    random: &mut Random,
) -> Result<Pristine> {
    let place = directory.join(state);
    let data = place.join("data");
    std::fs::create_dir_all(&place)?;
    let schema = schema();
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", schema.as_str())];
    let mut launch = Launch::new(&options.binary, &place, &data, &files)?;
    let mut lives = Lives::begin(launch.clone(), random)?;
    for _ in 0..LIVES {
        let server = launch.start()?;
        let addresses = server.addresses.clone();
        let answers = options.size.unwrap_or(ANSWERS_A_LIFE);
        lives.send_while(&addresses, |known| known.wait_for(answers, PROGRESS_WAIT_MAX))?;
        server.terminate()?;
    }
    // What follows the lake does not get.
    launch.environment.push(("HEADWATER_LAKE__COMMIT_EVERY".to_owned(), "1h".to_owned()));
    let server = launch.start()?;
    let addresses = server.addresses.clone();
    lives.send_while(&addresses, |known| known.wait_for(ANSWERS_ONLY_IN_JOURNAL, PROGRESS_WAIT_MAX))?;
    if state == "stopped" {
        server.terminate()?
    } else {
        server.kill()?
    };
    let _ = std::fs::remove_file(data.join("endpoints.json"));
    let pristine = place.join("pristine");
    copy(&data, &pristine)?;
    let before = launch.log_bytes();
    let server = launch.start()?;
    let answers = read_all(&server).map_err(anyhow::Error::msg)?;
    server.kill()?;
    let mut files: BTreeMap<&'static str, Vec<File>> = BTreeMap::new();
    let mut waiting = vec![pristine.clone()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let relative = path.strip_prefix(&pristine)?.to_owned();
            let Some(kind) = kind_of(&relative) else { continue };
            let bytes = std::fs::read(&path)?;
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
            files.entry(kind).or_default().push(File { path: relative, bytes: bytes.len() as u64, used });
        }
    }
    for files in files.values_mut() {
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    }
    if state == "killed"
        && let Some(open) = files.get_mut("segment").and_then(|segments| segments.last_mut())
    {
        open.used = unproven_from(&launch.said_since(before))
            .context("the log does not say how the journal was read")?;
        open.bytes = open.used;
    }
    Ok(Pristine { state, directory: pristine, answers, files })
}

/// The last group of the journal after a kill is spared: that it was whole once is written nowhere before the next
/// group, so damage to it and a write that was torn are the same. A start says where it begins.
fn unproven_from(log: &str) -> Option<u64> {
    let line = log.lines().find(|line| line.contains("the journal was read"))?;
    let (_, value) = line.split_once("unproven_from")?;
    let digits = value.trim_start_matches(|sign: char| !sign.is_ascii_digit());
    digits[..digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

/// `None`: left alone.
fn kind_of(path: &Path) -> Option<&'static str> {
    let text = path.to_string_lossy();
    let is = |end: &str| text.ends_with(end);
    match text.split('/').next()? {
        "journal" if is(".seg") => Some("segment"),
        "journal" if is(".keys") => Some("key file"),
        "journal" => Some("free segment"),
        "catalog" => Some("catalog"),
        "directories" => Some("directories"),
        "vault" => Some("vault"),
        "lake" if text.contains("_delta_log") && is(".json") => Some("delta log"),
        "lake" if text.contains("_delta_log") => Some("checkpoint"),
        "lake" if is(".parquet") => Some("parquet"),
        "lake" => Some("lake, other"),
        // Secrets; the lock.
        _ => None,
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
    ensure!(copied.success(), "cp: {copied}");
    Ok(())
}

/// All that can be asked; an error is an answer that says no.
fn read_all(server: &Server) -> Result<Answers, String> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let answer =
            server.sql_answer(question, "application/x-ndjson").map_err(|error| format!("{error:#}"))?;
        if answer.status != 200 {
            return Err(format!("{question}: {} {}", answer.status, answer.text()));
        }
        answers.push(answer.text().lines().map(str::to_owned).collect());
    }
    for partition in 0..PARTITIONS {
        let path = format!("/v1/streams/reading/events?partition={partition}&limit=1000");
        let answer =
            Connection::open(&server.addresses.http).and_then(|mut connection| connection.get(&path));
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{path}: {} {}", answer.status, answer.text()));
        }
        answers.push(answer.text().lines().map(str::to_owned).collect());
    }
    answers.push(reveal(server)?);
    Ok(answers)
}

/// What the tokens stand for.
fn reveal(server: &Server) -> Result<HashSet<String>, String> {
    let rows = server.rows(TOKENS).map_err(|error| format!("{TOKENS}: {error:#}"))?;
    let tokens: Vec<&String> = rows.iter().flatten().collect();
    let path = "/v1/tokens/reveal";
    let headers = [("content-type", "application/json")];
    let mut all = HashSet::new();
    for tokens in tokens.chunks(TOKENS_A_REQUEST) {
        let body = serde_json::json!({"domain": "email", "tokens": tokens, "reason": "rot"}).to_string();
        let answer = Connection::open(&server.addresses.http)
            .and_then(|mut connection| connection.ask("POST", path, &headers, body.as_bytes()))
            .map_err(|error| format!("{path}: {error}"))?;
        let revealed = answer.json();
        match revealed["tokens"].as_array().filter(|_| answer.status == 200) {
            Some(tokens) => all.extend(tokens.iter().map(ToString::to_string)),
            None => return Err(format!("{path}: {} {}", answer.status, answer.text())),
        }
    }
    Ok(all)
}

fn work(
    options: &Options,
    states: &[Pristine],
    place: &Path,
    mut random: Random,
    trials: u64,
    done: &AtomicU64,
    tally: &Mutex<Tally>,
) -> Result<()> {
    std::fs::create_dir_all(place)?;
    let schema = schema();
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", schema.as_str())];
    let launch = Launch::new(&options.binary, place, &place.join("data"), &files)?;
    while done.fetch_add(DAMAGES_AT_ONCE as u64, Ordering::SeqCst) < trials {
        let pristine = &states[random.below(states.len() as u64) as usize];
        let mut damages: Vec<Damage> = Vec::new();
        while damages.len() < DAMAGES_AT_ONCE {
            if let Some(damage) =
                draw(pristine, &mut random).filter(|new| damages.iter().all(|old| old.path != new.path))
            {
                damages.push(damage);
            }
        }
        // Most damage is harmless or stops the start: only what is all harmless can be told of several at once.
        let outcomes = match trial(&launch, pristine, &damages)? {
            Outcome::Harmless => damages.iter().map(|_| Outcome::Harmless).collect::<Vec<_>>(),
            _ => damages
                .iter()
                .map(|damage| trial(&launch, pristine, std::slice::from_ref(damage)))
                .collect::<Result<Vec<_>>>()?,
        };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        for (damage, outcome) in damages.iter().zip(outcomes) {
            *tally.outcomes.entry((pristine.state, damage.kind, outcome.name())).or_default() += 1;
            if let Outcome::Lost(text)
            | Outcome::Wrong(text)
            | Outcome::Panicked(text)
            | Outcome::Unnamed(text) = &outcome
            {
                let mut text = text.clone();
                text.truncate((0..=QUOTED_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
                let at = format!("{}, {} {:?}", pristine.state, damage.path.display(), damage.what);
                tally.faults.push((at, format!("{}: {text}", outcome.name())));
            }
        }
    }
    Ok(())
}

/// `None`: this one cannot be damaged.
fn draw(pristine: &Pristine, random: &mut Random) -> Option<Damage> {
    let kinds: Vec<_> = pristine.files.iter().collect();
    let (kind, files) = kinds[random.below(kinds.len() as u64) as usize];
    let file = &files[random.below(files.len() as u64) as usize];
    if file.bytes == 0 {
        return None;
    }
    // Most of a segment is room: half of the damage goes to what is used.
    let within = if file.used > 0 && random.once_in(2) { file.used } else { file.bytes };
    let at = random.below(within);
    let what = match random.below(20) {
        0 => What::Gone,
        1 | 2 => What::Cut { to: at },
        3 | 4 => What::Zeros { from: at / PAGE * PAGE, to: (at / PAGE * PAGE + PAGE).min(file.bytes) },
        _ => What::Bit { at, bit: random.below(8) as u8 },
    };
    Some(Damage { kind, path: file.path.clone(), what })
}

fn apply(data: &Path, damage: &Damage) -> Result<()> {
    let path = data.join(&damage.path);
    if let What::Gone = damage.what {
        return Ok(std::fs::remove_file(path)?);
    }
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    match damage.what {
        What::Bit { at, bit } => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
        }
        What::Zeros { from, to } => file.write_all_at(&vec![0; (to - from) as usize], from)?,
        What::Cut { to } => file.set_len(to)?,
        What::Gone => {}
    }
    Ok(())
}

/// Damages a copy, starts, reads everything.
fn trial(launch: &Launch, pristine: &Pristine, damages: &[Damage]) -> Result<Outcome> {
    copy(&pristine.directory, &launch.data)?;
    for damage in damages {
        apply(&launch.data, damage)?;
    }
    let _ = std::fs::remove_file(&launch.log);
    let (answers, ended) = match launch.try_start()? {
        Started::Ready(server) => {
            let answers = read_all(&server);
            server.kill()?;
            (answers, None)
        }
        Started::Ended { status, said } => (Err(format!("{status}: {said}")), Some(status)),
    };
    let said = launch.said_since(0);
    if let Some(line) = said.lines().find(|line| line.contains("panicked at")) {
        return Ok(Outcome::Panicked(line.to_owned()));
    }
    if let Some(status) = ended.filter(|status| status.code().is_none()) {
        return Ok(Outcome::Panicked(format!("the start ended with {status}")));
    }
    let names = |text: &str| {
        damages
            .iter()
            .any(|damage| damage.path.file_name().is_some_and(|name| text.contains(&*name.to_string_lossy())))
    };
    let answers = match answers {
        Err(error) if names(&error) || names(&said) => return Ok(Outcome::Detected),
        Err(error) => return Ok(Outcome::Unnamed(error)),
        Ok(answers) => answers,
    };
    let named = names(&said);
    let strange = answers.iter().zip(&pristine.answers).flat_map(|(found, right)| {
        found.difference(right).filter(|line| !(named && is_smaller_sum(line, right)))
    });
    if let Some(strange) = strange.into_iter().next() {
        return Ok(Outcome::Wrong(strange.clone()));
    }
    let missing: usize =
        answers.iter().zip(&pristine.answers).map(|(found, right)| right.difference(found).count()).sum();
    Ok(match (missing, named) {
        (0, false) => Outcome::Harmless,
        (0, true) => Outcome::Repaired,
        (_, true) => Outcome::Detected,
        (missing, false) => Outcome::Lost(format!("{missing} lines of the answers are missing")),
    })
}

/// A line of the ledger, or of the streams, that counts less than the right one: a tally was lost with the append that it
/// counts.
fn is_smaller_sum(line: &str, right: &HashSet<String>) -> bool {
    let parse = |line: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).ok();
    let counts =
        |line: &serde_json::Map<_, _>| line.contains_key("duplicates") || line.contains_key("partitions");
    let Some(found) = parse(line).filter(counts) else { return false };
    right.iter().filter_map(|line| parse(line)).any(|right| {
        found.iter().all(|(name, value)| {
            match (value.as_u64(), right.get(name).and_then(|value| value.as_u64())) {
                (Some(found), Some(right)) => found <= right,
                _ => right.get(name) == Some(value),
            }
        })
    })
}
