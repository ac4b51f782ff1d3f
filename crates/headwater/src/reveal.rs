//! Revealing tokens, and the record of it: `D/audit/reveals.ndjson`, one JSON object a line, synced before the answer goes.
//! Always: no value is given that was not written down before, with who asked and why; refusals are written down too. A record
//! holds no value, and of what was asked only what is a token: somebody may have sent a value instead.

use std::{
    fs, io,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hw_event::{Clock, Timestamp};
use hw_serve::{RevealAsked, RevealRefused, TokenRevealed};
use hw_vault::{Revealed, TOKEN_PREFIX, Vault};
use serde_json::json;

const FILE: &str = "reveals.ndjson";

#[derive(Clone)]
pub struct Reveals {
    inner: Arc<Inner>,
}

struct Inner {
    vault: Vault,
    /// `privacy.reveal`.
    allowed: bool,
    clock: Arc<dyn Clock>,
    // A std mutex: held while a record is written and synced, on threads that may block.
    audit: Mutex<PathBuf>,
}

impl Reveals {
    /// `directory` is that of the records.
    pub fn new(vault: Vault, allowed: bool, clock: Arc<dyn Clock>, directory: PathBuf) -> Reveals {
        Reveals { inner: Arc::new(Inner { vault, allowed, clock, audit: Mutex::new(directory) }) }
    }

    pub async fn reveal(&self, asked: RevealAsked) -> Result<Vec<TokenRevealed>, RevealRefused> {
        let inner = self.inner.clone();
        let revealed = tokio::task::spawn_blocking(move || inner.reveal(&asked)).await;
        revealed.unwrap_or_else(|error| {
            tracing::error!(%error, "tokens could not be revealed");
            Err(RevealRefused::Failed("the server failed at this request".to_owned()))
        })
    }
}

impl Inner {
    fn reveal(&self, asked: &RevealAsked) -> Result<Vec<TokenRevealed>, RevealRefused> {
        if !self.allowed {
            self.record(asked, "refused", &[])?;
            return Err(RevealRefused::NotAllowed);
        }
        let tokens: Vec<&str> = asked.tokens.iter().map(String::as_str).collect();
        let found = match self.vault.reveal(&asked.domain, &tokens) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the vault cannot be read");
                self.record(asked, "failed", &[])?;
                return Err(RevealRefused::Failed("the vault cannot be read".to_owned()));
            }
        };
        let revealed: Vec<TokenRevealed> = asked
            .tokens
            .iter()
            .zip(found)
            .map(|(token, found)| {
                let (state, value) = match found {
                    Revealed::Value(value) => ("revealed", Some(value.to_string())),
                    Revealed::Erased => ("erased", None),
                    Revealed::Unknown => ("unknown", None),
                    Revealed::Damaged => ("damaged", None),
                };
                TokenRevealed { token: token.clone(), state, value }
            })
            .collect();
        self.record(asked, "answered", &revealed)?;
        Ok(revealed)
    }

    fn record(
        &self,
        asked: &RevealAsked,
        outcome: &str,
        revealed: &[TokenRevealed],
    ) -> Result<(), RevealRefused> {
        let known = |at: usize| revealed.get(at).is_some_and(|one| one.state != "unknown");
        let tokens: Vec<Option<&str>> = asked
            .tokens
            .iter()
            .enumerate()
            .map(|(at, token)| (known(at) || is_token(token)).then_some(token.as_str()))
            .collect();
        let count = |state: &str| revealed.iter().filter(|one| one.state == state).count();
        let record = json!({
            "time": time_text(self.clock.now()), "principal": asked.principal.name(), "domain": asked.domain,
            "reason": asked.reason, "outcome": outcome, "count": asked.tokens.len(), "tokens": tokens,
            "revealed": count("revealed"), "unknown": count("unknown"), "erased": count("erased"),
            "damaged": count("damaged"),
        });
        let directory = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::counter!("headwater_reveals_total", "outcome" => outcome.to_owned()).increment(1);
        append(&directory, &format!("{record}\n")).map_err(|error| {
            tracing::error!(%error, directory = %directory.display(), "the audit record cannot be written");
            RevealRefused::Failed("the audit record cannot be written".to_owned())
        })
    }
}

/// One that stands for itself: no value looks like it.
fn is_token(text: &str) -> bool {
    text.strip_prefix(TOKEN_PREFIX)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn time_text(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).map(|time| time.to_string()).unwrap_or_default()
}

/// Appends a line and syncs it. What a crash has left of another line stays alone on its own.
fn append(directory: &Path, line: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let path = directory.join(FILE);
    let new = !path.exists();
    let mut file = fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
    let mut bytes = Vec::with_capacity(line.len() + 1);
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            bytes.push(b'\n');
        }
    }
    bytes.extend_from_slice(line.as_bytes());
    file.write_all(&bytes)?;
    file.sync_all()?;
    if new {
        fs::File::open(directory)?.sync_all()?;
        if let Some(parent) = directory.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_crash_cut_short_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let audit = directory.path().join("audit");
        append(&audit, "{\"a\":1}\n").unwrap();
        let path = audit.join(FILE);
        fs::write(&path, "{\"a\":1}\n{\"b\":").unwrap();
        append(&audit, "{\"c\":3}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":\n{\"c\":3}\n");
    }

    #[test]
    fn only_tokens_are_written_down() {
        assert!(is_token("tok_0123456789abcdef0123456789abcdef"));
        for clear in ["Ada", "tok_Ada", "4111111111111111", "tok_0123456789abcdef0123456789abcdeg"] {
            assert!(!is_token(clear), "{clear}");
        }
    }
}
