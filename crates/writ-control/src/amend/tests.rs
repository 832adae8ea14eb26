//! What an amendment is taken for where the log or an earlier no says something about it.

use writ_audit::AppendError;

use super::is_not_written;

/// A task goes on as it was only where the log surely has nothing of its amendment.
#[test]
fn of_a_late_record_nobody_knows_whether_it_is_written() {
    for (fault, not_written) in [
        (AppendError::Pushback, true),
        (AppendError::Evidence, true),
        (AppendError::Late, false),
        (
            AppendError::Unavailable("the disk is gone".to_owned()),
            false,
        ),
    ] {
        assert_eq!(is_not_written(&fault), not_written, "{fault}");
    }
}
