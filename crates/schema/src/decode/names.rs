//! From a key to the field it names.
//! Always: exact. The key that usually comes next is tried first, since senders keep their order.

use std::collections::HashMap;

/// The names of one object's fields.
#[derive(Debug, Default)]
pub(crate) struct FieldNames {
    names: Vec<Vec<u8>>,
    /// Each name as a document writes it with its colon, where it needs no escapes: `"name":`.
    written: Vec<Vec<u8>>,
    /// Only where comparing one by one would be slow.
    table: HashMap<Vec<u8>, usize>,
}

const LINEAR_MAX: usize = 8;

impl FieldNames {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> FieldNames {
        let names: Vec<Vec<u8>> = names.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        let written = names
            .iter()
            .map(|name| {
                let mut written = Vec::new();
                crate::json::write_string(name, &mut written);
                written.push(b':');
                written
            })
            .collect();
        let table = match names.len() {
            0..=LINEAR_MAX => HashMap::new(),
            _ => names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect(),
        };
        FieldNames { names, written, table }
    }

    /// How the field at `index` is written with its colon.
    #[inline]
    pub fn written(&self, index: usize) -> Option<&[u8]> {
        self.written.get(index).map(Vec::as_slice)
    }

    pub fn find(&self, name: &[u8]) -> Option<usize> {
        if self.table.is_empty() {
            self.names.iter().position(|field| field == name)
        } else {
            self.table.get(name).copied()
        }
    }
}
