-- Schema version 6: the sum of the migrations. A test compares.

CREATE TABLE active_revision (
    tenant TEXT NOT NULL PRIMARY KEY,
    revision TEXT NOT NULL,
    activated INTEGER NOT NULL,
    FOREIGN KEY (tenant, revision) REFERENCES revisions (tenant, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE amendments (
    tenant TEXT NOT NULL,
    task TEXT NOT NULL,
    digest TEXT NOT NULL,
    granted TEXT NOT NULL,
    PRIMARY KEY (tenant, task, digest),
    FOREIGN KEY (tenant, task) REFERENCES tasks (tenant, task)
) STRICT, WITHOUT ROWID;

CREATE TABLE apis (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    tenant TEXT NOT NULL,
    approval TEXT NOT NULL,
    binding TEXT NOT NULL,
    task TEXT NOT NULL,
    agent TEXT NOT NULL,
    -- Whether it dies with its task; a wait does not.
    of_task INTEGER NOT NULL,
    state TEXT NOT NULL,
    asked TEXT NOT NULL,
    given TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (tenant, approval)
) STRICT;

CREATE INDEX approvals_by_binding ON approvals (tenant, binding);

CREATE INDEX approvals_by_task ON approvals (tenant, task, state);

CREATE TABLE changes (
    tenant TEXT NOT NULL,
    change TEXT NOT NULL,
    author TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    proposed INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    decided_by TEXT,
    PRIMARY KEY (tenant, change)
) STRICT;

CREATE TABLE contracts (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    document BLOB NOT NULL,
    reviews TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE credentials (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT;

CREATE TABLE first_boot_token (
    tenant TEXT NOT NULL PRIMARY KEY,
    token_hash TEXT NOT NULL,
    created INTEGER NOT NULL,
    consumed INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_invitations (
    tenant TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    operator TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (tenant, token_hash),
    FOREIGN KEY (tenant, operator) REFERENCES operators (tenant, operator) ON DELETE CASCADE
) STRICT;

CREATE TABLE operator_makers (
    tenant TEXT NOT NULL,
    operator TEXT NOT NULL,
    maker TEXT NOT NULL,
    PRIMARY KEY (tenant, operator, maker)
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_sessions (
    tenant TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    operator TEXT NOT NULL,
    expires INTEGER NOT NULL, begun INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, token_hash),
    FOREIGN KEY (tenant, operator) REFERENCES operators (tenant, operator) ON DELETE CASCADE
) STRICT;

CREATE TABLE operators (
    tenant TEXT NOT NULL,
    operator TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created INTEGER NOT NULL, approves TEXT NOT NULL DEFAULT '[]', identity TEXT, made_by TEXT, since INTEGER NOT NULL DEFAULT 0, signed_in INTEGER, certificate TEXT,
    PRIMARY KEY (tenant, operator),
    UNIQUE (tenant, name)
) STRICT;

CREATE UNIQUE INDEX operators_by_certificate ON operators (tenant, certificate);

CREATE TABLE policies (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE purposes (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
    tenant TEXT NOT NULL,
    memory TEXT NOT NULL,
    approval TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, memory)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    tenant TEXT NOT NULL,
    revision TEXT NOT NULL,
    base TEXT,
    manifest TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, revision),
    FOREIGN KEY (tenant, base) REFERENCES revisions (tenant, revision)
) STRICT;

CREATE TABLE stops (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    operator TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    tenant TEXT NOT NULL,
    task TEXT NOT NULL,
    -- The task at the top of its tree: itself, or its parent's.
    root TEXT NOT NULL,
    granted TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    ended TEXT,
    spent TEXT NOT NULL,
    log_index INTEGER,
    PRIMARY KEY (tenant, task),
    FOREIGN KEY (tenant, root) REFERENCES tasks (tenant, task)
) STRICT;

CREATE TABLE trust_roots (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
