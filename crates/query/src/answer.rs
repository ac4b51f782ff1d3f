//! What comes back: the columns at once, the rows as they are made.
//! Always: within the statement's time and rows; after an error nothing follows; dropping it stops the statement.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::Stream;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};

use crate::QueryError;

pub(crate) type Item = Result<RecordBatch, QueryError>;

pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<Item>,
    work: Work,
    deadline: Pin<Box<Sleep>>,
    time_max: Duration,
    ended: bool,
}

/// The task that runs a statement; it ends with this value.
pub(crate) struct Work(pub(crate) tokio::task::JoinHandle<Result<(), QueryError>>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Work {
    /// How the statement ended, once it sends no more.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), QueryError>> {
        match ready!(Pin::new(&mut self.0).poll(context)) {
            Ok(end) => Poll::Ready(end),
            Err(fault) => Poll::Ready(Err(QueryError::Internal(match fault.is_panic() {
                true => "the engine panicked".to_owned(),
                false => "the engine was stopped".to_owned(),
            }))),
        }
    }
}

impl Answer {
    pub(crate) fn new(
        schema: SchemaRef,
        batches: mpsc::Receiver<Item>,
        work: Work,
        deadline: Instant,
        time_max: Duration,
    ) -> Answer {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        Answer { schema, batches, work, deadline, time_max, ended: false }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Stream for Answer {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match self.batches.poll_recv(context) {
            Poll::Ready(Some(item)) => Some(item),
            Poll::Ready(None) => ready!(self.work.poll_end(context)).err().map(Err),
            // A kernel that never yields cannot be stopped, but nobody waits for it longer than this.
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(context));
                self.work.0.abort();
                Some(Err(QueryError::Time(self.time_max)))
            }
        };
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
        }
        Poll::Ready(item)
    }
}
