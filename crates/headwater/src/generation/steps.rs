//! What is done to the rows of each version of a stream, so that they are of the newest.
//! Always: a row is of a version, and goes through the changes that followed it, the first first. Expressions are planned once
//! for the columns they meet. What tokens stand for is durable before rows with them are handed on.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use hw_event::SchemaNumber;
use hw_lake::Rewriting;
use hw_query::Expression;
use hw_schema::{
    RewriteAction, Schema, Stream,
    rows::{self, Change, Computed, Computing, Means, Misfits, Protection, RowsError},
};
use hw_vault::{HashKey, Tokens, Vault};
use tokio::runtime::Handle;

use crate::erasure::subject_paths;

pub struct Steps {
    chains: Vec<Vec<Change>>,
    shield: Option<Shield>,
    expressions: Expressions,
    pub misfits: Misfits,
}

/// What protects, and where it is kept what tokens stand for.
struct Shield {
    protection: Protection,
    vault: Vault,
    runtime: Handle,
}

/// By version, the changes that its rows go through. A version follows the one before; the last is the newest.
pub fn chains(versions: &[Arc<Schema>]) -> Vec<Vec<Change>> {
    let mut chains = vec![Vec::new(); versions.len()];
    for at in (0..versions.len().saturating_sub(1)).rev() {
        let (before, next) = (&versions[at], &versions[at + 1]);
        let mut chain = Vec::new();
        if before.check_change(next).is_err() {
            let rewrites = before.check_generation(next).unwrap_or_default();
            chain.push(Change { before: before.table_columns().clone(), rewrites });
        }
        chain.extend(chains[at + 1].iter().cloned());
        chains[at] = chain;
    }
    chains
}

impl Steps {
    /// For rows that are kept.
    pub fn protecting(stream: &Stream, key: HashKey, vault: Vault) -> Steps {
        let chains = chains(&stream.versions);
        let mut domains: Vec<Arc<str>> = Vec::new();
        for rewrite in chains.iter().flatten().flat_map(|change| &change.rewrites) {
            if let RewriteAction::Tokenize(domain, _) = &rewrite.action
                && !domains.contains(domain)
            {
                domains.push(domain.clone());
            }
        }
        let protection = Protection {
            key,
            tokens: Tokens::new(&vault.token_keys(), &domains),
            domains,
            subjects: subject_paths(stream).into_iter().collect(),
        };
        let shield = Some(Shield { protection, vault, runtime: Handle::current() });
        Steps { chains, shield, expressions: Expressions::default(), misfits: Misfits::default() }
    }

    /// For rows that are only looked at.
    pub fn looking(versions: &[Arc<Schema>]) -> Steps {
        let chains = chains(versions);
        Steps { chains, shield: None, expressions: Expressions::default(), misfits: Misfits::default() }
    }

    fn chain(&self, of: Option<SchemaNumber>) -> &[Change] {
        // A file of which it is not known is treated as the oldest.
        let at = of.and_then(|number| usize::try_from(number.0).ok()).unwrap_or(1).saturating_sub(1);
        self.chains.get(at).map_or(&[], Vec::as_slice)
    }

    fn rewritten(&mut self, batch: &RecordBatch, of: Option<SchemaNumber>) -> Result<RecordBatch, RowsError> {
        let chain = self.chain(of).to_vec();
        let mut means = Means {
            protection: self.shield.as_mut().map(|shield| &mut shield.protection),
            computing: &mut self.expressions,
            misfits: &mut self.misfits,
        };
        rows::rewrite(batch, &chain, &mut means)
    }

    /// Counts what does not fit.
    pub fn look(&mut self, batch: &RecordBatch, of: Option<SchemaNumber>) -> Result<(), RowsError> {
        self.rewritten(batch, of)?;
        if let Some(shield) = &mut self.shield {
            // Nobody will read such a token.
            drop(shield.protection.tokens.take_entries());
        }
        Ok(())
    }
}

impl Rewriting for Steps {
    fn rows(&mut self, batch: RecordBatch, of: Option<SchemaNumber>) -> Result<RecordBatch, RowsError> {
        let rewritten = self.rewritten(&batch, of)?;
        if let Some(Shield { protection, vault, runtime }) = &mut self.shield {
            // What tokens stand for is durable before any file that has them can be swapped in.
            let kept = runtime.block_on(vault.keep(protection.tokens.take_entries()));
            kept.map_err(|error| RowsError::Mismatch(format!("the vault cannot keep tokens: {error}")))?;
        }
        Ok(rewritten)
    }
}

/// The expressions that were planned, each for certain columns.
#[derive(Default)]
struct Expressions(Vec<(String, SchemaRef, Expression)>);

impl Computing for Expressions {
    fn compute(
        &mut self,
        expression: &hw_schema::Expression,
        rows: &RecordBatch,
    ) -> Result<Computed, RowsError> {
        let columns = rows.schema();
        let known = self.0.iter().position(|(text, of, _)| *text == expression.text && *of == columns);
        let at = match known {
            Some(at) => at,
            None => {
                let planned = Expression::new(&expression.text, &columns, &expression.data_type);
                let planned = planned.map_err(|error| RowsError::Mismatch(error.to_string()))?;
                self.0.push((expression.text.clone(), columns, planned));
                self.0.len() - 1
            }
        };
        let computed = self.0[at].2.evaluate(rows);
        let (values, failed) = computed.map_err(|error| RowsError::Mismatch(error.to_string()))?;
        Ok(Computed { values, failed })
    }
}
