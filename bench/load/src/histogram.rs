//! Times, in classes that are about 1.5 % wide.

use std::time::Duration;

/// Classes of each power of two.
const PARTS: u64 = 64;

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; (64 * PARTS) as usize], total: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[class(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The time, in microseconds, that this share of all stays within.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(class as u64).min(self.max) as f64 / 1000.0;
            }
        }
        self.max as f64 / 1000.0
    }
}

fn class(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let shift = u64::from(value.ilog2() - PARTS.ilog2());
    ((shift + 1) * PARTS + (value >> shift) - PARTS) as usize
}

fn upper(class: u64) -> u64 {
    if class < PARTS {
        return class;
    }
    let shift = class / PARTS - 1;
    ((PARTS + class % PARTS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_narrow_and_in_order() {
        let mut last = 0;
        for value in (0..40).map(|n| 3u64.pow(n / 2) + u64::from(n)) {
            let end = upper(class(value) as u64);
            assert!(end >= value && end - value <= value / 32, "{value} is in a class up to {end}");
            assert!(value < last || class(value) >= class(last));
            last = value;
        }
    }

    #[test]
    fn quantiles_are_found() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        assert!((histogram.quantile(0.5) - 500.0).abs() < 10.0);
        assert!((histogram.quantile(0.99) - 990.0).abs() < 20.0);
        assert!((histogram.quantile(1.0) - 1000.0).abs() < 1.0);
    }
}
