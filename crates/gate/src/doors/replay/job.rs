//! One job, from its selection to its last append.
//!
//! 1. Select: the places of all rejects that the order means, once.
//! 2. Batch by batch: open, correct, judge again. What passes and what becomes of it are one append, which is waited for.
//! 3. At the gate's limits (memory, journal) it waits, as any producer does.

use std::{sync::Arc, time::Duration};

use hw_event::{Principal, StreamName};
use tokio::time::{Instant, sleep};

use super::{Chosen, Correction, Inner, Job, NotCorrected, OpenedReject, Order, Shelf, State, Task};
use crate::{EventError, Refusal, Retry, Returned, Sender};

/// Rejects that are opened at a time.
const BATCH_MAX: usize = 1000;
/// And of so many partitions: each is a term of a statement, which may only be so deep.
const BATCH_PARTITIONS_MAX: usize = 8;
/// Texts that an expression is computed over at a time, about.
const COMPUTED_BYTES: usize = 4 << 20;
/// A reject that was refused so often again is left alone: whatever tries it does not help.
pub(super) const ATTEMPTS_MAX: u32 = 16;
const WAIT: Duration = Duration::from_millis(500);
/// What was judged again and passes.
const PASSES: &str = "passes";
const PAYLOAD_GONE: &str = "payload_gone";

/// Why a job ends before its end.
enum End {
    Cancelled,
    Failed(String),
}

pub(super) async fn run(inner: Arc<Inner>, job: Job, order: Order) {
    let end = work(&inner, &job, &order).await;
    let mut report = job.report();
    report.waiting = None;
    report.state = match end {
        Ok(()) => State::Done,
        Err(End::Cancelled) => State::Cancelled,
        Err(End::Failed(error)) => {
            tracing::warn!(job = job.id, stream = %report.stream.0, %error, "a job on rejects ended early");
            report.error = Some(error);
            State::Failed
        }
    };
    tracing::info!(
        job = job.id, task = report.task, stream = %report.stream.0, selected = report.selected,
        passed = report.passed, failed = report.failed, state = ?report.state, "a job on rejects ended"
    );
}

async fn work(inner: &Inner, job: &Job, order: &Order) -> Result<(), End> {
    let mut chosen = inner.shelf.select(&order.selection, &order.principal).await.map_err(failed)?;
    {
        let mut report = job.report();
        report.selected = chosen.len() as u64;
        for one in &chosen {
            *report.before.entry(one.code.as_str()).or_default() += 1;
        }
    }
    if !matches!(order.task, Task::Discard) {
        let mut report = job.report();
        chosen.retain(|one| {
            let exhausted = one.attempts >= ATTEMPTS_MAX;
            if exhausted {
                report.exhausted += 1;
                report.done += 1;
                *report.after.entry(one.code.as_str()).or_default() += 1;
            }
            !exhausted
        });
    }
    let mut rest = &chosen[..];
    while !rest.is_empty() {
        if job.cancel.is_cancelled() {
            return Err(End::Cancelled);
        }
        let began = Instant::now();
        rest = match order.task {
            Task::Discard => discard(inner, job, order, rest).await?,
            Task::Fix(_) | Task::Replay => retry(inner, job, order, rest).await?,
        };
        if order.gentle {
            tokio::select! {
                () = job.cancel.cancelled() => return Err(End::Cancelled),
                () = sleep(began.elapsed()) => {}
            }
        }
    }
    Ok(())
}

/// Gives up the first of `rest`; what is left of it comes back.
async fn discard<'a>(
    inner: &Inner,
    job: &Job,
    order: &Order,
    rest: &'a [Chosen],
) -> Result<&'a [Chosen], End> {
    let (batch, rest) = rest.split_at(rest.len().min(BATCH_MAX));
    if !order.dry_run {
        let places: Vec<_> = batch.iter().map(|one| (one.partition, one.offset)).collect();
        let stream = &order.selection.stream;
        patiently(job, || inner.gate.discard(stream, places.clone(), sender(order))).await?;
    }
    let mut report = job.report();
    report.passed += batch.len() as u64;
    report.done += batch.len() as u64;
    *report.after.entry("discarded").or_default() += batch.len() as u64;
    Ok(rest)
}

/// Tries the first of `rest` again, as many as there is room for; what is left of it comes back.
async fn retry<'a>(inner: &Inner, job: &Job, order: &Order, rest: &'a [Chosen]) -> Result<&'a [Chosen], End> {
    let stream = &order.selection.stream;
    let correction = match &order.task {
        Task::Fix(correction) => Some(correction),
        Task::Replay | Task::Discard => None,
    };
    let expression = match correction {
        Some(Correction::Expression(text)) => Some(text.as_str()),
        _ => None,
    };
    let batch = batch_of(rest);
    let shelf: &dyn Shelf = &*inner.shelf;
    let mut opened = shelf.open(stream, batch, expression, &order.principal).await.map_err(failed)?;
    opened.rejects.sort_by_key(|reject| (reject.partition, reject.offset));
    if let Some(expression) = expression {
        compute_over_json(inner, stream, expression, &mut opened.rejects, &order.principal).await?;
    }
    // Those that there was room for are the first of the batch; what came beyond a gap waits for its turn.
    let mut found = opened.rejects.into_iter().peekable();
    let mut taken: Vec<(Chosen, Option<OpenedReject>)> = Vec::with_capacity(batch.len());
    for &one in batch {
        let place = (one.partition, one.offset);
        while found.next_if(|reject| (reject.partition, reject.offset) < place).is_some() {}
        match found.next_if(|reject| (reject.partition, reject.offset) == place) {
            Some(reject) => taken.push((one, Some(reject))),
            None if opened.complete => taken.push((one, None)),
            None => break,
        }
    }
    if taken.is_empty() {
        return Err(End::Failed("a reject is too large to be opened".to_owned()));
    }
    let rest = &rest[taken.len()..];

    let mut retries = Vec::with_capacity(taken.len());
    let mut kept = Vec::new();
    for (one, reject) in taken {
        match prepared(inner, stream, one, reject, correction) {
            Ok(retry) => retries.push((one, retry)),
            Err(why) => kept.push((one, why)),
        }
    }
    let (places, retries): (Vec<Chosen>, Vec<Retry>) = retries.into_iter().unzip();
    let returned = if correction.is_some() { Returned::Fixed } else { Returned::Replayed };
    let gate = &inner.gate;
    let errors = match (retries.is_empty(), order.dry_run) {
        (true, _) => Vec::new(),
        (false, true) => patiently(job, || gate.rehearse(stream.as_str(), retries.clone())).await?,
        (false, false) => {
            patiently(job, || gate.replay(stream.as_str(), retries.clone(), returned, sender(order))).await?
        }
    };
    note(job, &places, &errors, &kept);
    Ok(rest)
}

/// An expression over a payload is one over the JSON that it stands for. What cannot be read has no value.
async fn compute_over_json(
    inner: &Inner,
    stream: &StreamName,
    expression: &str,
    rejects: &mut [OpenedReject],
    principal: &Principal,
) -> Result<(), End> {
    let mut places = (0..rejects.len()).peekable();
    while places.peek().is_some() {
        let (mut texts, mut of, mut bytes) = (Vec::new(), Vec::new(), 0);
        // The JSON of an event may be several times as large as its payload.
        while bytes < COMPUTED_BYTES
            && let Some(place) = places.next()
        {
            let OpenedReject { written: Some(written), bytes: Some(payload), .. } = &rejects[place] else {
                continue;
            };
            let json = inner.gate.json_of(stream.as_str(), *written, payload);
            // Not what the expression made of no text.
            rejects[place].computed = None;
            let Some(text) = json.and_then(|json| String::from_utf8(json).ok()) else { continue };
            bytes += text.len();
            texts.push(text);
            of.push(place);
        }
        if of.is_empty() {
            continue;
        }
        let computed = inner.shelf.compute(expression, texts, principal).await.map_err(failed)?;
        if computed.len() != of.len() {
            return Err(End::Failed("the expression has not one value for each event".to_owned()));
        }
        for (place, value) in of.into_iter().zip(computed) {
            rejects[place].computed = value;
        }
    }
    Ok(())
}

/// The first of `rest` that are opened together.
fn batch_of(rest: &[Chosen]) -> &[Chosen] {
    let batch = &rest[..rest.len().min(BATCH_MAX)];
    let mut partitions = batch.chunk_by(|one, other| one.partition == other.partition);
    let count = partitions.by_ref().take(BATCH_PARTITIONS_MAX).map(<[Chosen]>::len).sum();
    &batch[..count]
}

/// Why a reject is not even tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    PayloadGone,
    NotCorrected,
}

fn prepared(
    inner: &Inner,
    stream: &StreamName,
    one: Chosen,
    reject: Option<OpenedReject>,
    correction: Option<&Correction>,
) -> Result<Retry, Kept> {
    let reject = reject.ok_or(Kept::PayloadGone)?;
    let bytes = reject.bytes.ok_or(Kept::PayloadGone)?;
    let fields = inner.fields.get(&reject.door).cloned();
    // A record over TCP may be JSON all the same, and what a correction makes always is.
    let fields = fields.filter(|_| correction.is_none());
    let bytes = match correction {
        None => bytes,
        Some(correction) => {
            // Of a payload its JSON is corrected. What an expression makes of it has been computed.
            let json = match reject.written {
                None => bytes,
                Some(_) if matches!(correction, Correction::Expression(_)) => bytes,
                Some(written) => {
                    let json = inner.gate.json_of(stream.as_str(), written, &bytes);
                    json.ok_or(Kept::NotCorrected)?
                }
            };
            correction
                .apply(&json, reject.computed.as_deref())
                .map_err(|_: NotCorrected| Kept::NotCorrected)?
        }
    };
    Ok(Retry {
        partition: one.partition,
        offset: one.offset,
        received_at: reject.received_at,
        fields,
        written: reject.written.filter(|_| correction.is_none()),
        attempt: one.attempts + 1,
        bytes: bytes.into(),
    })
}

fn note(job: &Job, places: &[Chosen], errors: &[Option<EventError>], kept: &[(Chosen, Kept)]) {
    let mut report = job.report();
    for error in errors {
        match error {
            None => report.passed += 1,
            Some(_) => report.failed += 1,
        }
        let after = error.as_ref().map_or(PASSES, |error| error.code.as_str());
        *report.after.entry(after).or_default() += 1;
    }
    for (one, why) in kept {
        let after = match why {
            Kept::PayloadGone => {
                report.payload_gone += 1;
                PAYLOAD_GONE
            }
            Kept::NotCorrected => {
                report.not_corrected += 1;
                one.code.as_str()
            }
        };
        *report.after.entry(after).or_default() += 1;
    }
    report.done += (places.len() + kept.len()) as u64;
    report.waiting = None;
}

/// Asks again for as long as the gate only has no room. Once the gate has begun, its answer is waited for, cancelled or not.
async fn patiently<T, F: Future<Output = Result<T, Refusal>>>(
    job: &Job,
    ask: impl Fn() -> F,
) -> Result<T, End> {
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(refusal @ (Refusal::Busy | Refusal::Full(_) | Refusal::Behind(_))) => {
                job.report().waiting = Some(refusal.to_string());
            }
            Err(refusal) => return Err(End::Failed(refusal.to_string())),
        }
        tokio::select! {
            () = job.cancel.cancelled() => return Err(End::Cancelled),
            () = sleep(WAIT) => {}
        }
    }
}

fn sender(order: &Order) -> Sender {
    Sender { principal: order.principal.clone(), reason: order.reason.clone() }
}

fn failed(error: super::ShelfError) -> End {
    End::Failed(error.0)
}
