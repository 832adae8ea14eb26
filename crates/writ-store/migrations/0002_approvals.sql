-- Who an operator is as a user of agents, and which roles they approve in.
ALTER TABLE operators ADD COLUMN approves TEXT NOT NULL DEFAULT '[]';
ALTER TABLE operators ADD COLUMN identity TEXT;

-- With these, operators sign in for the first time, once.
CREATE TABLE operator_invitations (
    tenant TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    operator TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (tenant, token_hash),
    FOREIGN KEY (tenant, operator) REFERENCES operators (tenant, operator) ON DELETE CASCADE
) STRICT;

-- Approvals and waits. The card itself is in the vault.
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

-- What people have said no to: a commitment to requester, resource and effect.
CREATE TABLE refusals (
    tenant TEXT NOT NULL,
    memory TEXT NOT NULL,
    approval TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, memory)
) STRICT, WITHOUT ROWID;
