//! The agent's side: show an identity, open a task, call an API. What the demo plays and `writ task open` does.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use writ_token::{ProofKey, generate_signing_key};
use writ_types::{Clock, PublicUrl, Secret, Value};

use crate::failure::Failure;
use crate::http::{Answer, HttpError, Peer};

/// An agent's view of Writ.
#[derive(Debug)]
pub struct AgentClient {
    socket: Peer,
    control: Peer,
    gateway: Peer,
    control_url: PublicUrl,
    public_url: PublicUrl,
    clock: Arc<dyn Clock>,
}

/// A workload's proven identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who it is.
    pub spiffe: String,
    /// The JWT-SVID that shows it to the control plane.
    pub svid: String,
}

/// An open task with its token and the key it is bound to.
#[derive(Debug)]
pub struct OpenTask {
    /// The answer of the token endpoint.
    pub answer: Value,
    /// The task.
    pub task: String,
    /// The access token.
    pub token: String,
    /// Proves that the token is ours.
    pub key: ProofKey,
    /// The same key, to be kept in a file.
    pub pkcs8: Secret<Vec<u8>>,
    /// The gateway's latest nonce.
    nonce: Mutex<Option<String>>,
}

impl OpenTask {
    /// A task whose token and key were kept.
    ///
    /// # Errors
    ///
    /// The key is none.
    pub fn kept(task: &str, token: &str, pkcs8: Secret<Vec<u8>>) -> Result<Self, Failure> {
        Ok(Self {
            answer: Value::Null,
            task: task.to_owned(),
            token: token.to_owned(),
            key: ProofKey::from_pkcs8(&pkcs8)?,
            pkcs8,
            nonce: Mutex::new(None),
        })
    }
}

impl AgentClient {
    /// An agent that reaches Writ at these addresses.
    pub fn new(
        socket: &Path,
        (control_url, control): (&PublicUrl, Peer),
        (public_url, gateway): (&PublicUrl, Peer),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            socket: Peer::socket(socket),
            control,
            gateway,
            control_url: control_url.clone(),
            public_url: public_url.clone(),
            clock,
        }
    }

    /// Shows what the kernel says of this process, and gets the identity that is registered for it.
    ///
    /// # Errors
    ///
    /// The process is no registered agent, or the socket does not answer.
    pub async fn identity(&self, spiffe: Option<&str>) -> Result<Identity, Failure> {
        let mut members = vec![("audience", Value::from(self.control_url.as_str()))];
        members.extend(spiffe.map(|spiffe| ("spiffe_id", Value::from(spiffe))));
        let body = Value::object(members).to_string();
        let answer = self
            .socket
            .send(
                Method::POST,
                "/v1/jwt-svid",
                &[("content-type", "application/json")],
                body,
            )
            .await?;
        let json = answer.json();
        let text = |name| json.member(name).and_then(Value::as_str).map(str::to_owned);
        match (text("spiffe_id"), text("svid")) {
            (Some(spiffe), Some(svid)) if answer.status == 200 => Ok(Identity { spiffe, svid }),
            _ => {
                let why = text("error").unwrap_or_else(|| format!("status {}", answer.status));
                Err(Failure::new("this process has no identity").detail(why))
            }
        }
    }

    /// Opens a task: `details` is the `authorization_details` array. The token is bound to a fresh key.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is the inner `Err`, with the answer.
    pub async fn open(
        &self,
        identity: &Identity,
        details: &Value,
    ) -> Result<Result<OpenTask, Answer>, Failure> {
        let authority = ("authorization_details", &*details.to_string());
        let pkcs8 = generate_signing_key()?;
        let grant = Self::own(identity);
        self.token(&grant, authority, pkcs8).await
    }

    /// Opens a task below one, with its token and its key.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is the inner `Err`, with the answer.
    pub async fn narrow(
        &self,
        identity: &Identity,
        task: &OpenTask,
        details: &Value,
    ) -> Result<Result<OpenTask, Answer>, Failure> {
        let own = Self::own(identity);
        let [_, assertion, assertion_type] = own;
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        let kind = "urn:ietf:params:oauth:token-type:access_token";
        let grant = [
            ("grant_type", exchange),
            ("subject_token", &task.token),
            ("subject_token_type", kind),
            assertion,
            assertion_type,
        ];
        let authority = ("authorization_details", &*details.to_string());
        let key = Secret::new(task.pkcs8.expose().clone());
        self.token(&grant, authority, key).await
    }

    /// How an agent asks for a token of its own.
    fn own(identity: &Identity) -> [(&str, &str); 3] {
        [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
            ),
            ("client_assertion", &identity.svid),
        ]
    }

    /// Another token of a task that lives, for what it holds now, bound to the same key.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is the inner `Err`, with the answer.
    pub async fn renew(
        &self,
        identity: &Identity,
        task: &OpenTask,
    ) -> Result<Result<OpenTask, Answer>, Failure> {
        let key = Secret::new(task.pkcs8.expose().clone());
        let grant = Self::own(identity);
        self.token(&grant, ("task_id", &task.task), key).await
    }

    async fn token(
        &self,
        grant: &[(&str, &str)],
        authority: (&str, &str),
        pkcs8: Secret<Vec<u8>>,
    ) -> Result<Result<OpenTask, Answer>, Failure> {
        let key = ProofKey::from_pkcs8(&pkcs8)?;
        let uri = format!("{}/oauth/token", self.control_url);
        let mut asked = grant.to_vec();
        asked.extend([("resource", self.public_url.as_str()), authority]);
        let form = form(&asked);
        let mut nonce: Option<String> = None;
        // The first proof has no nonce; the refusal brings one (RFC 9449 §8).
        for _ in 0..2 {
            let proof = key.prove(
                ("POST", &uri),
                None,
                nonce.as_deref(),
                &random_id()?,
                self.clock.now(),
            )?;
            let headers = [
                ("content-type", "application/x-www-form-urlencoded"),
                ("dpop", proof.as_str()),
            ];
            let answer = self
                .control
                .send(Method::POST, "/oauth/token", &headers, form.clone())
                .await?;
            let json = answer.json();
            let text = |name| json.member(name).and_then(Value::as_str).map(str::to_owned);
            if let (200, Some(token), Some(task)) =
                (answer.status, text("access_token"), text("task_id"))
            {
                return Ok(Ok(OpenTask {
                    answer: json,
                    task,
                    token,
                    key,
                    pkcs8,
                    nonce: Mutex::new(None),
                }));
            }
            let asked = answer.header("dpop-nonce").map(str::to_owned);
            if text("error").as_deref() != Some("use_dpop_nonce") || asked == nonce {
                return Ok(Err(answer));
            }
            nonce = asked;
        }
        Err(Failure::new(
            "the token endpoint asks for one nonce after another",
        ))
    }

    /// Asks for a task to hold what `details` say from now on, and why, and waits for people's answer as `prefer` says
    /// (RFC 7240).
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is an answer, and so is that people were asked.
    pub async fn amend(
        &self,
        task: &OpenTask,
        (details, reason): (&Value, &str),
        prefer: &str,
    ) -> Result<Answer, Failure> {
        let path = format!("/v1/tasks/{}/amend", task.task);
        let uri = format!("{}{path}", self.control_url);
        let authorization = format!("DPoP {}", task.token);
        let body = Value::object([
            ("authorization_details", details.clone()),
            ("reason", Value::from(reason)),
        ]);
        let body = body.to_string();
        let mut nonce: Option<String> = None;
        for _ in 0..2 {
            let proof = task.key.prove(
                ("POST", &uri),
                Some(&task.token),
                nonce.as_deref(),
                &random_id()?,
                self.clock.now(),
            )?;
            let headers = [
                ("authorization", authorization.as_str()),
                ("dpop", proof.as_str()),
                ("content-type", "application/json"),
                ("prefer", prefer),
            ];
            let answer = self
                .control
                .send(Method::POST, &path, &headers, body.clone())
                .await?;
            let asked = answer.header("dpop-nonce").map(str::to_owned);
            let again = answer.json().member("reason_code").and_then(Value::as_str)
                == Some("use_dpop_nonce");
            if !again {
                return Ok(answer);
            }
            nonce = asked;
        }
        Err(Failure::new(
            "the control plane asks for one nonce after another",
        ))
    }

    /// Calls an operation: `path` begins with the API's id, as in `/dns/zones`.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is an answer.
    pub async fn call(
        &self,
        task: &OpenTask,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        self.call_with(&task.key, task, method, path, body).await
    }

    /// Calls with a proof made by `key`, which may be another than the token's.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is an answer.
    pub async fn call_with(
        &self,
        key: &ProofKey,
        task: &OpenTask,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let bare = path.split('?').next().unwrap_or(path);
        let uri = format!("{}{bare}", self.public_url);
        let authorization = format!("DPoP {}", task.token);
        let text = body.map(Value::to_string).unwrap_or_default();
        for _ in 0..2 {
            let nonce = task
                .nonce
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let proof = key.prove(
                (method.as_str(), &uri),
                Some(&task.token),
                nonce.as_deref(),
                &random_id()?,
                self.clock.now(),
            )?;
            let mut headers = vec![
                ("authorization", authorization.as_str()),
                ("dpop", proof.as_str()),
                ("accept", "application/json"),
            ];
            if body.is_some() {
                headers.push(("content-type", "application/json"));
            }
            let answer = self
                .gateway
                .send(method.clone(), path, &headers, text.clone())
                .await?;
            let asked = answer.header("dpop-nonce").map(str::to_owned);
            let again = answer.json().member("reason_code").and_then(Value::as_str)
                == Some("use_dpop_nonce");
            if asked.is_some() {
                *task.nonce.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
            if !again {
                return Ok(answer);
            }
        }
        Err(Failure::new("the gateway asks for one nonce after another"))
    }

    /// Calls with nothing but the token, as somebody who has found it would.
    ///
    /// # Errors
    ///
    /// Nobody answers. A refusal is an answer.
    pub async fn replay(&self, token: &str, path: &str) -> Result<Answer, HttpError> {
        let authorization = format!("Bearer {token}");
        self.gateway
            .send(
                Method::GET,
                path,
                &[("authorization", &authorization)],
                Vec::new(),
            )
            .await
    }
}

/// An `application/x-www-form-urlencoded` text.
pub fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// 128 random bits as text.
///
/// # Errors
///
/// The operating system gives none.
pub fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_unspecified| Failure::new("the random source failed"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
