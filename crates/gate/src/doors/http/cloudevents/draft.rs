//! The context attributes of one CloudEvent while they are gathered, from an envelope or from headers.
//! Always: messages name an attribute and never quote a value. What version 1.0 demands is demanded, no more: `source`
//! is any text, and an id may come as often as its sender likes.

use hw_event::Timestamp;

use crate::EventAttributes;

/// As many as a request may have headers, and their bytes as many as a request's head.
pub(super) const ATTRIBUTES_MAX: usize = 100;
const ATTRIBUTES_BYTES_MAX: usize = 64 * 1024;

const ID: &str = "id";
const SPECVERSION: &str = "specversion";
const TIME: &str = "time";
const REQUIRED: [&str; 4] = [SPECVERSION, ID, "source", "type"];
/// Attributes whose values are text in every binding.
const TEXTS: [&str; 8] =
    [SPECVERSION, ID, "source", "type", "datacontenttype", "dataschema", "subject", TIME];

#[derive(Default)]
pub(super) struct Draft {
    given: Vec<String>,
    bytes: usize,
    event: EventAttributes,
}

/// May only text be the attribute's value?
pub(super) fn is_text(name: &str) -> bool {
    TEXTS.contains(&name)
}

impl Draft {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if self.given.len() >= ATTRIBUTES_MAX {
            return Err(format!("there are more than {ATTRIBUTES_MAX} attributes"));
        }
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_name || name == "data" {
            return Err("an attribute's name is not made of lower-case letters and digits".to_owned());
        }
        self.bytes += name.len() + value.len();
        if self.bytes > ATTRIBUTES_BYTES_MAX {
            return Err(format!("the attributes are larger than {ATTRIBUTES_BYTES_MAX} bytes"));
        }
        if self.given.iter().any(|given| given == name) {
            return Err(format!("the attribute {name} is given twice"));
        }
        self.given.push(name.to_owned());
        if value.is_empty() && is_text(name) {
            return Err(format!("the attribute {name} is empty"));
        }
        match name {
            SPECVERSION if value != "1.0" => {
                return Err("the attribute specversion is not \"1.0\"".to_owned());
            }
            SPECVERSION => return Ok(()),
            ID => {
                value.clone_into(&mut self.event.id);
                return Ok(());
            }
            TIME => self.event.time = Some(time(value)?),
            _ => {}
        }
        self.event.named.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    pub(super) fn finish(self) -> Result<EventAttributes, String> {
        let missing = REQUIRED.iter().find(|name| !self.given.iter().any(|given| given == *name));
        match missing {
            Some(name) => Err(format!("the attribute {name} is missing")),
            None => Ok(self.event),
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    hw_schema::date_time(text)
        .ok_or_else(|| "the attribute time is no RFC 3339 date-time, such as 2026-11-21T20:00:00Z".to_owned())
}
