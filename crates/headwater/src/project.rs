//! A project: the directory in which a user declares everything. Here it is read and checked as a whole.
//! Always: what it holds is valid and consistent; every fault of every file is reported at once.
//! Starts nothing, writes nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use hw_event::{SYSTEM_NAMES, StreamName};
use hw_schema::{FileFault, Notation, Schema, nearest};

use crate::{
    config::{self, CheckedConfig, Overrides},
    fault::{self, Fault, Place, Source},
};

/// Larger files are no configuration and no schema.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// More streams than this are a mistake (a data directory given as project, say).
const SCHEMAS_MAX: usize = 10_000;
/// Below the project.
const SCHEMAS: &str = "schemas";

/// Directories that a project may have and that nothing reads yet.
const NOT_BUILT_YET: &[&str] = &["views", "rules", "routes", "commands", "dashboards", "tests"];

#[derive(Debug, Clone)]
pub struct Project {
    /// As the user named it.
    pub directory: PathBuf,
    /// By name.
    pub streams: Vec<DeclaredStream>,
}

#[derive(Clone)]
pub struct DeclaredStream {
    pub name: StreamName,
    /// The schema's file.
    pub path: PathBuf,
    pub schema: Arc<Schema>,
}

impl std::fmt::Debug for DeclaredStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeclaredStream").field("name", &self.name).field("path", &self.path).finish()
    }
}

/// What reading a project came to.
pub struct Checked {
    /// `None` if one fault or more is an error.
    pub project: Option<(CheckedConfig, Project)>,
    /// Errors and warnings, file by file.
    pub faults: Vec<Fault>,
}

/// Reads the whole project.
pub fn check(directory: &Path, overrides: &Overrides) -> Checked {
    let mut faults = Vec::new();
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let fault = Fault::error(place_of(directory), "a project is a directory, this is a file")
                .hint("name the directory which holds headwater.toml and schemas/");
            return Checked { project: None, faults: vec![fault] };
        }
        Err(error) => {
            let fault = Fault::error(place_of(directory), format!("cannot open the project: {error}"))
                .hint("name a directory which holds headwater.toml and schemas/; it may be empty");
            return Checked { project: None, faults: vec![fault] };
        }
    }

    let path = directory.join(config::FILE_NAME);
    let source = match read_text(&path) {
        Ok(text) => Some(Source::new(&path, &text)),
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            faults.push(Fault::error(place_of(&path), error.to_string()));
            None
        }
    };
    let loaded = config::load(directory, source.as_ref(), overrides);
    faults.extend(loaded.faults);

    let streams = read_schemas(&directory.join(SCHEMAS), &mut faults);
    check_table_names(&streams, &mut faults);
    check_uses(&loaded.uses, &streams, &mut faults);
    check_directories(directory, loaded.data.as_deref(), &loaded.directories, &mut faults);
    warn_of_the_unbuilt(directory, &mut faults);

    fault::sort(&mut faults);
    let streams: Vec<DeclaredStream> = streams
        .into_iter()
        .filter_map(|(name, file)| Some(DeclaredStream { name, path: file.path, schema: file.schema? }))
        .collect();
    let project = loaded
        .config
        .filter(|_| !faults.iter().any(Fault::is_error))
        .map(|config| (config, Project { directory: directory.to_owned(), streams }));
    Checked { project, faults }
}

struct SchemaFile {
    path: PathBuf,
    /// `None`: the document has faults. Its name is taken all the same.
    schema: Option<Arc<Schema>>,
}

fn read_schemas(directory: &Path, faults: &mut Vec<Fault>) -> BTreeMap<StreamName, SchemaFile> {
    let mut schemas = BTreeMap::new();
    let paths = match list(directory) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return schemas,
        Err(error) => {
            faults.push(Fault::error(place_of(directory), format!("cannot list the schemas: {error}")));
            return schemas;
        }
    };
    if paths.len() > SCHEMAS_MAX {
        faults.push(Fault::error(place_of(directory), format!("more than {SCHEMAS_MAX} files")));
        return schemas;
    }
    for path in paths {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && holds_notations(&path) {
            // What schemas import may stand in directories.
            continue;
        }
        let notation = notation_of(&path).filter(|_| !path.is_dir());
        let Some(notation) = notation else {
            let fault =
                Fault::warning(place_of(&path), "not read: it is no *.json, *.capnp, *.avsc or *.proto file")
                    .hint(
                        "a schema is a document named STREAM.json, STREAM.capnp, STREAM.avsc or STREAM.proto",
                    );
            faults.push(fault);
            continue;
        };
        let name = match stem.parse::<StreamName>() {
            Ok(name) => name,
            Err(error) => {
                faults.push(Fault::error(place_of(&path), error.to_string()).hint(
                    "the file's name without its ending is the stream's name, for example sensor.reading.json",
                ));
                continue;
            }
        };
        if let Some(other) = schemas.get(&name) {
            let SchemaFile { path: other, .. } = other;
            let message = format!("stream \"{name}\" is declared twice: {} declares it too", other.display());
            faults.push(
                Fault::error(place_of(&path), message)
                    .hint("a stream has one schema: keep one of the two files"),
            );
            continue;
        }
        let schema = match read_text(&path) {
            // A file of annotations, say: it declares nothing that events could be.
            Ok(text) if notation != Notation::Json && !declares_stream(&text, &name) => continue,
            Ok(text) => parse_schema(&Source::new(&path, &text), notation, name.as_str(), faults),
            Err(error) => {
                faults.push(Fault::error(place_of(&path), error.to_string()));
                None
            }
        };
        schemas.insert(name, SchemaFile { path, schema });
    }
    schemas
}

/// Reads one schema on its own: the schema if it is without fault, and its faults and warnings.
pub fn read_schema(path: &Path) -> (Option<Arc<Schema>>, Vec<Fault>) {
    let mut faults = Vec::new();
    let schema = match read_text(path) {
        Ok(text) => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let notation = notation_of(path).unwrap_or(Notation::Json);
            parse_schema(&Source::new(path, &text), notation, &stem, &mut faults)
        }
        Err(error) => {
            faults.push(Fault::error(place_of(path), error.to_string()).hint("name a schema file"));
            None
        }
    };
    (schema, faults)
}

fn notation_of(path: &Path) -> Option<Notation> {
    path.extension().and_then(|extension| extension.to_str()).and_then(Notation::of_extension)
}

/// A directory below `schemas/` that holds files in other notations: they are there to be imported.
fn holds_notations(directory: &Path) -> bool {
    let is_import = |path: &PathBuf| {
        path.is_dir() || notation_of(path).is_some_and(|notation| notation != Notation::Json)
    };
    list(directory).is_ok_and(|paths| !paths.is_empty() && paths.iter().all(is_import))
}

/// A file of annotations or constants that others import is no stream.
fn declares_stream(text: &str, name: &StreamName) -> bool {
    name.as_str() != "metadata" || !text.contains("annotation ")
}

fn parse_schema(
    source: &Source,
    notation: Notation,
    stream: &str,
    faults: &mut Vec<Fault>,
) -> Option<Arc<Schema>> {
    let path = Path::new(&*source.path);
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    let main = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut imported: BTreeMap<String, Source> = BTreeMap::new();
    let mut fetch = |name: &str| -> Result<String, String> {
        let text = fetch_import(&directory, name)?;
        imported.insert(name.to_owned(), Source::new(&directory.join(name), &text));
        Ok(text)
    };
    let read = Schema::translate(notation, stream, &main, &source.text, &mut fetch);
    let told = |FileFault { file, fault }: FileFault, make: fn(Place, String) -> Fault| {
        let source = imported.get(&file).unwrap_or(source);
        let place = Place::of_position(source, fault.line, fault.column);
        make(place, fault.message).pointer(fault.pointer).hint(fault.hint)
    };
    match read {
        Ok(translated) if notation == Notation::Json && translated.schema.notation() != Notation::Json => {
            let fault = Fault::error(place_of(path), "x-notation is Headwater's own")
                .hint("leave it out, or write the schema in the notation that it holds");
            faults.push(fault);
            None
        }
        Ok(translated) => {
            faults.extend(translated.warnings.into_iter().map(|fault| told(fault, Fault::warning)));
            Some(Arc::new(translated.schema))
        }
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| told(fault, Fault::error)));
            None
        }
    }
}

/// The text of a file that a schema imports, which really lies below `directory`: no link leads out of it.
fn fetch_import(directory: &Path, name: &str) -> Result<String, String> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let cannot = |error: io::Error| format!("cannot import {name:?}: {error}");
    let (root, path) =
        (fs::canonicalize(here).map_err(cannot)?, fs::canonicalize(here.join(name)).map_err(cannot)?);
    if !path.starts_with(&root) {
        return Err(format!("cannot import {name:?}: it leads out of the directory of the schemas"));
    }
    read_text(&path).map_err(|error| format!("cannot import {name:?}: {error}"))
}

fn check_table_names(streams: &BTreeMap<StreamName, SchemaFile>, faults: &mut Vec<Fault>) {
    let mut taken: BTreeMap<String, &StreamName> = BTreeMap::new();
    for (name, file) in streams {
        let table = name.sql_name();
        if SYSTEM_NAMES.contains(&table.as_str()) {
            let message =
                format!("stream \"{name}\" would have the table name `{table}`, which is Headwater's own");
            faults.push(
                Fault::error(place_of(&file.path), message).hint("give the schema's file another name"),
            );
        }
        match taken.get(&table) {
            Some(other) => {
                let message =
                    format!("streams \"{other}\" and \"{name}\" would both have the table name `{table}`");
                faults.push(
                    Fault::error(place_of(&file.path), message)
                        .hint("dots and dashes become _ in a table's name; rename one of the two files"),
                );
            }
            None => {
                taken.insert(table, name);
            }
        }
    }
}

fn check_uses(
    uses: &[config::StreamUse],
    streams: &BTreeMap<StreamName, SchemaFile>,
    faults: &mut Vec<Fault>,
) {
    for used in uses {
        if !streams.contains_key(&used.stream) {
            let message =
                format!("[{}] names the stream \"{}\", which has no schema", used.section, used.stream);
            let near = nearest(used.stream.as_str(), streams.keys().map(StreamName::as_str));
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write schemas/{}.json", used.stream),
            };
            faults.push(Fault::error(used.place.clone(), message).hint(hint));
        }
    }
}

/// Errors, not warnings: whoever declares a directory relies on its files being read, and on nothing else being.
fn check_directories(
    project: &Path,
    data: Option<&Path>,
    uses: &[config::DirectoryUse],
    faults: &mut Vec<Fault>,
) {
    let data = data.map(real_path);
    let schemas = real_path(&project.join(SCHEMAS));
    let mut taken: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for used in uses {
        let (name, shown) = (&used.name, used.path.display());
        let mut fault = |message: String, hint: &str| {
            faults
                .push(Fault::error(used.place.clone(), format!("[directory.{name}]: {message}")).hint(hint));
        };
        let path = real_path(&used.path);
        if data.as_ref().is_some_and(|data| path.starts_with(data)) {
            fault(
                format!("{shown} lies in the data directory"),
                "what lies there is Headwater's own: name another one",
            );
            continue;
        }
        if path == schemas {
            fault(format!("{shown} holds the project's schemas"), "they are no events: name another one");
            continue;
        }
        if let Some(other) = taken.insert(path, name) {
            fault(
                format!("{shown} is read by [directory.{other}] already"),
                "each of its events would be stored twice: give each section a directory of its own",
            );
        }
        match fs::metadata(&used.path) {
            Ok(metadata) if !metadata.is_dir() => {
                fault(format!("{shown} is no directory"), "name the directory that the files are put into");
            }
            Ok(_) => {
                if let Err(error) = fs::read_dir(&used.path) {
                    fault(
                        format!("{shown} cannot be listed: {error}"),
                        "let the user that Headwater runs as read the directory",
                    );
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => fault(
                format!("{shown} does not exist"),
                "make the directory first, or correct the path; a relative one starts at the project",
            ),
            Err(error) => {
                fault(format!("{shown} cannot be opened: {error}"), "name a directory that can be read");
            }
        }
    }
}

/// The path without links, `.` and `..`, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => real_path(Path::new(".")).join(name),
        (Some(parent), Some(name)) => real_path(parent).join(name),
        _ => path.to_owned(),
    }
}

fn warn_of_the_unbuilt(directory: &Path, faults: &mut Vec<Fault>) {
    for name in NOT_BUILT_YET {
        let path = directory.join(name);
        if list(&path).is_ok_and(|files| !files.is_empty()) {
            faults.push(Fault::warning(
                place_of(&path),
                format!("{name} are not built yet: nothing here is read"),
            ));
        }
    }
}

/// The entries of a directory by name, without dot-files.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    #[error("the file is larger than {} MiB", FILE_BYTES_MAX >> 20)]
    TooLarge,
    #[error("the file is not UTF-8 (at byte {0})")]
    NotText(usize),
}

fn read_text(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| ReadError::NotText(error.utf8_error().valid_up_to()))
}

fn place_of(path: &Path) -> Place {
    Place::Path(path.display().to_string())
}
