//! The generator against random schemas: what it calls good is good, to us and to an independent implementation; what it
//! calls bad has exactly the intended code; and no code that a random event is refused with is unknown to it.

use std::{
    collections::{HashMap, HashSet},
    panic,
    sync::Arc,
};

use hw_event::RejectCode;
use hw_schema::Generator;

use crate::{
    LIMITS, Random, decoder,
    random_schema::{Rules, definitions, object_schema, value_for},
    schema, verdict,
};

/// Of each kind.
const SCHEMAS: u64 = 250;
const GOOD: u64 = 25;
const BAD: u64 = 4;
const RANDOM_EVENTS: usize = 120;
/// Random events among which a good one is looked for, where the generator has made none.
const SEARCHED: usize = 4_000;

#[derive(Default)]
struct Tally {
    good: usize,
    seen: HashMap<RejectCode, usize>,
    /// Codes of rules that no event was found for.
    unmade: usize,
    /// Schemas without a good event.
    impossible: usize,
}

#[test]
fn good_is_good_and_bad_is_bad_in_the_intended_way() {
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for rules in [Rules::Compiled, Rules::All] {
        for seed in 1..=SCHEMAS {
            // All are tried, so that one failure does not hide the others.
            let check = panic::AssertUnwindSafe(|| check_schema(seed, rules, &mut tally));
            if panic::catch_unwind(check).is_err() {
                failed.push((seed, rules));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    let Tally { good, seen, unmade, impossible } = tally;
    println!("{good} good, {seen:?}, {unmade} codes of rules that nothing can break");
    println!("{impossible} schemas that nothing passes");
    assert!(good > 10_000, "{good}");
    assert!(impossible < 20, "{impossible}");
    for code in RejectCode::ALL {
        // One is for records, one for streams without a schema.
        let outside = matches!(code, RejectCode::Record | RejectCode::NoSchema);
        assert!(outside || seen.contains_key(code), "no event was made with {code}");
    }
}

fn check_schema(seed: u64, rules: Rules, tally: &mut Tally) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut document = object_schema(&mut random, 0, rules);
    if rules == Rules::All {
        document["$defs"] = definitions();
    }
    let text = document.to_string();
    let oracle = jsonschema::options().should_validate_formats(true).build(&document).unwrap();
    let schema = schema(&text);
    let mut judge = decoder(&schema);
    let mut generator = Generator::new(Arc::clone(&schema), LIMITS, seed);
    let codes: HashSet<RejectCode> = generator.codes().collect();
    tally.unmade += generator.unmade().len();
    let told = |event: &[u8]| format!("seed {seed}, {rules:?}\n{text}\n{}", String::from_utf8_lossy(event));
    for number in 0..GOOD {
        let Ok(event) = generator.event(number, None) else {
            let known = generator.unmade().iter().any(|not_made| not_made.code.is_none());
            assert!(known, "event {number}: {}", told(b""));
            for _ in 0..SEARCHED {
                let event = value_for(&document, &mut random).to_string();
                let verdict = verdict(&mut judge, event.as_bytes());
                assert!(verdict.is_some(), "a good event was not made: {}", told(event.as_bytes()));
            }
            tally.impossible += 1;
            break;
        };
        assert_eq!(verdict(&mut judge, &event), None, "{}", told(&event));
        // Beyond what a double holds exactly, our verdict is exact and the oracle's is not.
        if let Ok(value) = serde_json::from_slice(&event)
            && is_exact(&value)
        {
            assert!(oracle.is_valid(&value), "{}", told(&event));
        }
        tally.good += 1;
    }
    for &code in &codes {
        for number in 0..BAD {
            let event = generator.event(number, Some(code)).unwrap_or_else(|error| {
                panic!("{error}: {}", told(b""));
            });
            assert_eq!(verdict(&mut judge, &event), Some(code), "{}", told(&event));
            assert!(!event.contains(&b'\n'));
            *tally.seen.entry(code).or_insert(0) += 1;
        }
    }
    for _ in 0..RANDOM_EVENTS {
        let event = value_for(&document, &mut random).to_string();
        if let Some(code) = verdict(&mut judge, event.as_bytes()) {
            assert!(codes.contains(&code), "{code} is possible and not made: {}", told(event.as_bytes()));
        }
    }
    // The same again from the same seed; to make a generator twice for each schema would take long.
    if !seed.is_multiple_of(10) {
        return;
    }
    let mut again = Generator::new(schema, LIMITS, seed);
    for (number, intended) in
        [(0, None), (1, None), (0, Some(RejectCode::Keyword)), (3, Some(RejectCode::Keyword))]
    {
        assert_eq!(again.event(number, intended), generator.event(number, intended), "{}", told(b""));
    }
}

fn is_exact(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < 1e15),
        serde_json::Value::Array(items) => items.iter().all(is_exact),
        serde_json::Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}
