//! Who answers: this process or another. Callers do not know which.

use async_trait::async_trait;
use hw_event::Principal;

use crate::{Answer, Cut, QueryError, Runner};

#[async_trait]
pub trait Engine: Send + Sync {
    /// Returns once the statement is planned and runs; its rows follow in the answer. Dropping the future or the answer
    /// ends the statement.
    async fn run(&self, statement: &str, principal: &Principal, cut: Cut) -> Result<Answer, QueryError>;
}

#[async_trait]
impl Engine for Runner {
    async fn run(&self, statement: &str, principal: &Principal, cut: Cut) -> Result<Answer, QueryError> {
        Runner::run(self, statement, principal, cut).await
    }
}
