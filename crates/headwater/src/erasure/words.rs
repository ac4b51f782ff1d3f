//! The words of an event that was refused, whatever is wrong with it: everything that could be the name of somebody.
//! Always: each text in quotes is a word, with and without its escapes; so is what stands between signs that no number and
//! no plain name has, as it is and with percent signs decoded. Bounded by the event's size.

use std::borrow::Cow;

/// Parts of JSON, of records of keys and values, and of lines.
fn parts(sign: u8) -> bool {
    matches!(
        sign,
        b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"' | b'&' | b'=' | b';'
    )
}

/// Each word once for each place it stands at.
pub fn words(event: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let bare = event.split(|sign| parts(*sign)).filter(|word| !word.is_empty());
    let bare = bare.flat_map(|word| {
        let decoded = word.contains(&b'%').then(|| Cow::Owned(percent_decoded(word)));
        [Some(Cow::Borrowed(word)), decoded].into_iter().flatten()
    });
    quoted(event)
        .flat_map(|inner| {
            let mut whole = Vec::with_capacity(inner.len() + 2);
            whole.push(b'"');
            whole.extend_from_slice(inner);
            whole.push(b'"');
            let plain = serde_json::from_slice::<String>(&whole).ok().map(String::into_bytes);
            [Some(Cow::Borrowed(inner)), plain.map(Cow::Owned)].into_iter().flatten()
        })
        .chain(bare)
}

/// What stands between two quotes, at whichever of them a text begins.
fn quoted(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Vec::new();
    let mut at = 0;
    while at < event.len() {
        match event[at] {
            b'\\' => at += 1,
            b'"' => quotes.push(at),
            _ => {}
        }
        at += 1;
    }
    // A quote too many turns inside out what follows it: so both readings count.
    (1..quotes.len()).map(move |quote| &event[quotes[quote - 1] + 1..quotes[quote]])
}

fn percent_decoded(word: &[u8]) -> Vec<u8> {
    let digit = |sign: u8| char::from(sign).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&sign, after)) = rest.split_first() {
        let pair =
            after.first().zip(after.get(1)).and_then(|(high, low)| Some((digit(*high)?, digit(*low)?)));
        match pair.filter(|_| sign == b'%') {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                decoded.push(sign);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(event: &str, word: &str) -> bool {
        words(event.as_bytes()).any(|found| *found == *word.as_bytes())
    }

    #[test]
    fn whoever_is_named_is_found_whatever_is_wrong() {
        for event in [
            r#"{"who":"ann","n":1}"#,
            r#"{"who":"ann"#,
            r#"{"who":"ann","who":"ann"}"#,
            r#"{"a":"x" "b","who":"ann"}"#,
            r#"{who:ann}"#,
            r#"{"who":"\u0061nn"}"#,
            "id=ann&tp=x",
            "id=%61nn&tp=x",
            r#"["ann"]"#,
        ] {
            assert!(has(event, "ann"), "{event}");
        }
        assert!(has(r#"{"id":42}"#, "42"));
        assert!(has(r#"{"who":"Ann Lee, Berlin"}"#, "Ann Lee, Berlin"));
        assert!(has(r#"{"who":"a\"b"}"#, "a\"b"));
        assert!(!has(r#"{"who":"anna"}"#, "ann"), "a part of a word is another word");
    }
}
