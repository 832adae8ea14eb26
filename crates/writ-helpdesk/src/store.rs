//! The state, in memory, and what each operation does to it.

use std::collections::BTreeMap;

use writ_types::{Timestamp, Value};

use crate::State;
use crate::answer::Fault;
use crate::model::{
    Amount, Author, Comment, Customer, Export, Priority, Refund, Resolution, Status, Ticket,
};

/// Everything. Comments, refunds and exports are in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Store {
    tickets: BTreeMap<String, Ticket>,
    customers: BTreeMap<String, Customer>,
    comments: Vec<Comment>,
    /// How many comments there ever were; an id is not used again after a deletion.
    last_comment: u64,
    refunds: Vec<Refund>,
    exports: Vec<Export>,
}

/// Which tickets to list.
#[derive(Debug)]
pub(crate) struct TicketFilter {
    pub(crate) status: Option<Status>,
    pub(crate) customer_id: Option<String>,
    pub(crate) after: Option<String>,
}

/// What to change; what is absent stays.
#[derive(Debug)]
pub(crate) struct TicketChange {
    pub(crate) subject: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) assignee: Option<String>,
    pub(crate) status: Option<Status>,
}

/// A refund that is asked for.
#[derive(Debug)]
pub(crate) struct NewRefund {
    pub(crate) ticket_id: String,
    pub(crate) amount: Amount,
    pub(crate) iban: String,
    pub(crate) reason: String,
}

impl Store {
    pub(crate) fn state(&self) -> State {
        State {
            tickets: self.tickets.values().cloned().collect(),
            comments: self.comments.clone(),
            customers: self.customers.values().cloned().collect(),
            refunds: self.refunds.clone(),
            exports: self.exports.clone(),
        }
    }

    pub(crate) fn tickets(&self, filter: &TicketFilter, limit: usize) -> Value {
        let mut found = self.tickets.values().filter(|ticket| {
            let after = filter.after.as_ref();
            let customer = filter.customer_id.as_ref();
            after.is_none_or(|after| ticket.id > *after)
                && customer.is_none_or(|customer| ticket.customer_id == *customer)
                && filter.status.is_none_or(|status| ticket.status == status)
        });
        let page: Vec<&Ticket> = found.by_ref().take(limit).collect();
        let next = page
            .last()
            .filter(|_last| found.next().is_some())
            .map(|last| ("next", Value::from(last.id.as_str())));
        let items = page.into_iter().map(Ticket::to_value).collect();
        Value::object([("tickets", Value::Array(items))].into_iter().chain(next))
    }

    pub(crate) fn ticket(&self, id: &str) -> Result<Value, Fault> {
        self.find(id).map(Ticket::to_value)
    }

    pub(crate) fn update(
        &mut self,
        id: &str,
        change: TicketChange,
        now: Timestamp,
    ) -> Result<Value, Fault> {
        let TicketChange {
            subject,
            priority,
            assignee,
            status,
        } = change;
        let ticket = self.live(id)?;
        if let Some(subject) = subject {
            ticket.subject = subject;
        }
        ticket.priority = priority.unwrap_or(ticket.priority);
        ticket.assignee = assignee.or_else(|| ticket.assignee.take());
        ticket.status = status.unwrap_or(ticket.status);
        ticket.updated_at = now;
        Ok(ticket.to_value())
    }

    pub(crate) fn close(
        &mut self,
        id: &str,
        resolution: Resolution,
        now: Timestamp,
    ) -> Result<Value, Fault> {
        let ticket = self.live(id)?;
        ticket.status = Status::Closed;
        ticket.resolution = Some(resolution);
        ticket.updated_at = now;
        Ok(ticket.to_value())
    }

    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Fault> {
        self.tickets
            .remove(id)
            .ok_or(Fault::NotFound("no such ticket"))?;
        self.comments.retain(|comment| comment.ticket_id != id);
        Ok(())
    }

    pub(crate) fn comments(&self, id: &str) -> Result<Value, Fault> {
        self.find(id)?;
        let of_ticket = |comment: &&Comment| comment.ticket_id == id;
        let comments = self.comments.iter().filter(of_ticket);
        Ok(list("comments", comments.map(Comment::to_value)))
    }

    pub(crate) fn comment(
        &mut self,
        id: &str,
        body: String,
        now: Timestamp,
    ) -> Result<Value, Fault> {
        let ticket = self.live(id)?;
        ticket.updated_at = now;
        Ok(self.push_comment(id, Author::Agent, body, now).to_value())
    }

    pub(crate) fn customer(&self, id: &str) -> Result<Value, Fault> {
        self.customers
            .get(id)
            .map(Customer::to_value)
            .ok_or(Fault::NotFound("no such customer"))
    }

    pub(crate) fn export(
        &mut self,
        destination: String,
        format: &'static str,
        now: Timestamp,
    ) -> Value {
        let export = Export {
            id: format!("X-{}", self.exports.len().saturating_add(1)),
            destination,
            format: format.to_owned(),
            customers: u64::try_from(self.customers.len()).unwrap_or(u64::MAX),
            created_at: now,
        };
        let value = export.to_value();
        self.exports.push(export);
        value
    }

    pub(crate) fn refunds(&self, ticket: Option<&str>) -> Value {
        let wanted = |refund: &&Refund| ticket.is_none_or(|ticket| refund.ticket_id == ticket);
        let refunds = self.refunds.iter().filter(wanted);
        list("refunds", refunds.map(Refund::to_value))
    }

    pub(crate) fn refund(&mut self, new: NewRefund, now: Timestamp) -> Result<Value, Fault> {
        let NewRefund {
            ticket_id,
            amount,
            iban,
            reason,
        } = new;
        let paid = self.live(&ticket_id)?.paid;
        let refunded = self
            .refunds
            .iter()
            .filter(|refund| refund.ticket_id == ticket_id)
            .fold(amount.cents(), |sum, refund| {
                sum.saturating_add(refund.amount.cents())
            });
        if refunded > paid.cents() {
            return Err(Fault::Conflict(
                "refund_exceeds_payment",
                "all refunds together would be more than the customer paid",
            ));
        }
        let refund = Refund {
            id: format!("R-{}", self.refunds.len().saturating_add(1)),
            ticket_id,
            amount,
            iban,
            reason,
            created_at: now,
        };
        let value = refund.to_value();
        self.refunds.push(refund);
        Ok(value)
    }

    pub(crate) fn add_ticket(&mut self, ticket: Ticket) {
        self.tickets.insert(ticket.id.clone(), ticket);
    }

    pub(crate) fn add_customer(&mut self, customer: Customer) {
        self.customers.insert(customer.id.clone(), customer);
    }

    /// Stores a comment under the next id.
    pub(crate) fn push_comment(
        &mut self,
        ticket_id: &str,
        author: Author,
        body: String,
        created_at: Timestamp,
    ) -> Comment {
        self.last_comment = self.last_comment.saturating_add(1);
        let comment = Comment {
            id: self.last_comment,
            ticket_id: ticket_id.to_owned(),
            author,
            body,
            created_at,
        };
        self.comments.push(comment.clone());
        comment
    }

    fn find(&self, id: &str) -> Result<&Ticket, Fault> {
        self.tickets
            .get(id)
            .ok_or(Fault::NotFound("no such ticket"))
    }

    /// A ticket that may still be changed.
    fn live(&mut self, id: &str) -> Result<&mut Ticket, Fault> {
        let ticket = self
            .tickets
            .get_mut(id)
            .ok_or(Fault::NotFound("no such ticket"))?;
        if ticket.status == Status::Closed {
            return Err(Fault::Conflict("ticket_closed", "the ticket is closed"));
        }
        Ok(ticket)
    }
}

fn list(name: &str, items: impl Iterator<Item = Value>) -> Value {
    Value::object([(name, Value::Array(items.collect()))])
}
