//! Policies, as a revision names them: texts that the policy engine reads.

/// Content-addressed, so the same text twice is once.
pub(crate) const PUT: &str = "INSERT INTO policies (tenant, digest, text) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant, digest) DO NOTHING";
pub(crate) const BY_DIGEST: &str = "SELECT text FROM policies WHERE tenant = ?1 AND digest = ?2";
