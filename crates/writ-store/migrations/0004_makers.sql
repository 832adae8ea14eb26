-- Who has brought whom along: who registered or invited an operator, and of one who was removed also who gave them their last
-- role. It stays when they are removed, so that whom they brought along themselves still leads back to who brought them.
CREATE TABLE operator_makers (
    tenant TEXT NOT NULL,
    operator TEXT NOT NULL,
    maker TEXT NOT NULL,
    PRIMARY KEY (tenant, operator, maker)
) STRICT, WITHOUT ROWID;
INSERT INTO operator_makers (tenant, operator, maker)
    SELECT tenant, operator, made_by FROM operators WHERE made_by IS NOT NULL;
