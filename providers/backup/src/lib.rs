//! Backups in a folder or a bucket: published, listed, read back, pruned.
