//! Schema documents made from bytes: each byte decides one thing, so that what is changed in an input changes one
//! keyword of the document. Always: JSON, and bounded in size whatever the bytes.

const LEVELS_MAX: usize = 6;
const PARTS_MAX: usize = 120;
const NAMES: [&str; 4] = ["a", "b", "n", "kind"];
const TYPES: [&str; 8] = [
    r#""object""#,
    r#""array""#,
    r#""string""#,
    r#""integer""#,
    r#""number""#,
    r#""boolean""#,
    r#"["object","array","null"]"#,
    r#"["string","integer"]"#,
];
const REFERENCES: [&str; 6] = ["#", "#/$defs/a", "#/$defs/b", "#/$defs/n", "#/properties/a", "#d"];
const SCALARS: [&str; 17] = [
    r#""minimum":1"#,
    r#""maximum":1.5"#,
    r#""multipleOf":0.5"#,
    r#""minLength":1"#,
    r#""pattern":"^a+$""#,
    r#""format":"date-time""#,
    r#""format":"iri""#,
    r#""enum":[1,"x",null,[1]]"#,
    r#""const":1"#,
    r#""uniqueItems":true"#,
    r#""maxItems":3"#,
    r#""minProperties":1"#,
    r#""x-privacy":"hash""#,
    r#""x-privacy":"drop""#,
    r#""x-privacy":"tokenize""#,
    r#""x-token-domain":"a""#,
    r#""x-token-format":"digits""#,
];

struct Bytes<'a> {
    rest: &'a [u8],
    parts: usize,
}

impl Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                usize::from(*first) % bound
            }
            None => 0,
        }
    }

    fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }
}

pub(super) fn document(bytes: &[u8]) -> String {
    let mut bytes = Bytes { rest: bytes, parts: 0 };
    let definitions: Vec<String> = NAMES[..3]
        .iter()
        .map(|name| {
            let anchor = if bytes.below(3) == 1 { r#""$dynamicAnchor":"d","# } else { "" };
            let inner = schema(&mut bytes, 1);
            format!("\"{name}\":{}", inner.replacen('{', &format!("{{{anchor}"), 1).replace(",}", "}"))
        })
        .collect();
    let dialect = bytes.pick(&["", r#""$schema":"http://json-schema.org/draft-07/schema#","#]);
    let extra =
        bytes.pick(&["", r#""x-extra":"drop","#, r#""x-extra":"refuse","#, r#""$dynamicAnchor":"d","#]);
    let mut keywords = vec![r#""type":"object""#.to_owned(), named(&mut bytes, "properties", 1)];
    for _ in 0..bytes.below(4) {
        keywords.push(keyword(&mut bytes, 1));
    }
    dedup(&mut keywords);
    format!("{{{dialect}{extra}\"$defs\":{{{}}},{}}}", definitions.join(","), keywords.join(","))
}

fn schema(bytes: &mut Bytes<'_>, level: usize) -> String {
    bytes.parts += 1;
    if level > LEVELS_MAX || bytes.parts > PARTS_MAX {
        return "{}".to_owned();
    }
    let mut keywords = Vec::new();
    if bytes.below(3) > 0 {
        keywords.push(format!("\"type\":{}", bytes.pick(&TYPES)));
    }
    for _ in 0..bytes.below(4) {
        keywords.push(keyword(bytes, level));
    }
    dedup(&mut keywords);
    format!("{{{}}}", keywords.join(","))
}

/// A keyword twice would be no document.
fn dedup(keywords: &mut Vec<String>) {
    let mut seen: Vec<String> = Vec::new();
    keywords.retain(|keyword| {
        let name = keyword.split(':').next().unwrap_or_default().to_owned();
        let is_new = !seen.contains(&name);
        seen.push(name);
        is_new
    });
}

fn keyword(bytes: &mut Bytes<'_>, level: usize) -> String {
    let one = |bytes: &mut Bytes<'_>, name: &str| format!("\"{name}\":{}", schema(bytes, level + 1));
    match bytes.below(10) {
        0 => bytes.pick(&SCALARS).to_owned(),
        1 => format!("\"$ref\":\"{}\"", bytes.pick(&REFERENCES)),
        2 => format!("\"$dynamicRef\":\"{}\"", bytes.pick(&["#d", "#/$defs/a"])),
        3 => named(bytes, "properties", level),
        4 => {
            let name = bytes.pick(&["anyOf", "oneOf", "allOf", "prefixItems"]);
            let branches: Vec<String> = (0..=bytes.below(3)).map(|_| schema(bytes, level + 1)).collect();
            format!("\"{name}\":[{}]", branches.join(","))
        }
        5 => {
            let name = bytes.pick(&["items", "contains", "not", "if", "then", "else", "propertyNames"]);
            one(bytes, name)
        }
        6 => {
            let name = bytes.pick(&["additionalProperties", "unevaluatedProperties", "unevaluatedItems"]);
            if bytes.below(2) == 0 { format!("\"{name}\":false") } else { one(bytes, name) }
        }
        7 => named(bytes, "dependentSchemas", level),
        8 => format!("\"patternProperties\":{{\"^{}\":{}}}", bytes.pick(&NAMES), schema(bytes, level + 1)),
        _ => format!("\"required\":[\"{}\"]", bytes.pick(&NAMES)),
    }
}

fn named(bytes: &mut Bytes<'_>, keyword: &str, level: usize) -> String {
    let first = bytes.below(NAMES.len());
    let members: Vec<String> = (0..=bytes.below(2))
        .map(|place| format!("\"{}\":{}", NAMES[(first + place) % NAMES.len()], schema(bytes, level + 1)))
        .collect();
    format!("\"{keyword}\":{{{}}}", members.join(","))
}
