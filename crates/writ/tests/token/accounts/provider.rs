//! Signing in with an account at an `OpenID` provider of another hand (oidc-provider), through a browser as far as one is needed.

use std::process::Child;

use super::*;
use crate::provider::{Browser, Provider, parameter};

/// An installation whose operators sign in at the provider.
struct House {
    project: Project,
    provider: Provider,
    _server: Server,
}

/// `writ login --oidc`, which waits for a browser.
struct Login {
    child: Child,
    url: String,
}

/// The path and query of the provider's authorization endpoint.
fn path_of(url: &str) -> &str {
    url.find("/auth?").and_then(|at| url.get(at..)).unwrap()
}

impl Login {
    /// Where the browser is sent back to.
    fn callback(&self) -> String {
        decoded(&parameter(&self.url, "redirect_uri").unwrap())
    }

    /// Opens what the command line has printed in a browser, signs in as somebody, and gives where the browser is sent to.
    async fn browse(&self, browser: &mut Browser, house: &House, who: &str) -> String {
        let (path, back) = (path_of(&self.url), self.callback());
        browser.sign_in(&house.provider, path, who, &back).await
    }

    /// The browser goes where it was sent.
    fn back(&self, url: &str) -> String {
        let origin = url.trim_start_matches("http://").split('/').next().unwrap();
        let path = url.split_once(origin).unwrap().1;
        let mut stream = TcpStream::connect(origin).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {origin}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ends(self) -> (bool, String) {
        let output = self.child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), told)
    }
}

impl House {
    /// None where the provider is not installed.
    async fn open() -> Option<Self> {
        let (project, provider) = (project!(), Provider::start()?);
        let issuer = &provider.issuer;
        project.settings(&format!(
            "[sign_in]\nissuer = \"{issuer}\"\nclient_id = \"operators\"\n"
        ));
        let server = project.start();
        project.sign_in();
        let ann = format!(r#"{{"name":"ann","role":"operator","identity":"{issuer}#ann"}}"#);
        let added = project.operator(Method::POST, "/v1/operators", &ann).await;
        assert_eq!(added.status, 200, "{}", added.json());
        Some(Self {
            project,
            provider,
            _server: server,
        })
    }

    fn login(&self) -> Login {
        let mut command = self.project.command(&["login", "--oidc"]);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = said.find_map(|line| {
            let line = line.unwrap();
            line.contains("http://").then(|| line.trim().to_owned())
        });
        // What it says later is read by nobody, and it says little.
        std::thread::spawn(move || said.count());
        let url = url.unwrap();
        Login { child, url }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        let control = self.project.control();
        let sent = control.send(Method::POST, path, &json, body.to_string());
        sent.await.unwrap()
    }
}

#[test]
fn the_command_line_signs_in_at_a_provider_of_another_hand() {
    runtime().block_on(async {
        let Some(house) = House::open().await else {
            return;
        };
        let looks = async || {
            let looked = house.project.operator(Method::GET, "/v1/registry", "");
            looked.await.status
        };
        // Once with a browser that the provider does not know, once with one that has a session there.
        let mut browser = Browser::default();
        for _time in 0..2 {
            let login = house.login();
            let back = login.browse(&mut browser, &house, "ann").await;
            assert!(login.back(&back).starts_with("HTTP/1.1 200"), "{back}");
            let (good, told) = login.ends();
            assert!(good && told.contains("ann (operator)"), "{told}");
            assert_eq!(looks().await, 200);
        }
        let login = house.login();
        let mut other = Browser::default();
        let back = login.browse(&mut other, &house, "mallory").await;
        login.back(&back);
        let (good, told) = login.ends();
        assert!(!good, "nobody is registered with that account: {told}");
        assert_eq!(looks().await, 200, "the session before is untouched");
    });
}

/// A stolen code is no sign-in: the provider holds it against the verifier of who began, and the state is that of who began.
#[test]
fn a_stolen_code_signs_nobody_in() {
    runtime().block_on(async {
        let Some(house) = House::open().await else {
            return;
        };
        let begin = async || {
            let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
            let answer = house.post("/v1/sign-in", &port).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
            answer.json()
        };
        let member = |value: &Value, name: &str| {
            let text = value.member(name).and_then(Value::as_str);
            text.unwrap().to_owned()
        };
        let code = async |begun: &Value| {
            let url = member(begun, "url");
            let path = path_of(&url);
            let until = format!("http://127.0.0.1:{PORT}/");
            let mut browser = Browser::default();
            let back = browser.sign_in(&house.provider, path, "ann", &until).await;
            assert_eq!(
                decoded(&parameter(&back, "state").unwrap()),
                member(begun, "state")
            );
            let iss = decoded(&parameter(&back, "iss").unwrap());
            assert_eq!(iss, house.provider.issuer, "RFC 9207");
            decoded(&parameter(&back, "code").unwrap())
        };
        let end = async |begun: &Value, code: &str| {
            let body = Value::object([
                ("handle", Value::from(member(begun, "handle"))),
                ("state", Value::from(member(begun, "state"))),
                ("code", Value::from(code)),
                ("iss", Value::from(house.provider.issuer.as_str())),
            ]);
            house.post("/v1/sign-in/complete", &body).await
        };
        // Ann signs in, and somebody else shows her code as what came of a sign-in of their own.
        let (anns, thiefs) = (begin().await, begin().await);
        let stolen = code(&anns).await;
        assert_eq!(
            end(&thiefs, &stolen).await.status,
            401,
            "another's verifier"
        );
        // Once more, with nobody between.
        let anns = begin().await;
        let own = code(&anns).await;
        let answer = end(&anns, &own).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(text(&answer, "name"), "ann");
        assert_eq!(end(&anns, &own).await.status, 401, "twice");
        assert_eq!(
            end(&begin().await, &own).await.status,
            401,
            "in another sign-in"
        );
    });
}
