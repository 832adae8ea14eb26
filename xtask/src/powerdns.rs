//! A PowerDNS Authoritative server for the tests: free ports, a store of its own, gone when the tests are.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::{Tried, XtaskError};
use crate::keeper::Keeper;
use crate::{http, say};

/// Where Debian puts the empty store; the second is left out of slim images.
const SCHEMAS: [&str; 2] = [
    "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
    "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
];

/// How often, and how many times, a server that comes up is asked whether it has.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ASK_TIMES: u32 = 300;

/// A running server. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub(crate) struct PowerDns {
    /// Ends it; the test runner can be named to it too.
    pub(crate) keeper: Keeper,
    address: SocketAddr,
    key: String,
}

impl PowerDns {
    /// Starts a server that holds `example.org.` and `example.net.`. Should it not come up it is tried once more, since a
    /// stranger may have taken a port that was free a moment before.
    ///
    /// # Errors
    ///
    /// The store cannot be made, or the server does not answer within fifteen seconds; with the end of its log.
    pub(crate) fn start() -> Result<Self, XtaskError> {
        Self::start_once().or_else(|error| {
            say::error(&error);
            Self::start_once()
        })
    }

    fn start_once() -> Result<Self, XtaskError> {
        let directory = tempfile::Builder::new()
            .prefix("writ-pdns-")
            .tempdir()
            .tried(|| "make a temporary directory".to_owned())?;
        create_store(directory.path())?;
        let key = random_key()?;
        let (web, dns) = free_ports()?;
        let configuration = configuration(directory.path(), &key, web, dns);
        fs::write(directory.path().join("pdns.conf"), configuration)
            .tried(|| "write pdns.conf".to_owned())?;
        let option = format!("--config-dir={}", directory.path().display());
        let server = Self {
            keeper: Keeper::start(directory, program(), [option])?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, web)),
            key,
        };
        server.wait_until_it_answers()?;
        for zone in ZONES {
            server.create_zone(zone)?;
        }
        Ok(server)
    }

    /// The root of its API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// The one key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    fn wait_until_it_answers(&self) -> Result<(), XtaskError> {
        for _ in 0..ASK_TIMES {
            if http::send(self.address, "GET", "/api/v1/servers", &self.key, "")
                .is_ok_and(|status| status == 200)
            {
                return Ok(());
            }
            if !self.keeper.is_running() {
                return Err(self.fault("it ended"));
            }
            pause();
        }
        Err(self.fault("it does not answer"))
    }

    fn create_zone(&self, zone: &str) -> Result<(), XtaskError> {
        let path = "/api/v1/servers/localhost/zones";
        match http::send(self.address, "POST", path, &self.key, zone) {
            Ok(201) => Ok(()),
            Ok(status) => Err(self.fault(&format!("creating a zone was answered with {status}"))),
            Err(error) => Err(self.fault(&format!("creating a zone: {error}"))),
        }
    }

    fn fault(&self, what: &str) -> XtaskError {
        let log = self.keeper.log();
        XtaskError::PowerDns(format!("{what}; its log ends with\n{log}"))
    }
}

fn create_store(directory: &Path) -> Result<(), XtaskError> {
    let schema = SCHEMAS
        .into_iter()
        .find_map(|path| fs::File::open(path).ok())
        .ok_or_else(|| {
            XtaskError::PowerDns(format!("neither {} is there", SCHEMAS.join(" nor ")))
        })?;
    let status = Command::new("sqlite3")
        .arg(directory.join("pdns.sqlite3"))
        .stdin(schema)
        .status()
        .tried(|| "run sqlite3".to_owned())?;
    if status.success() {
        Ok(())
    } else {
        Err(XtaskError::PowerDns(
            "sqlite3 refused the schema".to_owned(),
        ))
    }
}

/// Debian keeps it out of the path of ordinary users.
fn program() -> &'static str {
    let usual = "/usr/sbin/pdns_server";
    if Path::new(usual).is_file() {
        usual
    } else {
        "pdns_server"
    }
}

/// Nothing is cached, so that a test sees at once what a call did, and nothing is asked of the network.
fn configuration(directory: &Path, key: &str, web: u16, dns: u16) -> String {
    let directory = directory.display();
    format!(
        "launch=gsqlite3
gsqlite3-database={directory}/pdns.sqlite3
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=0
socket-dir={directory}
local-address=127.0.0.1
local-port={dns}
webserver=yes
webserver-address=127.0.0.1
webserver-port={web}
webserver-allow-from=127.0.0.1
api=yes
api-key={key}
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
security-poll-suffix=
disable-syslog=yes
daemon=no
guardian=no
setuid=
setgid=
"
    )
}

/// A key as an administrator would make one: 32 hexadecimal digits.
fn random_key() -> Result<String, XtaskError> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .tried(|| "read /dev/urandom".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A port for the API, and one for DNS that is free for both TCP and UDP at this moment.
fn free_ports() -> Result<(u16, u16), XtaskError> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let found = (|| {
        let web = TcpListener::bind(any)?;
        let dns = TcpListener::bind(any)?;
        let dns_port = dns.local_addr()?.port();
        let _both = UdpSocket::bind((Ipv4Addr::LOCALHOST, dns_port))?;
        Ok((web.local_addr()?.port(), dns_port))
    })();
    found.tried(|| "find a free port".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no runtime here whose worker it could block"
)]
fn pause() {
    std::thread::sleep(ASK_EVERY);
}

/// What it holds, as bodies of `createZone`.
const ZONES: [&str; 2] = [
    r#"{"name":"example.org.","kind":"Native","nameservers":["ns1.example.org.","ns2.example.org."],"rrsets":[
        {"name":"ns1.example.org.","type":"A","ttl":3600,"records":[{"content":"192.0.2.1","disabled":false}]},
        {"name":"ns2.example.org.","type":"A","ttl":3600,"records":[{"content":"192.0.2.2","disabled":false}]},
        {"name":"www.example.org.","type":"A","ttl":300,"records":[{"content":"192.0.2.80","disabled":false}]},
        {"name":"www.example.org.","type":"AAAA","ttl":300,"records":[{"content":"2001:db8::80","disabled":false}]},
        {"name":"example.org.","type":"MX","ttl":3600,"records":[{"content":"10 mail.example.org.","disabled":false}]},
        {"name":"mail.example.org.","type":"A","ttl":3600,"records":[{"content":"192.0.2.25","disabled":false}]},
        {"name":"example.org.","type":"TXT","ttl":3600,"records":[{"content":"\"v=spf1 mx -all\"","disabled":false}]}
    ]}"#,
    r#"{"name":"example.net.","kind":"Native","nameservers":["ns1.example.org.","ns2.example.org."],"rrsets":[
        {"name":"www.example.net.","type":"CNAME","ttl":300,"records":[{"content":"www.example.org.","disabled":false}]},
        {"name":"example.net.","type":"TXT","ttl":3600,"records":[{"content":"\"v=spf1 -all\"","disabled":false}]}
    ]}"#,
];
