//! Who answers: this process or another. Callers do not know which.

use async_trait::async_trait;
use hw_event::Principal;

use crate::{
    Answer, Cut, Names, QueryError, Runner,
    statement::{self, Limits},
};

/// A longer text is read on a thread of its own.
const TEXT_BYTES_HERE: usize = 16 * 1024;

#[async_trait]
pub trait Engine: Send + Sync {
    /// What the statement can read: a cut for it needs no more. An error is what `run` would say.
    async fn names(&self, statement: &str) -> Result<Names, QueryError>;

    /// Returns once the statement is planned and runs; its rows follow in the answer. Dropping the future or the answer
    /// ends the statement.
    async fn run(&self, statement: &str, principal: &Principal, cut: Cut) -> Result<Answer, QueryError>;
}

#[async_trait]
impl Engine for Runner {
    async fn names(&self, statement: &str) -> Result<Names, QueryError> {
        names_in(statement, self.settings().limits()).await
    }

    async fn run(&self, statement: &str, principal: &Principal, cut: Cut) -> Result<Answer, QueryError> {
        Runner::run(self, statement, principal, cut).await
    }
}

pub(crate) async fn names_in(text: &str, limits: Limits) -> Result<Names, QueryError> {
    if text.len() <= TEXT_BYTES_HERE || text.len() > limits.text_bytes_max {
        return statement::glance(text, limits);
    }
    let text = text.to_owned();
    let glance = tokio::task::spawn_blocking(move || statement::glance(&text, limits));
    glance.await.map_err(|_| QueryError::Internal("reading a statement panicked".to_owned()))?
}
