//! What the guards of a rule (`context has body`) say of one operation, before any call.

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template, UnaryOp};

use crate::schema::{Operation, Root, Shape};
use crate::walk;

/// Whether the rule's conditions can hold for no call of the operation, because they ask for attributes that it does not
/// have. Only what `has` says is counted: a comparison is the rule's own business.
pub(crate) fn never_holds(tree: &Template, operation: &Operation) -> bool {
    tree.clauses().iter().any(|clause| match clause {
        Clause::When(condition) => known(condition, operation) == Some(false),
        Clause::Unless(condition) => known(condition, operation) == Some(true),
    })
}

/// What the condition is for every call of the operation; none if that depends on the call.
///
/// A load has checked that no condition is deeper than `stack::DEEPEST`, so this recursion is no deeper.
fn known(expr: &Expr, operation: &Operation) -> Option<bool> {
    match expr {
        Expr::Literal(Literal::Bool(truth)) => Some(*truth),
        Expr::HasAttr { expr: base, attrs } => {
            let (root, mut path) = walk::path(base)?;
            path.extend(attrs.iter().map(ToString::to_string));
            let input = root == Root::Context && path.first().is_some_and(|first| first != "sys");
            let lacks = input && Shape::root(root, Some(operation)).at(&path).is_none();
            lacks.then_some(false)
        }
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => known(expr, operation).map(|truth| !truth),
        Expr::BinaryOp {
            op: BinaryOp::And,
            left,
            right,
        } => match (known(left, operation), known(right, operation)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), other) => other,
            (None, _) => None,
        },
        Expr::BinaryOp {
            op: BinaryOp::Or,
            left,
            right,
        } => match (known(left, operation), known(right, operation)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), other) => other,
            (None, _) => None,
        },
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => match known(cond, operation)? {
            true => known(then_expr, operation),
            false => known(else_expr, operation),
        },
        // What a later Cedar brings depends on the call until it is known here.
        Expr::Literal(_)
        | Expr::Var(_)
        | Expr::Slot(_)
        | Expr::UnaryOp { .. }
        | Expr::BinaryOp { .. }
        | Expr::GetAttr { .. }
        | Expr::Like { .. }
        | Expr::Is { .. }
        | Expr::Set(_)
        | Expr::Record(_)
        | Expr::Unknown { .. }
        | _ => None,
    }
}
