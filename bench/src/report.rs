//! The numbers of all rounds, as a table and as JSON.

use writ_types::{Number, Value};

use crate::machine;
use crate::stats::Spread;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) traffic: &'static str,
    pub(crate) target: &'static str,
    pub(crate) connections: u32,
    pub(crate) round: u32,
    /// Processor time of a call, in microseconds.
    pub(crate) cpu: f64,
    /// Calls in a second.
    pub(crate) rate: f64,
    /// Latency in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Memory of a target, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) target: &'static str,
    pub(crate) idle: f64,
    pub(crate) after: f64,
}

/// The target that all others are compared with.
pub(crate) const YARDSTICK: &str = "nginx";

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) load_before: f64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) memory: Vec<Memory>,
}

/// One row: a kind of traffic, a number of connections, a target.
struct Row {
    traffic: &'static str,
    connections: u32,
    target: &'static str,
    cpu: Spread,
    ratio: Spread,
    rate: Spread,
    rate_ratio: Spread,
    p50: Spread,
    p50_ratio: Spread,
    p99: Spread,
    p99_ratio: Spread,
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let mut keys: Vec<(&str, u32, &str)> = Vec::new();
        for sample in &self.samples {
            let key = (sample.traffic, sample.connections, sample.target);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.into_iter()
            .filter_map(|(traffic, connections, target)| self.row(traffic, connections, target))
            .collect()
    }

    fn row(&self, traffic: &'static str, connections: u32, target: &'static str) -> Option<Row> {
        let of = |name: &str| -> Vec<&Sample> {
            self.samples
                .iter()
                .filter(|sample| {
                    (sample.traffic, sample.connections, sample.target)
                        == (traffic, connections, name)
                })
                .collect()
        };
        let (own, yardstick) = (of(target), of(YARDSTICK));
        let spread = |pick: fn(&Sample) -> f64| Spread::of(own.iter().map(|sample| pick(sample)));
        // Round by round: what disturbed the machine in one round disturbed both.
        let ratio = |pick: fn(&Sample) -> f64| {
            let pairs = own.iter().filter_map(|sample| {
                let other = yardstick.iter().find(|other| other.round == sample.round)?;
                Some(pick(sample) / pick(other))
            });
            Spread::of(pairs)
        };
        Some(Row {
            traffic,
            connections,
            target,
            cpu: spread(|sample| sample.cpu)?,
            ratio: ratio(|sample| sample.cpu)?,
            rate: spread(|sample| sample.rate)?,
            rate_ratio: ratio(|sample| sample.rate)?,
            p50: spread(|sample| sample.p50)?,
            p50_ratio: ratio(|sample| sample.p50)?,
            p99: spread(|sample| sample.p99)?,
            p99_ratio: ratio(|sample| sample.p99)?,
        })
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| traffic | conn. | target | CPU/call µs (min–max) | × nginx (min–max) | calls/s | × nginx | p50 µs | × nginx | p99 µs | × nginx |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for row in self.rows() {
            text.push_str(&format!(
                "| {} | {} | {} | {:.1} ({:.1}–{:.1}) | {:.2} ({:.2}–{:.2}) | {:.0} | {:.2} | {:.0} | {:.2} | {:.0} | {:.2} |\n",
                row.traffic,
                row.connections,
                row.target,
                row.cpu.median,
                row.cpu.least,
                row.cpu.greatest,
                row.ratio.median,
                row.ratio.least,
                row.ratio.greatest,
                row.rate.median,
                row.rate_ratio.median,
                row.p50.median,
                row.p50_ratio.median,
                row.p99.median,
                row.p99_ratio.median,
            ));
        }
        text.push_str(
            "\n| target | memory before MiB | after MiB | after, × nginx |\n|---|---|---|---|\n",
        );
        for row in &self.memory {
            text.push_str(&format!(
                "| {} | {:.1} | {:.1} | {:.1} |\n",
                row.target,
                row.idle,
                row.after,
                row.after / self.yardstick_memory()
            ));
        }
        text
    }

    fn yardstick_memory(&self) -> f64 {
        let mut rows = self.memory.iter();
        rows.find(|row| row.target == YARDSTICK)
            .map_or(f64::NAN, |row| row.after)
    }

    /// The same as JSON, with the samples.
    pub(crate) fn json(&self) -> Value {
        let (cores, processor) = machine::processors();
        let rows = self.rows().into_iter().map(|row| {
            Value::object([
                ("traffic", Value::from(row.traffic)),
                ("connections", Value::from_u64(row.connections.into())),
                ("target", Value::from(row.target)),
                ("cpu_us", spread(row.cpu)),
                ("cpu_ratio", spread(row.ratio)),
                ("rate", spread(row.rate)),
                ("rate_ratio", spread(row.rate_ratio)),
                ("p50_us", spread(row.p50)),
                ("p50_ratio", spread(row.p50_ratio)),
                ("p99_us", spread(row.p99)),
                ("p99_ratio", spread(row.p99_ratio)),
            ])
        });
        let memory = self.memory.iter().map(|row| {
            Value::object([
                ("target", Value::from(row.target)),
                ("before_mib", number(row.idle)),
                ("after_mib", number(row.after)),
                ("after_ratio", number(row.after / self.yardstick_memory())),
            ])
        });
        let samples = self.samples.iter().map(|sample| {
            Value::object([
                ("traffic", Value::from(sample.traffic)),
                ("connections", Value::from_u64(sample.connections.into())),
                ("target", Value::from(sample.target)),
                ("round", Value::from_u64(sample.round.into())),
                ("cpu_us", number(sample.cpu)),
                ("rate", number(sample.rate)),
                ("p50_us", number(sample.p50)),
                ("p99_us", number(sample.p99)),
            ])
        });
        Value::object([
            ("cores", Value::from_u64(u64::try_from(cores).unwrap_or(0))),
            ("processor", Value::from(processor)),
            ("load_average_before", number(self.load_before)),
            ("rounds", Value::from_u64(self.rounds.into())),
            ("seconds", Value::from_u64(self.seconds.into())),
            ("rows", Value::Array(rows.collect())),
            ("memory", Value::Array(memory.collect())),
            ("samples", Value::Array(samples.collect())),
        ])
    }
}

fn spread(spread: Spread) -> Value {
    Value::object([
        ("median", number(spread.median)),
        ("min", number(spread.least)),
        ("max", number(spread.greatest)),
    ])
}

fn number(number: f64) -> Value {
    Number::parse(&format!("{number:.3}")).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(target: &'static str, round: u32, cpu: f64) -> Sample {
        Sample {
            traffic: "read",
            target,
            connections: 16,
            round,
            cpu,
            rate: 1e6 / cpu,
            p50: 100.0,
            p99: 200.0,
        }
    }

    /// The second round ran on a machine half as fast: the ratio of the medians would be 1.33, or 3.
    #[test]
    fn ratios_are_of_the_same_round() {
        let report = Report {
            rounds: 3,
            seconds: 1,
            load_before: 0.0,
            samples: vec![
                sample("nginx", 1, 10.0),
                sample("Writ", 1, 20.0),
                sample("nginx", 2, 20.0),
                sample("Writ", 2, 40.0),
                sample("nginx", 3, 15.0),
                sample("Writ", 3, 30.0),
            ],
            memory: Vec::new(),
        };
        let rows = report.rows();
        let writ = rows.iter().find(|row| row.target == "Writ").unwrap();
        let two = Spread {
            median: 2.0,
            least: 2.0,
            greatest: 2.0,
        };
        assert_eq!(writ.ratio, two);
        assert!(
            report
                .table()
                .contains("| read | 16 | Writ | 30.0 (20.0–40.0) | 2.00 (2.00–2.00) |")
        );
        assert!(
            report
                .json()
                .to_string()
                .contains("\"cpu_ratio\":{\"max\":2.000,\"median\":2.000,\"min\":2.000}")
        );
    }
}
