//! Texts and places of payloads.

use super::*;

#[test]
fn a_text_is_bounded_and_knows_its_sources() {
    let mut text = Text::with_marks();
    text.begin(40, 2);
    text.open(b'{', 3).unwrap();
    text.name(b"\"a\"", 7).unwrap();
    text.word("true", 7).unwrap();
    text.comma();
    text.close(b'}');
    assert_eq!(text.bytes(), b"{\"a\":true}");
    assert_eq!((text.source(0), text.source(4), text.source(5), text.source(99)), (3, 3, 7, 7));
    text.open(b'[', 0).unwrap();
    text.open(b'[', 0).unwrap();
    assert_eq!(text.open(b'[', 9).unwrap_err().code, RejectCode::TooLarge);
    assert_eq!(text.string(&[b'x'; 40], 1).unwrap_err().code, RejectCode::TooLarge);
    assert_eq!(text.string(b"a\xff", 1).unwrap_err(), PayloadFault::record(2, "the text is not valid UTF-8"));
}
