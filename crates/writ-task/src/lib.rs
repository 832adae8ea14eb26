//! writ-task.
