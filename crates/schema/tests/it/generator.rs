//! The generator against random schemas: what it calls good is good, to us and to an independent implementation; what it
//! calls bad has exactly the intended code; and no code that a random event is refused with is unknown to it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hw_event::RejectCode;
use hw_schema::Generator;

use crate::{
    LIMITS, Random, decoder,
    random_schema::{Rules, object_schema, value_for},
    schema, verdict,
};

const SCHEMAS: u64 = 250;
const GOOD: u64 = 25;
const BAD: u64 = 4;
const RANDOM_EVENTS: usize = 120;

#[test]
fn good_is_good_and_bad_is_bad_in_the_intended_way() {
    let (mut good, mut seen, mut unmade) = (0, HashMap::new(), 0);
    for seed in 1..=SCHEMAS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let document = object_schema(&mut random, 0, Rules::Compiled);
        let text = document.to_string();
        let oracle = jsonschema::options().should_validate_formats(true).build(&document).unwrap();
        let schema = schema(&text);
        let mut judge = decoder(&schema);
        let mut generator = Generator::new(Arc::clone(&schema), LIMITS, seed);
        let codes: HashSet<RejectCode> = generator.codes().collect();
        unmade += generator.unmade().len();
        for number in 0..GOOD {
            let Ok(event) = generator.event(number, None) else {
                assert!(
                    generator.unmade().iter().any(|not_made| not_made.code.is_none()),
                    "seed {seed}\n{text}"
                );
                break;
            };
            let shown = String::from_utf8_lossy(&event);
            assert_eq!(verdict(&mut judge, &event), None, "seed {seed}\n{text}\n{shown}");
            // Beyond what a double holds exactly, our verdict is exact and the oracle's is not.
            if let Ok(value) = serde_json::from_slice(&event)
                && is_exact(&value)
            {
                assert!(oracle.is_valid(&value), "seed {seed}\n{text}\n{shown}");
            }
            good += 1;
        }
        for &code in &codes {
            for number in 0..BAD {
                let event = generator.event(number, Some(code)).unwrap_or_else(|error| {
                    panic!("seed {seed}: {error}\n{text}");
                });
                assert_eq!(verdict(&mut judge, &event), Some(code), "seed {seed}\n{text}");
                assert!(!event.contains(&b'\n'));
                *seen.entry(code).or_insert(0) += 1;
            }
        }
        for _ in 0..RANDOM_EVENTS {
            let event = value_for(&document, &mut random).to_string();
            if let Some(code) = verdict(&mut judge, event.as_bytes()) {
                assert!(
                    codes.contains(&code),
                    "seed {seed}: {code} is possible and not made\n{text}\n{event}"
                );
            }
        }
    }
    println!("{good} good, {seen:?}, {unmade} codes of rules that nothing can break");
    assert!(good > 5_000, "{good}");
    for code in RejectCode::ALL {
        // One is for records, one for streams without a schema, one for rules that are not compiled.
        let outside = matches!(code, RejectCode::Record | RejectCode::NoSchema | RejectCode::Keyword);
        assert!(outside || seen.contains_key(code), "no event was made with {code}");
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
