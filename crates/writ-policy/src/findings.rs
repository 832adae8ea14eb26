//! Everything that a load can find wrong: what each is called, why it matters, what mends it.
//!
//! `docs/reference/policy-lints.md` is generated from here.

use std::fmt;

macro_rules! lints {
    ($($lint:ident $id:literal $title:literal, why $why:literal, fix $fix:literal;)+) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Lint {
            $(#[doc = $title] $lint,)+
        }

        impl Lint {
            /// Every lint, in the order of a load.
            pub const ALL: &'static [Self] = &[$(Self::$lint,)+];

            /// Its stable name.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$lint => $id,)+ }
            }

            /// What is wrong, in one line.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$lint => $title,)+ }
            }

            /// Why that matters.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$lint => $why,)+ }
            }

            /// What mends it.
            #[must_use]
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$lint => $fix,)+ }
            }
        }
    };
}

lints! {
    Contract "contract" "An API's operations cannot be policies' types",
        why "A policy is checked against what the contract says of each operation. Without that nothing of it can be checked.",
        fix "This is a fault of the contract or of its compiler: `writ api lint` and `writ api import --check` say more.";
    HiddenCharacter "hidden-character" "A character changes the order in which text is shown",
        why "A reviewer then reads another rule than the engine does (Trojan Source, CVE-2021-42574).",
        fix "Remove the character; in a text, compare with the visible characters only.";
    Syntax "syntax" "The text is not Cedar",
        why "A file is loaded whole or not at all; a rule that cannot be read would be a rule that is not there.",
        fix "Mend the text at the place that is named. Templates (`?principal`) are not taken: write the rule out, or use a group.";
    TooLarge "too-large" "A policy is too long, too deep or too branched",
        why "Cedar's parser and evaluator recurse. Beyond a bound a decision would depend on how much stack happens to be left.",
        fix "Compare with a set (`[…].contains(…)`), or make several rules of it.";
    Id "id" "A policy has no `@id` of its own",
        why "The id is in records, refusals, approvals and proofs; without a stable one nobody can say which rule decided.",
        fix "Give it a stable name that no other rule has: `@id(\"team.what-it-does\")`.";
    Annotation "annotation" "An annotation is not understood",
        why "An annotation that is misspelt or stands in the wrong place would silently do nothing: no approval would be asked, no obligation kept.",
        fix "Use one of `@id`, `@doc`, `@owner`, `@severity`, `@expires`, `@approval`, `@four_eyes`, `@defer`, `@oblige`, as their reference says.";
    Expired "expired" "A rule has expired",
        why "An expired permit gives nothing and is left out. An expired forbid must not vanish unseen, so it stops the load.",
        fix "Take the rule out, or give it a later date.";
    Exception "exception" "An exception that is none",
        why "An exception lifts a rule. One that names no rule, no end or nobody who answers for it would lift it without anybody knowing, or lift nothing while somebody counts on it.",
        fix "Write it into `policies/exceptions.toml` with rule, agent, actions, owner, reason, ticket, begin and an end within 90 days.";
    Shadow "shadow" "A draft that cannot be tried",
        why "A draft in `policies/shadow` decides beside the rules in force for a time. Without an end it would be looked at by nobody, and one that does without the baseline could never be put in force.",
        fix "Say in `policies/shadow.toml` from when until when it is tried, at most 30 days; name the rules it does without by their `@id`.";
    Window "window" "A window that does not count what it says",
        why "A window that counts an action or an amount that no contract has counts nothing, and a limit on a sum in one unit is got round by paying in another.",
        fix "Name actions and quantities as contract and overlay do, and look at `others` where you look at `sum`.";
    UnknownName "unknown-name" "An action, group or API that there is not",
        why "A forbid of something that does not exist never fires, and nothing says so.",
        fix "Correct the spelling; a group is `Writ::Action::\"write\"`, an operation `Api_<id>::Action::\"<operation>\"`.";
    FreeText "free-text" "A condition looks at free text",
        why "Prompts, intents and descriptions are written by whoever wants something, in words of their own. A rule that looks at them can be talked round.",
        fix "Compare the registered purpose, the declared actions, a bound or a typed argument instead.";
    UnknownAttribute "unknown-attribute" "An attribute that no operation of the rule has",
        why "Cedar takes `context has bdoy` as false: a misspelt forbid is a forbid that never fires. Inside `||` Cedar's validator says nothing at all.",
        fix "Correct the spelling, or narrow the rule to the operations that have the attribute.";
    BlindHas "blind-has" "`has` is asked of something that is no attribute path",
        why "The spelling of its attribute cannot be checked then.",
        fix "Ask it of `context…`, `principal…` or `resource…`.";
    Arithmetic "arithmetic" "Arithmetic that can overflow",
        why "An overflow is an error, and Cedar skips a forbid that errs. Here an error denies, so an honest call with a large number would be refused instead.",
        fix "Compare with a constant or a counter: the counters of `context.sys.count` already include the call.";
    OutsideDomain "outside-domain" "A literal that the attribute can never have",
        why "The contract says which values there are, and every other is refused before any rule is asked. A comparison with another value is always false, so the rule does less than it says.",
        fix "Write one of the values that the finding names.";
    NobodyApproves "nobody-approves" "An approval that nobody can give, or that would not help",
        why "A call that waits for it waits for ever, and people learn to look away from approvals.",
        fix "Name a role that somebody has, and let nothing else forbid what the approval is to lift.";
    Type "type" "Cedar's validator refuses the rule",
        why "A rule whose types are wrong errs when it is evaluated, and an error denies every call it is about.",
        fix "Mend the condition as the validator says; guard optional attributes with `has`.";
    NeverMatches "never-matches" "A rule that can never match",
        why "A permit that never matches gives nothing; a forbid that never matches protects nothing, and looks as if it did.",
        fix "Check the guards and the spelling of literals; take the rule out if it is not needed.";
    NarrowForbid "narrow-forbid" "A forbid that is narrower than its scope",
        why "`context has body` is false for every operation without a body, so a forbid of all writes guarded by it lets those pass.",
        fix "Name the operations it is meant for, and say in a rule of their own what is to happen to the others.";
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
