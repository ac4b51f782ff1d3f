//! Rejects that come back: once, with their origin, in one append with what became of them.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use hw_event::{Principal, RESOLUTIONS, Timestamp};
use hw_gate::{
    Refusal, Retry, Returned, Sender,
    doors::replay::{
        Chosen, Correction, NotStarted, Opened, OpenedReject, Order, Replays, Report, Selection, Shelf,
        ShelfError, State, Task,
    },
};
use hw_journal::{BlockKind, Log, RecordKind};
use hw_schema::rows::{self, Optional};
use tokio_util::sync::CancellationToken;

use crate::fixture::{House, World, request};

fn retry(offset: i64, bytes: &str) -> Retry {
    Retry {
        partition: 2,
        offset,
        received_at: Timestamp(1_700_000_000_000_000),
        fields: None,
        written: None,
        attempt: 1,
        bytes: Bytes::copy_from_slice(bytes.as_bytes()),
    }
}

fn sender() -> Sender {
    Sender { principal: Principal::local(), reason: Some("corrected".into()) }
}

#[tokio::test]
async fn what_passes_is_a_row_and_what_fails_stays_one_reject() {
    let house = World::new().open();
    let bad = house.gate.submit(request("reading", &["{}", r#"{"id":1}"#])).await.unwrap();
    assert_eq!(bad.rejected, 2);
    let before = house.appends().len();

    let retries = vec![retry(0, r#"{"id":1,"who":"a"}"#), retry(1, r#"{"id":"x","who":"a"}"#)];
    let errors = house.gate.replay("reading", retries, Returned::Fixed, sender()).await.unwrap();
    assert_eq!(errors[0], None);
    assert_eq!(errors[1].as_ref().unwrap().code.as_str(), "type");

    let appends = house.appends();
    assert_eq!(appends.len(), before + 1, "rows and resolutions are one append");
    let append = &appends.last().unwrap().append;
    assert!(append.blocks.iter().all(|block| block.header.kind == BlockKind::Rows));
    assert_eq!(append.blocks.len(), 2);
    let tallies: Vec<_> = append.records.iter().filter(|record| record.kind == RecordKind::Tally).collect();
    let [tally] = &tallies[..] else { panic!("{tallies:?}") };
    let tally = hw_event::Tally::from_bytes(&tally.value).unwrap();
    assert_eq!((tally.received, tally.stored, tally.replayed, &*tally.door), (0, 0, 1, "replay"));

    let rows = house.rows("reading");
    let origin = rows[0].column_by_name("_origin").unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!(origin, "rejects/reading/2/0");
    let time = rows[0].column_by_name("_time").unwrap();
    let time = time.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0);
    assert_eq!(time, 1_700_000_000_000_000, "the time at which it first came");

    let resolutions = &house.rows(RESOLUTIONS)[0];
    let text =
        |name: &str, row| resolutions.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    assert_eq!([text("status", 0), text("status", 1)], ["fixed", "open"]);
    assert_eq!((text("code", 1), text("path", 1)), ("type".into(), "/id".into()));
    assert_eq!(text("reason", 0), "corrected");
    let offsets = resolutions.column_by_name("offset").unwrap().as_primitive::<Int64Type>();
    assert_eq!(offsets.values(), &[0, 1]);
    house.close().await;
}

#[tokio::test]
async fn rows_that_come_and_rows_that_come_back_share_a_block() {
    let house = World::new().open();
    let fresh = house.gate.submit(request("reading", &[r#"{"id":7,"who":"z"}"#]));
    let back = vec![retry(0, r#"{"id":1,"who":"a"}"#), retry(1, r#"{"id":2,"who":"b"}"#)];
    let back = house.gate.replay("reading", back, Returned::Replayed, sender());
    let (fresh, back) = tokio::join!(fresh, back);
    assert_eq!((fresh.unwrap().accepted, back.unwrap()), (1, vec![None, None]));
    let mut origins = Vec::new();
    for batch in house.rows("reading") {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().clone();
        let column = batch.column_by_name("_origin").map(|column| column.as_string::<i32>().clone());
        for row in 0..batch.num_rows() {
            let origin = column.as_ref().and_then(|column| column.iter().nth(row).flatten());
            origins.push((ids.value(row), origin.map(str::to_owned)));
        }
    }
    origins.sort();
    let of = |offset| Some(format!("rejects/reading/2/{offset}"));
    assert_eq!(origins, [(1, of(0)), (2, of(1)), (7, None)]);
    house.close().await;
}

#[tokio::test]
async fn a_rehearsal_writes_nothing_and_a_failed_append_leaves_nothing() {
    let world = World::new();
    let house = world.open();
    let before = house.appends().len();
    let errors =
        house.gate.rehearse("reading", vec![retry(0, "{}"), retry(1, r#"{"id":1,"who":"a"}"#)]).await;
    let codes: Vec<_> =
        errors.unwrap().iter().map(|error| error.as_ref().map(|error| error.code.as_str())).collect();
    assert_eq!(codes, [Some("required"), None]);
    assert_eq!(house.appends().len(), before);
    assert!(house.gate.registry().by_name(RESOLUTIONS).is_none());

    let undeclared = house.gate.replay("nowhere", vec![retry(0, "{}")], Returned::Replayed, sender()).await;
    assert!(matches!(undeclared, Err(Refusal::BadName(..))), "{undeclared:?}");
    let sent = house.gate.submit(request(RESOLUTIONS, &["{}"])).await;
    assert!(matches!(sent, Err(Refusal::BadName(..))), "{sent:?}");
    house.close().await;
}

#[tokio::test]
async fn what_is_discarded_says_why() {
    let house = World::new().open();
    let name = "reading".parse().unwrap();
    house.gate.discard(&name, vec![(0, 4), (1, 9)], sender()).await.unwrap();
    let resolutions = &house.rows(RESOLUTIONS)[0];
    let statuses = resolutions.column_by_name("status").unwrap().as_string::<i32>();
    assert!(statuses.iter().all(|status| status == Some("discarded")));
    assert_eq!(house.ledger(), [0; 5]);
    house.close().await;
}

/// The rejects of a house, in memory, and what a query would say of them: those that no resolution has ended are open.
struct HouseShelf {
    gate: hw_gate::Gate,
    journal: hw_journal::Journal,
    seal_keys: std::sync::Arc<hw_vault::SealKeys>,
    /// Room for so many at a time.
    room: usize,
}

impl HouseShelf {
    fn of(house: &House, room: usize) -> std::sync::Arc<HouseShelf> {
        let House { gate, journal, seal_keys, .. } = house;
        let (gate, journal, seal_keys) = (gate.clone(), journal.clone(), seal_keys.clone());
        std::sync::Arc::new(HouseShelf { gate, journal, seal_keys, room })
    }

    fn rejects(&self, stream: &str) -> Vec<(Chosen, OpenedReject)> {
        let id = self.gate.registry().by_name(stream).unwrap().id;
        let resolutions = self.gate.registry().by_name(RESOLUTIONS).map(|stream| stream.id);
        let (mut all, mut resolved) = (Vec::new(), std::collections::HashMap::new());
        for append in self.journal.read(hw_event::Seq::ZERO, usize::MAX).unwrap() {
            for block in append.append.blocks {
                let header = &block.header;
                if header.kind == BlockKind::Rejects && header.stream == id {
                    let body =
                        rows::decode(&rows::rejects_body_schema(), header.encoding, block.body.clone())
                            .unwrap();
                    let mut row = 0;
                    for run in &header.runs {
                        for _ in 0..run.rows {
                            let text =
                                |name: &str| body.column_by_name(name).unwrap().as_string::<i32>().value(row);
                            let offset = body.column(0).as_primitive::<Int64Type>().value(row);
                            let sealed =
                                body.column_by_name("payload").unwrap().as_binary::<i32>().value(row);
                            let code = text("code").parse().unwrap();
                            let one = Chosen { partition: run.partition, offset, code, attempts: 0 };
                            let opened = OpenedReject {
                                partition: run.partition,
                                offset,
                                received_at: append.append.received_at,
                                door: text("door").to_owned(),
                                written: None,
                                bytes: self.seal_keys.open(sealed).ok(),
                                computed: None,
                            };
                            all.push((one, opened));
                            row += 1;
                        }
                    }
                }
                if header.kind == BlockKind::Rows && Some(header.stream) == resolutions {
                    let declared = self.gate.registry().by_name(RESOLUTIONS).unwrap();
                    let columns = rows::body_schema(declared.current().unwrap().1, Optional::NONE);
                    let body = rows::decode(&columns, header.encoding, block.body).unwrap();
                    for row in 0..body.num_rows() {
                        let number = |name: &str| {
                            body.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row)
                        };
                        let status = body.column_by_name("status").unwrap().as_string::<i32>().value(row);
                        let place = (number("partition") as i32, number("offset"));
                        resolved.insert(place, (status.to_owned(), number("attempt") as u32));
                    }
                }
            }
        }
        all.retain_mut(|(one, _)| match resolved.get(&(one.partition, one.offset)) {
            Some((status, attempts)) => {
                one.attempts = *attempts;
                status == "open"
            }
            None => true,
        });
        all.sort_by_key(|(one, _)| (one.partition, one.offset));
        all
    }
}

#[async_trait::async_trait]
impl Shelf for HouseShelf {
    async fn select(&self, selection: &Selection, _: &Principal) -> Result<Vec<Chosen>, ShelfError> {
        Ok(self.rejects(selection.stream.as_str()).into_iter().map(|(one, _)| one).collect())
    }

    async fn open(
        &self,
        stream: &hw_event::StreamName,
        places: &[Chosen],
        _: Option<&str>,
        _: &Principal,
    ) -> Result<Opened, ShelfError> {
        let mut rejects: Vec<_> = self
            .rejects(stream.as_str())
            .into_iter()
            .filter(|(one, _)| {
                places.iter().any(|place| (place.partition, place.offset) == (one.partition, one.offset))
            })
            .map(|(_, opened)| opened)
            .collect();
        let complete = rejects.len() <= self.room;
        rejects.truncate(self.room);
        Ok(Opened { rejects, complete })
    }

    async fn compute(
        &self,
        _: &str,
        texts: Vec<String>,
        _: &Principal,
    ) -> Result<Vec<Option<Vec<u8>>>, ShelfError> {
        Ok(texts.into_iter().map(|text| Some(text.into_bytes())).collect())
    }
}

fn order(stream: &str, task: Task) -> Order {
    let stream = stream.parse().unwrap();
    Order {
        task,
        selection: Selection { stream, code: None, condition: None, from: None, to: None, limit: None },
        dry_run: false,
        reason: None,
        principal: Principal::local(),
        gentle: false,
    }
}

fn replays(house: &House, room: usize) -> Replays {
    Replays::new(
        house.gate.clone(),
        HouseShelf::of(house, room),
        Default::default(),
        CancellationToken::new(),
    )
}

async fn ended(replays: &Replays, order: Order) -> Report {
    let job = replays.start(order).unwrap();
    loop {
        let report = replays.report(job).unwrap();
        if report.state != State::Running {
            assert_eq!((report.state, &report.error), (State::Done, &None));
            assert_eq!(report.selected, report.done, "{report:?}");
            return report;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_corrects_what_it_can_and_the_rest_stays_open_for_so_many_attempts() {
    let house = World::new().open();
    let events: Vec<String> = (0..7).map(|id| format!(r#"{{"id":"{id}","who":"a"}}"#)).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).chain(["{"]).collect();
    assert_eq!(house.gate.submit(request("reading", &events)).await.unwrap().rejected, 8);
    // Three at a time: a batch that does not fit is no reason to lose its end.
    let replays = replays(&house, 3);
    let set = Correction::Set(vec![("/id".to_owned(), serde_json::json!(5))]);

    let dry = ended(&replays, Order { dry_run: true, ..order("reading", Task::Fix(set.clone())) }).await;
    assert_eq!((dry.passed, dry.failed, dry.not_corrected), (7, 0, 1));
    assert_eq!((dry.before["type"], dry.after["passes"], dry.after["json_syntax"]), (7, 7, 1));
    assert_eq!(house.stored("reading"), []);

    let fixed = ended(&replays, order("reading", Task::Fix(set.clone()))).await;
    assert_eq!((fixed.passed, fixed.not_corrected), (7, 1));
    assert_eq!(house.stored("reading").len(), 7);
    let again = ended(&replays, order("reading", Task::Fix(set))).await;
    assert_eq!((again.selected, again.passed, again.not_corrected), (1, 0, 1), "nothing comes back twice");

    for attempt in 1..=16 {
        let report = ended(&replays, order("reading", Task::Replay)).await;
        assert_eq!((report.failed, report.exhausted), (1, 0), "attempt {attempt}");
    }
    let report = ended(&replays, order("reading", Task::Replay)).await;
    assert_eq!((report.failed, report.exhausted), (0, 1));
    assert_eq!(house.rejected().len(), 8, "a reject that fails again is no second reject");

    let discarded = ended(&replays, order("reading", Task::Discard)).await;
    assert_eq!((discarded.passed, discarded.after["discarded"]), (1, 1));
    assert_eq!(ended(&replays, order("reading", Task::Replay)).await.selected, 0);
    house.close().await;
}

#[tokio::test]
async fn a_stream_has_one_job_and_needs_a_schema() {
    let house = World::new().open();
    house.gate.submit(request("nobody", &["{}"])).await.unwrap();
    let replays = replays(&house, 9);
    let first = replays.start(order("reading", Task::Replay)).unwrap();
    assert_eq!(replays.start(order("reading", Task::Discard)), Err(NotStarted::Running(first)));
    assert_eq!(replays.start(order("nobody", Task::Replay)), Err(NotStarted::NoSchema));
    assert_eq!(replays.start(order("nowhere", Task::Replay)), Err(NotStarted::Unknown));
    assert!(replays.cancel(first) && !replays.cancel(99));
    assert_eq!(ended(&replays, order("nobody", Task::Discard)).await.passed, 1);
    house.close().await;
}
