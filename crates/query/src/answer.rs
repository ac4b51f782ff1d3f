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
    sync::{mpsc, oneshot},
    time::{Instant, Sleep},
};

use crate::{QueryError, threads::Work};

pub(crate) type Item = Result<RecordBatch, QueryError>;

pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<Item>,
    work: Work,
    deadline: Pin<Box<Sleep>>,
    time_max: Duration,
    ended: bool,
}

impl Answer {
    fn new(
        schema: SchemaRef,
        batches: mpsc::Receiver<Item>,
        work: Work,
        deadline: Instant,
        time_max: Duration,
    ) -> Answer {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        Answer { schema, batches, work, deadline, time_max, ended: false }
    }

    /// Once the work has told its columns, or how it ended without any.
    pub(crate) async fn begun(
        schema: oneshot::Receiver<SchemaRef>,
        batches: mpsc::Receiver<Item>,
        mut work: Work,
        deadline: Instant,
        time_max: Duration,
    ) -> Result<Answer, QueryError> {
        match tokio::time::timeout_at(deadline, schema).await.map_err(|_| QueryError::Time(time_max))? {
            Ok(schema) => Ok(Answer::new(schema, batches, work, deadline, time_max)),
            // No schema: the work ended before it had one, and says why.
            Err(_) => match std::future::poll_fn(|context| work.poll_end(context)).await {
                Err(error) => Err(error),
                Ok(()) => Err(QueryError::Internal("the statement ended without an answer".to_owned())),
            },
        }
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
                self.work.give_up();
                Some(Err(QueryError::Time(self.time_max)))
            }
        };
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
        }
        Poll::Ready(item)
    }
}
