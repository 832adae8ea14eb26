//! The rules: what each is called, how bad it is, why it hurts when the caller is an agent, and what mends it.
//!
//! `docs/reference/lint-rules.md` and the SARIF descriptors are generated from here.

use std::fmt;
use std::str::FromStr;

/// How bad a finding is, in SARIF's words (SARIF 2.1.0 §3.27.10), worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// An agent will do the wrong thing, or the gateway cannot govern it.
    Error,
    /// An agent is likely to do the wrong thing.
    Warning,
    /// Worth knowing when a grant is written.
    Note,
}

impl Level {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "note" => Ok(Self::Note),
            other => Err(format!(
                "`{}` is no level: `error`, `warning` or `note`",
                other.chars().take(32).collect::<String>()
            )),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! rules {
    ($($rule:ident $id:literal $level:ident $like:literal $title:literal, why $why:literal, fix $fix:literal;)+) => {
        /// One rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $title] $rule,)+
        }

        impl Rule {
            /// Every rule, in the order they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)+];

            /// Its id: stable, lower case.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$rule => $id,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$rule => Level::$level,)+ }
            }

            /// What is wrong, in a line.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$rule => $title,)+ }
            }

            /// Why it hurts when the caller is an agent.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$rule => $why,)+ }
            }

            /// What mends it.
            #[must_use]
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$rule => $fix,)+ }
            }

            /// What other rule sets call it; empty where it is Writ's own.
            #[must_use]
            pub const fn like(self) -> &'static str {
                match self { $(Self::$rule => $like,)+ }
            }
        }
    };
}

rules! {
    OperationIdMissing "operation-id-missing" Warning "Spectral operation-operationId, Clara META_001"
        "The operation has no `operationId`",
        why "The id is the tool's name and what policies and grants name. One made of method and path says little to a model and changes when the path does.",
        fix "Give it an `operationId` of a verb and an object, such as `listZones`.";
    OperationIdDuplicate "operation-id-duplicate" Error "Spectral operation-operationId-unique, oasdiff duplicate-operation-id"
        "The `operationId` is used more than once",
        why "A grant or a policy that names it would mean two things. Writ names both by method and path instead.",
        fix "Give each operation an `operationId` of its own.";
    OperationIdVague "operation-id-vague" Warning "Clara META_002"
        "The `operationId` does not say what the operation does",
        why "A model chooses tools by their names first; `get_1` and `get_2` are chosen by chance.",
        fix "Name the verb and the object, without running numbers.";
    DescriptionMissing "description-missing" Error "Clara META_003, APIMatic L231"
        "The operation has neither summary nor description",
        why "The text is all a model has to choose between tools. Without it the choice is a guess from the name.",
        fix "Say in a sentence what it does, to what, and what cannot be undone.";
    DescriptionShort "description-short" Note "Clara META_004"
        "Summary and description are fewer than three words",
        why "One word does not tell this tool from its neighbours.",
        fix "Say what it does, to what, and when not to use it.";
    DescriptionDuplicate "description-duplicate" Warning "Vacuum description-duplication"
        "Another operation has the same summary and description",
        why "Two tools with one text are interchangeable to a model, and only one of them is the one you meant.",
        fix "Say in each how it differs from the other.";
    DescriptionLong "description-long" Note ""
        "The description is longer than a thousand tokens",
        why "Every tool's text is paid for in every turn, and long texts hide instructions.",
        fix "Keep what a caller needs to choose and to call; link the rest.";
    TooManyOperations "too-many-operations" Note ""
        "The document has more operations than a model can be offered",
        why "A list of hundreds of tools does not fit a context, and models choose worse the more there are.",
        fix "Grant tasks the few operations their purpose needs; Writ lists only those.";
    OperationDeprecated "operation-deprecated" Warning "Clara META_006, oasdiff lifecycle rules"
        "The operation is deprecated",
        why "It works until it does not; an agent that learned it will try ways around when it is gone.",
        fix "Leave it out of purposes and grant its successor.";
    ParameterUndescribed "parameter-undescribed" Warning "Spectral oas3-parameter-description, Clara INTRO_001"
        "A parameter or body property has no description",
        why "A model fills what it does not understand with something plausible.",
        fix "Say what the value is, where it comes from, and give an example.";
    ParameterUntyped "parameter-untyped" Warning "Clara INTRO_002"
        "A parameter has no type",
        why "Nothing tells a number from a text; the caller invents one, and no bound or policy can be typed on it.",
        fix "Give it a `type`, and `format`, `enum` or `pattern` where there is one.";
    ParameterUnconstrained "parameter-unconstrained" Note "Clara INTRO_005 to INTRO_008"
        "A text parameter has no format, enum or pattern",
        why "Any text is valid, so invented identifiers are found out by the upstream, after the call.",
        fix "Add `enum`, `pattern` or `format`; bound it in the purpose where the API cannot.";
    BodyUntyped "body-untyped" Error "OWASP api3 constrained-additionalProperties"
        "The request body has no schema, or one that says nothing",
        why "What cannot be read cannot be authorized: every field of the body is outside policy.",
        fix "Describe the body with a schema, or keep the operation out of purposes.";
    BodyOpen "body-open" Warning "OWASP api3 no-additionalProperties (mass assignment)"
        "An object of the request body takes fields that are not declared",
        why "An undeclared field passes as part of an approved call, and may be the one that makes an administrator.",
        fix "Set `additionalProperties: false`, or list what else is taken.";
    StringUnbounded "string-unbounded" Note "OWASP api4 string-limit, string-restricted"
        "A text of the request has no largest length",
        why "A free text of any length carries a whole data set out in one approved call.",
        fix "Set `maxLength`, or an `enum`, `format` or `pattern` that bounds it.";
    ArrayUnbounded "array-unbounded" Warning "OWASP api4 array-limit"
        "A list of the request has no largest number of items",
        why "One call becomes a thousand: a budget that counts calls does not count what is in them.",
        fix "Set `maxItems`.";
    IntegerUnbounded "integer-unbounded" Note "OWASP api4 integer-limit"
        "A number of the request has no smallest or largest value",
        why "An amount, a size or a count that is wrong by a factor of a thousand is as valid as the right one.",
        fix "Set `minimum` and `maximum`.";
    ListUnpaginated "list-unpaginated" Warning "Clara PRED_003"
        "A list operation has no parameter for page size or cursor",
        why "The whole data set arrives in the context, in the bill and in the log of what was read.",
        fix "Take a `limit` and a cursor.";
    PageSizeUnbounded "page-size-unbounded" Warning ""
        "The page size has no maximum",
        why "An agent asks for a million at once, because it may.",
        fix "Set `maximum` on it; bound it in the purpose until the API does.";
    UrlParameter "url-parameter" Warning "OWASP api7 concerning-url-parameter"
        "The request takes a URL that the upstream may fetch or call",
        why "Injected text chooses where the upstream connects to: a request forged by prompt (SSRF), or data sent out.",
        fix "Bound it to hosts you own in the purpose, and review the operation as `external_send`.";
    ErrorUndocumented "error-undocumented" Warning "Spectral operation-4xx-response, Clara ERR_001"
        "No client error is documented",
        why "An agent that cannot tell its own fault from a passing one retries both.",
        fix "Document the 4xx responses, or `default`.";
    ErrorSchemaMissing "error-schema-missing" Warning "OWASP api8 define-error-validation, Clara ERR_002"
        "An error response has no schema",
        why "The reason is prose, and prose is retried.",
        fix "Describe it, best as problem details (RFC 9457).";
    ErrorCodeMissing "error-code-missing" Note "Clara ERR_003"
        "The error has no field with a stable code",
        why "Without a code the caller matches on wording, and wording changes.",
        fix "Add `code`, or `type` of problem details (RFC 9457).";
    RateLimitUndocumented "rate-limit-undocumented" Warning "OWASP api4 rate-limit-responses-429, Clara PERF_002"
        "No rate limit is documented",
        why "An agent calls at machine speed until something breaks; it cannot slow down for a limit it was not told of.",
        fix "Document 429; until then set a budget in the purpose.";
    RetryAfterMissing "retry-after-missing" Note "OWASP api4 rate-limit-retry-after"
        "429 is documented without `Retry-After` or rate limit fields",
        why "Told to wait and not how long, it retries at once.",
        fix "Declare `Retry-After` (RFC 9110 §10.2.3) on the 429 response.";
    ResponseUntyped "response-untyped" Warning "Clara PRED_001"
        "A success response has no schema",
        why "What is not described cannot be labelled, redacted or vouch for a later call's values.",
        fix "Describe the response.";
    ResponseAnyMedia "response-any-media" Warning ""
        "A response is of any media type (`*/*`)",
        why "The gateway cannot know whether it is JSON it must check or bytes it must not look at.",
        fix "Name the media types.";
    SecretInResponse "secret-in-response" Error ""
        "A success response holds what looks like a secret",
        why "It enters the model's context, its memory and its logs, and from there any tool it calls.",
        fix "Leave it out, mark it `writeOnly`, or redact it in the overlay; label the response `secret`.";
    UntrustedText "untrusted-text-in-response" Note ""
        "The response holds free text that third parties write",
        why "It is where instructions are injected: a model reads a comment as it reads its orders.",
        fix "Label the response `untrusted` in the overlay.";
    ReadThatMutates "read-that-mutates" Error "Clara NAME_003, Vacuum no-http-verbs-in-path"
        "A GET or HEAD whose name says it changes something",
        why "A grant of reads would include it, and reads are retried and prefetched.",
        fix "Make it a POST, or review its effect as `write` or `delete`.";
    BodyWithoutSemantics "body-without-semantics" Warning "Vacuum no-request-body"
        "GET, HEAD or DELETE takes a body",
        why "A body there has no defined meaning (RFC 9110 §9.3): what one hop reads another drops, and what was authorized is not what happens.",
        fix "Take query parameters, or use POST.";
    MutationWithoutIdempotency "mutation-without-idempotency" Warning "Clara PRED_006"
        "A POST or PATCH takes no idempotency key and no precondition",
        why "An agent retries what timed out, and the effect happens twice.",
        fix "Take `Idempotency-Key`, a client token in the body, or `If-Match`.";
    DestructiveWithoutRehearsal "destructive-without-rehearsal" Note "API Evangelist dimension 6"
        "A deletion has no dry run, confirmation or precondition",
        why "There is no way to plan before the act, and none to take it back.",
        fix "Take `dry_run` or `If-Match`; grant it with approval until then.";
    SecurityUndeclared "security-undeclared" Warning "OWASP api2"
        "The document declares no security scheme",
        why "Who may do what is unsaid; the credential's own breadth is the only bound the upstream has.",
        fix "Declare the schemes; name the narrowest credential in the registration.";
    OperationWithoutSecurity "operation-without-security" Warning "OWASP api2 write-restricted, read-restricted"
        "Security schemes are declared, and the operation requires none",
        why "Either it is open to everybody or the document is wrong; a review must know which.",
        fix "Set `security` on the operation or the document.";
    ScopeMixesEffects "scope-mixes-effects" Warning "OWASP api5"
        "One OAuth scope covers reads and deletions",
        why "A credential that can read can delete: least privilege cannot be had from the upstream.",
        fix "Split the scope; until then only Writ's grants tell them apart.";
    ScopeTooBroad "scope-too-broad" Note "OWASP api5 admin-security-unique"
        "One OAuth scope covers more than fifty operations",
        why "A leaked credential of that scope is worth all of them.",
        fix "Split the scope by resource and effect.";
    KeyInUrl "key-in-url" Error "OWASP api2 no-api-keys-in-url"
        "An API key travels in the URL",
        why "URLs are logged, cached and shown in tool output.",
        fix "Take it in a header field.";
    BasicAuthentication "basic-authentication" Warning "OWASP api2 no-http-basic"
        "HTTP Basic authentication",
        why "A password that never expires and covers everything its user can.",
        fix "Use OAuth or scoped keys; seal and rotate the password in Writ until then.";
    PlainHttpServer "plain-http-server" Error "OWASP api8 no-server-http"
        "A server is reached without TLS",
        why "Credential and data are on the wire for anybody between.",
        fix "Use `https`.";
    PathAmbiguous "path-ambiguous" Error "Vacuum no-ambiguous-paths, oasdiff conflicting-paths"
        "Two path templates differ only in the names of their parameters",
        why "One call fits both, so a policy may be attached to the wrong operation. OpenAPI forbids it.",
        fix "Merge them, or give them different literals.";
    PathShadowed "path-shadowed" Note "Vacuum paths-specificity-order"
        "A literal sibling takes some of the template's calls",
        why "A grant of `/x/{id}` looks as if it covered `/x/all`, and does not; the literal must be granted by its own name.",
        fix "Nothing to mend; know it when granting. Writ routes to the literal.";
    PathPartialParameter "path-partial-parameter" Warning ""
        "A path parameter is only part of a segment",
        why "Readers differ in where the value ends, so the value that was judged may not be the one that was meant.",
        fix "Give the parameter a segment of its own.";
    PathFragment "path-fragment" Warning ""
        "The path key has a `#` or `?`",
        why "Several operations share one path on the wire and are told apart by something else; a policy on the path covers all.",
        fix "Give each its own path.";
    PathParameterCrosses "path-parameter-crosses-segments" Warning ""
        "A path parameter admits `/`",
        why "One value can reach another operation's path if any hop decodes it differently.",
        fix "Restrict its `pattern` to one segment.";
    DescriptionScript "description-script" Error "Spectral no-eval-in-markdown, no-script-tags-in-markdown"
        "A text holds script",
        why "Whoever renders it runs it: an approval page or a console is where that hurts.",
        fix "Remove it, and ask how it came in.";
    DescriptionInstruction "description-instruction" Error ""
        "A text gives orders to a model",
        why "Tool descriptions are read as instructions: this is tool poisoning through the contract.",
        fix "Remove it, and ask how it came in; do not approve the document until then.";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
