//! The reference event: what every figure is measured with, the same bytes on every machine.
//! Always: row i is the same whatever came before it was made for; a bad row takes the same draws as a good one, so that the
//! good rows of a mixed run are those of a clean one. Does not write in any order of keys but the one of the schema.

use std::ops::Range;

/// The stream's name, its table's too.
pub const STREAM: &str = "bid";
pub const EVENTS_PATH: &str = "/v1/streams/bid/events";

/// All eight fields are required and checked; whose bid it is rests as a hash.
pub const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "auction": {"type": "integer", "minimum": 1000, "maximum": 1000000},
    "bidder": {"type": "integer", "minimum": 1000, "maximum": 1000000, "x-privacy": "hash"},
    "price": {"type": "integer", "minimum": 0, "maximum": 10000000},
    "channel": {"type": "string", "minLength": 1, "maxLength": 40},
    "url": {"type": "string", "maxLength": 200},
    "date_time": {"type": "string", "format": "date-time"},
    "temp": {"type": "number", "minimum": -200, "maximum": 800},
    "extra": {"type": "string", "maxLength": 100}
  },
  "required": ["auction", "bidder", "price", "channel", "url", "date_time", "temp", "extra"],
  "additionalProperties": false,
  "x-event-time": "date_time"
}
"#;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const CHANNELS: [&str; 6] = ["Google", "Facebook", "Baidu", "Apple", "channel-4711", "channel-118"];
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Rows of one millisecond of event time.
const ROWS_A_MILLISECOND: u64 = 10;

/// How often each reject code comes among the bad variants, in the order of their ways.
const CODES: [&str; 20] = [
    "json_syntax",
    "json_syntax",
    "json_unicode",
    "json_unicode",
    "json_depth",
    "json_repeated_key",
    "not_object",
    "not_object",
    "type",
    "type",
    "type",
    "required",
    "required",
    "minimum",
    "maximum",
    "out_of_range",
    "length",
    "length",
    "format",
    "unknown_field",
];

struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: &'static str,
    url: String,
    date_time: String,
    temp: String,
    extra: &'static str,
}

/// The rows, one after another.
struct Rows {
    state: u64,
    next: u64,
}

impl Rows {
    fn new() -> Rows {
        Rows { state: SEED, next: 0 }
    }

    /// xorshift64.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn row(&mut self) -> Row {
        let channel = CHANNELS[(self.draw() % 6) as usize];
        let length = (self.draw() % 40 + 20) as usize;
        let from = (self.draw() % 20) as usize;
        let extra = &ALPHABET[from..(from + length).min(ALPHABET.len())];
        let auction = 1_000 + self.draw() % 20_000;
        let bidder = 1_000 + self.draw() % 50_000;
        let price = self.draw() % 10_000_000;
        let (item, channel_id) = (self.draw() & 0xff_ffff, self.draw() % 10_000);
        let url = format!("https://www.nexmark.com/{item:x}/item.htm?query=1&channel_id={channel_id}");
        let hundredths = (self.draw() % 100_000) as i64 - 20_000;
        let sign = if hundredths < 0 { "-" } else { "" };
        let temp = format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100);
        let ms = self.next / ROWS_A_MILLISECOND;
        self.next += 1;
        let date_time =
            format!("2026-11-21T20:{:02}:{:02}.{:03}Z", ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        Row { auction, bidder, price, channel, url, date_time, temp, extra }
    }
}

impl Row {
    fn members(&self) -> [(&'static str, String); 8] {
        [
            ("auction", self.auction.to_string()),
            ("bidder", self.bidder.to_string()),
            ("price", self.price.to_string()),
            ("channel", quoted(self.channel)),
            ("url", quoted(&self.url)),
            ("date_time", quoted(&self.date_time)),
            ("temp", self.temp.clone()),
            ("extra", quoted(self.extra)),
        ]
    }

    fn good(&self) -> String {
        object(&self.members())
    }

    /// The same row with what `way` (below 20) does to it; it is refused with `CODES[way]`.
    fn bad(&self, way: usize) -> Vec<u8> {
        let mut members = self.members().to_vec();
        let mut put = |name: &str, value: &str| {
            if let Some(member) = members.iter_mut().find(|member| member.0 == name) {
                member.1 = value.to_owned();
            }
        };
        match way {
            // Broken off, and a comma too many.
            0 => return self.good().trim_end_matches("\"}").into(),
            1 => return self.good().replace("\"}", "\",}").into(),
            // Half of a pair of surrogates; bytes that are no UTF-8.
            2 => put("extra", r#""\ud83d""#),
            3 => {
                let mut bytes = self.good().into_bytes();
                let at = bytes.len() - 3;
                bytes[at] = 0xff;
                return bytes;
            }
            4 => put("extra", &format!("{}{}", "[".repeat(200), "]".repeat(200))),
            5 => members.push(("price", "1".to_owned())),
            6 => return format!("[{}]", self.good()).into(),
            7 => return self.price.to_string().into(),
            8 => put("price", &quoted(&self.price.to_string())),
            9 => put("channel", "null"),
            10 => put("temp", "true"),
            11 => members.retain(|member| member.0 != "bidder"),
            12 => members.retain(|member| member.0 != "temp"),
            13 => put("price", "-1"),
            14 => put("temp", "900.25"),
            15 => put("auction", "9223372036854775808"),
            16 => put("channel", r#""""#),
            17 => put("extra", &quoted(&ALPHABET.repeat(2))),
            18 => put("date_time", r#""2026-11-21 20h""#),
            _ => members.push(("colour", quoted("green"))),
        }
        object(&members).into()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Rows as NDJSON, and what must be found of them wherever they went.
pub struct Batch {
    pub bytes: Vec<u8>,
    /// Where each line begins, and where the last one ends.
    lines: Vec<usize>,
    pub good: u64,
    /// Of the good rows.
    pub price_sum: u64,
    /// How many bad rows have this code.
    pub bad: Vec<(&'static str, u64)>,
    /// How often all lines are sent; counts and sums are of all turns.
    turns: u64,
}

impl Batch {
    /// The first `count` rows, `bad_of_ten` of each ten in a bad variant.
    pub fn new(count: u64, bad_of_ten: u64) -> Batch {
        let mut batch = Batch {
            bytes: Vec::with_capacity(count as usize * 244),
            lines: vec![0],
            good: 0,
            price_sum: 0,
            bad: Vec::new(),
            turns: 1,
        };
        let (mut rows, mut way) = (Rows::new(), 0);
        for index in 0..count {
            let row = rows.row();
            // Spread over the ten, not in a bunch.
            if index * bad_of_ten % 10 < bad_of_ten {
                batch.bytes.extend_from_slice(&row.bad(way));
                batch.count_bad(CODES[way]);
                way = (way + 1) % CODES.len();
            } else {
                batch.bytes.extend_from_slice(row.good().as_bytes());
                batch.good += 1;
                batch.price_sum += row.price;
            }
            batch.bytes.push(b'\n');
            batch.lines.push(batch.bytes.len());
        }
        batch
    }

    fn count_bad(&mut self, code: &'static str) {
        match self.bad.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.bad.push((code, 1)),
        }
    }

    /// The same lines, sent so many times, for loads that are longer than the memory.
    #[must_use]
    pub fn in_turns(mut self, turns: u64) -> Batch {
        self.turns *= turns;
        self.good *= turns;
        self.price_sum *= turns;
        self.bad.iter_mut().for_each(|(_, count)| *count *= turns);
        self
    }

    pub fn rows(&self) -> u64 {
        (self.lines.len() as u64 - 1) * self.turns
    }

    pub fn rejected(&self) -> u64 {
        self.rows() - self.good
    }

    /// Where the bodies of so many lines each stand.
    pub fn bodies(&self, lines: usize) -> Vec<Range<usize>> {
        let last = self.lines.len() - 1;
        let body = |at: usize| self.lines[at]..self.lines[(at + lines).min(last)];
        (0..self.turns).flat_map(|_| (0..last).step_by(lines).map(body)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_is_the_known_one() {
        let row = Rows::new().row();
        assert_eq!((row.auction, row.bidder, row.price, row.channel), (3260, 31268, 1_705_465, "Apple"));
        assert!(row.url.contains("/e8f2cf/") && row.url.ends_with("channel_id=7450"), "{}", row.url);
        assert_eq!((row.temp.as_str(), row.date_time.as_str()), ("549.87", "2026-11-21T20:00:00.000Z"));
    }

    #[test]
    fn rows_have_the_known_mean_size() {
        let batch = Batch::new(100_000, 0);
        let mean = batch.bytes.len() as f64 / 100_000.0;
        assert!((242.0..244.0).contains(&mean), "{mean}");
        assert_eq!((batch.rows(), batch.good, batch.rejected()), (100_000, 100_000, 0));
        let bodies = batch.bodies(999);
        assert_eq!(bodies.len(), 101);
        assert_eq!(bodies.last().map(|body| body.end), Some(batch.bytes.len()));
        let (sum, batch) = (batch.price_sum, batch.in_turns(3));
        assert_eq!((batch.rows(), batch.good, batch.price_sum), (300_000, 300_000, 3 * sum));
        assert_eq!(batch.bodies(999)[101..202], bodies);
    }

    #[test]
    fn three_of_ten_are_bad_in_twenty_ways_evenly() {
        let batch = Batch::new(2_000, 3);
        assert_eq!((batch.good, batch.rejected()), (1_400, 600));
        assert!(batch.bad.iter().all(|(_, count)| count % 30 == 0), "{:?}", batch.bad);
        let lines: Vec<&[u8]> = batch.bytes.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 2_001);
        // What is good is what a clean run has in that place.
        let clean = Batch::new(2_000, 0);
        let same = clean.bytes.split(|byte| *byte == b'\n').zip(&lines).filter(|(a, b)| a == *b).count();
        assert_eq!(same, 1_401);
    }
}
