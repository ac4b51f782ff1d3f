//! One CloudEvent in JSON: its attributes, and where its data stands.
//! Always: a text that is no JSON is called that, whatever else is wrong with it; the data's own bytes are not looked
//! at, so its faults are the event's and not the envelope's.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::STANDARD};
use hw_event::RejectCode;
use hw_schema::{JsonFault, Member, MemberValue, Members};

use super::draft::{ATTRIBUTES_MAX, Draft, is_text};
use crate::EventAttributes;

const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";
/// Members of an envelope; the two for data may be null beside all attributes.
const MEMBERS_MAX: usize = ATTRIBUTES_MAX + 2;

#[derive(Debug)]
pub(super) struct Envelope {
    pub attributes: EventAttributes,
    pub data: Data,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    None,
    /// Bytes of the envelope.
    At(Range<usize>),
    Decoded(Vec<u8>),
}

/// Why an envelope cannot be read: `record` where it is JSON and no CloudEvent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub code: RejectCode,
    pub message: String,
    pub at: usize,
}

impl From<JsonFault> for Broken {
    fn from(fault: JsonFault) -> Broken {
        Broken { code: fault.code, message: fault.message.to_owned(), at: fault.at }
    }
}

pub(super) fn read(envelope: &[u8]) -> Result<Envelope, Broken> {
    let mut members = Members::new(envelope, &[DATA]);
    let mut count = 0;
    let mut draft = Draft::default();
    let mut data = Data::None;
    let mut first: Option<Broken> = None;
    while let Some(member) = members.next_member()? {
        let at = member.at;
        count += 1;
        if count > MEMBERS_MAX {
            let message = format!("there are more than {ATTRIBUTES_MAX} attributes");
            return Err(Broken { code: RejectCode::Record, message, at });
        }
        if let Err(message) = take(member, &mut draft, &mut data) {
            let broken = Broken { code: RejectCode::Record, message, at };
            // Reading goes on: what is no JSON further down is the graver fault.
            first.get_or_insert(broken);
        }
    }
    if let Some(broken) = first {
        return Err(broken);
    }
    let missing = |message| Broken { code: RejectCode::Record, message, at: envelope.len() };
    Ok(Envelope { attributes: draft.finish().map_err(missing)?, data })
}

fn take(member: Member<'_>, draft: &mut Draft, data: &mut Data) -> Result<(), String> {
    let name = &*member.name;
    match (name, member.value) {
        // A null is as good as nothing, but for the data: there it is a value.
        (_, MemberValue::Null) => Ok(()),
        (DATA | DATA_BASE64, _) if *data != Data::None => {
            Err("data and data_base64 are both given".to_owned())
        }
        (DATA, _) => {
            *data = Data::At(member.bytes);
            Ok(())
        }
        (DATA_BASE64, MemberValue::String(text)) => {
            let decoded = STANDARD.decode(text.as_bytes());
            *data = Data::Decoded(decoded.map_err(|_| "data_base64 is not base64".to_owned())?);
            Ok(())
        }
        (DATA_BASE64, _) => Err("data_base64 is not a string".to_owned()),
        (_, MemberValue::String(text)) => draft.set(name, &text),
        (_, _) if is_text(name) => Err(format!("the attribute {name} is not a string")),
        (_, MemberValue::Boolean(value)) => draft.set(name, if value { "true" } else { "false" }),
        (_, MemberValue::Number(number)) if number.bytes().all(|b| b == b'-' || b.is_ascii_digit()) => {
            draft.set(name, number)
        }
        (_, _) => Err("an attribute is neither a string, an integer nor a boolean".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = r#""specversion":"1.0","id":"a-1","source":"/s","type":"t""#;

    /// The envelope's attributes and data, or its fault.
    fn shown(envelope: &str) -> String {
        match read(envelope.as_bytes()) {
            Err(Broken { code, message, at }) => format!("{code} {at}: {message}"),
            Ok(Envelope { attributes, data }) => {
                let data = match &data {
                    Data::None => "nothing",
                    Data::At(range) => &envelope[range.clone()],
                    Data::Decoded(bytes) => std::str::from_utf8(bytes).unwrap(),
                };
                let named: Vec<_> = attributes.named.iter().map(|(n, v)| format!("{n}={v}")).collect();
                let time = attributes.time.map_or(String::new(), |time| format!(" @{}", time.0));
                format!("{} [{}]{time} {data}", attributes.id, named.join(","))
            }
        }
    }

    fn check(rest: &str, expected: &str) {
        assert_eq!(shown(&format!("{{{CONTEXT}{rest}}}")), expected, "{rest}");
    }

    #[test]
    fn attributes_and_data_are_found() {
        check(r#","data":{"a": [1 ]}"#, r#"a-1 [source=/s,type=t] {"a": [1 ]}"#);
        check(r#","data" : null"#, "a-1 [source=/s,type=t] null");
        check("", "a-1 [source=/s,type=t] nothing");
        check(r#","data_base64":"eyJhIjoxfQ==""#, r#"a-1 [source=/s,type=t] {"a":1}"#);
        check(r#","data_base64":null,"subject":null,"data":1"#, "a-1 [source=/s,type=t] 1");
        check(
            r#","subject":"x\u00e9","n":-5,"on":true,"data":{}"#,
            "a-1 [source=/s,type=t,subject=xé,n=-5,on=true] {}",
        );
        check(
            r#","time":"1970-01-01T01:00:01.5+01:00","data":1"#,
            "a-1 [source=/s,type=t,time=1970-01-01T01:00:01.5+01:00] @1500000 1",
        );
        // The data's own faults are not the envelope's.
        check(r#","data":{"a":tru,"a":1}"#, r#"a-1 [source=/s,type=t] {"a":tru,"a":1}"#);
    }

    #[test]
    fn a_broken_envelope_names_the_attribute() {
        for (name, value) in
            [("id", "\"a-1\""), ("source", "\"/s\""), ("type", "\"t\""), ("specversion", "\"1.0\"")]
        {
            let pair = format!("\"{name}\":{value}");
            let with = |other: &str| shown(&format!("{{{CONTEXT},\"data\":{{}}}}").replace(&pair, other));
            assert!(
                with("\"x\":1").ends_with(&format!("the attribute {name} is missing")),
                "{}",
                with("\"x\":1")
            );
            let null = with(&format!("\"{name}\":null"));
            assert!(null.ends_with(&format!("the attribute {name} is missing")), "{null}");
            let empty = with(&format!("\"{name}\":\"\""));
            assert!(empty.ends_with(&format!("the attribute {name} is empty")), "{empty}");
            let number = with(&format!("\"{name}\":7"));
            assert!(number.ends_with(&format!("the attribute {name} is not a string")), "{number}");
        }
        let at = CONTEXT.len() + 2;
        let record = |rest: &str, message: &str| check(rest, &format!("record {at}: {message}"));
        record(
            r#","time":"noon""#,
            "the attribute time is no RFC 3339 date-time, such as 2026-11-21T20:00:00Z",
        );
        record(r#","subject":"""#, "the attribute subject is empty");
        record(r#","Subject":"x""#, "an attribute's name is not made of lower-case letters and digits");
        record(r#","x":1.5"#, "an attribute is neither a string, an integer nor a boolean");
        record(r#","x":{"y":1}"#, "an attribute is neither a string, an integer nor a boolean");
        record(r#","data_base64":"!""#, "data_base64 is not base64");
        record(r#","data_base64":5"#, "data_base64 is not a string");
        let long = "x".repeat(65_536);
        record(&format!(",\"x\":\"{long}\""), "the attributes are larger than 65536 bytes");
        assert!(
            shown(&format!("{{{}}}", CONTEXT.replace("1.0", "0.3"))).ends_with("specversion is not \"1.0\"")
        );
        let both = shown(&format!(r#"{{{CONTEXT},"data":1,"data_base64":"MQ=="}}"#));
        assert!(both.ends_with("data and data_base64 are both given"), "{both}");
        let many: String = (0..200).map(|n| format!(",\"x{n}\":1")).collect();
        assert!(shown(&format!("{{{CONTEXT}{many}}}")).ends_with("there are more than 100 attributes"));
    }

    #[test]
    fn a_fault_of_the_json_comes_first() {
        check(
            r#","time":"noon","x":tru"#,
            &format!("json_syntax {}: expected true, false or null", CONTEXT.len() + 23),
        );
        check(
            r#","id":"b""#,
            &format!("json_repeated_key {}: an object names this key twice", CONTEXT.len() + 2),
        );
        assert_eq!(shown("[]"), "not_object 0: expected an object");
        check(r#","data":{"a":[1"#, &format!("json_syntax {}: the value has no end", CONTEXT.len() + 9));
    }
}
