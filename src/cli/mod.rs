//! One file per command: arguments in, request out.
