-- What a person has stopped: an API, an owner, or a credential up to a version. It stays until a person lets it go on,
-- whatever a revision says.
CREATE TABLE stops (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    operator TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;
