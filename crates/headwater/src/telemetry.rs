//! What the server says about itself: structured log lines on standard error, and metrics for Prometheus.
//! Always: neither holds a value of an event. Does not decide what is worth saying.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Targets of log lines that are ours.
const OURS: [&str; 9] = [
    "headwater",
    "hw_gate",
    "hw_journal",
    "hw_lake",
    "hw_pipeline",
    "hw_query",
    "hw_schema",
    "hw_serve",
    "hw_vault",
];
/// Upper bounds of the latency histograms, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
const COUNTS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0];

/// A bare level is meant for us: libraries say only what is wrong.
fn directives(level: &str) -> String {
    if level.parse::<LevelFilter>().is_err() {
        return level.to_owned();
    }
    let mut directives = "warn".to_owned();
    for target in OURS {
        directives.push_str(&format!(",{target}={level}"));
    }
    directives
}

pub fn start(settings: &Log) -> anyhow::Result<PrometheusHandle> {
    let filter = EnvFilter::try_new(directives(&settings.level.0)).context("log.level")?;
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).init();
        }
        LogFormat::Text => {
            registry
                .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false))
                .init();
        }
    }
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_requests".into()), &COUNTS)?
        .install_recorder()
        .context("cannot start the metrics")
}
