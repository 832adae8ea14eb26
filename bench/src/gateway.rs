//! Writ as it is measured: a project with two APIs before the same upstream, its operator, and an agent with its tasks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hyper::Method;
use rcgen::PublicKeyData as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use writ::agent::{AgentClient, form};
use writ::http::{Answer, Peer};
use writ_types::{JsonLimits, Secret, Value};

use crate::error::{BenchError, Tried as _};
use crate::machine::{MachineClock, PROXY, Server, free_port, on_core};
use crate::{base64_decode, base64_encode};

/// The API whose tokens need no key, so that wrk can send them.
pub(crate) const UNBOUND: &str = "unbound";
/// The API as it should be.
pub(crate) const BOUND: &str = "bound";

const CONTRACT: &str = include_str!("../conf/api.openapi.yaml");
const POLICIES: &str = include_str!("../conf/api.cedar");

/// A running Writ.
#[derive(Debug)]
pub(crate) struct Writ {
    pub(crate) server: Server,
    pub(crate) port: u16,
    folder: PathBuf,
    control: String,
    public: String,
    tls: bool,
}

/// A token with the key it is bound to.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) token: String,
    pub(crate) key: Secret<Vec<u8>>,
}

impl Writ {
    /// Starts Writ before the upstream. With `certificates` its listeners have TLS.
    pub(crate) fn start(
        name: &'static str,
        binary: &Path,
        run: &Path,
        upstream: u16,
        certificates: Option<&Path>,
    ) -> Result<Self, BenchError> {
        let folder = run.join(name);
        let (port, control) = (free_port()?, free_port()?);
        project(&folder, (port, control), upstream, certificates)?;
        let mut command = on_core(PROXY, binary);
        command
            .arg("--config")
            .arg(folder.join("writ.toml"))
            .arg("serve");
        let server = Server::start(name, command, run, &[control, port])?;
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };
        let writ = Self {
            server,
            port,
            control: format!("{scheme}://127.0.0.1:{control}"),
            public: format!("{scheme}://127.0.0.1:{port}"),
            tls: certificates.is_some(),
            folder,
        };
        writ.operate(binary, &["login"], None)?;
        for api in [UNBOUND, BOUND] {
            let name = format!("{api}-key");
            let set = ["credential", "set", name.as_str()];
            writ.operate(binary, &set, Some("upstream-key-0123456789"))?;
        }
        Ok(writ)
    }

    fn operate(
        &self,
        binary: &Path,
        words: &[&str],
        input: Option<&str>,
    ) -> Result<(), BenchError> {
        use std::io::Write as _;
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(self.folder.join("writ.toml"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .tried(|| "start writ".to_owned())?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            pipe.write_all(input.as_bytes())
                .tried(|| "talk to writ".to_owned())?;
        }
        let output = child
            .wait_with_output()
            .tried(|| "wait for writ".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        Err(BenchError::Program {
            name: format!("writ {}", words.join(" ")),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn url(&self, url: &str) -> Result<Peer, BenchError> {
        let tls = self.tls.then(|| client_tls(&self.folder)).transpose()?;
        Ok(Peer::url(url, tls)?)
    }

    fn agent(&self) -> Result<AgentClient, BenchError> {
        let parsed = |url: &str| {
            url.parse()
                .map_err(|_malformed| BenchError::Usage(format!("`{url}` is no URL")))
        };
        Ok(AgentClient::new(
            &self.socket(),
            (&parsed(&self.control)?, self.url(&self.control)?),
            (&parsed(&self.public)?, self.url(&self.public)?),
            MachineClock::start(),
        ))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(".writ-agent.sock")
    }

    /// Where the calls of an API go.
    pub(crate) fn call_url(&self, path: &str) -> String {
        format!("{}{path}", self.public)
    }

    /// Opens a task whose token is bound to a key.
    pub(crate) async fn bound(&self) -> Result<Bound, BenchError> {
        let agent = self.agent()?;
        let identity = agent.identity(None).await?;
        match agent.open(&identity, &details(BOUND)?).await? {
            Ok(task) => Ok(Bound {
                token: task.token,
                key: task.pkcs8,
            }),
            Err(answer) => Err(refused("a task", &answer)),
        }
    }

    /// Opens a task whose token is bound to nothing, or to the certificate of the connection.
    pub(crate) async fn bearer(&self, api: &str) -> Result<String, BenchError> {
        let identity = self.agent()?.identity(None).await?;
        let resource = format!("{}/{api}", self.public);
        let form = form(&[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
            ),
            ("client_assertion", &identity.svid),
            ("resource", &resource),
            ("authorization_details", &details(api)?.to_string()),
        ]);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self
            .url(&self.control)?
            .send(Method::POST, "/oauth/token", &headers, form)
            .await?;
        let json = answer.json();
        let token = json.member("access_token").and_then(Value::as_str);
        token
            .filter(|_| answer.status == 200)
            .map(str::to_owned)
            .ok_or_else(|| refused("a task", &answer))
    }

    /// Gets the agent an X.509-SVID, and writes it where [`client_tls`] finds it; gives the authority's certificate.
    pub(crate) async fn certificate(&self) -> Result<String, BenchError> {
        let keys = |fault: rcgen::Error| BenchError::Keys(fault.to_string());
        let key = rcgen::KeyPair::generate().map_err(keys)?;
        let public = base64_encode(&key.subject_public_key_info());
        let body = Value::object([("public_key", Value::from(public))]).to_string();
        let headers = [("content-type", "application/json")];
        let answer = Peer::socket(&self.socket())
            .send(Method::POST, "/v1/x509-svid", &headers, body)
            .await?;
        let json = answer.json();
        let text = |name| json.member(name).and_then(Value::as_str);
        let (Some(leaf), Some(authority)) = (text("certificate"), text("authority")) else {
            return Err(refused("an X.509-SVID", &answer));
        };
        let write = |name: &str, text: String| {
            fs::write(self.folder.join(name), text).tried(|| format!("write {name}"))
        };
        write("client.key", key.serialize_pem())?;
        write("client.pem", pem(leaf)?)?;
        pem(authority)
    }

    /// The folder with the client's certificate.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn pem(base64: &str) -> Result<String, BenchError> {
    // Read and written anew, so that what follows is PEM whatever the answer's lines were.
    let text = base64_encode(&base64_decode(base64)?);
    Ok(format!(
        "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    ))
}

fn refused(what: &'static str, answer: &Answer) -> BenchError {
    BenchError::Refused {
        what,
        answer: String::from_utf8_lossy(&answer.body).into_owned(),
    }
}

fn details(api: &str) -> Result<Value, BenchError> {
    let text = format!(
        r#"[{{"type":"writ_task","purpose":"bench","actions":["{api}:getThing","{api}:addThing"],"budget":{{"calls":1000000000,"writes":1000000000}}}}]"#
    );
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST)
        .map_err(|fault| BenchError::Usage(fault.to_string()))
}

/// Writes the project: limits that a benchmark with one task needs, and everything else as it comes.
fn project(
    folder: &Path,
    (gateway, control): (u16, u16),
    upstream: u16,
    certificates: Option<&Path>,
) -> Result<(), BenchError> {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).tried(|| format!("make {}", parent.display()))?;
        }
        fs::write(&path, text).tried(|| format!("write {}", path.display()))
    };
    let tls = match certificates {
        Some(from) => {
            fs::create_dir_all(folder).tried(|| "make the project's folder".to_owned())?;
            for name in ["server.pem", "server.key"] {
                fs::copy(from.join(name), folder.join(name)).tried(|| format!("copy {name}"))?;
            }
            "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n"
        }
        None => "",
    };
    write(
        "writ.toml",
        &format!(
            "workers = 1\n[listen]\ngateway = \"127.0.0.1:{gateway}\"\ncontrol = \"127.0.0.1:{control}\"\n[identity]\nsingle_user_machine = true\n[limits]\ntask_in_flight = \"256\"\nproof_cache = \"4000000\"\ntask_rate = \"1000000\"\ntask_burst = \"1000000\"\nagent_rate = \"1000000\"\nagent_burst = \"1000000\"\n{tls}"
        ),
    )?;
    for (api, unbound) in [(UNBOUND, true), (BOUND, false)] {
        write(
            &format!("apis/{api}.toml"),
            &format!(
                "owner = \"bench@example.org\"\nupstream = \"http://127.0.0.1:{upstream}\"\ncontract = \"{api}.openapi.yaml\"\nallow_unbound_tokens = {unbound}\n[credential]\nname = \"{api}-key\"\nattach = \"bearer\"\n[operations.getThing]\neffect = \"read\"\n[operations.addThing]\neffect = \"write\"\n"
            ),
        )?;
        write(&format!("apis/{api}.openapi.yaml"), CONTRACT)?;
        write(
            &format!("policies/{api}.cedar"),
            &POLICIES.replace("@API@", api),
        )?;
    }
    let plenty = "1000000000";
    write(
        "purposes/bench.toml",
        &format!(
            "owner = \"bench@example.org\"\nactions = [\"unbound:getThing\", \"unbound:addThing\", \"bound:getThing\", \"bound:addThing\"]\nmax_task_life = \"10m\"\n[budget]\ncalls = {plenty}\nwrites = {plenty}\n"
        ),
    )?;
    let uid = rustix::process::geteuid().as_raw();
    write(
        "agents/load.toml",
        &format!(
            "owner = \"bench@example.org\"\nmode = \"autonomous\"\npurposes = [\"bench\"]\nselectors = [\"unix:uid:{uid}\"]\n"
        ),
    )
}

/// Makes a certificate for the loopback address, of an authority of its own: `server.pem`, `server.key`.
pub(crate) fn server_certificate(folder: &Path) -> Result<(), BenchError> {
    let keys = |fault: rcgen::Error| BenchError::Keys(fault.to_string());
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(keys)?;
    let write = |name: &str, text: String| {
        fs::write(folder.join(name), text).tried(|| format!("write {name}"))
    };
    write("server.pem", made.cert.pem())?;
    write("server.key", made.signing_key.serialize_pem())
}

/// TLS of a client that believes `server.pem` of the folder and shows `client.pem` if it is there.
pub(crate) fn client_tls(folder: &Path) -> Result<Arc<rustls::ClientConfig>, BenchError> {
    let keys = |fault: &dyn std::fmt::Display| BenchError::Keys(fault.to_string());
    let certificate =
        |name: &str| CertificateDer::from_pem_file(folder.join(name)).map_err(|fault| keys(&fault));
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(certificate("server.pem")?)
        .map_err(|fault| keys(&fault))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| keys(&fault))?
        .with_root_certificates(roots);
    let config = if folder.join("client.pem").exists() {
        let key = PrivateKeyDer::from_pem_file(folder.join("client.key"));
        let key = key.map_err(|fault| keys(&fault))?;
        builder
            .with_client_auth_cert(vec![certificate("client.pem")?], key)
            .map_err(|fault| keys(&fault))?
    } else {
        builder.with_no_client_auth()
    };
    Ok(Arc::new(config))
}
