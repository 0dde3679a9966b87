//! What launches count (Prometheus names start with `bootsplice_`).

use std::sync::Arc;

use bootsplice_blocks::Cache;
use bootsplice_engine::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;

use super::record::State;
use crate::metrics::Metrics;

/// Counters that launches move themselves.
#[derive(Clone, Debug, Default)]
pub struct LaunchMetrics {
    ended: Family<EndLabels, Counter>,
    runs: Family<RunLabels, Counter>,
    /// Launches admitted.
    pub admitted: Counter,
    /// Layers that were there when a launch asked.
    pub layer_hits: Counter,
    /// Seconds that streams waited at a mark.
    pub held_seconds: Counter<f64, std::sync::atomic::AtomicU64>,
    /// Bytes of volumes that sinks took, zeros included.
    pub streamed_bytes: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    state: &'static str,
    /// Empty unless failed.
    reason: &'static str,
}

/// A run by its generator, never by its step: tenants name steps, and operators install generators.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    generator: String,
    /// `shared`: its layer is for all launches; `instance`: for the one that asked.
    scope: &'static str,
}

/// Figures that others keep: read when somebody scrapes.
#[derive(Debug)]
struct Elsewhere {
    cache: Arc<Cache>,
    engine: EngineFigures,
}

struct EngineFigures(Engine);

// === impl LaunchMetrics ===

impl LaunchMetrics {
    pub fn new(metrics: &Metrics, cache: Arc<Cache>, engine: Engine) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register(
                "launches_ended",
                "Launches that became final, by state and reason",
                own.ended.clone(),
            );
            registry.register(
                "generator_runs",
                "Runs of generate, by generator and for whom their layer is",
                own.runs.clone(),
            );
            registry.register(
                "launches_admitted",
                "Launches admitted",
                own.admitted.clone(),
            );
            registry.register(
                "layer_cache_hits",
                "Layers found in the cache",
                own.layer_hits.clone(),
            );
            registry.register(
                "held_at_mark_seconds",
                "Seconds that streams waited at a mark for their archive",
                own.held_seconds.clone(),
            );
            registry.register(
                "streamed_bytes",
                "Bytes of volumes taken by sinks and readers, zeros included",
                own.streamed_bytes.clone(),
            );
            registry.register_collector(Box::new(Elsewhere {
                cache,
                engine: EngineFigures(engine),
            }));
        });
        own
    }

    pub fn ended(&self, state: &State) {
        let reason = match state {
            State::Failed { reason, .. } => reason.word(),
            _ => "",
        };
        let state = state.word();
        self.ended.get_or_create(&EndLabels { state, reason }).inc();
    }

    /// A generator is run, for one instance or for all.
    pub fn run(&self, generator: &str, per_instance: bool) {
        let labels = RunLabels {
            generator: generator.to_owned(),
            scope: if per_instance { "instance" } else { "shared" },
        };
        self.runs.get_or_create(&labels).inc();
    }
}

impl std::fmt::Debug for EngineFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.counters())
    }
}

// === impl Elsewhere ===

impl Collector for Elsewhere {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let blocks = self.cache.counters();
        let engine = self.engine.0.counters();
        let whole = [
            (
                "origin_requests",
                "Requests to the object store",
                blocks.origin_requests,
            ),
            (
                "origin_bytes",
                "Bytes read from the object store",
                blocks.origin_bytes,
            ),
            (
                "block_cache_hits",
                "Blocks served from memory",
                blocks.cache_hits,
            ),
            (
                "verified_blocks",
                "Blocks hashed and found right",
                blocks.verified_blocks,
            ),
        ];
        for (name, help, value) in whole {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let mut calls = encoder.encode_descriptor(
            "generator_calls",
            "Instances of generators made, by what was called",
            None,
            MetricType::Counter,
        )?;
        for (call, count) in [
            ("describe", engine.describes),
            ("validate", engine.validates),
            ("resolve", engine.resolves),
            (
                "generate",
                engine.shared_generates + engine.instance_generates,
            ),
        ] {
            let labels = [("call", call)];
            ConstCounter::new(count).encode(calls.encode_family(&labels)?)?;
        }
        let seconds = ConstCounter::new(engine.guest_time.as_secs_f64());
        let metric = encoder.encode_descriptor(
            "generator_seconds",
            "Seconds spent in generators",
            None,
            seconds.metric_type(),
        )?;
        seconds.encode(metric)?;
        let memory = ConstGauge::new(i64::try_from(engine.memory_peak).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(
            "generator_memory_bytes",
            "The most linear memory that one run of a generator had",
            None,
            memory.metric_type(),
        )?;
        memory.encode(metric)
    }
}
