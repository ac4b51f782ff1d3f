//! The configuration: `headwater.toml`, the environment and `--set`, read into typed, checked values.
//! Always: a `CheckedConfig` is valid as a whole, and every fault of the input is reported, not only the first.
//! Does not know schemas: whether a listener's stream exists is the project's to check.

mod read;
#[cfg(test)]
mod reference;
mod root_key;
mod settings;
mod value;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use hw_event::Ack;

pub use root_key::RootKeySource;
pub use settings::{Directory, General, Http, Journal, Lake, Limits, Log, Privacy, Rejects, Sql, Tcp};
pub use value::{ByteSize, LogFormat, TcpFormat};

use crate::fault::{Fault, Place, Source};
use read::Layers;

pub const FILE_NAME: &str = "headwater.toml";

/// Durations of the command line are written as those of the file.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let read = <std::time::Duration as value::Value>::from_text(text);
    read.map_err(|unfit| {
        if unfit.hint.is_empty() { unfit.message } else { format!("{}: {}", unfit.message, unfit.hint) }
    })
}

/// A source of a root key on the command line is written as in the file.
pub(crate) fn parse_root_key(text: &str) -> Result<RootKeySource, String> {
    let read = <RootKeySource as value::Value>::from_text(text);
    read.map_err(|unfit| format!("{}: {}", unfit.message, unfit.hint))
}

/// What stands on the command line and in the environment.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub data: Option<PathBuf>,
    /// `key=value`, in the order given.
    pub set: Vec<String>,
    /// All variables; others than settings are ignored.
    pub environment: Vec<(String, String)>,
}

impl Overrides {
    /// With this process's environment. A variable that is not Unicode is no setting.
    pub fn of_process(data: Option<PathBuf>, set: Vec<String>) -> Overrides {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Overrides { data, set, environment: std::env::vars_os().filter_map(text).collect() }
    }
}

/// All settings, typed and valid.
#[derive(Debug, Clone)]
pub struct CheckedConfig {
    /// The data directory, absolute or relative to the working directory.
    pub data: PathBuf,
    pub ack: Ack,
    pub memory: ByteSize,
    pub http: Http,
    /// By name.
    pub tcp: BTreeMap<String, Tcp>,
    /// By name; paths are absolute or relative to the working directory.
    pub directories: BTreeMap<String, Directory>,
    pub journal: Journal,
    pub lake: Lake,
    pub sql: Sql,
    pub limits: Limits,
    pub rejects: Rejects,
    pub privacy: Privacy,
    pub log: Log,
}

/// Where the settings of a listener or directory stand, for faults that only the project can find.
pub(crate) struct StreamUse {
    /// `tcp.telemetry`
    pub section: String,
    pub stream: hw_event::StreamName,
    pub place: Place,
}

/// A directory that is to be read, for faults that only a look at the disk can find.
pub(crate) struct DirectoryUse {
    pub name: String,
    pub path: PathBuf,
    pub place: Place,
}

pub(crate) struct Loaded {
    /// `None`: there is a fault that is an error.
    pub config: Option<CheckedConfig>,
    /// Every section that names a stream, also when another part of the configuration is at fault.
    pub uses: Vec<StreamUse>,
    /// Every directory that is to be read, likewise; and the data directory, if it is known.
    pub directories: Vec<DirectoryUse>,
    pub data: Option<PathBuf>,
    pub faults: Vec<Fault>,
}

/// Reads the three layers. `file` is the text of `headwater.toml`, if there is one.
pub(crate) fn load(project: &Path, file: Option<&Source>, overrides: &Overrides) -> Loaded {
    let mut layers = Layers::default();
    if let Some(source) = file {
        layers.file(source);
    }
    layers.environment(overrides.environment.iter().cloned());
    for argument in &overrides.set {
        layers.argument(argument);
    }
    if let Some(data) = &overrides.data {
        layers.data_argument(data.display().to_string());
    }

    let mut uses = Vec::new();
    let mut tcp = BTreeMap::new();
    for (name, place) in layers.names_of("tcp") {
        let read = Tcp::read(&mut layers.reader(&["tcp", &name], Some(place.clone())));
        if let Some(read) = read {
            let given = layers.given(&["tcp", &name, "stream"]);
            let place = given.map_or(place, |given| given.place.clone());
            uses.push(StreamUse { section: format!("tcp.{name}"), stream: read.stream.clone(), place });
            check_tcp(&mut layers, &name, &read);
            tcp.insert(name, read);
        }
    }
    let mut directories = BTreeMap::new();
    let mut directory_uses = Vec::new();
    for (name, place) in layers.names_of("directory") {
        let read = Directory::read(&mut layers.reader(&["directory", &name], Some(place.clone())));
        if let Some(mut read) = read {
            read.path = resolve(project, &layers, &["directory", &name, "path"], read.path);
            let place_of = |setting| {
                let given = layers.given(&["directory", &name, setting]);
                given.map_or_else(|| place.clone(), |given| given.place.clone())
            };
            let section = format!("directory.{name}");
            uses.push(StreamUse { section, stream: read.stream.clone(), place: place_of("stream") });
            let (path, place) = (read.path.clone(), place_of("path"));
            directory_uses.push(DirectoryUse { name: name.clone(), path, place });
            directories.insert(name, read);
        }
    }
    // Every section is read before any is missed, so that all their faults are told.
    let general = General::read(&mut layers.reader(&[], None));
    let http = Http::read(&mut layers.reader(&["http"], None));
    let journal = Journal::read(&mut layers.reader(&["journal"], None));
    let lake = Lake::read(&mut layers.reader(&["lake"], None));
    let sql = Sql::read(&mut layers.reader(&["sql"], None));
    let limits = Limits::read(&mut layers.reader(&["limits"], None));
    let rejects = Rejects::read(&mut layers.reader(&["rejects"], None));
    let privacy = Privacy::read(&mut layers.reader(&["privacy"], None));
    let log = Log::read(&mut layers.reader(&["log"], None));

    if let Some(http) = &http {
        check_addresses(&mut layers, http, &tcp);
    }
    if let Some(limits) = &limits {
        check_not_over(
            &mut layers,
            (&["limits", "event"], limits.event),
            (&["limits", "body"], limits.body),
            "an event must fit into a request",
        );
    }
    if let Some(journal) = &journal {
        check_journal(&mut layers, journal);
    }

    let data = general.as_ref().map(|general| resolve(project, &layers, &["data"], general.data.clone()));
    let config = (|| {
        let (general, privacy) = (general?, privacy?);
        Some(CheckedConfig {
            data: data.clone()?,
            ack: general.ack,
            memory: general.memory,
            http: http?,
            tcp,
            directories,
            journal: journal?,
            lake: lake?,
            sql: sql?,
            limits: limits?,
            rejects: rejects?,
            privacy: Privacy {
                key_file: privacy
                    .key_file
                    .map(|path| resolve(project, &layers, &["privacy", "key_file"], path)),
                erasures: privacy
                    .erasures
                    .map(|path| resolve(project, &layers, &["privacy", "erasures"], path)),
                root_key: privacy.root_key.map(|source| match source {
                    RootKeySource::File(path) => {
                        RootKeySource::File(resolve(project, &layers, &["privacy", "root_key"], path))
                    }
                    other => other,
                }),
                reveal: privacy.reveal,
            },
            log: log?,
        })
    })();
    let faults = layers.faults;
    let config = config.filter(|_| !faults.iter().any(Fault::is_error));
    Loaded { config, uses, directories: directory_uses, data, faults }
}

/// A relative path of the file, or of a default, starts at the project; any other at the working directory.
fn resolve(project: &Path, layers: &Layers<'_>, key: &[&str], path: PathBuf) -> PathBuf {
    let from_project = layers.given(key).is_none_or(|given| given.from_file);
    if from_project { project.join(path) } else { path }
}

fn check_tcp(layers: &mut Layers<'_>, name: &str, tcp: &Tcp) {
    if tcp.format == TcpFormat::Kv {
        return;
    }
    for key in ["fields", "ts_digits"] {
        if let Some(given) = layers.given(&["tcp", name, key]) {
            let place = given.place.clone();
            layers.faults.push(
                Fault::error(place, format!("`tcp.{name}.{key}` means nothing with format \"ndjson\""))
                    .hint("leave it out, or set format = \"kv\""),
            );
        }
    }
}

fn check_addresses(layers: &mut Layers<'_>, http: &Http, tcp: &BTreeMap<String, Tcp>) {
    let mut taken: Vec<(SocketAddr, String)> = vec![(http.listen.socket(), "http".to_owned())];
    for (name, tcp) in tcp {
        let address = tcp.listen.socket();
        let other = taken.iter().find(|(known, _)| address.port() != 0 && *known == address);
        if let Some((_, other)) = other {
            let message = format!("`tcp.{name}.listen`: {address} is taken by [{other}]");
            if let Some(place) = layers.given(&["tcp", name, "listen"]).map(|given| given.place.clone()) {
                layers.faults.push(Fault::error(place, message).hint("give each listener its own port"));
            }
        }
        taken.push((address, format!("tcp.{name}")));
    }
}

/// The journal needs room for an open segment, one being recycled, and the reserve of the committer.
const SEGMENTS_MIN: u64 = 4;

fn check_journal(layers: &mut Layers<'_>, journal: &Journal) {
    if journal.budget.bytes() / SEGMENTS_MIN >= journal.segment.bytes() {
        return;
    }
    let given = layers.given(&["journal", "budget"]).or_else(|| layers.given(&["journal", "segment"]));
    if let Some(place) = given.map(|given| given.place.clone()) {
        layers.faults.push(
            Fault::error(place, "`journal.budget` holds fewer than four segments")
                .hint("give it more room, or make `journal.segment` smaller"),
        );
    }
}

fn check_not_over(
    layers: &mut Layers<'_>,
    (small_key, small): (&[&str], ByteSize),
    (large_key, large): (&[&str], ByteSize),
    why: &str,
) {
    if small <= large {
        return;
    }
    // Defaults agree with one another, so that at least one of the two was given.
    let given = layers.given(small_key).or_else(|| layers.given(large_key));
    if let Some(place) = given.map(|given| given.place.clone()) {
        let message = format!("`{}` is larger than `{}`", small_key.join("."), large_key.join("."));
        layers.faults.push(Fault::error(place, message).hint(why));
    }
}

#[cfg(test)]
mod tests;
