//! What a fix makes of an event's bytes: a value set, a JSON Patch (RFC 6902) or a JSON Merge Patch (RFC 7396).
//! Always: what the correction does not name stays what it is; an event in which that could not be promised (no JSON, a
//! repeated key, a number of more digits than fit) is not corrected at all. Never says anything of an event's values.

use json_patch::{Patch, merge};
use serde_json::{Map, Value};

/// A number of more digits, or of a larger exponent, might not come back as it was.
const DIGITS_MAX: usize = 15;
const EXPONENT_MAX: u32 = 22;

/// How events are corrected.
#[derive(Debug, Clone)]
pub enum Correction {
    /// The value at a JSON pointer becomes this one; a member that is not there is added.
    Set(Vec<(String, Value)>),
    Patch(Patch),
    Merge(Value),
    /// An SQL expression over `event`, the event as text. Whoever opens the rejects computes it.
    Expression(String),
}

/// Why an event was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCorrected {
    #[error("it is no JSON")]
    Json,
    #[error("it names a key twice")]
    RepeatedKey,
    #[error("it has a number of more digits than a correction keeps")]
    Number,
    #[error("the correction does not apply to it")]
    Inapplicable,
}

impl Correction {
    /// The corrected bytes. An expression has been computed before: `computed` is its value.
    pub fn apply(&self, bytes: &[u8], computed: Option<&[u8]>) -> Result<Vec<u8>, NotCorrected> {
        let mut value = match self {
            Correction::Expression(_) => {
                return computed.map(<[u8]>::to_vec).ok_or(NotCorrected::Inapplicable);
            }
            Correction::Set(_) | Correction::Patch(_) | Correction::Merge(_) => faithful(bytes)?,
        };
        match self {
            Correction::Set(settings) => {
                for (pointer, new) in settings {
                    set(&mut value, pointer, new).ok_or(NotCorrected::Inapplicable)?;
                }
            }
            Correction::Patch(patch) => {
                json_patch::patch(&mut value, patch).map_err(|_| NotCorrected::Inapplicable)?;
            }
            Correction::Merge(patch) => merge(&mut value, patch),
            Correction::Expression(_) => {}
        }
        serde_json::to_vec(&value).map_err(|_| NotCorrected::Inapplicable)
    }
}

/// `None`: nothing is where the pointer leads through.
fn set(value: &mut Value, pointer: &str, new: &Value) -> Option<()> {
    let (parent, last) = pointer.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent)? {
        Value::Object(members) => drop(members.insert(last, new.clone())),
        Value::Array(elements) => match last.parse::<usize>() {
            Ok(index) => *elements.get_mut(index)? = new.clone(),
            Err(_) if last == "-" => elements.push(new.clone()),
            Err(_) => return None,
        },
        _ => return None,
    }
    Some(())
}

/// The event as a value that says all of it.
fn faithful(bytes: &[u8]) -> Result<Value, NotCorrected> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| NotCorrected::Json)?;
    let mut members = 0;
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'"' => position = string_end(bytes, position),
            b':' => (members, position) = (members + 1, position + 1),
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[position..];
                let length = rest.iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
                if !is_kept(&rest[..length]) {
                    return Err(NotCorrected::Number);
                }
                position += length;
            }
            _ => position += 1,
        }
    }
    if members == count(&value) { Ok(value) } else { Err(NotCorrected::RepeatedKey) }
}

/// Behind the closing quote of the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'\\' => position += 2,
            b'"' => return position + 1,
            _ => position += 1,
        }
    }
    position
}

fn is_kept(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return true;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    digits <= DIGITS_MAX
        && exponent.parse::<i32>().is_ok_and(|exponent| exponent.unsigned_abs() <= EXPONENT_MAX)
}

/// Members of all objects in it.
fn count(value: &Value) -> usize {
    let of = |members: &Map<String, Value>| members.len() + members.values().map(count).sum::<usize>();
    match value {
        Value::Object(members) => of(members),
        Value::Array(elements) => elements.iter().map(count).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn corrected(correction: &Correction, event: &str) -> Result<String, NotCorrected> {
        correction.apply(event.as_bytes(), None).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_set_touches_what_it_names() {
        let set = Correction::Set(vec![("/a/b".into(), json!(2)), ("/l/0".into(), json!("x"))]);
        let event = r#"{"z":1.25,"a":{"c":"\u00e9"},"l":[1,2],"n":18446744073709551615}"#;
        let expected = r#"{"z":1.25,"a":{"c":"é","b":2},"l":["x",2],"n":18446744073709551615}"#;
        assert_eq!(corrected(&set, event).as_deref(), Ok(expected));
        for event in [r#"{"a":1,"l":[1]}"#, r#"{"a":{},"l":[]}"#, "[]"] {
            assert_eq!(corrected(&set, event), Err(NotCorrected::Inapplicable), "{event}");
        }
        let awkward = Correction::Set(vec![("/a~1b~0c".into(), json!(1))]);
        assert_eq!(corrected(&awkward, "{}").as_deref(), Ok(r#"{"a/b~c":1}"#));
    }

    #[test]
    fn patches_are_those_of_their_standards() {
        let patch =
            json!([{"op": "test", "path": "/v", "value": "1"}, {"op": "replace", "path": "/v", "value": 1}]);
        let patch = Correction::Patch(serde_json::from_value(patch).unwrap());
        assert_eq!(corrected(&patch, r#"{"v":"1"}"#).as_deref(), Ok(r#"{"v":1}"#));
        assert_eq!(corrected(&patch, r#"{"v":"2"}"#), Err(NotCorrected::Inapplicable));
        let merge = Correction::Merge(json!({"v": null, "w": {"x": 1}}));
        assert_eq!(corrected(&merge, r#"{"v":"1","w":{"y":2}}"#).as_deref(), Ok(r#"{"w":{"y":2,"x":1}}"#));
    }

    #[test]
    fn what_would_not_stay_itself_is_left_alone() {
        let nothing = Correction::Set(Vec::new());
        for (event, fault) in [
            (r#"{"a":1,"#, NotCorrected::Json),
            (r#"{"a":1,"a":2}"#, NotCorrected::RepeatedKey),
            (r#"{"a":[{"b":1,"b":1}]}"#, NotCorrected::RepeatedKey),
            (r#"{"a":123456789012345678901}"#, NotCorrected::Number),
            (r#"{"a":0.1234567890123456789}"#, NotCorrected::Number),
            (r#"{"a":1e300}"#, NotCorrected::Number),
        ] {
            assert_eq!(corrected(&nothing, event), Err(fault), "{event}");
        }
        let tricky = r#"{"k:1e999\"":"9:99e999","b":-1.5e-3}"#;
        assert_eq!(corrected(&nothing, tricky).as_deref(), Ok(r#"{"k:1e999\"":"9:99e999","b":-0.0015}"#));
    }

    #[test]
    fn an_expression_is_computed_elsewhere() {
        let expression = Correction::Expression("replace(event, 'NaN', 'null')".into());
        assert_eq!(expression.apply(b"{", Some(b"{}")), Ok(b"{}".to_vec()));
        assert_eq!(expression.apply(b"{", None), Err(NotCorrected::Inapplicable));
    }
}
