//! What is said of one case.

use cedar_policy::{Authorizer, Decision, EntityUid, Policy, PolicySet};
use cedar_policy_symcc::solver::Solver;
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, CompiledSchema, Env, SymEnv,
};
use serde_json::{Value, json};

use crate::case::Case;

/// What a change does to the calls of one action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// The same calls are allowed, and obliged to the same.
    Equal,
    /// Nothing is allowed that was not; something no longer is.
    Narrower,
    /// Something is allowed that was not, or an obligation is gone.
    Wider {
        /// The obligation that is gone; none where the call itself was refused.
        dropped: Option<String>,
        example: Value,
    },
    /// Nothing can be said.
    Unproven(String),
}

/// Proves one case with this solver.
pub(crate) async fn prove<S: Solver>(compiler: &mut CedarSymCompiler<S>, case: &Case) -> Verdict {
    match Proof::begin(compiler, case) {
        Ok(mut proof) => match proof.verdict().await {
            Ok(verdict) => verdict,
            Err(why) => Verdict::Unproven(why),
        },
        Err(why) => Verdict::Unproven(why),
    }
}

struct Proof<'a, S: Solver> {
    compiler: &'a mut CedarSymCompiler<S>,
    case: &'a Case,
    symbols: SymEnv,
}

/// A policy set, as it is and as the solver sees it.
struct Set {
    plain: PolicySet,
    compiled: CompiledPolicySet,
}

impl<'a, S: Solver> Proof<'a, S> {
    fn begin(compiler: &'a mut CedarSymCompiler<S>, case: &'a Case) -> Result<Self, String> {
        let schema = CompiledSchema::new(&case.schema).map_err(|error| error.to_string())?;
        let symbols = schema
            .sym_env(&case.env)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            compiler,
            case,
            symbols,
        })
    }

    async fn verdict(&mut self) -> Result<Verdict, String> {
        let case = self.case;
        self.something_is_possible().await?;
        self.nothing_errs().await?;
        let before = self.set(case.assuming(&case.before.access)?)?;
        let after = self.set(case.assuming(&case.after.access)?)?;
        if let Some(example) = self.beyond(&after, &before).await? {
            return Ok(Verdict::Wider {
                dropped: None,
                example,
            });
        }
        let mut narrower = !self.within(&before, &after).await?;
        for what in self.obligations() {
            // A call that is refused now needs no obligation.
            let owed = case.before.obliging_to(&what).chain(case.after.forbids());
            let owed = self.set(case.assuming(owed)?)?;
            let kept = self.set(case.assuming(case.after.obliging_to(&what))?)?;
            if let Some(example) = self.beyond(&owed, &kept).await? {
                return Ok(Verdict::Wider {
                    dropped: Some(what),
                    example,
                });
            }
            let owed = self.set(case.assuming(case.before.obliging_to(&what))?)?;
            narrower |= !self.within(&kept, &owed).await?;
        }
        Ok(if narrower {
            Verdict::Narrower
        } else {
            Verdict::Equal
        })
    }

    /// Under an assumption that no call meets, everything would be equal; and a solver that finds no call at all would
    /// find no widening either.
    async fn something_is_possible(&mut self) -> Result<(), String> {
        let everything = Policy::parse(None, "permit (principal, action, resource);");
        let everything = everything.map_err(|error| error.to_string())?;
        let all = self.set(self.case.assuming([&everything])?)?;
        let none = self.set(self.case.assuming([])?)?;
        match self.beyond(&all, &none).await? {
            Some(_) => Ok(()),
            None => Err("the solver finds no call that there can be".to_owned()),
        }
    }

    /// A rule that errs is skipped here and refuses in the gateway, so nothing that is said here would hold there.
    async fn nothing_errs(&mut self) -> Result<(), String> {
        for policy in self.case.changed() {
            let compiled = CompiledPolicy::compile_with_custom_symenv(
                policy,
                &self.case.env,
                &self.case.schema,
                self.symbols.clone(),
            );
            let compiled = compiled.map_err(|error| error.to_string())?;
            let sound = self.compiler.check_never_errors_opt(&compiled).await;
            if !sound.map_err(|error| error.to_string())? {
                return Err(format!("the rule `{}` may err", policy.id()));
            }
        }
        Ok(())
    }

    /// What either side obliges to.
    fn obligations(&self) -> std::collections::BTreeSet<String> {
        let sides = self
            .case
            .before
            .obliging
            .iter()
            .chain(&self.case.after.obliging);
        sides.map(|(what, _)| what.clone()).collect()
    }

    fn set(&self, plain: PolicySet) -> Result<Set, String> {
        let compiled = CompiledPolicySet::compile_with_custom_symenv(
            &plain,
            &self.case.env,
            &self.case.schema,
            self.symbols.clone(),
        );
        Ok(Set {
            plain,
            compiled: compiled.map_err(|error| error.to_string())?,
        })
    }

    /// Whether everything `one` allows, `other` does.
    async fn within(&mut self, one: &Set, other: &Set) -> Result<bool, String> {
        let found = self
            .compiler
            .check_implies_opt(&one.compiled, &other.compiled);
        found.await.map_err(|error| error.to_string())
    }

    /// A request that `one` allows and `other` does not. One that Cedar does not bear out is no example, and says that
    /// the solver is not to be trusted with this case.
    async fn beyond(&mut self, one: &Set, other: &Set) -> Result<Option<Value>, String> {
        let found = self
            .compiler
            .check_implies_with_counterexample_opt(&one.compiled, &other.compiled);
        let Some(example) = found.await.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        if allows(&one.plain, &example) && !allows(&other.plain, &example) {
            as_json(&example).map(Some)
        } else {
            Err("the solver's example does not bear out".to_owned())
        }
    }
}

fn allows(set: &PolicySet, example: &Env) -> bool {
    let response = Authorizer::new().is_authorized(&example.request, set, &example.entities);
    response.decision() == Decision::Allow && response.diagnostics().errors().next().is_none()
}

/// The request with its entities.
fn as_json(example: &Env) -> Result<Value, String> {
    let context = example.request.context();
    let context = context.map(cedar_policy::Context::to_json_value);
    let context = context.transpose().map_err(|error| error.to_string())?;
    let uid =
        |uid: &EntityUid| json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
    let principal = example.request.principal().map(uid);
    let entities = example.entities.to_json_value();
    Ok(json!({
        "principal": principal,
        "context": context,
        "entities": entities.map_err(|error| error.to_string())?,
    }))
}
