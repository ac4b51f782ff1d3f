//! The members of one object, read one after another: for envelopes, which carry an event and say things about it.
//! Always: as strict as the reader, repeated keys included, but for the members named `enclosed`. Their values are only
//! found, by brackets and quotes alone: what is in them is for whoever takes them out to judge. The same holds for
//! other members that are objects or arrays. So it takes memory for the object's own keys only, and no stack.

use std::{borrow::Cow, ops::Range};

use hw_event::RejectCode;

use super::{JsonFault, KeySet, Scanner, Text, unescape};

/// Reads an object's members; ends at the object's end, behind which nothing but white space may stand.
#[derive(Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    keys: KeySet,
    object: u32,
    enclosed: &'a [&'a str],
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Within,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: Cow<'a, str>,
    /// The byte at which its key begins.
    pub at: usize,
    /// The bytes of its value.
    pub bytes: Range<usize>,
    pub value: MemberValue<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberValue<'a> {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(&'a str),
    String(Cow<'a, str>),
    /// An object or an array, found and not looked at.
    Nested,
    /// Of a member that was to be found only.
    Enclosed,
}

impl<'a> Members<'a> {
    pub fn new(json: &'a [u8], enclosed: &'a [&'a str]) -> Members<'a> {
        let mut keys = KeySet::default();
        let object = keys.object();
        Members { scanner: Scanner::new(json, 1), keys, object, enclosed, state: State::Before }
    }

    /// `None` at the object's end. Not to be asked again after a fault.
    pub fn next_member(&mut self) -> Result<Option<Member<'a>>, JsonFault> {
        let more = match self.state {
            State::Ended => return Ok(None),
            State::Before => {
                self.scanner.space();
                if self.scanner.peek() != Some(b'{') {
                    let at = self.scanner.at();
                    let message = "expected an object";
                    return Err(match self.scanner.peek() {
                        None => self.scanner.unexpected("expected a document, found nothing"),
                        Some(_) => JsonFault { code: RejectCode::NotObject, at, message },
                    });
                }
                self.scanner.open()?;
                self.state = State::Within;
                !self.scanner.close_empty(b'}')
            }
            State::Within => self.scanner.more(b'}')?,
        };
        if !more {
            self.state = State::Ended;
            self.scanner.end()?;
            return Ok(None);
        }
        self.member().map(Some)
    }

    fn member(&mut self) -> Result<Member<'a>, JsonFault> {
        let at = self.scanner.at();
        let key = self.scanner.key()?;
        self.keys.insert(self.object, key, at)?;
        self.scanner.colon()?;
        let name = plain(key);
        let start = self.scanner.at();
        let value = if self.enclosed.contains(&&*name) {
            self.scanner.pass_enclosed()?;
            MemberValue::Enclosed
        } else {
            self.value()?
        };
        Ok(Member { name, at, bytes: start..self.scanner.at(), value })
    }

    fn value(&mut self) -> Result<MemberValue<'a>, JsonFault> {
        Ok(match self.scanner.peek() {
            Some(b'"') => MemberValue::String(plain(self.scanner.string()?)),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.scanner.number()?;
                MemberValue::Number(std::str::from_utf8(number.text).unwrap_or_default())
            }
            Some(b't') => self.scanner.literal(b"true").map(|()| MemberValue::Boolean(true))?,
            Some(b'f') => self.scanner.literal(b"false").map(|()| MemberValue::Boolean(false))?,
            Some(b'n') => self.scanner.literal(b"null").map(|()| MemberValue::Null)?,
            Some(b'{' | b'[') => self.scanner.pass_enclosed().map(|()| MemberValue::Nested)?,
            _ => return Err(self.scanner.unexpected("expected a value")),
        })
    }
}

/// What a string of the reader says; it is valid UTF-8.
fn plain(text: Text<'_>) -> Cow<'_, str> {
    if !text.escaped {
        return String::from_utf8_lossy(text.raw);
    }
    let mut plain = Vec::with_capacity(text.raw.len());
    unescape(text.raw, &mut plain);
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<String>, (RejectCode, usize)> {
        let mut members = Members::new(json.as_bytes(), &["data"]);
        let mut all = Vec::new();
        while let Some(member) = members.next_member().map_err(|fault| (fault.code, fault.at))? {
            all.push(format!("{}={:?} {}", member.name, member.value, &json[member.bytes]));
        }
        assert_eq!(members.next_member(), Ok(None));
        Ok(all)
    }

    #[test]
    fn members_come_in_order_with_their_bytes() {
        let json = r#" {"a":"x\u0041","b" : -1.5 ,"c":true,"d":null,"e":[{}],"data":{"a":tru,"a":["}"]} } "#;
        let expected = [
            r#"a=String("xA") "x\u0041""#,
            r#"b=Number("-1.5") -1.5"#,
            "c=Boolean(true) true",
            "d=Null null",
            "e=Nested [{}]",
            r#"data=Enclosed {"a":tru,"a":["}"]}"#,
        ];
        assert_eq!(read(json).unwrap(), expected);
        assert_eq!(read("{}").unwrap(), [""; 0]);
        for (value, shown) in
            [("12", "12"), ("nul", "nul"), (r#""a\"}""#, r#""a\"}""#), ("[[[[[1]]]]]", "[[[[[1]]]]]")]
        {
            assert_eq!(read(&format!("{{\"data\":{value}\n}}")).unwrap(), [format!("data=Enclosed {shown}")]);
        }
    }

    #[test]
    fn a_fault_is_named_by_its_byte() {
        use RejectCode::{JsonRepeatedKey, JsonSyntax, JsonUnicode, NotObject};
        for (json, fault) in [
            ("", (JsonSyntax, 0)),
            (" [1]", (NotObject, 1)),
            (r#"{"a":1,"\u0061":2}"#, (JsonRepeatedKey, 7)),
            (r#"{"data":1,"data":2}"#, (JsonRepeatedKey, 10)),
            (r#"{"a":"\ud800"}"#, (JsonUnicode, 6)),
            (r#"{"a":1} x"#, (JsonSyntax, 8)),
            (r#"{"a":1"#, (JsonSyntax, 6)),
            (r#"{"data":}"#, (JsonSyntax, 8)),
            (r#"{"data":{"a":1}x}"#, (JsonSyntax, 15)),
            (r#"{"data":{"a":1]}"#, (JsonSyntax, 8)),
            (r#"{"data":"abc"#, (JsonSyntax, 8)),
        ] {
            assert_eq!(read(json), Err(fault), "{json}");
        }
    }

    #[test]
    fn nesting_of_what_is_enclosed_takes_no_stack() {
        let deep = format!("{{\"data\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(read(&deep).unwrap().len(), 1);
    }
}
