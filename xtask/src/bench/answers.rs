//! What systems answered to one question, compared value by value. Always: a number may differ by 1e-9 of itself, and where a side
//! writes a decimal by one unit of its last digit, since a division has to end somewhere; texts, dates and times not at all. Rows that no
//! order tells apart may come in any.

use serde_json::Value;

const RELATIVE: f64 = 1e-9;

pub type Rows = Vec<Vec<Value>>;

/// `None` if they agree, else where they do not.
pub fn difference(ours: &[Vec<Value>], theirs: &[Vec<Value>]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} rows, {} rows", ours.len(), theirs.len()));
    }
    let first = first_difference(ours.iter().zip(theirs))?;
    // In another order: equal keys of an ORDER BY leave it open.
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    first_difference(ours.into_iter().zip(theirs)).is_some().then_some(first)
}

fn first_difference<'a>(mut rows: impl Iterator<Item = (&'a Vec<Value>, &'a Vec<Value>)>) -> Option<String> {
    let (ours, theirs) = rows.find(|(ours, theirs)| {
        ours.len() != theirs.len() || !ours.iter().zip(*theirs).all(|(ours, theirs)| same(ours, theirs))
    })?;
    Some(format!("{}, {}", Value::from(ours.clone()), Value::from(theirs.clone())))
}

fn sorted(rows: &[Vec<Value>]) -> Vec<&Vec<Value>> {
    let mut rows: Vec<&Vec<Value>> = rows.iter().collect();
    // Fractions last: their digits differ from side to side.
    rows.sort_by_cached_key(|row| {
        let texts = row.iter().map(Value::to_string);
        let (fractions, rest): (Vec<String>, Vec<String>) =
            texts.partition(|text| text.contains('.') && number(text.trim_matches('"')).is_some());
        (rest, fractions)
    });
    rows
}

fn same(ours: &Value, theirs: &Value) -> bool {
    let texts = [ours, theirs].map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    if texts[0] == texts[1] {
        return true;
    }
    let (Some(a), Some(b)) = (number(&texts[0]), number(&texts[1])) else { return false };
    let unit = if ours.is_string() || theirs.is_string() {
        // A decimal travels as a text. The coarser one counts.
        [ours, theirs]
            .into_iter()
            .zip(&texts)
            .filter(|(value, _)| value.is_string())
            .map(|(_, text)| last_digit(text))
            .fold(0.0, f64::max)
    } else {
        0.0
    };
    let difference = (a - b).abs();
    // A hair more: the texts became floats.
    difference <= RELATIVE * a.abs().max(b.abs()) || difference <= unit * 1.000_001
}

fn number(text: &str) -> Option<f64> {
    // `inf` and `nan` are words here, as they are in names.
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && !text.ends_with(|c: char| !c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The unit of a decimal's last digit; nothing for a whole number.
fn last_digit(text: &str) -> f64 {
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    if digits == 0 { 0.0 } else { 10f64.powi(-i32::try_from(digits).unwrap_or(i32::MAX)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differs(ours: Value, theirs: Value) -> bool {
        let rows = |value: Value| serde_json::from_value::<Rows>(value).unwrap();
        difference(&rows(ours), &rows(theirs)).is_some()
    }

    #[test]
    fn answers_are_compared_by_value() {
        assert!(!differs(json!([["Apple", 2.0, null]]), json!([["Apple", 2, null]])));
        assert!(!differs(json!([["12.50"]]), json!([[12.5]])));
        assert!(!differs(json!([[1_000_000_000_000.5]]), json!([[1_000_000_000_000.6]])));
        // The last digit of a decimal, cut or rounded.
        assert!(!differs(json!([["0.050095"]]), json!([[0.050_095_958]])));
        assert!(differs(json!([["0.050095"]]), json!([[0.050_097]])));
        for theirs in [
            json!([["Apple", 2.1]]),
            json!([["apple", 2]]),
            json!([]),
            json!([["Apple"]]),
            json!([["Apple", null]]),
        ] {
            assert!(differs(json!([["Apple", 2]]), theirs.clone()), "{theirs}");
        }
        assert!(differs(json!([["1994-01-01"]]), json!([["1994-01-02"]])));
        assert!(differs(json!([["12"]]), json!([["13"]])));
    }

    #[test]
    fn the_order_of_rows_may_be_open() {
        let ours = json!([["a", 1.000_000_000_01], ["b", 1.0]]);
        assert!(!differs(ours.clone(), json!([["b", 1.0], ["a", 1.0]])));
        assert!(differs(ours, json!([["b", 1.0], ["b", 1.0]])));
    }
}
