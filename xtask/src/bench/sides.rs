//! Three systems that answer the same questions over the same rows: ours over HTTP from its tables, DuckDB and bare DataFusion in
//! their own processes over the very Parquet files of those tables. Always: they take turns, two threads each; the first time of each
//! question in a turn is not counted; answers are compared in each turn, and what a system cannot answer is printed with its error.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    answers::{Rows, difference},
    peers::Peers,
    questions::Question,
    verdict::at_least,
};
use crate::{
    measure::{median, processor_time},
    server::{Launch, Server},
    stages::has_program,
    workspace::output,
};

const WARM: usize = 5;
const THREADS: usize = 2;
/// Compaction has come to rest when no table has changed for so long: what is left of a table is joined when nothing came for 30 s.
const REST: Duration = Duration::from_secs(45);
const REST_WAIT_MAX: Duration = Duration::from_secs(600);
/// In what is printed, of an error or of rows that differ.
const QUOTED: usize = 400;

const SYSTEMS: [&str; 3] = ["ours", "duckdb", "datafusion"];
/// The drivers of the other two.
const DRIVERS: [&str; 2] = ["duckdb_tables.py", "datafusion_tables.py"];

pub struct Sides<'a> {
    pub launch: &'a Launch,
    pub peers: &'a Peers,
    pub tables: &'a [&'a str],
    pub questions: &'a [Question],
    /// For the files of the peers.
    pub scratch: &'a Path,
    pub rounds: u64,
}

/// What a system said to one question in one turn.
struct Answer {
    /// The first time left out.
    seconds: Vec<f64>,
    /// Of one time.
    processor: f64,
    rows: Rows,
}

/// One system and one question over all turns.
#[derive(Default)]
struct Column {
    wall: Vec<f64>,
    processor: Vec<f64>,
    error: Option<String>,
}

/// On a machine with more processors all three stay on the same two.
pub fn pinned(program: &Path) -> Vec<PathBuf> {
    let many = std::thread::available_parallelism().is_ok_and(|count| count.get() > THREADS);
    if many && has_program("taskset") {
        return ["taskset".into(), "-c".into(), "0,1".into(), program.to_owned()].into();
    }
    if many {
        println!("no taskset: ours uses all processors of this machine, the others {THREADS} threads");
    }
    vec![program.to_owned()]
}

impl Sides<'_> {
    /// Takes a server whose tables hold everything, and leaves none.
    pub fn run(&self, server: Server) -> Result<()> {
        wait_for_rest(&server)?;
        server.terminate()?;
        let files = self.live_files()?;
        self.share(&files)?;
        let server = self.launch.start()?;
        let mut columns: Vec<[Column; 3]> = self.questions.iter().map(|_| Default::default()).collect();
        let mut differences = Vec::new();
        for _ in 0..self.rounds {
            let sides = [self.ask_ours(&server)?, self.ask_peer(0)?, self.ask_peer(1)?];
            self.compare(&sides, &mut differences);
            for (system, answers) in sides.into_iter().enumerate() {
                for (column, answer) in columns.iter_mut().zip(answers) {
                    column[system].add(answer);
                }
            }
        }
        server.terminate()?;
        if self.live_files()? != files {
            println!("compaction went on meanwhile: the others read the files of before the first turn");
        }
        self.tell(&columns);
        differences.dedup();
        for difference in &differences {
            println!("{difference}");
        }
        ensure!(differences.is_empty(), "{} answers do not agree", differences.len());
        println!("answers agree, in each of {} turns", self.rounds);
        Ok(())
    }

    /// The live files of each table, as the Delta logs say; the server must be stopped.
    fn live_files(&self) -> Result<Vec<Vec<PathBuf>>> {
        let of_table = |table: &&str| {
            let mut list = self.peers.command("deltalake_files.py", "files");
            let names = output(list.arg(self.launch.data.join("lake").join(table)))?;
            Ok(String::from_utf8_lossy(&names).lines().map(PathBuf::from).collect())
        };
        self.tables.iter().map(of_table).collect()
    }

    /// Links to the live files, a directory for each table.
    fn share(&self, files: &[Vec<PathBuf>]) -> Result<()> {
        let (mut count, mut bytes) = (0, 0);
        for (table, files) in self.tables.iter().zip(files) {
            let directory = self.scratch.join("shared").join(table);
            std::fs::create_dir_all(&directory)?;
            for (index, file) in files.iter().enumerate() {
                std::fs::hard_link(file, directory.join(format!("{index:04}.parquet")))
                    .with_context(|| format!("cannot link {}", file.display()))?;
                bytes += file.metadata()?.len();
            }
            count += files.len();
        }
        println!("{} tables in {count} files, {:.1} MB of Parquet", self.tables.len(), bytes as f64 / 1e6);
        Ok(())
    }

    fn ask_ours(&self, server: &Server) -> Result<Vec<Result<Answer, String>>> {
        self.questions.iter().map(|question| ask_ours_one(server, &question.text_for(SYSTEMS[0]))).collect()
    }

    fn ask_peer(&self, index: usize) -> Result<Vec<Result<Answer, String>>> {
        let texts: Vec<String> =
            self.questions.iter().map(|question| question.text_for(SYSTEMS[index + 1])).collect();
        let statements = self.scratch.join("statements.json");
        std::fs::write(&statements, serde_json::to_vec(&texts)?)?;
        let plain = self.peers.command(DRIVERS[index], "ask");
        let line = pinned(Path::new(plain.get_program()));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(plain.get_args());
        command.arg(self.scratch.join("shared")).arg(&statements).arg((WARM + 1).to_string());
        let answers: Vec<Value> =
            serde_json::from_slice(&output(&mut command)?).context("a driver's answer")?;
        ensure!(answers.len() == texts.len(), "{} answers to {} questions", answers.len(), texts.len());
        answers.into_iter().map(of_driver).collect()
    }

    /// Adds where the answers of a turn do not agree.
    fn compare(&self, sides: &[Vec<Result<Answer, String>>; 3], differences: &mut Vec<String>) {
        for (index, question) in self.questions.iter().enumerate() {
            let [ours, theirs @ ..] = [0, 1, 2].map(|system| sides[system][index].as_ref().ok());
            for (theirs, name) in theirs.into_iter().zip(&SYSTEMS[1..]) {
                let Some((ours, theirs)) = ours.zip(theirs) else { continue };
                let found = if question.open {
                    (ours.rows.len() != theirs.rows.len()).then(|| "the number of rows".to_owned())
                } else {
                    difference(&ours.rows, &theirs.rows)
                };
                if let Some(found) = found {
                    differences.push(format!(
                        "{:>2}: ours and {name} differ: {}",
                        question.number,
                        quoted(&found)
                    ));
                }
            }
        }
        differences.sort();
    }

    fn tell(&self, columns: &[[Column; 3]]) {
        println!(
            "{:>2} {:>9} {:>9} {:>10} {:>8} {:>8} {:>9} {:>9} {:>10}",
            "", "ours ms", "duckdb", "datafusion", "/duckdb", "/df", "ours CPU", "duckdb", "datafusion"
        );
        for (question, column) in self.questions.iter().zip(columns) {
            let [ours, duckdb, datafusion] = [0, 1, 2].map(|system| column[system].wall_ms());
            let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
            let ratio = |theirs: Option<f64>| {
                ours.zip(theirs).map_or("-".to_owned(), |(ours, theirs)| format!("{:.2}", ours / theirs))
            };
            let [ours_cpu, duckdb_cpu, datafusion_cpu] =
                [0, 1, 2].map(|system| text(column[system].cpu_ms()));
            println!(
                "{:>2} {:>9} {:>9} {:>10} {:>8} {:>8} {ours_cpu:>9} {duckdb_cpu:>9} {datafusion_cpu:>10}  {}",
                question.number,
                text(ours),
                text(duckdb),
                text(datafusion),
                ratio(duckdb),
                ratio(datafusion),
                question.title,
            );
        }
        for (question, column) in self.questions.iter().zip(columns) {
            for (column, name) in column.iter().zip(SYSTEMS) {
                if let Some(error) = &column.error {
                    println!("{:>2}: {name} CANNOT ANSWER: {}", question.number, quoted(error));
                }
            }
        }
        for (system, name) in SYSTEMS.iter().enumerate() {
            let answered = columns.iter().filter(|column| column[system].wall_ms().is_some()).count();
            println!("{name} answered {answered} of {}", columns.len());
        }
        for (system, name, floor, goal) in [(1, "DuckDB", 0.77, 1.0), (2, "DataFusion", 1.0, 1.3)] {
            let mean = |of: fn(&Column) -> Option<f64>| {
                let ratios = columns.iter().filter_map(|column| Some(of(&column[system])? / of(&column[0])?));
                geometric_mean(&ratios.collect::<Vec<f64>>())
            };
            let (Some(wall), Some(cpu)) = (mean(Column::wall_ms), mean(Column::cpu_ms)) else {
                println!("no question that both ours and {name} answered");
                continue;
            };
            at_least(&format!("wall of {name} / ours, geometric mean"), wall, floor, goal);
            println!("{:<58} {cpu:>8.2}", format!("processor time of {name} / ours, the same"));
        }
    }
}

/// `None`: of nothing.
fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logarithms / ratios.len() as f64).exp())
}

impl Column {
    fn add(&mut self, answer: Result<Answer, String>) {
        match answer {
            Ok(answer) => {
                self.wall.extend(answer.seconds);
                self.processor.push(answer.processor);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Nothing if it failed in any turn.
    fn wall_ms(&self) -> Option<f64> {
        (self.error.is_none() && !self.wall.is_empty()).then(|| median(&self.wall) * 1e3)
    }

    fn cpu_ms(&self) -> Option<f64> {
        self.wall_ms().map(|_| median(&self.processor) * 1e3)
    }
}

fn ask_ours_one(server: &Server, text: &str) -> Result<Result<Answer, String>> {
    let before = processor_time(server.pid());
    let (mut seconds, mut rows) = (Vec::new(), Rows::new());
    for _ in 0..=WARM {
        let began = Instant::now();
        let answer = server.sql_answer(text, "application/json")?;
        seconds.push(began.elapsed().as_secs_f64());
        let json = answer.json();
        if answer.status != 200 {
            let detail = json["detail"].as_str().map_or_else(|| answer.text(), str::to_owned);
            return Ok(Err(format!("{} {}: {detail}", answer.status, json["code"].as_str().unwrap_or("?"))));
        }
        rows = serde_json::from_value(json["rows"].clone()).context("an answer without rows")?;
    }
    let processor = (processor_time(server.pid()) - before).as_secs_f64() / seconds.len() as f64;
    Ok(Ok(Answer { seconds: seconds.split_off(1), processor, rows }))
}

fn of_driver(mut answer: Value) -> Result<Result<Answer, String>> {
    if let Some(error) = answer["error"].as_str() {
        return Ok(Err(error.to_owned()));
    }
    let mut seconds: Vec<f64> = serde_json::from_value(answer["seconds"].take()).context("seconds")?;
    let processor = answer["processor"].as_f64().context("processor seconds")? / seconds.len() as f64;
    let rows = serde_json::from_value(answer["rows"].take()).context("rows")?;
    Ok(Ok(Answer { seconds: seconds.split_off(1), processor, rows }))
}

/// Until no table gets a new version any more.
fn wait_for_rest(server: &Server) -> Result<()> {
    let began = Instant::now();
    let (mut versions, mut since) = (Vec::new(), Instant::now());
    while since.elapsed() < REST {
        ensure!(began.elapsed() < REST_WAIT_MAX, "compaction did not come to rest: {versions:?}");
        let now = server.rows("SELECT stream, lake_version FROM streams ORDER BY stream")?;
        if now != versions {
            (versions, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// One line, of a bounded length.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
