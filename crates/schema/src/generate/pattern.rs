//! Texts that match a regular expression, made from its syntax tree.
//! Always: bounded, whatever the expression repeats. A boundary (`^`, `\b`) is not thought about: the caller asks the
//! expression itself whether the text matches.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

use super::random::Random;

const TEXT_BYTES_MAX: usize = 64 << 10;

/// How often things repeat that may repeat any number of times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch(pub u32);

/// A text for the compiled expression's own source; `None` where it can match nothing.
pub(super) fn text(source: &str, stretch: Stretch, random: &mut Random) -> Option<Vec<u8>> {
    let hir = ParserBuilder::new().utf8(false).build().parse(source).ok()?;
    let mut out = Vec::new();
    write(&hir, stretch, random, &mut out)?;
    std::str::from_utf8(&out).is_ok().then_some(out)
}

fn write(hir: &Hir, stretch: Stretch, random: &mut Random, out: &mut Vec<u8>) -> Option<()> {
    if out.len() > TEXT_BYTES_MAX {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => write_class(class, random, out)?,
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min.saturating_add(stretch.0));
            let count =
                repetition.min + u32::try_from(random.below(u64::from(most - repetition.min) + 1)).ok()?;
            for _ in 0..count {
                write(&repetition.sub, stretch, random, out)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, stretch, random, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(part, stretch, random, out)?;
            }
        }
        HirKind::Alternation(choices) => {
            write(&choices[random.index(choices.len())], stretch, random, out)?;
        }
    }
    Some(())
}

fn write_class(class: &Class, random: &mut Random, out: &mut Vec<u8>) -> Option<()> {
    match class {
        Class::Unicode(class) => {
            let ranges: Vec<(char, char)> =
                class.ranges().iter().map(|range| (range.start(), range.end())).collect();
            // What can be read is likelier than what can merely be matched.
            let readable: Vec<(char, char)> = ranges
                .iter()
                .map(|&(start, end)| (start.max('!'), end.min('~')))
                .filter(|(start, end)| start <= end)
                .collect();
            let ranges = if readable.is_empty() || random.one_in(12) { ranges } else { readable };
            if ranges.is_empty() {
                return None;
            }
            let (start, end) = ranges[random.index(ranges.len())];
            let code = random.between(i128::from(u32::from(start)), i128::from(u32::from(end)));
            // A range may span the surrogates, which are no characters.
            let c = u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(start);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Class::Bytes(class) => {
            let ranges = class.ranges();
            if ranges.is_empty() {
                return None;
            }
            let range = ranges[random.index(ranges.len())];
            out.push(u8::try_from(random.between(range.start().into(), range.end().into())).ok()?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    #[test]
    fn what_is_made_matches() {
        let mut random = Random::of(&[5]);
        for source in [
            "^[a-z0-9][a-z0-9._-]*$",
            "^(?:foo|ba[rz]){2,3}$",
            "[0-9]{4}-[0-9]{2}",
            r"^\p{Lu}\p{Greek}+$",
            "a?b+c*",
            "^[^a]$",
            "(?i)^straße$",
            "^.{0,5}$",
            "^$",
        ] {
            let regex = Regex::new(source).unwrap();
            for stretch in [0, 1, 30] {
                let made = text(source, Stretch(stretch), &mut random).unwrap();
                assert!(regex.is_match(&made), "{source} {:?}", String::from_utf8_lossy(&made));
            }
        }
    }

    #[test]
    fn what_cannot_match_or_grows_without_end_is_none() {
        let mut random = Random::of(&[5]);
        assert_eq!(text(r"[^\s\S]", Stretch(3), &mut random), None);
        assert_eq!(text("((a{400}){400}){400}", Stretch(0), &mut random), None);
    }
}
