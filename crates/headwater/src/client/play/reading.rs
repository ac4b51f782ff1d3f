//! Makes readings of a recording's rows.
//! Always: a number is sent as the recording has it; a reading's time has the digits that its listener expects.

use serde_json::{Map, Value, json};

use crate::cli::{Sensor, TimeUnit};

/// A time as a recording gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Time {
    /// Seconds since the start of the recording.
    Relative(f64),
    /// Microseconds since 1970.
    Absolute(i64),
}

impl Time {
    #[expect(clippy::cast_precision_loss, reason = "for the length of a wait, 1 µs in a century is enough")]
    pub fn seconds(self) -> f64 {
        match self {
            Time::Relative(seconds) => seconds,
            Time::Absolute(micros) => micros as f64 / 1e6,
        }
    }

    /// Microseconds since 1970, where the recording starts at `start`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float saturates; the caller checks the digits"
    )]
    pub fn moment(self, start: i64) -> i64 {
        match self {
            Time::Relative(seconds) => start.saturating_add((seconds * 1e6).round() as i64),
            Time::Absolute(micros) => micros,
        }
    }
}

/// `None`: the value is no time.
pub fn time_of(value: &Value, unit: TimeUnit) -> Option<Time> {
    match value {
        Value::Number(number) => {
            let per_second = match unit {
                TimeUnit::S => 1.0,
                TimeUnit::Ms => 1e3,
                TimeUnit::Us => 1e6,
                TimeUnit::Ns => 1e9,
            };
            number.as_f64().map(|number| Time::Relative(number / per_second))
        }
        Value::String(text) => {
            text.parse::<jiff::Timestamp>().ok().map(|time| Time::Absolute(time.as_microsecond()))
        }
        _ => None,
    }
}

/// One sensor's value at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub id: String,
    pub kind: String,
    pub unit: Option<String>,
    /// A JSON number.
    pub value: String,
    /// With exactly the declared digits.
    pub ts: i64,
}

impl Reading {
    /// As a TCP record: `id=…&tp=…&un=…&vl=…&ts=…`. It ends with `ts`, whose last digit ends the record.
    pub fn to_kv(&self) -> String {
        let unit = self.unit.as_ref().map_or_else(String::new, |unit| format!("&un={}", encode(unit)));
        let Reading { id, kind, value, ts, .. } = self;
        format!("id={}&tp={}{unit}&vl={}&ts={ts}", encode(id), encode(kind), encode(value))
    }

    /// As an event.
    pub fn to_json(&self) -> String {
        // The value is a number already; as text it stays as the recording has it.
        let Reading { id, kind, unit, value, ts } = self;
        let unit = unit.as_ref().map_or_else(String::new, |unit| format!(",\"unit\":{}", json!(unit)));
        format!("{{\"id\":{},\"type\":{}{unit},\"value\":{value},\"ts\":{ts}}}", json!(id), json!(kind))
    }
}

/// Every byte but the unreserved ones of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Which columns become which sensors.
pub struct Readings {
    sensors: Vec<(Sensor, String)>,
    in_seconds: bool,
}

/// Times of 10 digits as seconds or 13 as milliseconds: 2001-09-09 to 2286-11-20.
const TS_SECONDS: std::ops::Range<i64> = 1_000_000_000..10_000_000_000;

impl Readings {
    pub fn new(sensors: &[Sensor], id_prefix: &str, in_seconds: bool) -> Readings {
        let with_id = |sensor: &Sensor| (sensor.clone(), format!("{id_prefix}.{}", sensor.column));
        Readings { sensors: sensors.iter().map(with_id).collect(), in_seconds }
    }

    /// One reading for each sensor, or why there is none. `moment`: microseconds since 1970.
    pub fn of_row(&self, row: &Map<String, Value>, moment: Option<i64>) -> Vec<Result<Reading, String>> {
        let Some(moment) = moment else { return vec![Err("no time".to_owned())] };
        if !TS_SECONDS.contains(&moment.div_euclid(1_000_000)) {
            return vec![Err("the time lies outside of 2001 to 2286".to_owned())];
        }
        let ts = moment.div_euclid(if self.in_seconds { 1_000_000 } else { 1_000 });
        let reading = |(sensor, id): &(Sensor, String)| match row.get(&sensor.column) {
            Some(Value::Number(value)) => Ok(Reading {
                id: id.clone(),
                kind: sensor.column.clone(),
                unit: sensor.unit.clone(),
                value: value.to_string(),
                ts,
            }),
            Some(_) => Err(format!("column {:?} is no number", sensor.column)),
            None => Err(format!("no column {:?}", sensor.column)),
        };
        self.sensors.iter().map(reading).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(line: &str, time: Time, in_seconds: bool) -> Vec<Result<Reading, String>> {
        let sensors = [
            Sensor { column: "velocity".to_owned(), unit: Some("m/s".to_owned()) },
            Sensor { column: "altitude".to_owned(), unit: None },
        ];
        let row: Map<String, Value> = serde_json::from_str(line).unwrap();
        Readings::new(&sensors, "crs-11", in_seconds).of_row(&row, Some(time.moment(1_496_524_058_000_000)))
    }

    #[test]
    fn each_column_becomes_a_reading() {
        let line = r#"{"time": 0.033, "velocity": 0.277, "altitude": 0.0}"#;
        let read = readings(line, Time::Relative(0.033), false);
        let [Ok(velocity), Ok(altitude)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(velocity.to_kv(), "id=crs-11.velocity&tp=velocity&un=m%2Fs&vl=0.277&ts=1496524058033");
        assert_eq!(altitude.to_kv(), "id=crs-11.altitude&tp=altitude&vl=0.0&ts=1496524058033");
        assert_eq!(
            velocity.to_json(),
            r#"{"id":"crs-11.velocity","type":"velocity","unit":"m/s","value":0.277,"ts":1496524058033}"#
        );
        let read = readings(line, Time::Relative(-0.966), true);
        assert!(read[0].as_ref().unwrap().to_kv().ends_with("&ts=1496524057"), "{read:?}");
    }

    #[test]
    fn what_is_no_reading_says_why() {
        let line = r#"{"velocity": "fast"}"#;
        assert_eq!(
            readings(line, Time::Relative(0.0), false),
            [Err("column \"velocity\" is no number".to_owned()), Err("no column \"altitude\"".to_owned())]
        );
        for time in [Time::Relative(f64::INFINITY), Time::Relative(-1e18), Time::Relative(1e300)] {
            assert_eq!(readings(line, time, false).len(), 1);
        }
    }

    #[test]
    fn times_are_read_in_their_unit() {
        assert_eq!(time_of(&json!(1500), TimeUnit::Ms), Some(Time::Relative(1.5)));
        assert_eq!(time_of(&json!("1970-01-01T00:00:01Z"), TimeUnit::S), Some(Time::Absolute(1_000_000)));
        for bad in [json!("yesterday"), json!(null), json!([1])] {
            assert_eq!(time_of(&bad, TimeUnit::S), None);
        }
    }
}
