//! Numbers that keep a schema's rules, or break one of them, as exact decimal digits.
//! Always: no float arithmetic, so that the digits are the same everywhere. Whether a rule holds is the decoder's word.

use super::random::Random;
use crate::{
    json::Exact,
    rules::NumberRules,
    schema::{Decimal, Time, TimeUnit},
};

/// Digits behind the point that a number without rules is given.
const SCALE_USUAL: i32 = 3;
/// Beyond this nothing is calculated; the bounds themselves are tried instead.
const SCALE_MAX: i32 = 24;

/// The multiples of `step` in `low..=high`, all in units of ten to the power of `-scale`.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    low: i128,
    high: i128,
    step: i128,
    scale: i32,
    /// Where values of such a field usually lie.
    usual: (i128, i128),
    /// The bounds come from the schema, so that they are worth hitting.
    ruled: bool,
}

impl Grid {
    pub fn integer(rules: Option<&NumberRules>) -> Option<Grid> {
        Grid::new(rules, 0, (i64::MIN.into(), i64::MAX.into()), (0, 1000), false)
    }

    pub fn number(rules: Option<&NumberRules>) -> Option<Grid> {
        let behind = |exact: &Exact| i32::try_from(exact.digits_around_point().1).unwrap_or(i32::MAX);
        let digits = rules.map_or(0, |rules| {
            let limits = [&rules.minimum, &rules.maximum].into_iter().flatten().map(|bound| &bound.limit);
            limits.chain(&rules.multiple_of).map(behind).max().unwrap_or(0)
        });
        let scale = digits.max(SCALE_USUAL);
        if scale > SCALE_MAX {
            return None;
        }
        let unit = power(scale)?;
        let most = unit.checked_mul(1_000_000_000)?;
        Grid::new(rules, scale, (-most, most), (0, 100 * unit), true)
    }

    pub fn decimal(decimal: &Decimal) -> Option<Grid> {
        let scale = i32::from(decimal.scale);
        let largest = power(i32::from(decimal.precision))? - 1;
        let usual = largest.min(power(scale)?.checked_mul(1000).unwrap_or(largest));
        Grid::new(decimal.rules.as_deref(), scale, (-largest, largest), (0, usual), false)
    }

    pub fn time(time: &Time) -> Option<Grid> {
        // Microseconds; 2024-01-01 to 2027-01-01.
        const USUAL: (i128, i128) = (1_704_067_200_000_000, 1_798_761_600_000_000);
        let scale = if time.whole { 0 } else { SCALE_USUAL };
        let unit = power(scale)?;
        let (numerator, divisor) = match time.unit {
            TimeUnit::Nanosecond => (1000, 1),
            TimeUnit::Microsecond => (1, 1),
            TimeUnit::Millisecond => (1, 1000),
            TimeUnit::Second => (1, 1_000_000),
        };
        let of_micros = |micros: i128| micros * numerator * unit / divisor;
        let range = (of_micros(crate::format::TIME_MIN.into()), of_micros(crate::format::TIME_MAX.into()));
        Grid::new(time.rules.as_deref(), scale, range, (of_micros(USUAL.0), of_micros(USUAL.1)), false)
    }

    /// `free`: the range is our own idea of a sensible one, which a bound of the schema replaces, and not the type's.
    fn new(
        rules: Option<&NumberRules>,
        scale: i32,
        range: (i128, i128),
        usual: (i128, i128),
        free: bool,
    ) -> Option<Grid> {
        let mut grid = Grid { low: range.0, high: range.1, step: 1, scale, usual, ruled: rules.is_some() };
        let Some(rules) = rules else { return Some(grid) };
        let floor = |limit: &Exact| {
            let scaled = limit.clone().scaled(scale);
            scaled.floor().map(|floor| (floor, scaled.is_whole()))
        };
        if let Some(bound) = &rules.minimum {
            match floor(&bound.limit) {
                Ok((floor, whole)) => {
                    let low = if whole && !bound.exclusive { floor } else { floor.checked_add(1)? };
                    grid.low = if free { low } else { low.max(range.0) };
                    if free && grid.high < grid.low {
                        grid.high = grid.low.checked_add(range.1)?;
                    }
                }
                Err(_) if bound.limit.is_positive() => return None,
                Err(_) => {}
            }
        }
        if let Some(bound) = &rules.maximum {
            match floor(&bound.limit) {
                Ok((floor, whole)) => {
                    let high = if whole && bound.exclusive { floor.checked_sub(1)? } else { floor };
                    grid.high = if free { high } else { high.min(range.1) };
                    if free && rules.minimum.is_none() && grid.low > grid.high {
                        grid.low = grid.high.checked_add(range.0)?;
                    }
                }
                Err(_) if !bound.limit.is_positive() => return None,
                Err(_) => {}
            }
        }
        if let Some(divisor) = &rules.multiple_of {
            grid.step = step(divisor, scale)?;
        }
        Some(grid)
    }

    fn multiples(&self) -> Option<(i128, i128)> {
        let first = -(-self.low).div_euclid(self.step);
        let last = self.high.div_euclid(self.step);
        (first <= last).then_some((first, last))
    }

    /// A value that should pass. `None`: there is none.
    pub fn good(&self, random: &mut Random) -> Option<String> {
        let (first, last) = self.multiples()?;
        let (usual_first, usual_last) =
            ((self.usual.0 / self.step).max(first), (self.usual.1 / self.step).min(last));
        let multiple = match random.below(if self.ruled { 24 } else { 200 }) {
            0 => first,
            1 => last,
            2 => (first + 1).min(last),
            3 => (last - 1).max(first),
            4 | 5 => 0.clamp(first, last),
            6..=9 => random.between(first, last),
            _ if usual_first <= usual_last => random.between(usual_first, usual_last),
            _ => random.between(first, last),
        };
        Some(self.text(multiple.checked_mul(self.step)?, self.scale))
    }

    pub fn below(&self, random: &mut Random) -> Option<String> {
        let distance = *random.pick(&[&1, &1, &self.step, &1000]);
        self.low.checked_sub(distance).map(|value| self.text(value, self.scale))
    }

    pub fn above(&self, random: &mut Random) -> Option<String> {
        let distance = *random.pick(&[&1, &1, &self.step, &1000]);
        self.high.checked_add(distance).map(|value| self.text(value, self.scale))
    }

    /// Between two multiples; `finer` allows one more digit behind the point.
    pub fn between_multiples(&self, finer: bool, random: &mut Random) -> Option<String> {
        let (first, last) = self.multiples().unwrap_or((self.low, self.high));
        let near = random.between(first, last).checked_mul(self.step).unwrap_or(self.low);
        if self.step > 1 {
            let off = random.between(1, self.step - 1);
            let value = if near.checked_add(off)? <= self.high { near + off } else { near - off };
            return Some(self.text(value, self.scale));
        }
        let tenths = near.checked_mul(10)?;
        let value = if near < self.high { tenths + 5 } else { tenths - 5 };
        finer.then(|| self.text(value, self.scale + 1))
    }

    fn text(&self, value: i128, scale: i32) -> String {
        decimal_text(value, scale)
    }
}

/// The distance of the multiples of `divisor` that are whole in units of ten to the power of `-scale`.
fn step(divisor: &Exact, scale: i32) -> Option<i128> {
    let scaled = divisor.clone().scaled(scale);
    let behind = i32::try_from(scaled.digits_around_point().1).ok()?;
    let digits = scaled.scaled(behind).to_i128().ok()?;
    let (mut a, mut b) = (digits, power(behind)?);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some(digits / a)
}

fn power(exponent: i32) -> Option<i128> {
    10i128.checked_pow(u32::try_from(exponent).ok()?)
}

fn decimal_text(value: i128, scale: i32) -> String {
    let digits = value.unsigned_abs().to_string();
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Another spelling of the same number.
pub(super) fn respelled(text: String, random: &mut Random) -> String {
    if !random.one_in(10) || text.contains(['e', 'E']) {
        return text;
    }
    let fraction = text.contains('.');
    let zeros = text.len() - text.trim_end_matches('0').len();
    match random.below(5) {
        0 if text == "0" => "-0".to_owned(),
        1 if !fraction => format!("{text}.0"),
        2 if !fraction && zeros > 0 && text.len() > zeros => {
            let mantissa = text.trim_end_matches('0');
            if matches!(mantissa, "" | "-") { text } else { format!("{mantissa}e{zeros}") }
        }
        3 if !fraction && text != "0" => format!("{text}0e-1"),
        4 if fraction => format!("{text}00"),
        _ => format!("{text}{}", random.pick(&["e0", "E+00", "e-0"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Number, rules::Bound};

    fn exact(text: &str) -> Exact {
        Exact::from_number(&Number::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_the_grid_gives_keeps_the_rules_it_was_made_from() {
        let bound = |text: &str, exclusive| Some(Bound { limit: exact(text), exclusive });
        for (minimum, maximum, multiple) in [
            (bound("-3", false), bound("4", true), Some("0.5")),
            (bound("0.1", true), None, Some("0.1")),
            (None, bound("-1e9", false), Some("3")),
            (bound("1e12", false), None, None),
            (bound("2", false), bound("2", false), None),
        ] {
            let rules = NumberRules::new(minimum, maximum, multiple.map(exact)).unwrap();
            let mut random = Random::of(&[3]);
            for grid in [Grid::number(Some(&rules)), Grid::integer(Some(&rules))].into_iter().flatten() {
                for _ in 0..200 {
                    let Some(text) = grid.good(&mut random) else { continue };
                    assert_eq!(rules.check_exact(&exact(&text)), Ok(()), "{text} {rules:?}");
                    let other = respelled(text.clone(), &mut random);
                    assert_eq!(exact(&other), exact(&text), "{other}");
                }
            }
        }
    }

    #[test]
    fn digits_are_exact() {
        for (value, scale, text) in
            [(0, 3, "0"), (-5, 1, "-0.5"), (1200, 2, "12"), (7, 0, "7"), (1005, 3, "1.005")]
        {
            assert_eq!(decimal_text(value, scale), text);
        }
    }
}
