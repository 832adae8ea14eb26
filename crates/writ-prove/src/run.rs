//! All cases: the same ones together, several at a time, until the time is up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::solver::LocalSolver;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::case::Case;
use crate::cluster::{self, Clusters};
use crate::solver::Cvc5;
use crate::verdict::{self, Verdict};

/// What is said of one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    action: String,
    verdict: Verdict,
}

impl Outcome {
    /// The line of the output.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let action = &self.action;
        match &self.verdict {
            Verdict::Equal => json!({"action": action, "verdict": "equal"}),
            Verdict::Narrower => json!({"action": action, "verdict": "narrower"}),
            Verdict::Wider { dropped, example } => {
                json!({"action": action, "verdict": "wider", "dropped": dropped, "example": example})
            }
            Verdict::Unproven(why) => {
                json!({"action": action, "verdict": "unproven", "why": why})
            }
        }
    }
}

/// Gives every case of `text` a verdict within `time`, in the order of the input.
///
/// # Errors
///
/// The first line that is no case, or that cvc5 cannot be started.
pub async fn run(cvc5: &Cvc5, text: &str, time: Duration) -> Result<Vec<Outcome>, String> {
    let until = Instant::now()
        .checked_add(time)
        .ok_or("the time is too long")?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let cases: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    let clusters = cluster::clusters(&cases);
    let work = Work {
        cvc5,
        cases: &cases,
        open: RefCell::new(
            clusters
                .values()
                .filter_map(|places| places.first())
                .copied()
                .collect(),
        ),
        done: RefCell::default(),
        until,
    };
    let workers = std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(8);
    let mut running = Vec::new();
    for _ in 0..workers {
        running.push(Box::pin(work.until_nothing_is_open()));
    }
    join(running).await?;
    outcomes(&cases, &clusters, &work.done.borrow())
}

/// Waits for all of them.
async fn join<F: Future<Output = Result<(), String>> + Unpin>(
    mut running: Vec<F>,
) -> Result<(), String> {
    let mut first = Ok(());
    std::future::poll_fn(|context| {
        running.retain_mut(|one| match std::pin::Pin::new(one).poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(done) => {
                if first.is_ok() {
                    first = done;
                }
                false
            }
        });
        if running.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    first
}

struct Work<'a> {
    cvc5: &'a Cvc5,
    cases: &'a [Value],
    /// Places in `cases` that nobody has begun.
    open: RefCell<Vec<usize>>,
    done: RefCell<BTreeMap<usize, Verdict>>,
    until: Instant,
}

impl Work<'_> {
    fn next(&self) -> Option<usize> {
        self.open.borrow_mut().pop()
    }

    async fn until_nothing_is_open(&self) -> Result<(), String> {
        let mut compiler = None;
        while let Some(place) = self.next() {
            let verdict = Box::pin(self.one(place, &mut compiler)).await?;
            self.done.borrow_mut().insert(place, verdict);
        }
        Ok(())
    }

    async fn one(
        &self,
        place: usize,
        compiler: &mut Option<CedarSymCompiler<LocalSolver>>,
    ) -> Result<Verdict, String> {
        let late = || Verdict::Unproven("the time was up".to_owned());
        if Instant::now() >= self.until {
            return Ok(late());
        }
        let Some(line) = self.cases.get(place) else {
            return Ok(late());
        };
        let case = Case::read(line)?;
        let mut asked = match compiler.take() {
            Some(asked) => asked,
            None => CedarSymCompiler::new(self.cvc5.start()?).map_err(|fault| fault.to_string())?,
        };
        // A solver that was late or said something odd is not asked again.
        let verdict = timeout_at(self.until, Box::pin(verdict::prove(&mut asked, &case))).await;
        let verdict = verdict.unwrap_or_else(|_elapsed| late());
        if !matches!(verdict, Verdict::Unproven(_)) {
            *compiler = Some(asked);
        }
        Ok(verdict)
    }
}

/// Every case with the verdict of its cluster.
fn outcomes(
    cases: &[Value],
    clusters: &Clusters,
    done: &BTreeMap<usize, Verdict>,
) -> Result<Vec<Outcome>, String> {
    let mut verdicts: BTreeMap<usize, &Verdict> = BTreeMap::new();
    for places in clusters.values() {
        if let Some(verdict) = places.first().and_then(|first| done.get(first)) {
            verdicts.extend(places.iter().map(|place| (*place, verdict)));
        }
    }
    let outcome = |(place, case): (usize, &Value)| {
        let action = case.get("action").and_then(Value::as_str);
        Ok(Outcome {
            action: action.ok_or("a case names no action")?.to_owned(),
            verdict: verdicts.get(&place).map_or_else(
                || Verdict::Unproven("it was not asked".to_owned()),
                |verdict| (*verdict).clone(),
            ),
        })
    };
    cases.iter().enumerate().map(outcome).collect()
}
