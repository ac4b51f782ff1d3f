//! `headwater up`: runs a project until it is told to stop.
//! Always: the order of the start is the order of trust: own the directory, keys, catalog, journal, lake, gate,
//! doors; `endpoints.json` and the line `ready` come last. How it stops stands in `shutdown.rs`.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use hw_event::{Clock, SystemClock};
use hw_gate::{
    Catalog, CatalogError, Gate, GateParts, GateSettings,
    doors::{
        directory::{DirectoryDoor, DirectorySettings},
        http::{HttpSettings, router as ingest_router},
        replay::Replays,
        tcp::{TcpFormat, TcpSettings, TsWidth, serve as serve_tcp},
    },
};
use hw_journal::{FileDisk, Found, Journal, Log};
use hw_lake::{Lake, LakeSettings, Table};
use hw_pipeline::{FollowerHandle, FollowerSettings, follow, judging_threads};
use hw_query::SqlSettings;
use hw_schema::{Field, Kind, KvFields, Registry, RewriteAction, TimeUnit};
use hw_vault::{FileKeyStore, HashKey, SealKeys, SigningKey, SystemEntropy};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    backend::{Backend, serve_http},
    backup::{self, Backups, Staging},
    cli::Consent,
    compaction::Compaction,
    config::{self, CheckedConfig},
    data_directory::{DataDirectory, InUse},
    erasure::{self, Erasures},
    exit::Exit,
    forgetting::Forgetting,
    generation::{self, Generations, Keys, Marks, survey},
    keeping::{self, Keeping},
    memory,
    project::Project,
    reading::{Opener, Tables},
    returning::return_declared,
    reveal::Reveals,
    scrub::{Findings, Scrubber},
    shares::{self, Behind},
    shelf::RejectShelf,
    shutdown, sql_child,
    status::Status,
    telemetry, vault,
};

/// Of the journal's budget, what is kept for the committer and for the journal's own frames: one part in eight.
const RESERVE_PART: u64 = 8;
const RESERVE_BYTES_MAX: u64 = 256 << 20;
/// A trickle of rows waits this much longer for its commit than a busy table's: few, larger files (2 s → 60 s).
const TRICKLE_FACTOR: u32 = 30;

/// Runs until TERM or Ctrl-C. `sql_idle`: how long a process that runs statements is kept without one.
pub async fn run(
    config: CheckedConfig,
    project: Project,
    sql_idle: Duration,
    consent: Consent,
) -> anyhow::Result<ExitCode> {
    // From the first moment on: a signal during the start must not kill what has begun to write.
    let mut signals = shutdown::Signals::listen()?;
    let directory = match DataDirectory::open(&config.data) {
        Ok(directory) => directory,
        Err(error) if error.is::<InUse>() => {
            eprintln!("error: {error}");
            return Ok(Exit::Refused.into());
        }
        Err(error) => return Err(error),
    };
    let metrics = telemetry::start(&config.log)?;
    raise_descriptor_limit();
    let shares = memory::Shares::of(config.memory.as_usize(), config.limits.body.as_usize());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let key_store = Arc::new(FileKeyStore::open(&directory.keys())?);
    let hash_key = match &config.privacy.key_file {
        Some(path) => HashKey::load_file(path).context("privacy.key_file")?,
        None => HashKey::load_or_create(&*key_store, &SystemEntropy)?,
    };
    let (erasing_key, generation_key) = (hash_key.clone(), hash_key.clone());
    let signing_key = SigningKey::load_or_create(&*key_store, &SystemEntropy)?;
    let seal_keys = Arc::new(SealKeys::new(key_store.clone(), Arc::new(SystemEntropy)));

    let catalog = Arc::new(Catalog::open(Arc::new(open_disk(&directory.catalog())?))?);
    let opened_vault =
        vault::open(&directory, config.privacy.root_key.as_ref(), &key_store, catalog.registry())?;
    let vault = opened_vault.vault.clone();
    let generations = match declare(&catalog, &project, consent)? {
        Ok(generations) => generations,
        Err(code) => return Ok(code),
    };

    // Journal and lake are looked at before the first byte is written: what does not belong together stays as it is.
    let disk = Arc::new(open_disk(&directory.journal())?);
    let found = tokio::task::spawn_blocking({
        let disk = disk.clone();
        move || Found::read(&*disk)
    })
    .await??;
    let registry = catalog.registry().clone();
    let lake_settings = LakeSettings {
        hash_key_id: Some(hash_key.id().into()),
        stuck_bytes_max: shares.stuck_bytes,
        compact_to: config.lake.compact_to.bytes(),
        keep_old: config.lake.keep_old,
        ..LakeSettings::default()
    };
    let lake_path = directory.lake();
    let open_lake = |id| Lake::open(&lake_path, id, registry.clone(), lake_settings.clone());
    let mut lake = None;
    match found.journal_id() {
        Some(id) => {
            let opened = open_lake(id).await?;
            check_ahead(&opened, &registry, &found)?;
            lake = Some(opened);
        }
        None => check_no_tables(&lake_path)?,
    }
    if let (Some(newest), Some(unproven_from)) = (found.newest_file(), found.unproven_from()) {
        tracing::info!(newest, unproven_from, "the journal was read");
    }
    let journal_settings = journal_settings(&config);
    let (journal, recovered) = tokio::task::spawn_blocking({
        let (clock, settings) = (clock.clone(), journal_settings.clone());
        move || Journal::open_found(found, disk, clock, &SystemEntropy, settings)
    })
    .await??;
    let lake = match lake {
        Some(lake) => lake,
        None => open_lake(recovered.journal_id).await?,
    };
    for damage in &recovered.damage {
        tracing::error!(file = %damage.file, start = damage.start, end = damage.end, reason = %damage.reason, "the journal is damaged");
    }
    tracing::info!(last = %recovered.last, epoch = recovered.boot_epoch, cut_bytes = recovered.cut_bytes, "the journal is open");

    generation::hold(&lake, &registry);
    let follower = FollowerHandle::new();
    let log: Arc<dyn Log> = Arc::new(journal.clone());
    let following = tokio::spawn(follow(
        log,
        registry.clone(),
        lake.sink(),
        FollowerSettings {
            commit_every: config.lake.commit_every,
            commit_trickle: config.lake.commit_every * TRICKLE_FACTOR,
            commit_bytes: shares.commit_bytes,
            batch_bytes: shares.read_bytes,
        },
        follower.clone(),
    ));

    // Nothing is appended yet: what the journal has of an old generation can be brought into the lake.
    let forgetting = Forgetting { journal: journal.clone(), lake: lake.clone(), follower: follower.clone() };
    if !generations.is_empty() {
        let keys = Keys { hash: generation_key.clone(), vault: vault.clone() };
        let refused =
            generation::declare(&catalog, generations, &forgetting, &keys, consent.null_misfits).await?;
        if !refused.is_empty() {
            for reason in refused {
                eprintln!("error: {reason}");
            }
            return Ok(Exit::Usage.into());
        }
        generation::hold(&lake, &registry);
    }

    // Every address is bound before anyone is told of one.
    let http = bind(config.http.listen.socket(), "http.listen").await?;
    let http_address = http.local_addr()?;
    let mut sensors = Vec::new();
    let mut tcp_addresses = BTreeMap::new();
    // How the records of a door are written, for those that come back.
    let mut kv_fields = HashMap::new();
    for (name, listener) in &config.tcp {
        let bound = bind(listener.listen.socket(), &format!("tcp.{name}.listen")).await?;
        tcp_addresses.insert(name.clone(), bound.local_addr()?.to_string());
        let settings = tcp_settings(name, listener, &config, &registry);
        if matches!(settings.format, TcpFormat::Kv { .. }) {
            kv_fields.insert(format!("tcp.{name}"), settings.fields.clone());
        }
        sensors.push((bound, settings));
    }

    let positions = recovered.positions.clone();
    let (gate, running) = Gate::start(
        GateParts {
            journal: journal.clone(),
            catalog: catalog.clone(),
            hash_key,
            seal_keys: seal_keys.clone(),
            vault: Some(vault.clone()),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            heavy: judging_threads(),
            settings: GateSettings {
                event_bytes: config.limits.event.as_usize(),
                depth: config.limits.depth.get(),
                inflight_bytes: shares.request_bytes,
            },
        },
        recovered,
    );

    let stop = CancellationToken::new();
    let mut readers = Vec::new();
    if !config.directories.is_empty() {
        let lists = Arc::new(open_disk(&directory.directories())?);
        for (name, read) in &config.directories {
            let settings = DirectorySettings {
                name: name.clone(),
                path: read.path.clone(),
                stream: read.stream.to_string(),
            };
            let door = DirectoryDoor::open(gate.clone(), settings, lists.clone(), &positions, stop.clone());
            readers.push(door?);
        }
    }
    let behind = Behind::default();
    let findings = Findings::default();
    let connections = Arc::new(Semaphore::new(config.limits.connections.get()));
    let engine = sql_child::children(sql_settings(&config), sql_idle, &directory, Opener(seal_keys.clone()))?;
    let housekeeping = Arc::new(tokio::sync::Mutex::new(()));
    let staging = Staging::clear(directory.backup()).context("cannot remove a backup that was not copied")?;
    let keeping_house = housekeeping.clone();
    let erasures = Erasures::open(erasure::Parts {
        directory: config.privacy.erasures.clone().unwrap_or_else(|| directory.erasures()),
        applied: directory.erasures_applied(),
        journal: journal.clone(),
        lake: lake.clone(),
        registry: registry.clone(),
        follower: follower.clone(),
        hash_key: erasing_key,
        seal_keys: seal_keys.clone(),
        signing_key,
        vault: vault.clone(),
        clock: clock.clone(),
        housekeeping: housekeeping.clone(),
        staging: staging.clone(),
        stop: stop.clone(),
    })?;
    tokio::spawn(erasures.clone().run());
    let generations = Generations::new(
        forgetting,
        registry.clone(),
        Keys { hash: generation_key, vault: vault.clone() },
        housekeeping.clone(),
        stop.clone(),
        Marks(directory.generations()),
    );
    tokio::spawn(generations.clone().run());
    let backups = Backups::new(backup::Parts {
        data: directory.path().to_owned(),
        journal: journal.clone(),
        lake: lake.clone(),
        follower: follower.clone(),
        vault: vault.clone(),
        erasures: erasures.clone(),
        generations: generations.clone(),
        housekeeping: housekeeping.clone(),
        staging,
        outside: kept_outside(&config),
        stop: stop.clone(),
    });
    let tables = Tables::new(journal.clone(), registry, lake.clone());
    let rows_max = config.sql.rows.get();
    let shelf = || RejectShelf { tables: tables.clone(), engine: engine.clone(), rows_max };
    let replays = Replays::new(gate.clone(), Arc::new(shelf()), kv_fields, stop.clone());
    tokio::spawn(return_declared(shelf(), replays.clone(), stop.clone()));
    let backend = Arc::new(Backend {
        tables: tables.clone(),
        replays,
        engine: engine.clone(),
        follower: follower.clone(),
        metrics: metrics.clone(),
        stop: stop.clone(),
        status: Status {
            data: directory.path().to_owned(),
            started: Instant::now(),
            sql_memory: config.sql.memory.bytes(),
            connections_max: config.limits.connections.get(),
            connections: connections.clone(),
            behind: behind.clone(),
            scrubbed: findings.clone(),
            generations,
            vault: vault::Watch::start(&opened_vault, stop.clone()),
            descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        },
        reveals: Reveals::new(vault.clone(), config.privacy.reveal, clock.clone(), directory.audit()),
        catalog: directory.catalog(),
        verifying: Arc::new(Semaphore::new(1)),
        planning: Arc::new(Semaphore::new(1)),
        erasures,
        backups,
    });
    let share = shares::share(&journal_settings);
    tokio::spawn(shares::keep(backend.tables.clone(), gate.clone(), share, behind, stop.clone()));
    let ingest = ingest_router(
        gate.clone(),
        HttpSettings {
            body_bytes: config.limits.body.as_usize(),
            request_time: config.limits.request_time,
            ack: config.ack,
        },
    );
    let mut doors = Vec::new();
    doors.push(serve_http(http, http_address.port(), backend, ingest, connections.clone(), stop.clone()));
    for (listener, settings) in sensors {
        doors.push(tokio::spawn(serve_tcp(
            gate.clone(),
            listener,
            settings,
            connections.clone(),
            stop.clone(),
        )));
    }
    doors.extend(readers.into_iter().map(|door| tokio::spawn(door.serve())));
    tokio::spawn(keeping::expire_payloads(seal_keys, clock.clone(), config.rejects.keep, stop.clone()));
    let scrubber = Scrubber {
        lake: lake.clone(),
        journal: journal.clone(),
        catalog: open_disk(&directory.catalog())?,
        every: config.lake.scrub_every,
        findings: findings.clone(),
        stop: stop.clone(),
    };
    scrubber.start().context("cannot start the scrubber")?;
    let compaction = Compaction {
        compactor: lake.compactor(),
        follower: follower.clone(),
        runtime: tokio::runtime::Handle::current(),
        stop: stop.clone(),
        housekeeping,
    };
    compaction.start().context("cannot start compaction")?;
    let keeping = Keeping {
        lake: lake.clone(),
        registry: catalog.registry().clone(),
        follower: follower.clone(),
        clock,
        every: config.lake.retain_every,
        housekeeping: keeping_house,
        stop: stop.clone(),
    };
    tokio::spawn(keeping.run());
    tokio::spawn(keep_metrics(metrics, journal.clone(), lake, findings, follower.clone(), stop.clone()));

    let url = format!("http://{http_address}");
    directory.write_endpoints(std::slice::from_ref(&url), &tcp_addresses)?;
    tracing::info!(%url, tcp = ?tcp_addresses, data = %directory.path().display(), "ready");
    say(&format!("ready {url} (data in {})\n", directory.path().display()));

    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    let parts =
        shutdown::Parts { stop, doors, gate, running, follower, following, journal, vault, directory };
    tokio::select! {
        result = parts.shut_down() => result?,
        _ = signals.next() => {
            tracing::warn!("told to stop twice: not waiting");
            return Ok(Exit::False.into());
        }
    }
    tracing::info!("stopped");
    Ok(Exit::Fine.into())
}

/// What belongs to the data and lies elsewhere: the names of the settings.
fn kept_outside(config: &CheckedConfig) -> Vec<String> {
    let privacy = &config.privacy;
    let kept = [
        ("privacy.key_file", privacy.key_file.is_some()),
        ("privacy.root_key", privacy.root_key.is_some()),
        ("privacy.erasures", privacy.erasures.is_some()),
    ];
    kept.into_iter().filter(|(_, outside)| *outside).map(|(name, _)| name.to_owned()).collect()
}

/// Whoever started us may have closed our output; that is no reason to stop.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

fn open_disk(path: &std::path::Path) -> anyhow::Result<FileDisk> {
    FileDisk::open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// Gives each declared stream its number and version; a change that may not be is told with its reasons. Returns those that
/// need a new generation.
fn declare(
    catalog: &Catalog,
    project: &Project,
    consent: Consent,
) -> anyhow::Result<Result<Vec<generation::Change>, ExitCode>> {
    let mut refused = false;
    let mut generations = Vec::new();
    for stream in &project.streams {
        match catalog.declare(&stream.name, stream.schema.clone()) {
            Ok(_) => {}
            Err(CatalogError::Change { faults, .. }) => {
                let known = catalog.registry().by_name(stream.name.as_str());
                let current = known.as_ref().and_then(|known| known.current());
                let faults = match current.map(|(_, current)| survey::rewrites(current, &stream.schema)) {
                    Some(Ok(rewrites)) => {
                        let gone = rewrites.iter().find(|it| matches!(it.action, RewriteAction::Remove));
                        match gone.filter(|_| !consent.drop_fields) {
                            None => {
                                let (name, schema) = (stream.name.clone(), stream.schema.clone());
                                generations.push(generation::Change { name, schema, rewrites });
                                continue;
                            }
                            Some(gone) => {
                                refused = true;
                                eprintln!(
                                    "error: {}: the field {} is gone, and with it its values in the rows that are there\n  \
                                     headwater plan shows what that means; headwater up --drop-fields does it",
                                    stream.path.display(),
                                    gone.pointer
                                );
                                continue;
                            }
                        }
                    }
                    Some(Err(faults)) => faults,
                    None => faults,
                };
                refused = true;
                eprintln!(
                    "error: {}: stream {:?} has data of an older schema, which may not change like this",
                    stream.path.display(),
                    stream.name
                );
                for fault in faults {
                    eprintln!("  {}: {}\n    {}", fault.pointer, fault.message, fault.hint);
                }
            }
            Err(error @ CatalogError::SameTable { .. }) => {
                refused = true;
                eprintln!("error: {}: {error}\n  rename one of them", stream.path.display());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if refused { Err(Exit::Usage.into()) } else { Ok(generations) })
}

/// The lake never holds what the journal does not: if it does, the journal is older than the lake (restored from a
/// backup, or its newest file is gone), and going on would give numbers and offsets a second time.
fn check_ahead(lake: &Lake, registry: &Registry, journal: &Found) -> anyhow::Result<()> {
    let last = journal.last();
    let newest = journal.newest_file().unwrap_or_default();
    let following = journal.following_file().unwrap_or_default();
    let streams =
        registry.all().into_iter().map(|stream| (Table::Stream(stream.id), stream.name.to_string()));
    let system = [(Table::Rejects, "rejects".to_owned()), (Table::Ledger, "ledger".to_owned())];
    for (table, name) in streams.chain(system) {
        if let Some(snapshot) = lake.table(table)
            && snapshot.seq > last
        {
            let damage: String = journal
                .damage()
                .iter()
                .map(|damage| {
                    format!(
                        "\n  journal/{}, bytes {}..{}: {}",
                        damage.file, damage.start, damage.end, damage.reason
                    )
                })
                .collect();
            anyhow::bail!(
                "the journal ends at append {last} in journal/{newest}, but the table {name} holds append {}{damage}\n  \
                 that file has lost its end, or journal/{following} is gone, or journal/ and lake/ are not of the same \
                 moment: restore both from one backup",
                snapshot.seq
            );
        }
    }
    Ok(())
}

/// A new journal would give offsets again that the tables of another one hold.
fn check_no_tables(lake: &std::path::Path) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(lake).into_iter().flatten().flatten();
    let table = entries.map(|entry| entry.path()).find(|path| path.join("_delta_log").is_dir());
    if let Some(table) = table {
        anyhow::bail!(
            "the journal is gone, but there are tables: {}\n  \
             restore journal/ and lake/ from one backup; to begin anew, name another data directory",
            table.display()
        );
    }
    Ok(())
}

fn journal_settings(config: &CheckedConfig) -> hw_journal::Settings {
    let budget_bytes = config.journal.budget.bytes();
    hw_journal::Settings {
        segment_bytes: config.journal.segment.bytes(),
        budget_bytes,
        reserve_bytes: (budget_bytes / RESERVE_PART).min(RESERVE_BYTES_MAX),
        ..hw_journal::Settings::default()
    }
}

fn sql_settings(config: &CheckedConfig) -> SqlSettings {
    SqlSettings {
        memory: config.sql.memory.as_usize(),
        time: config.sql.time,
        rows: config.sql.rows.get(),
        text: config.sql.text.as_usize(),
        depth: config.sql.depth.get(),
    }
}

fn tcp_settings(
    name: &str,
    listener: &config::Tcp,
    config: &CheckedConfig,
    registry: &Registry,
) -> TcpSettings {
    let format = match listener.format {
        config::TcpFormat::Kv => TcpFormat::Kv { ts: ts_width(listener, registry) },
        config::TcpFormat::Ndjson => TcpFormat::Ndjson,
    };
    TcpSettings {
        name: name.to_owned(),
        stream: listener.stream.to_string(),
        format,
        fields: Arc::new(KvFields::new(listener.fields.0.clone())),
        ack: listener.ack,
        record_bytes_max: config.limits.event.as_usize(),
        record_time: config.limits.request_time,
    }
}

/// As the listener declares it; else as the schema's unit has it, for any time since 2001.
fn ts_width(listener: &config::Tcp, registry: &Registry) -> TsWidth {
    if let Some(digits) = listener.ts_digits {
        return TsWidth::Declared(u8::try_from(digits.get()).unwrap_or(u8::MAX));
    }
    let stream = registry.by_name(listener.stream.as_str());
    let Some((_, schema)) = stream.as_ref().and_then(|stream| stream.current()) else {
        return TsWidth::Unknown;
    };
    let name = listener.fields.0.get("ts").map_or("ts", String::as_str);
    match schema.fields().iter().find(|field| field.name() == name).map(Field::kind) {
        Some(Kind::Time(time)) if time.whole() => match time.unit() {
            TimeUnit::Second => TsWidth::Known(10),
            TimeUnit::Millisecond => TsWidth::Known(13),
            TimeUnit::Microsecond => TsWidth::Known(16),
            TimeUnit::Nanosecond => TsWidth::Known(19),
        },
        _ => TsWidth::Unknown,
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{setting}: cannot listen on {address} (is another server running there? port 0 takes any free one)"))
}

/// As many descriptors as the system lets us have: each connection takes one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Gauges of what changes without anyone's doing, once a second.
async fn keep_metrics(
    metrics: PrometheusHandle,
    journal: Journal,
    lake: Lake,
    findings: Findings,
    follower: FollowerHandle,
    stop: CancellationToken,
) {
    loop {
        let usage = journal.usage();
        let status = follower.status();
        metrics::gauge!("headwater_journal_used_bytes").set(usage.used_bytes as f64);
        metrics::gauge!("headwater_journal_segments").set(usage.segments as f64);
        metrics::gauge!("headwater_journal_failed").set(f64::from(u8::from(usage.failed.is_some())));
        metrics::gauge!("headwater_journal_damaged_ranges").set(usage.damage.len() as f64);
        metrics::gauge!("headwater_lake_pending_bytes").set(status.pending_bytes as f64);
        metrics::gauge!("headwater_lake_faults").set(lake.faults().len() as f64);
        metrics::gauge!("headwater_damaged_files").set(findings.files() as f64);
        metrics.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
