//! Which of our formats a caller wants.
//! Always: RFC 9110: the most specific range that names a format gives its weight; weight 0 is "not this one".

use http::{HeaderMap, StatusCode, header};
use hw_query::render::Format;

use crate::Problem;

/// The first wins where the caller does not mind.
const OFFERED: [(Format, &str, &str); 4] = [
    (Format::Json, "application", "json"),
    (Format::Ndjson, "application", "x-ndjson"),
    (Format::Csv, "text", "csv"),
    (Format::Arrow, "application", "vnd.apache.arrow.stream"),
];

pub(crate) fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Arrow => "application/vnd.apache.arrow.stream",
    }
}

pub(crate) fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        // What cannot be read names nothing of ours.
        ranges.extend(value.to_str().unwrap_or_default().split(',').filter_map(Range::parse));
    }
    if !headers.contains_key(header::ACCEPT) {
        return Ok(Format::Json);
    }
    let mut best: Option<(u16, Format)> = None;
    for (format, kind, subtype) in OFFERED {
        let of = |range: &&Range| range.covers(kind, subtype);
        let Some(range) = ranges.iter().filter(of).max_by_key(|range| range.precision) else { continue };
        if range.weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((range.weight, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "none of the media types in Accept can be made",
            "one of application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream",
        )
    })
}

struct Range {
    kind: String,
    subtype: String,
    /// In thousandths.
    weight: u16,
    /// 0 for */*, 1 for text/*, 2 for text/csv.
    precision: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut weight = 1_000;
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("q") {
                let value: f32 = value.trim().parse().ok()?;
                // In range after the clamp; NaN becomes 0.
                weight = (value.clamp(0.0, 1.0) * 1_000.0) as u16;
            }
        }
        let precision = match (kind, subtype) {
            ("*", "*") => 0,
            ("*", _) => return None,
            (_, "*") => 1,
            _ => 2,
        };
        Some(Range {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            weight,
            precision,
        })
    }

    fn covers(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == "*" || self.kind == kind) && (self.subtype == "*" || self.subtype == subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(accept: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        accepted(&headers).ok()
    }

    #[test]
    fn the_best_of_what_is_accepted_is_chosen() {
        assert_eq!(accepted(&HeaderMap::new()).ok(), Some(Format::Json));
        for (accept, chosen) in [
            ("*/*", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("text/*", Some(Format::Csv)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; charset=utf-8", Some(Format::Csv)),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("application/vnd.apache.arrow.stream", Some(Format::Arrow)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(Format::Json)),
            ("application/json;q=0.1, text/csv;q=0.9", Some(Format::Csv)),
            ("application/json;q=0, */*", Some(Format::Ndjson)),
            ("text/csv;q=0.5, application/*;q=0.5", Some(Format::Json)),
            ("text/csv;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(format(accept), chosen, "{accept}");
        }
    }
}
