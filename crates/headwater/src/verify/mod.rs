//! Verification: journal, lake, error lake and ledger held against each other, on one cut.
//! Always: reads only, and says everything that is wrong, not only the first; what it compares was all taken at one
//! moment, so that events that come meanwhile make no false fault; memory is bounded, whatever the tables hold.
//! Repairs nothing.
//!
//! 1. The journal's frames and the catalog's files, each against its checksum.
//! 2. The cut: every table through one append.
//! 3. Each table's files and commits against their checksums, its position against the journal's ends.
//! 4. Each stream: what the ledger counts against the rows there are, and every (partition, offset).

pub mod bytes;
pub mod offline;
pub mod places;
pub mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray},
    datatypes::Int64Type,
};
use hw_event::{RESOLUTIONS, Seq};
use hw_journal::{FileDisk, Log};
use hw_lake::{LetGo, Table, TableSnapshot};
use hw_query::{Cut, PayloadOpener, QueryError, Runner, SqlSettings, TableCut, TableKind};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::reading::Tables;
use places::{Counted, Given, Walk, literal, rows};
use report::{Check, Line, Progress, Summary};

/// What the engine may hold for a statement of ours.
const MEMORY_BYTES: usize = 192 << 20;
/// One statement reads one window: a day is no limit but an end.
const STATEMENT_TIME: Duration = Duration::from_secs(24 * 3600);
/// The ledger as it is stored, one row a tally. No stream's table has a capital letter in its name.
const TALLIES: &str = "Tallies";
const BACKUP: &str =
    "journal/ and lake/ may be of different moments, or files are missing: restore both from one backup";
/// Lines that wait for a slow reader.
pub const LINES_AHEAD: usize = 64;

/// What is verified.
pub struct Subject {
    pub tables: Tables,
    pub catalog: PathBuf,
    /// No server runs: a table in trouble is one that cannot be opened, not one that cannot commit for now.
    pub offline: bool,
    /// Rows of a window of offsets; tests make it small.
    pub window_rows_max: usize,
}

/// Whoever listened has gone: the rest need not be done.
struct Gone;

/// What the ledger counts for one stream.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    received: i64,
    stored: i64,
    rejected: i64,
    duplicates: i64,
    replayed: i64,
    unbalanced: i64,
}

struct NoPayloads;

impl PayloadOpener for NoPayloads {
    fn open(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

struct Verifier {
    subject: Subject,
    runner: Runner,
    names: BTreeSet<String>,
    lines: mpsc::Sender<Line>,
    checks: u64,
    faults: u64,
    /// At the moment of the cut.
    erased: Erased,
}

impl Subject {
    pub fn new(tables: Tables, catalog: PathBuf) -> Subject {
        Subject { tables, catalog, offline: false, window_rows_max: places::window_rows_max() }
    }

    /// Every table that exists, by its directory's name, and the append through which it holds everything.
    pub fn positions(&self) -> Vec<(String, Seq)> {
        let streams = self.tables.registry.all();
        let streams = streams.iter().map(|stream| (stream.name.to_string(), Table::Stream(stream.id)));
        let system = [("rejects".to_owned(), Table::Rejects), ("ledger".to_owned(), Table::Ledger)];
        let all = streams.chain(system);
        all.filter_map(|(name, table)| Some((name, self.tables.lake.table(table)?.seq))).collect()
    }

    /// The first name that is no stream and no table.
    pub fn unknown<'a>(&self, names: &'a [String]) -> Option<&'a str> {
        let known =
            |name: &str| matches!(name, "rejects" | "ledger") || self.tables.registry.by_name(name).is_some();
        names.iter().map(String::as_str).find(|name| !known(name))
    }
}

/// Verifies what `names` say, or everything; the summary is the last line. Ends early when nobody listens.
pub async fn run(subject: Subject, names: Vec<String>, lines: mpsc::Sender<Line>) {
    let settings = SqlSettings {
        memory: MEMORY_BYTES,
        time: STATEMENT_TIME,
        rows: usize::MAX,
        ..SqlSettings::default()
    };
    let began = Instant::now();
    let runner = match Runner::new(settings, Arc::new(NoPayloads)) {
        Ok(runner) => runner,
        Err(error) => {
            tracing::error!(%error, "a verification cannot run");
            return;
        }
    };
    let mut verifier = Verifier {
        subject,
        runner,
        names: names.into_iter().collect(),
        lines,
        checks: 0,
        faults: 0,
        erased: Erased::default(),
    };
    if let Ok(through) = verifier.run().await {
        let summary = Summary {
            fine: verifier.faults == 0,
            checks: verifier.checks,
            faults: verifier.faults,
            through: through.0,
            seconds: (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        };
        let _ = verifier.lines.send(Line::Summary(summary)).await;
    }
}

/// Rows that were erased, and those that were not kept, by stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Erased {
    rows: BTreeMap<String, u64>,
    rejects: BTreeMap<String, u64>,
    let_go: BTreeMap<String, LetGo>,
}

impl Erased {
    fn of(tables: &Tables) -> Erased {
        let of = |table| tables.lake.table(table).map(|table| (*table.erased).clone()).unwrap_or_default();
        let streams = tables.registry.all();
        let rows = streams.iter().flat_map(|stream| of(Table::Stream(stream.id))).collect();
        let let_go = streams.iter().filter_map(|stream| {
            Some((stream.name.to_string(), tables.lake.table(Table::Stream(stream.id))?.let_go))
        });
        Erased { rows, rejects: of(Table::Rejects), let_go: let_go.collect() }
    }
}

impl Verifier {
    async fn run(&mut self) -> Result<Seq, Gone> {
        let through = *self.subject.tables.journal.durable().borrow();
        if self.names.is_empty() {
            self.progress("journal", "journal", 0).await?;
            let (journal, lines) = (self.subject.tables.journal.clone(), self.lines.clone());
            self.blocking(move || {
                bytes::journal(&journal, through, |done| {
                    _ = lines.try_send(progress("journal", "journal", done))
                })
            })
            .await?;
            let catalog = self.subject.catalog.clone();
            self.blocking(move || match FileDisk::read_only(&catalog) {
                Ok(disk) => bytes::catalog(&disk),
                Err(error) => {
                    let mut check = Check::new("catalog", "catalog");
                    check.fault(error.to_string(), "catalog/", "restore catalog/ from a backup");
                    check
                }
            })
            .await?;
        }

        let tables = self.subject.tables.clone();
        let taken = spawn_blocking(move || {
            // Ends that grow are taken on the side where growing makes no false fault: the journal's first append
            // before the tables' positions, the offsets after the rows.
            let first = tables.journal.first_kept();
            // What was erased is counted by the commit that erases: it must be that of the cut.
            let mut before = Erased::of(&tables);
            loop {
                let cut = tables.cut();
                let after = Erased::of(&tables);
                if before == after {
                    return (cut, first, tables.journal.next_offsets(), after);
                }
                before = after;
            }
        })
        .await;
        let (cut, first, next_offsets, erased) = match taken {
            Ok((Ok(cut), first, next_offsets, erased)) => (cut, first, next_offsets, erased),
            Ok((Err(error), ..)) => {
                let mut check = Check::new("rows", "all tables");
                check.fault(
                    format!("the tables cannot be read: {error}"),
                    "journal/",
                    "run headwater doctor",
                );
                self.told(check).await?;
                return Ok(through);
            }
            Err(_) => return Err(Gone),
        };
        // A table's position is never beyond what is durable after it was asked.
        let snapshots = self.snapshots();
        let newest = self.subject.positions().into_iter().map(|(_, position)| position).max();
        let newest = newest.unwrap_or_default();
        // What the journal let go of, the tables had. If all of them end before that, they may be of another moment.
        let between = (newest.next() < first).then(|| (newest.0.cast_signed(), first.0.cast_signed()));
        let given = Given { next_offsets, between };
        self.erased = erased;
        let durable = *self.subject.tables.journal.durable().borrow();
        for (name, snapshot) in &snapshots {
            self.check_table(name, snapshot.as_deref(), durable).await?;
        }

        let sums = self.sums(&cut).await;
        let sums = match sums {
            Ok(sums) => sums,
            Err(error) => {
                self.unreadable("ledger", "ledger", &error).await?;
                BTreeMap::new()
            }
        };
        let mut names: BTreeSet<String> =
            self.subject.tables.registry.all().iter().map(|stream| stream.name.to_string()).collect();
        names.extend(sums.keys().cloned());
        names.extend(self.reject_streams(&cut).await?);
        // `None` once a stream could not be walked: then its rejects are not missing, only not counted.
        let mut rejected = Some(0);
        names.retain(|name| self.wants(name));
        for name in &names {
            let ledger = sums.get(name).copied().unwrap_or_default();
            let counted = self.check_stream(name, &cut, ledger, &given, durable).await?;
            rejected = rejected.zip(counted).map(|(sum, counted)| sum + counted.rejected);
        }
        if let (true, Some(rejected)) = (self.names.is_empty(), rejected) {
            self.check_rejects(&cut, rejected).await?;
        }
        Ok(durable)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    /// Every table that is wanted, by its directory's name.
    fn snapshots(&self) -> Vec<(String, Option<Arc<TableSnapshot>>)> {
        let tables = &self.subject.tables;
        let streams = tables.registry.all();
        let of_streams = streams
            .iter()
            .filter(|stream| !stream.versions.is_empty())
            .map(|stream| (stream.name.to_string(), Table::Stream(stream.id)));
        let system = [("rejects".to_owned(), Table::Rejects), ("ledger".to_owned(), Table::Ledger)];
        let wanted = of_streams.chain(system).filter(|(name, _)| self.wants(name));
        wanted.map(|(name, table)| (name, tables.lake.table(table))).collect()
    }

    /// A table's position, files and commits.
    async fn check_table(
        &mut self,
        name: &str,
        snapshot: Option<&TableSnapshot>,
        durable: Seq,
    ) -> Result<(), Gone> {
        let journal = &self.subject.tables.journal;
        let mut check = Check::new("table", name)
            .figure("journal_first", journal.first_kept().0)
            .figure("journal_last", durable.0);
        let fault = self.subject.tables.lake.faults().into_iter().find(|fault| self.is(fault.table, name));
        if let Some(fault) = &fault
            && (fault.out_of_service || self.subject.offline)
        {
            check.fault(
                format!("the table cannot be opened: {}", fault.error),
                format!("lake/{name}"),
                BACKUP,
            );
        } else if let Some(fault) = &fault {
            // Its rows wait in the journal: nothing is lost by it, and doctor says what to do.
            check.set("cannot_commit", fault.error.clone());
        }
        if let Some(snapshot) = snapshot {
            check.set("version", snapshot.version);
            check.set("position", snapshot.seq.0);
            check.set("files", snapshot.files.len());
            check.set("rows", snapshot.rows);
            if snapshot.seq > durable {
                let what =
                    format!("it holds append {}, but the journal ends at append {durable}", snapshot.seq);
                check.fault(what, format!("lake/{name}"), BACKUP);
            }
        }
        self.told(check).await?;
        // A table that never had a commit has nothing at rest.
        if snapshot.is_none() && !fault.is_some_and(|fault| fault.out_of_service || self.subject.offline) {
            return Ok(());
        }

        self.progress("files", name, 0).await?;
        let (lake, lines, of) = (self.subject.tables.lake.clone(), self.lines.clone(), name.to_owned());
        let Some(table) = lake.tables().into_iter().find(|(_, known)| known == name).map(|(table, _)| table)
        else {
            return Ok(());
        };
        self.blocking(move || {
            bytes::table(&lake, table, &of, |done| _ = lines.try_send(progress("files", &of, done)))
        })
        .await
    }

    fn is(&self, table: Table, name: &str) -> bool {
        match table {
            Table::Stream(id) => {
                self.subject.tables.registry.by_id(id).is_some_and(|stream| stream.name.as_str() == name)
            }
            Table::Rejects => name == "rejects",
            Table::Ledger => name == "ledger",
        }
    }

    /// What the ledger counts, by stream.
    async fn sums(&self, cut: &Cut) -> Result<BTreeMap<String, Sums>, QueryError> {
        let ledger = cut.tables.iter().find(|table| table.kind == TableKind::Ledger);
        let Some(ledger) = ledger else { return Ok(BTreeMap::new()) };
        let raw = TableCut { name: TALLIES.to_owned(), kind: TableKind::Stream, ..ledger.clone() };
        let cut = Cut { tables: vec![raw], streams: cut.streams.clone() };
        let statement = format!(
            "SELECT stream, sum(received), sum(stored), sum(rejected), sum(duplicates), sum(replayed), \
             sum(CASE WHEN received = stored + rejected + duplicates THEN 0 ELSE 1 END) \
             FROM \"{TALLIES}\" GROUP BY stream"
        );
        let mut sums = BTreeMap::new();
        for batch in rows(&self.runner, &cut, &statement).await? {
            let names = batch.column(0).as_string_opt::<i32>();
            let number = |column: usize, row: usize| {
                let column = batch.column(column).as_primitive_opt::<Int64Type>();
                column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row))
            };
            for row in 0..batch.num_rows() {
                let name = names.map_or("", |names| names.value(row));
                let sum = Sums {
                    received: number(1, row),
                    stored: number(2, row),
                    rejected: number(3, row),
                    duplicates: number(4, row),
                    replayed: number(5, row),
                    unbalanced: number(6, row),
                };
                sums.insert(name.to_owned(), sum);
            }
        }
        Ok(sums)
    }

    /// Whose rejects there are.
    async fn reject_streams(&mut self, cut: &Cut) -> Result<Vec<String>, Gone> {
        let cut = only(cut, None);
        let mut names = Vec::new();
        match rows(&self.runner, &cut, "SELECT DISTINCT stream FROM rejects").await {
            Ok(batches) => {
                for batch in batches {
                    let column = batch.column(0).as_string_opt::<i32>();
                    names.extend(column.into_iter().flatten().flatten().map(str::to_owned));
                }
            }
            Err(error) => self.unreadable("rows", "rejects", &error).await?,
        }
        Ok(names)
    }

    /// One stream: the ledger's equation, its counts against the rows, and the place of each row.
    async fn check_stream(
        &mut self,
        name: &str,
        cut: &Cut,
        ledger: Sums,
        given: &Given,
        durable: Seq,
    ) -> Result<Option<Counted>, Gone> {
        let mut equation = Check::new("ledger", name)
            .figure("received", ledger.received)
            .figure("stored", ledger.stored)
            .figure("rejected", ledger.rejected)
            .figure("duplicates", ledger.duplicates)
            .figure("replayed", ledger.replayed);
        if ledger.unbalanced > 0 || ledger.received != ledger.stored + ledger.rejected + ledger.duplicates {
            let what = format!(
                "received is not stored + rejected + duplicates, in {} rows of the ledger",
                ledger.unbalanced
            );
            let place = format!("SELECT * FROM ledger WHERE stream = {}", literal(name));
            equation.fault(
                what,
                place,
                "this is a fault of headwater: keep the data directory and report it",
            );
        }
        self.told(equation).await?;

        let registry = self.subject.tables.registry.clone();
        let stream = registry.by_name(name);
        let table_name = stream.as_ref().filter(|stream| stream.current().is_some());
        let table_name = table_name.map(|stream| stream.name.sql_name());
        let cut = only(cut, table_name.as_deref());
        let table = cut.tables.iter().find(|table| table.kind == TableKind::Stream);
        let known = table.map_or(0, |table| {
            table.files.iter().map(|file| file.rows).sum::<u64>() + table.hot.rows() as u64
        });
        let mut offsets = Check::new("offsets", name);
        let walk = Walk {
            runner: &self.runner,
            cut: &cut,
            stream: name,
            table: table_name.as_deref(),
            id: stream.as_ref().map(|stream| stream.id),
            partitions: stream
                .as_ref()
                .and_then(|stream| stream.current())
                .map(|(_, schema)| schema.partitions()),
            given,
            last_seq: durable.0,
            window_rows_max: self.subject.window_rows_max,
            lines: &self.lines,
        };
        let walked = walk.run(&mut offsets).await;
        if self.lines.is_closed() {
            return Err(Gone);
        }
        let counted = match walked {
            Ok(counted) => counted,
            Err(error) => {
                self.unreadable("offsets", name, &error).await?;
                return Ok(None);
            }
        };
        offsets.set("rows", counted.stored + counted.rejected);
        self.told(offsets).await?;

        let erased = self.erased.rows.get(name).copied().unwrap_or(0);
        let rejects_erased = self.erased.rejects.get(name).copied().unwrap_or(0);
        let let_go = self.erased.let_go.get(name).copied().unwrap_or_default();
        let mut check = Check::new("rows", name)
            .figure("stored", counted.stored)
            .figure("rejected", counted.rejected)
            .figure("erased", erased + rejects_erased)
            .figure("expired", let_go.expired)
            .figure("superseded", let_go.superseded)
            .figure("ledger_stored", ledger.stored)
            .figure("ledger_rejected", ledger.rejected)
            .figure("ledger_replayed", ledger.replayed);
        let table_place = format!("lake/{name} and journal/");
        // The platform's own rows are no events: no ledger counts them.
        let gone = erased + let_go.rows();
        if (counted.stored + gone).cast_signed() != ledger.stored + ledger.replayed && name != RESOLUTIONS {
            let what = format!(
                "the ledger counts {} stored and {} replayed, the table has {} rows, {erased} were erased and {} not kept",
                ledger.stored,
                ledger.replayed,
                counted.stored,
                let_go.rows()
            );
            check.fault(what, table_place.clone(), BACKUP);
        }
        if (counted.rejected + rejects_erased).cast_signed() != ledger.rejected {
            let what = format!(
                "the ledger counts {} rejected, rejects has {} rows and {rejects_erased} were erased",
                ledger.rejected, counted.rejected
            );
            check.fault(what, "lake/rejects and journal/", BACKUP);
        }
        if counted.stored != known {
            let what = format!("the commits count {known} rows, {} can be read", counted.stored);
            check.fault(what, table_place, BACKUP);
            if let Some(table) = table {
                self.find_files(&mut check, &cut, table).await;
            }
        }
        self.told(check).await?;
        Ok(Some(counted))
    }

    /// Which files have another number of rows than their commit says.
    async fn find_files(&self, check: &mut Check, cut: &Cut, table: &TableCut) {
        for file in table.files.iter() {
            let hot = Arc::new(hw_query::NoHot);
            let one = TableCut { files: vec![file.clone()].into(), hot, ..table.clone() };
            let one = Cut { tables: vec![one], streams: cut.streams.clone() };
            let statement = format!("SELECT _seq FROM \"{}\"", table.name);
            let place = format!("lake/{}", file.path.display());
            match rows(&self.runner, &one, &statement).await {
                Ok(batches) => {
                    let found: usize = batches.iter().map(|batch| batch.num_rows()).sum();
                    if found as u64 != file.rows {
                        check.fault(
                            format!("it has {found} rows, its commit says {}", file.rows),
                            place,
                            BACKUP,
                        );
                    }
                }
                Err(error) => check.fault(format!("it cannot be read: {error}"), place, BACKUP),
            }
        }
    }

    /// All rejects belong to a stream that was looked at.
    async fn check_rejects(&mut self, cut: &Cut, walked: u64) -> Result<(), Gone> {
        let rejects = cut.tables.iter().find(|table| table.kind == TableKind::Rejects);
        let known = rejects.map_or(0, |table| {
            table.files.iter().map(|file| file.rows).sum::<u64>() + table.hot.rows() as u64
        });
        let mut check = Check::new("rows", "rejects").figure("rows", known).figure("of_streams", walked);
        if known != walked {
            let what = format!("the commits count {known} rows, {walked} can be read and belong to a stream");
            check.fault(what, "lake/rejects and journal/", BACKUP);
        }
        self.told(check).await
    }

    async fn unreadable(&mut self, check: &str, of: &str, error: &QueryError) -> Result<(), Gone> {
        let mut check = Check::new(check, of);
        check.fault(format!("it cannot be read: {error}"), format!("lake/{of} and journal/"), BACKUP);
        self.told(check).await
    }

    async fn blocking(&mut self, work: impl FnOnce() -> Check + Send + 'static) -> Result<(), Gone> {
        let check = spawn_blocking(work).await.map_err(|_| Gone)?;
        self.told(check).await
    }

    async fn told(&mut self, check: Check) -> Result<(), Gone> {
        self.checks += 1;
        self.faults += check.fault_count();
        self.lines.send(Line::Check(check)).await.map_err(|_| Gone)
    }

    async fn progress(&self, check: &str, of: &str, done: u64) -> Result<(), Gone> {
        self.lines.send(progress(check, of, done)).await.map_err(|_| Gone)
    }
}

fn progress(check: &str, of: &str, done: u64) -> Line {
    Line::Progress(Progress { check: check.to_owned(), of: of.to_owned(), done })
}

/// The cut with one stream's table, if it has one, and the rejects.
fn only(cut: &Cut, table: Option<&str>) -> Cut {
    let wanted = |one: &&TableCut| match one.kind {
        TableKind::Stream => Some(one.name.as_str()) == table,
        TableKind::Rejects => true,
        TableKind::Ledger => false,
    };
    Cut { tables: cut.tables.iter().filter(wanted).cloned().collect(), streams: cut.streams.clone() }
}
