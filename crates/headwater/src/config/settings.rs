//! Every setting, declared once: name, type, default and documentation. The typed sections, the reader, the
//! list of known keys and the reference page all come from the declarations below.
//! Always: each default is read by the same code as a given value. Reads no file and no environment.

use std::{path::PathBuf, time::Duration};

use hw_event::{Ack, StreamName};

use super::{
    read::Reader,
    root_key::RootKeySource,
    value::{ByteSize, Count, FieldMap, LogFilter, LogFormat, LoopbackAddress, TcpFormat, TsDigits, Value},
};

/// What the reference, the hints and the loader know of one setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The section as it stands in the file: `""`, `http`, `tcp.NAME`.
    pub section: &'static str,
    pub name: &'static str,
    pub type_name: &'static str,
    /// As text.
    pub default: Option<&'static str>,
    /// Has no default and must be given.
    pub required: bool,
    pub doc: &'static str,
}

impl Setting {
    /// `http.listen`, `tcp.NAME.listen`.
    pub fn key(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

/// The part of a section's name that stands for a name the user chooses.
pub const ANY_NAME: &str = "NAME";

/// One section as declared.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    pub path: &'static str,
    pub doc: &'static str,
    pub settings: &'static [Setting],
}

macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        $Section:ident = $path:literal {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty $(= $default:literal)?,)*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Debug, Clone)]
        #[allow(dead_code, reason = "a name is reserved before its part is built; its documentation says so")]
        pub struct $Section {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl $Section {
            pub(super) const SECTION: Section = Section {
                path: $path,
                doc: concat!($($section_doc,)*),
                settings: &[$(section!(@setting $path, $field, $type, [$($default)?], [$($doc)*]),)*],
            };

            /// `None` if the reader found a fault; it looks at every setting all the same.
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<$Section> {
                $(let $field = reader.take::<$type>(
                    &section!(@setting $path, $field, $type, [$($default)?], [$($doc)*]),
                );)*
                Some($Section { $($field: $field?,)* })
            }
        }
    };
    (@setting $path:literal, $field:ident, $type:ty, [$($default:literal)?], [$($doc:literal)*]) => {{
        let default: Option<&'static str> = section!(@default $($default)?);
        Setting {
            section: $path,
            name: stringify!($field),
            type_name: <$type as Value>::TYPE,
            default,
            required: default.is_none() && !<$type as Value>::OPTIONAL,
            doc: concat!($($doc,)*),
        }
    }};
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

section! {
    /// Settings that stand at the top of the file.
    General = "" {
        /// The data directory: journal, lake, keys. A relative path in `headwater.toml` starts at the
        /// project directory; from `--data`, `--set` or the environment, at the working directory.
        data: PathBuf = ".headwater",
        /// When a producer is told that its events are safe: `disk` survives a power cut, `os` the death of
        /// the process, `memory` only a clean stop. A request can ask for another level.
        ack: Ack = "disk",
        /// What the server may hold of events on their way from the doors to the lake: half of it for requests that are
        /// being read and judged (beyond it producers get 429; never less than twice `limits.body`), an eighth for rows that
        /// wait for their commit, the rest for reading, writing and what the allocator keeps. Queries have `sql.memory`.
        memory: ByteSize = "256MiB",
    }
}

section! {
    /// The HTTP door and API.
    Http = "http" {
        /// Where HTTP listens. Only loopback addresses are taken, because there is no authentication yet.
        /// Port 0 takes any free port; `endpoints.json` in the data directory names it.
        listen: LoopbackAddress = "127.0.0.1:8080",
    }
}

section! {
    /// A TCP listener for sensors. None listens unless it is declared.
    Tcp = "tcp.NAME" {
        /// Where it listens. Only loopback addresses are taken.
        listen: LoopbackAddress,
        /// The stream its records go to.
        stream: StreamName,
        /// How records are written: `kv` is `id=…&tp=…&vl=…&ts=…`, `ndjson` one JSON object a line.
        format: TcpFormat = "kv",
        /// For `kv`: which field of the schema a record's key stands for, where the two differ, for example
        /// `{tp="type", un="unit", vl="value"}`.
        fields: FieldMap = "",
        /// For `kv`: the digits of the `ts` that ends each record, 10 (seconds) or 13 (milliseconds). With
        /// it, a record ends at the last digit and needs no separator; `ts` must then be the last key. Without
        /// it, a record whose last value is a `ts` as long as the schema's `x-time` makes it ends after 50 ms of
        /// silence.
        ts_digits: Option<TsDigits>,
        /// Whether the server writes `ok N` and a newline after N records of the connection are on disk.
        ack: bool = "false",
    }
}

section! {
    /// A directory whose `*.ndjson` and `*.json` files are read, each content once, when they have not changed for 2 s.
    Directory = "directory.NAME" {
        /// The directory; it must exist, outside the data directory, and no other section may name it. A relative path in
        /// `headwater.toml` starts at the project directory; from `--set` or the environment, at the working directory.
        path: PathBuf,
        /// The stream its events go to. A declared schema must have this name.
        stream: StreamName,
    }
}

section! {
    /// The log on disk that every event is appended to first.
    Journal = "journal" {
        /// The size of one segment file at most. They begin with 16MiB and double when more than sixteen wait for their commits. Segments are created in full and recycled.
        segment: ByteSize = "64MiB",
        /// How much disk the journal may use. At the limit producers get 429 until the lake has caught up.
        budget: ByteSize = "8GiB",
    }
}

section! {
    /// The Delta tables.
    Lake = "lake" {
        /// How often a busy table is committed.
        commit_every: Duration = "2s",
        /// Within which time everything at rest is read again and held against its checksums.
        scrub_every: Duration = "24h",
        /// The size that compaction aims at: the many small files of a table become few of about this size.
        compact_to: ByteSize = "128MiB",
        /// How long files that compaction has replaced, and commits of a table's log that stand before a checkpoint, are kept for
        /// whoever reads an older version, in SQL or with another engine. Statements of this server keep what they read, however long they run.
        keep_old: Duration = "1h",
        /// How often it is looked for rows that `x-retention` does not keep any more.
        retain_every: Duration = "1m",
    }
}

section! {
    /// Limits of one query.
    Sql = "sql" {
        /// The memory all running queries may use together.
        memory: ByteSize = "512MiB",
        /// How long a query may run.
        time: Duration = "30s",
        /// How many rows an answer may have.
        rows: Count = "1000000",
        /// How long the text of a query may be.
        text: ByteSize = "256KiB",
        /// How deep the expressions of a query may nest.
        depth: Count = "200",
    }
}

section! {
    /// Limits of the doors.
    Limits = "limits" {
        /// The largest event; a larger one is a reject `too_large`.
        event: ByteSize = "1MiB",
        /// The largest request body, before and after decompression; a larger one gets 413.
        body: ByteSize = "64MiB",
        /// How deep an event may nest; a deeper one is a reject `json_depth`.
        depth: Count = "128",
        /// How many connections may be open, HTTP and TCP together.
        connections: Count = "16384",
        /// How long the body of a request may take to arrive; a slower one gets 408. A record over TCP, from its first
        /// byte to its last: a slower one is a reject.
        request_time: Duration = "30s",
    }
}

section! {
    /// The error lake.
    Rejects = "rejects" {
        /// How long the bytes of a rejected event can be opened.
        keep: Duration = "30d",
    }
}

section! {
    /// Protected fields.
    Privacy = "privacy" {
        /// A file with the key of hashed fields, as the key file that Headwater makes in `D/keys/` at its
        /// first start if this is not set. A relative path starts at the project directory.
        key_file: Option<PathBuf>,
        /// The directory in which erasures are written down, `D/erasures` if this is not set. Keep it apart from the
        /// data and its backups: then a backup that is restored is erased again at its start. A relative path starts
        /// at the project directory.
        erasures: Option<PathBuf>,
        /// Where the root key of the vault comes from: `file:PATH` (32 bytes, readable by its owner alone; a relative path
        /// starts at the project directory), `env:NAME` (a variable with 64 hexadecimal digits) or `command:PROGRAM ARGS`
        /// (a program that prints them; no shell is between). If this is not set, Headwater makes `D/keys/root.key` at its
        /// first start.
        root_key: Option<RootKeySource>,
        /// Whether whoever reaches this server may have tokens revealed. Each reveal, and each attempt, is written to
        /// `D/audit/reveals.ndjson` before it is answered.
        reveal: bool = "false",
    }
}

section! {
    /// What the server says on standard error.
    Log = "log" {
        /// A level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as `info,hw_lake=debug`.
        level: LogFilter = "info",
        /// `text` for people, `json` for machines.
        format: LogFormat = "text",
    }
}

pub const SECTIONS: &[Section] = &[
    General::SECTION,
    Http::SECTION,
    Tcp::SECTION,
    Directory::SECTION,
    Journal::SECTION,
    Lake::SECTION,
    Sql::SECTION,
    Limits::SECTION,
    Rejects::SECTION,
    Privacy::SECTION,
    Log::SECTION,
];

pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}
