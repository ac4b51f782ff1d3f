//! The layers of the configuration: `headwater.toml`, then the environment, then `--set`.
//! Always: a later layer wins key by key; a key that no setting has is a fault that names the nearest one.
//! Opens no file: the text comes in.

use std::collections::{BTreeMap, BTreeSet};

use hw_schema::nearest;
use toml::de::{DeTable, DeValue};

use super::{
    settings::{self, ANY_NAME, SECTIONS, Setting},
    value::{Unfit, Value},
};
use crate::fault::{Fault, Place, Source};

/// Environment variables `HEADWATER_<SECTION>__<NAME>` are settings.
pub const ENVIRONMENT_PREFIX: &str = "HEADWATER_";
/// Read by the client commands; no setting.
const NOT_SETTINGS: &[&str] = &["HEADWATER_URL"];

/// A value as it was given, and where.
pub(super) struct Given<'s> {
    value: GivenValue<'s>,
    pub place: Place,
    pub from_file: bool,
}

enum GivenValue<'s> {
    Toml(DeValue<'s>),
    Text(String),
}

/// A key as its parts: `["tcp", "telemetry", "listen"]`.
pub(super) type Key = Vec<String>;

/// All that was given, the winning layer of each key.
#[derive(Default)]
pub(super) struct Layers<'s> {
    given: BTreeMap<Key, Given<'s>>,
    /// Names under `tcp` and `directory`, with the place that mentions them first.
    names: BTreeMap<(String, String), Place>,
    pub faults: Vec<Fault>,
}

impl<'s> Layers<'s> {
    /// The lowest layer.
    pub fn file(&mut self, source: &'s Source) {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let place = Place::of_span(source, error.span().unwrap_or(0..0));
            self.faults.push(Fault::error(place, format!("not TOML: {}", error.message()))
                .hint("a section is [NAME], a setting NAME = VALUE on a line of its own; texts stand in double quotes"));
        }
        // What a broken document still holds is not looked at: its keys may be in the wrong section.
        if errors.is_empty() {
            self.table(source, &mut Vec::new(), table.get_ref());
        }
    }

    fn table(&mut self, source: &Source, path: &mut Key, table: &DeTable<'s>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let key_place = Place::of_span(source, key.span());
            match matching(path) {
                Match::Setting => {
                    let place = Place::of_span(source, value.span());
                    self.give(path.clone(), GivenValue::Toml(value.get_ref().clone()), place, true);
                }
                Match::Section => match value.get_ref().as_table() {
                    Some(inner) => {
                        if let [section, name] = path.as_slice() {
                            self.name(section.clone(), name.clone(), key_place);
                        }
                        self.table(source, path, inner);
                    }
                    None => self.not_a_section(path, Place::of_span(source, value.span())),
                },
                Match::None => self.unknown(path, key_place),
            }
            path.pop();
        }
    }

    /// The middle layer: all variables, of which only those with the prefix are looked at.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(name, _)| {
                name.starts_with(ENVIRONMENT_PREFIX) && !NOT_SETTINGS.contains(&name.as_str())
            })
            .collect();
        variables.sort();
        for (name, value) in variables {
            let path: Key =
                name[ENVIRONMENT_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
            self.text(path, value, Place::Environment(name));
        }
    }

    /// The highest layer: one `key=value` of the command line.
    pub fn argument(&mut self, argument: &str) {
        let place = Place::Argument(format!("--set {argument}"));
        match argument.split_once('=') {
            Some((key, value)) => {
                let path = key.trim().split('.').map(str::to_owned).collect();
                self.text(path, value.trim().to_owned(), place);
            }
            None => self.faults.push(
                Fault::error(place, "expected key=value").hint("for example --set http.listen=127.0.0.1:0"),
            ),
        }
    }

    /// `--data D` is a shorter way to say `--set data=D`.
    pub fn data_argument(&mut self, directory: String) {
        let place = Place::Argument(format!("--data {directory}"));
        self.text(vec!["data".to_owned()], directory, place);
    }

    fn text(&mut self, path: Key, value: String, place: Place) {
        match matching(&path) {
            Match::Setting => {
                if let [section, name, _] = path.as_slice() {
                    self.name(section.clone(), name.clone(), place.clone());
                }
                self.give(path, GivenValue::Text(value), place, false);
            }
            Match::Section => self.not_a_section(&path, place),
            Match::None => self.unknown(&path, place),
        }
    }

    fn give(&mut self, key: Key, value: GivenValue<'s>, place: Place, from_file: bool) {
        self.given.insert(key, Given { value, place, from_file });
    }

    fn name(&mut self, section: String, name: String, place: Place) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(plain) || name.len() > 60
        {
            self.faults.push(
                Fault::error(place.clone(), format!("{name:?} is not a name for a [{section}.NAME]"))
                    .hint("it starts with a-z, holds only a-z, 0-9, _ and -, and has at most 60 characters"),
            );
        }
        self.names.entry((section, name)).or_insert(place);
    }

    fn not_a_section(&mut self, path: &[String], place: Place) {
        let key = path.join(".");
        let declared =
            SECTIONS.iter().find(|section| section.path.split('.').next() == Some(path[0].as_str()));
        let doc = declared.map_or("", |section| section.doc.trim());
        self.faults.push(
            Fault::error(place, format!("`{key}` is a section, not a setting"))
                .hint(format!("{doc} Below it stand {}", known_below(path).join(", "))),
        );
    }

    fn unknown(&mut self, path: &[String], place: Place) {
        let key = path.join(".");
        let fault = Fault::error(place, format!("unknown key `{key}`"));
        self.faults.push(match nearest_key(path) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => {
                let (_, parent) = path.split_last().unwrap_or((&key, &[]));
                fault.hint(format!("known here: {}", known_below(parent).join(", ")))
            }
        });
    }

    /// The names below `tcp` or `directory`.
    pub fn names_of(&self, section: &str) -> Vec<(String, Place)> {
        let names = self.names.iter().filter(|((of, _), _)| of == section);
        names.map(|((_, name), place)| (name.clone(), place.clone())).collect()
    }

    pub fn given(&self, key: &[&str]) -> Option<&Given<'s>> {
        self.given.get(&key.iter().map(|part| (*part).to_owned()).collect::<Key>())
    }

    /// For the settings of one section; a missing one is reported at `place`.
    pub fn reader(&mut self, section: &[&str], place: Option<Place>) -> Reader<'_> {
        let section = section.iter().map(|part| (*part).to_owned()).collect();
        Reader { section, place, given: &self.given, faults: &mut self.faults }
    }
}

/// Takes the settings of one section out of the layers; `place` mentions the section.
pub struct Reader<'a> {
    section: Key,
    place: Option<Place>,
    given: &'a BTreeMap<Key, Given<'a>>,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    /// The given value, else the default; `None` after a fault.
    pub(super) fn take<T: Value>(&mut self, setting: &Setting) -> Option<T> {
        let mut path = self.section.clone();
        path.push(setting.name.to_owned());
        let key = path.join(".");
        if let Some(given) = self.given.get(&path) {
            let value = match &given.value {
                GivenValue::Toml(value) => T::from_toml(value),
                GivenValue::Text(text) => T::from_text(text),
            };
            return value
                .map_err(|Unfit { message, hint }| {
                    let hint = if hint.is_empty() { about(setting) } else { hint };
                    self.faults
                        .push(Fault::error(given.place.clone(), format!("`{key}`: {message}")).hint(hint));
                })
                .ok();
        }
        // A default that its own type refuses is found by the test `every_default_is_valid`.
        let value = match setting.default {
            Some(text) => T::from_text(text).ok(),
            None => T::absent(),
        };
        if value.is_none() {
            let place = self.place.clone().unwrap_or_else(|| Place::Path(key.clone()));
            self.faults.push(Fault::error(place, format!("`{key}` is missing")).hint(about(setting)));
        }
        value
    }
}

/// A setting in one sentence, for hints.
fn about(setting: &Setting) -> String {
    let doc = setting.doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let default = match setting.default {
        _ if setting.required => "it must be given".to_owned(),
        None | Some("") => "no default".to_owned(),
        Some(default) => format!("default {default}"),
    };
    format!("{} is {} ({default}). {doc}", setting.name, setting.type_name)
}

enum Match {
    Setting,
    /// Settings lie below.
    Section,
    None,
}

fn parts(setting: &Setting) -> impl Iterator<Item = &'static str> {
    let section = if setting.section.is_empty() { None } else { Some(setting.section.split('.')) };
    section.into_iter().flatten().chain([setting.name])
}

fn part_fits(declared: &str, given: &str) -> bool {
    declared == ANY_NAME || declared == given
}

fn matching(path: &[String]) -> Match {
    for setting in settings::all() {
        let declared: Vec<&str> = parts(setting).collect();
        if declared.len() >= path.len() && declared.iter().zip(path).all(|(d, g)| part_fits(d, g)) {
            return if declared.len() == path.len() { Match::Setting } else { Match::Section };
        }
    }
    Match::None
}

/// What may stand directly below a path.
fn known_below(path: &[String]) -> Vec<String> {
    let mut known = BTreeSet::new();
    for setting in settings::all() {
        let declared: Vec<&str> = parts(setting).collect();
        if declared.len() > path.len() && declared.iter().zip(path).all(|(d, g)| part_fits(d, g)) {
            known.insert(declared[path.len()].to_owned());
        }
    }
    known.into_iter().collect()
}

/// The known key that was most likely meant: a slip in one part, or a setting written in the wrong section.
fn nearest_key(path: &[String]) -> Option<String> {
    let (last, parent) = path.split_last()?;
    if let Some(near) = nearest(last, known_below(parent).iter().map(String::as_str)) {
        let near = parent.iter().map(String::as_str).chain([near]).collect::<Vec<_>>();
        return Some(near.join("."));
    }
    let elsewhere = settings::all().find(|setting| setting.name == last);
    elsewhere.map(Setting::key)
}
