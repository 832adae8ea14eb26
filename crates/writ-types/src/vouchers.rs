//! What a task has to vouch with for the values of its sensitive arguments (DESIGN §2 "origin").
//!
//! It depends on trusted input alone: what the requester's own client sent, response fields that the API's owner calls a
//! source, and what a person said yes to. Content that anybody could have written adds nothing to it, so that even a fully
//! hijacked agent can name no destination that was not there before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    ActionName, BoundPointer, Bounds, CallId, Canonical, Grant, Origin, Secret, Step, ValueDigest,
};

/// The facts of one call from which the origins of its arguments are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouchers {
    /// The prompts of the task and of those above it, where the party that sent them vouches.
    pub prompts: Vec<Arc<str>>,
    /// The task and those above it whose bounds vouch.
    pub bounds: Vec<Arc<Grant>>,
    /// The task whose plan vouches, and the step of it that the call is.
    pub step: Option<(Arc<Grant>, u16)>,
    /// What the whole tree has read, endorsed and written; none if nothing.
    pub origins: Option<Arc<Origins>>,
}

/// The values a tree of tasks knows, as digests. Bounded: what finds no room vouches for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    vouched: BTreeMap<ValueDigest, Origin>,
    /// The forms of what trusted fields had, whatever their kind.
    forms: BTreeSet<ValueDigest>,
    written: BTreeSet<ValueDigest>,
    seen: BTreeMap<ValueDigest, CallId>,
    /// Something was written that is not in `written`.
    lost: bool,
}

/// A value of a response field that is a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What it vouches for: the value, or for a party's field the value together with its object.
    pub value: ValueDigest,
    /// Its form, by which it is known whether the task wrote it itself.
    pub form: ValueDigest,
    /// How it vouches.
    pub origin: Origin,
}

impl Origins {
    /// Most values that vouch, most that were written and most that were seen, each.
    pub const MOST: usize = 4096;

    /// How the value is vouched for, if it is.
    #[must_use]
    pub fn origin(&self, value: ValueDigest) -> Option<Origin> {
        self.vouched.get(&value).copied()
    }

    /// The call whose response last had a value of this form, whatever vouches for it.
    #[must_use]
    pub fn seen_in(&self, form: ValueDigest) -> Option<CallId> {
        self.seen.get(&form).copied()
    }

    /// Whether a trusted field had a value of this form: writing it launders nothing.
    #[must_use]
    pub fn knows_form(&self, form: ValueDigest) -> bool {
        self.forms.contains(&form)
    }

    /// Whether the task wrote a value of this form that nothing vouched for; if that is not known, it did.
    #[must_use]
    pub fn has_written(&self, form: ValueDigest) -> bool {
        self.lost || self.written.contains(&form)
    }

    /// A source had a value. It vouches, unless the task itself put it there; `false` if it does not.
    pub fn note(&mut self, sighting: &Sighting) -> bool {
        let noted = !self.has_written(sighting.form) && self.has_room(sighting.value);
        if noted {
            self.vouch(sighting.value, sighting.form, sighting.origin);
        }
        noted
    }

    /// A person said yes to a value for one argument; `false` if there is no room for it.
    pub fn endorse(&mut self, argument: ValueDigest, form: ValueDigest) -> bool {
        let room = self.has_room(argument);
        if room {
            self.vouch(argument, form, Origin::Endorsement);
        }
        room
    }

    fn has_room(&self, value: ValueDigest) -> bool {
        self.vouched.len() < Self::MOST || self.vouched.contains_key(&value)
    }

    fn vouch(&mut self, value: ValueDigest, form: ValueDigest, origin: Origin) {
        let known = self.vouched.entry(value).or_insert(origin);
        *known = (*known).min(origin);
        // A yes is for one argument, a party's word for one reply: written and read back, they vouch for nothing more.
        if origin == Origin::Field {
            self.forms.insert(form);
        }
    }

    /// The task is about to write values of these forms that nothing vouches for.
    pub fn write(&mut self, forms: &[ValueDigest]) {
        for form in forms {
            if self.written.len() < Self::MOST || self.written.contains(form) {
                self.written.insert(*form);
            } else {
                self.lose();
            }
        }
    }

    /// What was written is not known any more, and so nothing that is read vouches from here on.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// Somebody acts in the tree from now on who wrote values of these forms elsewhere; none: it is not known which. What was
    /// read before could be theirs, so it vouches no more until it is read again, and theirs not then.
    pub fn disown(&mut self, forms: Option<&[ValueDigest]>) {
        self.vouched
            .retain(|_, origin| *origin == Origin::Endorsement);
        self.forms.clear();
        match forms {
            Some(forms) => self.write(forms),
            None => self.lose(),
        }
    }

    /// A response had values of these forms. For the card of an approval alone: it vouches for nothing.
    pub fn see(&mut self, forms: &[ValueDigest], call: CallId) {
        for form in forms {
            if self.seen.len() < Self::MOST || self.seen.contains_key(form) {
                self.seen.insert(*form, call);
            }
        }
    }
}

/// Where the values of a call's sensitive arguments come from, by the arguments' places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArgumentOrigins {
    /// Each place that was judged, and the weakest origin of a value there.
    pub weakest: BTreeMap<String, Origin>,
    /// The places with a value that is no argument of a kind: it can say anything. None if nobody has looked.
    pub free: Option<BTreeSet<String>>,
    /// Nobody has said what the values of the operation mean, so that nobody can have named one.
    pub unreviewed: bool,
}

impl ArgumentOrigins {
    /// A value at `place` has this origin.
    pub fn add(&mut self, place: &str, origin: Origin) {
        let weakest = self.weakest.entry(place.to_owned()).or_insert(origin);
        *weakest = (*weakest).max(origin);
    }

    /// The places with a value that nothing vouches for.
    pub fn unvouched(&self) -> impl Iterator<Item = &str> {
        self.those(|origin| !origin.vouches())
    }

    /// The places all of whose values stand in the prompt or in bounds that vouch.
    pub fn prompted(&self) -> impl Iterator<Item = &str> {
        self.those(|origin| origin <= Origin::Prompt && origin != Origin::Endorsement)
    }

    /// The places with a value that was seen in content that nothing vouches for, or that the task wrote itself.
    pub fn untrusted(&self) -> impl Iterator<Item = &str> {
        self.those(|origin| origin == Origin::Seen)
    }

    /// The places all of whose values a person named: in the prompt, in bounds, or by entering them for a card.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.those(|origin| origin <= Origin::Prompt)
            .filter(|_| !self.unreviewed)
    }

    /// The places with a value that was judged and that no person named.
    pub fn unnamed(&self) -> impl Iterator<Item = &str> {
        self.those(|origin| self.unreviewed || origin > Origin::Prompt)
    }

    fn those(&self, wanted: impl Fn(Origin) -> bool) -> impl Iterator<Item = &str> {
        let places = self.weakest.iter();
        places
            .filter(move |(_, origin)| wanted(**origin))
            .map(|(place, _)| place.as_str())
    }
}

/// An argument whose values are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a> {
    /// The action.
    pub action: &'a ActionName,
    /// The argument's place.
    pub place: &'a BoundPointer,
    /// The objects that the call names by other arguments that are themselves vouched for: what a reply goes to.
    pub objects: &'a [Canonical],
}

impl Vouchers {
    /// Whether the argument is bound by somebody who vouches, in bounds or by the step of the plan that the call is. A call
    /// outside its bounds is refused before, and one outside the step is not that step, so nothing else is asked then.
    #[must_use]
    pub fn is_bound(&self, action: &ActionName, place: &BoundPointer) -> bool {
        self.said().any(|bounds| bounds.binds(action, place))
    }

    /// Whether somebody who vouches has listed the argument's values one by one.
    #[must_use]
    pub fn is_listed(&self, action: &ActionName, place: &BoundPointer) -> bool {
        self.said().any(|bounds| bounds.lists(action, place))
    }

    /// Everything that somebody who vouches has bound arguments with.
    fn said(&self) -> impl Iterator<Item = &Bounds> {
        let step = self.step.as_ref();
        let step = step.and_then(|(grant, step)| grant.plan.step(*step));
        let bounds = self.bounds.iter().map(|grant| &grant.bounds);
        bounds.chain(step.map(Step::arguments))
    }

    /// The origin of one value of an argument, the strongest there is.
    #[must_use]
    pub fn origin(
        &self,
        key: &Secret<[u8; 32]>,
        argument: &Argument<'_>,
        value: &Canonical,
    ) -> Origin {
        if self.is_bound(argument.action, argument.place) {
            return Origin::Bounds;
        }
        let known = |digest| {
            self.origins
                .as_deref()
                .and_then(|known| known.origin(digest))
        };
        let (action, place) = (argument.action.to_string(), argument.place.to_string());
        let mut objects = argument.objects.iter();
        if let Some(endorsed) = known(ValueDigest::of_argument(key, &action, &place, value)) {
            endorsed
        } else if self.prompts.iter().any(|prompt| value.is_in(prompt)) {
            Origin::Prompt
        } else if let Some(field) = known(ValueDigest::of(key, value)) {
            field
        } else if let Some(party) =
            objects.find_map(|object| known(ValueDigest::of_reply(key, object, value)))
        {
            party
        } else if self.origins.as_deref().is_some_and(|origins| {
            let form = ValueDigest::of_form(key, value);
            origins.seen_in(form).is_some() || origins.has_written(form)
        }) {
            Origin::Seen
        } else {
            Origin::Unseen
        }
    }
}

#[cfg(test)]
mod tests;
