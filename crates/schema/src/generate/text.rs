//! Texts: words, characters of every plane, and the formats, well made and badly made.
//! Always: a well-made text is meant to pass its format; whether it does is the decoder's word.

use super::random::Random;
use crate::format::TextFormat;

const WORDS: &[&str] = &[
    "river", "engine", "north", "pump", "valve", "order", "ready", "delta", "signal", "harbour", "quiet",
    "seven", "amber", "launch", "pilot", "copper",
];
/// One or more characters of each plane that has any, and those that programs trip over.
const UNUSUAL: &[&str] = &[
    "é",
    "ß",
    "Ω",
    "Ж",
    "ש",
    "ع",
    "あ",
    "中",
    "한",
    "😀",
    "👩\u{200d}🚀",
    "𝔘",
    "𠀋",
    "e\u{301}",
    "\u{feff}",
    "\u{2028}",
    "\u{e000}",
    "\u{fffd}",
    "\u{10ffff}",
    "\"",
    "\\",
    "/",
    "\t",
    "\n",
    "\u{1}",
    "\u{7f}",
    "'",
    "%",
    " ",
    "<b>",
    "${x}",
];

/// A text of at least `min` and at most `max` characters.
pub(super) fn free(min: u64, max: u64, random: &mut Random) -> String {
    const USUAL: u64 = 24;
    let length = match random.below(8) {
        0 => min,
        1 if max <= min.saturating_add(200) => max,
        _ => min.saturating_add(random.below(USUAL + 1)).min(max),
    };
    let unusual = random.one_in(5);
    let mut text = String::new();
    let mut count = 0;
    while count < length {
        let piece = if unusual && random.one_in(3) { random.pick(UNUSUAL) } else { random.pick(WORDS) };
        for c in piece.chars().take(usize::try_from(length - count).unwrap_or(usize::MAX)) {
            text.push(c);
            count += 1;
        }
        if count < length && random.one_in(2) {
            text.push(' ');
            count += 1;
        }
    }
    text
}

pub(super) fn date(random: &mut Random) -> String {
    match random.below(40) {
        0 => "0000-01-01".to_owned(),
        1 => "9999-12-31".to_owned(),
        2 => "2024-02-29".to_owned(),
        3 => "1970-01-01".to_owned(),
        _ => {
            let mut out = Vec::new();
            // 2020-01-01 to 2029-12-31.
            let day = i32::try_from(random.between(18_262, 21_914)).unwrap_or(0);
            crate::format::write_date(day, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}

/// RFC 3339's full-time: with an offset, and with any number of digits behind the second.
pub(super) fn time(random: &mut Random) -> String {
    if random.one_in(60) {
        return (*random.pick(&["23:59:60Z", "00:59:60+01:00", "00:00:00-00:00"])).to_owned();
    }
    let [hour, minute, second] = [24, 60, 60].map(|end| random.below(end));
    let mut text = format!("{hour:02}:{minute:02}:{second:02}");
    if random.one_in(2) {
        let digits = [3, 3, 6, 1, 9, 12][random.index(6)];
        text.push('.');
        text.extend((0..digits).map(|_| digit(random)));
    }
    match random.below(6) {
        0..=2 => text.push('Z'),
        3 if random.one_in(4) => text.push('z'),
        _ => {
            let sign = random.pick(&["+", "-"]);
            text.push_str(&format!("{sign}{:02}:{:02}", random.below(15), [0, 0, 30, 45][random.index(4)]));
        }
    }
    text
}

pub(super) fn date_time(random: &mut Random) -> String {
    if random.one_in(50) {
        let edges = [
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:60Z",
            "1970-01-01T00:00:00Z",
        ];
        return (*random.pick(&edges)).to_owned();
    }
    let separator = if random.one_in(20) { 't' } else { 'T' };
    format!("{}{separator}{}", date(random), time(random))
}

/// A date-time that its offset carries out of the years 0000 to 9999.
pub(super) fn time_out_of_range(random: &mut Random) -> String {
    let hours = random.below(12) + 1;
    match random.one_in(2) {
        true => format!("0000-01-01T00:00:00+{hours:02}:00"),
        false => format!("9999-12-31T23:59:59-{hours:02}:00"),
    }
}

pub(super) fn bad_date(random: &mut Random) -> String {
    let bad = [
        "2026-02-30",
        "2025-02-29",
        "2026-13-01",
        "2026-1-1",
        "20260101",
        "01.02.2026",
        "2026-00-10",
        "yesterday",
        "",
    ];
    (*random.pick(&bad)).to_owned()
}

pub(super) fn bad_date_time(random: &mut Random) -> String {
    let bad = [
        "2026-11-21 20:00:00Z",
        "2026-11-21T20:00:00",
        "2026-11-21",
        "2026-02-30T10:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T20:00Z",
        "1763755200",
        "2026-11-21T20:00:00+1:00",
        "2026-11-21T20:00:60Z",
        "now",
        "",
    ];
    (*random.pick(&bad)).to_owned()
}

/// Standard base64 of `bytes` random bytes.
pub(super) fn base64(bytes: u64, random: &mut Random) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes: Vec<u8> = (0..bytes).map(|_| random.next().to_le_bytes()[0]).collect();
    STANDARD.encode(bytes)
}

pub(super) fn bad_base64(random: &mut Random) -> String {
    (*random.pick(&["not base64", "abc", "YWJj=", "YW-_", "====", "é", "YWJjZA"])).to_owned()
}

pub(super) fn format(format: TextFormat, random: &mut Random) -> String {
    match format {
        TextFormat::Time => time(random),
        TextFormat::Email => email(random),
        TextFormat::Hostname => hostname(random),
        TextFormat::Ipv4 => [(); 4].map(|()| random.below(256).to_string()).join("."),
        TextFormat::Ipv6 => ipv6(random),
        TextFormat::Uri => uri(random),
        TextFormat::UriReference => match random.below(3) {
            0 => uri(random),
            1 => format!("/{}?{}=1", random.pick(WORDS), random.pick(WORDS)),
            _ => (*random.pick(&["#top", "../up", "", "?q=%20", "//host.example/a"])).to_owned(),
        },
        TextFormat::Uuid => uuid(random),
        TextFormat::JsonPointer => match random.below(3) {
            0 => String::new(),
            1 => format!("/{}/{}", random.pick(WORDS), random.below(10)),
            _ => format!("/a~1b/~0/{}", random.pick(WORDS)),
        },
    }
}

pub(super) fn bad_format(format: TextFormat, random: &mut Random) -> String {
    let bad: &[&str] = match format {
        TextFormat::Time => &["12:30", "25:00:00Z", "12:30:00", "12:60:00Z", "noon"],
        TextFormat::Email => {
            &["nobody", "@example.com", "a@", "a b@example.com", "a@-x.example", "a..b@example.com"]
        }
        TextFormat::Hostname => &["-a.example", "a..example", "under_score.example", "a b", ""],
        TextFormat::Ipv4 => &["1.2.3.256", "1.2.3", "01.2.3.4", "1.2.3.4.5", "::1"],
        TextFormat::Ipv6 => &["1::2::3", "12345::", "1.2.3.4", ":::", "fe80::1%eth0"],
        TextFormat::Uri => &["/relative", "http://[", "no scheme", "http://a b/", "%zz:"],
        TextFormat::UriReference => &["a b", "http://[", "<tag>", "%zz", "back\\slash"],
        TextFormat::Uuid => {
            &["123e4567", "123e4567-e89b-12d3-a456-42661417400g", "123e4567e89b12d3a456426614174000", "none"]
        }
        TextFormat::JsonPointer => &["a/b", "/~2", "/~", "#/a"],
    };
    (*random.pick(bad)).to_owned()
}

/// Of the formats that only the slower path asserts; `None`: it is none of them.
pub(super) fn other_format(name: &str, random: &mut Random) -> Option<String> {
    Some(match name {
        "iri" if random.one_in(2) => format!("https://bücher.example/größe/{}", random.pick(WORDS)),
        "iri" => uri(random),
        "iri-reference" if random.one_in(2) => {
            format!("/größe/{}?ü={}", random.pick(WORDS), random.below(100))
        }
        "iri-reference" => format(TextFormat::UriReference, random),
        "uri-template" => format!("https://host.example/{}/{{id}}{{?page,size}}", random.pick(WORDS)),
        "relative-json-pointer" => format!("{}/{}/{}", random.below(4), random.pick(WORDS), random.below(10)),
        "regex" => format!("^[a-z]{{1,{}}}-{}$", random.below(9) + 1, random.pick(WORDS)),
        "idn-email" if random.one_in(2) => "jürgen@bücher.example".to_owned(),
        "idn-email" => email(random),
        "idn-hostname" if random.one_in(2) => "bücher.example".to_owned(),
        "idn-hostname" => hostname(random),
        _ => return None,
    })
}

/// A text that has not this format, whichever it is.
pub(super) fn bad_other_format(name: &str, random: &mut Random) -> String {
    match (name, TextFormat::from_name(name)) {
        (_, Some(known)) => bad_format(known, random),
        ("date-time", _) => bad_date_time(random),
        ("date", _) => bad_date(random),
        // No format takes more than one or two of these.
        _ => {
            (*random.pick(&["a b", "http://[", "{unclosed", "[a-", "-1", "<tag>", "a..b", "@", "%zz", "\\"]))
                .to_owned()
        }
    }
}

fn email(random: &mut Random) -> String {
    let local = match random.below(8) {
        0 => format!("{}+{}", random.pick(WORDS), random.below(100)),
        1 => "\"quoted local\"".to_owned(),
        _ => format!("{}.{}", random.pick(WORDS), random.pick(WORDS)),
    };
    match random.one_in(12) {
        true => format!("{local}@[{}]", [(); 4].map(|()| random.below(256).to_string()).join(".")),
        false => format!("{local}@{}", hostname(random)),
    }
}

fn hostname(random: &mut Random) -> String {
    match random.below(6) {
        0 => (*random.pick(&["a", "xn--bcher-kva.example", "1.example"])).to_owned(),
        _ => format!("{}-{}.{}.example", random.pick(WORDS), random.below(1000), random.pick(WORDS)),
    }
}

fn ipv6(random: &mut Random) -> String {
    match random.below(4) {
        0 => (*random.pick(&["::", "::1", "fe80::1", "::ffff:192.0.2.1", "2001:db8::"])).to_owned(),
        _ => {
            let groups = [(); 6].map(|()| format!("{:x}", random.below(0x1_0000)));
            format!("2001:db8:{}", groups.join(":"))
        }
    }
}

fn uri(random: &mut Random) -> String {
    match random.below(5) {
        0 => format!("urn:uuid:{}", uuid(random)),
        1 => "mailto:someone@example.com".to_owned(),
        _ => {
            let (host, path) = (hostname(random), random.pick(WORDS));
            format!("https://{host}/{path}/{}?q=%C3%A9#{path}", random.below(1000))
        }
    }
}

fn uuid(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    // Version 4, variant 1.
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{high:016x}{low:016x}");
    let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    if random.one_in(10) { text.to_uppercase() } else { text }
}

fn digit(random: &mut Random) -> char {
    char::from(b'0' + u8::try_from(random.below(10)).unwrap_or(0))
}
