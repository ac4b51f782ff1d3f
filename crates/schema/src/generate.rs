//! Events made from a schema: good ones, and bad ones of every code that the schema can give.
//! Always: the same schema, limits, seed and number give the same bytes, on every machine and within a minor version;
//! each event is judged by the schema's own decoder before it is given out, so that a good one passes and a bad one has
//! exactly the intended code; one event is one line. What cannot be made is said. Does no IO and reads no clock.

mod fault;
mod guarded;
mod json;
mod mutate;
mod number;
mod part;
mod parts;
mod pattern;
mod random;
mod site;
mod text;
mod tree;
mod types;
mod value;

use std::sync::Arc;

use hw_event::RejectCode;
use hw_vault::HashKey;

use self::{
    parts::Parts,
    random::Random,
    site::Site,
    tree::Tree,
    value::{Aim, Maker},
};
use crate::{DecodeLimits, Decoder, Format, Record, Rejected, Schema};

/// Attempts at one event.
const TRIES: u64 = 64;
/// Attempts at one site when the generator is made.
const SITE_TRIES: u64 = 24;
/// So many sites of a code are enough …
const SITES_USED_MAX: usize = 64;
/// … and so many attempts are made to find the first.
const PROBES_MAX: u64 = 4_000;
/// Values made, of all attempts at one event or at the sites of one code.
const EFFORT_MAX: u64 = 1_000_000;
const PROBE_SEED: u64 = 0x5eed;
/// An event beyond the limit of size is as long as the limit: one in so many bad ones is enough.
const TOO_LARGE_EVERY: u64 = 64;
const MILLION: u64 = 1_000_000;

/// Makes events of one schema.
pub struct Generator {
    decoder: Decoder,
    parts: Arc<Parts>,
    limits: DecodeLimits,
    seed: u64,
    /// With the sites where it can be reached; none for what is wrong with a text.
    codes: Vec<(RejectCode, Vec<Site>)>,
    unmade: Vec<NotMade>,
    /// Values made so far.
    effort: u64,
}

/// An event that could not be made within a bounded number of tries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {} event could be made: {reason}", .code.map_or("good", RejectCode::as_str))]
pub struct NotMade {
    /// `None`: a good one.
    pub code: Option<RejectCode>,
    /// What the last attempt came to.
    pub reason: String,
}

impl Generator {
    /// Finds out which codes the schema can give, by trying.
    pub fn new(schema: Arc<Schema>, limits: DecodeLimits, seed: u64) -> Generator {
        let parts = Arc::new(Parts::new(&schema));
        let sites = site::sites(&schema, &parts);
        // Nothing that is made is stored: the key protects nothing.
        let decoder = Decoder::new(schema, HashKey::from_bytes(&[0; 32]), limits);
        let codes = fault::OF_TEXT.iter().map(|code| (*code, Vec::new())).collect();
        let mut generator = Generator { decoder, parts, limits, seed, codes, unmade: Vec::new(), effort: 0 };
        if let Err(not_made) = generator.event(0, None) {
            generator.unmade.push(not_made);
        }
        for &code in RejectCode::ALL {
            let sites: Vec<&Site> = sites.iter().filter(|site| site.code == code).collect();
            match generator.probe(&sites) {
                Ok(usable) if usable.is_empty() => {}
                Ok(usable) => generator.codes.push((code, usable)),
                Err(reason) => generator.unmade.push(NotMade { code: Some(code), reason }),
            }
        }
        generator
    }

    /// The codes of the bad events that can be made.
    pub fn codes(&self) -> impl Iterator<Item = RejectCode> {
        self.codes.iter().map(|(code, _)| *code)
    }

    /// What a rule of the schema names and no event that was tried could reach.
    pub fn unmade(&self) -> &[NotMade] {
        &self.unmade
    }

    /// What the event of this number shall be, if so many of a million are bad: `None` is a good one. Of every first n
    /// events exactly the share is bad, and the codes take turns.
    pub fn intended(&self, number: u64, bad_per_million: u32) -> Option<RejectCode> {
        let bad_before = |number: u64| {
            u64::try_from(u128::from(number) * u128::from(bad_per_million) / u128::from(MILLION))
                .unwrap_or(u64::MAX)
        };
        let turn = bad_before(number);
        if bad_before(number.checked_add(1)?) == turn {
            return None;
        }
        let len = self.codes.len() as u64;
        let code =
            |at: u64| usize::try_from(at % len).ok().and_then(|at| self.codes.get(at)).map(|(code, _)| *code);
        match code(turn)? {
            RejectCode::TooLarge if !(turn / len).is_multiple_of(TOO_LARGE_EVERY) => {
                code(turn + 1 + turn / len % (len - 1))
            }
            chosen => Some(chosen),
        }
    }

    /// The event of this number.
    pub fn event(&mut self, number: u64, intended: Option<RejectCode>) -> Result<Vec<u8>, NotMade> {
        let effort = self.effort;
        let mut last = None;
        for attempt in 0..TRIES {
            let mut random = Random::of(&[self.seed, number, attempt]);
            let site = intended.filter(|code| !fault::is_of_text(*code)).map(|code| {
                let sites =
                    self.codes.iter().find(|(other, _)| *other == code).map(|(_, sites)| sites.as_slice());
                sites.and_then(|sites| sites.get(random.index(sites.len())).cloned())
            });
            let aim = match &site {
                Some(None) => break, // A code without sites.
                Some(Some(site)) => Some(Aim::at(site)),
                None => None,
            };
            match self.attempt(Attempt { intended, aim, random, number }) {
                Ok(event) => return Ok(event),
                Err(reason) => last = Some(reason),
            }
            if self.effort - effort > EFFORT_MAX {
                break;
            }
        }
        let reason =
            last.map_or_else(|| "the schema has no rule of this code".to_owned(), |last| last.text());
        Err(NotMade { code: intended, reason })
    }

    /// The sites at which an event with the site's code could be made, or why there is none.
    fn probe(&mut self, sites: &[&Site]) -> Result<Vec<Site>, String> {
        let mut order: Vec<u64> = (0..sites.len() as u64).collect();
        Random::of(&[PROBE_SEED]).shuffle(&mut order);
        let mut usable = Vec::new();
        let effort = self.effort;
        let mut last = None;
        let mut probes = 0;
        for at in order {
            let Some(site) = usize::try_from(at).ok().and_then(|at| sites.get(at)) else { continue };
            for attempt in 0..SITE_TRIES {
                probes += 1;
                let random = Random::of(&[PROBE_SEED, at, attempt]);
                let aim = Some(Aim::at(site));
                let attempt = Attempt { intended: Some(site.code), aim, random, number: attempt };
                match self.attempt(attempt) {
                    Ok(_) => {
                        usable.push((*site).clone());
                        break;
                    }
                    Err(reason) => last = Some(reason),
                }
            }
            if usable.len() >= SITES_USED_MAX || probes >= PROBES_MAX || self.effort - effort > EFFORT_MAX {
                break;
            }
        }
        match last {
            Some(last) if usable.is_empty() => Err(last.text()),
            _ => Ok(usable),
        }
    }

    fn attempt(&mut self, attempt: Attempt<'_>) -> Result<Vec<u8>, Failed> {
        let Attempt { intended, aim, random, number } = attempt;
        let schema = Arc::clone(self.decoder.schema());
        let parts = Arc::clone(&self.parts);
        let mut maker = Maker::new(&schema, &parts, random, number);
        let made = maker.root(aim);
        self.effort += u64::from(maker.values) + 1;
        let mut random = maker.random;
        let event = match (intended.filter(|code| fault::is_of_text(*code)), made) {
            (Some(code), made) => {
                // Such a fault needs no good event around it.
                let tree = made.unwrap_or(Tree::Object(Vec::new()));
                fault::spoil(tree, code, self.limits, &mut random).ok_or(Failed::NoValue)?
            }
            (None, made) => made.ok_or(Failed::NoValue)?.write(&mut random),
        };
        // A door takes an event for a line.
        if event.contains(&b'\n') || event.trim_ascii().is_empty() {
            return Err(Failed::NoValue);
        }
        let record = Record { bytes: &event, format: Format::Json, fault: None, event_time: None };
        let applied = self.decoder.apply(&[record]);
        match (applied.rejects.into_iter().next(), intended) {
            (None, None) => Ok(event),
            (Some(rejected), Some(code)) if rejected.code == code => Ok(event),
            (Some(rejected), _) => Err(Failed::Refused(Box::new(rejected))),
            (None, Some(_)) => Err(Failed::Accepted),
        }
    }
}

struct Attempt<'a> {
    intended: Option<RejectCode>,
    aim: Option<Aim<'a>>,
    random: Random,
    number: u64,
}

/// What an attempt came to instead.
enum Failed {
    /// No value of the wanted sort was found.
    NoValue,
    /// The event was accepted.
    Accepted,
    Refused(Box<Rejected>),
}

impl Failed {
    fn text(self) -> String {
        match self {
            Failed::NoValue => "no value was found that should do".to_owned(),
            Failed::Accepted => "the last attempt was accepted".to_owned(),
            Failed::Refused(rejected) => {
                let Rejected { code, path, message, .. } = *rejected;
                format!("the last attempt was refused with {code} at {path:?}: {message}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
