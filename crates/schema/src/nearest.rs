//! Which known word was most likely meant by an unknown one.

/// Words longer than this are not compared.
const WORD_CHARS_MAX: usize = 200;

/// The known word with the fewest slips (a letter too many, too few, wrong, or two swapped), if it is near
/// enough to be worth a hint.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    let candidates = known.into_iter().map(|candidate| (slips(word, candidate), candidate));
    candidates.filter(|(slips, _)| *slips <= allowed).min_by_key(|(slips, _)| *slips).map(|(_, near)| near)
}

/// Damerau-Levenshtein distance, adjacent swaps only.
fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(WORD_CHARS_MAX).collect();
    let b: Vec<char> = b.chars().take(WORD_CHARS_MAX).collect();
    let mut before_last: Vec<usize>;
    let mut last: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        before_last = last;
        last = row;
        row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = wrong.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_if_it_is_near() {
        let known = ["listen", "stream", "format", "fields", "ack"];
        for (word, near) in [
            ("listn", Some("listen")),
            ("litsen", Some("listen")),
            ("formatt", Some("format")),
            ("akc", Some("ack")),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
        assert_eq!(nearest("port", known), None);
        assert_eq!(nearest("", known), None);
    }
}
