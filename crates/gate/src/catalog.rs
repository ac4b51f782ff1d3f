//! Which streams there are: numbers, names, and every version of their schemas, kept for ever.
//! Always: a stream or version is durable here before an event is judged by it; numbers are never reused.
//! One file a stream, `<number>.json`: a line of JSON, then `crc32c` and its checksum in hexadecimal.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use hw_event::{SchemaNumber, StreamId, StreamName};
use hw_journal::{Damage, Disk};
use hw_schema::{Fault, Registry, Schema, Stream};
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Names that were sent to but never declared.
pub(crate) const UNDECLARED_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("cannot {action} the catalog file {file}: {source}")]
    Io { action: &'static str, file: String, source: io::Error },
    #[error("the catalog file {file} is damaged: {reason}")]
    Damaged { file: String, reason: String },
    #[error("the schema of stream {stream:?} may not change like this")]
    Change { stream: StreamName, faults: Vec<Fault> },
    #[error("streams {a:?} and {b:?} have the same table name {table:?}")]
    SameTable { a: StreamName, b: StreamName, table: String },
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    stream: u64,
    name: String,
    declared: bool,
    schemas: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
struct Version {
    number: i32,
    document: String,
}

/// The owner of the catalog's files. What it holds is read through the `Registry`.
pub struct Catalog {
    disk: Arc<dyn Disk>,
    registry: Arc<Registry>,
    // A std mutex: held while a stream is declared, which is rare and blocks on the disk, never across an await.
    writing: Mutex<()>,
}

impl Catalog {
    /// Reads every stream's file.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Catalog, CatalogError> {
        let registry = Arc::new(Registry::default());
        for file in list(&*disk)? {
            if file.ends_with(".part") {
                // A write that did not come to its rename: nothing was promised.
                let failed = |source| CatalogError::Io { action: "remove", file: file.clone(), source };
                disk.remove(&file).map_err(failed)?;
            } else if file.ends_with(".json") {
                registry.put(stream_of(&*disk, &file)?);
            }
        }
        Ok(Catalog { disk, registry, writing: Mutex::default() })
    }

    /// The streams whose files can be read, and what is wrong with the others. Changes nothing.
    pub fn inspect(disk: &dyn Disk) -> Result<(Registry, Vec<CatalogError>), CatalogError> {
        let (registry, mut faults) = (Registry::default(), Vec::new());
        for file in list(disk)?.iter().filter(|file| file.ends_with(".json")) {
            match stream_of(disk, file) {
                Ok(stream) => registry.put(stream),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((registry, faults))
    }

    /// Reads every stream's file once more, and says which are damaged. Reads only; works beside an open catalog.
    pub fn check(disk: &dyn Disk) -> Vec<Damage> {
        let damage = |file: String, end, reason| Damage { file, start: 0, end, seqs: None, reason };
        let files = match disk.list() {
            Ok(files) => files,
            Err(error) => return vec![damage(".".to_owned(), 0, error.to_string())],
        };
        let check = |file: String| {
            let bytes = match read(disk, &file) {
                Ok(bytes) => bytes,
                // It was replaced, or never promised.
                Err(CatalogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return None;
                }
                Err(error) => return Some(damage(file, 0, error.to_string())),
            };
            parse(&bytes).err().map(|reason| damage(file, bytes.len() as u64, reason))
        };
        files.into_iter().filter(|file| file.ends_with(".json")).filter_map(check).collect()
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Declares a stream's schema. The newest version again: nothing happens. Otherwise it must be an allowed
    /// change of the newest, and becomes the next version.
    pub fn declare(&self, name: &StreamName, schema: Arc<Schema>) -> Result<Arc<Stream>, CatalogError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_table_name(name)?;
        let known = self.registry.by_name(name.as_str());
        let (id, mut versions) = match known {
            Some(stream) => {
                if let Some((_, current)) = stream.current() {
                    if current.fingerprint() == schema.fingerprint() {
                        return Ok(stream);
                    }
                    current
                        .check_change(&schema)
                        .map_err(|faults| CatalogError::Change { stream: name.clone(), faults })?;
                }
                (stream.id, stream.versions.clone())
            }
            None => (self.next_id(), Vec::new()),
        };
        versions.push(schema);
        self.keep(Stream { id, name: name.clone(), versions, declared: true })
    }

    /// Declares a schema that follows the newest only as a new generation: the caller sees to the rows that are there, of
    /// which the journal may hold none any more.
    pub fn declare_generation(
        &self,
        name: &StreamName,
        schema: Arc<Schema>,
    ) -> Result<Arc<Stream>, CatalogError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let change = |faults| CatalogError::Change { stream: name.clone(), faults };
        let stream = self.registry.by_name(name.as_str()).ok_or_else(|| change(Vec::new()))?;
        if let Some((_, current)) = stream.current() {
            current.check_generation(&schema).map_err(change)?;
        }
        let mut versions = stream.versions.clone();
        versions.push(schema);
        self.keep(Stream { id: stream.id, name: name.clone(), versions, declared: true })
    }

    /// Gives a number to a name that has no schema, so that its events can be rejects. `None` when too many are known.
    pub(crate) fn note_undeclared(&self, name: &StreamName) -> Result<Option<Arc<Stream>>, CatalogError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = self.registry.by_name(name.as_str()) {
            return Ok(Some(stream));
        }
        let undeclared = self.registry.all().iter().filter(|stream| !stream.declared).count();
        if undeclared >= UNDECLARED_MAX {
            return Ok(None);
        }
        self.keep(Stream { id: self.next_id(), name: name.clone(), versions: Vec::new(), declared: false })
            .map(Some)
    }

    fn check_table_name(&self, name: &StreamName) -> Result<(), CatalogError> {
        let table = name.sql_name();
        let same =
            |other: &Arc<Stream>| other.declared && other.name != *name && other.name.sql_name() == table;
        match self.registry.all().into_iter().find(same) {
            Some(other) => Err(CatalogError::SameTable { a: other.name.clone(), b: name.clone(), table }),
            None => Ok(()),
        }
    }

    fn next_id(&self) -> StreamId {
        StreamId(self.registry.all().iter().map(|stream| stream.id.0).max().unwrap_or(0) + 1)
    }

    /// Writes the file, syncs it and its name, and only then shows the stream to others.
    fn keep(&self, stream: Stream) -> Result<Arc<Stream>, CatalogError> {
        let name = format!("{}.json", stream.id);
        let part = format!("{name}.part");
        let bytes = render(&stream);
        let write = || -> io::Result<()> {
            let file = self.disk.open(&part, true)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            self.disk.rename(&part, &name)?;
            self.disk.sync_dir()
        };
        write().map_err(|source| CatalogError::Io { action: "write", file: name, source })?;
        let id = stream.id;
        self.registry.put(stream);
        self.registry.by_id(id).ok_or_else(|| CatalogError::Damaged {
            file: format!("{id}.json"),
            reason: "the registry did not take it".into(),
        })
    }
}

fn list(disk: &dyn Disk) -> Result<Vec<String>, CatalogError> {
    disk.list().map_err(|source| CatalogError::Io { action: "list", file: ".".to_owned(), source })
}

fn stream_of(disk: &dyn Disk, file: &str) -> Result<Stream, CatalogError> {
    let damaged = |reason: String| CatalogError::Damaged { file: file.to_owned(), reason };
    let stream = parse(&read(disk, file)?).map_err(damaged)?;
    if file.strip_suffix(".json") != Some(&stream.id.0.to_string()) {
        return Err(damaged(format!("it describes stream {}", stream.id)));
    }
    Ok(stream)
}

fn render(stream: &Stream) -> Vec<u8> {
    let file = File {
        format: FORMAT,
        stream: stream.id.0,
        name: stream.name.as_str().to_owned(),
        declared: stream.declared,
        schemas: (1..)
            .zip(&stream.versions)
            .map(|(number, schema)| Version { number, document: schema.document().to_owned() })
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&file).unwrap_or_else(|_| unreachable!("strings and numbers only"));
    let sum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(format!("\ncrc32c {sum:08x}\n").as_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Stream, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut lines = text.lines();
    let (Some(json), Some(sum)) = (lines.next(), lines.next()) else { return Err("it is cut short".into()) };
    let expected = format!("crc32c {:08x}", crc32c::crc32c(json.as_bytes()));
    if sum != expected {
        return Err("its checksum does not match".into());
    }
    let file: File = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("its format is {}, this build reads {FORMAT}", file.format));
    }
    let mut versions = Vec::with_capacity(file.schemas.len());
    for (expected, version) in (1..).zip(file.schemas) {
        if SchemaNumber(version.number) != SchemaNumber(expected) {
            return Err(format!("schema {expected} is missing"));
        }
        let checked = Schema::parse(&version.document)
            .map_err(|faults| format!("schema {expected} is refused: {} faults", faults.len()))?;
        versions.push(Arc::new(checked.schema));
    }
    let name = file.name.parse().map_err(|error| format!("{error}"))?;
    Ok(Stream { id: StreamId(file.stream), name, versions, declared: file.declared })
}

fn read(disk: &dyn Disk, name: &str) -> Result<Vec<u8>, CatalogError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(name, false)?;
        let bytes = file.len()?;
        if bytes > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any catalog file"));
        }
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let filled = file.read_at(&mut buffer, 0)?;
        buffer.truncate(filled);
        Ok(buffer)
    };
    read().map_err(|source| CatalogError::Io { action: "read", file: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;
    const V2: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},"note":{"type":"string"}},"required":["id"]}"#;
    const NARROW: &str = r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;

    fn schema(text: &str) -> Arc<Schema> {
        Arc::new(Schema::parse(text).unwrap().schema)
    }

    fn name(text: &str) -> StreamName {
        text.parse().unwrap()
    }

    fn open(directory: &std::path::Path) -> Catalog {
        Catalog::open(Arc::new(hw_journal::FileDisk::open(directory).unwrap())).unwrap()
    }

    #[test]
    fn streams_and_versions_come_back_with_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = open(directory.path());
        catalog.declare(&name("a"), schema(V1)).unwrap();
        catalog.declare(&name("b.c"), schema(V1)).unwrap();
        catalog.declare(&name("a"), schema(V2)).unwrap();
        catalog.declare(&name("a"), schema(V2)).unwrap();
        catalog.note_undeclared(&name("nobody")).unwrap().unwrap();
        let again = open(directory.path());
        let stream = again.registry().by_name("a").unwrap();
        assert_eq!((stream.id, stream.versions.len(), stream.declared), (StreamId(1), 2, true));
        let nobody = again.registry().by_name("nobody").unwrap();
        assert_eq!((nobody.id, nobody.declared), (StreamId(3), false));
        assert_eq!(
            again.declare(&name("nobody"), schema(V1)).unwrap().id,
            StreamId(3),
            "declared later, same number"
        );
    }

    #[test]
    fn a_refused_change_and_a_shared_table_name_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = open(directory.path());
        catalog.declare(&name("a.b"), schema(V1)).unwrap();
        assert!(matches!(catalog.declare(&name("a.b"), schema(NARROW)), Err(CatalogError::Change { .. })));
        assert!(matches!(catalog.declare(&name("a-b"), schema(V1)), Err(CatalogError::SameTable { .. })));
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).declare(&name("a"), schema(V1)).unwrap();
        let path = directory.path().join("1.json");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let disk = Arc::new(hw_journal::FileDisk::open(directory.path()).unwrap());
        assert!(matches!(Catalog::open(disk), Err(CatalogError::Damaged { .. })));
    }

    #[test]
    fn undeclared_names_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = open(directory.path());
        for number in 0..UNDECLARED_MAX {
            assert!(catalog.note_undeclared(&name(&format!("n{number}"))).unwrap().is_some());
        }
        assert!(catalog.note_undeclared(&name("one-more")).unwrap().is_none());
    }
}
