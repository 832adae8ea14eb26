//! A trust domain that is gone from the settings: the certificates of connections that are open were good when they began.

use hyper::client::conn::http2::SendRequest;

use super::*;
use crate::trust::{Domain, GUEST, guest};

const ANN: &str = "spiffe://guest.example/people/ann";
const DOMAIN: &str = "[[trust_domain]]\nname = \"guest.example\"\nbundle_file = \"guest.bundle\"\n";

/// A connection that stays open.
struct Open(SendRequest<Full<Bytes>>);

impl Open {
    async fn to(secure: &Secure, port: u16, held: &Held) -> Self {
        let mut tls = secure.tls(Some(held));
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let stream = connector.connect(name, stream).await.unwrap();
        let io = TokioIo::new(stream);
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
        let (sender, connection) = shaken.await.unwrap();
        drop(tokio::spawn(connection));
        Self(sender)
    }

    async fn send(
        &mut self,
        (method, uri): (Method, String),
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), json(&body))
    }
}

impl Secure {
    /// The first admin's request, which must succeed.
    async fn order(&self, path: &str, body: &str) {
        let peer = self.peer(self.project.control, None);
        let headers = [
            ("authorization", self.session.as_str()),
            ("content-type", "application/json"),
        ];
        let sent = peer.send(Method::POST, path, &headers, body.to_owned());
        let answer = sent.await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
    }
}

/// An installation that believes a domain, with an agent and an operator of it.
async fn believing(domain: &Domain) -> Secure {
    let secure = Secure::prepared(|project| {
        project.write("guest.bundle", &domain.bundle(1));
        guest(project);
        let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
        project.write("writ.toml", &format!("{settings}{DOMAIN}"));
    })
    .await;
    let ann = format!(r#"{{"name":"ann","role":"operator","certificate":"{ANN}"}}"#);
    secure.order("/v1/operators", &ann).await;
    secure
}

#[test]
fn an_open_connection_of_a_domain_that_is_gone_proves_nothing() {
    runtime().block_on(async {
        let domain = Domain::new("guest.example");
        let secure = believing(&domain).await;
        let [agent, person] = [GUEST, ANN].map(|spiffe| {
            let (certificate, key) = domain.leaf(spiffe);
            Held { certificate, key }
        });
        let ports = (secure.project.gateway, secure.project.control);
        let mut gateway = Open::to(&secure, ports.0, &agent).await;
        let mut control = Open::to(&secure, ports.1, &agent).await;
        let mut console = Open::to(&secure, ports.1, &person).await;
        let public = secure.public("");
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", GUEST),
            ("resource", &public),
            ("authorization_details", READ),
        ]);
        let mut ask = async || {
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let to = (Method::POST, secure.control("/oauth/token"));
            control.send(to, &kind, form.clone()).await
        };
        let (status, token) = ask().await;
        assert_eq!(status, 200, "{token}");
        let token = token
            .member("access_token")
            .and_then(Value::as_str)
            .unwrap();
        let authorization = format!("Bearer {token}");
        let mut call = async || {
            let headers = [("authorization", authorization.as_str())];
            let to = (Method::GET, secure.public(TICKETS));
            gateway.send(to, &headers, String::new()).await
        };
        assert_eq!(call().await.0, 200);
        let kind = [("content-type", "application/json")];
        let login = || (Method::POST, secure.control("/v1/login/certificate"));
        let (status, session) = console.send(login(), &kind, "{}".to_owned()).await;
        assert_eq!(status, 200, "{session}");
        let session = session.member("session").and_then(Value::as_str).unwrap();
        let session = format!("Bearer {session}");
        let looks = || (Method::GET, secure.control("/v1/registry"));
        let headers = [("authorization", session.as_str())];
        assert_eq!(console.send(looks(), &headers, String::new()).await.0, 200);

        let settings = std::fs::read_to_string(secure.project.path("writ.toml")).unwrap();
        secure
            .project
            .write("writ.toml", &settings.replace(DOMAIN, ""));
        secure.order("/v1/reload", "{}").await;
        let (status, refused) = ask().await;
        let error = refused.member("error").and_then(Value::as_str);
        assert_eq!((status, error), (401, Some("invalid_client")), "{refused}");
        let (status, refused) = call().await;
        let reason = refused.member("reason_code").and_then(Value::as_str);
        assert_eq!((status, reason), (401, Some("task_ended")), "{refused}");
        let again = console.send(login(), &kind, "{}".to_owned()).await;
        assert_eq!(again.0, 401, "{}", again.1);
        let looked = console.send(looks(), &headers, String::new()).await;
        assert_eq!(looked.0, 401, "the session that the certificate began");
    });
}
