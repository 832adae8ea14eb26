//! What APIs published when they were last asked. Memory only: what follows from it stands in the revision.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use writ_types::{ApiId, Digest, Timestamp};

/// Who wanted to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Somebody who reads the answer, and may approve what is in it.
    ByPerson,
    /// The clock.
    ByClock,
}

/// What was published when it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) document: Vec<u8>,
}

/// Of one API: the last that was published, why it is not known whether that still is, and the last that a person was shown.
#[derive(Debug, Default)]
struct Answers {
    last: Option<Seen>,
    fault: Option<String>,
    shown: Option<Seen>,
}

/// The answers of all APIs.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(Mutex<BTreeMap<ApiId, Answers>>);

impl LastSeen {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ApiId, Answers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, id: &ApiId, asked: Asked, seen: Seen) {
        let mut all = self.all();
        let answers = all.entry(id.clone()).or_default();
        if asked == Asked::ByPerson {
            answers.shown = Some(seen.clone());
        }
        (answers.last, answers.fault) = (Some(seen), None);
    }

    /// It is not known what is published, and why. What was seen before stays seen: a server that falls silent does not take back
    /// what it published.
    pub(super) fn fail(&self, id: &ApiId, fault: String) {
        self.all().entry(id.clone()).or_default().fault = Some(fault);
    }

    pub(super) fn at(&self, id: &ApiId) -> Option<Timestamp> {
        let all = self.all();
        let answers = all.get(id).filter(|answers| answers.fault.is_none())?;
        Some(answers.last.as_ref()?.at)
    }

    /// What was published last, as far as it was seen.
    pub(super) fn last(&self, id: &ApiId) -> Option<Vec<u8>> {
        let all = self.all();
        Some(all.get(id)?.last.as_ref()?.document.clone())
    }

    /// The document of this digest, if it is the last or the last that a person was shown.
    pub(super) fn of(&self, id: &ApiId, digest: &Digest) -> Option<Vec<u8>> {
        let all = self.all();
        let answers = all.get(id)?;
        [answers.last.as_ref(), answers.shown.as_ref()]
            .into_iter()
            .flatten()
            .find(|seen| Digest::of(&seen.document) == *digest)
            .map(|seen| seen.document.clone())
    }

    /// For each API whose document is not known: why.
    pub(super) fn faults(&self) -> Vec<(ApiId, String)> {
        let all = self.all();
        let fault = |(id, answers): (&ApiId, &Answers)| Some((id.clone(), answers.fault.clone()?));
        all.iter().filter_map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_was_shown_is_kept_when_the_clock_sees_another() {
        let (seen, id) = (LastSeen::default(), "dns".parse().unwrap());
        let keep = |asked, text: &str| {
            let (at, document) = (Timestamp::from_secs(1), text.as_bytes().to_vec());
            seen.keep(&id, asked, Seen { at, document });
        };
        let known = |text: &str| seen.of(&id, &Digest::of(text.as_bytes())).is_some();
        keep(Asked::ByPerson, "one");
        keep(Asked::ByClock, "two");
        keep(Asked::ByClock, "three");
        assert!(known("one") && known("three") && !known("two"));
        assert_eq!(seen.last(&id).as_deref(), Some(b"three".as_slice()));
        keep(Asked::ByPerson, "four");
        assert!(known("four") && !known("one"));
        seen.fail(&id, "no answer".to_owned());
        assert_eq!(seen.faults(), [(id.clone(), "no answer".to_owned())]);
        assert_eq!(seen.at(&id), None);
        // Whoever approves an older document now approves it against what was seen since.
        keep(Asked::ByClock, "five");
        seen.fail(&id, "no answer".to_owned());
        assert!(known("four") && seen.last(&id).as_deref() == Some(b"five".as_slice()));
    }
}
