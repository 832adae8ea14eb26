//! Requests of a task that no well-behaved agent would make: any bytes in the body, any field in the head.

use std::sync::Mutex;

use bytes::Bytes;
use hyper::Method;
use writ::agent::{OpenTask, random_id};
use writ::http::{Answer, Peer};
use writ_types::Clock;

use crate::{Project, TestClock, reason};

/// Calls with a task's token and fresh proofs, and leaves the rest of the request to the test.
#[derive(Debug)]
pub struct Caller<'a> {
    task: &'a OpenTask,
    public_url: String,
    gateway: Peer,
    nonce: Mutex<Option<String>>,
    clock: std::sync::Arc<dyn Clock>,
}

impl<'a> Caller<'a> {
    /// Calls of `task` at this installation's gateway.
    pub fn new(project: &Project, task: &'a OpenTask) -> Self {
        Self {
            task,
            public_url: format!("http://127.0.0.1:{}", project.gateway),
            gateway: project.gateway(),
            nonce: Mutex::default(),
            clock: TestClock::start(),
        }
    }

    /// The task's fields for one request: `authorization` and a fresh proof, with the newest nonce that was seen.
    pub fn fields(&self, method: &str, path: &str) -> [(&'static str, String); 2] {
        let bare = path.split('?').next().unwrap();
        let uri = format!("{}{bare}", self.public_url);
        let nonce = self.nonce.lock().unwrap().clone();
        let proof = self.task.key.prove(
            (method, &uri),
            Some(&self.task.token),
            nonce.as_deref(),
            &random_id().unwrap(),
            self.clock.now(),
        );
        [
            ("authorization", format!("DPoP {}", self.task.token)),
            ("dpop", proof.unwrap()),
        ]
    }

    /// Learns the gateway's nonce, so that the next [`Self::fields`] are accepted at once.
    pub async fn learn(&self) {
        self.send("GET", "/", &[], "").await;
    }

    /// Sends one request with the task's fields and those of the test, again if the gateway asks for its nonce.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = body.into();
        loop {
            let fields = self.fields(method, path);
            let mut all: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            all.extend_from_slice(headers);
            let parsed = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = self.gateway.send(parsed, path, &all, body.clone()).await;
            let answer = answer.unwrap();
            let asked = answer.header("dpop-nonce").map(str::to_owned);
            let mut nonce = self.nonce.lock().unwrap();
            if reason(&answer) != "use_dpop_nonce" || asked == *nonce {
                return answer;
            }
            *nonce = asked;
        }
    }
}
