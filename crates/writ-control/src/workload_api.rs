//! The SPIFFE Workload API (SPIFFE Workload API §4 to §6): gRPC over the agent socket.
//!
//! Five methods, messages of a handful of fields: they are written out here (`message`, `wire`), because a gRPC framework
//! and a code generator would bring more crates than this has lines. Which identities a process has is said again for each
//! answer, and for each turn of a stream: `attest` looks, the registrations decide.

mod bundles;
mod endpoint;
mod message;
mod stream;
mod wire;

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use writ_types::{SpiffeId, Timestamp};

use crate::identity::{self, IdentityBody, Refused, Workload};
use crate::plane::Plane;
use message::{JwtSvidRequest, Svid, ValidateRequest};
use wire::{Code, Status};

pub use endpoint::{EndpointFault, Following, WorkloadEndpoint};
pub(crate) use wire::is_grpc;

/// What must be among the metadata of each call, so that no browser and no forwarded request makes one (§6.1 of the
/// Workload Endpoint).
const SECURITY_HEADER: (&str, &str) = ("workload.spiffe.io", "true");

/// Every method there is. The API must not be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    FetchX509Svid,
    FetchX509Bundles,
    FetchJwtSvid,
    FetchJwtBundles,
    ValidateJwtSvid,
}

impl Call {
    fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/SpiffeWorkloadAPI/")? {
            "FetchX509SVID" => Self::FetchX509Svid,
            "FetchX509Bundles" => Self::FetchX509Bundles,
            "FetchJWTSVID" => Self::FetchJwtSvid,
            "FetchJWTBundles" => Self::FetchJwtBundles,
            "ValidateJWTSVID" => Self::ValidateJwtSvid,
            _ => return None,
        })
    }
}

/// Serves one call. A refusal is a gRPC status; its text is static.
pub(crate) async fn serve(
    plane: Arc<Plane>,
    workload: Workload,
    request: Request<Incoming>,
) -> Response<IdentityBody> {
    match answer(plane, workload, request).await {
        Ok(body) => wire::respond(body),
        Err(status) => wire::refuse(status),
    }
}

async fn answer(
    plane: Arc<Plane>,
    workload: Workload,
    request: Request<Incoming>,
) -> Result<IdentityBody, Status> {
    let (head, body) = request.into_parts();
    let (name, value) = SECURITY_HEADER;
    let mut given = head.headers.get_all(name).iter();
    if given.next().is_none_or(|first| first != value) || given.next().is_some() {
        return Err(Status(
            Code::InvalidArgument,
            "the metadata `workload.spiffe.io: true` is missing",
        ));
    }
    let call = Some(head.uri.path())
        .filter(|_path| head.method == Method::POST)
        .and_then(Call::of);
    let call = call.ok_or(Status(
        Code::Unimplemented,
        "the SPIFFE Workload API has no such method",
    ))?;
    let message = wire::read_message(body).await?;
    match call {
        Call::FetchX509Svid => stream::open(plane, workload, stream::Kind::X509Svids).await,
        Call::FetchX509Bundles => stream::open(plane, workload, stream::Kind::X509Bundles).await,
        Call::FetchJwtBundles => stream::open(plane, workload, stream::Kind::JwtBundles).await,
        Call::FetchJwtSvid => jwt_svids(&plane, &workload, &message)
            .await
            .map(|message| wire::once(&message)),
        Call::ValidateJwtSvid => validate(&plane, &workload, &message)
            .await
            .map(|message| wire::once(&message)),
    }
}

/// The process's identities, each for the audiences that were asked for.
async fn jwt_svids(plane: &Plane, workload: &Workload, message: &[u8]) -> Result<Vec<u8>, Status> {
    let asked = JwtSvidRequest::decode(message)?;
    let wanted: Option<SpiffeId> =
        match asked.spiffe_id {
            "" => None,
            text => Some(text.parse().map_err(|_malformed| {
                Status(Code::InvalidArgument, "`spiffe_id` is no SPIFFE id")
            })?),
        };
    let agents = identity::agents_of(plane, workload).await?;
    let now = instant(plane)?;
    let mut svids = Vec::new();
    for agent in agents {
        if wanted
            .as_ref()
            .is_some_and(|wanted| agent.spiffe != *wanted)
        {
            continue;
        }
        let svid = identity::jwt_svid(plane, &agent, &asked.audiences, now)?;
        svids.push((agent.spiffe.to_string(), svid));
    }
    if svids.is_empty() {
        return Err(Status(
            Code::PermissionDenied,
            "this process is not the workload it asks to be",
        ));
    }
    Ok(message::jwt_svid_response(&svids))
}

/// Validates a JWT-SVID for a workload that cannot do so itself.
async fn validate(plane: &Plane, workload: &Workload, message: &[u8]) -> Result<Vec<u8>, Status> {
    let asked = ValidateRequest::decode(message)?;
    identity::agents_of(plane, workload).await?;
    let now = instant(plane)?;
    let bundles = plane.trust.bundles();
    let svid = bundles.validate_jwt(asked.svid, asked.audience, now);
    let svid = svid.map_err(|_refused| {
        Status(
            Code::InvalidArgument,
            "the JWT-SVID is not valid for this audience",
        )
    })?;
    Ok(message::validate_response(
        svid.spiffe().as_str(),
        &svid.claims().to_value(),
    ))
}

fn instant(plane: &Plane) -> Result<Timestamp, Status> {
    let now = plane.wall.check(plane.clock.now());
    now.map_err(|_went_back| Status(Code::Unavailable, "the clock of this machine went back"))
}

/// The process's identities with fresh keys, and when the first of them ends.
fn x509_svids(
    plane: &Plane,
    agents: &[Arc<writ_types::Agent>],
    now: Timestamp,
) -> Result<(Vec<Svid>, Timestamp), Status> {
    let failed = Status(Code::Unavailable, "the identity could not be issued");
    let bundle = plane.keys.domain.x509().certificate();
    let mut ends = now.plus(plane.settings.x509_svid_life);
    let mut svids = Vec::new();
    for agent in agents {
        let (leaf, key) = identity::x509_svid_with_key(plane, agent, now).ok_or(failed)?;
        ends = ends.min(leaf.not_after);
        svids.push(Svid {
            spiffe_id: agent.spiffe.to_string(),
            chain: leaf.der,
            key,
            bundle: bundle.to_vec(),
        });
    }
    Ok((svids, ends))
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unattested(why) => {
                tracing::debug!(%why, "a process was not attested");
                Self(Code::PermissionDenied, "this process is not attested")
            }
            Refused::Unregistered { .. } => Self(
                Code::PermissionDenied,
                "no registered agent matches this process",
            ),
            Refused::Invalid(why) => Self(Code::InvalidArgument, why),
            Refused::Ambiguous | Refused::NotFound => {
                Self(Code::InvalidArgument, "the request is not clear")
            }
            Refused::Issue => Self(Code::Unavailable, "the identity could not be issued"),
        }
    }
}

/// Boxes a body that cannot fail.
fn boxed<B>(body: B) -> IdentityBody
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = std::convert::Infallible> + Send + 'static,
{
    body.boxed_unsync()
}
