//! Every limit and timeout in one table each; the tables generate the reference.

use std::time::Duration;

/// One row of a table: name, default as text, what it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRow {
    /// The setting's name.
    pub name: &'static str,
    /// Its default.
    pub default: &'static str,
    /// What it bounds, and what happens beyond.
    pub doc: &'static str,
}

macro_rules! table {
    ($(#[$outer:meta])* $name:ident, $rows:ident, $type:ty, { $($(#[doc = $doc:literal])+ $field:ident = $text:literal => $value:expr),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $value,)+ }
            }
        }

        /// The rows of the reference, in order.
        pub const $rows: &[LimitRow] = &[
            $(LimitRow { name: stringify!($field), default: $text, doc: concat!($($doc),+) },)+
        ];

        impl $name {
            /// Sets one value by its name; `false` if there is none of that name.
            pub fn set(&mut self, name: &str, value: $type) -> bool {
                match name {
                    $(stringify!($field) => self.$field = value,)+
                    _ => return false,
                }
                true
            }
        }
    };
}

table!(
    /// What bounds what strangers send.
    Limits, LIMIT_TABLE, usize, {
        /// Largest request head, in bytes (431 beyond).
        head_bytes = "32 KiB" => 32 * 1024,
        /// Most request header fields (431 beyond).
        head_fields = "64" => 64,
        /// Longest request target, in bytes (400 beyond).
        target_bytes = "8 KiB" => 8 * 1024,
        /// Largest request body that is read whole, in bytes (413 beyond).
        body_bytes = "1 MiB" => 1024 * 1024,
        /// Largest request body that is passed on as it comes, in bytes (413 beyond).
        stream_bytes = "1024 MiB" => 1024 * 1024 * 1024,
        /// Largest response body that is buffered to be checked, in bytes (502 beyond).
        response_bytes = "8 MiB" => 8 * 1024 * 1024,
        /// Deepest JSON in a request body (400 beyond).
        json_depth = "64" => 64,
        /// Most JSON values in a request body (400 beyond).
        json_values = "100000" => 100_000,
        /// Longest access token or proof, in bytes (401 beyond).
        token_bytes = "16 KiB" => 16 * 1024,
        /// Most calls in flight for one task (429 beyond).
        task_in_flight = "16" => 16,
        /// Calls per second of one task to one API, where neither owner nor document says how often it is called (429 beyond).
        task_rate = "10" => 10,
        /// Calls at once of one task to one API, before that rate holds (429 beyond).
        task_burst = "100" => 100,
        /// Calls per second of one agent, with all its tasks, to one API, where nobody says how often it is called (429 beyond).
        agent_rate = "30" => 30,
        /// Calls at once of one agent to one API, before that rate holds (429 beyond).
        agent_burst = "300" => 300,
        /// Most connections on one listener (the next waits).
        connections = "4096" => 4096,
        /// Most verified tokens remembered.
        token_cache = "65536" => 65_536,
        /// Most proofs of possession remembered within their window (503 beyond).
        proof_cache = "1048576" => 1_048_576,
        /// Largest audit record, in bytes; beyond, free-form parts are cut and the cut is counted in the record.
        record_bytes = "16 KiB" => 16 * 1024,
        /// Records waiting for the log (503 beyond).
        record_queue = "4096" => 4096,
        /// Largest OpenAPI document, in bytes.
        document_bytes = "64 MiB" => 64 * 1024 * 1024,
        /// Longest prompt, in bytes.
        prompt_bytes = "64 KiB" => 64 * 1024,
        /// Most live tasks of one agent.
        agent_tasks = "1000" => 1000,
        /// Most approvals and waits of one task that are open (403 beyond).
        task_approvals = "8" => 8,
        /// Most approvals and waits of one agent that are open (403 beyond).
        agent_approvals = "32" => 32,
    }
);

table!(
    /// How long each phase may take.
    Timeouts, TIMEOUT_TABLE, Duration, {
        /// TLS handshake.
        tls_handshake = "10s" => Duration::from_secs(10),
        /// From the first byte of a request head to its last.
        request_head = "10s" => Duration::from_secs(10),
        /// Reading a request body whole, or the client's silence within one that is passed on (408 beyond).
        request_body = "30s" => Duration::from_secs(30),
        /// Connecting to an upstream, TLS included (504 beyond).
        upstream_connect = "5s" => Duration::from_secs(5),
        /// From the last part of a request that the upstream took to the response head (504 beyond).
        upstream_head = "30s" => Duration::from_secs(30),
        /// Between two parts of a response body (cut beyond).
        upstream_idle = "60s" => Duration::from_secs(60),
        /// A client's answers to what an MCP server asked in the middle of its call; ten minutes at most.
        client_answer = "300s" => Duration::from_secs(300),
        /// Waiting for the record (503 beyond).
        record = "5s" => Duration::from_secs(5),
        /// An idle client connection.
        keep_alive = "75s" => Duration::from_secs(75),
        /// An idle upstream connection in the pool.
        pool_idle = "30s" => Duration::from_secs(30),
        /// Letting calls in flight finish at shutdown.
        drain = "10s" => Duration::from_secs(10),
        /// Fetching a key set.
        key_fetch = "5s" => Duration::from_secs(5),
        /// Shortest time between two writes of a checkpoint.
        checkpoint = "1s" => Duration::from_secs(1),
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let limits = Limits::default();
        for row in LIMIT_TABLE {
            let (digits, unit) = row.default.split_once(' ').unwrap_or((row.default, ""));
            let factor = match unit {
                "" => 1,
                "KiB" => 1024,
                "MiB" => 1024 * 1024,
                other => panic!("unit {other}"),
            };
            let mut same = limits;
            assert!(same.set(row.name, digits.parse::<usize>().unwrap() * factor));
            assert_eq!(same, limits, "{}", row.name);
        }
        for row in TIMEOUT_TABLE {
            let mut same = Timeouts::default();
            assert!(same.set(
                row.name,
                Duration::from_secs(row.default.trim_end_matches('s').parse().unwrap())
            ));
            assert_eq!(same, Timeouts::default(), "{}", row.name);
        }
        assert!(!Limits::default().set("no_such_limit", 1));
    }
}
