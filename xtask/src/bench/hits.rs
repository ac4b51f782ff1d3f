//! Page views of a web analytics service, made up: what `bench clickbench` asks its questions about. Always: row i of a count is the
//! same on every machine; only integers are drawn. The shape follows what is known of ClickBench's table (few sites with most of
//! the views, most search phrases empty, a sixth as many users as rows, long addresses of which a fifth are distinct), its values do not.

use std::io::Write;

use anyhow::Result;

const SEED: u64 = 0x2545_f491_4f6c_dd1d;
/// 2013-07-02T00:00:00Z, a Tuesday; the rows fill the thirty days from there.
const FIRST_SECOND: u64 = 1_372_723_200;
const DAYS: u64 = 30;
/// The number of the site that has the most views. With ids in the order of popularity, 62 has about one view in a hundred.
const COUNTER_FIRST: u64 = 53;
/// One address in so many leads through a search engine's redirection.
const GOOGLE_OF: u64 = 5_000;

const SYLLABLES: [&str; 32] = [
    "ka", "lo", "mi", "ne", "tu", "ra", "si", "vo", "be", "da", "fe", "go", "hi", "ja", "ko", "lu", "ma",
    "no", "pi", "re", "sa", "to", "ve", "zi", "ba", "de", "fo", "gu", "ki", "le", "mo", "ru",
];
/// Two bytes a letter: most of the views were of pages in Russian.
const CYRILLIC: [&str; 32] = [
    "ка", "ло", "ми", "не", "ту", "ра", "си", "во", "бе", "да", "фе", "го", "хи", "жа", "ко", "лу", "ма",
    "но", "пи", "ре", "са", "то", "ве", "зи", "ба", "де", "фо", "гу", "ки", "ле", "мо", "ру",
];
const WIDTHS: [u64; 16] =
    [1366, 1366, 1366, 1280, 1280, 1920, 1920, 1024, 1024, 1440, 1600, 1680, 768, 320, 360, 0];
const SECTIONS: [&str; 8] = ["news", "catalog", "forum", "search", "photo", "item", "user", "article"];
const ENDINGS: [&str; 4] = ["ru", "com", "net", "org"];

pub struct Hits {
    state: u64,
    next: u64,
    count: u64,
    url: Vec<u8>,
    referer: Vec<u8>,
    text: Vec<u8>,
}

impl Hits {
    pub fn new(count: u64) -> Hits {
        Hits { state: SEED, next: 0, count, url: Vec::new(), referer: Vec::new(), text: Vec::new() }
    }

    /// xorshift64*: the low bits of plain xorshift depend on one another.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(SEED) >> 16
    }

    /// A rank below 2^bits - 1, the first the most frequent: each doubling of the rank has the same share of the draws.
    fn skewed(&mut self, bits: u64) -> u64 {
        let level = self.draw() % bits;
        (1 << level) - 1 + self.draw() % (1 << level)
    }

    fn is_one_of(&mut self, count: u64) -> bool {
        self.draw().is_multiple_of(count)
    }

    /// Appends the next row as a JSON object.
    pub fn row(&mut self, json: &mut Vec<u8>) -> Result<()> {
        let counter = self.skewed(13);
        // A sixth as many users as rows, some with many views.
        let users = (self.count / 6).max(1);
        let user =
            if self.is_one_of(4) { self.skewed(users.ilog2().max(1).into()) } else { self.draw() % users };
        let second = FIRST_SECOND + self.next * DAYS * 86_400 / self.count + self.draw() % 600;
        let second = second.min(FIRST_SECOND + DAYS * 86_400 - 1);
        // Pages of one site; the more views it has the more.
        let page = if self.is_one_of(16) { self.draw() % (1 << 21) } else { self.skewed(9) };
        let refresh = self.is_one_of(8);
        let adv_engine = if self.is_one_of(160) { 2 + self.skewed(5) } else { 0 };
        let (search_engine, phrase) =
            if self.is_one_of(8) { (1 + self.skewed(6), Some(self.skewed(23))) } else { (0, None) };
        let traffic_source = match (search_engine, self.draw() % 16) {
            (1.., _) => 2,
            (_, 0..=3) => -1,
            (_, 4..=6) => 6,
            (_, 7..=11) => 0,
            _ => 1,
        };
        let mobile = self.is_one_of(18).then(|| self.skewed(7));
        let width = WIDTHS[(self.draw() % 16) as usize];
        let window_width = width - (self.draw() % 8).min(width);
        let window_height = (width / 16 * 9).saturating_sub(40 + self.draw() % 200);
        self.write_url(counter, page);
        self.write_referer(counter, traffic_source);
        let flags = [refresh, self.is_one_of(16), self.is_one_of(700), self.is_one_of(20)].map(u64::from);
        let [watch_id, user_id] = [scattered(self.next + 1), scattered(user + (1 << 40))];
        let client_ip = scattered(user / 2 + (1 << 41)) >> 31;
        let region = 1 + scattered_rank(user, 12);
        let date = date(second);
        let time = second % 86_400;
        write!(
            json,
            "{{\"watch_id\":{watch_id},\"event_time\":\"{date}T{:02}:{:02}:{:02}Z\",\"event_date\":\"{date}\",\
             \"counter_id\":{},\"client_ip\":{client_ip},\"region_id\":{region},\"user_id\":{user_id},",
            time / 3_600,
            time / 60 % 60,
            time % 60,
            COUNTER_FIRST + counter,
        )?;
        write_text(json, "url", &self.url);
        write_text(json, "referer", &self.referer);
        self.write_title(counter, page);
        write_text(json, "title", &self.text);
        self.text.clear();
        if let Some(phrase) = phrase {
            // The rarer the longer.
            let words = 1 + u64::from(phrase.checked_ilog2().unwrap_or(0)) / 7;
            write_words(&mut self.text, &CYRILLIC, scattered(phrase + (1 << 42)), words);
        }
        write_text(json, "search_phrase", &self.text);
        self.text.clear();
        if let Some(model) = mobile {
            write_words(&mut self.text, &SYLLABLES, scattered(model + (1 << 43)), 1);
        }
        write_text(json, "mobile_phone_model", &self.text);
        let [refresh, link, download, dont_count] = flags;
        write!(
            json,
            "\"mobile_phone\":{},\"search_engine_id\":{search_engine},\"adv_engine_id\":{adv_engine},\
             \"traffic_source_id\":{traffic_source},\"resolution_width\":{width},\"window_width\":{window_width},\
             \"window_height\":{window_height},\"is_refresh\":{refresh},\"is_link\":{link},\"is_download\":{download},\
             \"dont_count\":{dont_count},\"url_hash\":{},\"referer_hash\":{}}}",
            mobile.map_or(0, |model| 1 + model / 4),
            hash(&self.url),
            hash(&self.referer),
        )?;
        self.next += 1;
        Ok(())
    }

    fn write_url(&mut self, counter: u64, page: u64) {
        self.url.clear();
        if self.is_one_of(GOOGLE_OF) {
            let rest = self.draw();
            put(
                &mut self.url,
                format_args!("http://www.google.com/url?sa=t&cd={}&url=http%3A%2F%2F", rest % 20),
            );
            write_host(&mut self.url, counter);
            return;
        }
        write_page(&mut self.url, counter, page);
    }

    /// A fifth have none, every thirtieth the front page of a portal; the others come from a page of the site or of another.
    fn write_referer(&mut self, counter: u64, traffic_source: i64) {
        self.referer.clear();
        let (way, page) = (self.draw() % 30, self.skewed(20));
        match way {
            0..=5 => {}
            6 => self.referer.extend_from_slice(b"http://www.portal.ru/"),
            7..=11 if traffic_source == 2 => {
                put(&mut self.referer, format_args!("https://www.search.ru/yandsearch?text={page}&lr=213"));
            }
            7..=20 => write_page(&mut self.referer, counter, page),
            _ => {
                let other = self.skewed(13);
                write_page(&mut self.referer, other, page);
            }
        }
    }

    /// The same for each view of a page; a few speak of the search engine.
    fn write_title(&mut self, counter: u64, page: u64) {
        let seed = scattered(counter << 22 | page);
        self.text.clear();
        if seed.is_multiple_of(600) {
            self.text.extend_from_slice("Google и ".as_bytes());
        }
        write_words(&mut self.text, &CYRILLIC, seed, 3 + seed % 5);
        self.text.extend_from_slice(" — ".as_bytes());
        write_words(&mut self.text, &CYRILLIC, scattered(counter), 2);
    }
}

fn write_page(text: &mut Vec<u8>, counter: u64, page: u64) {
    let seed = scattered(counter << 22 | page);
    let scheme = if counter.is_multiple_of(8) { "https" } else { "http" };
    put(text, format_args!("{scheme}://"));
    if counter.is_multiple_of(3) {
        text.extend_from_slice(b"www.");
    }
    write_host(text, counter);
    if page == 0 {
        return;
    }
    put(text, format_args!("{}/", SECTIONS[(seed % 8) as usize]));
    for part in 0..2 + seed % 3 {
        write_word(text, &SYLLABLES, scattered(seed + part));
        text.push(b'-');
    }
    put(text, format_args!("{page}.html"));
    if seed.is_multiple_of(4) {
        put(text, format_args!("?from={}&ref={:x}", seed % 97, seed & 0xfff_ffff));
    }
}

/// With the slash behind it.
fn write_host(text: &mut Vec<u8>, counter: u64) {
    let seed = scattered(counter + (1 << 44));
    write_word(text, &SYLLABLES, seed);
    put(text, format_args!(".{}/", ENDINGS[(seed % 4) as usize]));
}

fn write_words(text: &mut Vec<u8>, syllables: &[&str; 32], seed: u64, count: u64) {
    for word in 0..count {
        if word > 0 {
            text.push(b' ');
        }
        write_word(text, syllables, scattered(seed + word));
    }
}

/// Two to five syllables.
fn write_word(text: &mut Vec<u8>, syllables: &[&str; 32], seed: u64) {
    for place in 0..2 + seed % 4 {
        text.extend_from_slice(syllables[(seed >> (8 + place * 5) & 31) as usize].as_bytes());
    }
}

fn put(text: &mut Vec<u8>, what: std::fmt::Arguments) {
    // Writing to memory cannot fail.
    let _ = text.write_fmt(what);
}

/// A member of the row; the texts here need no escapes.
fn write_text(json: &mut Vec<u8>, name: &str, text: &[u8]) {
    put(json, format_args!("\"{name}\":\""));
    json.extend_from_slice(text);
    json.extend_from_slice(b"\",");
}

/// Another number for each number, positive as an int64, without any order (the finalizer of splitmix64).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) >> 1
}

/// As `Hits::skewed`, the same for one number each time.
fn scattered_rank(number: u64, bits: u64) -> u64 {
    let seed = scattered(number + (1 << 45));
    let level = seed % bits;
    (1 << level) - 1 + (seed >> 8) % (1 << level)
}

/// FNV-1a, as an int64.
fn hash(text: &[u8]) -> i64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// The day of a second of July 2013.
fn date(second: u64) -> String {
    format!("2013-07-{:02}", 2 + (second - FIRST_SECOND) / 86_400)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::*;

    fn rows(count: u64) -> Vec<Value> {
        let mut hits = Hits::new(count);
        let row = |_| {
            let mut json = Vec::new();
            hits.row(&mut json).unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn rows_have_the_columns_of_the_schema() {
        let schema = crate::workspace::root().join("bench/clickbench/schemas/hits.json");
        let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
        let mut wanted: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let rows = rows(1);
        let mut found: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted);
    }

    #[test]
    fn shares_are_those_that_are_meant() {
        let rows = rows(30_000);
        let share = |holds: &dyn Fn(&Value) -> bool| {
            rows.iter().filter(|row| holds(row)).count() as f64 / rows.len() as f64
        };
        let phrases = share(&|row| row["search_phrase"] != "");
        assert!((0.11..0.14).contains(&phrases), "{phrases}");
        let counter = share(&|row| row["counter_id"] == 62);
        assert!((0.007..0.013).contains(&counter), "{counter}");
        let advertised = share(&|row| row["adv_engine_id"] != 0);
        assert!((0.004..0.009).contains(&advertised), "{advertised}");
        let urls: HashSet<&Value> = rows.iter().map(|row| &row["url"]).collect();
        assert!((0.5..0.8).contains(&(urls.len() as f64 / rows.len() as f64)), "{}", urls.len());
        let mut counters = HashMap::new();
        rows.iter().for_each(|row| *counters.entry(row["counter_id"].as_u64()).or_insert(0) += 1);
        assert!(counters[&Some(COUNTER_FIRST)] > 1_500 && counters.len() > 2_000, "{}", counters.len());
        let bytes: usize = rows.iter().map(|row| row["url"].as_str().unwrap().len()).sum();
        assert!((40..110).contains(&(bytes / rows.len())), "{}", bytes / rows.len());
    }
}
