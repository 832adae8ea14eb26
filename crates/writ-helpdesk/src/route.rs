//! Method and path to operation.

use hyper::Method;

use crate::answer::Fault;
use crate::form;

/// An operation of the contract, with the id in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    ListTickets,
    GetTicket(String),
    UpdateTicket(String),
    DeleteTicket(String),
    ListComments(String),
    AddComment(String),
    CloseTicket(String),
    GetCustomer(String),
    ExportCustomers,
    ListRefunds,
    CreateRefund,
}

impl Operation {
    pub(crate) fn of(method: &Method, path: &str) -> Result<Self, Fault> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let method = method.as_str();
        let ticket =
            |id: &str| form::ticket_id(id).map_err(|_fault| Fault::NotFound("no such ticket"));
        match (segments.as_slice(), method) {
            (["tickets"], "GET") => Ok(Self::ListTickets),
            (["tickets"], _) => Err(Fault::MethodNotAllowed("GET")),
            (["tickets", id], "GET") => ticket(id).map(Self::GetTicket),
            (["tickets", id], "PATCH") => ticket(id).map(Self::UpdateTicket),
            (["tickets", id], "DELETE") => ticket(id).map(Self::DeleteTicket),
            (["tickets", _], _) => Err(Fault::MethodNotAllowed("GET, PATCH, DELETE")),
            (["tickets", id, "comments"], "GET") => ticket(id).map(Self::ListComments),
            (["tickets", id, "comments"], "POST") => ticket(id).map(Self::AddComment),
            (["tickets", _, "comments"], _) => Err(Fault::MethodNotAllowed("GET, POST")),
            (["tickets", id, "close"], "POST") => ticket(id).map(Self::CloseTicket),
            (["tickets", _, "close"], _) => Err(Fault::MethodNotAllowed("POST")),
            (["customers", "export"], "POST") => Ok(Self::ExportCustomers),
            (["customers", "export"], _) => Err(Fault::MethodNotAllowed("POST")),
            (["customers", id], "GET") => form::customer_id(id)
                .map(Self::GetCustomer)
                .map_err(|_fault| Fault::NotFound("no such customer")),
            (["customers", _], _) => Err(Fault::MethodNotAllowed("GET")),
            (["refunds"], "GET") => Ok(Self::ListRefunds),
            (["refunds"], "POST") => Ok(Self::CreateRefund),
            (["refunds"], _) => Err(Fault::MethodNotAllowed("GET, POST")),
            _ => Err(Fault::NoSuchPath),
        }
    }

    /// Whether it takes a JSON body.
    pub(crate) const fn has_body(&self) -> bool {
        match self {
            Self::UpdateTicket(_)
            | Self::AddComment(_)
            | Self::CloseTicket(_)
            | Self::ExportCustomers
            | Self::CreateRefund => true,
            Self::ListTickets
            | Self::GetTicket(_)
            | Self::DeleteTicket(_)
            | Self::ListComments(_)
            | Self::GetCustomer(_)
            | Self::ListRefunds => false,
        }
    }

    /// The query parameters it knows.
    pub(crate) const fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::ListTickets => &["status", "customer_id", "limit", "after"],
            Self::ListRefunds => &["ticket_id"],
            Self::GetTicket(_)
            | Self::UpdateTicket(_)
            | Self::DeleteTicket(_)
            | Self::ListComments(_)
            | Self::AddComment(_)
            | Self::CloseTicket(_)
            | Self::GetCustomer(_)
            | Self::ExportCustomers
            | Self::CreateRefund => &[],
        }
    }
}
