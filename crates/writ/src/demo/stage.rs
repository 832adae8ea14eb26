//! The stage: a help desk with one all-powerful key, a Writ before it, an operator who signed in and set that key.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Method;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use writ_helpdesk::{HelpDesk, KEY_HEADER, OPENAPI, REVIEWS};
use writ_types::{Clock, Secret, Value};

use crate::agent::{AgentClient, random_id};
use crate::app::{App, Start};
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Peer;
use crate::operator::{self, OperatorClient};
use crate::project;

/// Everything the play needs.
#[derive(Debug)]
pub(super) struct Stage {
    /// The demo's folder: a whole project.
    pub(super) folder: PathBuf,
    /// Its settings.
    pub(super) config: Config,
    /// The running Writ.
    pub(super) app: App,
    /// The agent.
    pub(super) agent: AgentClient,
    /// The operator.
    pub(super) operator: OperatorClient,
    /// The help desk, to look at what really happened.
    pub(super) desk: Arc<HelpDesk>,
    close_desk: oneshot::Sender<()>,
}

impl Stage {
    /// Sets the stage in a fresh folder.
    pub(super) async fn set(clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("writ-demo-{}", random_id()?));
        let key = random_id()?;
        let desk = Arc::new(HelpDesk::new(Secret::new(key.clone()), Arc::clone(&clock)));
        let (close_desk, closed) = oneshot::channel::<()>();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener =
            listener.map_err(|fault| Failure::caused("the help desk cannot listen", &fault))?;
        let upstream = listener
            .local_addr()
            .map_err(|fault| Failure::caused("the help desk cannot listen", &fault))?;
        let serving = Arc::clone(&desk);
        tokio::spawn(async move {
            serving
                .serve(listener, async {
                    drop(closed.await);
                })
                .await;
        });

        write_project(&folder, upstream)?;
        let config = Config::load(&folder.join("writ.toml"))?;
        let files = project::files(&folder)?;
        let app = Box::pin(App::start(
            &config,
            Start {
                files,
                clock: Arc::clone(&clock),
            },
        ))
        .await?;
        let operator = sign_in(&config, &app).await?;
        operator
            .send(
                Method::PUT,
                "/v1/credentials/helpdesk-key",
                Some(&Value::object([("value", Value::from(key))])),
            )
            .await?;
        let control = operator::control(&config)?;
        let gateway = Peer::url(config.public_url.as_str(), None)?;
        let agent = AgentClient::new(
            &app.socket,
            (&config.control_url, control),
            (&config.public_url, gateway),
            clock,
        );
        Ok(Self {
            folder,
            config,
            app,
            agent,
            operator,
            desk,
            close_desk,
        })
    }

    /// Stops everything and removes the folder.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        self.app.stop(self.config.timeouts.drain).await?;
        drop(self.close_desk);
        std::fs::remove_dir_all(&self.folder).map_err(|fault| {
            Failure::caused(format!("cannot remove {}", self.folder.display()), &fault)
        })
    }
}

/// Signs in with the first-boot token, as `writ login` does, and keeps the session so that commands work beside the demo.
async fn sign_in(config: &Config, app: &App) -> Result<OperatorClient, Failure> {
    let path = app
        .first_boot_token
        .as_ref()
        .ok_or_else(|| Failure::new("there is no first-boot token"))?;
    let quiet = crate::terminal::Terminal::quiet();
    let args = crate::cli::LoginArgs {
        oidc: false,
        token_file: Some(path.clone()),
        name: "demo".to_owned(),
    };
    crate::command::login::run(quiet, config, &args).await?;
    OperatorClient::of(config)
}

/// The project: one API, one purpose, one agent that is this very process's user.
fn write_project(folder: &Path, upstream: SocketAddr) -> Result<(), Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let (gateway, control) = (free_port(8080)?, free_port(8081)?);
    let settings = format!(
        "public_url = \"http://127.0.0.1:{gateway}\"\ncontrol_url = \"http://127.0.0.1:{control}\"\n\n[listen]\ngateway = \"127.0.0.1:{gateway}\"\ncontrol = \"127.0.0.1:{control}\"\n\n[identity]\n# The demo's agent is the demo itself.\nsingle_user_machine = true\n"
    );
    init::write(&folder.join("writ.toml"), &settings)?;
    init::write(&folder.join("apis/helpdesk.openapi.yaml"), OPENAPI)?;
    init::write(&folder.join("apis/helpdesk.toml"), &registration(upstream))?;
    init::write(
        &folder.join("purposes/ticket-triage.toml"),
        "owner = \"support-lead@example.org\"\ndescription = \"Answer tickets; refund small amounts to the customer's own account\"\nactions = [\"helpdesk:listTickets\", \"helpdesk:getTicket\", \"helpdesk:listComments\", \"helpdesk:addComment\", \"helpdesk:createRefund\"]\nmax_task_life = \"10m\"\n\n[budget]\ncalls = 6\nwrites = 2\ndeletes = 0\nirreversible = 1\n",
    )?;
    init::write(
        &folder.join("agents/triage-bot.toml"),
        &format!(
            "owner = \"support-lead@example.org\"\nmode = \"autonomous\"\npurposes = [\"ticket-triage\"]\nselectors = [\"unix:uid:{uid}\"]\n"
        ),
    )?;
    let tests = include_str!("../../templates/demo-tests.toml");
    init::write(&folder.join("policies/tests/triage.toml"), tests)
}

fn registration(upstream: SocketAddr) -> String {
    let mut text = format!(
        "owner = \"helpdesk-team@example.org\"\nupstream = \"http://{upstream}\"\ncontract = \"helpdesk.openapi.yaml\"\n\n[credential]\nname = \"helpdesk-key\"\nattach = \"header\"\nheader = \"{KEY_HEADER}\"\n"
    );
    for (operation, effect, irreversible, external_send, labels) in REVIEWS {
        text.push_str(&format!(
            "\n[operations.{operation}]\neffect = \"{effect}\"\nirreversible = {irreversible}\nexternal_send = {external_send}\nlabels = {labels:?}\n"
        ));
    }
    text
}

/// The wanted port if nobody has it, else a free one.
fn free_port(wanted: u16) -> Result<u16, Failure> {
    let any = || StdListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, wanted)).or_else(|_taken| any());
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .map(|address| address.port())
        .map_err(|fault| Failure::caused("no port is free", &fault))
}

#[cfg(test)]
mod tests {
    use writ_control::cases;
    use writ_control::plan::Side;
    use writ_types::Timestamp;

    use super::*;

    #[test]
    fn the_demos_project_passes_its_own_policy_tests() {
        let folder = tempfile::tempdir().unwrap();
        write_project(folder.path(), ([127, 0, 0, 1], 1).into()).unwrap();
        let now = Timestamp::from_secs(1_795_000_000);
        let files = project::files(folder.path()).unwrap();
        let domain = "writ.local".parse().unwrap();
        let (side, _) = Side::of_files(&files, &domain, None, now).unwrap();
        let cases = cases::read(&project::tests(folder.path()).unwrap()).unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let tried = case.try_on(&side, now).unwrap();
            assert!(
                tried.passed(),
                "{}: {:?}\n{}",
                case.name,
                tried.differences,
                tried.explanation
            );
        }
    }
}
