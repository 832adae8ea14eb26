//! wrk: the load that a static request can make.

use std::path::Path;

use crate::error::{BenchError, Tried as _};
use crate::machine::{LOAD, on_core};

/// The script: what to send, and the summary as one line.
pub(crate) const SCRIPT: &str = include_str!("../conf/drive.lua");

/// What a load generator counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counted {
    /// Requests that were answered.
    pub(crate) requests: f64,
    /// Seconds.
    pub(crate) seconds: f64,
    /// Median latency, in microseconds.
    pub(crate) p50: f64,
    /// Latency that 99 of 100 requests stay below, in microseconds.
    pub(crate) p99: f64,
    /// Requests that failed, or were answered with a status above 399.
    pub(crate) errors: f64,
}

/// Drives `url` with `what` the script knows, `read` or `write`, over `connections` connections for so many seconds.
pub(crate) fn drive(
    script: &Path,
    url: &str,
    authorization: &str,
    what: &str,
    (connections, seconds): (u32, u32),
) -> Result<Counted, BenchError> {
    let output = on_core(LOAD, Path::new("wrk"))
        .args(["--threads", "1", "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Authorization: {authorization}")])
        .arg("--script")
        .arg(script)
        .args([url, "--", what])
        .output()
        .tried(|| "run wrk".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    summary(&text).ok_or_else(|| BenchError::Program {
        name: "wrk".to_owned(),
        said: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

/// The line that the script wrote.
fn summary(text: &str) -> Option<Counted> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("summary "))?;
    let numbers: Vec<f64> = line
        .split_whitespace()
        .map(|text| text.parse().ok())
        .collect::<Option<_>>()?;
    let [requests, micros, p50, p99, errors] = *numbers.first_chunk()?;
    Some(Counted {
        requests,
        seconds: micros / 1e6,
        p50,
        p99,
        errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line_among_others() {
        let text = "Running 3s test\n  1 threads\nsummary 90000 3000000 420 1900 0\n";
        let wanted = Counted {
            requests: 90_000.0,
            seconds: 3.0,
            p50: 420.0,
            p99: 1_900.0,
            errors: 0.0,
        };
        assert_eq!(summary(text), Some(wanted));
        assert_eq!(summary("summary 1 2 3 4\n"), None);
        assert_eq!(summary("unable to connect"), None);
    }
}
