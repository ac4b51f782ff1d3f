//! Texts and places of payloads.

use super::*;

#[test]
fn a_text_is_bounded_and_knows_its_sources() {
    let write = |text: &mut Text| {
        text.begin(40, 2);
        text.open(b'{', 3).unwrap();
        text.name(b"\"a\"", 7).unwrap();
        text.word("true", 7).unwrap();
        text.comma();
        text.close(b'}');
    };
    let mut text = Text::default();
    write(&mut text);
    assert_eq!(text.bytes(), b"{\"a\":true}");
    for (at, source) in [(0, 3), (4, 3), (5, 7), (99, 7)] {
        let mut again = Text::seeking(at);
        write(&mut again);
        assert_eq!(again.source(), source, "{at}");
    }
    text.open(b'[', 0).unwrap();
    text.open(b'[', 0).unwrap();
    assert_eq!(text.open(b'[', 9).unwrap_err().code, RejectCode::TooLarge);
    assert_eq!(text.string(&[b'x'; 40], 1).unwrap_err().code, RejectCode::TooLarge);
    assert_eq!(text.string(b"a\xff", 1).unwrap_err(), PayloadFault::record(2, "the text is not valid UTF-8"));
}
