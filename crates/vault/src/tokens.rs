//! Tokens for a decoder: the text at once, and at the end of a row the entries that the vault does not have yet.
//! Always: pure: no IO and no clock; a row that is taken back leaves no entry; clear values are in memory alone, and wiped
//! when their entry is dropped.

use std::{collections::HashSet, mem, ops::Range, sync::Arc};

use zeroize::{Zeroize, Zeroizing};

use crate::{
    Digests, HashKey,
    known::{Fingerprint, Known},
    sealed::derive,
    store::Key,
    subject::SubjectId,
    token::{Domain, TokenFormat, TokenText},
};

/// What a vault keeps so that a token can be revealed.
pub struct TokenEntry {
    pub domain: Arc<str>,
    pub token: TokenText,
    pub subject: SubjectId,
    pub value: Zeroizing<Vec<u8>>,
    pub(crate) fingerprint: Fingerprint,
}

impl std::fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenEntry({} {:?} of {})", self.domain, self.token, self.subject)
    }
}

/// From which tokens are made: the key of a vault, and what is known to be in it.
#[derive(Clone)]
pub struct TokenKeys {
    key: Arc<Key>,
    known: Option<Arc<Known>>,
}

impl TokenKeys {
    pub(crate) fn new(key: Key, known: Arc<Known>) -> TokenKeys {
        TokenKeys { key: Arc::new(key), known: Some(known) }
    }

    /// Of a vault's key with nothing known to be kept: all entries are new. For tests.
    pub fn of_key(key: &[u8; 32]) -> TokenKeys {
        TokenKeys::new(Zeroizing::new(*key), Arc::new(Known::new()))
    }

    /// Of no vault: for those who judge events and store none.
    pub fn of_no_vault() -> TokenKeys {
        TokenKeys { key: Arc::new(Zeroizing::new([0; 32])), known: None }
    }
}

pub(crate) fn subject_key(vault_key: &[u8; 32]) -> HashKey {
    HashKey::from_bytes(&derive(vault_key, "subject ids", b""))
}

pub(crate) fn subject_id(keyed: &HashKey, subject: &[u8]) -> SubjectId {
    SubjectId(keyed.digest_bytes(subject))
}

/// To whom entries belong whose event names no subject: one for each domain, of another key than any subject's.
pub(crate) fn no_subject(vault_key: &[u8; 32], domain: &str) -> SubjectId {
    SubjectId(*derive(vault_key, "no subject", domain.as_bytes()))
}

/// The tokens of one schema's domains, for one thread at a time.
pub struct Tokens {
    domains: Vec<Domain>,
    /// By domain.
    nobody: Vec<SubjectId>,
    subjects: Digests,
    known: Option<Arc<Known>>,
    /// Of the row at hand.
    row: Row,
    entries: Vec<TokenEntry>,
    /// Of `entries`.
    made: HashSet<Fingerprint>,
}

#[derive(Default)]
struct Row {
    cells: Vec<(usize, TokenText, Range<usize>)>,
    values: Zeroizing<Vec<u8>>,
}

impl Row {
    fn clear(&mut self) {
        self.cells.clear();
        self.values.zeroize();
    }
}

impl Tokens {
    pub fn new(keys: &TokenKeys, domains: &[Arc<str>]) -> Tokens {
        Tokens {
            domains: domains.iter().map(|name| Domain::new(&keys.key, name)).collect(),
            nobody: domains.iter().map(|name| no_subject(&keys.key, name)).collect(),
            subjects: Digests::new(subject_key(&keys.key)),
            known: keys.known.clone(),
            row: Row::default(),
            entries: Vec::new(),
            made: HashSet::new(),
        }
    }

    /// The token of `value` in the domain at `place`; `None` where a value of this form has none.
    pub fn token(&mut self, place: usize, format: TokenFormat, value: &[u8]) -> Option<TokenText> {
        let token = self.domains[place].token(format, value)?;
        // Without a vault nothing is kept.
        if self.known.is_some() {
            let start = self.row.values.len();
            self.row.values.extend_from_slice(value);
            self.row.cells.push((place, token, start..start + value.len()));
        }
        Some(token)
    }

    /// The row stays: its values become entries of `subject`, as far as the vault does not have them.
    pub fn end_row(&mut self, subject: Option<&[u8]>) {
        let Some(known) = &self.known else { return };
        if self.row.cells.is_empty() {
            return;
        }
        let subject = subject.map(|subject| SubjectId(self.subjects.digest_bytes(subject)));
        for (place, token, value) in self.row.cells.drain(..) {
            let domain = &self.domains[place].name;
            let subject = subject.unwrap_or(self.nobody[place]);
            let fingerprint = known.fingerprint(domain, &token, &subject);
            if known.contains(fingerprint) || !self.made.insert(fingerprint) {
                continue;
            }
            let value = Zeroizing::new(self.row.values[value].to_vec());
            self.entries.push(TokenEntry { domain: domain.clone(), token, subject, value, fingerprint });
        }
        self.row.clear();
    }

    /// The row is taken back.
    pub fn drop_row(&mut self) {
        self.row.clear();
    }

    /// The entries of all rows since the last call.
    pub fn take_entries(&mut self) -> Vec<TokenEntry> {
        self.made.clear();
        mem::take(&mut self.entries)
    }
}
