//! What a policy's conditions read: a walk over Cedar's public syntax tree, without recursion.

use cedar_policy::pst::{
    BinaryOp, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint, ResourceConstraint,
    Template, UnaryOp, Var,
};

use crate::rule::{Compared, Comparison, Constant, Mention, Path, Reads};
use crate::schema::Root;
use crate::vocabulary::INPUT_PARTS;

/// What the scope and the conditions of a policy read.
pub(crate) fn reads(tree: &Template, conditions: &[&Expr]) -> Reads {
    let mut reads = Reads::default();
    reads.entities.extend(scope_entities(tree));
    // Level by level, which counts the depth.
    let mut level: Vec<&Expr> = conditions.to_vec();
    while !level.is_empty() {
        reads.depth = reads.depth.saturating_add(1);
        let mut below = Vec::new();
        for expr in level {
            step(expr, &mut below, &mut reads);
        }
        level = below;
    }
    // Cedar joins the clauses of a policy by `&&`.
    reads.depth = reads.depth.saturating_add(conditions.len());
    reads
}

/// What one condition reads.
pub(crate) fn of_condition(condition: &Expr) -> Reads {
    let mut reads = Reads::default();
    let mut open = vec![condition];
    while let Some(expr) = open.pop() {
        step(expr, &mut open, &mut reads);
    }
    reads
}

fn scope_entities(tree: &Template) -> impl Iterator<Item = EntityUID> {
    let principal = match &tree.principal {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::Eq(entity)
        | PrincipalConstraint::In(entity)
        | PrincipalConstraint::IsIn(_, entity) => known(entity),
    };
    let resource = match &tree.resource {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(entity)
        | ResourceConstraint::In(entity)
        | ResourceConstraint::IsIn(_, entity) => known(entity),
    };
    principal.into_iter().chain(resource)
}

fn known(entity: &EntityOrSlot) -> Option<EntityUID> {
    match entity {
        EntityOrSlot::Entity(entity) => Some(entity.clone()),
        EntityOrSlot::Slot(_) => None,
    }
}

fn step<'a>(expr: &'a Expr, open: &mut Vec<&'a Expr>, reads: &mut Reads) {
    match expr {
        Expr::GetAttr { expr: base, .. } => match path(expr) {
            Some((root, attrs)) => {
                reads.paths.insert(Path {
                    root,
                    attrs,
                    mention: Mention::Get,
                });
            }
            None => open.push(base),
        },
        Expr::HasAttr { expr: base, attrs } => match path(base) {
            Some((root, mut found)) => {
                found.extend(attrs.iter().map(ToString::to_string));
                reads.paths.insert(Path {
                    root,
                    attrs: found,
                    mention: Mention::Has,
                });
            }
            None => {
                reads.blind_has = Some(attrs.head.to_string());
                open.push(base);
            }
        },
        Expr::Var(Var::Context) => reads.whole_context = true,
        Expr::Literal(Literal::EntityUID(entity)) => {
            reads.names_actions |= entity.ty.to_string().ends_with("::Action");
            reads.entities.push(entity.clone());
        }
        Expr::UnaryOp { op, expr: operand } => {
            if *op == UnaryOp::Neg {
                reads.arithmetic = Some("-");
            }
            open.push(operand);
        }
        Expr::BinaryOp { op, left, right } => {
            literals(*op, left, right, reads);
            comparisons(*op, left, right, reads);
            if let Some(sign) = overflows(*op, left, right) {
                reads.arithmetic = Some(sign);
            }
            open.extend([&**left, &**right]);
        }
        Expr::Like { expr: operand, .. } => open.push(operand),
        Expr::Is {
            expr: operand,
            in_expr,
            ..
        } => {
            open.push(operand);
            open.extend(in_expr.as_deref());
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => {
            open.extend([&**cond, &**then_expr, &**else_expr]);
        }
        Expr::Set(items) => open.extend(items.iter().map(|item| &**item)),
        Expr::Record(members) => open.extend(members.values().map(|member| &**member)),
        Expr::Literal(_) | Expr::Var(_) => {}
        // A slot or an unknown is refused before this; whatever else a later Cedar brings counts as reading everything.
        Expr::Slot(_) | Expr::Unknown { .. } | _ => reads.whole_context = true,
    }
}

/// The variable and the attributes of `x.a.b`; none for anything else.
pub(crate) fn path(expr: &Expr) -> Option<(Root, Vec<String>)> {
    let mut attrs = Vec::new();
    let mut rest = expr;
    while let Expr::GetAttr { expr, attr } = rest {
        attrs.push(attr.to_string());
        rest = expr;
    }
    let Expr::Var(var) = rest else { return None };
    attrs.reverse();
    let root = match var {
        Var::Principal => Root::Principal,
        Var::Action => Root::Action,
        Var::Resource => Root::Resource,
        Var::Context => Root::Context,
    };
    Some((root, attrs))
}

/// Texts that an attribute is compared with: `a.b == "x"`, `a.b.contains("x")`, `["x", "y"].containsAll(a.b)`.
fn literals(op: BinaryOp, left: &Expr, right: &Expr, reads: &mut Reads) {
    let compares = matches!(
        op,
        BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Contains
            | BinaryOp::ContainsAll
            | BinaryOp::ContainsAny
    );
    if !compares {
        return;
    }
    for (root, attrs, other) in sides(left, right) {
        if let Expr::Literal(Literal::String(text)) = other {
            reads.literals.insert(Compared {
                root,
                attrs,
                text: text.to_string(),
            });
        }
    }
}

/// The attributes on either side of an operator, each with what stands on the other side: the items of a set one by one, and
/// the whole.
fn sides<'e>(left: &'e Expr, right: &'e Expr) -> Vec<(Root, Vec<String>, &'e Expr)> {
    let mut sides = Vec::new();
    for (attribute, other) in [(left, right), (right, left)] {
        let Some((root, attrs)) = path(attribute) else {
            continue;
        };
        let items = if let Expr::Set(items) = other {
            items.as_slice()
        } else {
            &[]
        };
        let items = items.iter().map(|item| &**item);
        sides.extend(items.chain([other]).map(|item| (root, attrs.clone(), item)));
    }
    sides
}

/// Attributes and the constants they are compared with, in whatever order.
fn comparisons(op: BinaryOp, left: &Expr, right: &Expr, reads: &mut Reads) {
    let compares = matches!(
        op,
        BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Greater
            | BinaryOp::GreaterEq
            | BinaryOp::DecimalLessThan
            | BinaryOp::DecimalLessEq
            | BinaryOp::DecimalGreater
            | BinaryOp::DecimalGreaterEq
            | BinaryOp::Contains
            | BinaryOp::ContainsAll
            | BinaryOp::ContainsAny
    );
    if !compares {
        return;
    }
    for (root, attrs, other) in sides(left, right) {
        if let Some(constant) = constant(other) {
            let attribute = std::iter::once(root.as_str().to_owned()).chain(attrs);
            reads.comparisons.insert(Comparison {
                attribute: attribute.collect(),
                constant,
            });
        }
    }
}

fn constant(expr: &Expr) -> Option<Constant> {
    if let Expr::Literal(Literal::String(text)) = expr {
        return Some(Constant::Text(text.to_string()));
    }
    if let Expr::Literal(Literal::Long(number)) = expr {
        return Some(Constant::Long(*number));
    }
    let Expr::UnaryOp { op, expr } = expr else {
        return None;
    };
    let Expr::Literal(Literal::String(text)) = &**expr else {
        return None;
    };
    if *op == UnaryOp::Datetime {
        return Some(Constant::Instant(text.to_string()));
    }
    (*op == UnaryOp::Decimal).then(|| Constant::Decimal(text.to_string()))
}

/// The sign of an operation that can overflow and so err. `+ - *` are refused on anything, `offset` and `durationSince`
/// where an operand comes from the call. An operation that a later Cedar brings counts as one that can.
fn overflows(op: BinaryOp, left: &Expr, right: &Expr) -> Option<&'static str> {
    match op {
        BinaryOp::Add => Some("+"),
        BinaryOp::Sub => Some("-"),
        BinaryOp::Mul => Some("*"),
        BinaryOp::Offset => (is_input(left) || is_input(right)).then_some("offset"),
        BinaryOp::DurationSince => (is_input(left) || is_input(right)).then_some("durationSince"),
        BinaryOp::Eq
        | BinaryOp::NotEq
        | BinaryOp::Less
        | BinaryOp::LessEq
        | BinaryOp::Greater
        | BinaryOp::GreaterEq
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::In
        | BinaryOp::Contains
        | BinaryOp::ContainsAll
        | BinaryOp::ContainsAny
        | BinaryOp::GetTag
        | BinaryOp::HasTag
        | BinaryOp::IsInRange
        | BinaryOp::DecimalLessThan
        | BinaryOp::DecimalLessEq
        | BinaryOp::DecimalGreater
        | BinaryOp::DecimalGreaterEq => None,
        _ => Some("this operation"),
    }
}

/// Whether anything below is taken from the call.
fn is_input(expr: &Expr) -> bool {
    let mut reads = Reads::default();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match path(expr) {
            Some((Root::Context, attrs)) => {
                let first = attrs.first().map(String::as_str);
                if first.is_none_or(|part| INPUT_PARTS.contains(&part)) {
                    return true;
                }
            }
            Some(_) => {}
            None => step(expr, &mut open, &mut reads),
        }
    }
    false
}
