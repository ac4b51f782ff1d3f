//! The configuration from text to typed values, and its faults as the user sees them.

use std::{path::Path, time::Duration};

use super::{settings::all, *};

fn source(text: &str) -> Source {
    Source::new(Path::new("headwater.toml"), text)
}

fn checked(text: &str, overrides: &Overrides) -> CheckedConfig {
    let source = source(text);
    let loaded = load(Path::new("proj"), Some(&source), overrides);
    assert!(loaded.faults.is_empty(), "{}", render(loaded.faults));
    loaded.config.unwrap()
}

fn render(mut faults: Vec<Fault>) -> String {
    crate::fault::sort(&mut faults);
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

fn faults(text: &str, overrides: &Overrides) -> String {
    let source = source(text);
    let loaded = load(Path::new("proj"), Some(&source), overrides);
    assert!(loaded.config.is_none() || !loaded.faults.iter().any(Fault::is_error));
    render(loaded.faults)
}

#[test]
fn every_default_is_valid() {
    let config = checked("", &Overrides::default());
    assert_eq!(config.data, Path::new("proj/.headwater"));
    assert_eq!(config.ack, Ack::Disk);
    assert_eq!(config.http.listen.socket().to_string(), "127.0.0.1:8080");
    assert_eq!(config.journal.segment.bytes(), 64 << 20);
    assert_eq!(config.journal.budget.bytes(), 8 << 30);
    assert_eq!(config.lake.commit_every, Duration::from_secs(2));
    assert_eq!(config.sql.rows.get(), 1_000_000);
    assert_eq!(config.limits.connections.get(), 16_384);
    assert_eq!(config.rejects.keep, Duration::from_secs(30 * 86_400));
    assert!(config.tcp.is_empty() && config.privacy.key_file.is_none());
    // The defaults of sections that stand only where they are declared.
    let config = checked("[tcp.a]\nlisten = \"127.0.0.1:0\"\nstream = \"s\"\n", &Overrides::default());
    let tcp = &config.tcp["a"];
    assert_eq!((tcp.format, tcp.ack, tcp.ts_digits), (TcpFormat::Kv, false, None));
    assert!(tcp.fields.0.is_empty());
}

#[test]
fn every_setting_says_what_it_is() {
    for setting in all() {
        assert!(!setting.doc.trim().is_empty(), "{}", setting.key());
        assert!(!setting.doc.contains('|') && setting.doc.trim().ends_with('.'), "{}", setting.key());
    }
}

#[test]
fn a_full_file_is_read() {
    let text = r#"
        data = "/var/lib/headwater"
        ack = "os"
        [http]
        listen = "[::1]:9000"
        [tcp.telemetry]
        listen = "127.0.0.1:15002"
        stream = "sensor.reading"
        fields = { tp = "type", un = "unit" }
        ts_digits = 13
        ack = true
        [directory.drop]
        path = "in"
        stream = "sensor.reading"
        [limits]
        event = "2MiB"
        body = 4194304
        [privacy]
        key_file = "secret.key"
    "#;
    let config = checked(text, &Overrides::default());
    let drop = &config.directories["drop"];
    assert_eq!((drop.path.as_path(), drop.stream.as_str()), (Path::new("proj/in"), "sensor.reading"));
    assert_eq!(config.data, Path::new("/var/lib/headwater"));
    assert_eq!(config.ack, Ack::Os);
    let tcp = &config.tcp["telemetry"];
    assert_eq!(tcp.fields.0["tp"], "type");
    assert_eq!(tcp.ts_digits.map(|digits| digits.get()), Some(13));
    assert!(tcp.ack);
    assert_eq!(config.limits.body.bytes(), 4 << 20);
    assert_eq!(config.privacy.key_file.as_deref(), Some(Path::new("proj/secret.key")));
}

#[test]
fn a_later_layer_wins() {
    let environment = vec![
        ("HEADWATER_HTTP__LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
        ("HEADWATER_SQL__ROWS".to_owned(), "2".to_owned()),
        ("HEADWATER_TCP__T__STREAM".to_owned(), "other".to_owned()),
        ("HEADWATER_TCP__T__FIELDS".to_owned(), "{tp=\"type\"}".to_owned()),
        ("HEADWATER_URL".to_owned(), "http://127.0.0.1:1".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    let overrides = Overrides {
        data: Some("here".into()),
        set: vec!["http.listen=127.0.0.1:3".to_owned(), "data=there".to_owned()],
        environment,
    };
    let file = "data = \"mine\"\n[http]\nlisten = \"127.0.0.1:1\"\n[sql]\nrows = 1\n\
                [tcp.t]\nlisten = \"127.0.0.1:0\"\nstream = \"s\"\n";
    let config = checked(file, &overrides);
    assert_eq!(config.http.listen.socket().port(), 3);
    assert_eq!(config.sql.rows.get(), 2);
    assert_eq!(config.tcp["t"].stream.as_str(), "other");
    assert_eq!(config.tcp["t"].fields.0["tp"], "type");
    // Not below the project: who types a path means the directory they stand in.
    assert_eq!(config.data, Path::new("here"));
}

#[test]
fn every_fault_is_told_at_once_with_its_place_and_a_hint() {
    let text = r#"dat = "x"
ack = "fast"

[http]
listn = "127.0.0.1:1"
listen = "0.0.0.0:8080"

[tcp.telemetry]
stream = 5
format = "xml"

[sql]
rows = 0
time = 30

[lake]
listen = "127.0.0.1:1"
"#;
    let overrides =
        Overrides { set: vec!["sql=1".to_owned(), "sql.memry=1GiB".to_owned()], ..Overrides::default() };
    insta::assert_snapshot!(faults(text, &overrides));
}

#[test]
fn broken_toml_says_where() {
    insta::assert_snapshot!(faults("data = \n[http\nlisten = \"127.0.0.1:1\"\n", &Overrides::default()));
}

#[test]
fn settings_that_contradict_each_other_are_faults() {
    let text = r#"
[http]
listen = "127.0.0.1:9"
[tcp.a]
listen = "127.0.0.1:9"
stream = "s"
format = "ndjson"
ts_digits = 10
[tcp.B]
listen = "127.0.0.1:0"
stream = "s"
[journal]
segment = "1GiB"
budget = "2GiB"
[limits]
body = "1KiB"
"#;
    insta::assert_snapshot!(faults(text, &Overrides::default()));
}

/// Whatever stands in the file: a configuration or faults, no panic; each fault has a text.
#[test]
fn a_damaged_file_has_faults_and_nothing_else() {
    const SEEDS: [&str; 6] = [
        "data = \"d\"\nack = \"os\"\n[http]\nlisten = \"127.0.0.1:0\"\n",
        "[tcp.a]\nlisten = \"127.0.0.1:0\"\nstream = \"s\"\nfields = {tp = \"type\", vl = \"value\"}\nts_digits = 13\n",
        "[directory.in]\npath = \"in\"\nstream = \"s\"\n[journal]\nsegment = \"64MiB\"\nbudget = \"8GiB\"\n",
        "[limits]\nevent = \"1MiB\"\ndepth = 128\nrequest_time = \"30s\"\n[sql]\nrows = 10\n",
        "[a.b.c]\nx = [1, {y = 1979-05-27T07:32:00Z}]\n'lit' = \"\"\"m\"\"\"\n",
        "\u{feff}# é\n\"k\\u0000\" = 1e400\nn = nan\nh = 0xdeadbeef\n",
    ];
    const PIECES: [&str; 12] =
        ["[", "]", "=", "\"", "\n", "{", "tcp.", "\\u", "é", "\0", "9999999999999999999999", "[["];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    for round in 0..3000 {
        let mut text: Vec<char> = SEEDS[round % SEEDS.len()].chars().collect();
        for _ in 0..1 + below(4) {
            let at = below(text.len());
            match below(3) {
                0 => drop(text.splice(at..at, PIECES[below(PIECES.len())].chars())),
                1 => drop(text.splice(at..(at + 1 + below(8)).min(text.len()), [])),
                _ => text.truncate(at.max(1)),
            }
        }
        let text: String = text.into_iter().collect();
        let source = source(&text);
        let loaded = load(Path::new("proj"), Some(&source), &Overrides::default());
        let is_faulty = loaded.faults.iter().any(Fault::is_error);
        assert!(loaded.config.is_some() != is_faulty, "round {round}: {text:?}");
        assert!(loaded.faults.iter().all(|fault| !fault.to_string().is_empty()), "round {round}: {text:?}");
    }
}
