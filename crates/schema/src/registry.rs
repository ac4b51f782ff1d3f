//! The directory of streams in memory: names, numbers and every version of every schema.
//! Always: a `Stream` that was handed out never changes; `put` swaps the whole directory at once. Does no IO.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use hw_event::{SchemaNumber, StreamId, StreamName};

use crate::Schema;

/// One stream as it is now.
#[derive(Debug, Clone)]
pub struct Stream {
    pub id: StreamId,
    pub name: StreamName,
    /// Version `n` stands at index `n - 1`.
    pub versions: Vec<Arc<Schema>>,
    /// False: a name that nobody declared and that only has rejects.
    pub declared: bool,
}

impl Stream {
    /// The newest version.
    pub fn current(&self) -> Option<(SchemaNumber, &Arc<Schema>)> {
        let number = i32::try_from(self.versions.len()).ok()?;
        Some((SchemaNumber(number), self.versions.last()?))
    }

    /// The first version whose rows mean what the newest one's do: rows of older ones have to be rewritten.
    pub fn generation_start(&self) -> SchemaNumber {
        let mut start = self.versions.len();
        while start > 1 && self.versions[start - 2].check_change(&self.versions[start - 1]).is_ok() {
            start -= 1;
        }
        SchemaNumber(i32::try_from(start).unwrap_or(i32::MAX))
    }

    pub fn version(&self, number: SchemaNumber) -> Option<&Arc<Schema>> {
        let index = usize::try_from(number.0).ok()?.checked_sub(1)?;
        self.versions.get(index)
    }
}

/// Shared as `Arc<Registry>`; readers hold the lock for the length of an `Arc` clone.
#[derive(Debug, Default)]
pub struct Registry {
    directory: RwLock<Arc<Directory>>,
}

#[derive(Debug, Default, Clone)]
struct Directory {
    by_name: HashMap<StreamName, Arc<Stream>>,
    by_id: HashMap<StreamId, Arc<Stream>>,
}

impl Registry {
    pub fn new() -> Registry {
        Registry::default()
    }

    pub fn by_name(&self, name: &str) -> Option<Arc<Stream>> {
        let name: StreamName = name.parse().ok()?;
        self.read().by_name.get(&name).cloned()
    }

    pub fn by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Every stream, by name.
    pub fn all(&self) -> Vec<Arc<Stream>> {
        let mut streams: Vec<_> = self.read().by_id.values().cloned().collect();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    /// Adds a stream, or replaces the one with its number.
    pub fn put(&self, stream: Stream) {
        let stream = Arc::new(stream);
        // A panic between the two inserts would leave only the private copy half done.
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Directory::clone(&directory);
        if let Some(old) = next.by_id.insert(stream.id, Arc::clone(&stream)) {
            next.by_name.remove(&old.name);
        }
        if let Some(old) = next.by_name.insert(stream.name.clone(), Arc::clone(&stream))
            && old.id != stream.id
        {
            next.by_id.remove(&old.id);
        }
        *directory = Arc::new(next);
    }

    fn read(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: u64, name: &str, versions: usize) -> Stream {
        let schema = Schema::parse(r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#).unwrap();
        let schema = Arc::new(schema.schema);
        Stream {
            id: StreamId(id),
            name: name.parse().unwrap(),
            versions: vec![schema; versions],
            declared: versions > 0,
        }
    }

    #[test]
    fn streams_are_found_by_name_and_by_number() {
        let registry = Registry::new();
        registry.put(stream(2, "b", 0));
        registry.put(stream(1, "a", 2));
        let a = registry.by_name("a").unwrap();
        assert_eq!(a.current().unwrap().0, SchemaNumber(2));
        assert!(a.version(SchemaNumber(2)).is_some());
        for missing in [-1, 0, 3] {
            assert!(a.version(SchemaNumber(missing)).is_none());
        }
        assert!(registry.by_id(StreamId(2)).unwrap().current().is_none());
        assert!(registry.by_name("not a name").is_none());
        assert_eq!(registry.all().iter().map(|s| s.id.0).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn put_replaces() {
        let registry = Registry::new();
        registry.put(stream(1, "a", 1));
        let old = registry.by_name("a").unwrap();
        registry.put(stream(1, "a", 2));
        assert_eq!(old.versions.len(), 1);
        assert_eq!(registry.by_name("a").unwrap().versions.len(), 2);
        assert_eq!(registry.all().len(), 1);
    }
}
