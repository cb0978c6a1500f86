//! What a run found.

use serde_json::{Value, json};

use crate::args::Args;
use crate::histogram::Histogram;
use crate::modes::Soaked;

/// From this share of its cores on, the generator may be what held the server up.
const BUSY: f64 = 0.85;

/// What happened in the measured time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) seconds: f64,
    pub(crate) operations: u64,
    /// Processor time in seconds.
    pub(crate) server: f64,
    /// Seconds that the generator's threads have worked.
    pub(crate) load: f64,
    /// Cores that the generator can use.
    pub(crate) load_cores: usize,
}

impl Window {
    pub(crate) fn report(&self, args: &Args) -> Result<Value, String> {
        if self.operations == 0 {
            return Err("not one operation has ended in the measured time".to_owned());
        }
        let load = self.load / self.seconds / self.load_cores as f64;
        Ok(json!({
            "clients": args.clients,
            "seconds": round(self.seconds, 3),
            "operations": self.operations,
            "rate": round(self.operations as f64 / self.seconds, 0),
            "server_us": round(self.server * 1e6 / self.operations as f64, 3),
            "server_cores": round(self.server / self.seconds, 2),
            "load_us": round(self.load * 1e6 / self.operations as f64, 3),
            "load_busy": round(load, 2),
            "load_bound": load > BUSY,
        }))
    }
}

/// Adds latencies to a report. The generator is the bottleneck when it sends late.
pub(crate) fn add_latencies(report: &mut Value, times: &Histogram, delays: &Histogram) {
    let quantile = |histogram: &Histogram, share| json!(round(histogram.quantile(share), 1));
    let late = delays.quantile(0.99);
    report["latency_us"] = json!({
        "count": times.total(),
        "p50": quantile(times, 0.5),
        "p90": quantile(times, 0.9),
        "p99": quantile(times, 0.99),
        "p99.9": quantile(times, 0.999),
        "max": quantile(times, 1.0),
    });
    report["late_us_p99"] = json!(round(late, 1));
    report["load_bound"] = json!(late > 50.0 && late > times.quantile(0.99) / 4.0);
}

/// Adds what a soak's clients have found.
pub(crate) fn add_soaked(report: &mut Value, args: &Args, found: &Soaked) {
    let quantile = |share| json!(round(found.jitter.quantile(share) / 1000.0, 2));
    report["ping_interval_ms"] = json!(found.interval.as_millis() as u64);
    report["connected"] = json!(args.clients as u64 - found.lost);
    report["missing_pings"] = json!(found.missing);
    report["error"] = json!(found.first_error);
    report["released_ms"] = json!(round(found.released.as_secs_f64() * 1000.0, 0));
    report["jitter_ms"] = json!({
        "count": found.jitter.total(),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "max": quantile(1.0),
    });
}

pub(crate) fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}
