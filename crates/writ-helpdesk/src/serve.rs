//! HTTP: connections, the key, the body, and each operation.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use writ_types::Digest;

use crate::answer::{Answer, Fault, done, empty};
use crate::form::{self, Form, Query};
use crate::model::{Priority, Resolution, Status};
use crate::route::Operation;
use crate::store::{NewRefund, TicketChange, TicketFilter};
use crate::{HelpDesk, KEY_HEADER, SeenRequest};

/// The largest body that is read.
pub(crate) const BODY_BYTES: usize = 64 * 1024;

/// How long calls in flight may take to finish once `shutdown` is there.
const DRAIN: Duration = Duration::from_secs(5);

impl HelpDesk {
    /// Serves HTTP/1.1 and HTTP/2 (with prior knowledge) on `listener` until `shutdown` is there; calls in flight then
    /// have five seconds to finish. Needs a tokio runtime with I/O and time.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _peer)) => {
                        connections.spawn(connection(Arc::clone(&self), stream, stopped.clone()));
                    }
                    // Out of descriptors, most likely: asking again at once would only burn the processor.
                    Err(_error) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
                Some(_ended) = connections.join_next() => {}
            }
        }
        drop(listener);
        stop.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            connections.shutdown().await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let admitted = self
            .admit(&head)
            .and_then(|()| Operation::of(&head.method, head.uri.path()));
        let body = match &admitted {
            Ok(operation) if operation.has_body() => read(&head, body).await,
            Ok(_) | Err(_) => Ok(Bytes::new()),
        };
        self.note(seen(&head, body.as_deref().unwrap_or_default()));
        admitted
            .and_then(|operation| self.perform(operation, head.uri.query().unwrap_or(""), &body?))
            .unwrap_or_else(Fault::into_answer)
    }

    /// The one check there is.
    fn admit(&self, head: &Parts) -> Result<(), Fault> {
        let mut keys = head.headers.get_all(KEY_HEADER).iter();
        match (keys.next(), keys.next()) {
            (Some(key), None) if Digest::of(key.as_bytes()) == self.key => Ok(()),
            _ => Err(Fault::Unauthorized),
        }
    }

    fn perform(&self, operation: Operation, query: &str, body: &[u8]) -> Result<Answer, Fault> {
        let mut query = Query::parse(query, operation.parameters())?;
        let now = self.clock.now();
        let (status, value) = match operation {
            Operation::ListTickets => {
                let filter = TicketFilter {
                    status: query.take("status", Status::from_str)?,
                    customer_id: query.take("customer_id", form::customer_id)?,
                    after: query.take("after", form::ticket_id)?,
                };
                let limit = query.take("limit", form::page_limit)?.unwrap_or(20);
                (StatusCode::OK, self.store().tickets(&filter, limit))
            }
            Operation::GetTicket(id) => (StatusCode::OK, self.store().ticket(&id)?),
            Operation::UpdateTicket(id) => {
                let change = ticket_change(body)?;
                (StatusCode::OK, self.store().update(&id, change, now)?)
            }
            Operation::DeleteTicket(id) => {
                self.store().delete(&id)?;
                return Ok(empty(StatusCode::NO_CONTENT));
            }
            Operation::ListComments(id) => (StatusCode::OK, self.store().comments(&id)?),
            Operation::AddComment(id) => {
                let comment = self.store().comment(&id, new_comment(body)?, now)?;
                (StatusCode::CREATED, comment)
            }
            Operation::CloseTicket(id) => {
                let resolution = resolution(body)?;
                (StatusCode::OK, self.store().close(&id, resolution, now)?)
            }
            Operation::GetCustomer(id) => (StatusCode::OK, self.store().customer(&id)?),
            Operation::ExportCustomers => {
                let (destination, format) = export(body)?;
                let export = self.store().export(destination, format, now);
                (StatusCode::ACCEPTED, export)
            }
            Operation::ListRefunds => {
                let ticket = query.take("ticket_id", form::ticket_id)?;
                (StatusCode::OK, self.store().refunds(ticket.as_deref()))
            }
            Operation::CreateRefund => {
                let refund = self.store().refund(new_refund(body)?, now)?;
                (StatusCode::CREATED, refund)
            }
        };
        Ok(done(status, &value))
    }
}

async fn connection(desk: Arc<HelpDesk>, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection that breaks concerns its client alone; there is nothing to tell anybody.
    tokio::select! {
        _ended = connection.as_mut() => return,
        _told = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

async fn read(head: &Parts, body: Incoming) -> Result<Bytes, Fault> {
    let media_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or(value).trim());
    if !media_type.is_some_and(|value| value.eq_ignore_ascii_case("application/json")) {
        return Err(Fault::UnsupportedMediaType);
    }
    match Limited::new(body, BODY_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Fault::TooLarge),
        Err(_broken) => Err(Fault::Malformed("the body did not arrive whole")),
    }
}

fn seen(head: &Parts, body: &[u8]) -> SeenRequest {
    let value = |name: &str, value: &[u8]| {
        if name == KEY_HEADER {
            "[redacted]".to_owned()
        } else {
            String::from_utf8_lossy(value).into_owned()
        }
    };
    SeenRequest {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
        headers: head
            .headers
            .iter()
            .map(|(name, text)| {
                (
                    name.as_str().to_owned(),
                    value(name.as_str(), text.as_bytes()),
                )
            })
            .collect(),
        body: body.to_vec(),
    }
}

fn ticket_change(body: &[u8]) -> Result<TicketChange, Fault> {
    let mut form = Form::parse(body)?;
    if form.len() == 0 {
        return Err(Fault::Invalid(vec![(
            String::new(),
            "must name at least one member to change",
        )]));
    }
    let change = TicketChange {
        subject: form.optional("subject", |text| form::text(text, 200)),
        priority: form.optional("priority", Priority::from_str),
        assignee: form.optional("assignee", form::login),
        status: form.optional("status", |text| match Status::from_str(text) {
            Ok(Status::Closed) | Err(_) => Err("must be one of `open`, `pending`"),
            Ok(status) => Ok(status),
        }),
    };
    form.finish(Some(change))
}

fn new_comment(body: &[u8]) -> Result<String, Fault> {
    let mut form = Form::parse(body)?;
    let text = form.required("body", |text| form::text(text, 4000));
    form.finish(text)
}

fn resolution(body: &[u8]) -> Result<Resolution, Fault> {
    let mut form = Form::parse(body)?;
    let resolution = form.required("resolution", Resolution::from_str);
    form.finish(resolution)
}

fn export(body: &[u8]) -> Result<(String, &'static str), Fault> {
    let mut form = Form::parse(body)?;
    let destination = form.required("destination", form::email);
    let format = form.optional("format", |text| match text {
        "csv" => Ok("csv"),
        "json" => Ok("json"),
        _ => Err("must be one of `csv`, `json`"),
    });
    form.finish(destination.map(|destination| (destination, format.unwrap_or("csv"))))
}

fn new_refund(body: &[u8]) -> Result<NewRefund, Fault> {
    let mut form = Form::parse(body)?;
    let ticket = form.required("ticket_id", form::ticket_id);
    let amount = form.required("amount", form::amount);
    let iban = form.required("iban", form::iban);
    let reason = form.required("reason", |text| form::text(text, 500));
    let whole =
        ticket
            .zip(amount)
            .zip(iban.zip(reason))
            .map(|((ticket_id, amount), (iban, reason))| NewRefund {
                ticket_id,
                amount,
                iban,
                reason,
            });
    form.finish(whole)
}

#[cfg(test)]
mod tests;
