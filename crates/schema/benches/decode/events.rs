//! The events that figures name: reference, shuffled and nested, byte for byte the same at every run.
//! Always: the reference event's generator and order of draws never change, or old figures mean nothing.

use std::fmt::Write;

/// The schema of the reference event.
pub const REFERENCE: &str = r#"{"type": "object",
    "required": ["auction", "bidder", "price", "channel", "url", "date_time"],
    "properties": {
        "auction": {"type": "integer"}, "bidder": {"type": "integer"}, "price": {"type": "integer"},
        "channel": {"type": "string"}, "url": {"type": "string"},
        "date_time": {"type": "string", "format": "date-time"},
        "temp": {"type": "number"}, "extra": {"type": "string"}}}"#;

/// The schema of the nested event.
pub const NESTED: &str = r#"{"type": "object",
    "required": ["id", "type", "actor", "repo", "created_at", "public", "payload"],
    "properties": {
        "id": {"type": "integer"}, "type": {"type": "string"},
        "actor": {"type": "object", "properties": {
            "id": {"type": "integer"}, "login": {"type": "string"},
            "avatar_url": {"type": "string"}, "email": {"type": "string"}}},
        "repo": {"type": "object", "properties": {
            "id": {"type": "integer"}, "name": {"type": "string"}, "url": {"type": "string"}}},
        "created_at": {"type": "string", "format": "date-time"},
        "public": {"type": "boolean"},
        "payload": {"type": "object", "properties": {"commits": {"type": "array", "items": {
            "type": "object", "properties": {
                "sha": {"type": "string"}, "message": {"type": "string"},
                "author": {"type": "object", "properties": {
                    "name": {"type": "string"}, "email": {"type": "string"}}},
                "distinct": {"type": "boolean"}, "url": {"type": "string"}}}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}"#;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One line's members, in the order of the reference event.
fn bid(draws: &mut Draws, row: usize) -> [(&'static str, String); 8] {
    const CHANNELS: [&str; 6] = ["Google", "Facebook", "Baidu", "Apple", "channel-4711", "channel-118"];
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let channel = CHANNELS[draws.below(6) as usize];
    let length = draws.below(40) as usize + 20;
    let start = draws.below(20) as usize;
    let extra = &LETTERS[start..(start + length).min(LETTERS.len())];
    let (auction, bidder) = (1000 + draws.below(20_000), 1000 + draws.below(50_000));
    let price = draws.below(10_000_000);
    let (item, channel_id) = (draws.next() & 0xff_ffff, draws.below(10_000));
    let millis = row / 10;
    let time = format!(
        "\"2026-11-21T20:{:02}:{:02}.{:03}Z\"",
        millis / 60_000 % 60,
        millis / 1000 % 60,
        millis % 1000
    );
    let temp = draws.below(100_000) as i64 - 20_000;
    let sign = if temp < 0 { "-" } else { "" };
    [
        ("auction", auction.to_string()),
        ("bidder", bidder.to_string()),
        ("price", price.to_string()),
        ("channel", format!("\"{channel}\"")),
        ("url", format!("\"https://www.nexmark.com/{item:x}/item.htm?query=1&channel_id={channel_id}\"")),
        ("date_time", time),
        ("temp", format!("{sign}{}.{:02}", temp.abs() / 100, temp.abs() % 100)),
        ("extra", format!("\"{extra}\"")),
    ]
}

fn write_object<'a>(members: impl IntoIterator<Item = &'a (&'static str, String)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{name}\":{value}");
    }
    out.push('}');
}

/// `rows` reference events, a line each.
pub fn reference(rows: usize) -> String {
    let mut draws = Draws(SEED);
    let mut out = String::new();
    for row in 0..rows {
        write_object(&bid(&mut draws, row), &mut out);
        out.push('\n');
    }
    out
}

/// The same events, their keys in a fresh order in each and every tenth `temp` and `extra` left out.
pub fn shuffled(rows: usize) -> String {
    let (mut draws, mut order) = (Draws(SEED), Draws(SEED ^ 1));
    let mut out = String::new();
    for row in 0..rows {
        let mut members = bid(&mut draws, row).to_vec();
        members.retain(|(name, _)| !matches!(*name, "temp" | "extra") || order.below(10) > 0);
        for last in (1..members.len()).rev() {
            members.swap(last, order.below(last as u64 + 1) as usize);
        }
        write_object(&members, &mut out);
        out.push('\n');
    }
    out
}

/// Reference events of which each breaks the schema or JSON, in turn in one of five ways.
pub fn bad(rows: usize) -> String {
    let good = reference(rows);
    let mut out = String::new();
    for (row, line) in good.lines().enumerate() {
        let line = match row % 5 {
            0 => line.replace("\"price\":", "\"price\":\"x"),
            1 => line.replace("\"date_time\":\"2026-11", "\"date_time\":\"2026-13"),
            2 => line.replace(",\"extra\":", ",\"url\":"),
            3 => line.replace("\"auction\":", "\"auction\":1.5,\"a\":"),
            _ => line.replace("\"bidder\"", "\"b\""),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// `rows` nested events of about 3 KB, a line each.
pub fn nested(rows: usize) -> String {
    const KINDS: [&str; 6] =
        ["PushEvent", "PullRequestEvent", "IssuesEvent", "WatchEvent", "ForkEvent", "ReleaseEvent"];
    let mut draws = Draws(SEED);
    let mut out = String::new();
    for row in 0..rows {
        // Zipf: the k-th kind is a k-th as frequent as the first.
        let mut kind = 0;
        let mut left = draws.below(2450) as i64;
        while kind < 5 && left >= 1000 / (kind as i64 + 1) {
            left -= 1000 / (kind as i64 + 1);
            kind += 1;
        }
        let (actor, repo) = (draws.below(100_000), draws.below(30_000));
        let _ = write!(
            out,
            "{{\"id\":{},\"type\":\"{}\",\"actor\":{{\"id\":{actor},\"login\":\"user{actor}\"",
            22_000_000_000 + row,
            KINDS[kind]
        );
        if draws.below(10) > 0 {
            let _ = write!(out, ",\"avatar_url\":\"https://avatars.example.com/u/{actor}?v=4&s=64\"");
        }
        if draws.below(10) > 0 {
            let _ = write!(out, ",\"email\":\"user{actor}@example.com\"");
        }
        let _ = write!(
            out,
            "}},\"repo\":{{\"id\":{repo},\"name\":\"org{}/repo{repo}\",\"url\":\"https://code.example.com/repos/org{}/repo{repo}\"}}",
            repo % 100,
            repo % 100
        );
        let millis = row * 7;
        let _ = write!(
            out,
            ",\"created_at\":\"2026-11-21T20:{:02}:{:02}.{:03}Z\",\"public\":{},\"payload\":{{\"commits\":[",
            millis / 60_000 % 60,
            millis / 1000 % 60,
            millis % 1000,
            draws.below(10) > 0
        );
        // One to twenty, more often few: about 3 KB in the mean.
        for commit in 0..1 + draws.below(20).min(draws.below(20)) {
            if commit > 0 {
                out.push(',');
            }
            write_commit(&mut draws, repo, &mut out);
        }
        out.push_str("]}");
        if draws.below(10) > 0 {
            out.push_str(",\"labels\":{");
            for label in 0..draws.below(9) {
                let comma = if label > 0 { "," } else { "" };
                let _ = write!(out, "{comma}\"label{label}\":\"value-{}\"", draws.below(1000));
            }
            out.push('}');
        }
        out.push_str("}\n");
    }
    out
}

fn write_commit(draws: &mut Draws, repo: u64, out: &mut String) {
    const WORDS: [&str; 12] = [
        "fix", "the", "parser", "when", "input", "ends", "early", "add", "tests", "refactor", "remove",
        "unused",
    ];
    let sha = format!("{:016x}{:016x}{:08x}", draws.next(), draws.next(), draws.next() & 0xffff_ffff);
    let _ = write!(out, "{{\"sha\":\"{sha}\",\"message\":\"");
    let length = 20 + draws.below(281) as usize;
    let odd = draws.below(20) == 0;
    let start = out.len();
    while out.len() - start < length {
        out.push_str(WORDS[draws.below(12) as usize]);
        out.push_str(if odd { ["\\n", " é ", "\\\"", " 日本 "][draws.below(4) as usize] } else { " " });
    }
    let author = draws.below(5000);
    let _ = write!(
        out,
        "\",\"author\":{{\"name\":\"Author {author}\",\"email\":\"author{author}@example.com\"}},\"distinct\":{}",
        draws.below(10) > 0
    );
    if draws.below(10) > 0 {
        let _ = write!(out, ",\"url\":\"https://code.example.com/repos/{repo}/commits/{sha}\"");
    }
    out.push('}');
}
