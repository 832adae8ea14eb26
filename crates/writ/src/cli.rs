//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The authorization gateway for APIs that AI agents call.
#[derive(Debug, Parser)]
#[command(
    name = "writ",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// The settings of this process.
    #[arg(long, global = true, default_value = "writ.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented project into a folder
    Init(InitArgs),
    /// Play one agent's task against an example API, step by step, then keep serving
    Demo(DemoArgs),
    /// Run the gateway and the control plane
    Serve,
    /// Say what is configured, what is loose, and what does not work
    Doctor,
    /// Sign in as an operator
    Login(LoginArgs),
    /// Say what the project's files would change, and who gains and loses what; exits 2 on changes
    Plan(PlanArgs),
    /// Check the project's files and put them in force
    Apply(ApplyArgs),
    /// List the revisions that are and were in force, and what each changed
    Revisions,
    /// Put an earlier revision in force again
    Rollback(RollbackArgs),
    /// Decide recorded calls again by the project's files; exits 2 where one is decided otherwise
    Replay(ReplayArgs),
    /// APIs and their contracts
    #[command(subcommand)]
    Api(ApiCommand),
    /// Registered agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Exceptions: rules lifted for one agent, for a time, with somebody who answers for it
    #[command(subcommand)]
    Exception(ExceptionCommand),
    /// Tasks: the unit of authority
    #[command(subcommand)]
    Task(TaskCommand),
    /// Credentials of upstreams; they are written, never read
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Approvals: what waits for a person, and the answer
    #[command(subcommand)]
    Approve(ApproveCommand),
    /// The people who run Writ, and those who approve
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Policies: find what is wrong with them, and try them on cases
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Changes that take two people: what waits, and the answer
    #[command(subcommand)]
    Change(ChangeCommand),
    /// Who vouches for others: what the settings say, and what is believed of it
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Ask whether an agent could do something
    CanI(CanIArgs),
    /// Say who could do something, or what an agent could do
    WhoCan(WhoCanArgs),
    /// Say where the draft that is tried decides otherwise than the rules in force
    Shadow,
    /// Suggest a rule that leaves an agent what it has used of a purpose
    Suggest(SuggestArgs),
    /// Show why a call was decided as it was
    Explain(ExplainArgs),
    /// Stop a task, everything an agent does, or an API, a credential or an owner, at once
    #[command(subcommand)]
    Kill(KillCommand),
    /// Let an API, a credential or an owner go on that was killed
    #[command(subcommand)]
    Resume(ResumeCommand),
    /// The keys that sign access tokens
    #[command(subcommand)]
    Key(KeyCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder; made if it is missing.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the last step instead of serving on.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The file with the first-boot token; default: the one `writ serve` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Sign in with your account at the issuer of `[sign_in]`, in a browser on this machine.
    #[arg(long, conflicts_with_all = ["token_file", "name"])]
    pub(crate) oidc: bool,
    /// The name under which you act.
    #[arg(long, default_value = "admin")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Compare with another project's folder instead of the revision in force.
    #[arg(long, value_name = "FOLDER", conflicts_with = "offline")]
    pub(crate) from: Option<PathBuf>,
    /// Read the revision in force from the store, without a running `writ serve`.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Say what going back to this earlier revision would change, instead of what the files would.
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["from", "offline"])]
    pub(crate) to: Option<String>,
    /// Show every row.
    #[arg(long)]
    pub(crate) all: bool,
    /// The prover; default: `writ-prove` beside this program, otherwise in PATH.
    #[arg(long, value_name = "FILE")]
    pub(crate) prover: Option<PathBuf>,
    /// Longest time for proofs; 0 proves nothing.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) proof_seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Let an agent that was killed act again; repeat for more.
    #[arg(long = "resume", value_name = "AGENT")]
    pub(crate) resume: Vec<String>,
    /// Check only; change nothing.
    #[arg(long)]
    pub(crate) check: bool,
    /// Without a running `writ serve`: when the revision in force is one that this program cannot use.
    #[arg(long, conflicts_with = "check")]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The revision, as `writ revisions` lists it.
    pub(crate) revision: String,
    /// Check only; change nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The project's folder; default: that of the settings.
    pub(crate) folder: Option<PathBuf>,
    /// How many decisions, the newest, are made again.
    #[arg(long, value_name = "NUMBER", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub(crate) last: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiCommand {
    /// Read an OpenAPI document, or ask an MCP server what it has, and write `apis/<id>.toml` for review
    Import(ImportArgs),
    /// Say what in a document makes agents call it wrongly, with a score for every operation
    Lint(LintArgs),
    /// Compare two documents, for callers and for grants; exit code 2 if they differ
    Diff(DiffArgs),
    /// Hold what an API's server publishes against its contract; exit code 2 if operations wait for their owner
    Drift {
        /// The API.
        api: String,
    },
    /// Approve what an API's server publishes: it becomes the contract
    Promote(PromoteArgs),
    /// List what waits for an API's owner, the most called first
    Reviews {
        /// The API; default: all.
        api: Option<String>,
    },
    /// List the APIs in force
    List,
    /// Show one API's operations
    Show {
        /// The API.
        api: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The document: JSON or YAML, OpenAPI 3.x or Swagger 2.0, or the lists of an MCP server. The URL of a running MCP server is asked for
    /// its lists, and so is `stdio:<name>`, a program that `[mcp.program.<name>]` of the settings says; it is started with `--start`.
    pub(crate) document: PathBuf,
    /// The revision an MCP server is asked in, and spoken to in from then on: `2026-07-28` or `2025-11-25`; default: the newest it speaks.
    #[arg(long, value_name = "REVISION")]
    pub(crate) mcp: Option<String>,
    /// A file with the bearer token that an MCP server wants to see before it is asked, or the credential of a program. It is not kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Start the program, as you: without it, only what would be started is said.
    #[arg(long)]
    pub(crate) start: bool,
    /// The API's id, such as `dns`; default: made from the file's name.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Where the API is reached; default: the document's first server.
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// Who answers for it.
    #[arg(long, default_value = "unassigned")]
    pub(crate) owner: String,
    /// Report what the document holds; write nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The document's file, or the id of an API of the project, which is linted as its overlay leaves it.
    pub(crate) document: String,
    /// What the owner says of the document, in place of the API's own overlay.
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Option<PathBuf>,
    /// Print SARIF 2.1.0, for code scanning.
    #[arg(long)]
    pub(crate) sarif: bool,
    /// Exit 1 if anything at least as bad is found: `error`, `warning` or `note`.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) fail_on: Option<writ_contract::lint::Level>,
    /// Show every place and every operation.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The pinned document's file, or the id of an API of the project.
    pub(crate) old: String,
    /// The file of the document that would take its place.
    pub(crate) new: String,
    /// Show every change, also those of texts and those that narrow.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The API.
    pub(crate) api: String,
    /// The digest of the document that was looked at, as `writ api drift` says it.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: String,
    /// What is pinned stays in force, and its server may publish this, too: for servers that publish now this, now that.
    #[arg(long)]
    pub(crate) beside: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Write `agents/<name>.toml`
    Add(AgentAddArgs),
    /// List the agents in force
    List,
    /// Show one agent
    Show {
        /// The agent's SPIFFE id, or the end of it.
        agent: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AgentAddArgs {
    /// A short name; it ends the agent's SPIFFE id.
    pub(crate) name: String,
    /// Who answers for it.
    #[arg(long)]
    pub(crate) owner: String,
    /// A purpose it may open tasks for; repeat for more.
    #[arg(long = "purpose", required = true)]
    pub(crate) purposes: Vec<String>,
    /// `autonomous` or `copilot`.
    #[arg(long, default_value = "autonomous")]
    pub(crate) mode: String,
    /// How the built-in issuer recognises its processes, such as `unix:uid:1000`; repeat for more.
    #[arg(long = "selector", required = true)]
    pub(crate) selectors: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExceptionCommand {
    /// Write one into `policies/exceptions.toml`
    Add(ExceptionAddArgs),
    /// List those of the revision in force, and how each stands
    List,
}

#[derive(Debug, Args)]
pub(crate) struct ExceptionAddArgs {
    /// A short name: lower-case letters, digits and `-`.
    pub(crate) name: String,
    /// The `@id` of the rule it lifts, as a refusal and `writ explain` name it.
    #[arg(long)]
    pub(crate) rule: String,
    /// The agent it is for, as its file is called.
    #[arg(long)]
    pub(crate) agent: String,
    /// The purpose whose tasks it is for; every purpose of the agent if left out.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// An action it is for, such as `dns:patchZone`; repeat for more.
    #[arg(long = "action", required = true)]
    pub(crate) actions: Vec<String>,
    /// Who answers for it.
    #[arg(long)]
    pub(crate) owner: String,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    /// Where it was agreed upon.
    #[arg(long)]
    pub(crate) ticket: String,
    /// How many days it lasts, from now.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
    pub(crate) days: u16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Open a task as the agent this process is, and keep its token and key in a file
    Open(TaskOpenArgs),
    /// Ask for a live task to hold something else; what is left out stays as it is
    Amend(TaskAmendArgs),
    /// List live tasks
    List,
    /// Show what a task may do, has spent and has left
    Show {
        /// The task.
        task: String,
    },
    /// Close a task; its tokens die with it
    Close {
        /// The task.
        task: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TaskAmendArgs {
    /// Where token and key of the task are, as `writ task open` left them; the new token goes there.
    #[arg(default_value = "task.json", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// An action that the task is to hold; repeat for more. Without any it keeps those it has.
    #[arg(long = "action")]
    pub(crate) actions: Vec<String>,
    /// All of its bounds as JSON, such as `{"dns:patchZone":{"/path/zone_id":["example.org."]}}`.
    #[arg(long, value_name = "JSON")]
    pub(crate) bounds: Option<String>,
    /// What it may spend in its whole life as JSON, such as `{"calls":100}`.
    #[arg(long, value_name = "JSON")]
    pub(crate) budget: Option<String>,
    /// Its whole life in seconds, counted from its opening.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u64>,
    /// Why it needs that, for the person who is asked.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// How many seconds to wait for their answer, a minute at most.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) wait: u64,
    /// Which of its identities, where the process has several.
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TaskOpenArgs {
    /// The registered reason.
    #[arg(long)]
    pub(crate) purpose: String,
    /// An action, such as `dns:listZones`; repeat for more.
    #[arg(long = "action", required = true)]
    pub(crate) actions: Vec<String>,
    /// What the agent was told.
    #[arg(long)]
    pub(crate) prompt: Option<String>,
    /// Bounds as JSON, such as `{"dns:patchZone":{"/path/zone_id":["example.org."]}}`.
    #[arg(long, value_name = "JSON")]
    pub(crate) bounds: Option<String>,
    /// What it will do, step by step, as JSON: `[{"action":"dns:patchZone","arguments":{"/path/zone_id":["example.org."]},"times":2}]`.
    #[arg(long, value_name = "JSON")]
    pub(crate) plan: Option<String>,
    /// Life in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u64>,
    /// Which of its identities, where the process has several.
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe_id: Option<String>,
    /// Where token and key go (0600).
    #[arg(long, default_value = "task.json", value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Store a credential; its value is read from standard input
    Set {
        /// The name that `apis/*.toml` uses.
        name: String,
    },
    /// List names and versions, never values
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproveCommand {
    /// List what waits for an answer
    List {
        /// Those that are over, too.
        #[arg(long)]
        all: bool,
    },
    /// Show the card of one
    Show {
        /// The approval.
        approval: String,
    },
    /// Say yes to the one call on the card
    Yes {
        /// The approval.
        approval: String,
        /// Also where the card does not show all values of the call.
        #[arg(long)]
        although_not_all_is_shown: bool,
        /// The digest of the card you have seen; default: the card is shown and you are asked.
        #[arg(long, value_name = "DIGEST")]
        card: Option<String>,
        /// A value that nothing vouches for, as you know it: `/body/recipient=GB29…`. Default: you are asked.
        #[arg(long = "value", value_name = "PLACE=VALUE", requires = "card")]
        values: Vec<String>,
        /// Remember the values for a day, in all tasks of the same requester.
        #[arg(long)]
        remember: bool,
    },
    /// Say no; it is remembered for a day
    No {
        /// The approval.
        approval: String,
        /// Only to this very call.
        #[arg(long)]
        once: bool,
        /// Let the task go on if it was paused.
        #[arg(long)]
        resume: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Register a person; prints what they sign in with, once
    Add(OperatorAddArgs),
    /// Give somebody another role, or another way to sign in
    Change(OperatorChangeArgs),
    /// Invite somebody again whom you have registered and who has never signed in
    Invite {
        /// The operator: an id of `writ operator list`.
        operator: String,
    },
    /// Remove somebody
    Remove {
        /// The operator: an id of `writ operator list`.
        operator: String,
    },
    /// List them
    List,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorAddArgs {
    /// The name under which they act; an agent's owner is recognised by it.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) rights: OperatorRights,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorChangeArgs {
    /// The operator: an id of `writ operator list`.
    pub(crate) operator: String,
    #[command(flatten)]
    pub(crate) rights: OperatorRights,
}

/// What an operator may do, and how they sign in.
#[derive(Debug, Args)]
pub(crate) struct OperatorRights {
    /// `viewer`, `approver`, `operator` or `admin`.
    #[arg(long, default_value = "viewer")]
    pub(crate) role: String,
    /// A role of `@approval(\"…\")` in which they approve; `changes` for changes that take two people; repeat for more.
    #[arg(long = "approves", value_name = "ROLE")]
    pub(crate) approves: Vec<String>,
    /// Who they are as a user of agents: `<issuer>#<subject>`.
    #[arg(long, value_name = "USER")]
    pub(crate) identity: Option<String>,
    /// The SPIFFE id in the client certificate they sign in with.
    #[arg(long, value_name = "SPIFFE")]
    pub(crate) certificate: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChangeCommand {
    /// Show what waits
    List {
        /// Show what was decided, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one change, and what exactly it does
    Show {
        /// The change.
        change: String,
    },
    /// Say yes to a change that you have seen
    Approve {
        /// The change.
        change: String,
        /// Its digest, as it was shown.
        #[arg(long)]
        digest: String,
    },
    /// Say no to a change, or withdraw your own
    Refuse {
        /// The change.
        change: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Show everybody whom the settings name, and who is believed
    List,
    /// Propose to believe what the settings say
    Approve {
        /// The digest of all of it, as it was shown.
        #[arg(long)]
        digest: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say everything that is wrong with a project's policies, with line and fix; needs nothing running
    Check {
        /// The project's folder; default: that of the settings.
        folder: Option<PathBuf>,
    },
    /// Ask the cases of `policies/tests/*.toml` of the project's policies; needs nothing running
    Test(PolicyTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// The project's folder; default: that of the settings.
    pub(crate) folder: Option<PathBuf>,
    /// Only cases whose name or file holds this text.
    #[arg(long, value_name = "TEXT", conflicts_with = "accept")]
    pub(crate) only: Option<String>,
    /// Show why of every case, not only of those that fail.
    #[arg(long)]
    pub(crate) why: bool,
    /// Write `policies/tests/matrix.txt`, the table of who can do what, as it is now.
    #[arg(long)]
    pub(crate) accept: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CanIArgs {
    /// The agent's SPIFFE id, or the end of it.
    #[arg(long)]
    pub(crate) agent: String,
    /// The action, such as `dns:patchZone`.
    pub(crate) action: String,
    /// The purpose of the task; default: each the agent has.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("about").required(true).multiple(true).args(["action", "agent"]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option that a person types"
)]
pub(crate) struct WhoCanArgs {
    /// The action, such as `dns:patchZone`: who can do it.
    pub(crate) action: Option<String>,
    /// The agent's SPIFFE id, or the end of it: what it can do.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Show also what is not possible, and why.
    #[arg(long)]
    pub(crate) all: bool,
    /// Ask the project's files, without a running `writ serve`.
    #[arg(long, conflicts_with = "offline")]
    pub(crate) files: bool,
    /// Read the revision in force from the store, without a running `writ serve`.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SuggestArgs {
    /// The agent: its SPIFFE ID, or its name in this trust domain.
    #[arg(long)]
    pub(crate) agent: String,
    /// The purpose.
    #[arg(long)]
    pub(crate) purpose: String,
    /// Write the rule and its cases into the project; nothing is put in force.
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The call (`decision_id` of a refusal, or `Writ-Call-Id` of any response), the approval it asked for, or the index of
    /// one of its records.
    pub(crate) call: String,
    /// Also the records of the call, with the inputs of its decision as they are kept.
    #[arg(long)]
    pub(crate) records: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KillCommand {
    /// Revoke a task and all its children
    Task {
        /// The task.
        task: String,
    },
    /// Revoke every task of an agent
    Agent {
        /// The agent's SPIFFE id, or the end of it.
        agent: String,
    },
    /// Cut the calls of an API, and refuse all until `writ resume api`
    Api {
        /// The API.
        api: String,
    },
    /// Cut the calls that carry a credential, and let none carry it until it is replaced (`writ credential set`) or resumed
    Credential {
        /// The credential's name.
        credential: String,
    },
    /// Revoke every task whose agent or purpose has this owner, and open none until `writ resume owner`
    Owner {
        /// The owner, as agents and purposes name them.
        owner: String,
    },
    /// List the APIs, credentials and owners that are stopped
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ResumeCommand {
    /// Let an API be called again
    Api {
        /// The API.
        api: String,
    },
    /// Let calls carry a credential again
    Credential {
        /// The credential's name.
        credential: String,
    },
    /// Let the agents and purposes of an owner open tasks again
    Owner {
        /// The owner.
        owner: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Let the next key sign; tokens of the key before live out their minutes
    Rotate {
        /// Refuse the tokens of the key before at once: it may be known to others.
        #[arg(long)]
        revoke: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        count: usize,
    },
    /// One record
    Show {
        /// Its index in the log.
        index: u64,
    },
    /// Records of a call, task or agent
    Search {
        /// `cal_…`, `tsk_…`, `agt_…` or a word of the record.
        text: String,
    },
    /// Verify a log, or a copy of one, with nothing but its public key
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The log's folder; default: the one of this project.
    pub(crate) log: Option<PathBuf>,
    /// The file with the log's public key; default: `log.pub` of the project, never the copy's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}
