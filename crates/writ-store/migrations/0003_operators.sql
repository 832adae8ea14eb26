-- Who gave an operator their role and since when, when they first signed in, and the certificate they sign in with. Operators of
-- before are taken for people who have signed in, whom nobody made.
ALTER TABLE operators ADD COLUMN made_by TEXT;
ALTER TABLE operators ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operators ADD COLUMN signed_in INTEGER;
ALTER TABLE operators ADD COLUMN certificate TEXT;
UPDATE operators SET since = created, signed_in = created;
CREATE UNIQUE INDEX operators_by_certificate ON operators (tenant, certificate);

-- When a session began; those of before began at no time that counts as fresh.
ALTER TABLE operator_sessions ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;

-- Changes that take two people, from their proposal on.
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

-- What vouches for others and was approved: the digest of each voucher's settings.
CREATE TABLE trust_roots (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
