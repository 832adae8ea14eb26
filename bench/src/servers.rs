//! Everything that is measured, started once.

use std::path::{Path, PathBuf};

use crate::error::BenchError;
use crate::gateway::{Writ, server_certificate};
use crate::machine::{LOAD, PROXY, Server, free_port, on_core};
use crate::{Traffic, write, wrk};

const UPSTREAM: &str = include_str!("../conf/upstream.conf");
const NGINX: &str = include_str!("../conf/nginx.conf");
const HAPROXY: &str = include_str!("../conf/haproxy.cfg");

/// All targets and what stands behind them.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) writ: Writ,
    pub(crate) writ_tls: Writ,
    /// What wrk is told to do.
    pub(crate) script: PathBuf,
    nginx: (Server, u16, u16),
    haproxy: (Server, u16),
    _upstream: Server,
}

impl Servers {
    /// Starts them all.
    pub(crate) async fn start(run: &Path, binary: &Path) -> Result<Self, BenchError> {
        let (upstream_port, port, tls_port) = (free_port()?, free_port()?, free_port()?);
        let fill = |template: &str, port: u16| {
            template
                .replace("@RUN@", &run.display().to_string())
                .replace("@PORT@", &port.to_string())
                .replace("@TLS_PORT@", &tls_port.to_string())
                .replace("@UPSTREAM@", &upstream_port.to_string())
                .replace("@BODY@", &body())
        };
        let nginx = |name: &'static str, core: &str, text: &str, ports: &[u16]| {
            let file = write(run, &format!("{name}.conf"), text)?;
            let mut command = on_core(core, Path::new("nginx"));
            command.arg("-p").arg(run).arg("-c").arg(file);
            Server::start(name, command, run, ports)
        };
        let upstream = nginx(
            "upstream",
            LOAD,
            &fill(UPSTREAM, upstream_port),
            &[upstream_port],
        )?;

        server_certificate(run)?;
        let writ = Writ::start("writ", binary, run, upstream_port, None)?;
        let writ_tls = Writ::start("writ-tls", binary, run, upstream_port, Some(run))?;
        write(run, "authority.pem", &writ_tls.certificate().await?)?;
        let yardstick = nginx("nginx", PROXY, &fill(NGINX, port), &[port, tls_port])?;

        let haproxy_port = free_port()?;
        let file = write(run, "haproxy.cfg", &fill(HAPROXY, haproxy_port))?;
        let mut command = on_core(PROXY, Path::new("haproxy"));
        command.arg("-db").arg("-f").arg(file);
        let haproxy = Server::start("haproxy", command, run, &[haproxy_port])?;
        Ok(Self {
            writ,
            writ_tls,
            script: write(run, "drive.lua", wrk::SCRIPT)?,
            nginx: (yardstick, port, tls_port),
            haproxy: (haproxy, haproxy_port),
            _upstream: upstream,
        })
    }

    /// A target's process.
    pub(crate) fn server(&self, target: &str, traffic: Traffic) -> &Server {
        match (target, traffic == Traffic::Mtls) {
            ("haproxy", _) => &self.haproxy.0,
            ("Writ", false) => &self.writ.server,
            ("Writ", true) => &self.writ_tls.server,
            _ => &self.nginx.0,
        }
    }

    /// Where a target listens.
    pub(crate) fn port(&self, target: &str, traffic: Traffic) -> u16 {
        match (target, traffic == Traffic::Mtls) {
            ("haproxy", _) => self.haproxy.1,
            ("Writ", false) => self.writ.port,
            ("Writ", true) => self.writ_tls.port,
            (_, false) => self.nginx.1,
            (_, true) => self.nginx.2,
        }
    }

    /// Memory of each target, in MiB.
    pub(crate) fn memory(&self) -> Vec<(&'static str, f64)> {
        [
            ("nginx", &self.nginx.0),
            ("haproxy", &self.haproxy.0),
            ("Writ", &self.writ.server),
            ("Writ with TLS", &self.writ_tls.server),
        ]
        .map(|(name, server)| (name, server.memory_mib()))
        .to_vec()
    }
}

/// One KiB of JSON.
fn body() -> String {
    let text = "0123456789abcdef".repeat(61);
    format!("{{\"id\":\"42\",\"name\":\"a thing\",\"text\":\"{text}\"}}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_upstream_answers_with_one_kib() {
        let length = super::body().len();
        assert!((1000..=1050).contains(&length), "{length}");
    }
}
