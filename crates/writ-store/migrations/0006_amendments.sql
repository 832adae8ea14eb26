-- What a task holds since it was amended, one row for each time. Which of them counts the log says, by their digests.
CREATE TABLE amendments (
    tenant TEXT NOT NULL,
    task TEXT NOT NULL,
    digest TEXT NOT NULL,
    granted TEXT NOT NULL,
    PRIMARY KEY (tenant, task, digest),
    FOREIGN KEY (tenant, task) REFERENCES tasks (tenant, task)
) STRICT, WITHOUT ROWID;
