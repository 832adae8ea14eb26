//! Every route of the control plane, and who may use it. The table is the authority; a golden test prints it.

use writ_store::Role;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: the route proves identity itself, or tells nothing.
    Public,
    /// Operators of at least this role.
    Role(Role),
}

impl Access {
    pub(crate) fn admits(self, role: Role) -> bool {
        match self {
            Self::Public => true,
            Self::Role(least) => rank(role) >= rank(least),
        }
    }
}

/// Each role may do what those below it may.
pub(crate) const fn rank(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Approver => 1,
        Role::Operator => 2,
        Role::Admin => 3,
    }
}

macro_rules! routes {
    ($($method:literal $path:literal $access:expr => $endpoint:ident;)+) => {
        /// What a route does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Endpoint {
            $(#[doc = concat!("`", $method, " ", $path, "`")] $endpoint,)+
        }

        /// Every route: method, path with at most one `{…}` segment, access, endpoint.
        pub const ROUTES: &[(&str, &str, Access, Endpoint)] = &[
            $(($method, $path, $access, Endpoint::$endpoint),)+
        ];
    };
}

const VIEWER: Access = Access::Role(Role::Viewer);
const APPROVER: Access = Access::Role(Role::Approver);
const OPERATOR: Access = Access::Role(Role::Operator);
const ADMIN: Access = Access::Role(Role::Admin);

routes! {
    "POST" "/oauth/token" Access::Public => Token;
    "POST" "/oauth/introspect" Access::Public => Introspect;
    "POST" "/oauth/revoke" Access::Public => Revoke;
    "GET" "/oauth/jwks" Access::Public => Jwks;
    "GET" "/.well-known/oauth-authorization-server" Access::Public => Metadata;
    "GET" "/.well-known/spiffe-bundle" Access::Public => Bundle;
    "GET" "/.well-known/authzen-configuration" Access::Public => AuthzenMetadata;
    "GET" "/healthz" Access::Public => Health;
    "GET" "/readyz" Access::Public => Ready;
    "POST" "/v1/login" Access::Public => Login;
    "POST" "/v1/login/certificate" Access::Public => SignInByCertificate;
    "POST" "/v1/sign-in" Access::Public => BeginSignIn;
    "POST" "/v1/sign-in/complete" Access::Public => CompleteSignIn;
    "GET" "/metrics" VIEWER => Metrics;
    "GET" "/v1/status" VIEWER => Status;
    "GET" "/v1/registry" OPERATOR => Registry;
    "GET" "/v1/apis" VIEWER => Apis;
    "GET" "/v1/apis/{api}" VIEWER => Api;
    "POST" "/v1/apis/{api}/drift" OPERATOR => Drift;
    "POST" "/v1/apis/{api}/promote" ADMIN => Promote;
    "GET" "/v1/reviews" VIEWER => Reviews;
    "GET" "/v1/agents" VIEWER => Agents;
    "GET" "/v1/purposes" VIEWER => Purposes;
    "GET" "/v1/exceptions" VIEWER => Exceptions;
    "GET" "/v1/credentials" VIEWER => Credentials;
    "PUT" "/v1/credentials/{name}" ADMIN => SetCredential;
    "GET" "/v1/tasks" VIEWER => Tasks;
    "GET" "/v1/tasks/{task}" VIEWER => Task;
    "POST" "/v1/tasks/{task}/amend" Access::Public => AmendTask;
    "POST" "/v1/tasks/{task}/close" OPERATOR => CloseTask;
    "GET" "/v1/approvals" VIEWER => Approvals;
    "GET" "/v1/approvals/{approval}" VIEWER => Approval;
    "POST" "/v1/approvals/{approval}/yes" APPROVER => Approve;
    "POST" "/v1/approvals/{approval}/no" APPROVER => Refuse;
    "GET" "/v1/operators" ADMIN => Operators;
    "POST" "/v1/operators" ADMIN => AddOperator;
    "POST" "/v1/operators/{operator}" ADMIN => ChangeOperator;
    "POST" "/v1/operators/{operator}/invite" ADMIN => InviteOperator;
    "POST" "/v1/operators/{operator}/remove" ADMIN => RemoveOperator;
    "GET" "/v1/changes" APPROVER => Changes;
    "GET" "/v1/changes/{change}" APPROVER => Change;
    "POST" "/v1/changes/{change}/approve" APPROVER => ApproveChange;
    "POST" "/v1/changes/{change}/refuse" APPROVER => RefuseChange;
    "GET" "/v1/trust" VIEWER => Trust;
    "POST" "/v1/trust/approve" ADMIN => ApproveTrust;
    "POST" "/v1/kill" OPERATOR => Kill;
    "POST" "/v1/resume" ADMIN => Resume;
    "GET" "/v1/stops" VIEWER => Stops;
    "GET" "/v1/records" VIEWER => Records;
    "GET" "/v1/explain/{call}" OPERATOR => Explain;
    "GET" "/v1/suggest" VIEWER => Suggest;
    "GET" "/v1/shadow" VIEWER => Shadow;
    "POST" "/v1/can-i" VIEWER => CanI;
    "POST" "/access/v1/evaluation" VIEWER => Evaluation;
    "POST" "/access/v1/evaluations" VIEWER => Evaluations;
    "POST" "/access/v1/search/subject" VIEWER => SearchSubject;
    "POST" "/access/v1/search/resource" VIEWER => SearchResource;
    "POST" "/access/v1/search/action" VIEWER => SearchAction;
    "GET" "/v1/revisions" VIEWER => Revisions;
    "POST" "/v1/apply" ADMIN => Apply;
    "POST" "/v1/rollback" ADMIN => Rollback;
    "POST" "/v1/replay" OPERATOR => Replay;
    "POST" "/v1/reload" OPERATOR => Reload;
    "POST" "/v1/keys/rotate" ADMIN => RotateKeys;
}

/// What takes two people: proposed by one, done when another approves it. Of `Apply` and `Rollback` only what changes who is asked
/// or whose tokens are an agent's; of `RotateKeys` not what revokes.
pub const TWO_PEOPLE: &[Endpoint] = &[
    Endpoint::AddOperator,
    Endpoint::ChangeOperator,
    Endpoint::RemoveOperator,
    Endpoint::ApproveTrust,
    Endpoint::Apply,
    Endpoint::Rollback,
    Endpoint::RotateKeys,
];

/// What a request line leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route, and the value of its `{…}` segment.
    Route {
        endpoint: Endpoint,
        access: Access,
        parameter: String,
    },
    /// The path has routes, but none of this method.
    OtherMethods,
    /// Nothing.
    Nothing,
}

/// Finds the route of a request. Paths are compared as they are: what is percent-encoded is no route.
pub(crate) fn find(method: &str, path: &str) -> Found {
    let mut other = false;
    for (known, pattern, access, endpoint) in ROUTES {
        let Some(parameter) = matches(pattern, path) else {
            continue;
        };
        if *known == method {
            return Found::Route {
                endpoint: *endpoint,
                access: *access,
                parameter,
            };
        }
        other = true;
    }
    if other {
        Found::OtherMethods
    } else {
        Found::Nothing
    }
}

/// The value of the pattern's `{…}` segment, empty if it has none; nothing if the path is another.
fn matches(pattern: &str, path: &str) -> Option<String> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut parameter = String::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameter),
            (Some(segment), Some(text)) if segment.starts_with('{') && !text.is_empty() => {
                text.clone_into(&mut parameter)
            }
            (Some(segment), Some(text)) if segment == text => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 5] = ["anyone", "viewer", "approver", "operator", "admin"];

    /// A row of the golden table: the route, and a mark for everybody who may use it.
    fn row((method, path, access, endpoint): &(&str, &str, Access, Endpoint)) -> String {
        let roles = [Role::Viewer, Role::Approver, Role::Operator, Role::Admin];
        let marks = std::iter::once(*access == Access::Public)
            .chain(roles.map(|role| access.admits(role)))
            .zip(COLUMNS);
        let marks: String = marks
            .map(|(may, column)| {
                format!(
                    "{:<1$}",
                    if may { "x" } else { "." },
                    column.len().saturating_add(1)
                )
            })
            .collect();
        let two = if TWO_PEOPLE.contains(endpoint) {
            "two people"
        } else {
            ""
        };
        format!("{method:4} {path:42} {marks}{two}")
            .trim_end()
            .to_owned()
    }

    /// The golden table: who may use what, and what two people make together. A change here is a change in who may do what.
    #[test]
    fn every_route_and_who_may_use_it() {
        let head = format!("{:47} {}", "route", COLUMNS.join(" "));
        let table: Vec<String> = std::iter::once(head)
            .chain(ROUTES.iter().map(row))
            .collect();
        let golden = include_str!("../testdata/routes.txt");
        let written = table.join("\n") + "\n";
        assert_eq!(
            written, golden,
            "update testdata/routes.txt on purpose:\n{written}"
        );
    }

    /// No route is missing: what the edge serves is what the table names, once each.
    #[test]
    fn a_route_is_a_row_and_a_row_is_one_route() {
        for (index, (method, path, _, endpoint)) in ROUTES.iter().enumerate() {
            let segments = path.split('/').map(|segment| {
                if segment.starts_with('{') {
                    "x"
                } else {
                    segment
                }
            });
            let concrete = segments.collect::<Vec<_>>().join("/");
            let Found::Route {
                endpoint: found, ..
            } = find(method, &concrete)
            else {
                panic!("{method} {path} is not served")
            };
            assert_eq!(found, *endpoint, "{method} {path} is another route's");
            let again = ROUTES
                .iter()
                .skip(index.saturating_add(1))
                .any(|(.., other)| other == endpoint);
            assert!(!again, "{method} {path} does what another route does");
        }
    }

    #[test]
    fn routes_are_found_by_method_and_path() {
        let parameter = |method, path| match find(method, path) {
            Found::Route { parameter, .. } => Some(parameter),
            Found::OtherMethods | Found::Nothing => None,
        };
        assert_eq!(
            parameter("POST", "/v1/tasks/tsk_1/close").as_deref(),
            Some("tsk_1")
        );
        assert_eq!(parameter("GET", "/v1/tasks").as_deref(), Some(""));
        assert_eq!(find("DELETE", "/v1/tasks"), Found::OtherMethods);
        for path in [
            "/v1/tasks/",
            "/v1",
            "/",
            "//v1/tasks",
            "/v1/tasks/a/b",
            "/V1/tasks",
            "/v1/%74asks",
        ] {
            assert_eq!(find("GET", path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn roles_include_those_before_them() {
        assert!(ADMIN.admits(Role::Admin) && !ADMIN.admits(Role::Operator));
        assert!(
            VIEWER.admits(Role::Viewer)
                && OPERATOR.admits(Role::Admin)
                && !OPERATOR.admits(Role::Viewer)
        );
    }
}
